// How numbers are shown.
import type { MetricName } from '../trials/types.ts'

const UNITS: Readonly<Record<MetricName, 'rate' | 'us' | 'ms' | 'KiB' | 'MiB' | 'share' | ''>> = {
  rate: 'rate',
  p50Us: 'us',
  p99Us: 'us',
  openMs: 'ms',
  rebalanceMs: 'ms',
  perConsumerKiB: 'KiB',
  peakMiB: 'MiB',
  lateP99Ms: 'ms',
  lateMaxMs: 'ms',
  fileHandles: '',
  storedShare: 'share',
}

const NAMES: Readonly<Record<MetricName, string>> = {
  rate: 'rate',
  p50Us: 'p50',
  p99Us: 'p99',
  openMs: 'time',
  rebalanceMs: 'time',
  perConsumerKiB: 'each',
  peakMiB: 'peak',
  lateP99Ms: 'late p99',
  lateMaxMs: 'late max',
  fileHandles: 'files',
  storedShare: 'stored',
}

export function metricName(metric: MetricName): string {
  return NAMES[metric]
}

/** With its unit; a rate is per second. */
export function shown(value: number, metric: MetricName): string {
  const unit = UNITS[metric]
  if (unit === 'rate') return shownRate(value)
  if (unit === 'share') return value.toFixed(3)
  const digits = Math.abs(value) >= 100 || unit === '' ? 0 : Math.abs(value) >= 10 ? 1 : 2
  return `${value.toFixed(digits)} ${unit}`.trimEnd()
}

function shownRate(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(value >= 1e7 ? 1 : 2)} M/s`
  return value >= 1e4 ? `${(value / 1e3).toFixed(0)} k/s` : `${(value / 1e3).toFixed(2)} k/s`
}

/** A ratio, such as `0.62 x raw+encode`. */
export function shownRatio(value: number): string {
  return value.toFixed(2)
}
