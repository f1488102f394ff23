import type { Clock } from '../types.ts'
import { durationText, sizeText } from './text.ts'

/** How far a command has come that goes through bytes, and how fast. */
export class ByteProgress {
  total = 0
  done = 0
  readonly #clock: Clock
  readonly #startMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#startMs = clock.now()
  }

  get elapsedMs(): number {
    return this.#clock.now() - this.#startMs
  }

  /** Undefined before a millisecond has gone. */
  get bytesPerSecond(): number | undefined {
    const { elapsedMs } = this
    return elapsedMs > 0 ? (this.done * 1000) / elapsedMs : undefined
  }

  /** `1.2 GiB of 3.4 GiB, 35 %, 480 MiB/s, 5 s left`. A file that grows may bring more than there was. */
  text(): string {
    const { total, done, bytesPerSecond } = this
    const parts = [`${sizeText(done)} of ${sizeText(Math.max(total, done))}`]
    if (total > 0) parts.push(`${Math.min(100, Math.floor((done * 100) / total))} %`)
    if (bytesPerSecond !== undefined && bytesPerSecond > 0) {
      parts.push(`${sizeText(bytesPerSecond)}/s`)
      const leftMs = (Math.max(0, total - done) * 1000) / bytesPerSecond
      parts.push(`${durationText(Math.ceil(leftMs / 1000) * 1000)} left`)
    }
    return parts.join(', ')
  }
}
