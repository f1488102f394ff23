import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCommand, UsageError } from '../../bench/cli.ts'
import { TRIALS } from '../../bench/trials/trials.ts'
import type { Workload } from '../../bench/trials/types.ts'

const parse = (...args: string[]) => parseCommand(args, TRIALS)
const idsOf = (workloads: readonly Workload[]) => [...new Set(workloads.map(({ id }) => id))]

function assertUsage(args: readonly string[], message: RegExp): void {
  assert.throws(
    () => parseCommand(args, TRIALS),
    (error) => error instanceof UsageError && message.test(error.message),
  )
}

test('without arguments all trials run five times', () => {
  const command = parse()
  assert.equal(command.repetitions, 5)
  assert.equal(command.isQuick, false)
  assert.deepEqual(command.workloads, TRIALS)
})

test('a quick run has one repetition unless more are asked for', () => {
  assert.equal(parse('--quick').repetitions, 1)
  assert.equal(parse('--quick', '--repetitions', '2').repetitions, 2)
})

test('a quick run has contenders of every workload, and leaves out what others of it do as well', () => {
  const { workloads } = parse('--quick')
  assert.deepEqual(idsOf(workloads), idsOf(TRIALS))
  const contenders = workloads.flatMap((workload) => workload.contenders)
  assert.ok(contenders.every(({ notInQuick }) => !notInQuick))
  assert.ok(
    parse().workloads.some((workload) => workload.contenders.some((each) => each.notInQuick)),
  )
})

test('workloads are named in any case, and several trials may share a name', () => {
  assert.deepEqual(idsOf(parse('w5', 'W10').workloads), ['W5', 'W10'])
  assert.ok(parse('opening').workloads.length > 1)
})

test('--only leaves the contenders of the programs that it names, and the workloads that have some', () => {
  const { workloads } = parse('--only', 'raw,lmdb')
  const programs = workloads.flatMap(({ contenders }) => contenders.map(({ program }) => program))
  assert.deepEqual([...new Set(programs)].sort(), ['lmdb', 'raw'])
  assert.ok(!idsOf(workloads).includes('W11'))
})

test('files and directories are taken as they are given', () => {
  const { json, svg, directory } = parse('--json', 'a', '--svg', 'b', '--directory', 'c')
  assert.deepEqual({ json, svg, directory }, { json: 'a', svg: 'b', directory: 'c' })
})

test('an unknown workload is refused with the names that there are', () => {
  assertUsage(
    ['W9'],
    /no workload is called W9; there are W1, W2, .*W8, W10, W11, W12, W13, W14, W15, W16, W17, W18, W19, W20, W21, W22, W1-growth, .*opening$/,
  )
})

test('an unknown program is refused with the names that there are', () => {
  assertUsage(['--only', 'raw,redis'], /no program is called redis; there are raw, raw\+encode, /)
})

test('programs that take no part in the workloads are refused', () => {
  assertUsage(['W11', '--only', 'lmdb'], /none of lmdb takes part in W11/)
})

test('an unknown option is refused with the usage', () => {
  assertUsage(['--fast'], /--fast[\s\S]*--repetitions N/)
})

test('repetitions must be an integer of at least 1', () => {
  for (const text of ['0', '-1', '1.5', 'many', '']) {
    assertUsage([`--repetitions=${text}`], /must be an integer of at least 1/)
  }
})

test('every target has a baseline in its workload, and labels are unique there', () => {
  for (const { title, contenders } of TRIALS) {
    const labels = contenders.map(({ label }) => label)
    assert.equal(new Set(labels).size, labels.length, title)
    for (const { of } of contenders.flatMap(({ targets = [] }) => targets)) {
      if (of !== undefined) assert.ok(labels.includes(of), `${title}: ${of}`)
    }
  }
})
