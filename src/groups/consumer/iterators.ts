/** A consumer's records, one by one or a page at a time. Who asks for the next has done with what was handed out before. */
import type { RecordBatch } from '../../topics/record-stream.ts'
import { Mutex } from '../../util/mutex.ts'
import { nextTurn, turnIsLong } from '../../util/turn.ts'
import type { Commits } from './commits.ts'
import type { HeldPage } from './held-page.ts'
import type { Consuming } from './page-source.ts'

/** Of the records handed out at once, each so many-th asks whether others should have their turn. */
const RECORDS_BETWEEN_LOOKS = 16

/** A page of a consumer's records. */
export interface ConsumedPage<R> extends Omit<RecordBatch, 'records'> {
  readonly records: readonly R[]
}

export interface IterationSource {
  readonly commits: Commits
  take(): Promise<HeldPage | undefined>
  /** Nothing more is asked for. */
  close(): Promise<void>
}

/**
 * What both iterators share: calls in their order, the page in hand, and the end. What is in hand when the consumer closes may be in the hands
 * of who closes it: it is not waited for.
 */
class Iteration implements Consuming {
  readonly source: IterationSource
  readonly order: Mutex = new Mutex()
  page: HeldPage | undefined
  #hasBegun = false
  #hasEnded = false

  constructor(source: IterationSource) {
    this.source = source
  }

  drained(): Promise<void> {
    return Promise.resolve()
  }

  /** What was in hand is done, as far as it was handed out. */
  putDown(): void {
    const { page } = this
    this.page = undefined
    if (page === undefined) return
    const last = page.isWhole ? page.records.length : page.begun
    const isWhole = last === page.records.length
    const doneOffset = (page.records[last - 1]?.offset ?? page.startOffset - 1) + 1
    page.finished(isWhole ? page.nextOffset : doneOffset)
    page.putDown()
  }

  /** The next page; undefined at the end. */
  async next(): Promise<HeldPage | undefined> {
    this.putDown()
    if (this.#hasEnded) return undefined
    try {
      await this.giveWay()
      this.#hasBegun = true
      this.page = await this.source.take()
      if (this.page !== undefined) return this.page
    } catch (error) {
      this.#hasEnded = true
      // What it was that ended it matters more than what the close may come to.
      await this.source.close().catch(() => {})
      throw error
    }
    this.#hasEnded = true
    return undefined
  }

  /** Lets others have their turn in a long one; not before the first page, so that those who join in one turn join in one rebalance. */
  async giveWay(): Promise<void> {
    if (this.#hasBegun && turnIsLong()) await nextTurn()
  }

  /** What is in hand is not done, and not in hand any more. */
  async end(): Promise<void> {
    this.#hasEnded = true
    const closing = this.source.close()
    const { page } = this
    this.page = undefined
    page?.putDown(page.inHand)
    await closing
  }
}

export class PageIterator<R> implements AsyncIterableIterator<ConsumedPage<R>> {
  readonly consuming: Consuming
  readonly #iteration: Iteration

  constructor(source: IterationSource) {
    this.#iteration = new Iteration(source)
    this.consuming = this.#iteration
  }

  next(): Promise<IteratorResult<ConsumedPage<R>>> {
    return this.#iteration.order.run(async () => {
      const page = await this.#iteration.next()
      if (page === undefined) return DONE
      page.isWhole = true
      const { topic, partition, nextOffset } = page
      const records = page.records as unknown as readonly R[]
      const { highWatermark } = page.claim.log
      return { value: { topic, partition, records, nextOffset, highWatermark }, done: false }
    })
  }

  async return(): Promise<IteratorResult<ConsumedPage<R>>> {
    await this.#iteration.end()
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

/** By hand, as an async generator hands out half as many records in the same time. */
export class ConsumedRecordIterator<R> implements AsyncIterableIterator<R> {
  readonly consuming: Consuming
  readonly #iteration: Iteration
  readonly #commits: Commits
  #page: HeldPage | undefined
  #records: readonly R[] = []
  /** Calls that wait for a page, and those behind them. */
  #waiting = 0

  constructor(source: IterationSource) {
    this.#iteration = new Iteration(source)
    this.#commits = source.commits
    this.consuming = this.#iteration
  }

  next(): Promise<IteratorResult<R>> {
    const page = this.#page
    if (page !== undefined && this.#waiting === 0 && this.#mayAnswerNow(page)) {
      const index = page.begun
      const value = this.#records[index]
      if (value !== undefined) {
        page.begun = index + 1
        if (!this.#commits.isArmed && index > 0) this.#commits.arm()
        return Promise.resolve({ value, done: false })
      }
    }
    this.#waiting += 1
    return this.#iteration.order.run(() => this.#nextInOrder())
  }

  async return(): Promise<IteratorResult<R>> {
    this.#page = undefined
    await this.#iteration.end()
    return DONE
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #mayAnswerNow(page: HeldPage): boolean {
    if (page.begun % RECORDS_BETWEEN_LOOKS === 0 && turnIsLong()) return false
    return !page.isWithdrawn
  }

  async #nextInOrder(): Promise<IteratorResult<R>> {
    try {
      await this.#iteration.giveWay()
      for (;;) {
        const page = this.#page
        const value = page === undefined || page.isWithdrawn ? undefined : this.#records[page.begun]
        if (page !== undefined && value !== undefined) {
          page.begun += 1
          if (page.begun > 1) this.#commits.arm()
          return { value, done: false }
        }
        this.#page = await this.#iteration.next()
        if (this.#page === undefined) return DONE
        this.#records = this.#page.records as unknown as readonly R[]
      }
    } finally {
      this.#waiting -= 1
    }
  }
}

const DONE: IteratorReturnResult<undefined> = { value: undefined, done: true }
