// What a close, a flush and a deletion owe to the calls that they meet.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { TestCall } from '../support/storage-environment.ts'
import {
  append,
  appendAll,
  openLog,
  recordSet,
  startAppend,
  until,
} from '../support/storage-environment.ts'
import { WatchedFileSystem } from '../support/watched-file-system.ts'

const LOG_0 = '/data/t-0/00000000000000000000.log'

function values(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `value ${index}`)
}

/** Produces one record after another until told to stop. */
function busyProducer(log: PartitionLog): { stop: () => Promise<void> } {
  let isStopped = false
  const produce = async (): Promise<void> => {
    while (!isStopped) await append(log, recordSet('busy'), { durability: 'os' })
  }
  const running = produce()
  return {
    stop: async () => {
      isStopped = true
      await running
    },
  }
}

suite('calls that meet a close', () => {
  test('a call made while the close seals the files is refused with CLOSED', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await append(log, recordSet('first'))
    let hasClosed = false
    const closing = log.close().then(() => {
      hasClosed = true
    })
    const late: TestCall[] = []
    await until(() => {
      late.push(startAppend(log, recordSet('late')))
      return hasClosed
    })
    await closing
    const outcomes = await Promise.allSettled(late.map(({ done }) => done))
    const refused = outcomes.filter((each) => each.status === 'rejected')
    assert.ok(refused.length > 0)
    for (const { reason } of refused) assert.equal(reason.code, 'CLOSED')
    const acknowledged = outcomes.length - refused.length
    assert.equal(log.logEndOffset, 1 + acknowledged, 'nothing is written for a refused call')
  })
})

suite('a partition that is written to without a pause', () => {
  test('comes to wait for what was written before', { timeout: 20_000 }, async () => {
    const log = await openLog(new FaultFileSystem(), { config: { durability: 'os' } })
    const producers = Array.from({ length: 4 }, () => busyProducer(log))
    await log.written()
    await Promise.all(producers.map((each) => each.stop()))
    await log.close()
  })

  test('comes to a roll that is asked for', { timeout: 20_000 }, async () => {
    const log = await openLog(new FaultFileSystem(), { config: { durability: 'os' } })
    const producers = Array.from({ length: 4 }, () => busyProducer(log))
    await append(log, recordSet('first'))
    const baseOffset = await log.rollNow()
    assert.ok(baseOffset > 0)
    await Promise.all(producers.map((each) => each.stop()))
    await log.close()
  })

  test('comes to two rolls asked for at once, one after the other', async () => {
    const log = await openLog(new FaultFileSystem(), { config: { durability: 'os' } })
    await append(log, recordSet('first'))
    const pending = startAppend(log, recordSet('second'), { durability: 'os' })
    const bases = await Promise.all([log.rollNow(), log.rollNow()])
    await pending.done
    assert.deepEqual(bases, [2, 2])
    await log.close()
  })
})

suite('a flush before recovery could write again what it kept', () => {
  test('tells nothing to be on the disk that was not written again', async () => {
    const before = new FaultFileSystem()
    const log = await openLog(before, { config: { durability: 'os' } })
    await appendAll(log, values(10), { durability: 'os' })
    // The process before may have seen a sync fail: what is read back need not be on the disk.
    const fileSystem = before.processKill()
    const takeBack = fileSystem.failWhen(({ name, path }) =>
      name === 'write' && path === LOG_0 ? 'ENOSPC' : undefined,
    )
    const reopened = await openLog(fileSystem)
    assert.equal(reopened.syncedOffset, 0)
    await assert.rejects(reopened.flush(), { code: 'DISK_FULL', retryable: true })
    assert.equal(reopened.syncedOffset, 0)
    assert.equal(reopened.highWatermark, 0)
    takeBack()
    assert.equal(await reopened.flush(), 10)
    assert.equal(reopened.highWatermark, 10)
    await reopened.close()
  })
})

suite('a deletion under readers', () => {
  test('leaves no handle of what is deleted, though it was read meanwhile', async () => {
    const fileSystem = new WatchedFileSystem(new MemoryFileSystem())
    const log = await openLog(fileSystem, { config: { durability: 'os', segmentBytes: 200 } })
    await appendAll(log, values(12), { durability: 'os' })
    const [first] = log.segments
    assert.ok(first !== undefined && log.segments.length > 3)
    let isDeleted = false
    const deletion = log.deleteSegmentsBelow(log.active.baseOffset).finally(() => {
      isDeleted = true
    })
    while (!isDeleted) {
      await first.file.read(Buffer.alloc(8), 0, 8, 0).catch(() => {})
      await nextTurn()
    }
    await deletion
    assert.deepEqual(log.segments.length, 1)
    assert.equal(fileSystem.openFiles.now, 1, 'the active segment')
    await log.close()
  })
})

suite('a reader beside a writer', () => {
  test('looks twice at once and takes each new segment in once', async () => {
    const fileSystem = new MemoryFileSystem()
    const config = { durability: 'os', segmentBytes: 200 } as const
    const writer = await openLog(fileSystem, { config })
    await appendAll(writer, values(2), { durability: 'os' })
    const reader = await openLog(fileSystem, { config, readOnly: true })
    await appendAll(writer, values(6), { durability: 'os' })
    await Promise.all([reader.poll(0), reader.poll(0)])
    const bases = (log: PartitionLog): number[] => log.segments.map((each) => each.baseOffset)
    assert.deepEqual(bases(reader), bases(writer))
    assert.equal(reader.logEndOffset, 8)
    await reader.close()
    await writer.close()
  })
})

suite('an index that is wrong in its middle', () => {
  test('leaves the log end after a clean close where it is', async () => {
    const fileSystem = new MemoryFileSystem()
    const written = await openLog(fileSystem, { config: { indexIntervalBytes: 100 } })
    const count = 60
    for (let index = 0; index < count; index += 1) {
      // The greatest timestamp stands in the middle, and so does the index entry that the last time entry leads to.
      const timestamp = index === 30 ? 9_000_000 : 1_000_000 + index
      await append(written, recordSet({ value: `value ${index}`.repeat(5), timestamp }))
    }
    await written.close()
    const file = fileSystem.openSync('/data/t-0/00000000000000000000.index', 'write')
    const bytes = Buffer.alloc(file.sizeSync())
    file.readSync(bytes, 0, bytes.length, 0)
    assert.ok(bytes.length > 80)
    for (let entry = 0; entry < bytes.length - 8; entry += 8) bytes.writeInt32BE(2 ** 30, entry + 4)
    file.writeSync(bytes, 0, bytes.length, 0)
    file.closeSync()
    const log = await openLog(fileSystem, { isClean: true, recoveryPoint: count })
    assert.equal(log.logEndOffset, count)
    assert.equal((await append(log, recordSet('next'))).baseOffset, count)
    await log.close()
  })
})
