// What becomes of a compaction while segments go, or the partition does.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { applyRetention } from '../../src/cleanup/cleaner.ts'
import type { CompactionCounts } from '../../src/cleanup/compactor.ts'
import { compactPartition, describeCleanable } from '../../src/cleanup/compactor.ts'
import { Compaction } from '../../src/log/compaction.ts'
import type { StorageEnvironment } from '../../src/storage/environment.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { FileStat } from '../../src/types.ts'
import { turnIsLong } from '../../src/util/turn.ts'
import { ABORT, FIRST_ID, IN_TRANSACTION, produce } from '../support/producer-calls.ts'
import {
  append,
  openLog,
  readAll,
  recordSet,
  storageEnvironment,
  until,
} from '../support/storage-environment.ts'

const CONFIG = { cleanupPolicy: 'compact', minCompactionLagMs: 1, durability: 'os' } as const

/** A log of segments of one record each, the last one active, that was opened anew: nothing is known of them. */
async function opened(
  keys: readonly string[],
  fileSystem: MemoryFileSystem,
  timestamp = 5,
): Promise<{ readonly log: PartitionLog; readonly environment: StorageEnvironment }> {
  const before = await openLog(fileSystem, { config: CONFIG })
  for (const [index, key] of keys.entries()) {
    await append(before, recordSet({ key, value: `${index}`, timestamp }), { durability: 'os' })
    await before.rollNow()
  }
  await before.close()
  const environment = storageEnvironment(fileSystem)
  return {
    log: await openLog(fileSystem, { environment, config: CONFIG, isClean: true }),
    environment,
  }
}

async function compactAll(
  log: PartitionLog,
  environment: StorageEnvironment,
): Promise<CompactionCounts> {
  const range = await describeCleanable(log, environment, undefined)
  return await compactPartition(log, environment, {
    range,
    mapBytes: 4096,
    pace: () => Promise.resolve(),
    passed: () => Promise.resolve(),
  })
}

test('segments that are deleted while a partition is compacted do not keep it from it, at whatever moment', async () => {
  for (let moment = 0; moment < 160; moment += 4) {
    const { log, environment } = await opened(['a', 'b', 'a', 'c', 'b'], new MemoryFileSystem())
    const compacting = compactAll(log, environment)
    for (let turn = 0; turn < moment; turn += 1) await undefined
    await log.deleteSegmentsBelow(2)
    await compacting
    const left = (await readAll(log)).map(({ offset, key }) => [offset, key])
    assert.deepEqual(
      left.filter(([offset]) => Number(offset) >= 2),
      [
        [2, 'a'],
        [3, 'c'],
        [4, 'b'],
      ],
    )
    await log.close()
  }
})

test('a compaction whose segments are all deleted before it comes to them has come to its end', async () => {
  const { log, environment } = await opened(['a', 'b', 'a', 'c'], new MemoryFileSystem())
  const range = await describeCleanable(log, environment, undefined)
  await log.deleteSegmentsBelow(4)
  const ends: number[] = []
  const counts = await compactPartition(log, environment, {
    range,
    mapBytes: 4096,
    pace: () => Promise.resolve(),
    passed: async (endOffset) => {
      ends.push(endOffset)
      assert.ok(ends.length < 10, `${ends}`)
    },
  })
  assert.deepEqual([range.upperBoundOffset, ends, counts.passes], [4, [4], 1])
  await log.close()
})

test('retention looks over segments that are being replaced, at whatever moment', async () => {
  for (let moment = 0; moment < 400; moment += 5) {
    const { log, environment } = await opened(['a', 'b', 'a', 'c', 'b'], new MemoryFileSystem())
    log.configure({ ...log.config, cleanupPolicy: 'compact,delete', retentionMs: 2 ** 50 })
    const compacting = compactAll(log, environment)
    for (let turn = 0; turn < moment; turn += 1) await undefined
    assert.equal(await applyRetention(log, environment), 0, `moment ${moment}`)
    await compacting
    await log.close()
  }
})

test('where a turn of the event loop has become long, the next batch waits for another one', async () => {
  const batches = 40
  const fileSystem = new MemoryFileSystem()
  const environment = storageEnvironment(fileSystem)
  const log = await openLog(fileSystem, { environment, config: CONFIG })
  for (let index = 0; index < batches; index += 1) {
    await append(log, recordSet({ key: `${index % 3}`, value: 'v', timestamp: 5 }))
  }
  await log.rollNow()
  let waits = 0
  await compactPartition(log, environment, {
    range: await describeCleanable(log, environment, undefined),
    mapBytes: 4096,
    pace: (bytes) => {
      if (bytes === 0) waits += 1
      const startMs = performance.now()
      while (performance.now() - startMs < 1) turnIsLong()
      return Promise.resolve()
    },
    passed: () => Promise.resolve(),
  })
  // Of both phases.
  assert.ok(waits >= 2 * batches, `${waits}`)
  await log.close()
})

/** `stat` of a .log waits for the test. */
class HeldFileSystem extends MemoryFileSystem {
  isAsked = false
  release: () => void = () => {}
  readonly #released = new Promise<void>((resolve) => {
    this.release = resolve
  })

  override async stat(path: string): Promise<FileStat | undefined> {
    if (this.isHeld && path.endsWith('.log')) {
      this.isAsked = true
      await this.#released
    }
    return await super.stat(path)
  }

  isHeld = false
}

suite('a partition that is closed while it is looked at in the background', () => {
  test('waits for the look, which ends without a word', async () => {
    const fileSystem = new HeldFileSystem()
    // Without timestamps the files are asked how old they are.
    const { log, environment } = await opened(['a', 'b', 'a'], fileSystem, -1)
    const failures: Error[] = []
    const compaction = new Compaction({
      environment,
      options: { compactionBytesPerSecond: undefined, compactionMapBytes: 4096 },
      partitions: () => [log],
      writeCheckpoint: () => Promise.resolve(),
      failed: (error) => failures.push(error),
    })
    fileSystem.isHeld = true
    const running = compaction.runInBackground()
    await until(() => fileSystem.isAsked)
    let isClosed = false
    const closing = log.close().then(() => {
      isClosed = true
    })
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(isClosed, false)
    fileSystem.release()
    await closing
    for (const name of await fileSystem.readdir('/data/t-0'))
      await fileSystem.unlink(`/data/t-0/${name}`)
    await running
    assert.deepEqual(failures, [])
    await compaction.close()
  })
})

test('a transaction that is not released to readers is not compacted, though its marker is there, and its marker is synced before it is', async () => {
  const fileSystem = new MemoryFileSystem()
  const clock = new ManualClock()
  const environment = storageEnvironment(fileSystem, { clock })
  const log = await openLog(fileSystem, { environment, config: CONFIG })
  const options = { durability: 'os' } as const
  await append(log, recordSet({ key: 'a', value: 'old', timestamp: 5 }), options)
  await log.rollNow()
  assert.equal(await produce(log, IN_TRANSACTION, ['aborted'], options), 1)
  await log.rollNow()
  await append(log, recordSet({ key: 'a', value: 'new', timestamp: 5 }), options)
  await log.rollNow()
  assert.equal(await produce(log, ABORT, [], options), 3)
  await clock.advance(10)
  const upperBound = async (): Promise<number> =>
    (await describeCleanable(log, environment, undefined)).upperBoundOffset
  assert.equal(log.firstUnstableOffset, undefined)
  assert.equal(await upperBound(), 1)
  log.visible.release(FIRST_ID)
  assert.equal(await upperBound(), 3)
  assert.deepEqual([log.syncedOffset, log.logEndOffset], [3, 4])
  await compactAll(log, environment)
  assert.equal(log.syncedOffset, 4)
  assert.deepEqual(
    (await readAll(log)).map(({ offset, value }) => [offset, value]),
    [[2, 'new']],
  )
  await log.close()
})
