// A process that writes to a log and consumes it, until it is killed or told to end, and tells what it was handed: DIRECTORY SEED WAY.
import { subscribe } from 'node:diagnostics_channel'
import type { CommittedSignal, ConsumedRecord, OffsetCommit } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { randomInteger, seededRandom } from './random.ts'
import { isProgram, tellParent } from './tell.ts'

interface Place {
  readonly partition: number
  readonly offset: number
}

/** What the parent is told, a line each, before anything else is done. */
export type Told =
  | { readonly is: 'opened' }
  | (Place & { readonly is: 'acknowledged'; readonly keys: readonly (string | null)[] })
  | (Place & { readonly is: 'handed'; readonly key: string | null })
  /** It came back for more, or its handler is about to end. */
  | (Place & { readonly is: 'done' })
  | { readonly is: 'committed'; readonly offsets: readonly OffsetCommit[] }
  | { readonly is: 'closed' }

const tell: (told: Told) => void = tellParent

export type ChildWay = 'record' | 'key' | 'partition'

export const TOPIC = 'orders'
export const PARTITIONS = 3
export const CONSUMED_GROUP = 'billing'
const KEYS = ['a', 'b', 'c', 'd', 'e', null]
/** Committed often, so that many kills hit a commit. */
const COMMIT_INTERVAL_MS = 4
/** Handlers under way at the same time. */
const MAX_IN_HAND = 8
/** So far may what is written be ahead of what was handed out. */
const MAX_AHEAD = 400

export const openConsumedLog = (directory: string) =>
  Log.open(directory, {
    topics: {
      [TOPIC]: {
        value: 'string',
        partitions: PARTITIONS,
        segmentBytes: 16 * 1024,
        durability: 'os',
      },
    },
    flushIntervalMs: 50,
  })

class Child {
  readonly #log: Awaited<ReturnType<typeof openConsumedLog>>
  readonly #random: () => number
  #ahead = 0
  #isEnding = false

  constructor(log: Awaited<ReturnType<typeof openConsumedLog>>, seed: number) {
    this.#log = log
    this.#random = seededRandom(seed)
  }

  async run(way: ChildWay): Promise<void> {
    const consumer = this.#log.consumer({
      group: CONSUMED_GROUP,
      topics: [TOPIC],
      autoCommitIntervalMs: COMMIT_INTERVAL_MS,
      maxBytes: 2000,
    })
    process.stdin.once('data', () => {
      this.#isEnding = true
      void consumer.close()
    })
    const writing = this.#write()
    if (way === 'record') await this.#iterate(consumer)
    else {
      await consumer.run({
        eachRecord: (record: ConsumedRecord) => this.#handle(record),
        concurrency: { by: way, max: MAX_IN_HAND },
        failurePolicy: { retries: 5, backoff: { type: 'fixed', initialMs: 1 }, giveUp: 'stop' },
      })
    }
    await writing
    await this.#log.close()
  }

  async #iterate(consumer: AsyncIterable<ConsumedRecord>): Promise<void> {
    let previous: ConsumedRecord | undefined
    const records = consumer[Symbol.asyncIterator]()
    for (;;) {
      if (previous !== undefined) this.#done(previous)
      const { done, value } = await records.next()
      if (done) return
      this.#handed(value)
      previous = value
      if (this.#below(8) === 0) await later()
    }
  }

  /** Some fail at first, so that what is behind them is finished before them. */
  async #handle(record: ConsumedRecord): Promise<void> {
    this.#handed(record)
    for (let turns = this.#below(6); turns > 0; turns -= 1) await later()
    if (record.deliveryCount === 1 && this.#below(20) === 0) throw new Error('not yet')
    this.#done(record)
  }

  async #write(): Promise<void> {
    while (!this.#isEnding) {
      const partition = this.#below(PARTITIONS)
      const count = 1 + this.#below(10)
      const records = Array.from({ length: count }, () => {
        const key = KEYS[this.#below(KEYS.length)] ?? null
        return { key, value: 'x'.repeat(this.#below(60)), partition }
      })
      for (const { baseOffset: offset } of await this.#log.produce(TOPIC, records)) {
        tell({ is: 'acknowledged', partition, offset, keys: records.map(({ key }) => key) })
      }
      this.#ahead += count
      do await later()
      while (this.#ahead > MAX_AHEAD && !this.#isEnding)
    }
  }

  #handed({ partition, offset, key }: ConsumedRecord): void {
    tell({ is: 'handed', partition, offset, key })
    this.#ahead -= 1
  }

  #done({ partition, offset }: ConsumedRecord): void {
    tell({ is: 'done', partition, offset })
  }

  #below(limit: number): number {
    return randomInteger(this.#random, limit)
  }
}

function later(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

if (isProgram(import.meta.filename)) {
  const [directory = '', seed, way] = process.argv.slice(2)
  subscribe('brokerless:consumer:committed', (message) => {
    tell({ is: 'committed', offsets: (message as CommittedSignal).offsets })
  })
  const log = await openConsumedLog(directory)
  tell({ is: 'opened' })
  await new Child(log, Number(seed)).run(way as ChildWay)
  tell({ is: 'closed' })
  process.exit(0)
}
