import type { ResolvedFetchOptions } from '../options.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { readEnd } from '../storage/read-end.ts'
import type { Clock, Timer } from '../types.ts'
import { turnIsLong } from '../util/turn.ts'
import type { RecordPage } from './page-decoder.ts'
import { goneError, outOfRange, readRecords } from './partition-reader.ts'
import type { Topic } from './topic.ts'
import { TopicWait } from './topic-wait.ts'

/** What a wait is for. */
export interface WaitRequest<T> {
  readonly topic: Topic
  readonly log: PartitionLog
  readonly options: ResolvedFetchOptions
  /** Makes the answer when there is one. */
  readonly toResult: (page: RecordPage) => T
}

/**
 * Resolves with records from `options.offset` on as soon as there are `minBytes` of batches, or with what there is after
 * `maxWaitMs`. Every change of the partition is looked at within the call that tells of it, so that no timer and, where the
 * records are in memory, no further turn stands between an append and its delivery.
 */
export function waitForRecords<T>(request: WaitRequest<T>, clock: Clock): Promise<T> {
  return new Promise((resolve, reject) => {
    new FetchWait(request, resolve, reject).start(clock)
  })
}

class FetchWait<T> {
  readonly #topic: Topic
  readonly #log: PartitionLog
  readonly #options: ResolvedFetchOptions
  readonly #toResult: (page: RecordPage) => T
  readonly #resolve: (result: T) => void
  readonly #reject: (reason: unknown) => void
  /** Undefined where any record will do. */
  readonly #counter: ByteCounter | undefined
  #position: number
  #wait: TopicWait | undefined
  #timer: Timer | undefined
  /** Never rejects. */
  #reading: Promise<void> | undefined
  /** Something has changed while a read was under way. */
  #hasNews = false
  #isExpired = false
  #isSettled = false

  constructor(
    { topic, log, options, toResult }: WaitRequest<T>,
    resolve: (result: T) => void,
    reject: (reason: unknown) => void,
  ) {
    this.#topic = topic
    this.#log = log
    this.#options = options
    this.#toResult = toResult
    this.#resolve = resolve
    this.#reject = reject
    this.#position = options.offset
    this.#counter = options.minBytes > 1 ? new ByteCounter(log, options) : undefined
  }

  start(clock: Clock): void {
    this.#wait = new TopicWait(this.#topic, this.#log, this.#options.signal, {
      changed: () => void this.#look(true),
      aborted: (reason) => this.#fail(reason),
    })
    this.#timer = clock.setTimer(() => {
      this.#isExpired = true
      return this.#look()
    }, this.#options.maxWaitMs)
    void this.#look()
  }

  /** `isTold`: within the call that tells of a change. Never throws; its promise never rejects. */
  #look(isTold = false): Promise<void> | undefined {
    if (this.#isSettled) return undefined
    if (this.#reading !== undefined) {
      this.#hasNews = true
      return this.#reading
    }
    try {
      const page = this.#attempt()
      if (page instanceof Promise) {
        this.#reading = this.#finish(page)
        return this.#reading
      }
      this.#took(page, isTold)
    } catch (error) {
      this.#fail(error)
    }
    return undefined
  }

  /** Undefined: there is not enough yet. */
  #attempt(): RecordPage | Promise<RecordPage | undefined> | undefined {
    const gone = goneError(this.#topic)
    if (gone !== undefined) throw gone
    if (this.#position < this.#log.logStartOffset) throw outOfRange(this.#log, this.#position)
    const end = readEnd(this.#log, this.#options.isolationLevel)
    if (this.#position >= end) return undefined
    if (this.#counter === undefined || this.#isExpired) return this.#read(end)
    return this.#readIfEnough(this.#counter, end)
  }

  async #readIfEnough(counter: ByteCounter, end: number): Promise<RecordPage | undefined> {
    const isEnough = await counter.isEnough(end)
    return isEnough || this.#isExpired ? this.#read(end) : undefined
  }

  #read(end: number): RecordPage | Promise<RecordPage> {
    const { maxBytes, maxRecords, onCorrupt, isolationLevel } = this.#options
    return readRecords(this.#topic, this.#log, {
      offset: this.#position,
      end,
      maxBytes,
      maxRecords,
      onCorrupt,
      // What was counted is given in one piece.
      allBatches: this.#counter !== undefined,
      withAborted: isolationLevel === 'read_uncommitted',
    })
  }

  async #finish(reading: Promise<RecordPage | undefined>): Promise<void> {
    try {
      const page = await reading
      this.#reading = undefined
      if (this.#isSettled) return
      if (page !== undefined || !this.#hasNews) this.#took(page, false)
      if (this.#hasNews) {
        this.#hasNews = false
        await this.#look()
      }
    } catch (error) {
      this.#fail(error)
    }
  }

  #took(page: RecordPage | undefined, isTold: boolean): void {
    if (page !== undefined) this.#position = page.nextOffset
    const hasRecords = page !== undefined && page.records.length > 0
    if (!hasRecords && !this.#isExpired) return
    this.#end()
    const result = this.#toResult(page ?? { records: [], nextOffset: this.#position })
    // A loop of fetches that are answered at once lets others run; one that goes through appends does so there.
    if (!isTold && turnIsLong()) setImmediate(this.#resolve, result)
    else this.#resolve(result)
  }

  #fail(reason: unknown): void {
    if (this.#isSettled) return
    this.#end()
    this.#reject(reason)
  }

  #end(): void {
    this.#isSettled = true
    this.#wait?.end()
    this.#timer?.cancel()
  }
}

/** Counts the bytes of batches from an offset on, each batch once. */
class ByteCounter {
  readonly #log: PartitionLog
  readonly #options: ResolvedFetchOptions
  #position: number
  #bytes = 0

  constructor(log: PartitionLog, options: ResolvedFetchOptions) {
    this.#log = log
    this.#options = options
    this.#position = options.offset
  }

  /** Whether `minBytes`, or what one answer holds at most, lie below `end`. */
  async isEnough(end: number): Promise<boolean> {
    const { minBytes, maxBytes, onCorrupt } = this.#options
    const wanted = Math.min(minBytes, maxBytes)
    while (this.#bytes < wanted && this.#position < end) {
      const maxRecords = Number.POSITIVE_INFINITY
      const request = { offset: this.#position, end, maxBytes, maxRecords, onCorrupt }
      try {
        const page = await this.#log.read(request)
        this.#bytes += page.end - page.start
        this.#position = page.nextOffset
      } catch {
        // There is no more to wait for: the read gives what comes before, or tells why it cannot.
        return true
      }
    }
    return this.#bytes >= wanted
  }
}
