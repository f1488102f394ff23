import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Result } from '../../bench/report/judgement.ts'
import { judge, judgeAll, scoreOf } from '../../bench/report/judgement.ts'
import { percentile, spreadOf } from '../../bench/report/statistics.ts'
import { tablesOf } from '../../bench/report/table.ts'
import type { Target, Workload } from '../../bench/trials/types.ts'

const contenders = [
  { label: 'raw', program: 'raw' },
  { label: 'ours', program: 'brokerless' },
] as const

const workload: Workload = {
  id: 'W0',
  title: 'a workload',
  task: 'append',
  metric: 'rate',
  kind: 'comparison',
  parameters: {},
  quick: {},
  contenders,
}

function results(rawRates: readonly number[], ourRates: readonly number[]): [Result, Result] {
  const measurements = (rates: readonly number[]) => rates.map((rate) => ({ rate }))
  return [
    { workload, contender: contenders[0], measurements: measurements(rawRates) },
    { workload, contender: contenders[1], measurements: measurements(ourRates) },
  ]
}

test('a spread has the middle value of an odd number of measurements', () => {
  assert.deepEqual(spreadOf([5, 1, 9]), { median: 5, min: 1, max: 9 })
})

test('a spread has the mean of the two middle values of an even number of measurements', () => {
  assert.deepEqual(spreadOf([4, 1, 9, 6]), { median: 5, min: 1, max: 9 })
})

test('a percentile is the smallest value that the share does not pass', () => {
  const hundred = Array.from({ length: 100 }, (_, index) => index + 1)
  assert.equal(percentile(hundred, 0.5), 50)
  assert.equal(percentile(hundred, 0.99), 99)
  assert.equal(percentile([7], 0.99), 7)
})

test('a ratio is one of medians, and is reached at its bound', () => {
  const all = results([100, 1, 200], [90, 500, 50])
  const target: Target = { metric: 'rate', of: 'raw', atLeast: 0.9 }
  assert.deepEqual(judge(all[1], target, all), {
    result: all[1],
    target,
    value: 0.9,
    isReached: true,
  })
  assert.equal(judge(all[1], { ...target, atLeast: 0.91 }, all).isReached, false)
  assert.equal(judge(all[1], { metric: 'rate', of: 'raw', atMost: 0.89 }, all).isReached, false)
})

test('a target without a baseline is held to the median itself', () => {
  const all = results([1], [20])
  assert.equal(judge(all[1], { metric: 'rate', atMost: 20 }, all).isReached, true)
  assert.equal(judge(all[1], { metric: 'rate', atMost: 19 }, all).isReached, false)
})

test('a target whose baseline or metric was not measured is neither reached nor missed', () => {
  const [raw, ours] = results([1], [20])
  const target: Target = { metric: 'rate', of: 'raw', atLeast: 1 }
  assert.equal(judge(ours, target, [ours]).isReached, undefined)
  assert.equal(judge(ours, { metric: 'p99Us', atMost: 1 }, [raw, ours]).isReached, undefined)
})

test('the score counts stretch targets apart and the table names what was missed', () => {
  const [raw, ours] = results([100], [50])
  const targets: readonly Target[] = [
    { metric: 'rate', of: 'raw', atLeast: 0.4 },
    { metric: 'rate', of: 'raw', atLeast: 0.6 },
    { metric: 'rate', of: 'raw', atLeast: 0.8, stretch: true },
    { metric: 'rate', of: 'lmdb', atLeast: 1 },
  ]
  const all = [raw, { ...ours, contender: { ...ours.contender, targets } }]
  assert.deepEqual(scoreOf(judgeAll(all)), {
    reached: 1,
    missed: 1,
    unknown: 1,
    stretchReached: 0,
    stretchMissed: 1,
  })
  const last = tablesOf(all, true).split('\n').at(-1)
  assert.equal(
    last,
    'targets: 1 reached, 1 missed, 1 not measured: W0 ours rate x raw; stretch: 0 reached, 1 missed',
  )
  assert.doesNotMatch(tablesOf(all, false), /targets:/)
})
