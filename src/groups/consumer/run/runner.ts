/**
 * Hands the pages of a source to handlers, and deals with what fails.
 *
 * A record is finished when its handler has ended well, or it was skipped, or its dead letter is acknowledged; the source is told how far each
 * partition has come in that turn. What is withdrawn is not begun; what is begun may end, and then its page is put down. A retry that
 * waits does not hold up a page that is withdrawn: it is handed back unfinished.
 *
 * Whatever may let something begin (a page, a handler that has ended, a retry that is due) calls `#turn`, which begins all that may.
 */
import { HandlerFailedError } from '../../../errors.ts'
import type { Clock, Timer } from '../../../types.ts'
import { Deferred } from '../../../util/deferred.ts'
import { asError } from '../../../util/error-code.ts'
import { keepAlive, letGo } from '../../../util/keep-alive.ts'
import { soon, turnIsLong } from '../../../util/turn.ts'
import type { ConsumedRecord, PageSource, TakenPage } from '../page-source.ts'
import {
  beginContexts,
  Call,
  currentCall,
  endContexts,
  inContextOf,
  isThenable,
  outsideOfContexts,
} from './call.ts'
import type { FailureEnvironment } from './failures.ts'
import { Failures } from './failures.ts'
import type { Order } from './orders.ts'
import { KeyOrder, PartitionOrder } from './orders.ts'
import { PagesInHand } from './pages-in-hand.ts'
import type { HeldPage, Progress } from './progress.ts'
import type { ResolvedRunOptions } from './run-options.ts'

/** Records handed out in a row, after which it is asked whether others should have their turn. */
const RECORDS_BETWEEN_LOOKS = 16
/** How long a run that stops waits for handlers that are under way. */
const STOP_DRAIN_MS = 30_000

export class Runner<K, V> {
  readonly #source: PageSource<K, V>
  readonly #options: ResolvedRunOptions<K, V>
  readonly #clock: Clock
  readonly #order: Order<K, V>
  readonly #pages: PagesInHand<K, V> = new PagesInHand()
  readonly #failures: Failures<K, V>
  readonly #over = new Deferred<void>()
  /** Of the next handler, should it not end at once. */
  #spare: Call<K, V>
  /** The page whose handler has been called and has not returned. */
  #current: HeldPage<K, V> | undefined
  /** Handlers, and appends of dead letters, that are under way. */
  #running = 0
  /** Of these: on pages that nobody waits for any more. */
  #abandoned = 0
  #begunSinceLook = 0
  #isTaking = false
  #isTurning = false
  #isTurnDue = false
  /** The source has no more, or is being closed. */
  #isClosed = false
  #failure: Error | undefined
  /** Handlers that have called `close`. */
  readonly #closers = new Set<Call<K, V>>()
  readonly #drained = new Deferred<void>()
  #isDraining = false
  #drain: Timer | undefined
  /** Where something has finished since the source was told. */
  readonly #news = new Set<Progress<K, V>>()
  #lastNews: Progress<K, V> | undefined

  constructor(
    source: PageSource<K, V>,
    options: ResolvedRunOptions<K, V>,
    environment: FailureEnvironment<K, V>,
  ) {
    this.#source = source
    this.#options = options
    this.#clock = environment.clock
    this.#order =
      options.by === 'key' ? new KeyOrder() : new PartitionOrder(options.eachBatch !== undefined)
    this.#failures = new Failures(options.policy, environment, {
      isStopping: () => this.#failure !== undefined,
      began: (call) => this.#beginCall(call),
      ended: (call) => this.#endCall(call),
      succeeded: (call) => this.#succeeded(call),
      drop: (call) => this.#drop(call),
      stop: (call, cause) => this.#stopAt(call, cause),
      turn: () => this.#turn(),
    })
    this.#spare = new Call(this)
  }

  /** Resolves once the source is closed and what was begun has ended; rejects with what stopped it. Once. */
  async run(): Promise<void> {
    beginContexts()
    try {
      this.#turn()
      await this.#over.promise
    } finally {
      endContexts()
    }
  }

  /**
   * The consumer closes, and its pages are withdrawn. Resolves when nothing that was begun is under way any more, save the handler that has called
   * the close: it would wait for itself.
   */
  drained(): Promise<void> {
    const call = currentCall() as Call<K, V> | undefined
    if (call?.runner === this) this.#closers.add(call)
    this.#isDraining = true
    this.#isClosed = true
    this.#endIfOver()
    return this.#drained.promise
  }

  // ----------------------------------------------------------------------------------- beginning

  /** Begins all that may begin, and tells what has finished. */
  #turn(): void {
    if (this.#isTurning || this.#isTurnDue) return
    this.#isTurning = true
    let isIdle = false
    while (this.#mayBegin && !isIdle) {
      const retry = this.#failures.nextDue()
      if (retry !== undefined) inContextOf(retry, () => this.#beginAgain(retry))
      else isIdle = inContextOf(this.#spare, () => this.#beginMany())
    }
    this.#isTurning = false
    for (const progress of this.#news) progress.tell()
    this.#news.clear()
    this.#lastNews = undefined
    if (isIdle && !this.#isTurnDue) void outsideOfContexts(() => this.#take())
    this.#endIfOver()
  }

  get #mayBegin(): boolean {
    return this.#running < this.#options.max && this.#failure === undefined && !this.#isTurnDue
  }

  /** Begins what may begin, until a handler does not end at once; true where nothing more may. */
  #beginMany(): boolean {
    for (;;) {
      if (this.#isLong()) return true
      const held = this.#order.next()
      if (held === undefined) return true
      if (!this.#begin(held)) return false
    }
  }

  /** True where others have their turn first. */
  #isLong(): boolean {
    this.#begunSinceLook += 1
    if (this.#begunSinceLook < RECORDS_BETWEEN_LOOKS) return false
    this.#begunSinceLook = 0
    if (!turnIsLong()) return false
    this.#isTurnDue = true
    setImmediate(() => {
      this.#isTurnDue = false
      this.#turn()
    })
    return true
  }

  /** Calls the handler of what is next; false where it does not end at once, or fails. */
  #begin(held: HeldPage<K, V>): boolean {
    const { index, end } = this.#order
    const { eachRecord } = this.#options
    let records: readonly ConsumedRecord<K, V>[] | undefined
    let result: unknown
    this.#current = held
    try {
      if (eachRecord !== undefined) {
        result = eachRecord(held.records[index] as ConsumedRecord<K, V>, held.progress.context)
      } else {
        records = held.recordsOf(index, end)
        result = this.#handle(held, records)
      }
    } catch (error) {
      this.#current = undefined
      this.#closers.delete(this.#spare)
      this.#failures.failed(this.#occupy(held, records), error)
      return false
    }
    this.#current = undefined
    if (isThenable(result)) {
      void this.#watch(this.#occupy(held, records), result)
      return false
    }
    if (this.#closers.size > 0) this.#closers.delete(this.#spare)
    const { lane } = this.#order
    this.#finish(held, index, end)
    lane?.release()
    return true
  }

  /** The handler of what is next does not end at once: what must not overtake it waits. */
  #occupy(held: HeldPage<K, V>, records?: readonly ConsumedRecord<K, V>[]): Call<K, V> {
    const { index, end } = this.#order
    const call = this.#spare
    this.#spare = new Call(this)
    call.held = held
    call.index = index
    call.end = end
    call.lane = this.#order.hold()
    this.#handOut(call, records ?? [held.records[index] as ConsumedRecord<K, V>])
    return call
  }

  #handOut(call: Call<K, V>, records: readonly ConsumedRecord<K, V>[]): void {
    call.records = records
    for (let at = 0; at < records.length; at += 1) {
      call.held?.begun.set(call.index + at, records[at] as ConsumedRecord<K, V>)
    }
  }

  #beginAgain(call: Call<K, V>): void {
    const held = call.held as HeldPage<K, V>
    this.#handOut(
      call,
      call.records.map((record) => held.page.again(record)),
    )
    this.#current = held
    let result: unknown
    try {
      result = this.#handle(held, call.records)
    } catch (error) {
      this.#current = undefined
      this.#closers.delete(call)
      this.#failures.failed(call, error)
      return
    }
    this.#current = undefined
    if (isThenable(result)) void this.#watch(call, result)
    else this.#succeeded(call)
  }

  #handle(held: HeldPage<K, V>, records: readonly ConsumedRecord<K, V>[]): unknown {
    const { eachRecord, eachBatch } = this.#options
    const { page, progress } = held
    const { topic, partition } = page
    if (eachBatch !== undefined) return eachBatch({ topic, partition, records }, progress.context)
    return eachRecord?.(records[0] as ConsumedRecord<K, V>, progress.context)
  }

  // --------------------------------------------------------------------------------------- ending

  async #watch(call: Call<K, V>, result: PromiseLike<unknown>): Promise<void> {
    this.#beginCall(call)
    try {
      await result
    } catch (error) {
      this.#endCall(call)
      this.#failures.failed(call, error)
      this.#turn()
      return
    }
    this.#endCall(call)
    this.#succeeded(call)
    this.#turn()
  }

  #beginCall(call: Call<K, V>): void {
    const held = call.held as HeldPage<K, V>
    call.isUnderWay = true
    held.running += 1
    this.#running += 1
  }

  #endCall(call: Call<K, V>): void {
    const held = call.held as HeldPage<K, V>
    call.isUnderWay = false
    held.running -= 1
    this.#running -= 1
    this.#closers.delete(call)
    if (held.isAbandoned) this.#abandoned -= 1
  }

  #succeeded(call: Call<K, V>): void {
    this.#finish(call.held as HeldPage<K, V>, call.index, call.end)
    call.lane?.release()
  }

  /** What is over is handed out again, whatever its handler came to. */
  #finish(held: HeldPage<K, V>, index: number, end: number): void {
    if (held.isOver) return
    const { progress } = held
    for (let at = index; at < end; at += 1) progress.finish(held, at)
    if (progress !== this.#lastNews) this.#news.add(progress)
    this.#lastNews = progress
    if (held.unfinished === 0) this.#pages.putDown(held)
    else if (held.isWithdrawn) this.#settle(held)
    if (this.#options.by === 'key') progress.review()
  }

  // ------------------------------------------------------------------------------------- stopping

  /** It is not finished, and not tried again. */
  #drop(call: Call<K, V>): void {
    call.lane?.release()
    if (call.held?.isWithdrawn) this.#settle(call.held)
  }

  #stopAt(call: Call<K, V>, cause: unknown): void {
    this.#stop(new HandlerFailedError(call.records[0] as ConsumedRecord<K, V>, cause))
    this.#drop(call)
  }

  /** Begins nothing more, and waits for what is under way. The first failure counts. */
  #stop(failure: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = failure
    for (const held of this.#pages.all()) this.#pages.withdraw(held)
    for (const call of this.#failures.takeWaiting()) this.#drop(call)
    for (const held of this.#pages.all()) this.#settle(held)
    if (this.#pages.size === 0) return
    keepAlive()
    this.#drain = this.#clock.setTimer(() => {
      for (const held of this.#pages.all()) this.#abandon(held)
      this.#endIfOver()
    }, STOP_DRAIN_MS)
  }

  // ---------------------------------------------------------------------------------------- pages

  async #take(): Promise<void> {
    if (this.#isTaking || this.#isClosed || this.#failure !== undefined) return
    this.#isTaking = true
    try {
      const page = await this.#source.take()
      if (page === undefined) this.#isClosed = true
      else if (this.#isClosed || this.#failure !== undefined) page.putDown()
      else this.#add(page)
    } catch (error) {
      this.#stop(asError(error))
    }
    this.#isTaking = false
    this.#turn()
  }

  #add(page: TakenPage<K, V>): void {
    const held = this.#pages.add(page)
    page.withdrawn.onWithdrawn = () => this.#withdrawn(held)
    this.#order.add(held)
    if (this.#options.by === 'key') held.progress.review()
    if (page.withdrawn.isWithdrawn) this.#withdrawn(held)
  }

  #withdrawn(held: HeldPage<K, V>): void {
    if (held.isOver) return
    this.#pages.withdraw(held)
    for (const call of this.#failures.takeWaiting(held)) this.#drop(call)
    if (held.page.withdrawn.isLost) this.#abandon(held)
    else this.#settle(held)
    soon(() => this.#turn())
  }

  /** Puts a withdrawn page down once nothing of it is under way. */
  #settle(held: HeldPage<K, V>): void {
    if (held.isOver || held === this.#current || held.running > 0) return
    this.#pages.putDown(held)
  }

  /** Nobody waits for what is under way of it. */
  #abandon(held: HeldPage<K, V>): void {
    if (held.isOver) return
    if (held === this.#current) {
      const { index, end } = this.#order
      for (let at = index; at < end; at += 1) {
        held.begun.set(at, held.records[at] as ConsumedRecord<K, V>)
      }
    }
    held.isAbandoned = true
    this.#abandoned += held.running
    held.progress.context.abort()
    this.#pages.putDown(held)
  }

  #endIfOver(): void {
    if (this.#isDraining && this.#waitedFor === 0) this.#drained.resolve()
    if (this.#failure === undefined && !this.#isClosed) return
    if (this.#pages.size > 0 || this.#running > this.#abandoned) return
    if (this.#drain !== undefined) letGo()
    this.#drain?.cancel()
    this.#drain = undefined
    if (this.#failure === undefined) this.#over.resolve()
    else this.#over.reject(this.#failure)
  }

  /** What is under way for a close to wait for. */
  get #waitedFor(): number {
    let closers = 0
    for (const { isUnderWay, held } of this.#closers) {
      if (isUnderWay && !held?.isAbandoned) closers += 1
    }
    return this.#running - this.#abandoned - closers
  }
}
