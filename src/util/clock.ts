import createDebug from 'debug'
import type { Clock, Timer } from '../types.ts'

const debug = createDebug('brokerless:clock')

/** Node fires a longer timeout at once. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1

class SystemTimer implements Timer {
  readonly #callback: () => void | Promise<void>
  #remainingMs: number
  #timeout: NodeJS.Timeout

  constructor(callback: () => void | Promise<void>, delayMs: number) {
    this.#callback = callback
    this.#remainingMs = delayMs
    this.#timeout = this.#arm()
  }

  cancel(): void {
    clearTimeout(this.#timeout)
  }

  #arm(): NodeJS.Timeout {
    const stepMs = Math.min(this.#remainingMs, LONGEST_TIMEOUT_MS)
    this.#remainingMs -= stepMs
    const timeout = setTimeout(() => this.#step(), stepMs)
    timeout.unref()
    return timeout
  }

  #step(): void {
    if (this.#remainingMs > 0) this.#timeout = this.#arm()
    else run(this.#callback).catch(report)
  }
}

async function run(callback: () => void | Promise<void>): Promise<void> {
  await callback()
}

/** Callbacks handle their own errors; one that does not must not end the process. */
function report(error: unknown): void {
  debug('a timer failed: %O', error)
}

class SystemClock implements Clock {
  now(): number {
    return Date.now()
  }

  setTimer(callback: () => void | Promise<void>, delayMs: number): Timer {
    return new SystemTimer(callback, delayMs)
  }
}

/** The computer's own time, as a `Clock`: delays of any length, unref'ed timers. */
export const systemClock: Clock = new SystemClock()
