// How the appends of W3, W4, W5 and W8 are paced: the same for all programs.
import { percentile } from '../report/statistics.ts'
import type { Metrics } from '../trials/types.ts'
import type { TaskContext } from './program.ts'
import { batchCount, perSecond } from './program.ts'

/** Batches, each on the disk before the next begins; the rate is of batches. */
export async function syncedBatches(
  { parameters, stopwatch }: TaskContext,
  append: (index: number) => unknown,
): Promise<Metrics> {
  const batches = batchCount(parameters)
  const micros = new Float64Array(batches)
  await stopwatch.time(async () => {
    for (let index = 0; index < batches; index += 1) {
      const began = performance.now()
      await append(index)
      micros[index] = (performance.now() - began) * 1000
    }
  })
  return { rate: perSecond(batches, stopwatch.milliseconds), ...percentiles(micros) }
}

/** Writers side by side, each of which awaits its record before its next; `append` gets the record's number. */
export async function concurrentWriters(
  { parameters, stopwatch }: TaskContext,
  append: (index: number) => Promise<unknown>,
): Promise<Metrics> {
  const { records, writers } = parameters
  let begun = 0
  const write = async (): Promise<void> => {
    while (begun < records) {
      begun += 1
      await append(begun - 1)
    }
  }
  await stopwatch.time(() => Promise.all(Array.from({ length: writers }, write)))
  return { rate: perSecond(records, stopwatch.milliseconds) }
}

/** At the clock. */
const APPENDS_BETWEEN_LOOKS = 64

/** One record at a time, each awaited. */
export async function singleRecords(
  { parameters, stopwatch }: TaskContext,
  append: (index: number) => unknown,
): Promise<Metrics> {
  const { records, timeLimitMs } = parameters
  const until = timeLimitMs === 0 ? Number.POSITIVE_INFINITY : performance.now() + timeLimitMs
  let appended = 0
  await stopwatch.time(async () => {
    while (appended < records) {
      await append(appended)
      appended += 1
      if (appended % APPENDS_BETWEEN_LOOKS === 0 && performance.now() > until) break
    }
  })
  return { rate: perSecond(appended, stopwatch.milliseconds) }
}

/** The first deliveries are not counted. */
const WARM_UP = 2000

export interface Delivery {
  readonly append: () => unknown
  /** Resolves when the reader has the record, with the time by `performance.now()` and the record's value. */
  readonly delivered: Promise<Delivered>
}

export interface Delivered {
  readonly atMs: number
  readonly value: Uint8Array
}

/** From the call of an append until a reader that waited for it has the record; the reader waits before each append. */
export async function deliveries(
  { parameters, dataset, stopwatch }: TaskContext,
  prepare: (index: number) => Delivery,
): Promise<Metrics> {
  const { records } = parameters
  const warmUp = Math.min(WARM_UP, records)
  const micros = new Float64Array(records)
  await stopwatch.time(async () => {
    for (let index = 0; index < warmUp + records; index += 1) {
      const { append, delivered } = prepare(index)
      await new Promise((resolve) => setImmediate(resolve))
      const began = performance.now()
      const acknowledged = append()
      const { atMs, value } = await delivered
      await acknowledged
      if (!dataset.record(index).value.equals(value)) throw new Error('another record came')
      if (index >= warmUp) micros[index - warmUp] = (atMs - began) * 1000
    }
  })
  return percentiles(micros)
}

/** @param micros is sorted. */
export function percentiles(micros: Float64Array): Metrics {
  micros.sort()
  return { p50Us: percentile(micros, 0.5), p99Us: percentile(micros, 0.99) }
}

/** Collects what arrives in a turn and gives it to `commit` in one piece; a piece at a time. */
export class Gatherer {
  readonly #commit: (indexes: readonly number[]) => unknown
  #waiting: {
    readonly index: number
    readonly resolve: () => void
    readonly reject: (error: unknown) => void
  }[] = []
  #running = false

  constructor(commit: (indexes: readonly number[]) => unknown) {
    this.#commit = commit
  }

  append(index: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ index, resolve, reject })
      if (this.#running) return
      this.#running = true
      queueMicrotask(() => void this.#run())
    })
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      const taken = this.#waiting
      this.#waiting = []
      try {
        await this.#commit(taken.map(({ index }) => index))
        for (const { resolve } of taken) resolve()
      } catch (error) {
        for (const { reject } of taken) reject(error)
      }
      // Those who have been told may come again before the next piece.
      await undefined
    }
    this.#running = false
  }
}
