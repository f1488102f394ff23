// A log that is used while notes are taken of what it promised, on a file system that may end at any moment.
import type { LogOptions, OffsetCommit, TopicDeclaration } from '../../src/index.ts'
import { Log, LogError, PartialProduceError } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import type { CrashEvidence, Level } from './crash-evidence.ts'
import { compressionFor, readAll, valueFor } from './crash-evidence.ts'
import type { FaultFileSystem } from './fault-file-system.ts'
import { loseLockHolder } from './lock-holder.ts'

export const DIRECTORY = '/data'

/** Segments and intervals so small that a few calls roll several. */
const SMALL = { value: 'string', segmentBytes: 1024, indexIntervalBytes: 100 } as const

/** Declared at every open. */
const DECLARED = {
  orders: { ...SMALL, partitions: 2, durability: 'disk' },
  clicks: { ...SMALL, durability: 'os' },
} as const satisfies Record<string, TopicDeclaration>

const GROUP = 'billing'

/** The run is over: the power is gone, or the process. */
export class RunEnded extends Error {
  override readonly name = 'RunEnded'
}

export interface Sent {
  readonly partition: number
  readonly count: number
}

export class CrashRun {
  readonly clock: ManualClock
  readonly #fileSystem: FaultFileSystem
  readonly #evidence: CrashEvidence
  readonly #options: LogOptions
  #log: Log | undefined
  #isNew = true
  /** Nothing fails here any more. */
  #isStrict = false

  constructor(
    fileSystem: FaultFileSystem,
    evidence: CrashEvidence,
    clock: ManualClock = new ManualClock(),
  ) {
    this.#fileSystem = fileSystem
    this.#evidence = evidence
    this.clock = clock
    this.#options = { fileSystem, clock, topics: DECLARED, retentionCheckIntervalMs: 1e9 }
  }

  get log(): Log {
    if (this.#log === undefined) throw new RunEnded('the log is not open')
    return this.#log
  }

  // ---------------------------------------------------------------------------- open and close

  /** The first open of a new directory. */
  async openNew(): Promise<void> {
    for (const [name, { durability }] of Object.entries(DECLARED)) {
      const partitions = name === 'orders' ? 2 : 1
      this.#evidence.creating(name, partitions, durability)
    }
    await this.open()
  }

  async open(): Promise<void> {
    this.#evidence.opening()
    try {
      this.#log = (await Log.open(DIRECTORY, this.#options)) as Log
    } catch (error) {
      throw new RunEnded('the log did not open', { cause: error })
    }
    this.#isNew = false
    this.#evidence.opened()
    for (const name of Object.keys(DECLARED)) this.#evidence.created(name)
  }

  /** Opens what a crash, or a close, has left, and holds it to what was promised. */
  async reopen(survives: Level): Promise<void> {
    if (this.#isNew) await loseLockHolder(this.#fileSystem, DIRECTORY)
    this.#evidence.opening()
    const log = (await Log.open(DIRECTORY, this.#options)) as Log
    this.#log = log
    this.#isNew = false
    for (const name of Object.keys(DECLARED)) this.#evidence.created(name)
    await this.#evidence.check(log, survives)
    this.#isStrict = true
  }

  async close(): Promise<void> {
    this.#evidence.closing()
    const isClosed = await this.#attempt(async () => {
      await this.log.close()
      return true
    })
    if (isClosed) this.#evidence.closed()
    this.#log = undefined
  }

  // ----------------------------------------------------------------------------------- records

  /** One call: of one record, or of a batch for each partition. */
  async produce(topic: string, sent: readonly Sent[], durability?: Level): Promise<void> {
    const call = this.#evidence.nextCall()
    const compression = compressionFor(call)
    const options = durability === undefined ? { compression } : { compression, durability }
    const records = sent.flatMap(({ partition, count }) =>
      Array.from({ length: count }, (_, index) => ({
        partition,
        value: valueFor(call, index, count),
      })),
    )
    for (const { partition, count } of sent) this.#evidence.sending(topic, partition, call, count)
    const acknowledged = (partition: number, baseOffset: number, level: Level): void => {
      const values = records.flatMap((each) => (each.partition === partition ? each.value : []))
      this.#evidence.acknowledged(topic, partition, baseOffset, values, level)
    }
    await this.#attempt(async () => {
      const [first] = records
      if (records.length === 1 && first !== undefined) {
        const { partition, offset, durability } = await this.log.produce(topic, first, options)
        return acknowledged(partition, offset, durability)
      }
      const told = await this.log.produce(topic, records, options).catch((error: unknown) => {
        if (error instanceof PartialProduceError) return error.acknowledged
        throw error
      })
      for (const each of told) acknowledged(each.partition, each.baseOffset, each.durability)
    })
  }

  /** Concurrent calls, and a reader that looks in between. */
  async produceTogether(topic: string, partition: number, calls: number): Promise<void> {
    const under = Promise.all(
      Array.from({ length: calls }, () => this.produce(topic, [{ partition, count: 1 }])),
    )
    // Where the reader finds the run to be over, nobody waits for them.
    under.catch(() => {})
    await this.look(topic, partition)
    await under
    await this.look(topic, partition)
  }

  /** Notes all that a reader sees now; answers with the next offset. */
  async look(topic: string, partition: number): Promise<number> {
    const seen = await this.#attempt(() => readAll(this.log, topic, partition))
    if (seen !== undefined) this.#evidence.seen(topic, partition, seen.records)
    return seen?.latest ?? 0
  }

  async commit(
    topic: string,
    partition: number,
    offset: number,
    durability?: Level,
  ): Promise<void> {
    const commit: OffsetCommit = { topic, partition, offset }
    const told = this.#evidence.committing(GROUP, commit)
    const options = durability === undefined ? {} : { durability }
    await this.#attempt(async () => {
      told((await this.log.commitOffset(GROUP, commit, options)).durability)
    })
  }

  /** Commits what a reader has seen of a partition. */
  async commitSeen(topic: string, partition: number, durability?: Level): Promise<void> {
    await this.commit(topic, partition, await this.look(topic, partition), durability)
  }

  /** Up to the high watermark at most: where writes have failed, less is there than was meant to be. */
  async deleteRecords(topic: string, partition: number, wanted: number): Promise<void> {
    const before = Math.min(wanted, await this.look(topic, partition))
    this.#evidence.deletingRecords(topic, partition, before)
    await this.#attempt(async () => {
      await this.log.deleteRecords(topic, { partition, before })
      this.#evidence.deletedRecords(topic, partition, before)
    })
  }

  /** Keeps at most so many bytes of a topic; what goes may come back, whole segments at a time. */
  async retain(topic: string, retentionBytes: number): Promise<void> {
    await this.#attempt(async () => {
      await this.log.alterTopic(topic, { retentionBytes })
      for (const { partition, highWatermark } of (await this.log.describeTopic(topic)).partitions) {
        this.#evidence.deletingRecords(topic, partition, highWatermark)
      }
      await this.log.applyRetention()
    })
  }

  // ------------------------------------------------------------------------------------ topics

  async createTopic(name: string, partitions: number, durability: Level): Promise<void> {
    // Where its deletion has failed it is there as it was.
    const isNew = !this.log.topics().includes(name)
    if (isNew) this.#evidence.creating(name, partitions, durability)
    await this.#attempt(async () => {
      await this.log.createTopic(name, { ...SMALL, partitions, durability })
      this.#evidence.created(name)
    })
  }

  async addPartitions(name: string, partitions: number): Promise<void> {
    this.#evidence.addingPartitions(name, partitions)
    await this.#attempt(async () => {
      await this.log.addPartitions(name, partitions)
      this.#evidence.addedPartitions(name, partitions)
    })
  }

  async deleteTopic(name: string): Promise<void> {
    this.#evidence.deleting(name)
    await this.#attempt(async () => {
      await this.log.deleteTopic(name)
      this.#evidence.deleted(name)
    })
  }

  async flush(): Promise<void> {
    await this.#attempt(() => this.log.flush())
  }

  async advance(ms: number): Promise<void> {
    await this.#attempt(() => this.clock.advance(ms))
  }

  /** Every partition takes new records; then all is as promised. */
  async goOn(): Promise<void> {
    for (const topic of this.log.topics()) {
      for (const { partition } of (await this.log.describeTopic(topic)).partitions) {
        const calls = [1, 3].map((count) => this.produce(topic, [{ partition, count }]))
        await Promise.all(calls)
        await this.commitSeen(topic, partition, 'disk')
      }
    }
  }

  /** Undefined where the operation failed, which only a `LogError` may tell; throws where the run is over. */
  async #attempt<T>(operation: () => Promise<T>): Promise<T | undefined> {
    try {
      return await operation()
    } catch (error) {
      if (this.#fileSystem.hasEnded) throw new RunEnded('the run is over', { cause: error })
      if (this.#isStrict) throw error
      if (error instanceof LogError || error instanceof RunEnded) return undefined
      throw error
    }
  }
}

/** Something of all that a log does; may be cut anywhere. */
export async function runScript(run: CrashRun): Promise<void> {
  await run.openNew()
  await run.produce('orders', [{ partition: 0, count: 1 }])
  await run.produceTogether('orders', 0, 3)
  await run.produce('orders', [
    { partition: 0, count: 2 },
    { partition: 1, count: 3 },
  ])
  await run.produce('clicks', [{ partition: 0, count: 2 }])
  await run.produce('clicks', [{ partition: 0, count: 1 }], 'disk')
  await run.produce('orders', [{ partition: 1, count: 2 }], 'os')
  await run.look('orders', 1)
  await run.commitSeen('orders', 0)
  await run.commitSeen('orders', 1, 'disk')
  await run.commitSeen('clicks', 0)
  await run.advance(1000)
  for (let round = 0; round < 4; round += 1) {
    await run.produceTogether('orders', 0, 2)
    await run.produce('clicks', [{ partition: 0, count: 3 }])
    await run.commitSeen('clicks', 0)
  }
  await changeTopics(run)
  await run.deleteRecords('orders', 0, 4)
  // Where a segment begins.
  await run.deleteRecords('orders', 0, 10)
  await run.deleteRecords('orders', 1, 1)
  await run.retain('clicks', 1500)
  await run.produce('clicks', [{ partition: 0, count: 2 }])
  await run.deleteRecords('orders', 0, await run.look('orders', 0))
  await run.close()
  await secondSession(run)
}

async function changeTopics(run: CrashRun): Promise<void> {
  await run.createTopic('later', 1, 'disk')
  await run.produce('later', [{ partition: 0, count: 3 }])
  await run.commitSeen('later', 0, 'disk')
  await run.addPartitions('later', 2)
  await run.produce('later', [
    { partition: 0, count: 1 },
    { partition: 1, count: 1 },
  ])
  await run.createTopic('doomed', 2, 'disk')
  await run.produce('doomed', [{ partition: 1, count: 4 }])
  await run.commitSeen('doomed', 1, 'disk')
  await run.deleteTopic('doomed')
}

async function secondSession(run: CrashRun): Promise<void> {
  await run.open()
  await run.produceTogether('orders', 0, 2)
  await run.createTopic('doomed', 2, 'disk')
  await run.produce('doomed', [{ partition: 1, count: 1 }])
  await run.commitSeen('orders', 0)
  await run.produce('clicks', [{ partition: 0, count: 2 }])
  await run.flush()
  await run.produce('clicks', [{ partition: 0, count: 2 }])
  await run.produce('orders', [{ partition: 1, count: 2 }], 'os')
}
