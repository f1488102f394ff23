// Retention on a partition: what goes, what stays, and what is read to find out.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { applyRetention } from '../../src/cleanup/cleaner.ts'
import { TOPIC_CONFIG_DEFAULTS } from '../../src/options.ts'
import { AppendCall } from '../../src/storage/append-call.ts'
import type { StorageEnvironment } from '../../src/storage/environment.ts'
import { Codecs } from '../../src/storage/environment.ts'
import { FileCache } from '../../src/storage/file-cache.ts'
import { MemoryCache } from '../../src/storage/memory-cache.ts'
import { PartitionLog } from '../../src/storage/partition-log.ts'
import { PendingRoom } from '../../src/storage/pending-room.ts'
import { ChunkPool } from '../../src/storage/tail.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { FileSystem, TopicConfig } from '../../src/types.ts'
import { Semaphore } from '../../src/util/semaphore.ts'

const DIRECTORY = '/data/orders-0'
const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR

class WaitingCall extends AppendCall {
  readonly done: Promise<void>
  #resolve = (): void => {}
  #reject: (error: Error) => void = () => {}

  constructor() {
    super('os', -1, undefined)
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  acknowledged(): void {
    this.#resolve()
  }

  failed(error: Error): void {
    this.#reject(error)
  }
}

function environmentOf(fileSystem: FileSystem, clock: ManualClock): StorageEnvironment {
  return {
    fileSystem,
    clock,
    files: new FileCache(fileSystem, new Semaphore(3), 64),
    cache: new MemoryCache(1 << 20),
    chunks: new ChunkPool(),
    room: new PendingRoom(1 << 20),
    codecs: new Codecs({}, 1 << 20),
    readOnly: false,
    producerIdExpirationMs: 1000,
    unsynced: { appended: () => {}, isFull: () => false, flushed: async () => {} },
    onPartitionFailure: () => {},
  }
}

interface Bench {
  readonly partition: PartitionLog
  readonly environment: StorageEnvironment
  readonly clock: ManualClock
  readonly fileSystem: MemoryFileSystem
  /** Appends one record of 100 bytes. */
  append(timestamp?: number): Promise<void>
}

async function openBench(config: Partial<TopicConfig>): Promise<Bench> {
  const clock = new ManualClock()
  const fileSystem = new MemoryFileSystem({ clock })
  await fileSystem.mkdir(DIRECTORY)
  const environment = environmentOf(fileSystem, clock)
  const partition = await PartitionLog.open({
    environment,
    topic: 'orders',
    partition: 0,
    directory: DIRECTORY,
    config: { ...TOPIC_CONFIG_DEFAULTS, durability: 'os', ...config },
    isClean: true,
    recoveryPoint: 0,
    logStartOffset: 0,
  })
  const append = async (timestamp = clock.now()): Promise<void> => {
    const call = new WaitingCall()
    const timestamps = [timestamp]
    partition.append(
      { keys: [null], values: [Buffer.alloc(100)], headers: undefined, timestamps },
      call,
    )
    await call.done
  }
  return { partition, environment, clock, fileSystem, append }
}

/** A segment a day with one record each, the last one active. */
async function fillDays(bench: Bench, days: number): Promise<void> {
  for (let day = 0; day < days; day += 1) {
    if (day > 0) {
      await bench.clock.advance(DAY)
      await bench.partition.rollNow()
    }
    await bench.append()
  }
}

const bases = ({ partition }: Bench): number[] =>
  partition.segments.map((segment) => segment.baseOffset)

test('by time: segments go whose last record is older than retentionMs', async () => {
  const bench = await openBench({ retentionMs: 2 * DAY })
  await fillDays(bench, 5)
  assert.equal(await applyRetention(bench.partition, bench.environment), 2)
  assert.deepEqual(bases(bench), [2, 3, 4])
  assert.equal(bench.partition.logStartOffset, 2)
  const names = await bench.fileSystem.readdir(DIRECTORY)
  assert.deepEqual(
    names.filter((name) => /^0{19}[01]\.(?:log|index|timeindex)/.test(name)),
    [],
  )
})

test('by size: the oldest segments go while the rest is at least retentionBytes', async () => {
  const bench = await openBench({ retentionBytes: 400 })
  await fillDays(bench, 5)
  const sizeBytes = bench.partition.active.sizeBytes
  const kept = Math.ceil(400 / sizeBytes)
  assert.equal(await applyRetention(bench.partition, bench.environment), 5 - kept)
  assert.equal(bench.partition.segments.length, kept)
})

test('when all records are too old, an empty segment at the log end stays', async () => {
  const bench = await openBench({ retentionMs: DAY })
  await fillDays(bench, 3)
  await bench.clock.advance(10 * DAY)
  assert.equal(await applyRetention(bench.partition, bench.environment), 3)
  assert.deepEqual(bases(bench), [3])
  assert.equal(bench.partition.logStartOffset, 3)
  assert.equal(bench.partition.logEndOffset, 3)
  await bench.append()
  assert.equal(bench.partition.logEndOffset, 4)
})

test('an empty active segment is left alone', async () => {
  const bench = await openBench({ retentionMs: 0, retentionBytes: 0 })
  await bench.clock.advance(DAY)
  assert.equal(await applyRetention(bench.partition, bench.environment), 0)
  assert.deepEqual(bases(bench), [0])
})

test('what readers cannot see yet stays', async () => {
  const bench = await openBench({ retentionBytes: 0, durability: 'disk' })
  await bench.append()
  assert.equal(bench.partition.highWatermark, 0)
  assert.equal(await applyRetention(bench.partition, bench.environment), 0)
  await bench.partition.flush()
  assert.equal(await applyRetention(bench.partition, bench.environment), 1)
})

test('a record that arrives while the active segment is rolled stays', async () => {
  const bench = await openBench({ retentionMs: DAY })
  await bench.append()
  await bench.clock.advance(2 * DAY)
  const retention = applyRetention(bench.partition, bench.environment)
  await bench.append()
  assert.equal(await retention, 0)
  assert.equal(bench.partition.logEndOffset, 2)
  assert.equal(bench.partition.logStartOffset, 0)
})

test('records without a timestamp are as old as their file', async () => {
  const bench = await openBench({ retentionMs: DAY })
  await bench.append(-1)
  await bench.clock.advance(HOUR)
  await bench.partition.rollNow()
  await bench.append(-1)
  assert.equal(await applyRetention(bench.partition, bench.environment), 0)
  await bench.clock.advance(DAY)
  assert.equal(await applyRetention(bench.partition, bench.environment), 1)
  await bench.clock.advance(HOUR)
  assert.equal(await applyRetention(bench.partition, bench.environment), 1)
  assert.deepEqual(bases(bench), [2])
})

/** Fails when anything else is asked for. */
function onlyWith<T extends object>(whole: T, allowed: readonly (keyof T)[]): T {
  return new Proxy(whole, {
    get: (target, name) => {
      assert.ok(allowed.includes(name as keyof T), `${String(name)} was asked for`)
      return Reflect.get(target, name, target)
    },
  })
}

test('without limits nothing is read, opened or written', async () => {
  const bench = await openBench({})
  await fillDays(bench, 2)
  const partition = onlyWith(bench.partition, ['config'])
  assert.equal(await applyRetention(partition, onlyWith(bench.environment, [])), 0)
})

test('the timestamps behind the first segment that stays are not read', async () => {
  const bench = await openBench({ retentionMs: DAY })
  await fillDays(bench, 4)
  bench.partition.configure({ ...bench.partition.config, retentionMs: 30 * DAY })
  assert.equal(await applyRetention(bench.partition, bench.environment), 0)
  const checked = bench.partition.segments.map((segment) => segment.isTimeIndexChecked)
  assert.deepEqual(checked, [true, false, false, false])
})

test('a log that was opened to be read only is left as it is', async () => {
  const bench = await openBench({ retentionMs: 0, retentionBytes: 0 })
  await fillDays(bench, 3)
  assert.equal(await applyRetention(bench.partition, { ...bench.environment, readOnly: true }), 0)
  assert.equal(bench.partition.segments.length, 3)
})

test('a partition that is closed to writes is left as it is', async () => {
  const bench = await openBench({ retentionMs: 0, retentionBytes: 0 })
  await fillDays(bench, 3)
  bench.partition.fail(new Error('the sync failed'))
  assert.equal(await applyRetention(bench.partition, bench.environment), 0)
  assert.equal(bench.partition.segments.length, 3)
})

test('a disk that fails tells the caller', async () => {
  const bench = await openBench({ retentionMs: DAY })
  await fillDays(bench, 4)
  bench.fileSystem.rename = () => Promise.reject(new Error('EIO'))
  await assert.rejects(applyRetention(bench.partition, bench.environment), /EIO/)
})
