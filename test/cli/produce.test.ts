// produce: lines of standard input as records.
import assert from 'node:assert/strict'
import type { Readable } from 'node:stream'
import { PassThrough } from 'node:stream'
import { suite, test } from 'node:test'
import { Interrupted } from '../../src/cli/errors.ts'
import { run as runCommandLine } from '../../src/cli/run.ts'
import type { Log, TopicDeclarations } from '../../src/index.ts'
import { nodeFileSystem } from '../../src/index.ts'
import { Gathering, inputOf, ran, surroundings } from '../support/command-line.ts'
import type { LogAndCommands } from '../support/command-line-log.ts'
import { logAndCommands } from '../support/command-line-log.ts'
import { copyFixture } from '../support/fixtures.ts'
import { eventually, recordsOf } from '../support/log-places.ts'

type Content = readonly (readonly [unknown, unknown])[]

/** Keys and values of a partition. */
async function contentOf({ fill }: LogAndCommands, topic = 't', partition = 0): Promise<Content> {
  let content: Content = []
  await fill({}, async (log) => {
    content = (await recordsOf(log, topic, partition)).map(({ key, value }) => [key, value])
  })
  return content
}

async function given(topics: TopicDeclarations): Promise<LogAndCommands> {
  const made = logAndCommands()
  await made.fill({ topics }, async () => {})
  return made
}

suite('produce', () => {
  test('appends each line, also the last one without an end, and tells how many', async () => {
    const made = await given({ t: { value: 'string' } })
    const { exitCode, stdout, stderr } = await made.run(['produce', 't'], {
      input: inputOf('a\n\nb', 'c\n', 'd'),
    })
    assert.deepEqual(
      [exitCode, stdout, stderr],
      [0, '', 'appended 4 records to t, partition 0, offsets 0 to 3\n'],
    )
    assert.deepEqual(await contentOf(made), [
      [null, 'a'],
      [null, ''],
      [null, 'bc'],
      [null, 'd'],
    ])
  })

  test('appends nothing of nothing', async () => {
    const made = await given({ t: {} })
    assert.equal((await made.run(['produce', 't'])).stderr, 'appended 0 records to t\n')
  })

  test('takes a key for all, a key in each line, and another delimiter', async () => {
    const made = await given({ t: { value: 'string' } })
    await made.run(['produce', 't', '--key', 'all'], { input: inputOf('a') })
    await made.run(['produce', 't', '-K', '\\t', '-D', '\\0'], { input: inputOf('k\tv\0l\tw\nx') })
    assert.deepEqual(await contentOf(made), [
      ['all', 'a'],
      ['k', 'v'],
      ['l', 'w\nx'],
    ])
  })

  test('takes JSON where values are JSON or MessagePack, and a document tells what was appended', async () => {
    const made = await given({ j: { value: 'json', partitions: 2 }, m: {} })
    await made.run(['produce', 'm'], { input: inputOf('{"a":[1]}\n"x"\n') })
    assert.deepEqual(await contentOf(made, 'm'), [
      [null, { a: [1] }],
      [null, 'x'],
    ])
    const lines = [
      { key: 'k', value: { n: 1 }, partition: 1, timestamp: 5, headers: { h: 'x' } },
      { value: null, key: 'k', partition: 0 },
      { value: 2, partition: 1 },
    ]
    const { stdout, stderr } = await made.run(['produce', 'j', '--json', '--durability', 'os'], {
      input: inputOf(lines.map((line) => `${JSON.stringify(line)}\n \n`).join('')),
    })
    assert.equal(stderr, '')
    assert.deepEqual(JSON.parse(stdout), {
      topic: 'j',
      records: 3,
      durability: 'os',
      partitions: [
        { partition: 0, records: 1, firstOffset: 0, lastOffset: 0 },
        { partition: 1, records: 2, firstOffset: 0, lastOffset: 1 },
      ],
    })
    await made.fill({}, async (log) => {
      const [first] = await recordsOf(log, 'j', 1)
      assert.deepEqual(
        { ...first },
        {
          topic: 'j',
          partition: 1,
          offset: 0,
          timestamp: 5,
          key: 'k',
          value: { n: 1 },
          headers: { h: Buffer.from('x') },
        },
      )
    })
  })

  test('puts records into the partition that is asked for', async () => {
    const made = await given({ t: { partitions: 3, value: 'string' } })
    await made.run(['produce', 't', '-p', '2'], { input: inputOf('a\nb\n') })
    assert.equal((await contentOf(made, 't', 2)).length, 2)
    const { exitCode, stderr } = await made.run(['produce', 't', '-p', '3'], {
      input: inputOf('a'),
    })
    assert.equal(exitCode, 1)
    assert.equal(stderr, 'brokerless: t has no partition 3; it has 3\n')
  })

  test('compresses what it appends', async () => {
    const made = await given({ t: { value: 'string' }, u: { value: 'string' } })
    const lines = Array.from({ length: 500 }, (_, n) => `a line like many others, ${n % 7}\n`)
    const input = (): Readable => inputOf(lines.join(''))
    await made.run(['produce', 't'], { input: input() })
    const args = ['produce', 'u', '--compression', 'gzip', '--compression-level', '9']
    assert.equal((await made.run(args, { input: input() })).exitCode, 0)
    const [plain, compressed] = JSON.parse((await made.run(['topics', '--json'])).stdout)
    assert.ok(compressed.sizeBytes < plain.sizeBytes / 5)
    assert.equal((await made.run(['cat', 'u'])).stdout, lines.join(''))
  })

  test('gathers lines into batches, as large as the topic takes', async () => {
    const made = await given({ t: { value: 'string', maxMessageBytes: 2000 } })
    const lines = Array.from({ length: 500 }, (_, n) => `${n}-${'x'.repeat(n % 90)}`)
    const { exitCode } = await made.run(['produce', 't'], {
      input: inputOf(`${lines.join('\n')}\n`),
    })
    assert.equal(exitCode, 0)
    const content = await contentOf(made)
    assert.deepEqual(
      content.map(([, value]) => value),
      lines,
    )
  })
})

suite('produce names the line that is wrong', () => {
  test('and has appended those before it, and none behind it', async () => {
    const made = await given({ t: { value: 'json' } })
    const { exitCode, stderr } = await made.run(['produce', 't'], {
      input: inputOf('1\n2\n', 'x\n', '4\n'),
    })
    assert.equal(exitCode, 1)
    assert.match(
      stderr,
      /^appended 2 records to t, partition 0, offsets 0 to 1\nbrokerless: line 3: it is no JSON: /,
    )
    assert.equal((await contentOf(made)).length, 2)
  })

  test('where a record is too large', async () => {
    const made = await given({ t: { value: 'string', maxMessageBytes: 500 } })
    const { exitCode, stderr } = await made.run(['produce', 't'], {
      input: inputOf(`a\nb\n${'x'.repeat(600)}\nc\n`),
    })
    assert.equal(exitCode, 1)
    assert.match(stderr, /^appended 2 records .*\nbrokerless: line 3: .* maxMessageBytes is 500\n$/)
    assert.equal((await contentOf(made)).length, 2)
  })

  test('where a compacted topic is given a record without key', async () => {
    const made = await given({ t: { value: 'string', cleanupPolicy: 'compact' } })
    const { stderr } = await made.run(['produce', 't', '-K', ':'], {
      input: inputOf('k:v\nno key'),
    })
    assert.match(stderr, /brokerless: line 2: it has no key: ':' does not stand in it\n$/)
    const without = await made.run(['produce', 't'], { input: inputOf('v') })
    assert.match(without.stderr, /brokerless: line 1: it has no key, and t is compacted/)
  })
})

suite('produce without its topic', () => {
  test('says so, and makes nothing: no directory, no topic, no trace in a broker’s directory', async (t) => {
    const made = logAndCommands()
    const missing = await made.run(['produce', 't'], { input: inputOf('a') })
    assert.deepEqual(
      [missing.exitCode, missing.stderr],
      [1, 'brokerless: there is no directory /data\n'],
    )
    assert.equal(await made.fileSystem.stat('/data'), undefined)

    const directory = await copyFixture('plain', t)
    const before = (await nodeFileSystem.readdir(directory)).sort()
    const unknown = await ran(['produce', 'order', '--dir', directory], { input: inputOf('a') })
    assert.deepEqual(
      [unknown.exitCode, unknown.stderr],
      [1, "brokerless: there is no topic 'order'; did you mean orders?\n"],
    )
    assert.deepEqual((await nodeFileSystem.readdir(directory)).sort(), before)
  })

  test('makes directory and topic with --create, and adds to it the next time', async () => {
    const made = logAndCommands()
    const args = ['produce', 't', '--create', '--partitions', '3', '--values', 'json']
    for (const line of ['1', '2']) {
      const { exitCode, stderr } = await made.run([...args, '-p', '1'], { input: inputOf(line) })
      assert.equal(exitCode, 0, stderr)
    }
    assert.deepEqual(await contentOf(made, 't', 1), [
      [null, 1],
      [null, 2],
    ])
    const describe = JSON.parse((await made.run(['describe', 't', '--json'])).stdout)
    assert.deepEqual([describe.partitions.length, describe.serializer], [3, 'json'])
    await made.run(['produce', 'text', '--create'], { input: inputOf('a') })
    await made.run(['produce', 'objects', '--create', '--json'], { input: inputOf('{"value":1}') })
    const listed = JSON.parse((await made.run(['topics', '--json'])).stdout)
    assert.deepEqual(
      listed.map(({ name, serializer }: Record<string, string>) => [name, serializer]),
      [
        ['objects', 'json'],
        ['t', 'json'],
        ['text', 'string'],
      ],
    )
  })

  test('makes nothing for a name that no topic can have', async () => {
    const made = logAndCommands()
    const { exitCode, stderr } = await made.run(['produce', 'a topic', '--create'], {
      input: inputOf('a'),
    })
    assert.deepEqual([exitCode, await made.fileSystem.stat('/data')], [2, undefined])
    assert.match(stderr, /^brokerless: produce: topic name "a topic": only /)
  })

  test('knows a data directory that has no topic yet, also where its maker was killed', async () => {
    const made = logAndCommands()
    await made.fill({}, async () => {
      const killed = (await made.place.killed()).fileSystem
      const { exitCode, stdout } = await made.run(['topics', '--json'], { fileSystem: killed })
      assert.deepEqual([exitCode, stdout], [0, '[]\n'])
    })
    assert.equal((await made.run(['topics'])).exitCode, 0)
    const args = ['produce', '__consumer_offsets', '--create']
    assert.match((await made.run(args)).stderr, /__consumer_offsets cannot be created/)
    const { exitCode, stderr } = await made.run(['produce', 't', '--create'], {
      input: inputOf('a'),
    })
    assert.equal(exitCode, 0, stderr)
  })

  test('makes nothing in a directory that is something else', async () => {
    const made = logAndCommands()
    await made.fileSystem.mkdir('/data/photos')
    const { exitCode, stderr } = await made.run(['produce', 't', '--create'], {
      input: inputOf('a'),
    })
    assert.equal(exitCode, 1)
    assert.match(stderr, /^brokerless: \/data is no data directory: /)
    assert.deepEqual(await made.fileSystem.readdir('/data'), ['photos'])
  })
})

suite('produce refuses', () => {
  for (const [args, message] of [
    [['--partitions', '2'], 'produce: --partitions goes with --create'],
    [['--values', 'json'], 'produce: --values goes with --create'],
    [
      ['--create', '--values', 'xml'],
      "produce: --values is 'xml'; it must be string, json, msgpack or bytes",
    ],
    [['--json', '--key', 'k'], 'produce: with --json the key stands in each line'],
    [
      ['--key', 'k', '-K', ':'],
      'produce: --key and --key-separator are both given; one is allowed',
    ],
    [['--delimiter', ''], "produce: --delimiter is ''; it must be at least one character"],
    [['--durability', 'memory'], "produce: --durability is 'memory'; it must be disk or os"],
    [
      ['--compression', 'gip'],
      "produce: --compression is 'gip'; it must be none, gzip, snappy, lz4 or zstd",
    ],
    [
      ['--compression', 'gzip', '--compression-level', '10'],
      'produce: --compression-level is 10; it must be an integer from 1 to 9',
    ],
    [
      ['--compression-level', '1'],
      'produce: --compression-level is 1; it needs compression beside it',
    ],
    [['--partition', '-1'], "produce: --partition is '-1'; it must be an integer of at least 0"],
  ] as const) {
    test(`${args.join(' ')}, before anything is opened`, async () => {
      const made = logAndCommands()
      const { exitCode, stderr } = await made.run(['produce', 't', ...args])
      assert.deepEqual([exitCode, stderr], [2, `brokerless: ${message}\n`])
    })
  }
})

suite('a directory that is held', () => {
  test('is read beside its holder; what must write says who holds it', async () => {
    const made = await given({ t: { value: 'string' } })
    await made.fill({}, async () => {
      for (const args of [
        ['produce', 't'],
        ['produce', 't', '--create'],
        ['offsets', 'reset', '-g', 'g', '-t', 't', '--to', 'end'],
        ['offsets', 'delete', '-g', 'g'],
      ]) {
        const { exitCode, stdout, stderr } = await made.run(args, { input: inputOf('a') })
        assert.deepEqual([exitCode, stdout], [1, ''])
        assert.match(
          stderr,
          new RegExp(
            `^brokerless: this command has to write, and /data is held by process ${process.pid} on .*, which is running\\. .*, --break-lock [0-9a-f]{32} clears the lock\\n$`,
          ),
        )
      }
      assert.equal((await made.run(['topics'])).exitCode, 0)
      assert.equal((await made.run(['cat', 't'])).exitCode, 0)
      assert.equal((await made.run(['groups'])).exitCode, 0)
    })
  })

  test('is cleared by the token of its lock', async () => {
    const made = await given({ t: { value: 'string' } })
    await made.fill({}, async () => {
      const { stderr } = await made.run(['produce', 't'], { input: inputOf('a') })
      const token = /--break-lock (\w+)/.exec(stderr)?.[1] ?? ''
      const left = (await made.place.killed()).fileSystem
      // The copy of a killed process: its lock is back in it, and this process is said to hold it.
      const again = await made.run(['produce', 't', '--break-lock', token], {
        input: inputOf('a'),
        fileSystem: left,
      })
      assert.equal(again.exitCode, 0, again.stderr)
    })
  })
})

suite('what cat prints as JSON', () => {
  const BINARY = Buffer.from([0, 0xff, 10, 0xfe])

  /** All that there is to know of a topic's records, save where they lie. */
  async function recordsIn(
    { fill }: LogAndCommands,
    topics: readonly string[],
  ): Promise<unknown[]> {
    const found: unknown[] = []
    await fill({ raw: true }, async (log) => {
      for (const topic of topics) {
        for (const partition of [0, 1]) {
          for (const record of await recordsOf(log, topic, partition)) found.push({ ...record })
        }
      }
    })
    return found
  }

  test('comes back the same through produce, whatever the serializer', async () => {
    const topics = {
      b: { value: 'bytes', key: 'bytes', partitions: 2 },
      j: { value: 'json', partitions: 2 },
      m: { partitions: 2 },
      s: { value: 'string', partitions: 2 },
    } as const
    const from = await given(topics)
    await from.fill({}, async (log: Log) => {
      const headers = { plain: 'x', binary: BINARY, none: null, many: ['1', BINARY, null], '': '' }
      const keys: unknown[] = [BINARY, Buffer.from('k'), null]
      for (const [n, key] of keys.entries()) {
        const value = [BINARY, Buffer.alloc(0), Buffer.from('ä')][n]
        await log.produce('b', { key: key as string, value, headers, partition: n % 2 })
      }
      for (const value of [{ a: [1, null, 'x'] }, 'text', 0, false, [], null]) {
        await log.produce('j', { key: 'ä', value, timestamp: 5, headers })
        await log.produce('m', { value, timestamp: 6, partition: 1 })
      }
      for (const value of [
        new Date(5),
        BINARY,
        2n ** 60n,
        { at: new Date(0), b: BINARY, u: undefined },
        Number.NaN,
      ]) {
        await log.produce('m', { value, partition: 0 })
      }
      for (const value of ['line\nbreak', '', 'ä€😀\u2028', '\u0000'])
        await log.produce('s', { key: value, value })
    })
    const to = await given(topics)
    for (const topic of Object.keys(topics)) {
      const { stdout } = await from.run(['cat', topic, '--json'])
      const { exitCode, stderr } = await to.run(['produce', topic, '--json'], {
        input: inputOf(stdout),
      })
      assert.equal(exitCode, 0, stderr)
    }
    const names = Object.keys(topics)
    const copied = await recordsIn(to, names)
    assert.ok(copied.length > 20)
    assert.deepEqual(copied, await recordsIn(from, names))
  })
})

suite('produce at a terminal, and at Ctrl-C', () => {
  test('ends where a line cannot be written, though more might be typed', async () => {
    const made = await given({ t: { value: 'string', maxMessageBytes: 200 } })
    const input = new PassThrough()
    const running = made.run(['produce', 't'], { input })
    input.write(`${'x'.repeat(300)}\n`)
    const { exitCode, stderr } = await running
    assert.equal(exitCode, 1)
    assert.match(
      stderr,
      /^appended 0 records to t\nbrokerless: line 1: .*maxMessageBytes is 200\n$/,
    )
  })

  test('says how to end, takes each line as it comes, and keeps what was read', async () => {
    const made = await given({ t: { value: 'string' } })
    const input = Object.assign(new PassThrough(), { isTTY: true })
    const errors = new Gathering(80)
    const interrupt = new AbortController()
    const { fileSystem, clock, place } = made
    const all = surroundings({ input, errors, fileSystem, clock, signal: interrupt.signal })
    const running = runCommandLine(['produce', 't', '--dir', place.directory], all)
    await eventually(() => errors.text === 'one record a line; Ctrl-D ends\n')
    const follower = async (): Promise<string> => (await made.run(['cat', 't'])).stdout
    for (const [line, shown] of [
      ['a\n', 'a\n'],
      ['b\n', 'a\nb\n'],
    ] as const) {
      input.write(line)
      await eventually(async () => (await follower()) === shown, shown)
    }
    input.write('c\nhalf a line')
    await eventually(async () => (await follower()) === 'a\nb\nc\n')
    interrupt.abort(new Interrupted('SIGINT'))
    assert.equal(await running, 130)
    assert.match(errors.text, /\nappended 3 records to t, partition 0, offsets 0 to 2\n$/)
    assert.equal((await contentOf(made)).length, 3)
  })
})
