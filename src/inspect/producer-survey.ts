/**
 * What the partitions of a data directory know of their producers, without opening it as a log: from the newest snapshot that the data can go on
 * from, and the batches behind it. Beside a live writer a partition is told up to where its last segment reached when it was looked at.
 */
import path from 'node:path'
import type { ControlRecord } from '../codec/batch.ts'
import { readBatchHeader, readControlRecord } from '../codec/batch.ts'
import { CorruptLogError } from '../errors.ts'
import type { AbortedTransaction } from '../storage/aborted-index.ts'
import { decodeAbortedTransactions } from '../storage/aborted-index.ts'
import { readFileIfThere } from '../storage/checkpoint.ts'
import { DataFile, FileCache } from '../storage/file-cache.ts'
import type { PartitionName } from '../storage/file-names.ts'
import { partitionDirectoryName, segmentFileName } from '../storage/file-names.ts'
import { OffsetIndex } from '../storage/offset-index.ts'
import type { ProducerEntry } from '../storage/producer-state.ts'
import { ProducerStates } from '../storage/producer-state.ts'
import type { FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import { Semaphore } from '../util/semaphore.ts'
import { unreadable } from './batch-content.ts'
import type { LogVisitor } from './log-walk.ts'
import { walkLog } from './log-walk.ts'
import type { PartitionFiles, SegmentFiles } from './partition-files.ts'
import { partitionFilesOf } from './partition-files.ts'

/** So often a partition is looked at whose files go meanwhile. */
const LOOKS = 5

export interface SurveyOptions {
  readonly fileSystem: FileSystem
  /** The data directory. */
  readonly directory: string
  readonly signal?: AbortSignal | undefined
}

export interface PartitionProducers extends PartitionName {
  /** By producer id. */
  readonly producers: readonly ProducerEntry[]
}

/** @returns the producers of a partition; none where the partition has gone. */
export async function partitionProducers(
  options: SurveyOptions,
  { topic, partition }: PartitionName,
): Promise<PartitionProducers> {
  const producers = await stable(async () => await new Survey(options, topic, partition).run())
  producers?.sort((a, b) => a.producerId - b.producerId)
  return { topic, partition, producers: producers ?? [] }
}

/** The aborted transactions of a partition, as its `.txnindex` files have them; damaged files are left out. */
export async function abortedTransactions(
  { fileSystem, directory }: SurveyOptions,
  { topic, partition }: PartitionName,
): Promise<readonly AbortedTransaction[]> {
  const inside = path.join(directory, partitionDirectoryName(topic, partition))
  const found = await stable(async () => {
    const aborted: AbortedTransaction[] = []
    for (const { txnindex } of partitionFilesOf(await fileSystem.readdir(inside)).segments) {
      const file = txnindex === undefined ? undefined : path.join(inside, txnindex)
      const bytes = file === undefined ? undefined : await readFileIfThere(fileSystem, file)
      const decoded = bytes && ifSound(() => decodeAbortedTransactions(bytes, inside))
      aborted.push(...(decoded ?? []))
    }
    return aborted
  })
  return found ?? []
}

/** Compaction and retention of a live writer take files away: what was there is looked for again. */
async function stable<T>(look: () => Promise<T>): Promise<T | undefined> {
  for (let looks = 1; looks <= LOOKS; looks += 1) {
    try {
      return await look()
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error
    }
  }
  return undefined
}

class Survey implements LogVisitor {
  readonly #options: SurveyOptions
  readonly #files: FileCache
  readonly #inside: string
  #states = new ProducerStates()
  /** Batches below are counted. */
  #nextOffset = 0
  /** The offset behind the last batch that was seen. */
  #end = 0

  constructor(options: SurveyOptions, topic: string, partition: number) {
    this.#options = options
    this.#files = new FileCache(options.fileSystem, new Semaphore(1), 1)
    this.#inside = path.join(options.directory, partitionDirectoryName(topic, partition))
  }

  async run(): Promise<ProducerEntry[]> {
    const files = partitionFilesOf(await this.#options.fileSystem.readdir(this.#inside))
    for (const offset of files.snapshots.toReversed()) {
      if (!(await this.#load(files, offset))) continue
      // One past the end is of data that is gone.
      if (await this.#walk(files, offset)) return [...this.#states.entries()]
    }
    this.#states.clear()
    this.#nextOffset = files.segments[0]?.baseOffset ?? 0
    await this.#walk(files, this.#nextOffset)
    return [...this.#states.entries()]
  }

  /** False where the snapshot is damaged, or of segments that are gone. */
  async #load({ segments }: PartitionFiles, offset: number): Promise<boolean> {
    const first = segments[0]?.baseOffset
    if (first === undefined || offset < first) return false
    const name = path.join(this.#inside, segmentFileName(offset, 'snapshot'))
    const bytes = await readFileIfThere(this.#options.fileSystem, name)
    if (bytes === undefined) return false
    const states = new ProducerStates()
    const loaded = ifSound(() => {
      states.load(bytes, 0, Number.POSITIVE_INFINITY, name)
      return true
    })
    this.#states = states
    this.#nextOffset = offset
    return loaded === true
  }

  /** Goes over the batches from the offset on; tells whether the log reaches as far as the offset. */
  async #walk({ segments }: PartitionFiles, offset: number): Promise<boolean> {
    const at = segments.findLastIndex(({ baseOffset }) => baseOffset <= offset)
    this.#end = 0
    for (const segment of segments.slice(Math.max(0, at))) await this.#segment(segment)
    return this.#end >= offset
  }

  async #segment({ baseOffset, log, index }: SegmentFiles): Promise<void> {
    const file = DataFile.existing(this.#files, path.join(this.#inside, log), true)
    try {
      const to = file.sizeSync()
      const from = await this.#startOf(baseOffset, index, to)
      this.#end = Math.max(this.#end, baseOffset)
      const range = { from, to, nextOffset: baseOffset, signal: this.#options.signal }
      await walkLog(file, range, this)
    } finally {
      await file.close()
    }
  }

  /** Where to begin, so that no batch is missed that is not counted yet. */
  async #startOf(baseOffset: number, index: string | undefined, logBytes: number): Promise<number> {
    if (index === undefined || this.#nextOffset <= baseOffset) return 0
    const bytes = await readFileIfThere(this.#options.fileSystem, path.join(this.#inside, index))
    if (bytes === undefined) return 0
    const wanted = this.#nextOffset - baseOffset
    let start = 0
    for (let entry = OffsetIndex.saneEntries(bytes, logBytes) - 1; entry >= 0; entry -= 1) {
      const at = entry * OffsetIndex.entryBytes
      if (bytes.readInt32BE(at) >= wanted) continue
      start = bytes.readInt32BE(at + 4)
      break
    }
    return start
  }

  // ------------------------------------------------------------------------------------ batches

  batch(buffer: Buffer, at: number): void {
    const header = readBatchHeader(buffer, at)
    this.#end = header.lastOffset + 1
    if (header.baseOffset < this.#nextOffset) return
    this.#nextOffset = header.lastOffset + 1
    if (header.producerId < 0) return
    this.#states.update(header, header.isControl ? markerAt(buffer, at) : undefined)
  }

  largeBatch(bytes: Buffer): void {
    const header = readBatchHeader(bytes, 0)
    if (!header.isControl) this.batch(bytes, 0)
  }

  region(): void {}
  progress(): void {}
}

/** A marker that cannot be read is none: `verify` tells of it. */
function markerAt(buffer: Buffer, at: number): ControlRecord | undefined {
  try {
    return readControlRecord(buffer, at)
  } catch (error) {
    unreadable(error)
    return undefined
  }
}

function ifSound<T>(decode: () => T): T | undefined {
  try {
    return decode()
  } catch (error) {
    if (error instanceof CorruptLogError) return undefined
    throw error
  }
}
