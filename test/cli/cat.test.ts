// cat: records, as bytes, JSON and by a template; from where to where.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Interrupted } from '../../src/cli/errors.ts'
import { run as runCommandLine } from '../../src/cli/run.ts'
import type { Log } from '../../src/index.ts'
import { Gathering, ran, surroundings } from '../support/command-line.ts'
import type { LogAndCommands } from '../support/command-line-log.ts'
import { logAndCommands } from '../support/command-line-log.ts'
import type { ExpectedPartition, FixtureSet } from '../support/fixtures.ts'
import { fixtureDirectory, loadPartitions } from '../support/fixtures.ts'
import { eventually, openAt } from '../support/log-places.ts'

const T0 = Date.UTC(2026, 0, 1)

/** A topic of text with two partitions: a0 … a4 in the first, b0 … b2 in the second, a second apart. */
async function filled(): Promise<LogAndCommands> {
  const given = logAndCommands()
  await given.fill({ topics: { t: { value: 'string', partitions: 2 } } }, async (log) => {
    for (let n = 0; n < 5; n += 1) {
      const timestamp = T0 + n * 1000
      await log.produce('t', { key: `k${n % 2}`, value: `a${n}`, timestamp, partition: 0 })
      if (n < 3) await log.produce('t', { value: `b${n}`, timestamp, partition: 1 })
    }
    await log.deleteRecords('t', { partition: 0, before: 1 })
  })
  return given
}

suite('cat', () => {
  for (const [what, args, expected] of [
    ['all values, a partition after the other', [], 'a1 a2 a3 a4 b0 b1 b2'],
    ['one partition', ['-p', '1'], 'b0 b1 b2'],
    ['several partitions', ['-p', '1', '-p', '0', '--partition', '1'], 'b0 b1 b2 a1 a2 a3 a4'],
    ['from an offset on', ['--from', '2'], 'a2 a3 a4 b2'],
    ['from an offset that is gone', ['--from', '0', '-p', '0'], 'a1 a2 a3 a4'],
    ['from an offset that is not there yet', ['--from', '99'], ''],
    ['the last offsets of each partition', ['--from', '-1'], 'a4 b2'],
    ['from a time on', ['--from', '2026-01-01T00:00:02Z'], 'a2 a3 a4 b2'],
    ['from a time in milliseconds on', ['--from', `@${T0 + 1001}`], 'a2 a3 a4 b2'],
    ['up to a time', ['--until', `@${T0 + 2000}`], 'a1 b0 b1'],
    ['up to an offset', ['--until', '3'], 'a1 a2 b0 b1 b2'],
    ['all but the last', ['--until', '-1'], 'a1 a2 a3 b0 b1'],
    ['between two places', ['--from', '2', '--until', '3'], 'a2 b2'],
    ['nothing from the end on', ['--from', 'end'], ''],
    ['nothing up to the start', ['--until', 'start'], ''],
    ['so many records', ['--count', '5'], 'a1 a2 a3 a4 b0'],
    ['no records', ['-c', '0'], ''],
    ['those of a key', ['--key', 'k1'], 'a1 a3'],
    ['those of several keys, so many', ['-k', 'k0', '-k', 'k1', '-c', '3'], 'a1 a2 a3'],
    ['those of a key that no record has', ['-k', 'k9'], ''],
  ] as const) {
    test(`prints ${what}`, async () => {
      const { run } = await filled()
      const { exitCode, stdout, stderr } = await run(['cat', 't', ...args])
      assert.deepEqual([exitCode, stdout.trim().split('\n').join(' '), stderr], [0, expected, ''])
    })
  }

  test('prints a delimiter behind each value', async () => {
    const { run } = await filled()
    const args = ['cat', 't', '-p', '1', '--delimiter']
    assert.equal((await run([...args, '\\0'])).stdout, 'b0\0b1\0b2\0')
    assert.equal((await run([...args, ''])).stdout, 'b0b1b2')
  })

  test('prints by a template what kcat would', async () => {
    const given = logAndCommands()
    await given.fill({ topics: { t: {} } }, async (log) => {
      const headers = { a: 'x', b: null, c: ['1', '2'] }
      await log.produce('t', { key: 'ä', value: { n: 1 }, headers, timestamp: 5 })
      await log.produce('t', { value: null, timestamp: 6 })
    })
    const template = '%t-%p@%o %T [%k|%K] [%s|%S] {%h} 100%%\\t\\x2e\\n'
    assert.equal(
      (await given.run(['cat', 't', '--format', template])).stdout,
      't-0@0 5 [ä|2] [{"n":1}|4] {a=x,b=NULL,c=1,c=2} 100%\t.\nt-0@1 6 [|-1] [|-1] {} 100%\t.\n',
    )
  })

  for (const [args, message] of [
    [
      ['--format', 'jsn'],
      "--format is 'jsn'; it must be value, json or a template such as %o %k %s\\n",
    ],
    [
      ['--format', '%q'],
      "--format is '%q'; it must be value, json or a template such as %o %k %s\\n",
    ],
    [['--from', 'begin'], "--from is 'begin'; it must be start, end, OFFSET, -N or TIME"],
    [['--count', '-1'], "--count is '-1'; it must be an integer of at least 0"],
    [['--partition', 'x'], "--partition is 'x'; it must be an integer from 0 to 2147483647"],
    [['--follow', '--until', '5'], '--follow and --until are both given; one of them is allowed'],
  ] as const) {
    test(`refuses ${args.join(' ')}`, async () => {
      const { run } = await filled()
      const { exitCode, stderr } = await run(['cat', 't', ...args])
      assert.deepEqual([exitCode, stderr], [2, `brokerless: cat: ${message}\n`])
    })
  }

  test('says so of a topic and a partition that are not there', async () => {
    const { run } = await filled()
    const topic = await run(['cat', 'u'])
    assert.deepEqual([topic.exitCode, topic.stdout], [1, ''])
    assert.match(topic.stderr, /^brokerless: there is no topic 'u'; did you mean t\?/)
    const partition = await run(['cat', 't', '-p', '2'])
    assert.deepEqual(
      [partition.exitCode, partition.stderr],
      [1, 'brokerless: t has no partition 2; it has 2\n'],
    )
  })
})

suite('values', () => {
  const BINARY = Buffer.from([0, 0xff, 10, 0xfe])

  async function withValues(): Promise<LogAndCommands> {
    const given = logAndCommands()
    const own = {
      name: 'their-own',
      serialize: (value: unknown) => Buffer.from(`<${value}>`),
      deserialize: (bytes: Buffer) => bytes,
    }
    const topics = {
      b: { value: 'bytes', key: 'bytes' },
      j: { value: 'json' },
      m: {},
      o: { value: own },
    } as const
    await given.fill({ topics }, async (log: Log) => {
      await log.produce('b', { key: BINARY as unknown as string, value: BINARY, timestamp: 1 })
      await log.produce('b', {
        key: Buffer.from('k') as unknown as string,
        value: Buffer.from('ä'),
        timestamp: 2,
      })
      await log.produce('j', { key: 'k', value: { a: [1] }, timestamp: 1 })
      await log.produce('j', { value: null, timestamp: 2 })
      await log.produce('m', { value: { at: new Date(0) }, timestamp: 1, headers: { h: BINARY } })
      await log.produce('o', { value: 'x', timestamp: 1 })
    })
    return given
  }

  test('go to a file or a pipe as they are stored, MessagePack as JSON', async () => {
    const { run } = await withValues()
    const bytesOf = async (...args: string[]): Promise<string> => {
      const output = new Gathering()
      await run(['cat', ...args], { output })
      return output.bytes.toString('latin1')
    }
    const end = BINARY.toString('latin1')
    assert.equal(await bytesOf('b'), `${end}\n\xc3\xa4\n`)
    assert.equal(await bytesOf('j'), '{"a":[1]}\n\n')
    assert.equal(await bytesOf('m'), '{"at":"1970-01-01T00:00:00.000Z"}\n')
    assert.equal(await bytesOf('m', '--raw'), '\x81\xa2at\xd6\xff\0\0\0\0\n')
    assert.equal(await bytesOf('o'), '<x>\n')
  })

  test('cannot move the cursor of a terminal, unless they are asked for raw', async () => {
    const given = logAndCommands()
    await given.fill({ topics: { t: { value: 'string' } } }, async (log) => {
      const [key, headers] = ['\u001b]', { h: '\u001b' }]
      await log.produce('t', { key, headers, value: 'a\nb\t\u001b[2J\u009b' })
    })
    const shown = async (...args: string[]): Promise<string> => {
      const output = new Gathering(80)
      await given.run(['cat', 't', ...args], { output })
      return output.text
    }
    assert.equal(await shown(), 'a\nb\t\\x1b[2J\\x9b\n')
    const template = ['--format', '%k %s %h|']
    assert.equal(await shown(...template), '\\x1b] a\nb\t\\x1b[2J\\x9b h=\\x1b|')
    assert.equal(await shown(...template, '--raw'), '\u001b] a\nb\t\u001b[2J\u009b h=\u001b|')
    assert.equal(await shown('--raw'), 'a\nb\t\u001b[2J\u009b\n')
    const json = await shown('--json')
    assert.match(json, /"value":"a\\nb\\t\\u001b\[2J\\u009b"/)
    assert.equal(JSON.parse(json).value, 'a\nb\t\u001b[2J\u009b')
  })

  test('are JSON lines from which nothing is missing', async () => {
    const { run } = await withValues()
    const linesOf = async (topic: string, ...args: string[]): Promise<object[]> => {
      const { stdout } = await run(['cat', topic, '--json', ...args])
      const lines = stdout.trimEnd().split('\n')
      return lines.map((line) => {
        const { topic: of, partition, ...rest } = JSON.parse(line)
        assert.deepEqual([of, partition], [topic, 0])
        return rest
      })
    }
    const binary = BINARY.toString('base64')
    assert.deepEqual(await linesOf('b'), [
      { offset: 0, timestamp: 1, keyBase64: binary, valueBase64: binary },
      { offset: 1, timestamp: 2, key: 'k', value: 'ä' },
    ])
    assert.deepEqual(await linesOf('j'), [
      { offset: 0, timestamp: 1, key: 'k', value: { a: [1] } },
      { offset: 1, timestamp: 2, key: null, value: null },
    ])
    const stored = { valueBase64: 'gaJhdNb/AAAAAA==' }
    const record = { offset: 0, timestamp: 1, key: null, headers: { h: { base64: binary } } }
    assert.deepEqual(await linesOf('m'), [
      { ...record, value: { at: '1970-01-01T00:00:00.000Z' }, ...stored },
    ])
    assert.deepEqual(await linesOf('m', '--raw'), [{ ...record, ...stored }])
    assert.deepEqual(await linesOf('o'), [{ offset: 0, timestamp: 1, key: null, value: '<x>' }])
    assert.deepEqual(await run(['cat', 'b', '--format', 'json']), await run(['cat', 'b', '--json']))
  })
})

suite("a broker's directory", () => {
  for (const [set, ...isolation] of [
    ['plain'],
    ['compacted'],
    ['transactions'],
    ['transactions', '--isolation', 'read_committed'],
    ['transactions', '--isolation', 'read_uncommitted'],
    ['append-time'],
    ['torn-tail'],
  ] as [FixtureSet, ...string[]][]) {
    test(`${[set, ...isolation].join(' ')} is printed as Kafka reads it`, async () => {
      for (const { topic, expected } of await loadPartitions(set)) {
        if (expected.unreadable === undefined) await expectPrinted(set, topic, expected, isolation)
      }
    })
  }

  async function expectPrinted(
    set: FixtureSet,
    topic: string,
    { partition, records: all, readCommittedOffsets }: ExpectedPartition,
    isolation: readonly string[],
  ): Promise<void> {
    const committed = new Set(readCommittedOffsets)
    const records = isolation.includes('read_uncommitted')
      ? all
      : all.filter(({ offset }) => committed.has(offset))
    const place = ['-p', String(partition), '--dir', fixtureDirectory(set)]
    const { exitCode, stdout, stderr } = await ran(['cat', topic, '--json', ...place, ...isolation])
    assert.deepEqual([exitCode, stderr], [0, ''])
    const printed = printedRecords(stdout)
    const expected = records.map(({ offset, timestamp, key, value }, at) => [
      offset,
      timestamp,
      // Above 300 bytes there is a digest alone.
      key === undefined ? printed[at]?.[2] : key,
      value === undefined ? printed[at]?.[3] : value,
    ])
    assert.deepEqual(printed, expected, `${topic}-${partition}`)
  }

  function printedRecords(stdout: string): unknown[][] {
    const lines = stdout.split('\n').filter((line) => line !== '')
    return lines.map((line) => {
      const {
        offset,
        timestamp,
        key = null,
        keyBase64,
        value = null,
        valueBase64,
      } = JSON.parse(line)
      return [offset, timestamp, base64(key, keyBase64), base64(value, valueBase64)]
    })
  }

  function base64(text: string | null, stored: string | undefined): string | null {
    return stored ?? (text === null ? null : Buffer.from(text).toString('base64'))
  }

  test('with damage is printed up to it, with --skip-corrupt beyond it', async () => {
    const args = [
      'cat',
      'journal',
      '-p',
      '0',
      '--format',
      '%o\\n',
      '--dir',
      fixtureDirectory('flipped-old'),
    ]
    const told = await ran(args)
    assert.equal(told.exitCode, 1)
    assert.match(
      told.stderr,
      /^brokerless: .*00000000\.log, byte \d+: .*; --skip-corrupt goes on behind it\n$/,
    )
    const skipped = await ran([...args, '--skip-corrupt'])
    assert.deepEqual([skipped.exitCode, skipped.stderr], [0, ''])
    assert.ok(skipped.stdout.startsWith(told.stdout))
    assert.ok(skipped.stdout.length > told.stdout.length)
  })
})

suite('cat --follow', () => {
  test('prints what is there, then what comes, also in a partition that is added, and ends at Ctrl-C with 0', async () => {
    const { place, clock, fileSystem } = await filled()
    const log = await openAt(place, { clock })
    const interrupt = new AbortController()
    const output = new Gathering()
    const args = ['cat', 't', '--follow', '--from', '-1', '--dir', place.directory]
    const all = surroundings({ fileSystem, clock, output, signal: interrupt.signal })
    const running = runCommandLine(args, all)
    const shown = (text: string): Promise<void> =>
      eventually(async () => {
        await clock.advance(100)
        return output.text === text
      }, text)
    await shown('a4\nb2\n')
    await log.produce('t', { value: 'b3', partition: 1 })
    await shown('a4\nb2\nb3\n')
    await log.addPartitions('t', 3)
    await log.produce('t', { value: 'c0', partition: 2 })
    await shown('a4\nb2\nb3\nc0\n')
    interrupt.abort(new Interrupted('SIGINT'))
    assert.equal(await running, 0)
    assert.equal((all.errors as Gathering).text, '')
    await log.close()
  })

  test('ends after so many records', async () => {
    const { run } = await filled()
    const { exitCode, stdout } = await run(['cat', 't', '-f', '--count', '2'])
    assert.deepEqual([exitCode, stdout], [0, 'a1\na2\n'])
  })
})

suite('progress', () => {
  /** Standard output of a kind, standard error of a terminal; the reader is slow, so that a second goes by. */
  async function shownWith(output: Gathering): Promise<string> {
    const { clock, run, fill } = logAndCommands()
    await fill({ topics: { t: { value: 'string' } } }, async (log) => {
      await log.produce('t', { value: 'x'.repeat(70_000) })
    })
    const errors = new Gathering(80)
    const slow = output._write.bind(output)
    output._write = (chunk, encoding, done) => {
      void clock.advance(1000).then(() => slow(chunk, encoding, done))
    }
    await run(['cat', 't'], { output, errors })
    return errors.text
  }

  test('is shown on a terminal for what takes longer than a second, and taken away', async () => {
    assert.equal(await shownWith(new Gathering()), '\r\u001b[Kcat: 1 record\r\u001b[K')
  })

  test('does not come between records on the terminal', async () => {
    assert.equal(await shownWith(new Gathering(80)), '')
  })
})
