// A process that writes inputs and turns them into results, until it is killed or told to end: DIRECTORY SEED WAY.
import type { ConsumedBatch, ConsumedRecord } from '../../src/index.ts'
import type { ProcessedLog, Result } from './processed-log.ts'
import {
  committedOf,
  INPUT_PARTITIONS,
  openProcessedLog,
  PROCESSED_GROUP,
  processedIn,
} from './processed-log.ts'
import { randomInteger, seededRandom } from './random.ts'
import { isProgram, tellParent } from './tell.ts'

export type ProcessTold =
  | { readonly is: 'opened' | 'closed' }
  /** What the processes before have left: where the inputs end. */
  | { readonly is: 'found'; readonly ends: readonly number[] }
  /** An input is there: `offset` and the `count` - 1 behind it. */
  | {
      readonly is: 'acknowledged'
      readonly partition: number
      readonly offset: number
      readonly count: number
    }
  /** Handlers have been given so many records. */
  | { readonly is: 'handled'; readonly records: number }

export const PROCESS_WAYS = ['record', 'batch', 'partitions', 'members'] as const
export type ProcessWay = (typeof PROCESS_WAYS)[number]

/** So far may what is written be ahead of what was handed out. */
const MAX_AHEAD = 300

/** What never ends well. */
const POISON = 'poison'
const poisoned = (value: unknown): boolean => String(value).startsWith(POISON)

/** What an input comes to, the first part of which goes to `audit` by the transaction itself. */
function resultsOf({ partition, offset }: ConsumedRecord): Result[] {
  const parts = 1 + (offset % 3)
  const of = `${partition}:${offset}`
  return Array.from({ length: parts }, (_, part) => ({ of, part, parts }))
}

class Child {
  readonly #log: ProcessedLog
  readonly #tell: (told: ProcessTold) => void
  readonly #random: () => number
  #ahead = 0
  isEnding = false

  constructor(log: ProcessedLog, seed: number, tell: (told: ProcessTold) => void) {
    this.#log = log
    this.#tell = tell
    this.#random = seededRandom(seed)
  }

  async run(way: ProcessWay): Promise<void> {
    const work = [this.process(way)]
    if (way === 'members') work.push(this.#comeAndGo())
    await Promise.all([this.#write(), ...work])
  }

  /** Until the log is closed, or the signal says so. */
  async process(way: ProcessWay, signal?: AbortSignal): Promise<void> {
    const options = {
      from: 'inputs',
      to: 'results',
      group: PROCESSED_GROUP,
      maxRecords: 20,
      commitIntervalMs: 3,
      concurrency: way === 'partitions' ? INPUT_PARTITIONS : 1,
      maxBytes: 2000,
      failurePolicy: {
        retries: 1,
        backoff: { type: 'fixed', initialMs: 1 },
        giveUp: { deadLetterTopic: 'graves' },
      },
      ...(signal === undefined ? {} : { signal }),
    } as const
    if (way === 'batch') {
      await this.#log.process(options, {
        eachBatch: async (batch: ConsumedBatch, { tx }) => {
          const results = batch.records.map((record) => this.#handle(record))
          await tx.produce('audit', audited(results.flat()))
          return returned(results.flat())
        },
      })
      return
    }
    await this.#log.process(options, async (record, { tx }) => {
      const results = this.#handle(record)
      for (let turns = this.#below(4); turns > 0; turns -= 1) await later()
      await tx.produce('audit', audited(results))
      return returned(results)
    })
  }

  #handle(record: ConsumedRecord): Result[] {
    this.#ahead -= 1
    this.#tell({ is: 'handled', records: 1 })
    if (poisoned(record.value)) throw new Error('never')
    if (record.deliveryCount === 1 && this.#below(30) === 0) throw new Error('not yet')
    return resultsOf(record)
  }

  /** Another member of the group, again and again: partitions go from one to the other. */
  async #comeAndGo(): Promise<void> {
    while (!this.isEnding) {
      const leaving = new AbortController()
      const member = this.process('record', leaving.signal).catch((error: unknown) => {
        if (!leaving.signal.aborted) throw error
      })
      for (let turns = 20 + this.#below(200); turns > 0 && !this.isEnding; turns -= 1) await later()
      leaving.abort()
      await member
    }
  }

  async #write(): Promise<void> {
    while (!this.isEnding) {
      const partition = this.#below(INPUT_PARTITIONS)
      const count = 1 + this.#below(10)
      const records = Array.from({ length: count }, () => {
        const value = this.#below(40) === 0 ? POISON : 'x'.repeat(this.#below(60))
        return { key: String(this.#below(8)), value, partition }
      })
      for (const { baseOffset: offset } of await this.#log.produce('inputs', records)) {
        this.#tell({ is: 'acknowledged', partition, offset, count })
      }
      this.#ahead += count
      do await later()
      while (this.#ahead > MAX_AHEAD && !this.isEnding)
    }
  }

  #below(limit: number): number {
    return randomInteger(this.#random, limit)
  }
}

function audited(results: readonly Result[]) {
  return results.filter(({ part }) => part === 0).map((value) => ({ value }))
}

function returned(results: readonly Result[]) {
  return results.filter(({ part }) => part > 0).map((value) => ({ key: value.of, value }))
}

function later(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

/** Turns what is left before these ends into results, in this process. */
export async function processTheRest(log: ProcessedLog, ends: readonly number[]): Promise<void> {
  const working = new Child(log, 1, () => {}).process('partitions')
  const isDone = async (): Promise<boolean> => String(await committedOf(log)) === String(ends)
  while (!(await isDone())) await later()
  await log.close()
  await working
}

if (isProgram(import.meta.filename)) {
  const [directory = '', seed, way] = process.argv.slice(2)
  const tell: (told: ProcessTold) => void = tellParent
  const log = await openProcessedLog(directory)
  tell({ is: 'opened' })
  const { ends } = await processedIn(log)
  tell({ is: 'found', ends })
  const child = new Child(log, Number(seed), tell)
  process.stdin.once('data', () => {
    child.isEnding = true
    void log.close()
  })
  await child.run(way as ProcessWay)
  await log.close()
  tell({ is: 'closed' })
  process.exit(0)
}
