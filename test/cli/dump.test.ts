// brokerless dump: what it prints, and how it ends.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Log } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { ranAsProcess } from '../support/cli-process.ts'
import { ran } from '../support/command-line.ts'
import { fixtureDirectory } from '../support/fixtures.ts'
import { Inspected } from '../support/inspected.ts'
import { segmentFile } from '../support/kafka-files.ts'
import { TYPESCRIPT } from '../support/typescript.ts'

const START_MS = Date.UTC(2026, 0, 1)
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url))

/** A topic of MessagePack values, of which one is a tombstone, with committed offsets. */
async function written(): Promise<Inspected> {
  const clock = new ManualClock(START_MS)
  const fileSystem = new MemoryFileSystem({ clock })
  const log = await Log.open('/data', { fileSystem, clock, topics: { orders: {} } })
  await log.produce('orders', [
    { key: 'o-1', value: { cents: 1999 }, headers: { trace: 'a1', raw: Buffer.from([0xff]) } },
    { key: 'o-2', value: null, timestamp: START_MS + 5 },
  ])
  await log.produce('orders', { value: 'x'.repeat(300) })
  await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 2, metadata: 'm' })
  await log.close()
  return new Inspected(fileSystem)
}

const DATA = `/data/orders-0/${segmentFile(0)}`

/** Checksums and what follows from the clock of the test alone. */
const withoutCrc = (text: string): string => text.replace(/crc 0x[0-9a-f]{8}/g, 'crc')

test('dump shows batches and records, values as their serializer has them', async () => {
  const { fileSystem } = await written()
  const { exitCode, stdout } = await ran(['dump', DATA], { fileSystem })
  assert.equal(exitCode, 0)
  const at = '2026-01-01T00:00:00.000Z'
  assert.deepEqual(withoutCrc(stdout).split('\n'), [
    `${DATA}: log of orders-0, offset 0, 479 B`,
    `batch at 0: offsets 0 to 1, 2 records, 106 bytes, epoch 0, CreateTime ${at} to 2026-01-01T00:00:00.005Z, crc`,
    `  0 ${at} key "o-1" value {"cents":1999} headers {"trace": "a1", "raw": 0xff}`,
    '  1 2026-01-01T00:00:00.005Z key "o-2" value null',
    `batch at 106: offset 2, 1 record, 373 bytes, epoch 0, CreateTime ${at}, crc`,
    `  2 ${at} key null value "${'x'.repeat(119)}… (302 characters)`,
    '',
  ])
  const full = await ran(['dump', '--full', DATA], { fileSystem })
  assert.match(full.stdout, new RegExp(` value "${'x'.repeat(300)}"\n`))
  const bytes = await ran(['dump', '--values', 'bytes', DATA], { fileSystem })
  assert.match(bytes.stdout, / value 0x81a563656e7473cd07cf /)
})

test('dump shows committed offsets decoded', async () => {
  const { fileSystem } = await written()
  const file = `/data/__consumer_offsets-0/${segmentFile(0)}`
  const { stdout } = await ran(['dump', file], { fileSystem })
  const at = '2026-01-01T00:00:00.000Z'
  assert.ok(
    stdout.includes(`  0 ${at} group "billing", orders-0: offset 2, metadata "m", at ${at}\n`),
    stdout,
  )
})

test('dump --no-records shows the batches alone', async () => {
  const { fileSystem } = await written()
  const { stdout } = await ran(['dump', '--no-records', DATA], { fileSystem })
  assert.equal(stdout.match(/^batch at /gm)?.length, 2)
  assert.doesNotMatch(stdout, /^ {2}/m)
})

test('dump --json is an object a line', async () => {
  const { fileSystem } = await written()
  const { stdout } = await ran(['dump', '--json', DATA], { fileSystem })
  const [file, batch, record, ...others] = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  assert.deepEqual(file, {
    type: 'file',
    file: DATA,
    kind: 'log',
    sizeBytes: 479,
    baseOffset: 0,
    topic: 'orders',
    partition: 0,
  })
  const { crc, ...rest } = batch
  assert.equal(typeof crc, 'number')
  assert.deepEqual(rest, {
    type: 'batch',
    position: 0,
    baseOffset: 0,
    lastOffset: 1,
    count: 2,
    sizeBytes: 106,
    partitionLeaderEpoch: 0,
    magic: 2,
    isCrcRight: true,
    codec: 'none',
    timestampType: 'CreateTime',
    baseTimestamp: START_MS,
    maxTimestamp: START_MS + 5,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    lastSequence: -1,
    isTransactional: false,
    isControl: false,
  })
  assert.deepEqual(record, {
    type: 'record',
    offset: 0,
    timestamp: START_MS,
    key: 'o-1',
    value: { cents: 1999 },
    headers: { trace: 'a1', raw: { base64: '/w==' } },
  })
  assert.equal(others.length, 3)
})

test('dump shows transactions: markers, producers, aborted ones', async () => {
  const directory = path.join(fixtureDirectory('transactions'), 'ledger-0')
  const files = ['.log', '.txnindex', '.snapshot'].map((suffix) =>
    path.join(directory, segmentFile(61, suffix)),
  )
  const { exitCode, stdout } = await ran(['dump', ...files])
  assert.equal(exitCode, 0)
  assert.match(
    stdout,
    /^batch at \d+: offset 62, 1 record, 78 bytes, .*, producer 1 epoch \d+, transactional, control, crc /m,
  )
  assert.match(stdout, /^ {2}62 \S+ abort, coordinator epoch 0$/m)
  assert.match(stdout, /^producer 1 aborted offsets 51 to 62, last stable offset 60$/m)
  assert.match(stdout, /^producer 1 epoch \d+, .*, transaction open from offset 51 on$/m)
  const json = await ran(['dump', '--json', ...files])
  const markers = json.stdout.match(/"marker":\{"type":0,"coordinatorEpoch":0,"name":"abort"\}/g)
  assert.equal(markers?.length, 2)
})

test('dump shows indexes, checkpoints and metadata', async () => {
  const data = fixtureDirectory('restarted')
  const partition = path.join(data, 'reopened-1')
  const files = [
    path.join(partition, segmentFile(0, '.index')),
    path.join(partition, segmentFile(0, '.timeindex')),
    path.join(partition, 'leader-epoch-checkpoint'),
    path.join(partition, 'partition.metadata'),
    path.join(data, 'recovery-point-offset-checkpoint'),
  ]
  const { exitCode, stdout } = await ran(['dump', ...files])
  assert.equal(exitCode, 0)
  assert.match(stdout, /^offset \d+ position \d+$/m)
  assert.match(stdout, /^timestamp \d+ \(\d{4}-.*Z\) offset \d+$/m)
  assert.match(stdout, /^epoch 4 from offset \d+ on$/m)
  assert.match(stdout, /^topic id [A-Za-z0-9_-]{22}$/m)
  assert.match(stdout, /^reopened-1 offset 96$/m)
})

test('damage is a line with its place, and makes the exit code 1', async () => {
  const file = path.join(fixtureDirectory('flipped-byte'), 'journal-0', segmentFile(87))
  const { exitCode, stdout } = await ran(['dump', '--no-records', file])
  assert.equal(exitCode, 1)
  assert.match(stdout, /^batch at 3512: offsets 111 to 116, .*, crc 0x9fa5bad9 is wrong$/m)
  assert.ok(stdout.includes(`\n${file}:3512: damage: batch-crc: 755 bytes of a batch whose CRC`))
  const torn = path.join(fixtureDirectory('torn-tail'), 'journal-0', segmentFile(87))
  const cut = await ran(['dump', '--no-records', torn])
  assert.equal(cut.exitCode, 1)
  assert.match(cut.stdout, /^batch at 6993: .*, crc 0x02513615 not checked, its end is missing$/m)
})

test('what a dump cannot be made of is told before anything is printed', async () => {
  const { fileSystem } = await written()
  const unknown = await ran(['dump', DATA, '/data/brokerless.json'], { fileSystem })
  assert.deepEqual([unknown.exitCode, unknown.stdout], [2, ''])
  assert.match(
    unknown.stderr,
    /the name \/data\/brokerless\.json does not say what it is; --as KIND/,
  )
  const missing = await ran(['dump', `/data/orders-0/${segmentFile(5)}`], { fileSystem })
  assert.deepEqual([missing.exitCode, missing.stdout], [1, ''])
  assert.match(missing.stderr, /there is no file /)
  const as = await ran(['dump', '--as', 'snapshot', DATA], { fileSystem })
  assert.equal(as.exitCode, 1)
  assert.match(as.stdout, /: damage: snapshot-damaged: version \d+ is not known$/m)
  const none = await ran(['dump'], { fileSystem })
  assert.equal(none.exitCode, 2)
})

test('as a process: all through a pipe, and in quiet where its reader goes', async () => {
  const file = path.join(fixtureDirectory('segments'), 'ticks-0', segmentFile(0))
  const { exitCode, stdout } = await ranAsProcess(['dump', '--json', file])
  assert.equal(exitCode, 0)
  assert.deepEqual(await ran(['dump', '--json', file]), { exitCode, stdout, stderr: '' })
  const large = path.join(fixtureDirectory('plain'), 'orders-0', segmentFile(0))
  const files = Array.from({ length: 20 }, () => large)
  const child = spawn(process.execPath, ['--import', TYPESCRIPT, MAIN, 'dump', '--full', ...files])
  let errors = ''
  child.stderr.on('data', (chunk) => {
    errors += chunk
  })
  child.stdout.once('data', () => child.stdout.destroy())
  const [code] = await once(child, 'exit')
  assert.deepEqual([code, errors], [141, ''])
})
