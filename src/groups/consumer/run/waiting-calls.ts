import type { Clock } from '../../../types.ts'
import { keepAlive, letGo } from '../../../util/keep-alive.ts'
import type { Call } from './call.ts'
import type { HeldPage } from './progress.ts'

/** Calls that wait for their next try, and are not taken for dead for that. The process is kept alive meanwhile. */
export class WaitingCalls<K, V> {
  readonly #clock: Clock
  /** Between two signs of what waits. */
  readonly #signMs: number
  readonly #calls = new Set<Call<K, V>>()

  constructor(clock: Clock, maxPollIntervalMs: number) {
    this.#clock = clock
    this.#signMs = maxPollIntervalMs === 0 ? Number.POSITIVE_INFINITY : maxPollIntervalMs / 2
  }

  get size(): number {
    return this.#calls.size
  }

  add(call: Call<K, V>, delayMs: number, due: () => void): void {
    this.#calls.add(call)
    keepAlive()
    this.#arm(call, delayMs, due)
  }

  #arm(call: Call<K, V>, delayMs: number, due: () => void): void {
    const stepMs = Math.min(delayMs, this.#signMs)
    call.timer = this.#clock.setTimer(() => {
      if (stepMs < delayMs) {
        call.held?.progress.heard()
        this.#arm(call, delayMs - stepMs, due)
        return
      }
      this.#delete(call)
      due()
    }, stepMs)
  }

  /** Those of a page, or all, which are not tried again. */
  take(held?: HeldPage<K, V>): Call<K, V>[] {
    const calls = [...this.#calls].filter((call) => held === undefined || call.held === held)
    for (const call of calls) {
      call.timer?.cancel()
      this.#delete(call)
    }
    return calls
  }

  #delete(call: Call<K, V>): void {
    call.timer = undefined
    if (this.#calls.delete(call)) letGo()
  }
}
