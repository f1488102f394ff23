// brokerless verify: what it prints, and how it ends.
import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { ByteProgress } from '../../src/cli/byte-progress.ts'
import { Output } from '../../src/cli/output.ts'
import { Progress } from '../../src/cli/progress.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { ranAsProcess } from '../support/cli-process.ts'
import { Gathering, ran } from '../support/command-line.ts'
import { fixtureDirectory, removeAfter } from '../support/fixtures.ts'
import { soundLog } from '../support/inspected.ts'
import { WriterProcess } from '../support/writer-process.ts'

const PLAIN = fixtureDirectory('plain')
const FLIPPED = fixtureDirectory('flipped-old')

test('a sound directory ends verify with 0, and a summary of what was looked at', async () => {
  const { exitCode, stdout, stderr } = await ran(['verify', '--dir', PLAIN])
  assert.equal(exitCode, 0)
  assert.equal(stderr, '')
  assert.equal(
    stdout,
    '3 partitions, 3 segments, 137 batches, 319 records; 298 KiB of data and 731 B of other files in 0 ms\n' +
      'Findings: no damage, 0 warnings, 0 for information\n',
  )
})

test('damage ends verify with 1, and a line that says what and where', async () => {
  const { exitCode, stdout } = await ran(['verify', 'journal', '--dir', FLIPPED])
  assert.equal(exitCode, 1)
  const [state, damage, , counts] = stdout.split('\n')
  assert.match(state ?? '', /^\.: information: not-closed: /)
  assert.equal(
    damage,
    'journal-0/00000000000000000000.log:2525: damage: batch-crc, offsets 17 to 19: ' +
      '232 bytes of a batch whose CRC does not hold; the next sound batch begins with offset 20',
  )
  assert.equal(counts, 'Findings: 1 of damage, 0 warnings, 1 for information')
  const quiet = await ran(['verify', '--dir', FLIPPED, '--quiet'])
  assert.equal(quiet.stdout.split('\n')[0], damage)
})

test('verify --json is one object', async () => {
  const { exitCode, stdout } = await ran(['verify', '--dir', FLIPPED, '--json'])
  assert.equal(exitCode, 1)
  const { directory, state, findings, summary } = JSON.parse(stdout)
  assert.equal(directory, FLIPPED)
  assert.equal(state, 'crashed')
  assert.deepEqual(findings[1], {
    severity: 'damage',
    kind: 'batch-crc',
    file: 'journal-0/00000000000000000000.log',
    position: 2525,
    bytes: 232,
    firstOffset: 17,
    lastOffset: 19,
    message:
      '232 bytes of a batch whose CRC does not hold; the next sound batch begins with offset 20',
  })
  assert.deepEqual(summary, {
    partitions: 2,
    segments: 6,
    batches: 53,
    records: 277,
    logBytes: 40184,
    otherBytes: 1074,
    damage: 1,
    warning: 0,
    information: 1,
    elapsedMs: 0,
    bytesPerSecond: null,
  })
})

test('verify lists the first 20 findings of a kind in a file, and with --all every one', async () => {
  const log = await soundLog()
  const [first = ''] = (await log.names('orders-0')).filter((name) => name.endsWith('.log'))
  const positions = log.batches(`orders-0/${first}`)
  const small = await soundLog(async (orders) => {
    for (let call = 0; call < 30; call += 1) await orders.produce('orders', { value: 'x' })
  })
  assert.ok(positions.length < 20)
  await small.edit(`orders-0/${first}`, (bytes) => {
    for (const at of small.batches(`orders-0/${first}`)) bytes.writeInt32BE(5, at + 12)
  })
  const { fileSystem, directory } = small
  const some = await ran(['verify', '--dir', directory], { fileSystem })
  assert.equal(some.exitCode, 0)
  const lines = some.stdout.split('\n')
  assert.equal(lines.filter((line) => line.includes(': warning: leader-epoch, ')).length, 20)
  assert.ok(lines.includes(`orders-0/${first}: warning: more: 10 more of leader-epoch`))
  const all = await ran(['verify', '--dir', directory, '--all'], { fileSystem })
  assert.equal(all.stdout.match(/: warning: leader-epoch, /g)?.length, 30)
})

test('a topic that is not there is told before anything is looked at', async () => {
  assert.deepEqual(await ran(['verify', 'journals', '--dir', FLIPPED]), {
    exitCode: 1,
    stdout: '',
    stderr: "brokerless: there is no topic 'journals'; did you mean journal?\n",
  })
})

test('verify as a process, through a pipe, ends as it does here', async () => {
  const sound = await ranAsProcess(['verify', '--dir', PLAIN, '--quiet'])
  assert.equal(sound.exitCode, 0)
  assert.match(sound.stdout, /^Findings: no damage, /m)
  const damaged = await ranAsProcess(['verify', '--dir', FLIPPED])
  assert.equal(damaged.exitCode, 1)
  assert.match(damaged.stdout, /:2525: damage: batch-crc, offsets 17 to 19: /)
  assert.equal((await ranAsProcess(['verify'])).exitCode, 2)
})

test('beside a writer in another process there is no damage, and it is said who writes', async (t) => {
  const parent = await mkdtemp(path.join(tmpdir(), 'brokerless-verify-'))
  removeAfter(t, parent)
  const directory = path.join(parent, 'data')
  const topics = { orders: { value: 'string', segmentBytes: 20_000, indexIntervalBytes: 500 } }
  const writer = await WriterProcess.open(t, directory, { topics: topics as never })
  const records = Array.from({ length: 50 }, (_, index) => ({ value: `value ${index}` }))
  let isDone = false
  const writing = (async () => {
    let calls = 0
    for (; !isDone || calls < 20; calls += 1) await writer.call('produce', 'orders', records)
    return calls
  })()
  for (let round = 0; round < 5; round += 1) {
    const { exitCode, stdout } = await ran(['verify', '--dir', directory])
    assert.equal(exitCode, 0, stdout)
    assert.match(stdout, /^\.: information: live: process \d+ on .* has it open; /)
    assert.match(stdout, /^Findings: no damage, 0 warnings, /m)
  }
  isDone = true
  const calls = await writing
  await writer.call('close')
  const closed = await ran(['verify', '--dir', directory])
  assert.match(closed.stdout, new RegExp(` ${calls * records.length} records; `))
  assert.match(closed.stdout, /^Findings: no damage, 0 warnings, 0 for information$/m)
})

test('progress through bytes tells how far it is, how fast, and how long it will take', async () => {
  const clock = new ManualClock()
  const progress = new ByteProgress(clock)
  assert.equal(progress.text(), '0 B of 0 B')
  progress.total = 4 * 2 ** 30
  progress.done = 2 ** 30
  await clock.advance(2000)
  assert.equal(progress.text(), '1.0 GiB of 4.0 GiB, 25 %, 512 MiB/s, 6 s left')
  progress.done = 5 * 2 ** 30
  assert.equal(progress.text(), '5.0 GiB of 5.0 GiB, 100 %, 2.5 GiB/s, 0 ms left')
})

test('the line of progress goes for what is printed, and comes again', async () => {
  const clock = new ManualClock()
  const stream = new Gathering(80)
  const errors = new Output(stream)
  using progress = new Progress({ errors, clock }, () => 'half')
  await clock.advance(1000)
  assert.equal(stream.text, '\r\u001b[Khalf')
  progress.hide()
  progress.hide()
  assert.equal(stream.text, '\r\u001b[Khalf\r\u001b[K')
  await clock.advance(1000)
  const shown = stream.bytes.toString().slice(-'\u001b[Khalf'.length)
  assert.equal(shown, '\u001b[Khalf')
})
