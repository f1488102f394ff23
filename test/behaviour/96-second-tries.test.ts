import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { test } from 'node:test'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import { Log } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { hidePackage } from '../support/hide-package.ts'

const topics = { events: { value: 'json', partitions: 2 } } as const
const SNAPPY = 2
hidePackage('snappy')

test('a deletion that the disk refused half-way is finished by the next call', async () => {
  const fileSystem = new FaultFileSystem()
  const log = await Log.open('log', { fileSystem, topics })
  await log.produce('events', { value: 1, partition: 1 })
  const restore = fileSystem.failWhen((op) =>
    op.name === 'rename' && op.path.endsWith('events-1') ? 'EIO' : undefined,
  )
  await assert.rejects(log.deleteTopic('events'), { code: 'STORAGE_FAILED' })
  await assert.rejects(log.createTopic('events'), { code: 'TOPIC_EXISTS', retryable: true })
  restore()
  await log.deleteTopic('events')
  await log.createTopic('events')
  assert.deepEqual(await log.offsets('events', 0), { earliest: 0, latest: 0, lastStable: 0 })
  await log.close()
  assert.deepEqual(
    (await fileSystem.readdir('log')).filter((name) => name.startsWith('events')),
    ['events-0'],
  )
})

test('committed offsets in a codec that cannot be read refuse the groups, not the log', async () => {
  const fileSystem = new MemoryFileSystem()
  const before = await Log.open('log', { fileSystem, topics })
  await before.commitOffset('billing', { topic: 'events', partition: 0, offset: 0 })
  await before.close()
  const batch = encodeBatch({
    baseOffset: 1,
    attributes: SNAPPY,
    records: [{ key: null, value: Buffer.from('x'), timestamp: 1 }],
  })
  const handle = fileSystem.openSync('log/__consumer_offsets-0/00000000000000000000.log', 'write')
  handle.writeSync(batch, 0, batch.length, handle.sizeSync())
  handle.closeSync()
  const log = await Log.open('log', { fileSystem, topics })
  await log.produce('events', { value: 1 })
  await assert.rejects(log.committedOffsets('billing'), { code: 'UNSUPPORTED_CODEC' })
  await assert.rejects(log.commitOffset('billing', { topic: 'events', partition: 0, offset: 1 }), {
    code: 'UNSUPPORTED_CODEC',
  })
  await log.close()
})

test('a commit names no field that would be lost, and takes back what was committed', async () => {
  const log = await Log.open('log', { fileSystem: new MemoryFileSystem(), topics })
  const commit = { topic: 'events', partition: 0, offset: 0 }
  const misspelt = { ...commit, metdata: 'x' }
  await assert.rejects(log.commitOffset('g', misspelt), /metdata.*did you mean metadata/)
  await log.commitOffset('g', { ...commit, metadata: 'x' })
  await log.commitOffset('copy', await log.committedOffsets('g'))
  assert.equal((await log.committedOffsets('copy'))[0]?.metadata, 'x')
  await log.close()
})

test('a close waits for the calls that were made before it', async () => {
  const log = await Log.open('log', { fileSystem: new MemoryFileSystem(), topics })
  await log.produce('events', [{ value: 1, partition: 0 }])
  const calls = [
    log.resetOffsets('g', 'events', { timestamp: 0 }),
    log.offsetForTimestamp('events', { partition: 0, timestamp: 0 }),
    log.flush(),
    log.createTopic('late'),
  ]
  await Promise.all([log.close(), ...calls])
})

test('what a listener for failures throws is the program’s to see', async () => {
  const fileSystem = new FaultFileSystem()
  const log = await Log.open('log', { fileSystem, topics })
  await log.produce('events', { value: 1, partition: 0 })
  fileSystem.refuseSync((path) => path.endsWith('.log'), 'EIO')
  log.on('failure', () => {
    throw new Error('from the listener')
  })
  const thrown = new Promise<Error>((resolve) => {
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => {
      for (const each of listeners) process.on('uncaughtException', each)
      resolve(error)
    })
  })
  await assert.rejects(log.produce('events', { value: 2, partition: 0 }), {
    code: 'STORAGE_FAILED',
  })
  assert.equal((await thrown).message, 'from the listener')
  await assert.rejects(log.close(), { code: 'STORAGE_FAILED' })
})

test('a failure is told to who waits for it with once', async () => {
  const fileSystem = new FaultFileSystem()
  const log = await Log.open('log', { fileSystem, topics })
  fileSystem.refuseSync((path) => path.endsWith('.log'), 'EIO')
  const told = once(log, 'failure')
  await assert.rejects(log.produce('events', { value: 2, partition: 0 }))
  const [failure] = await told
  assert.equal(failure.topic, 'events')
  await assert.rejects(log.close(), { code: 'STORAGE_FAILED' })
})

test('a manual clock waits for the syncs that calls have begun', async (t) => {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-clock-'))
  t.after(() => rm(directory, { recursive: true, force: true }))
  const clock = new ManualClock()
  const log = await Log.open(directory, { clock, topics })
  let acknowledged = 0
  for (let i = 0; i < 10; i += 1) {
    void log.produce('events', { value: i }).then(() => (acknowledged += 1))
  }
  await clock.advance(0)
  assert.equal(acknowledged, 10)
  await log.close()
})

test('a flush ends while callers keep coming faster than there is room', async () => {
  const fileSystem = new MemoryFileSystem()
  const log = await Log.open('log', { fileSystem, topics, maxPendingBytes: 64 * 1024 })
  const value = 'x'.repeat(8 * 1024)
  let produced = 0
  let isFlushed = false
  const callers = Array.from({ length: 64 }, async () => {
    while (!isFlushed && produced < 20_000) {
      await log.produce('events', { value, partition: 0 }, { durability: 'os' })
      produced += 1
    }
  })
  await log.flush()
  isFlushed = true
  assert.ok(produced < 20_000, `${produced} records came first`)
  await Promise.all(callers)
  await log.close()
})
