// The command line as a process: pipes, signals, a live writer beside it, a terminal.
import assert from 'node:assert/strict'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { after, before, suite, test } from 'node:test'
import { Log } from '../../src/index.ts'
import type { Compiled } from '../support/compile.ts'
import { compile } from '../support/compile.ts'
import { removeAfter } from '../support/fixtures.ts'
import { eventually } from '../support/log-places.ts'
import { CTRL_C, CTRL_D, Terminal } from '../support/terminal.ts'
import { WriterProcess } from '../support/writer-process.ts'

const MAIN = path.join(import.meta.dirname, '../../src/cli/main.ts')

let program: Compiled
before(async () => {
  program = await compile(MAIN)
})
after(async () => {
  await program[Symbol.asyncDispose]()
})

/** A directory whose topic t has so many records, of a hundred bytes each. */
async function filled(t: TestContext, count: number): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-process-'))
  removeAfter(t, directory)
  const log = await Log.open(directory, { topics: { t: { value: 'string' } } })
  const records = Array.from({ length: count }, (_, n) => ({ value: `${n}`.padEnd(100, '.') }))
  for (let at = 0; at < count; at += 5000) await log.produce('t', records.slice(at, at + 5000))
  await log.close()
  return directory
}

function started(t: TestContext, args: readonly string[]): ChildProcessWithoutNullStreams {
  const { NODE_TEST_CONTEXT: _, DEBUG: __, ...env } = process.env
  const child = spawn(process.execPath, [program.script, ...args], { env })
  t.after(() => child.kill('SIGKILL'))
  return child
}

/** The exit code of a process, null where a signal ended it. */
async function exitOf(child: ChildProcessWithoutNullStreams): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'close')
  return child.exitCode
}

/** Gathers what comes until there is as much as is wanted. */
function gathered(child: ChildProcessWithoutNullStreams): { text(): string } {
  let all = ''
  child.stdout.on('data', (chunk: Buffer) => {
    all += chunk.toString('utf8')
  })
  return { text: () => all }
}

suite('through a pipe', () => {
  test('all of a topic comes out, and in again', async (t) => {
    const directory = await filled(t, 10_000)
    const from = started(t, ['cat', 't', '--json', '--dir', directory])
    const to = started(t, [
      'produce',
      'copy',
      '--json',
      '--create',
      '--values',
      'string',
      '--dir',
      `${directory}-copy`,
    ])
    removeAfter(t, `${directory}-copy`)
    from.stdout.pipe(to.stdin)
    const summary = JSON.parse(await text(to.stdout))
    assert.equal(summary.records, 10_000)
    assert.deepEqual([await exitOf(from), await exitOf(to)], [0, 0])
    const values = started(t, ['cat', 'copy', '--dir', `${directory}-copy`])
    const original = started(t, ['cat', 't', '--dir', directory])
    assert.equal(await text(values.stdout), await text(original.stdout))
  })

  for (const args of [[], ['--follow'], ['--json']]) {
    test(`cat ${args.join(' ')} ends without a word when its reader has gone`, async (t) => {
      const child = started(t, ['cat', 't', '--dir', await filled(t, 20_000), ...args])
      const said = text(child.stderr)
      await once(child.stdout, 'data')
      child.stdout.destroy()
      assert.equal(await exitOf(child), 141)
      assert.equal(await said, '')
    })
  }

  test('a message that nobody reads keeps nobody from working', async (t) => {
    const directory = await filled(t, 1)
    const child = started(t, ['produce', 't', '--dir', directory])
    child.stderr.destroy()
    child.stdin.end('a\nb\n')
    assert.equal(await exitOf(child), 0)
    const log = await Log.open(directory, { readOnly: true })
    assert.equal((await log.offsets('t', 0)).latest, 3)
    await log.close()
  })
})

suite('signals', () => {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    test(`${signal} ends cat --follow with exit code 0`, async (t) => {
      const child = started(t, ['cat', 't', '--follow', '--dir', await filled(t, 3)])
      const shown = gathered(child)
      const said = text(child.stderr)
      await eventually(() => shown.text().split('\n').length === 4)
      child.kill(signal)
      assert.equal(await exitOf(child), 0)
      assert.equal(await said, '')
    })
  }

  test('SIGINT ends produce when what was read is appended, with exit code 130', async (t) => {
    const directory = await filled(t, 0)
    const child = started(t, ['produce', 't', '--dir', directory])
    const said = text(child.stderr)
    child.stdin.write('a\nb\nhalf')
    const reader = await Log.open(directory, { readOnly: true })
    await eventually(async () => (await reader.offsets('t', 0)).latest === 2)
    await reader.close()
    child.kill('SIGINT')
    assert.equal(await exitOf(child), 130)
    assert.equal(await said, 'appended 2 records to t, partition 0, offsets 0 to 1\n')
    const log = await Log.open(directory, { readOnly: true })
    assert.equal(log.recovery.clean, true)
    await log.close()
  })
})

suite('beside a live writer', () => {
  test('records are followed as they are written, and what must write says who writes', async (t) => {
    const directory = await filled(t, 2)
    const writer = await WriterProcess.open(t, directory)
    const follower = started(t, ['cat', 't', '--follow', '--from', 'end', '--dir', directory])
    const shown = gathered(follower)
    // Only what is written once it follows is shown to it: so it is written to until something is.
    let count = 0
    await eventually(async () => {
      if (shown.text() === '') await writer.call('produce', 't', { value: `live ${count++}` })
      return shown.text() !== ''
    })
    await writer.call('produce', 't', { value: 'the last one' })
    await eventually(() => shown.text().endsWith('the last one\n'))
    const described = JSON.parse(
      await text(started(t, ['describe', 't', '--json', '--dir', directory]).stdout),
    )
    assert.equal(described.partitions[0].logEndOffset, 3 + count)

    const producer = started(t, ['produce', 't', '--dir', directory])
    producer.stdin.end('a\n')
    const said = await text(producer.stderr)
    assert.match(said, /^brokerless: this command has to write, and .* is held by process \d+ on /)
    assert.equal(await exitOf(producer), 1)
    follower.kill('SIGINT')
    assert.equal(await exitOf(follower), 0)
  })
})

suite('in a terminal', () => {
  const inTerminal = (t: TestContext, args: readonly string[], columns?: number): Terminal =>
    new Terminal(t, [process.execPath, program.script, ...args], columns)

  test('a table is as wide as it fits, and else in blocks', async (t) => {
    const directory = await filled(t, 3)
    const wide = inTerminal(t, ['topics', '--dir', directory], 80)
    assert.equal(await wide.ended(), 0)
    assert.match(wide.shown, /^TOPIC {2}PARTITIONS {2}RECORDS +SIZE {2}VALUES {2}CLEANUP\nt +1 +3 /)
    const narrow = inTerminal(t, ['topics', '--dir', directory], 30)
    assert.equal(await narrow.ended(), 0)
    assert.match(narrow.shown, /^TOPIC {7}t\nPARTITIONS {2}1\nRECORDS {5}3\n/)
  })

  test('Ctrl-C ends cat --follow cleanly', async (t) => {
    const directory = await filled(t, 1)
    const terminal = inTerminal(t, ['cat', 't', '--follow', '--dir', directory])
    await terminal.shows('0....')
    terminal.type(CTRL_C)
    assert.equal(await terminal.ended(), 0)
    assert.match(terminal.shown, /^0\.+\n\^C$/)
  })

  test('lines are produced as they are typed, until Ctrl-D', async (t) => {
    const directory = await filled(t, 0)
    const terminal = inTerminal(t, ['produce', 't', '--dir', directory])
    await terminal.shows('one record a line; Ctrl-D ends\n')
    const follower = started(t, ['cat', 't', '--follow', '--dir', directory])
    const shown = gathered(follower)
    for (const line of ['first\n', 'second\n']) {
      terminal.type(line)
      await eventually(() => shown.text().endsWith(line))
    }
    terminal.type(CTRL_D)
    assert.equal(await terminal.ended(), 0)
    await terminal.shows('appended 2 records to t, partition 0, offsets 0 to 1\n')
  })
})
