import type { Clock, Timer } from '../../types.ts'
import { keepAlive, letGo } from '../../util/keep-alive.ts'

/** A wait that can be cut short. Who waits is not taken for dead for that, and the process is kept alive. */
export class Pause {
  readonly #clock: Clock
  /** Between two signs of what waits. */
  readonly #signMs: number
  readonly #heard: () => void
  #timer: Timer | undefined
  #end: (() => void) | undefined

  constructor(clock: Clock, signMs: number, heard: () => void) {
    this.#clock = clock
    this.#signMs = signMs
    this.#heard = heard
  }

  /** One at a time. Resolves after the delay, or at `cut`. */
  async wait(delayMs: number): Promise<void> {
    keepAlive()
    await new Promise<void>((resolve) => {
      this.#end = resolve
      this.#arm(delayMs)
    })
    letGo()
  }

  cut(): void {
    this.#timer?.cancel()
    this.#end?.()
    this.#end = undefined
  }

  #arm(delayMs: number): void {
    const stepMs = Math.min(delayMs, this.#signMs)
    this.#timer = this.#clock.setTimer(() => {
      this.#heard()
      if (stepMs < delayMs) this.#arm(delayMs - stepMs)
      else this.cut()
    }, stepMs)
  }
}
