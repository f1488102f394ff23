// offsets: what groups have committed, shown, reset and deleted.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { LogAndCommands } from '../support/command-line-log.ts'
import { logAndCommands } from '../support/command-line-log.ts'

const T0 = Date.UTC(2026, 0, 1)

/** t-0 with offsets 2 to 10, t-1 with 0 to 4, a record a second; billing has committed 5 and 1. */
async function filled(): Promise<LogAndCommands> {
  const given = logAndCommands()
  const topics = { t: { value: 'string', partitions: 2 }, u: {} } as const
  await given.fill({ topics }, async (log) => {
    for (let n = 0; n < 10; n += 1) {
      const timestamp = T0 + n * 1000
      await log.produce('t', { value: `${n}`, timestamp, partition: 0 })
      if (n < 4) await log.produce('t', { value: `${n}`, timestamp, partition: 1 })
    }
    await log.deleteRecords('t', { partition: 0, before: 2 })
    await log.commitOffset('billing', [
      { topic: 't', partition: 0, offset: 5, metadata: 'kept' },
      { topic: 't', partition: 1, offset: 1 },
      { topic: 'u', partition: 0, offset: 0 },
    ])
    await log.commitOffset('other', { topic: 't', partition: 0, offset: 10 })
  })
  return given
}

/** What is committed, by topic and partition. */
async function committed({ run }: LogAndCommands, group = 'billing'): Promise<object> {
  const { stdout } = await run(['offsets', 'show', '--json'])
  const all: readonly Record<string, unknown>[] = JSON.parse(stdout)
  const own = all.filter((each) => each['group'] === group)
  return Object.fromEntries(
    own.map(({ topic, partition, offset }) => [`${topic}-${partition}`, offset]),
  )
}

const BEFORE = { 't-0': 5, 't-1': 1, 'u-0': 0 }

suite('offsets show', () => {
  test('is what offsets does, for all groups', async () => {
    const { run } = await filled()
    const time = '2026-01-01T00:00:00.000Z'
    assert.deepEqual(await run(['offsets']), {
      exitCode: 0,
      stdout: [
        'GROUP    TOPIC  PARTITION  OFFSET  COMMITTED                 METADATA',
        `billing  t              0       5  ${time}  kept`,
        `billing  t              1       1  ${time}`,
        `billing  u              0       0  ${time}`,
        `other    t              0      10  ${time}`,
        '',
      ].join('\n'),
      stderr: '',
    })
    assert.deepEqual(await run(['offsets', 'show']), await run(['offsets']))
  })

  test('leaves out what was not named', async () => {
    const { run } = await filled()
    const shown = async (...args: string[]): Promise<unknown> => {
      const all = JSON.parse((await run(['offsets', 'show', '--json', ...args])).stdout)
      return all.map((each: Record<string, unknown>) => {
        return `${each['group']} ${each['topic']}-${each['partition']}`
      })
    }
    assert.deepEqual(await shown('--group', 'other'), ['other t-0'])
    assert.deepEqual(await shown('--topic', 'u'), ['billing u-0'])
    assert.deepEqual(await shown('-t', 't', '-p', '1'), ['billing t-1'])
    const unknown = await run(['offsets', '-g', 'bill'])
    assert.match(unknown.stderr, /^brokerless: there is no group 'bill'; /)
    assert.equal(unknown.exitCode, 1)
  })
})

suite('offsets reset', () => {
  for (const [what, args, after] of [
    ['the start', ['--to', 'start'], { 't-0': 2, 't-1': 0 }],
    ['the end', ['--to', 'end'], { 't-0': 10, 't-1': 4 }],
    ['an offset, as near as it gets', ['--to', '7'], { 't-0': 7, 't-1': 4 }],
    ['so many before the end', ['--to', '-3'], { 't-0': 7, 't-1': 1 }],
    ['a time', ['--to', '2026-01-01T00:00:03Z'], { 't-0': 3, 't-1': 3 }],
    ['a time that is not there yet', ['--to', '2030-01-01'], { 't-0': 10, 't-1': 4 }],
    ['so many back', ['--by', '-2'], { 't-0': 3, 't-1': 0 }],
    ['so many on', ['--by', '100', '-p', '1'], { 't-1': 4 }],
    ['in one partition', ['--to', 'start', '-p', '0'], { 't-0': 2 }],
  ] as const) {
    test(`sets to ${what}, and with --dry-run only tells it`, async () => {
      const made = await filled()
      const reset = ['offsets', 'reset', '-g', 'billing', '-t', 't', '--json', ...args]
      const dry = JSON.parse((await made.run([...reset, '--dry-run'])).stdout)
      assert.equal(dry.dryRun, true)
      assert.deepEqual(await committed(made), BEFORE)
      const { exitCode, stdout } = await made.run(reset)
      assert.equal(exitCode, 0)
      assert.deepEqual({ ...dry, dryRun: false }, JSON.parse(stdout))
      assert.deepEqual(await committed(made), { ...BEFORE, ...after })
      assert.deepEqual(await committed(made, 'other'), { 't-0': 10 })
    })
  }

  test('shows what was and what is, keeps metadata, and makes a group that was not there', async () => {
    const made = await filled()
    const args = ['offsets', 'reset', '-t', 't', '--to', 'start', '-g']
    assert.deepEqual(await made.run([...args, 'billing', '--dry-run']), {
      exitCode: 0,
      stdout:
        'TOPIC  PARTITION  FROM  TO\nt              0     5   2\nt              1     1   0\n',
      stderr: 'dry run: nothing was changed\n',
    })
    const fresh = await made.run([...args, 'fresh'])
    assert.match(fresh.stdout, /\nt {14}0 {5}- {3}2\n/)
    assert.deepEqual(await committed(made, 'fresh'), { 't-0': 2, 't-1': 0 })
    await made.run([...args, 'billing'])
    assert.match((await made.run(['offsets', '-g', 'billing'])).stdout, / 2 .* kept\n/)
  })

  test('by so many needs something to start from', async () => {
    const { run } = await filled()
    const { exitCode, stderr } = await run([
      'offsets',
      'reset',
      '-g',
      'other',
      '-t',
      't',
      '--by',
      '1',
    ])
    assert.equal(exitCode, 1)
    assert.match(stderr, /^brokerless: other has committed nothing for t-1, so --by has nothing/)
  })

  test('of a topic that is not there changes nothing', async () => {
    const made = await filled()
    const args = ['offsets', 'reset', '-g', 'billing', '-t', 'v', '--to', 'end']
    for (const more of [[], ['--dry-run']]) {
      const { exitCode, stderr } = await made.run([...args, ...more])
      assert.equal(exitCode, 1)
      assert.match(stderr, /^brokerless: there is no topic 'v'/)
    }
    assert.deepEqual(await committed(made), BEFORE)
  })
})

suite('offsets delete', () => {
  test('forgets a group, after a dry run that does not', async () => {
    const made = await filled()
    const args = ['offsets', 'delete', '-g', 'billing']
    const dry = await made.run([...args, '--dry-run'])
    assert.deepEqual(
      [dry.stdout, dry.stderr],
      ['would delete group billing with 3 offsets\n', 'dry run: nothing was changed\n'],
    )
    assert.deepEqual(await committed(made), BEFORE)
    assert.equal((await made.run(args)).stdout, 'deleted group billing with 3 offsets\n')
    assert.deepEqual(await committed(made), {})
    assert.deepEqual(JSON.parse((await made.run(['groups', '--json'])).stdout).length, 1)
    assert.match((await made.run(args)).stderr, /^brokerless: there is no group 'billing'/)
  })

  test('forgets the offsets of a topic, or of some of its partitions', async () => {
    const made = await filled()
    const args = ['offsets', 'delete', '-g', 'billing', '-t', 't']
    const one = await made.run([...args, '-p', '1', '--json'])
    assert.deepEqual(JSON.parse(one.stdout), {
      group: 'billing',
      dryRun: false,
      deleted: [{ topic: 't', partition: 1, offset: 1 }],
    })
    assert.deepEqual(await committed(made), { 't-0': 5, 'u-0': 0 })
    assert.equal((await made.run(args)).stdout, 'deleted 1 offset of group billing\n')
    assert.deepEqual(await committed(made), { 'u-0': 0 })
    const { exitCode, stderr } = await made.run(args)
    assert.equal(exitCode, 1)
    assert.match(stderr, /^brokerless: billing has committed nothing for t/)
  })
})

suite('offsets refuses', () => {
  for (const [args, message] of [
    [['remove'], "offsets: 'remove' is none of show, reset, delete"],
    [['--to', 'end'], 'offsets show takes no --to'],
    [['show', '--dry-run'], 'offsets show takes no --dry-run'],
    [['delete', '-g', 'g', '--by', '5'], 'offsets delete takes no --by'],
    [['-p', '1'], 'offsets needs --topic TOPIC'],
    [['reset', '-t', 't', '--to', 'end'], 'offsets needs --group GROUP'],
    [['reset', '-g', 'g', '--to', 'end'], 'offsets needs --topic TOPIC'],
    [
      ['reset', '-g', 'g', '-t', 't'],
      'offsets reset needs --to WHERE or --by N, and one of them; WHERE is start, end, OFFSET, -N or TIME',
    ],
    [
      ['reset', '-g', 'g', '-t', 't', '--to', 'end', '--by', '1'],
      'offsets reset needs --to WHERE or --by N, and one of them; WHERE is start, end, OFFSET, -N or TIME',
    ],
    [
      ['reset', '-g', 'g', '-t', 't', '--by', 'some'],
      "offsets: --by is 'some'; it must be an integer",
    ],
    [
      ['reset', '-g', 'g', '-t', 't', '--to', 'there'],
      "offsets: --to is 'there'; it must be start, end, OFFSET, -N or TIME",
    ],
  ] as const) {
    test(args.join(' '), async () => {
      const made = await filled()
      const { exitCode, stderr } = await made.run(['offsets', ...args])
      assert.deepEqual([exitCode, stderr], [2, `brokerless: ${message}\n`])
      assert.deepEqual(await committed(made), BEFORE)
    })
  }
})
