// What each step of durability is there for: one short scene each, that fails without it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Durability } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { readAll } from '../support/crash-evidence.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { loseLockHolder } from '../support/lock-holder.ts'

const DIRECTORY = '/data'
const LOG_FILE = `${DIRECTORY}/events-0/${'0'.repeat(20)}.log`
/** Outcomes of a power cut that are looked at where it is left to chance. */
const SEEDS = Array.from({ length: 60 }, (_, seed) => seed)

interface Opened {
  readonly log: Log
  readonly fileSystem: FaultFileSystem
  readonly clock: ManualClock
}

async function openAt(fileSystem: FaultFileSystem, durability: Durability): Promise<Opened> {
  await loseLockHolder(fileSystem, DIRECTORY)
  const clock = new ManualClock()
  const topics = { events: { value: 'string', durability, segmentBytes: 64 * 1024 } } as const
  const log = await Log.open(DIRECTORY, { fileSystem, clock, topics })
  return { log: log as unknown as Log, fileSystem, clock }
}

const openNew = (durability: Durability): Promise<Opened> =>
  openAt(new FaultFileSystem(), durability)

async function produce({ log }: Opened, ...values: string[]): Promise<void> {
  for (const value of values) await log.produce('events', { value })
}

/** All values: there is one at every offset. */
async function valuesIn({ log }: Opened): Promise<(string | null)[]> {
  const { earliest, latest, records } = await readAll(log, 'events', 0)
  assert.equal(records.length, latest - earliest, 'an offset has no record')
  return records.map(({ value }) => value)
}

/** Whole batches of several sectors of the disk. */
const large = (name: string): string => name.repeat(4000)

test('a record that was acknowledged at disk is there after the power cut that follows', async () => {
  const before = await openNew('disk')
  await produce(before, 'one', 'two')
  const after = await openAt(before.fileSystem.powerCut({ mode: 'lose-all' }), 'disk')
  assert.deepEqual(await valuesIn(after), ['one', 'two'])
})

test('a segment that a roll has begun is there after a power cut, and so is a topic', async () => {
  const before = await openNew('disk')
  const values = Array.from({ length: 30 }, (_, index) => large(String.fromCharCode(65 + index)))
  await produce(before, ...values)
  await before.log.createTopic('more')
  await before.log.produce('more', { value: 1 })
  assert.ok(((await before.log.describeTopic('events')).partitions[0]?.segments ?? 0) > 1)
  const after = await openAt(before.fileSystem.powerCut({ mode: 'lose-all' }), 'disk')
  assert.deepEqual(await valuesIn(after), values)
  assert.deepEqual(await after.log.offsets('more', 0), { earliest: 0, latest: 1, lastStable: 1 })
})

test('a batch that came while its topic was being synced is not taken for synced: torn, it is cut', async () => {
  const before = await openNew('os')
  await produce(before, 'one')
  let isProduced: Promise<void> | undefined
  before.fileSystem.failWhen(({ name, path }) => {
    if (name === 'sync' && path === LOG_FILE) isProduced ??= produce(before, large('two'))
    return undefined
  })
  // A sync in the background, and a checkpoint behind it.
  await before.clock.advance(1000)
  await isProduced
  assert.ok(before.fileSystem.unsyncedBytes(LOG_FILE) > large('two').length)
  for (const seed of SEEDS) {
    const after = await openAt(before.fileSystem.powerCut({ seed }), 'os')
    const values = await valuesIn(after)
    assert.deepEqual(values, ['one', large('two')].slice(0, values.length), `seed ${seed}`)
    assert.ok(values.length > 0, `seed ${seed}`)
  }
})

test('a batch of which a part did not reach the disk is cut by the next open, and its offset given again', async () => {
  const before = await openNew('os')
  await produce(before, 'one')
  await before.log.flush()
  await produce(before, large('two'))
  let torn = 0
  for (const seed of SEEDS) {
    const after = await openAt(before.fileSystem.powerCut({ seed }), 'os')
    const values = await valuesIn(after)
    if (values.length === 2) assert.deepEqual(values, ['one', large('two')], `seed ${seed}`)
    else {
      assert.deepEqual(values, ['one'], `seed ${seed}`)
      if (after.log.recovery.partitions.some(({ cut }) => cut.length > 0)) torn += 1
      assert.equal((await after.log.produce('events', { value: 'three' })).offset, 1)
    }
  }
  assert.ok(torn > 0, 'no outcome tears the batch')
})

test('after a failed sync nothing more is taken, and what the next open serves of it outlives a power cut', async () => {
  const before = await openNew('disk')
  await produce(before, 'one')
  before.fileSystem.refuseSync((path) => path === LOG_FILE)
  for (const value of ['two', 'three']) {
    await assert.rejects(produce(before, value), { code: 'STORAGE_FAILED', retryable: false })
  }
  assert.deepEqual(await valuesIn(before), ['one'])
  const killed = await openAt(before.fileSystem.processKill(), 'disk')
  // Nobody can tell it from what was synced; the disk has lost it.
  assert.deepEqual(await valuesIn(killed), ['one', 'two'])
  const after = await openAt(killed.fileSystem.powerCut({ mode: 'lose-all' }), 'disk')
  assert.deepEqual(await valuesIn(after), ['one', 'two'])
})

test('after a clean close an index with wrong entries leads no reader astray', async () => {
  const before = await openNew('disk')
  const values = Array.from({ length: 12 }, (_, index) => large(String.fromCharCode(65 + index)))
  await produce(before, ...values)
  await before.log.close()
  const index = before.fileSystem.openSync(`${DIRECTORY}/events-0/${'0'.repeat(20)}.index`, 'write')
  const bytes = Buffer.alloc(index.sizeSync())
  index.readSync(bytes, 0, bytes.length, 0)
  for (let entry = 0; entry < bytes.length; entry += 8) {
    bytes.writeInt32BE(bytes.readInt32BE(entry + 4) + 7, entry + 4)
  }
  index.writeSync(bytes, 0, bytes.length, 0)
  index.closeSync()
  const after = await openAt(before.fileSystem, 'disk')
  for (const [offset, value] of values.entries()) {
    const { records } = await after.log.fetch('events', { partition: 0, offset, maxRecords: 1 })
    assert.equal(records[0]?.offset, offset)
    assert.ok(records[0].value === value, `offset ${offset} has the value of another`)
  }
  await after.log.close()
})

test('a crash after a clean close and an open is told from the clean close', async () => {
  const first = await openNew('disk')
  await produce(first, 'one')
  await first.log.close()
  const second = await openAt(first.fileSystem, 'disk')
  assert.equal(second.log.recovery.clean, true)
  await produce(second, 'two')
  const after = await openAt(second.fileSystem.powerCut({ mode: 'keep-all' }), 'disk')
  assert.equal(after.log.recovery.clean, false)
  assert.deepEqual(await valuesIn(after), ['one', 'two'])
})

test('a clean marker that a killed open has removed does not come back with a power cut', async () => {
  const first = await openNew('disk')
  await produce(first, 'one')
  await first.log.close()
  const closed = (): FaultFileSystem => first.fileSystem.powerCut({ mode: 'keep-all' })
  const rehearsal = await openAt(closed(), 'disk')
  const removal = rehearsal.fileSystem.operations.findIndex(
    ({ name, path }) => name === 'unlink' && path.endsWith('.kafka_cleanshutdown'),
  )
  assert.ok(removal > 0)
  const killed = closed()
  killed.cutAt(removal + 1)
  await assert.rejects(openAt(killed, 'disk'))
  const second = await openAt(killed.processKill(), 'disk')
  await produce(second, 'two')
  const after = await openAt(second.fileSystem.powerCut({ mode: 'lose-all' }), 'disk')
  assert.equal(after.log.recovery.clean, false)
  assert.deepEqual(await valuesIn(after), ['one', 'two'])
})
