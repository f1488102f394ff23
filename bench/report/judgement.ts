// What a target comes to: a ratio or a value, reached or missed.
import type { MetricName, Metrics, Target, Workload } from '../trials/types.ts'
import type { Spread } from './statistics.ts'
import { spreadOf } from './statistics.ts'

/** All measurements of a contender, one a repetition. */
export interface Result {
  readonly workload: Workload
  readonly contender: Workload['contenders'][number]
  readonly measurements: readonly Metrics[]
}

export interface Judgement {
  readonly result: Result
  readonly target: Target
  /** Of medians, or the median itself. NaN where one side was not measured. */
  readonly value: number
  /** Undefined where it cannot be told. */
  readonly isReached: boolean | undefined
}

/** Undefined where no measurement has the metric. */
export function spreadOfMetric(result: Result, metric: MetricName): Spread | undefined {
  const values = result.measurements.flatMap((each) => each[metric] ?? [])
  return values.length === 0 || values.some(Number.isNaN) ? undefined : spreadOf(values)
}

export function judge(result: Result, target: Target, all: readonly Result[]): Judgement {
  const value = measuredValue(result, target, all)
  const isReached = Number.isNaN(value)
    ? undefined
    : value >= (target.atLeast ?? Number.NEGATIVE_INFINITY) &&
      value <= (target.atMost ?? Number.POSITIVE_INFINITY)
  return { result, target, value, isReached }
}

function measuredValue(result: Result, { metric, of }: Target, all: readonly Result[]): number {
  const own = spreadOfMetric(result, metric)?.median ?? Number.NaN
  if (of === undefined) return own
  const baseline = all.find(
    ({ workload, contender }) => workload === result.workload && contender.label === of,
  )
  return own / ((baseline && spreadOfMetric(baseline, metric)?.median) ?? Number.NaN)
}

export function judgeAll(results: readonly Result[]): Judgement[] {
  return results.flatMap((result) =>
    (result.contender.targets ?? []).map((target) => judge(result, target, results)),
  )
}

export interface Score {
  readonly reached: number
  readonly missed: number
  /** What it would be compared with was not run. */
  readonly unknown: number
  readonly stretchReached: number
  readonly stretchMissed: number
}

export function scoreOf(judgements: readonly Judgement[]): Score {
  const count = (isStretch: boolean, isReached: boolean | undefined): number =>
    judgements.filter(
      (each) => (each.target.stretch ?? false) === isStretch && each.isReached === isReached,
    ).length
  return {
    reached: count(false, true),
    missed: count(false, false),
    unknown: count(false, undefined),
    stretchReached: count(true, true),
    stretchMissed: count(true, false),
  }
}
