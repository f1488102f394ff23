// A log with all that a compaction meets, ready to be compacted, and what must be found of it however the compaction ends.
import assert from 'node:assert/strict'
import {
  CONTROL_ABORT,
  CONTROL_COMMIT,
  readBatchHeader,
  TRANSACTIONAL_BIT,
} from '../../src/codec/batch.ts'
import { encodeBatch, encodeControlBatch } from '../../src/codec/batch-encoder.ts'
import type { AnyTopics, BackgroundFailure, CompressionType } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { FaultFileSystem } from './fault-file-system.ts'
import { loseLockHolder } from './lock-holder.ts'
import { readFileBytes } from './storage-environment.ts'

export const DIRECTORY = '/data'
export const PARTITION = `${DIRECTORY}/users-0`
export const TOPICS = ['users', '__consumer_offsets'] as const
const GROUP = 'billing'
const DELETE_RETENTION_MS = 60_000
const CODECS: readonly CompressionType[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
/** Of the producers of a broker's, that this library does not have yet. */
const ABORTING = { producerId: 7, producerEpoch: 0 }
const COMMITTING = { producerId: 8, producerEpoch: 2 }

interface Written {
  readonly key: string
  readonly value: string | null
  /** Of a transaction that was aborted: it may be there or not, and says nothing of its key. */
  readonly isAborted: boolean
  /** A pass has met it, and its horizon has passed. */
  readonly mayGo: boolean
}

/** A record as it is found: offset, key and value. */
type Found = readonly [offset: number, key: string | null, value: string | null]

/** By offset all that was written, undefined for markers, and the offset that was committed last. */
interface Model {
  readonly written: (Written | undefined)[]
  /** Below, all is on the disk. */
  readonly durableEnd: number
  /** One of these, the first where nothing was lost. */
  readonly committed: readonly number[]
}

export class CompactionScene {
  readonly fileSystem: FaultFileSystem
  readonly clock: ManualClock
  readonly log: Log
  /** Operations of the file system before the compaction. */
  readonly begins: number
  readonly failures: BackgroundFailure[] = []
  readonly #model: Model

  private constructor(fileSystem: FaultFileSystem, clock: ManualClock, log: Log, model: Model) {
    this.fileSystem = fileSystem
    this.clock = clock
    this.log = log
    this.begins = fileSystem.operations.length
    this.#model = model
    log.on('failure', (failure) => this.failures.push(failure))
  }

  /** Opens a copy of the prepared log, and adds what is not synced yet. */
  static async make(prepared: PreparedLog): Promise<CompactionScene> {
    const clock = new ManualClock(prepared.clock.now())
    const fileSystem = prepared.fileSystem.powerCut({ mode: 'keep-all' })
    const log = await openAt(fileSystem, clock)
    const written = [...prepared.written]
    const durableEnd = written.length
    const changes = ['k1', 'only-here', 'k2'].map((key) => ({ key, value: 'unsynced' }))
    await log.produce('users', changes, { durability: 'os' })
    for (const change of changes) written.push({ ...change, isAborted: false, mayGo: false })
    const offset = prepared.committed + 1
    await log.commitOffset(GROUP, { topic: 'users', partition: 0, offset }, { durability: 'os' })
    const model = { written, durableEnd, committed: [offset, prepared.committed] }
    return new CompactionScene(fileSystem, clock, log, model)
  }

  /** @param roll whether the active segment is compacted as well; without, what is not synced may be lost. */
  async compact(roll: boolean): Promise<void> {
    for (const topic of TOPICS) await this.log.compact(topic, { roll })
  }

  /** One more record, which is on the disk; none where the partition was closed to writes. */
  async produce(isWritable: boolean): Promise<void> {
    const { written } = this.#model
    const change = { key: 'k0', value: `written after ${written.length} others` }
    const producing = this.log.produce('users', change)
    if (!isWritable) return await assert.rejects(producing, { code: 'STORAGE_FAILED' })
    assert.equal((await producing).offset, written.length)
    written.push({ ...change, isAborted: false, mayGo: false })
  }

  /** Opens what an end has left, and holds it to what was promised; answers with the log. */
  async recover(left: FaultFileSystem): Promise<Log> {
    await loseLockHolder(left, DIRECTORY)
    const log = await openAt(left, this.clock)
    await expectNoLeftOvers(left)
    return log
  }

  /** What has to be there is there, and nothing else; after a compaction of all that came to its end: nothing that need not be there. */
  async expectAll(log: Log, isCompacted = false): Promise<void> {
    const { written, durableEnd, committed } = this.#model
    const { earliest, latest } = await log.offsets('users', 0)
    assert.equal(earliest, 0)
    assert.ok(latest >= durableEnd && latest <= written.length, `the log ends at ${latest}`)
    const found = await readAll(log)
    for (const [offset, key, value] of found) {
      const was = written[offset]
      assert.deepEqual([key, value], [was?.key, was?.value], `offset ${offset}`)
    }
    const wanted = lastOfKeys(written.slice(0, latest))
    const there = new Set(found.map(([offset]) => offset))
    for (const [key, offset] of wanted) {
      if (there.has(offset)) continue
      assert.ok(written[offset]?.mayGo, `${key} has lost its last record, ${offset}`)
      const others = found.filter(([each, its]) => its === key && !written[each]?.isAborted)
      assert.deepEqual(others, [], `${key} was deleted, and is back`)
    }
    if (isCompacted) {
      const needed = [...wanted.values()].filter((offset) => !written[offset]?.mayGo)
      assert.deepEqual(
        [...there],
        needed.sort((a, b) => a - b),
      )
    }
    const [told] = await log.committedOffsets(GROUP)
    assert.ok(committed.includes(told?.offset ?? -1), `${told?.offset} is committed`)
  }

  /** Of each producer the last batch, or its header, says how far its sequence has come. */
  async expectSequences(fileSystem: FaultFileSystem): Promise<void> {
    const last = new Map<number, number>()
    for (const { producerId, baseSequence, lastOffset, baseOffset } of await headersIn(
      fileSystem,
    )) {
      if (producerId >= 0 && baseSequence >= 0) {
        last.set(producerId, baseSequence + lastOffset - baseOffset)
      }
    }
    assert.deepEqual(Object.fromEntries(last), { 7: 2, 8: 2 })
  }
}

/** The directory that each scene begins with: closed, and compacted once before. */
export class PreparedLog {
  readonly written: (Written | undefined)[] = []
  readonly clock = new ManualClock()
  readonly fileSystem: FaultFileSystem
  /** The offset that was committed last. */
  committed = 0

  private constructor(countReads: boolean) {
    this.fileSystem = new FaultFileSystem({ clock: this.clock, countReads })
  }

  /** @param countReads whether reading operations are numbered as well. */
  static async make(countReads = false): Promise<PreparedLog> {
    const prepared = new PreparedLog(countReads)
    await prepared.#prepare()
    return prepared
  }

  async #prepare(): Promise<void> {
    let log = await openAt(this.fileSystem, this.clock)
    await this.#produceRounds(log, 1)
    for (const topic of TOPICS) await log.compact(topic)
    await this.clock.advance(DELETE_RETENTION_MS)
    for (const [offset, record] of this.written.entries()) {
      if (record?.value === null) this.written[offset] = { ...record, mayGo: true }
    }
    await this.#produceRounds(log, 2)
    await log.close()
    await this.#appendAsBroker()
    log = await openAt(this.fileSystem, this.clock)
    await this.#produceRounds(log, 3)
    await log.close()
  }

  /** One batch a codec, with keys that recur, tombstones, and what is there only once. */
  async #produceRounds(log: Log, round: number): Promise<void> {
    for (const [call, compression] of [...CODECS, ...CODECS].entries()) {
      const changes = [
        { key: `k${call % 6}`, value: `${round} ${'x'.repeat(40 * call)}` },
        { key: `k${(call + 1) % 6}`, value: `${round} ${call}` },
        { key: `deleted-${round}-${call % 3}`, value: call < 5 ? 'y' : null },
        { key: `once-${round}-${call}`, value: 'z' },
      ]
      await log.produce('users', changes, { compression })
      for (const change of changes) {
        this.written.push({ ...change, isAborted: false, mayGo: false })
      }
      this.committed += 1
      const offset = this.committed
      await log.commitOffset(GROUP, { topic: 'users', partition: 0, offset })
    }
  }

  /** Transactions, one aborted and one committed, and a batch of which later ones leave no record. */
  async #appendAsBroker(): Promise<void> {
    const timestamp = this.clock.now()
    const batch = (producer: typeof ABORTING, keys: readonly string[], attributes: number) => {
      const isAborted = producer === ABORTING
      const records = keys.map((key) => ({ key, value: Buffer.from('sent'), timestamp }))
      const baseOffset = this.written.length
      for (const key of keys) this.written.push({ key, value: 'sent', isAborted, mayGo: false })
      return encodeBatch({ ...producer, baseOffset, records, baseSequence: 0, attributes })
    }
    const marker = (producer: typeof ABORTING, type: number) => {
      const baseOffset = this.written.push(undefined) - 1
      return encodeControlBatch({
        ...producer,
        baseOffset,
        type,
        coordinatorEpoch: 0,
        timestamp,
      })
    }
    const batches = Buffer.concat([
      batch(ABORTING, ['k3', 'once-1-0', 'aborted'], TRANSACTIONAL_BIT),
      marker(ABORTING, CONTROL_ABORT),
      batch(COMMITTING, ['k1', 'k2', 'k3'], TRANSACTIONAL_BIT),
      marker(COMMITTING, CONTROL_COMMIT),
    ])
    const names = await this.fileSystem.readdir(PARTITION)
    const active = names
      .filter((name) => name.endsWith('.log'))
      .sort()
      .at(-1)
    const handle = this.fileSystem.openSync(`${PARTITION}/${active}`, 'write')
    handle.writeSync(batches, 0, batches.length, handle.sizeSync())
    await handle.sync()
    handle.closeSync()
  }
}

async function openAt(fileSystem: FaultFileSystem, clock: ManualClock): Promise<Log> {
  return await Log.open<AnyTopics>(DIRECTORY, {
    fileSystem,
    clock,
    topics: {
      users: {
        value: 'string',
        cleanupPolicy: 'compact',
        segmentBytes: 2400,
        indexIntervalBytes: 300,
        deleteRetentionMs: DELETE_RETENTION_MS,
      },
    },
  })
}

/** By key, the offset of its last record. */
function lastOfKeys(written: readonly (Written | undefined)[]): Map<string, number> {
  const last = new Map<string, number>()
  for (const [offset, record] of written.entries()) {
    if (record !== undefined && !record.isAborted) last.set(record.key, offset)
  }
  return last
}

async function readAll(log: Log): Promise<Found[]> {
  const found: Found[] = []
  for await (const { offset, key, value } of log.read('users', { partition: 0, until: 'end' })) {
    found.push([offset, key as string | null, value as string | null])
  }
  return found
}

async function headersIn(
  fileSystem: FaultFileSystem,
): Promise<ReturnType<typeof readBatchHeader>[]> {
  const headers: ReturnType<typeof readBatchHeader>[] = []
  for (const name of (await fileSystem.readdir(PARTITION)).sort()) {
    if (!name.endsWith('.log')) continue
    const bytes = await readFileBytes(fileSystem, `${PARTITION}/${name}`)
    for (let at = 0; at < bytes.length; ) {
      const header = readBatchHeader(bytes, at)
      headers.push(header)
      at += header.sizeBytes
    }
  }
  return headers
}

/** An open has finished or dropped whatever was half done. */
export async function expectNoLeftOvers(
  fileSystem: FaultFileSystem,
  isLeftOver = /\.(?:cleaned|swap|deleted|tmp)$/,
): Promise<void> {
  for (const topic of TOPICS) {
    const names = await fileSystem.readdir(`${DIRECTORY}/${topic}-0`)
    const leftOvers = names.filter((name) => isLeftOver.test(name))
    assert.deepEqual(leftOvers, [])
  }
}
