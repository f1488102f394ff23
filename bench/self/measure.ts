// What a measurement is, and the arithmetic on several.

export interface Measurement {
  /** Records a second, or microseconds. */
  readonly value: number
  /** Of times: the 99th percentile. */
  readonly p99?: number
}

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function recordsPerSecond(records: number, beganMs: number): number {
  return (records / (performance.now() - beganMs)) * 1000
}

/** @param sorted rising. */
export function percentile(sorted: Float64Array, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const median = sorted[sorted.length >> 1] ?? Number.NaN
  return { median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN }
}
