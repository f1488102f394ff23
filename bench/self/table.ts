// The figures as a Markdown table.
import type { Measurement, Spread } from './measure.ts'
import { spreadOf } from './measure.ts'
import type { Contender, Workload } from './workloads.ts'

export type Results = ReadonlyMap<string, readonly Measurement[]>

/** Measurements by the contender's name. */
export function tableOf(workloads: readonly Workload[], results: Results): string {
  const lines = [
    '| workload | by | median | min to max | ratio | target |',
    '| --- | --- | --- | --- | --- | --- |',
  ]
  for (const workload of workloads) {
    for (const [index, contender] of workload.contenders.entries()) {
      const title = index === 0 ? workload.title : ''
      lines.push(`| ${[title, ...cellsOf(workload, contender, results)].join(' | ')} |`)
    }
  }
  return lines.join('\n')
}

function cellsOf(workload: Workload, contender: Contender, results: Results): string[] {
  const measured = results.get(contender.name) ?? []
  const spread = spreadOf(measured.map(({ value }) => value))
  const tail = measured.flatMap(({ p99 }) => p99 ?? [])
  const show = (value: number): string => shown(value, workload.unit)
  const p99 = tail.length > 0 ? ` (${show(spreadOf(tail).median)})` : ''
  const range = `${show(spread.min)} to ${show(spread.max)}`
  return [
    contender.label,
    `${show(spread.median)}${p99}`,
    range,
    ...ratioCells(workload, contender, spread, results),
  ]
}

function ratioCells(
  workload: Workload,
  { target }: Contender,
  spread: Spread,
  results: Results,
): string[] {
  if (target === undefined) return ['', '']
  const baseline = workload.contenders.find(({ label }) => label === target.of)
  const values = results.get(baseline?.name ?? '') ?? []
  const ratio = spread.median / spreadOf(values.map(({ value }) => value)).median
  const bound = workload.unit === 'us' ? '<=' : '>='
  return [`${ratio.toFixed(2)} x ${target.of}`, `${bound} ${target.ratio}`]
}

function shown(value: number, unit: Workload['unit']): string {
  if (unit === 'us') return `${value.toFixed(1)} us`
  return value >= 1e6 ? `${(value / 1e6).toFixed(2)} M/s` : `${(value / 1e3).toFixed(0)} k/s`
}
