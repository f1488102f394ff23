/**
 * Consumes, transforms and produces, each record of input exactly once: what it comes to and the offset behind it are one transaction.
 *
 * Pages of the source go to lanes. A partition keeps to its lane as long as a page of it is in hand, so that its records stay in their order, and
 * one transaction of it is behind the other.
 */
import { beginContexts, currentCall, endContexts } from '../../groups/consumer/run/call.ts'
import type { Clock, Timer } from '../../types.ts'
import { Deferred } from '../../util/deferred.ts'
import { asError } from '../../util/error-code.ts'
import { keepAlive, letGo } from '../../util/keep-alive.ts'
import { Input } from './input.ts'
import type { LaneEnvironment, LaneOwner } from './lane.ts'
import { Lane } from './lane.ts'
import type { InputPage } from './seams.ts'

/** How long a call that has failed waits for handlers and transactions that are under way. */
const STOP_DRAIN_MS = 30_000

export interface ProcessorEnvironment<P> extends LaneEnvironment<P> {
  readonly concurrency: number
}

interface Bound<P> {
  readonly lane: Lane<P>
  /** Pages in hand. */
  pages: number
}

export class Processor<P> implements LaneOwner {
  readonly #with: ProcessorEnvironment<P>
  readonly #clock: Clock
  readonly #lanes: Lane<P>[] = []
  /** By partition. */
  readonly #bound = new Map<string, Bound<P>>()
  readonly #over = new Deferred<void>()
  readonly #drained = new Deferred<void>()
  /** Lanes whose handlers have called `close`. */
  readonly #closers = new Set<Lane<P>>()
  #isTaking = false
  /** The source has no more, or is being closed. */
  #isClosed = false
  #isDraining = false
  #failure: Error | undefined
  #drain: Timer | undefined

  constructor(environment: ProcessorEnvironment<P>) {
    this.#with = environment
    this.#clock = environment.clock
  }

  /** Resolves once the source is closed and what was begun is committed; rejects with what stopped it. Once. */
  async run(): Promise<void> {
    beginContexts()
    try {
      this.changed()
      await this.#over.promise
    } finally {
      endContexts()
    }
  }

  /**
   * The consumer closes, and its pages are withdrawn. Resolves when what was begun has ended and is committed, save in the lane whose handler has
   * called the close: it would wait for itself.
   */
  drained(): Promise<void> {
    const call = currentCall()
    const closer = this.#lanes.find((lane) => lane.call === call)
    if (closer !== undefined) this.#closers.add(closer)
    this.#isDraining = true
    this.#isClosed = true
    this.#endIfOver()
    return this.#drained.promise
  }

  // ------------------------------------------------------------------------- told by the lanes

  readonly isStopping = (): boolean => this.#failure !== undefined

  /** The first failure counts. */
  readonly stop = (failure: Error): void => {
    if (this.#failure !== undefined) return
    this.#failure = failure
    for (const lane of this.#lanes) lane.stop()
    keepAlive()
    this.#drain = this.#clock.setTimer(() => {
      for (const lane of this.#lanes) lane.abandon()
      this.#endIfOver()
    }, STOP_DRAIN_MS)
    this.#endIfOver()
  }

  readonly changed = (): void => {
    void this.#take()
    this.#endIfOver()
  }

  readonly putDown = (input: Input): void => {
    const bound = this.#bound.get(input.name)
    if (bound === undefined) return
    bound.pages -= 1
    if (bound.pages === 0) this.#bound.delete(input.name)
  }

  // ---------------------------------------------------------------------------------------- pages

  async #take(): Promise<void> {
    if (this.#isTaking) return
    this.#isTaking = true
    try {
      while (this.#wantsMore) {
        const page = await this.#with.source.take()
        if (page === undefined) this.#isClosed = true
        else if (this.#isClosed || this.#failure !== undefined) page.putDown()
        else this.#add(page)
      }
    } catch (error) {
      this.stop(asError(error))
    }
    this.#isTaking = false
    this.#endIfOver()
  }

  /** While a lane has nothing to handle. */
  get #wantsMore(): boolean {
    if (this.#isClosed || this.#failure !== undefined) return false
    const { concurrency } = this.#with
    return this.#lanes.length < concurrency || this.#lanes.some((lane) => lane.isIdle)
  }

  #add(page: InputPage): void {
    const input = new Input(page)
    // One page of a partition at a time is being handled.
    page.wantMore(false)
    const bound = this.#bound.get(input.name) ?? { lane: this.#choose(), pages: 0 }
    bound.pages += 1
    this.#bound.set(input.name, bound)
    bound.lane.add(input)
  }

  /** An empty one, or else that with the least to do. */
  #choose(): Lane<P> {
    const empty = this.#lanes.find((lane) => lane.isEmpty)
    if (empty !== undefined) return empty
    if (this.#lanes.length < this.#with.concurrency) {
      const lane = new Lane(this, this.#with, this)
      this.#lanes.push(lane)
      return lane
    }
    return this.#lanes.reduce((least, lane) => (lane.load < least.load ? lane : least))
  }

  #endIfOver(): void {
    const isWaitedFor = (lane: Lane<P>): boolean => !lane.isQuiet && !this.#closers.has(lane)
    if (this.#isDraining && !this.#lanes.some(isWaitedFor)) this.#drained.resolve()
    if (this.#failure === undefined && !this.#isClosed) return
    if (this.#lanes.some((lane) => !lane.isEmpty || !lane.isQuiet)) return
    if (this.#drain !== undefined) letGo()
    this.#drain?.cancel()
    this.#drain = undefined
    if (this.#failure === undefined) this.#over.resolve()
    else this.#over.reject(this.#failure)
  }
}
