// brokerless stats: what it prints.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ranAsProcess } from '../support/cli-process.ts'
import { ran } from '../support/command-line.ts'
import { logAndCommands } from '../support/command-line-log.ts'
import { fixtureDirectory } from '../support/fixtures.ts'

const START_MS = Date.UTC(2026, 0, 1)

async function written() {
  const all = logAndCommands()
  await all.fill({ topics: { orders: { value: 'string' }, empty: {} } }, async (log) => {
    for (let second = 0; second <= 10; second += 1) {
      const timestamp = START_MS + second * 1000
      const value = second === 4 ? null : 'x'.repeat(second)
      await log.produce('orders', { key: `k-${second % 3}`, value, timestamp })
    }
    await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 2 })
  })
  return all
}

test('stats lists all topics, those of the log itself where they are asked for', async () => {
  const { run } = await written()
  const { exitCode, stdout } = await run(['stats'])
  assert.equal(exitCode, 0)
  assert.deepEqual(stdout.split('\n'), [
    'TOPIC   RECORDS  KEYS  TOMBSTONES   SIZE  RATIO  RECORD  BATCH  RECORDS/S',
    'empty         0     0           0    0 B      -       -      -          -',
    'orders       11     3           1  832 B   1.00    15 B   76 B        1.1',
    '',
  ])
  const internal = await run(['stats', '--internal'])
  assert.match(internal.stdout, /^__consumer_offsets +1 +1 +0 /m)
})

test('stats tells a topic in detail', async () => {
  const { run } = await written()
  const { stdout } = await run(['stats', 'orders'])
  const lines = stdout.split('\n')
  assert.deepEqual(lines.slice(0, 9), [
    'TOPIC       orders',
    lines[1],
    'PARTITIONS  1, with 1 segment',
    'RECORDS     11, 1 of them tombstones, 0 without a key',
    'KEYS        3',
    'BATCHES     11',
    'AVERAGE     a record 15 B, a batch 76 B',
    'TIME        2026-01-01T00:00:00.000Z to 2026-01-01T00:00:10.000Z, 10 s',
    'RATE        1.1 records/s, 83 B/s',
  ])
  assert.match(lines[1] ?? '', /^SIZE {8}832 B, and \d+ B of indexes and the like$/)
  assert.match(stdout, /^none +11 +11 +161 B +161 B +1\.00$/m)
  assert.match(stdout, /^ +0 +1 +11 +832 B$/m)
  assert.match(stdout, /^orders-0 +10 +20 B$/m)
})

test('stats --json is an array of topics', async () => {
  const { run } = await written()
  const [empty, orders] = JSON.parse((await run(['stats', '--json'])).stdout)
  assert.deepEqual(
    [empty.records, empty.recordBytes, empty.ratio, empty.spanMs, empty.recordsPerSecond],
    [0, null, null, null, null],
  )
  assert.deepEqual(
    [orders.topic, orders.records, orders.keys, orders.spanMs, orders.recordsPerSecond],
    ['orders', 11, { count: 3, isExact: true }, 10_000, 1.1],
  )
})

test('what is damaged is told, and a topic that is not there refused', async () => {
  const directory = fixtureDirectory('flipped-old')
  const { exitCode, stdout } = await ran(['stats', 'journal', '--dir', directory])
  assert.equal(exitCode, 0)
  assert.match(stdout, /^UNREAD +232 B are damaged or of a codec that is missing$/m)
  assert.deepEqual(await ran(['stats', 'journals', '--dir', directory]), {
    exitCode: 1,
    stdout: '',
    stderr: "brokerless: there is no topic 'journals'; did you mean journal?\n",
  })
})

test('stats as a process prints what it prints here', async () => {
  const args = ['stats', '--dir', fixtureDirectory('compressed')]
  assert.deepEqual(await ranAsProcess(args), await ran(args))
})
