// A process that uses a log until it is killed, and tells what it was promised, one line each; it begins when standard input has said with what.
import { writeSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import type { TopicDeclaration } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import type { Level } from './crash-evidence.ts'
import { compressionFor, valueFor } from './crash-evidence.ts'
import { randomInteger, seededRandom } from './random.ts'

interface Place {
  readonly topic: TopicName
  readonly partition: number
}

/** The level is the one that the offset has been promised at. */
export interface ToldOffset extends Place {
  readonly offset: number
  readonly level: Level
}

/** What a child is to do, as JSON on its standard input. */
export interface Work {
  readonly directory: string
  readonly seed: number
  readonly firstCall: number
}

/** What the parent is told; see `CrashEvidence`. */
export type Told =
  | { readonly is: 'opening' | 'opened' }
  | (ToldOffset & { readonly is: 'acknowledged' | 'seen'; readonly values: readonly string[] })
  | (ToldOffset & { readonly is: 'committing' | 'committed' })
  | (Place & { readonly is: 'deleting' | 'deleted'; readonly before: number })

/** A partition is rolled every few calls. */
const SMALL = {
  value: 'string',
  partitions: 2,
  segmentBytes: 4096,
  indexIntervalBytes: 200,
} as const

export const TOPICS = {
  orders: { ...SMALL, durability: 'disk' },
  clicks: { ...SMALL, durability: 'os' },
} as const satisfies Record<string, TopicDeclaration>

export type TopicName = keyof typeof TOPICS
export const GROUP = 'billing'
export const TOPIC_NAMES: readonly TopicName[] = ['orders', 'clicks']

/** Synced and checkpointed often, so that many kills hit that. */
const FLUSH_INTERVAL_MS = 5

export const openLog = (directory: string) =>
  Log.open(directory, { topics: TOPICS, flushIntervalMs: FLUSH_INTERVAL_MS })

class Child {
  readonly #log: Awaited<ReturnType<typeof openLog>>
  readonly #random: () => number
  readonly #seenUpTo = new Map<string, number>()
  #call: number

  constructor(log: Awaited<ReturnType<typeof openLog>>, seed: number, firstCall: number) {
    this.#log = log
    this.#random = seededRandom(seed)
    this.#call = firstCall
  }

  async run(): Promise<never> {
    for (;;) {
      const calls = Array.from({ length: 1 + this.#below(6) }, () => this.#produce())
      if (this.#below(2) === 0) await this.#look()
      await Promise.all(calls)
      await this.#look()
      if (this.#below(4) === 0) await this.#commit()
      if (this.#below(30) === 0) await this.#deleteRecords()
    }
  }

  #below(limit: number): number {
    return randomInteger(this.#random, limit)
  }

  #level(): Level {
    return this.#below(2) === 0 ? 'disk' : 'os'
  }

  #place(): Place {
    const topic = TOPIC_NAMES[this.#below(2)] ?? 'orders'
    return { topic, partition: this.#below(SMALL.partitions) }
  }

  async #produce(): Promise<void> {
    this.#call += 1
    const call = this.#call
    const { topic, partition } = this.#place()
    const count = 1 + this.#below(4)
    const compression = compressionFor(call)
    const level = this.#below(2) === 0 ? {} : { durability: this.#level() }
    const options = { compression, ...level }
    const values = Array.from({ length: count }, (_, index) => valueFor(call, index, count))
    const records = values.map((value) => ({ value, partition }))
    for (const told of await this.#log.produce(topic, records, options)) {
      const { baseOffset: offset, durability: level } = told
      tell({ is: 'acknowledged', topic, partition, offset, values, level })
    }
  }

  /** What has come to a partition since the last look. */
  async #look(): Promise<void> {
    const { topic, partition } = this.#place()
    const { earliest } = await this.#log.offsets(topic, partition)
    const offset = Math.max(earliest, this.#seenUpTo.get(`${topic}-${partition}`) ?? 0)
    const { records, nextOffset } = await this.#log.fetch(topic, { partition, offset })
    this.#seenUpTo.set(`${topic}-${partition}`, nextOffset)
    const [first] = records
    if (first === undefined) return
    const values = records.map(({ value }) => value ?? '')
    const level = TOPICS[topic].durability
    tell({ is: 'seen', topic, partition, offset: first.offset, values, level })
  }

  async #commit(): Promise<void> {
    const { topic, partition } = this.#place()
    const offset = this.#seenUpTo.get(`${topic}-${partition}`)
    if (offset === undefined) return
    const durability = this.#level()
    tell({ is: 'committing', topic, partition, offset, level: durability })
    await this.#log.commitOffset(GROUP, { topic, partition, offset }, { durability })
    tell({ is: 'committed', topic, partition, offset, level: durability })
  }

  async #deleteRecords(): Promise<void> {
    const { topic, partition } = this.#place()
    const { earliest, latest } = await this.#log.offsets(topic, partition)
    const before = earliest + this.#below(latest - earliest + 1)
    tell({ is: 'deleting', topic, partition, before })
    await this.#log.deleteRecords(topic, { partition, before })
    tell({ is: 'deleted', topic, partition, before })
  }
}

/** In the pipe before anything else is done. */
function tell(told: Told): void {
  writeSync(1, `${JSON.stringify(told)}\n`)
}

if (process.argv[1]?.replace(/\.[jt]s$/, '') === import.meta.filename.replace(/\.[jt]s$/, '')) {
  const { directory, seed, firstCall } = JSON.parse(await text(process.stdin)) as Work
  tell({ is: 'opening' })
  const log = await openLog(directory)
  tell({ is: 'opened' })
  await new Child(log, seed, firstCall).run()
}
