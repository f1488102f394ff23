import type { Clock, Timer } from '../types.ts'
import { keepAlive, letGo } from '../util/keep-alive.ts'

/** The time that the first records of a batch wait for others. Their callers wait with them, so it keeps the process alive. */
export class Linger {
  readonly #clock: Clock
  readonly #over: () => void
  #timer: Timer | undefined

  /** @param over told when the time is over, unless it was ended before. */
  constructor(clock: Clock, over: () => void) {
    this.#clock = clock
    this.#over = over
  }

  get isOn(): boolean {
    return this.#timer !== undefined
  }

  /** Nothing happens where it has begun already. */
  begin(lingerMs: number): void {
    if (this.#timer !== undefined) return
    keepAlive()
    this.#timer = this.#clock.setTimer(() => {
      this.end()
      this.#over()
    }, lingerMs)
  }

  end(): void {
    if (this.#timer === undefined) return
    this.#timer.cancel()
    this.#timer = undefined
    letGo()
  }
}
