// brokerless compact: what it does, what it refuses, and verify beside a writer that compacts.
import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { Log } from '../../src/index.ts'
import { ranAsProcess } from '../support/cli-process.ts'
import { ran } from '../support/command-line.ts'
import type { LogAndCommands } from '../support/command-line-log.ts'
import { logAndCommands } from '../support/command-line-log.ts'
import { removeAfter } from '../support/fixtures.ts'
import { WriterProcess } from '../support/writer-process.ts'

const COMPACTED = { value: 'string', cleanupPolicy: 'compact', partitions: 2 } as const

async function written(): Promise<LogAndCommands> {
  const all = logAndCommands()
  await all.fill({ topics: { users: COMPACTED, orders: {} } }, async (log) => {
    for (let round = 0; round < 5; round += 1) {
      const records = Array.from({ length: 4 }, (_, index) => ({
        key: `k${index}`,
        value: `${round}`,
        partition: index % 2,
      }))
      await log.produce('users', records)
    }
  })
  return all
}

test('compact leaves the last record of each key, and tells what it did', async () => {
  const { run } = await written()
  const { exitCode, stdout, stderr } = await run(['compact', 'users'])
  assert.deepEqual([exitCode, stderr], [0, ''])
  assert.deepEqual(stdout.split('\n'), [
    'TOPIC  PARTITION  RECORDS  LEFT   SIZE  LEFT  PASSES  TIME',
    'users          0       10     2  405 B  81 B       1  0 ms',
    'users          1       10     2  405 B  81 B       1  0 ms',
    '',
  ])
  const { stdout: records } = await run(['cat', 'users', '--format', '%k=%s\\n'])
  assert.deepEqual(records.split('\n').sort(), ['', 'k0=4', 'k1=4', 'k2=4', 'k3=4'])
  const verified = await run(['verify'])
  assert.match(verified.stdout, /^Findings: no damage, 0 warnings, /m)
})

test('compact --json tells the same as one document, of the partitions that are named', async () => {
  const { run } = await written()
  const { stdout } = await run(['compact', 'users', '--partition', '1', '--json'])
  assert.deepEqual(JSON.parse(stdout), [
    {
      topic: 'users',
      partition: 1,
      bytesBefore: 405,
      bytesAfter: 81,
      recordsBefore: 10,
      recordsAfter: 2,
      passes: 1,
      damagedSegments: 0,
      durationMs: 0,
    },
  ])
})

test('with --no-roll the active segments stay as they are', async () => {
  const { run } = await written()
  const { stdout } = await run(['compact', 'users', '--no-roll', '--json'])
  for (const { recordsBefore } of JSON.parse(stdout)) assert.equal(recordsBefore, 0)
})

test('a topic that is not compacted, is not there, or lacks the partition, is refused and nothing is written', async () => {
  const { run, place, fileSystem } = await written()
  const marker = path.join(place.directory, '.kafka_cleanshutdown')
  const before = await fileSystem.stat(marker)
  for (const [args, message] of [
    [['users', 'orders'], "orders is not compacted: its cleanupPolicy is 'delete'"],
    [['user'], "there is no topic 'user'; did you mean users?"],
    [['users', '-p', '2'], 'users has no partition 2; it has 2'],
  ] as const) {
    const { exitCode, stderr } = await run(['compact', ...args])
    assert.deepEqual([exitCode, stderr], [1, `brokerless: ${message}\n`])
  }
  assert.deepEqual(await fileSystem.stat(marker), before)
  assert.equal((await run(['compact'])).exitCode, 2)
})

test('a segment with damage is left as it is, and that is told', async () => {
  const { run, place, fileSystem } = await written()
  const file = path.join(place.directory, 'users-0', '00000000000000000000.log')
  const handle = fileSystem.openSync(file, 'write')
  handle.writeSync(Buffer.from([7]), 0, 1, 70)
  handle.closeSync()
  const { exitCode, stderr } = await run(['compact', 'users'])
  assert.equal(exitCode, 1)
  assert.match(
    stderr,
    /^brokerless: 1 segment with damage left as they are; `brokerless verify` tells where$/m,
  )
})

async function temporary(t: Parameters<typeof removeAfter>[0]): Promise<string> {
  const parent = await mkdtemp(path.join(tmpdir(), 'brokerless-compact-'))
  removeAfter(t, parent)
  return path.join(parent, 'data')
}

test('compact says who has the directory; beside one who compacts, verify finds nothing', async (t) => {
  const directory = await temporary(t)
  const users = { ...COMPACTED, segmentBytes: 5000, indexIntervalBytes: 500 }
  const writer = await WriterProcess.open(t, directory, { topics: { users } as never })
  const held = await ran(['compact', 'users', '--dir', directory])
  assert.equal(held.exitCode, 1)
  assert.match(held.stderr, /^brokerless: this command has to write, and .* \d+/)
  const records = Array.from({ length: 40 }, (_, index) => ({ key: `k${index}`, value: 'v' }))
  let isDone = false
  const writing = (async () => {
    for (let call = 1; !isDone || call < 30; call += 1) {
      await writer.call('produce', 'users', records)
      if (call % 10 === 0) await writer.call('compact', 'users')
    }
  })()
  for (let round = 0; round < 15; round += 1) {
    const { exitCode, stdout } = await ran(['verify', '--dir', directory])
    assert.equal(exitCode, 0, stdout)
    assert.match(stdout, /^Findings: no damage, 0 warnings, /m, stdout)
  }
  isDone = true
  await writing
  await writer.call('close')
  const closed = await ran(['verify', '--dir', directory])
  assert.match(closed.stdout, /^Findings: no damage, 0 warnings, /m)
})

test('compact as a process', async (t) => {
  const directory = await temporary(t)
  const log = await Log.open(directory, { topics: { users: COMPACTED } })
  for (let round = 0; round < 10; round += 1) {
    await log.produce('users', { key: 'k', value: 'x', partition: 0 })
  }
  await log.close()
  const { exitCode, stdout } = await ranAsProcess([
    'compact',
    'users',
    '--json',
    '--dir',
    directory,
  ])
  assert.equal(exitCode, 0)
  const [first] = JSON.parse(stdout)
  assert.deepEqual([first.recordsBefore, first.recordsAfter], [10, 1])
})
