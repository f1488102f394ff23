// The arithmetic on measurements.

export interface Spread {
  readonly median: number
  readonly min: number
  readonly max: number
}

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  return {
    median: medianOf(sorted),
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  }
}

/** @param sorted rising. */
function medianOf(sorted: readonly number[]): number {
  const upper = sorted[sorted.length >> 1] ?? Number.NaN
  const lower = sorted[(sorted.length - 1) >> 1] ?? Number.NaN
  return (lower + upper) / 2
}

/** The smallest value that at least `share` of all do not pass. @param sorted rising. */
export function percentile(sorted: Float64Array | readonly number[], share: number): number {
  const rank = Math.ceil(sorted.length * share) - 1
  return sorted[Math.max(0, rank)] ?? Number.NaN
}
