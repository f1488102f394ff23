/** A log on which many things are done at once, and what has to be true of it all the time. */
import assert from 'node:assert/strict'
import type { AnyTopics, LogRecord } from '../../src/index.ts'
import { Log, OffsetOutOfRangeError } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { loseLockHolder } from '../support/lock-holder.ts'
import type { FuzzRandom } from './fuzz-random.ts'
import { SlowFileSystem } from './slow-file-system.ts'

const DIRECTORY = '/log'
/** Its records stay; those of `LATEST` but for the last of each key may go. */
const ALL = 'all'
const LATEST = 'latest'
const TOPICS = [ALL, LATEST] as const
const PARTITIONS = 2
const GROUP = 'group'
const CODECS = ['none', 'none', 'snappy', 'lz4', 'gzip'] as const

type TopicName = (typeof TOPICS)[number]

/** What one partition was told to have taken. */
class Partition {
  readonly topic: TopicName
  readonly partition: number
  /** By offset, the values that were acknowledged. */
  readonly acknowledged = new Map<number, string>()
  /** By offset, what anyone has read. */
  readonly seen = new Map<number, string>()
  /** By key, the last value that was sent, acknowledged or not. */
  readonly lastSent = new Map<string, string>()
  start = 0

  constructor(topic: TopicName, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  /** Compaction may have taken it. */
  isSuperseded(value: string): boolean {
    return this.topic === LATEST && this.lastSent.get(keyOf(value)) !== value
  }
}

/** Each value says its number and its key. */
function keyOf(value: string): string {
  return value.split(' ', 2)[1] ?? ''
}

export class BusyLog {
  readonly #random: FuzzRandom
  readonly #clock = new ManualClock(1_000_000)
  readonly #files = new MemoryFileSystem({ clock: this.#clock })
  readonly #partitions: Partition[] = []
  readonly #sent = new Set<string>()
  readonly #options: object
  #log: Log | undefined
  #nextValue = 0
  #running = 0

  constructor(random: FuzzRandom) {
    this.#random = random
    for (const topic of TOPICS) {
      for (let number = 0; number < PARTITIONS; number += 1) {
        this.#partitions.push(new Partition(topic, number))
      }
    }
    this.#options = {
      maxOpenFiles: random.pick([8, 9, 256]),
      cacheBytes: random.pick([0, 5000, 100_000, 1 << 26]),
      maxPendingBytes: random.pick([1, 2000, 1 << 25]),
      maxConcurrentSyncs: random.pick([1, 3]),
      flushBytes: random.pick([1, 5000, 1 << 24]),
      compactionCheckIntervalMs: random.pick([100, 15_000]),
      compactionMapBytes: random.pick([1024, 1 << 20]),
    }
  }

  async run(): Promise<void> {
    await this.#open(this.#files)
    for (let rounds = 1 + this.#random.below(3); rounds > 0; rounds -= 1) {
      await this.#allAtOnce()
      await this.#checkAll(this.#opened)
      await this.#reopen()
    }
    await this.#opened.close()
  }

  get #opened(): Log {
    assert.ok(this.#log)
    return this.#log
  }

  async #open(files: MemoryFileSystem): Promise<void> {
    const random = this.#random
    const fileSystem = new SlowFileSystem(files, random)
    const declared = (cleanupPolicy: 'delete' | 'compact') => ({
      value: 'string' as const,
      partitions: PARTITIONS,
      cleanupPolicy,
      durability: random.pick(['os', 'disk'] as const),
      segmentBytes: random.pick([1024, 3000, 20_000]),
      indexIntervalBytes: random.pick([0, 200, 4096]),
      lingerMs: random.pick([0, 0, 5]),
      minCleanableDirtyRatio: random.pick([0, 0.5]),
    })
    this.#log = await Log.open<AnyTopics>(DIRECTORY, {
      ...this.#options,
      fileSystem,
      clock: this.#clock,
      topics: { [ALL]: declared('delete'), [LATEST]: declared('compact') },
    })
  }

  /** A close, or a kill; what was acknowledged is there, and nothing that was read is another thing now. */
  async #reopen(): Promise<void> {
    const log = this.#opened
    if (this.#random.chance(0.5)) {
      await log.close()
      await this.#open(this.#files)
    } else {
      const killed = this.#files.clone()
      await loseLockHolder(killed, DIRECTORY)
      const clock = this.#clock
      const after = await Log.open<AnyTopics>(DIRECTORY, { fileSystem: killed, clock })
      await this.#checkAll(after)
      await after.close()
    }
    await this.#checkAll(this.#opened)
  }

  // ---------------------------------------------------------------------------------- at once

  async #allAtOnce(): Promise<void> {
    const random = this.#random
    const workers: Promise<void>[] = []
    const begin = (work: () => Promise<void>): void => {
      this.#running += 1
      workers.push(
        work().finally(() => {
          this.#running -= 1
        }),
      )
    }
    for (let writers = 1 + random.below(3); writers > 0; writers -= 1) begin(() => this.#write())
    for (let readers = 1 + random.below(3); readers > 0; readers -= 1) begin(() => this.#follow())
    if (random.chance(0.6)) begin(() => this.#lookUp())
    if (random.chance(0.5)) begin(() => this.#delete())
    if (random.chance(0.5)) begin(() => this.#alter())
    if (random.chance(0.5)) begin(() => this.#flush())
    if (random.chance(0.5)) begin(() => this.#commit())
    if (random.chance(0.7)) begin(() => this.#compact())
    const ticking = this.#tick()
    await Promise.all(workers)
    await ticking
  }

  /** Time goes on as long as anyone is at work, who may wait for it. */
  async #tick(): Promise<void> {
    while (this.#running > 0) {
      await this.#clock.advance(this.#random.below(400))
      await turn()
    }
  }

  async #write(): Promise<void> {
    const random = this.#random
    const waiting: Promise<void>[] = []
    for (let calls = 1 + random.below(25); calls > 0; calls -= 1) {
      const call = this.#produce(random.pick(this.#partitions))
      if (random.chance(0.5)) await call
      else waiting.push(call)
      if (random.chance(0.2)) await turn()
    }
    await Promise.all(waiting)
  }

  async #produce(model: Partition): Promise<void> {
    const random = this.#random
    const { topic, partition, acknowledged, seen, lastSent } = model
    const records = Array.from({ length: 1 + random.size(4) }, () => {
      this.#nextValue += 1
      const key = `key-${random.below(9)}`
      const value = `${this.#nextValue} ${key} ${'x'.repeat(random.size(120))}`
      this.#sent.add(value)
      lastSent.set(key, value)
      return { key, value, partition }
    })
    const durability = random.pick(['os', 'disk', undefined] as const)
    const [told] = await this.#opened.produce(topic, records, {
      compression: random.pick(CODECS),
      ...(durability === undefined ? {} : { durability }),
    })
    assert.ok(told)
    for (const [index, { value }] of records.entries()) {
      const offset: number = told.baseOffset + index
      assert.ok(!acknowledged.has(offset), `offset ${offset} is given twice`)
      acknowledged.set(offset, value)
      assert.equal(seen.get(offset) ?? value, value, `offset ${offset} was read as another`)
    }
  }

  /** Reads on from somewhere, as far as there is anything. */
  async #follow(): Promise<void> {
    const random = this.#random
    const model = random.pick(this.#partitions)
    let offset = random.chance(0.5) ? 0 : model.start
    for (let fetches = 1 + random.below(40); fetches > 0; fetches -= 1) {
      offset = await this.#fetch(model, offset, random.pick([1, 500, 5000, 1 << 20]))
      if (random.chance(0.3)) await turn()
    }
  }

  /** Answers with the offset to read on from. */
  async #fetch(model: Partition, offset: number, maxBytes: number): Promise<number> {
    const random = this.#random
    const { topic, partition } = model
    const maxRecords = random.pick([1, 3, Number.POSITIVE_INFINITY])
    const maxWaitMs = random.chance(0.2) ? 300 : 0
    // What is acknowledged later may be behind the end that this fetch saw.
    const known = new Map(model.acknowledged)
    try {
      const options = { partition, offset, maxBytes, maxRecords, maxWaitMs }
      const page = await this.#opened.fetch(topic, options)
      this.#checkPage(model, known, offset, page.nextOffset, page.records)
      return page.nextOffset
    } catch (error) {
      // Deleted meanwhile.
      if (!(error instanceof OffsetOutOfRangeError) || error.requested >= error.start) throw error
      return error.start
    }
  }

  /** Rising offsets, each with what was sent there, and none passed over but what compaction may take. */
  #checkPage(
    model: Partition,
    known: ReadonlyMap<number, string>,
    offset: number,
    nextOffset: number,
    records: readonly LogRecord<unknown, unknown>[],
  ): void {
    const { acknowledged, seen } = model
    const given = new Set<number>()
    let previous = offset - 1
    for (const record of records) {
      assert.ok(record.offset > previous && record.offset < nextOffset)
      previous = record.offset
      given.add(record.offset)
      const value = String(record.value)
      assert.ok(this.#sent.has(value), `nobody has sent ${value}`)
      const was = acknowledged.get(record.offset) ?? seen.get(record.offset) ?? value
      assert.equal(value, was, `offset ${record.offset} is another record now`)
      seen.set(record.offset, value)
    }
    for (let each = offset; each < nextOffset; each += 1) {
      const value = known.get(each)
      if (given.has(each) || value === undefined || model.isSuperseded(value)) continue
      assert.fail(`${model.topic}: offset ${each} was passed over, from ${offset} on`)
    }
    if (model.topic === ALL) assert.equal(given.size, nextOffset - offset, 'there is a gap')
  }

  async #lookUp(): Promise<void> {
    const random = this.#random
    for (let lookUps = 1 + random.below(30); lookUps > 0; lookUps -= 1) {
      const model = random.pick(this.#partitions)
      const { topic, partition } = model
      const { earliest, latest } = await this.#opened.offsets(topic, partition)
      if (random.chance(0.7)) {
        await this.#fetch(model, earliest + random.below(latest - earliest + 1), 100)
      } else {
        const timestamp = this.#clock.now() - random.below(5000)
        const found = await this.#opened.offsetForTimestamp(topic, { partition, timestamp })
        assert.ok(found === undefined || found >= earliest)
      }
    }
  }

  async #delete(): Promise<void> {
    const random = this.#random
    for (let deletions = 1 + random.below(4); deletions > 0; deletions -= 1) {
      for (let turns = random.below(20); turns > 0; turns -= 1) await turn()
      const model = random.pick(this.#partitions)
      const { topic, partition } = model
      const { earliest, latest } = await this.#opened.offsets(topic, partition)
      const before = earliest + random.below(latest - earliest + 1)
      model.start = Math.max(model.start, before)
      await this.#opened.deleteRecords(topic, { partition, before })
      assert.ok((await this.#opened.offsets(topic, partition)).earliest >= before)
    }
  }

  async #alter(): Promise<void> {
    const random = this.#random
    for (let changes = 1 + random.below(5); changes > 0; changes -= 1) {
      for (let turns = random.below(10); turns > 0; turns -= 1) await turn()
      await this.#opened.alterTopic(random.pick(TOPICS), {
        segmentBytes: random.pick([1024, 2000, 20_000]),
        segmentMs: random.pick([1, 500, 1 << 30]),
        durability: random.pick(['os', 'disk']),
        lingerMs: random.pick([0, 0, 3]),
      })
    }
  }

  async #compact(): Promise<void> {
    const random = this.#random
    for (let passes = 1 + random.below(4); passes > 0; passes -= 1) {
      for (let turns = random.below(20); turns > 0; turns -= 1) await turn()
      await this.#opened.compact(LATEST, { roll: random.chance(0.6) })
    }
  }

  async #flush(): Promise<void> {
    for (let flushes = 1 + this.#random.below(6); flushes > 0; flushes -= 1) {
      await this.#opened.flush()
      await turn()
    }
  }

  async #commit(): Promise<void> {
    const random = this.#random
    for (let commits = 1 + random.below(10); commits > 0; commits -= 1) {
      const { topic, partition } = random.pick(this.#partitions)
      const { latest } = await this.#opened.offsets(topic, partition)
      const offset = random.below(latest + 1)
      await this.#opened.commitOffset(GROUP, { topic, partition, offset })
      const committed = await this.#opened.committedOffsets(GROUP)
      const found = committed.find((each) => each.topic === topic && each.partition === partition)
      assert.equal(found?.offset, offset)
    }
  }

  // ------------------------------------------------------------------------------------- after

  async #checkAll(log: Log): Promise<void> {
    await log.flush()
    for (const model of this.#partitions) {
      const { topic, partition, acknowledged, start } = model
      const { earliest, latest } = await log.offsets(topic, partition)
      assert.equal(earliest, start)
      assert.equal(latest, acknowledged.size, 'the end is behind the last one acknowledged')
      const found = new Map<number, string>()
      for await (const record of log.read(topic, { partition, until: 'end' })) {
        found.set(record.offset, String(record.value))
      }
      for (const [offset, value] of found) assert.equal(value, acknowledged.get(offset))
      for (const [offset, value] of acknowledged) {
        const isThere = found.has(offset) || offset < start || model.isSuperseded(value)
        assert.ok(isThere, `${topic}-${partition}: offset ${offset} is lost`)
      }
    }
  }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
