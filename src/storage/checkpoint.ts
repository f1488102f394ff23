/**
 * Checkpoints: small text files, always replaced as a whole.
 *
 *   offset checkpoint          leader-epoch-checkpoint     partition.metadata
 *   0                          0                           version: 0
 *   2                          1                           topic_id: xRQf76KASpmJ78nw4a8qVg
 *   orders 0 120               0 0
 *   orders 1 98
 *
 * Line 1 is the version, line 2 the number of entries, then one line an entry (`topic partition offset`, `epoch startOffset`).
 * 0 bytes mean no entries: a broker makes its files empty. `partition.metadata` has no newline at its end, as Kafka writes it.
 *
 * Crash argument for `replaceFile`: (1) the new content goes to `<path>.tmp`, (2) which is synced, (3) the rename is the commit point,
 * (4) the directory is synced. Killed before 3, the old file stands whole and a `.tmp` is left, which the next replacement removes and no
 * reader opens; killed after 3, the new file stands whole. A power cut between 3 and 4 shows either, never a mixture, since the content
 * was synced before it had the name. So a reader meets one of the two, and text that does not parse is damage from elsewhere.
 */
import { dirname } from 'node:path'
import { CorruptLogError } from '../errors.ts'
import type { FileHandle, FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import { TEMPORARY_SUFFIX } from './file-names.ts'

// ------------------------------------------------------------------------------------- formats

const VERSION_LINE = '0'
const OFFSET_ENTRY = /^(\S+)\s+(\d+)\s+(\d+)$/
const EPOCH_ENTRY = /^(\d+)\s+(\d+)$/
const METADATA_LINE = /^(version|topic_id)\s*:\s*(\S+)$/
const TOPIC_ID = /^[A-Za-z0-9_-]{22}$/

/**
 * Offsets by `<topic>-<partition>`.
 * @throws CorruptLogError at position 0 where the text is no offset checkpoint of version 0.
 */
export function parseOffsetCheckpoint(bytes: Buffer, file: string): Map<string, number> {
  const offsets = new Map<string, number>()
  for (const line of entryLines(bytes, file)) {
    const [, topic, partition, offset] = OFFSET_ENTRY.exec(line) ?? []
    if (topic === undefined) throw damaged(file, `"${line}" is not "topic partition offset"`)
    offsets.set(`${topic}-${wholeNumber(partition, file)}`, wholeNumber(offset, file))
  }
  return offsets
}

/** Takes offsets by `<topic>-<partition>`; the last dash parts the two. */
export function formatOffsetCheckpoint(offsets: ReadonlyMap<string, number>): Buffer {
  const lines: string[] = []
  for (const [name, offset] of offsets) {
    const dash = name.lastIndexOf('-')
    lines.push(`${name.slice(0, dash)} ${name.slice(dash + 1)} ${offset}`)
  }
  return formatEntries(lines)
}

/** From `startOffset` on the partition's records were written by the leader of `epoch`. */
export interface LeaderEpoch {
  readonly epoch: number
  readonly startOffset: number
}

/** @throws CorruptLogError at position 0 where the text is no leader epoch checkpoint of version 0. */
export function parseLeaderEpochs(bytes: Buffer, file: string): LeaderEpoch[] {
  return entryLines(bytes, file).map((line) => {
    const [, epoch, startOffset] = EPOCH_ENTRY.exec(line) ?? []
    if (epoch === undefined) throw damaged(file, `"${line}" is not "epoch startOffset"`)
    return { epoch: wholeNumber(epoch, file), startOffset: wholeNumber(startOffset, file) }
  })
}

export function formatLeaderEpochs(epochs: readonly LeaderEpoch[]): Buffer {
  return formatEntries(epochs.map(({ epoch, startOffset }) => `${epoch} ${startOffset}`))
}

/**
 * The topic id in `partition.metadata`.
 * @throws CorruptLogError at position 0 where the text is not of version 0 or has no topic id.
 */
export function parsePartitionMetadata(bytes: Buffer, file: string): string {
  const fields = new Map<string, string>()
  for (const line of textLines(bytes)) {
    const [, name, value] = METADATA_LINE.exec(line) ?? []
    if (name === undefined || value === undefined) throw damaged(file, `"${line}" is not known`)
    fields.set(name, value)
  }
  if (fields.get('version') !== VERSION_LINE) throw damaged(file, 'the version is not 0')
  const topicId = fields.get('topic_id') ?? ''
  if (!TOPIC_ID.test(topicId)) throw damaged(file, 'the topic id is no UUID in base64url')
  return topicId
}

/** @param topicId 22 characters of base64url. */
export function formatPartitionMetadata(topicId: string): Buffer {
  return Buffer.from(`version: ${VERSION_LINE}\ntopic_id: ${topicId}`)
}

/** What the clean marker holds. That the file is there is what counts: older brokers leave it empty. */
export function formatCleanMarker(): Buffer {
  return Buffer.from('{"version":0,"brokerEpoch":-1}')
}

function formatEntries(lines: readonly string[]): Buffer {
  return Buffer.from(`${[VERSION_LINE, lines.length, ...lines].join('\n')}\n`)
}

function entryLines(bytes: Buffer, file: string): string[] {
  if (bytes.length === 0) return []
  const [version, count, ...lines] = textLines(bytes)
  if (version !== VERSION_LINE) throw damaged(file, 'the version is not 0')
  if (count === undefined || wholeNumber(count, file) !== lines.length) {
    throw damaged(file, `${count ?? 'no'} entries are announced, ${lines.length} are there`)
  }
  return lines
}

function textLines(bytes: Buffer): string[] {
  const lines = bytes.toString('utf8').split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  return lines
}

function wholeNumber(digits: string | undefined, file: string): number {
  const value = /^\d+$/.test(digits ?? '') ? Number(digits) : Number.NaN
  if (!Number.isSafeInteger(value)) throw damaged(file, `"${digits}" is no whole number below 2^53`)
  return value
}

function damaged(file: string, reason: string): CorruptLogError {
  return new CorruptLogError(file, 0, reason)
}

// ---------------------------------------------------------------------------------------- files

/** Above this a read goes through the thread pool. */
const READ_IN_PLACE_BYTES = 64 * 1024

/**
 * Replaces a file or makes it; durable when the promise resolves. The caller sees to it that a path has one replacement at a time.
 * Where it rejects, the old file or the new one stands, whole.
 */
export async function replaceFile(
  fileSystem: FileSystem,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  await replaceUnsynced(fileSystem, path, bytes)
  await fileSystem.syncDirectory(dirname(path))
}

/** As `replaceFile`, but the name is the caller's to sync: until then the old file may come back. */
export async function replaceUnsynced(
  fileSystem: FileSystem,
  path: string,
  bytes: Uint8Array,
): Promise<void> {
  const temporary = path + TEMPORARY_SUFFIX
  const handle = await createAnew(fileSystem, temporary)
  try {
    handle.writeSync(bytes, 0, bytes.length, 0)
    await handle.sync()
  } finally {
    handle.closeSync()
  }
  await fileSystem.rename(temporary, path)
}

/** The whole content of a file; undefined where there is none. */
export async function readFileIfThere(
  fileSystem: FileSystem,
  path: string,
): Promise<Buffer | undefined> {
  let handle: FileHandle
  try {
    handle = fileSystem.openSync(path, 'read')
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
  try {
    return await readWhole(handle)
  } finally {
    handle.closeSync()
  }
}

/**
 * Offsets by `<topic>-<partition>`; a file that is missing or empty has none.
 * @throws CorruptLogError where the text is damaged.
 */
export async function readOffsetCheckpoint(
  fileSystem: FileSystem,
  path: string,
): Promise<Map<string, number>> {
  const bytes = await readFileIfThere(fileSystem, path)
  return bytes === undefined ? new Map() : parseOffsetCheckpoint(bytes, path)
}

/** Replaces the file; see `replaceFile`. */
export function writeOffsetCheckpoint(
  fileSystem: FileSystem,
  path: string,
  offsets: ReadonlyMap<string, number>,
): Promise<void> {
  return replaceFile(fileSystem, path, formatOffsetCheckpoint(offsets))
}

async function createAnew(fileSystem: FileSystem, path: string): Promise<FileHandle> {
  try {
    return fileSystem.openSync(path, 'create')
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error
    await fileSystem.unlink(path)
    return fileSystem.openSync(path, 'create')
  }
}

async function readWhole(handle: FileHandle): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(handle.sizeSync())
  let filled = 0
  while (filled < bytes.length) {
    const left = bytes.length - filled
    const read =
      left <= READ_IN_PLACE_BYTES
        ? handle.readSync(bytes, filled, left, filled)
        : await handle.read(bytes, filled, left, filled)
    if (read === 0) break
    filled += read
  }
  return bytes.subarray(0, filled)
}
