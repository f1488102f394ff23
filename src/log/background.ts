import type { Clock, Timer } from '../types.ts'
import { asError } from '../util/error-code.ts'

/** Work that is done behind the calls, at intervals. */
export class Background {
  readonly #clock: Clock
  readonly #failed: (error: Error) => void
  readonly #timers = new Set<Timer>()
  readonly #runs = new Set<Promise<void>>()
  #isStopped = false

  /** @param failed told of what a run has rejected with; the task is run again at its time. */
  constructor(clock: Clock, failed: (error: Error) => void) {
    this.#clock = clock
    this.#failed = failed
  }

  /** Runs a task each time so long after its last run has ended. */
  every(intervalMs: number, task: () => Promise<void>): void {
    const timer = this.#clock.setTimer(async () => {
      this.#timers.delete(timer)
      if (this.#isStopped) return
      const run = task().catch((error: unknown) => this.#failed(asError(error)))
      this.#runs.add(run)
      await run
      this.#runs.delete(run)
      if (!this.#isStopped) this.every(intervalMs, task)
    }, intervalMs)
    this.#timers.add(timer)
  }

  /** No more runs begin. */
  stop(): void {
    this.#isStopped = true
    for (const timer of this.#timers) timer.cancel()
  }

  /** Resolves when none is under way. */
  async idle(): Promise<void> {
    await Promise.all(this.#runs)
  }
}
