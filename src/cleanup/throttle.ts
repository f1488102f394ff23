import type { Clock } from '../types.ts'
import { Deferred } from '../util/deferred.ts'
import { giveWay, turnIsLongForBackground } from '../util/turn.ts'

/** Less than this is not slept for, but put on account: a timer is not that exact. */
const SHORTEST_SLEEP_MS = 20

/** Holds work to a number of bytes a second, to short turns of the event loop, and to its end: each step of it goes through `spend`. */
export class Throttle {
  readonly #clock: Clock
  readonly #bytesPerSecond: number
  /** When what was spent so far is paid for. */
  #dueMs = 0
  /** Of those who wait for the work to sleep or to end. */
  readonly #waiting = new Set<Deferred<void>>()
  #sleeping = 0

  /** @param bytesPerSecond infinite: no bound. */
  constructor(clock: Clock, bytesPerSecond: number) {
    this.#clock = clock
    this.#bytesPerSecond = bytesPerSecond
  }

  /**
   * Runs work that spends. `paused` resolves when it sleeps for the first time, or has ended: a timer that begins it waits for that, since
   * the sleep ends by a timer as well. Where other work sleeps already, it resolves at once: this one may have to wait for that.
   */
  begin<T>(work: () => Promise<T>): {
    readonly ended: Promise<T>
    readonly paused: Promise<void>
  } {
    const paused = this.#nextPause()
    const ended = work().finally(() => this.#pause())
    return { ended, paused }
  }

  /** Resolves when so many bytes may be read or written. Rejects with the signal's reason once the work is to end. */
  async spend(bytes: number, signal: AbortSignal): Promise<void> {
    if (turnIsLongForBackground()) await giveWay()
    // Also of a signal that was given while it waited: `#sleep` would not hear of it any more.
    signal.throwIfAborted()
    const now = this.#clock.now()
    // What is on account is bounded: a clock that was set back would make it wait for ever.
    const debtMs = Math.min(Math.max(this.#dueMs - now, 0), SHORTEST_SLEEP_MS)
    const waitMs = debtMs + (1000 * bytes) / this.#bytesPerSecond
    this.#dueMs = now + waitMs
    if (waitMs >= SHORTEST_SLEEP_MS) await this.#sleep(Math.ceil(waitMs), signal)
    signal.throwIfAborted()
  }

  #sleep(ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        timer.cancel()
        this.#sleeping -= 1
        signal.removeEventListener('abort', wake)
        resolve()
      }
      const timer = this.#clock.setTimer(() => {
        wake()
        return this.#nextPause()
      }, ms)
      signal.addEventListener('abort', wake, { once: true })
      this.#sleeping += 1
      this.#pause()
    })
  }

  #nextPause(): Promise<void> {
    const waiting = new Deferred<void>()
    if (this.#sleeping > 0) waiting.resolve()
    else this.#waiting.add(waiting)
    return waiting.promise
  }

  #pause(): void {
    for (const waiting of this.#waiting) waiting.resolve()
    this.#waiting.clear()
  }
}
