// Times the work, and while it runs, how late a timer of 1 ms is. The timer runs in the measured process: with and without it
// W1 and W5 differ by less than they spread.
import { readFileSync } from 'node:fs'
import { percentile } from '../report/statistics.ts'
import type { Metrics } from '../trials/types.ts'

const PERIOD_MS = 1

export class Stopwatch {
  /** Of the work that was timed. */
  milliseconds = Number.NaN
  #peakBytes = Number.NaN
  readonly #latenessMs: number[] = []

  async time(work: () => unknown): Promise<void> {
    let last = performance.now()
    let fired = (): void => {}
    const timer = setInterval(() => {
      const now = performance.now()
      this.#note(now - last - PERIOD_MS)
      last = now
      fired()
    }, PERIOD_MS)
    const began = performance.now()
    last = began
    await work()
    this.milliseconds = performance.now() - began
    this.#peakBytes = peakBytes()
    await new Promise<void>((resolve) => {
      fired = resolve
    })
    clearInterval(timer)
  }

  /** A loop that was blocked for long was late for every millisecond of it. */
  #note(lateMs: number): void {
    this.#latenessMs.push(Math.max(0, lateMs))
    for (let late = lateMs - PERIOD_MS; late > 0; late -= PERIOD_MS) this.#latenessMs.push(late)
  }

  metrics(emptyBytes: number): Metrics {
    const sorted = Float64Array.from(this.#latenessMs).sort()
    return {
      peakMiB: (this.#peakBytes - emptyBytes) / 2 ** 20,
      lateP99Ms: percentile(sorted, 0.99),
      lateMaxMs: sorted.at(-1) ?? Number.NaN,
    }
  }
}

/**
 * The most memory that was resident. On Linux from /proc: what `resourceUsage` tells there may be the parent's, whose memory a
 * child shares until it starts its program.
 */
export function peakBytes(): number {
  const fallback = process.resourceUsage().maxRSS * 1024
  if (process.platform !== 'linux') return fallback
  const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1]
  return kibibytes === undefined ? fallback : Number(kibibytes) * 1024
}
