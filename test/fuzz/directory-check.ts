/** What must hold of a log over a directory that was changed behind its back. */
import assert from 'node:assert/strict'
import { baseOffsetAt, checkBatch, lastOffsetAt } from '../../src/codec/batch.ts'
import type { AnyTopics } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { parseTopicStore } from '../../src/topics/topic-store-format.ts'
import { loseLockHolder } from '../support/lock-holder.ts'
import type { Files } from './corpus.ts'
import type { DirectoryInput, Edit } from './directory-input.ts'
import { editedFiles } from './directory-input.ts'
import type { LogView, PartitionView } from './directory-view.ts'
import { checkByTime, isTold, lookUpTimes, viewOf } from './directory-view.ts'
import { batchesIn } from './kafka-bytes.ts'

export const DIRECTORY = '/log'
/** Behind all that any record says, so that no producer is forgotten and nothing is too old. */
const NOW = Date.UTC(2026, 10, 21)

export async function fileSystemOf(files: Files, clock: ManualClock): Promise<MemoryFileSystem> {
  const fileSystem = new MemoryFileSystem({ clock })
  await fileSystem.mkdir(DIRECTORY)
  for (const [name, bytes] of files) {
    const path = `${DIRECTORY}/${name}`
    await fileSystem.mkdir(path.slice(0, path.lastIndexOf('/')))
    const handle = fileSystem.openSync(path, 'create')
    handle.writeSync(bytes, 0, bytes.length, 0)
    handle.closeSync()
  }
  return fileSystem
}

function open(fileSystem: MemoryFileSystem, clock: ManualClock): Promise<Log> {
  return Log.open<AnyTopics>(DIRECTORY, { fileSystem, clock })
}

/** What a directory shows that nobody changed. */
export async function viewOfFiles(files: Files): Promise<LogView> {
  const clock = new ManualClock(NOW)
  const log = await open(await fileSystemOf(files, clock), clock)
  const view = await viewOf(log)
  await log.close()
  return view
}

/**
 * Opens the changed directory, reads all of it, writes to it, ends, opens it again and reads all of it again.
 * @param before what the directory showed before it was changed.
 */
export async function checkDirectory(
  input: DirectoryInput,
  files: Files,
  before: LogView,
): Promise<void> {
  const clock = new ManualClock(NOW)
  const edited = editedFiles(files, input.edits)
  let fileSystem = await fileSystemOf(edited, clock)
  const log = await openUnlessRefused(fileSystem, clock, input.edits)
  if (log === undefined) return
  const failures: Error[] = []
  log.on('failure', ({ error }) => failures.push(error))
  const view = await viewOf(log)
  await checkKept(log, view, before, files, edited, input.edits)
  const written = await appendEverywhere(log)
  if (input.ending === 'close') await log.close()
  else {
    fileSystem = fileSystem.clone()
    await loseLockHolder(fileSystem, DIRECTORY)
  }
  assert.deepEqual(failures, [])
  const again = await open(fileSystem, clock)
  assert.equal(again.recovery.clean, input.ending === 'close')
  if (again.recovery.clean) checkNothingDone(again)
  checkSame(await viewOf(again), view, written)
  await again.close()
  if (input.ending === 'kill') await log.close()
}

/** What was closed needs no more than a look; damage that is in the way is told again. */
function checkNothingDone({ recovery }: Log): void {
  for (const { cut, finished, inMemory } of recovery.partitions) {
    assert.deepEqual([cut, finished, inMemory], [[], [], []])
  }
}

/** A directory may only be refused for what its own files say of it: its version, and who holds it. */
async function openUnlessRefused(
  fileSystem: MemoryFileSystem,
  clock: ManualClock,
  edits: readonly Edit[],
): Promise<Log | undefined> {
  try {
    return await open(fileSystem, clock)
  } catch (error) {
    const isEdited = (name: string): boolean => edits.some(({ file }) => file === name)
    if (isEdited('brokerless.json') && isTold(error, ['UNSUPPORTED_VERSION'])) return undefined
    if (isEdited('brokerless.lock') && isTold(error, ['LOCKED'])) return undefined
    throw error
  }
}

// ------------------------------------------------------------------------------------ what is kept

/** What was not changed is there. */
async function checkKept(
  log: Log,
  view: LogView,
  before: LogView,
  files: Files,
  edited: Files,
  edits: readonly Edit[],
): Promise<void> {
  if (isStoreForged(edited)) return
  const isStartEdited = edits.some(({ file }) => file === 'log-start-offset-checkpoint')
  for (const [name, was] of before.partitions) {
    const kept = keptOffsets(name, was, files, edited)
    if (kept === undefined) continue
    const now = view.partitions.get(name)
    assert.ok(now, `${name} is gone`)
    const visible = kept.filter((offset) => !isStartEdited || offset >= now.earliest)
    checkRecords(name, now, was, visible)
    checkByTime(now)
    assert.deepEqual(now.otherwise, [], name)
    const isWhole = kept.length === was.records.size && !isStartEdited
    if (isWhole && !areLogsEdited(name, files, edited)) {
      assert.deepEqual([now.earliest, now.latest], [was.earliest, was.latest], name)
      await checkTimes(log, name, was)
    }
  }
}

function checkRecords(
  name: string,
  now: PartitionView,
  was: PartitionView,
  kept: readonly number[],
): void {
  const lost = kept.filter((offset) => now.records.get(offset) !== was.records.get(offset))
  assert.deepEqual(lost, [], `${name}: undamaged records are lost`)
}

async function checkTimes(log: Log, name: string, was: PartitionView): Promise<void> {
  const dash = name.lastIndexOf('-')
  const times = was.byTime.map(([timestamp]) => timestamp)
  const partition = Number(name.slice(dash + 1))
  const answers = await lookUpTimes(log, name.slice(0, dash), partition, times)
  assert.deepEqual(answers, was.byTime, `${name} by time`)
}

/** With a checksum that fits, `brokerless.json` is believed, whatever it says. */
function isStoreForged(edited: Files): boolean {
  const bytes = edited.get('brokerless.json')
  return bytes !== undefined && !('damage' in parseTopicStore(bytes))
}

function logsOf(partition: string, files: Files): Map<string, Buffer> {
  const found = [...files].filter(([name]) => new RegExp(`^${partition}/\\d{20}\\.log$`).test(name))
  return new Map(found)
}

function areLogsEdited(partition: string, files: Files, edited: Files): boolean {
  const [before, now] = [logsOf(partition, files), logsOf(partition, edited)]
  if (before.size !== now.size) return true
  return [...before].some(([name, bytes]) => now.get(name)?.equals(bytes) !== true)
}

/**
 * The offsets of the records whose batches are still whole, in their order, in the file that they were in. Undefined where something
 * that passes for a batch was not there before: it may claim offsets of others.
 */
function keptOffsets(
  partition: string,
  { records }: PartitionView,
  files: Files,
  edited: Files,
): number[] | undefined {
  const before = logsOf(partition, files)
  const now = logsOf(partition, edited)
  for (const name of now.keys()) if (!before.has(name)) return undefined
  const bases = [...before.keys()].map(baseOffsetOf).sort((a, b) => a - b)
  const lost = new Set<number>()
  for (const [name, bytes] of before) {
    const there = now.get(name) ?? Buffer.alloc(0)
    if (there.equals(bytes)) continue
    const base = baseOffsetOf(name)
    const gone = lostBatches(bytes, there, bases.find((each) => each > base) ?? base + 2 ** 31)
    if (gone === undefined) return undefined
    for (const batch of gone) addOffsets(lost, batch)
  }
  return [...records.keys()].filter((offset) => !lost.has(offset))
}

/** The batches of a file that are not as they were; undefined where others are there. */
function lostBatches(before: Buffer, now: Buffer, limit: number): string[] | undefined {
  const was = validBatches(before).map(({ text }) => text)
  const found = validBatches(now)
  const misplaced = misplacedBatches(found, was, limit)
  // Where compaction left gaps, a batch may as well belong where it says.
  if (misplaced === undefined || (misplaced.size > 0 && !isDense(was))) return undefined
  const is = found.filter((batch) => !misplaced.has(batch)).map(({ text }) => text)
  const kept = new Set(is)
  return isSubsequence(is, was) ? was.filter((batch) => !kept.has(batch)) : undefined
}

function isDense(batches: readonly string[]): boolean {
  const offsets = batches.map(offsetsOf)
  return offsets.every(
    ([first], index) => index === 0 || first === (offsets[index - 1]?.[1] ?? 0) + 1,
  )
}

function baseOffsetOf(name: string): number {
  return Number(/(\d{20})\.log$/.exec(name)?.[1])
}

/**
 * Those that were there before at another offset, to which the log can tell that they do not belong: the batch before or behind is there
 * as well, or another segment. They fail, and nothing else does. Undefined where it cannot tell.
 */
function misplacedBatches(
  is: readonly FoundBatch[],
  was: readonly string[],
  limit: number,
): Set<FoundBatch> | undefined {
  const known = new Set(was)
  const contents = new Set(was.map((batch) => batch.slice(8)))
  const misplaced = new Set<FoundBatch>()
  for (const [index, batch] of is.entries()) {
    if (known.has(batch.text) || !contents.has(batch.text.slice(8))) continue
    const [first, last] = offsetsOf(batch.text)
    const [, before] = offsetsOf(is[index - 1]?.text)
    const next = is[index + 1]
    const isNextTo = next === undefined || next.at === batch.at + batch.text.length
    const [behind] = next === undefined ? [limit] : offsetsOf(next.text)
    if (first > before && last >= behind && !isNextTo) return undefined
    if (first <= before || last >= behind) misplaced.add(batch)
  }
  return misplaced
}

function offsetsOf(batch: string | undefined): [first: number, last: number] {
  if (batch === undefined) return [-1, -1]
  const header = Buffer.from(batch.slice(0, 61), 'latin1')
  return [baseOffsetAt(header, 0), lastOffsetAt(header, 0)]
}

function addOffsets(offsets: Set<number>, batch: string): void {
  const [first, last] = offsetsOf(batch)
  for (let offset = first; offset <= last; offset += 1) offsets.add(offset)
}

interface FoundBatch {
  readonly at: number
  readonly text: string
}

/** All that passes for a batch, wherever it lies; not under the checksum, the epoch is left out. */
function validBatches(log: Buffer): FoundBatch[] {
  const found: FoundBatch[] = []
  const add = (at: number, size: number): number => {
    const batch = Buffer.from(log.subarray(at, at + size))
    batch.writeInt32BE(0, 12)
    found.push({ at, text: batch.toString('latin1') })
    return at + size
  }
  // Where lengths lead on, what lies within a batch is none.
  let at = 0
  for (const { size } of batchesIn(log)) {
    if (checkBatch(log, at, size) !== undefined) break
    at = add(at, size)
  }
  while (at + 61 <= log.length) {
    const isBatch = log[at + 16] === 2 && checkBatch(log, at, log.length - at) === undefined
    at = isBatch ? add(at, 12 + log.readInt32BE(at + 8)) : at + 1
  }
  return found
}

function isSubsequence(part: readonly string[], whole: readonly string[]): boolean {
  let at = 0
  for (const each of whole) if (part[at] === each) at += 1
  return at === part.length
}

// -------------------------------------------------------------------------------- what is written

type Written = ReadonlyMap<string, number>

/** One record to each partition; answers with their offsets. */
async function appendEverywhere(log: Log): Promise<Written> {
  const written = new Map<string, number>()
  for (const topic of log.topics()) {
    const { partitions, serializer } = await log.describeTopic(topic)
    for (const { partition, logEndOffset } of partitions) {
      const value = serializer === 'bytes' ? Buffer.from('written') : 'written'
      const told = await log.produce(topic, { value, partition })
      assert.equal(told.offset, logEndOffset)
      written.set(`${topic}-${partition}`, told.offset)
    }
  }
  return written
}

/** The second open shows what the first one did, and what was written since. */
function checkSame(again: LogView, first: LogView, written: Written): void {
  assert.deepEqual([...again.partitions.keys()].sort(), [...first.partitions.keys()].sort())
  for (const [name, before] of first.partitions) {
    const now = again.partitions.get(name)
    assert.ok(now)
    const offset = written.get(name)
    assert.equal(now.earliest, before.earliest, `${name} begins elsewhere`)
    assert.equal(now.latest, offset === undefined ? before.latest : offset + 1, `${name} ends`)
    const records = new Map(now.records)
    if (offset !== undefined) assert.ok(records.delete(offset), `${name}: ${offset} is lost`)
    assert.deepEqual(records, before.records, `${name} shows other records`)
  }
  assert.deepEqual(again.committed, first.committed)
}
