// The results for the terminal: a table of each workload, then the targets.
import type { MetricName, Workload } from '../trials/types.ts'
import { metricName, shown, shownRatio } from './format.ts'
import type { Judgement, Result } from './judgement.ts'
import { judgeAll, scoreOf, spreadOfMetric } from './judgement.ts'

export function tablesOf(results: readonly Result[], isJudged: boolean): string {
  const workloads = [...new Set(results.map(({ workload }) => workload))]
  const parts = workloads.map((workload) => workloadTable(workload, results))
  if (isJudged) parts.push(targetTable(results), scoreLine(results))
  return parts.join('\n\n')
}

/** Beside the workload's own metric. */
const FURTHER: readonly MetricName[] = [
  'storedShare',
  'p99Us',
  'peakMiB',
  'fileHandles',
  'lateP99Ms',
  'lateMaxMs',
]
/** How late a timer is says something where the work goes on for a while. */
const ONLY_WITH_RATES: ReadonlySet<MetricName> = new Set(['lateP99Ms', 'lateMaxMs'])

function workloadTable(workload: Workload, all: readonly Result[]): string {
  const results = all.filter((each) => each.workload === workload)
  const { metric } = workload
  const first = results[0] as Result
  const further = FURTHER.filter(
    (each) =>
      (metric === 'rate' || !ONLY_WITH_RATES.has(each)) &&
      results.some((result) => cell(result, each) !== ''),
  )
  const ratioTo = first.contender.label === 'raw' ? 'x raw' : 'x first'
  const names = [metricName(metric), 'min to max', ratioTo, ...further.map(metricName)]
  const rows = results.map((result) => [
    result.contender.label,
    cell(result, metric),
    rangeCell(result, metric),
    ratioCell(result, first, metric),
    ...further.map((each) => cell(result, each)),
  ])
  return `${workload.id}  ${workload.title}\n${aligned([['', ...names], ...rows])}`
}

function cell(result: Result, metric: MetricName): string {
  const spread = spreadOfMetric(result, metric)
  return spread === undefined ? '' : shown(spread.median, metric)
}

function rangeCell(result: Result, metric: MetricName): string {
  const spread = spreadOfMetric(result, metric)
  if (spread === undefined) return ''
  return `${shown(spread.min, metric)} to ${shown(spread.max, metric)}`
}

function ratioCell(result: Result, first: Result, metric: MetricName): string {
  const own = spreadOfMetric(result, metric)?.median ?? Number.NaN
  const ratio = own / (spreadOfMetric(first, metric)?.median ?? Number.NaN)
  return Number.isNaN(ratio) ? '' : shownRatio(ratio)
}

function targetTable(results: readonly Result[]): string {
  const rows = judgeAll(results).map(targetRow)
  return `Targets (ratios of medians)\n${aligned([['', '', '', 'wanted', 'measured', ''], ...rows])}`
}

function targetRow({ result, target, value, isReached }: Judgement): string[] {
  const { metric, of, atLeast, atMost, stretch } = target
  const bound = atLeast ?? atMost ?? Number.NaN
  const show = (number: number): string =>
    of === undefined ? shown(number, metric) : `${shownRatio(number)} x ${of}`
  const verdict = isReached ? 'reached' : isReached === undefined ? 'not measured' : 'MISSED'
  return [
    result.workload.id,
    result.contender.label,
    metricName(metric),
    `${atLeast === undefined ? '<=' : '>='} ${show(bound)}${stretch ? ' (stretch)' : ''}`,
    Number.isNaN(value) ? '' : show(value),
    verdict,
  ]
}

function scoreLine(results: readonly Result[]): string {
  const judgements = judgeAll(results)
  const score = scoreOf(judgements)
  const missed = judgements.filter(
    ({ isReached, target }) => isReached === false && !target.stretch,
  )
  const names = missed.map(({ result, target }) => {
    const of = target.of === undefined ? '' : ` x ${target.of}`
    return `${result.workload.id} ${result.contender.label} ${metricName(target.metric)}${of}`
  })
  const unknown = score.unknown > 0 ? `, ${score.unknown} not measured` : ''
  const stretch = `; stretch: ${score.stretchReached} reached, ${score.stretchMissed} missed`
  const list = names.length > 0 ? `: ${names.join('; ')}` : ''
  return `targets: ${score.reached} reached, ${score.missed} missed${unknown}${list}${stretch}`
}

/** The first column to the left, numbers to the right. */
function aligned(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  const line = (row: readonly string[]): string =>
    row
      .map((text, column) => {
        const width = widths[column] ?? 0
        return column === 0 ? text.padEnd(width) : text.padStart(width)
      })
      .join('  ')
      .trimEnd()
  return rows.map((row) => `  ${line(row)}`).join('\n')
}
