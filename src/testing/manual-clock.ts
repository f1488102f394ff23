import type { Clock, Timer } from '../types.ts'
import { Mutex } from '../util/mutex.ts'

/** Taken here, so that a test that mocks the global timers does not stop the clock. */
const { setImmediate: nextTurn } = globalThis

/** Turns of the event loop given to work that a timer woke: answers may take one through `setImmediate` a step. */
const SETTLING_TURNS = 4

const DEFAULT_START_MS = Date.UTC(2026, 0, 1)

interface PendingTimer {
  /** On the scale of `#elapsedMs`. */
  readonly dueMs: number
  readonly callback: () => void | Promise<void>
}

/**
 * A clock that stands still until a test moves it.
 *
 * Timers fire within `advance` only, earliest first, those due at the same time in the order in which they were set.
 */
export class ManualClock implements Clock {
  readonly #startMs: number
  readonly #moves = new Mutex()
  /** In the order in which they fire. */
  readonly #timers: PendingTimer[] = []
  readonly #work = new Set<Promise<void>>()
  #elapsedMs = 0
  /** What `setTime` put between the time shown and the time elapsed. */
  #shiftMs = 0

  /** `startMs`: milliseconds since the Unix epoch; default 2026-01-01T00:00:00Z. */
  constructor(startMs: number = DEFAULT_START_MS) {
    if (!Number.isFinite(startMs)) throw new RangeError(`startMs must be finite, not ${startMs}`)
    this.#startMs = startMs
  }

  now(): number {
    return this.#startMs + this.#elapsedMs + this.#shiftMs
  }

  /** Timers set and neither fired nor cancelled. */
  get pendingTimers(): number {
    return this.#timers.length
  }

  setTimer(callback: () => void | Promise<void>, delayMs: number): Timer {
    if (Number.isNaN(delayMs)) throw new RangeError('delayMs must be a number, not NaN')
    const timer = { dueMs: this.#elapsedMs + Math.max(delayMs, 0), callback }
    const after = this.#timers.findLastIndex((each) => each.dueMs <= timer.dueMs)
    this.#timers.splice(after + 1, 0, timer)
    return { cancel: () => this.#remove(timer) }
  }

  /** For the library: `advance` waits for this work, begun by calls, as well. */
  track(work: Promise<void>): void {
    this.#work.add(work)
    const done = (): boolean => this.#work.delete(work)
    work.then(done, done)
  }

  /**
   * Moves time by `ms` (finite, >= 0) and fires each timer that falls due on the way at its own time, those
   * set on the way included. Resolves when the work that the timers started, and what it woke, is done, and the
   * writes and syncs that calls had begun are.
   * Calls made while one is under way take their turn after it. Rejects with what a timer threw.
   *
   * A timer's callback must not wait for `advance` or for a later timer: it would wait for ever.
   */
  async advance(ms: number): Promise<void> {
    if (!Number.isFinite(ms) || ms < 0)
      throw new RangeError(`ms must be finite and >= 0, not ${ms}`)
    await this.#moves.run(() => this.#advance(ms))
  }

  /**
   * Shows another time (milliseconds since the Unix epoch), earlier or later, as when a computer's clock is set:
   * no timer fires, and each still has the delay that it had left.
   */
  setTime(timeMs: number): void {
    if (!Number.isFinite(timeMs)) throw new RangeError(`timeMs must be finite, not ${timeMs}`)
    this.#shiftMs += timeMs - this.now()
  }

  async #advance(ms: number): Promise<void> {
    const endMs = this.#elapsedMs + ms
    // What was called just before may be about to set its timer.
    await this.#settle()
    for (;;) {
      const next = this.#timers[0]
      if (next === undefined || next.dueMs > endMs) break
      this.#timers.shift()
      this.#elapsedMs = next.dueMs
      await next.callback()
      await this.#settle()
    }
    this.#elapsedMs = endMs
  }

  async #settle(): Promise<void> {
    await turns()
    while (this.#work.size > 0) {
      await Promise.allSettled(this.#work)
      await turns()
    }
  }

  #remove(timer: PendingTimer): void {
    const index = this.#timers.indexOf(timer)
    if (index >= 0) this.#timers.splice(index, 1)
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < SETTLING_TURNS; turn += 1) {
    await new Promise<void>((resolve) => nextTurn(resolve))
  }
}
