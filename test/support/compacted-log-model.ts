// A compacted log and a plain map of what was written to it, on which the same is done.
import assert from 'node:assert/strict'
import type { AnyTopics, CleanupPolicy, CompressionType, Durability } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { FaultFileSystem } from './fault-file-system.ts'
import { loseLockHolder } from './lock-holder.ts'
import { seededRandom } from './random.ts'

export const PARTITIONS = 2
const TOPIC = 'users'
const DIRECTORY = '/log'
const DELETE_RETENTION_MS = 100_000
/** About as many as a compaction of the largest of these logs has. */
const MOST_OPERATIONS = 200

export interface SentChange {
  readonly key: string
  /** Null: a tombstone. */
  readonly value: string | null
}

export type CompactedAction =
  | {
      readonly do: 'produce'
      readonly partition: number
      readonly changes: readonly SentChange[]
      readonly compression: CompressionType
      readonly durability: Durability
    }
  | { readonly do: 'compact'; readonly roll: boolean }
  /** The power goes, or the process, at this part of a compaction's operations. */
  | {
      readonly do: 'compactCut'
      readonly at: number
      readonly end: 'power' | 'kill'
      readonly seed: number
    }
  | { readonly do: 'deleteRecords'; readonly partition: number; readonly at: number }
  | { readonly do: 'retain'; readonly retentionMs: number; readonly retentionBytes: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'flush' }
  | {
      readonly do: 'fetch'
      readonly partition: number
      readonly at: number
      readonly maxRecords: number
    }
  | { readonly do: 'reopen'; readonly after: 'close' | 'kill' | 'power'; readonly seed: number }

type Doing<D extends CompactedAction['do']> = Extract<CompactedAction, { do: D }>

export interface CompactedSettings {
  readonly cleanupPolicy: CleanupPolicy
  readonly segmentBytes: number
  /** Few keys fit: a compaction takes several passes. */
  readonly compactionMapBytes: number
}

interface Written extends SentChange {
  readonly timestamp: number
  /** When a pass has met it at the earliest, and one that came to its end has. */
  mayBeMetMs: number
  isMetMs: number
}

interface PartitionModel {
  /** By offset, all that was acknowledged; undefined for what a power cut took out of the middle. */
  written: (Written | undefined)[]
  start: number
  /** Below, all is on the disk. */
  durable: number
  /** A power cut has left a hole or torn bytes: the segment that they are in is not compacted any more. */
  isDamaged: boolean
}

/** A change's key, offset and value. */
type Kept = readonly [offset: number, key: string | null, value: string | null]

export class CompactedLog {
  readonly #settings: CompactedSettings
  readonly #clock = new ManualClock(1_000_000)
  readonly #partitions: PartitionModel[]
  #fileSystem = new FaultFileSystem({ clock: this.#clock })
  #opened: Log | undefined

  private constructor(settings: CompactedSettings) {
    this.#settings = settings
    this.#partitions = Array.from({ length: PARTITIONS }, () => ({
      written: [],
      start: 0,
      durable: 0,
      isDamaged: false,
    }))
  }

  static async open(settings: CompactedSettings): Promise<CompactedLog> {
    const made = new CompactedLog(settings)
    await made.#open()
    return made
  }

  get #log(): Log {
    assert.ok(this.#opened)
    return this.#opened
  }

  async take(action: CompactedAction): Promise<void> {
    if (action.do === 'produce') await this.#produce(action)
    else if (action.do === 'compact') await this.#compact(action.roll)
    else if (action.do === 'compactCut') await this.#compactCut(action)
    else if (action.do === 'deleteRecords') await this.#deleteRecords(action)
    else if (action.do === 'retain') await this.#retain(action)
    else if (action.do === 'advance') await this.#advance(action.ms)
    else if (action.do === 'flush') await this.#flush()
    else if (action.do === 'fetch') await this.#fetch(action)
    else await this.#reopen(action)
  }

  async end(): Promise<void> {
    await this.#checkAll()
    await this.#log.close()
  }

  // ------------------------------------------------------------------------------------- open

  async #open(): Promise<void> {
    const { cleanupPolicy, segmentBytes, compactionMapBytes } = this.#settings
    this.#opened = await Log.open<AnyTopics>(DIRECTORY, {
      fileSystem: this.#fileSystem,
      clock: this.#clock,
      compactionMapBytes,
      topics: {
        [TOPIC]: {
          value: 'string',
          partitions: PARTITIONS,
          cleanupPolicy,
          segmentBytes,
          indexIntervalBytes: 100,
          durability: 'os',
          deleteRetentionMs: DELETE_RETENTION_MS,
          minCleanableDirtyRatio: 0,
        },
      },
    })
  }

  async #reopen({ after, seed }: Doing<'reopen'>): Promise<void> {
    if (after === 'close') {
      await this.#log.close()
      for (const model of this.#partitions) model.durable = model.written.length
      await this.#open()
    } else await this.#endAs(after, seed)
    await this.#checkAll()
  }

  /** What the operating system has is there after a kill; after a power cut what was synced, and perhaps more. */
  async #endAs(end: 'kill' | 'power', seed: number): Promise<void> {
    const before = this.#fileSystem
    this.#fileSystem =
      end === 'kill' ? before.processKill() : before.powerCut({ random: seededRandom(seed) })
    await loseLockHolder(this.#fileSystem, DIRECTORY)
    await this.#open()
    const told = this.#log.recovery.partitions.filter(({ damage }) => damage.length > 0)
    for (const [partition, model] of this.#partitions.entries()) {
      const { latest } = await this.#log.offsets(TOPIC, partition)
      const least = end === 'kill' ? model.written.length : model.durable
      assert.ok(latest >= least && latest <= model.written.length, `${latest}, not ${least}`)
      model.written = model.written.slice(0, latest)
      if (told.some((each) => each.topic === TOPIC && each.partition === partition)) {
        // What is known already is told again by an open that comes past it.
        assert.ok(end === 'power' || model.isDamaged)
        model.isDamaged = true
        await this.#forgetLost(partition, model)
      }
      model.durable = latest
    }
  }

  /** Of what was not synced, what is not there is lost: the record before it of the same key counts again. */
  async #forgetLost(partition: number, { written, durable }: PartitionModel): Promise<void> {
    const there = new Set((await this.#read(partition)).map(([offset]) => offset))
    for (let offset = durable; offset < written.length; offset += 1) {
      if (!there.has(offset)) written[offset] = undefined
    }
  }

  // ---------------------------------------------------------------------------------- changes

  async #produce(action: Doing<'produce'>): Promise<void> {
    const { partition, changes, compression, durability } = action
    const model = this.#partition(partition)
    const timestamp = this.#clock.now()
    const records = changes.map(({ key, value }) => ({ key, value, partition }))
    const told = await this.#log.produce(TOPIC, records, { compression, durability })
    assert.equal(told[0]?.baseOffset, model.written.length)
    const notMet = { mayBeMetMs: Number.POSITIVE_INFINITY, isMetMs: Number.POSITIVE_INFINITY }
    for (const change of changes) model.written.push({ ...change, timestamp, ...notMet })
    if (durability === 'disk') model.durable = model.written.length
  }

  /** After one that rolls first nothing is there that need not be. */
  async #compact(roll: boolean): Promise<void> {
    this.#mayMeet()
    const told = await this.#log.compact(TOPIC, { roll })
    assert.equal(told.length, PARTITIONS)
    for (const [partition, model] of this.#partitions.entries()) {
      if (roll) model.durable = model.written.length
      const found = await this.#checkPartition(partition)
      if (roll && !model.isDamaged) this.#checkCompacted(model, found)
    }
  }

  #checkCompacted({ written, start }: PartitionModel, found: readonly Kept[]): void {
    const nowMs = this.#clock.now()
    const keys = found.map(([, key]) => key)
    assert.equal(new Set(keys).size, keys.length, 'a key is there twice')
    for (const [offset, , value] of found) {
      const was = written[offset]
      if (value !== null || was === undefined) continue
      assert.ok(nowMs < was.isMetMs + DELETE_RETENTION_MS, `${offset} is past its horizon`)
    }
    for (const was of written.slice(start))
      if (was !== undefined) was.isMetMs = Math.min(was.isMetMs, nowMs)
  }

  async #compactCut({ at, end, seed }: Doing<'compactCut'>): Promise<void> {
    const { operations } = this.#fileSystem
    this.#mayMeet()
    this.#fileSystem.cutAt(operations.length + Math.floor(at * MOST_OPERATIONS))
    await this.#log.compact(TOPIC).catch(() => {})
    // It may have come to its end before.
    if (!this.#fileSystem.hasEnded) this.#fileSystem.cutAt(operations.length)
    await this.#log.close().catch(() => {})
    await this.#endAs(end, seed)
    await this.#checkAll()
  }

  async #deleteRecords({ partition, at }: Doing<'deleteRecords'>): Promise<void> {
    const model = this.#partition(partition)
    const before = Math.round(at * model.written.length)
    await this.#log.flush()
    model.durable = model.written.length
    await this.#log.deleteRecords(TOPIC, { partition, before })
    model.start = Math.max(model.start, before)
    await this.#checkPartition(partition)
  }

  /** Which segments go is the log's affair; none does where it only compacts. */
  async #retain({ retentionMs, retentionBytes }: Doing<'retain'>): Promise<void> {
    await this.#log.alterTopic(TOPIC, { retentionMs, retentionBytes })
    await this.#log.applyRetention()
    await this.#log.alterTopic(TOPIC, { retentionMs: -1, retentionBytes: -1 })
    for (const [partition, model] of this.#partitions.entries()) {
      const { earliest } = await this.#log.offsets(TOPIC, partition)
      if (this.#settings.cleanupPolicy === 'compact') assert.equal(earliest, model.start)
      assert.ok(earliest >= model.start)
      model.start = earliest
      await this.#checkPartition(partition)
    }
  }

  async #advance(ms: number): Promise<void> {
    this.#mayMeet()
    await this.#clock.advance(ms)
    // The background flushes after a second, and compacts by and by.
    for (const model of this.#partitions) if (ms >= 1000) model.durable = model.written.length
    await this.#checkAll()
  }

  async #flush(): Promise<void> {
    await this.#log.flush()
    for (const model of this.#partitions) model.durable = model.written.length
  }

  /** From now on passes may begin. */
  #mayMeet(): void {
    const nowMs = this.#clock.now()
    for (const was of this.#partitions.flatMap(({ written }) => written)) {
      if (was !== undefined) was.mayBeMetMs = Math.min(was.mayBeMetMs, nowMs)
    }
  }

  // ------------------------------------------------------------------------------------- looks

  async #checkAll(): Promise<void> {
    for (const partition of this.#partitions.keys()) await this.#checkPartition(partition)
  }

  async #checkPartition(partition: number): Promise<Kept[]> {
    const model = this.#partition(partition)
    const { earliest, latest } = await this.#log.offsets(TOPIC, partition)
    assert.deepEqual([earliest, latest], [model.start, model.written.length])
    const found = await this.#read(partition)
    this.#check(model, found)
    await this.#checkTimes(partition, found)
    return found
  }

  /** For each key the map's value, at its offset; whatever else is there was written there. */
  #check({ written, start }: PartitionModel, found: readonly Kept[]): void {
    const there = new Set(found.map(([offset]) => offset))
    for (const [offset, key, value] of found) {
      const was = written[offset]
      assert.ok(was !== undefined && offset >= start, `offset ${offset} is there`)
      assert.deepEqual([key, value], [was.key, was.value], `offset ${offset}`)
    }
    const last = new Map<string, number>()
    for (const [offset, was] of written.entries()) {
      if (was !== undefined && offset >= start) last.set(was.key, offset)
    }
    const nowMs = this.#clock.now()
    for (const [key, offset] of last) {
      if (there.has(offset)) continue
      const { value, mayBeMetMs = nowMs } = written[offset] ?? {}
      const mayGo = value === null && nowMs >= mayBeMetMs + DELETE_RETENTION_MS
      assert.ok(mayGo, `key ${key} has lost its last record, ${offset}`)
      assert.ok(!found.some((kept) => kept[1] === key), `key ${key} was deleted, and is back`)
    }
  }

  async #read(partition: number): Promise<Kept[]> {
    const found: Kept[] = []
    const options = { partition, until: 'end', onCorrupt: 'skip' } as const
    for await (const { offset, key, value } of this.#log.read(TOPIC, options)) {
      assert.ok(offset > (found.at(-1)?.[0] ?? -1), `${offset} is out of order`)
      found.push([offset, key as string | null, value as string | null])
    }
    return found
  }

  async #checkTimes(partition: number, found: readonly Kept[]): Promise<void> {
    const { written } = this.#partition(partition)
    const times = new Set(written.map((was) => was?.timestamp ?? 0))
    for (const timestamp of [...times].slice(-4)) {
      const first = found.find(([offset]) => (written[offset]?.timestamp ?? 0) >= timestamp)
      const answer = await this.#log.offsetForTimestamp(TOPIC, { partition, timestamp })
      assert.equal(answer, first?.[0], `at ${timestamp}`)
    }
  }

  async #fetch({ partition, at, maxRecords }: Doing<'fetch'>): Promise<void> {
    const { start, written } = this.#partition(partition)
    const found = await this.#read(partition)
    const offset = start + Math.floor(at * (written.length - start))
    const page = await this.#log.fetch(TOPIC, { partition, offset, maxRecords, onCorrupt: 'skip' })
    const expected = found.filter(([each]) => each >= offset && each < page.nextOffset)
    const given = page.records.map(({ offset: each, key, value }) => [each, key, value])
    assert.deepEqual(given, expected)
    assert.ok(page.nextOffset > offset || offset === written.length)
  }

  #partition(number: number): PartitionModel {
    const model = this.#partitions[number]
    assert.ok(model)
    return model
  }
}
