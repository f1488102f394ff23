// Group commit, its order, its bounds, and what becomes of calls when the disk fails.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { RecordSet } from '../../src/codec/record-set.ts'
import { MessageTooLargeError, OffsetConflictError } from '../../src/errors.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { Durability } from '../../src/types.ts'
import type { OperationName } from '../support/fault-file-system.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { OpenOptions, TestCall } from '../support/storage-environment.ts'
import {
  append,
  appendAll,
  batchesOf,
  openLog,
  readAll,
  readFileBytes,
  readPage,
  readPages,
  readValues,
  recordSet,
  startAppend,
  storageEnvironment,
  until,
} from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const LOG_0 = `${DIRECTORY}/00000000000000000000.log`

function values(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `value ${from + index}`)
}

function count(fileSystem: FaultFileSystem, name: OperationName, path = LOG_0): number {
  return fileSystem.operations.filter((each) => each.name === name && each.path === path).length
}

async function settled(calls: readonly TestCall[]): Promise<void> {
  await Promise.allSettled(calls.map(({ done }) => done))
}

suite('group commit', () => {
  test('calls of one turn share a batch, a write and a sync', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await append(log, recordSet('first'))
    assert.deepEqual([count(fileSystem, 'write'), count(fileSystem, 'sync')], [1, 1])
    const calls = values(100).map((value) => startAppend(log, recordSet(value)))
    await settled(calls)
    assert.deepEqual([count(fileSystem, 'write'), count(fileSystem, 'sync')], [2, 2])
    assert.deepEqual(
      calls.map(({ baseOffset }) => baseOffset),
      values(100).map((_, index) => index + 1),
    )
    const page = await readPage(log, 1)
    assert.deepEqual(batchesOf(page), [[1, 100]])
    await log.close()
  })

  test('what comes while a sync runs is covered by the next one, together', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    const first = startAppend(log, recordSet('first'))
    await until(() => count(fileSystem, 'sync') === 1)
    assert.equal(first.outcome, 'waiting')
    const during: TestCall[] = []
    for (const value of values(20)) {
      during.push(startAppend(log, recordSet(value)))
      await Promise.resolve()
    }
    await settled([first, ...during])
    assert.deepEqual([count(fileSystem, 'write'), count(fileSystem, 'sync')], [2, 2])
    assert.deepEqual(
      during.map(({ baseOffset }) => baseOffset),
      values(20).map((_, index) => index + 1),
    )
    await log.close()
  })

  test('calls are acknowledged in their order', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    const told: number[] = []
    const calls: TestCall[] = []
    for (let index = 0; index < 60; index += 1) {
      const call = startAppend(log, recordSet(`${index}`))
      call.onSettled = () => told.push(index)
      calls.push(call)
      if (index % 7 === 0) await new Promise<void>((resolve) => setImmediate(resolve))
    }
    await settled(calls)
    assert.deepEqual(
      told,
      calls.map((_, index) => index),
    )
    assert.deepEqual(
      calls.map(({ baseOffset }) => baseOffset),
      calls.map((_, index) => index),
    )
    await log.close()
  })

  test('a call at os is not held back by a sync, and is visible where the topic is at os', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    const slow = startAppend(log, recordSet('disk'))
    await until(() => count(fileSystem, 'sync') === 1)
    const fast = startAppend(log, recordSet('os'), { durability: 'os' })
    await fast.done
    assert.equal(slow.outcome, 'waiting')
    assert.deepEqual([log.logEndOffset, log.highWatermark], [2, 0])
    await slow.done
    assert.equal(log.highWatermark, 1)
    assert.equal(await log.flush(), 2)
    assert.equal(log.highWatermark, 2)
    await log.close()
    const other = await openLog(new FaultFileSystem(), { config: { durability: 'os' } })
    await append(other, recordSet('os'), { durability: 'os' })
    assert.deepEqual([other.highWatermark, other.syncedOffset], [1, 0])
    await other.close()
  })

  test('a sync that begins during a large write does not count for it', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem, { config: { maxMessageBytes: 4 * 1024 * 1024 } })
    await append(log, recordSet('small'))
    await appendAll(log, ['unsynced'], { durability: 'os' })
    const large = startAppend(log, recordSet({ value: Buffer.alloc(1024 * 1024) }))
    const flushed = log.flush()
    await large.done
    await flushed
    assert.equal(fileSystem.unsyncedBytes(LOG_0), 0)
    const again = await openLog(fileSystem.powerCut({ mode: 'lose-all' }))
    assert.equal(again.logEndOffset, 3)
    await again.close()
  })

  test('with append time the acknowledgement has the time that readers see', async () => {
    const clock = new ManualClock()
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem, { clock, config: { timestampType: 'LogAppendTime' } })
    const calls = [startAppend(log, recordSet('first'))]
    await until(() => count(fileSystem, 'sync') === 1)
    for (const value of values(3)) {
      calls.push(startAppend(log, recordSet({ value, timestamp: 5 })))
      clock.setTime(clock.now() + 10)
    }
    await settled(calls)
    const read = await readAll(log)
    assert.deepEqual(
      read.map(({ timestamp }) => timestamp),
      calls.map(({ timestamp }) => timestamp),
    )
    await log.close()
  })
})

suite('the expected offset', () => {
  test('is judged in the order of the calls', async () => {
    const log = await openLog(new MemoryFileSystem())
    const calls = [
      startAppend(log, recordSet('a'), { expectedOffset: 0 }),
      startAppend(log, recordSet('b'), { expectedOffset: 0 }),
      startAppend(log, recordSet('c', 'd'), { expectedOffset: 1 }),
      startAppend(log, recordSet('e'), { expectedOffset: 3 }),
    ]
    await settled(calls)
    assert.deepEqual(
      calls.map(({ outcome }) => outcome),
      ['acknowledged', 'failed', 'acknowledged', 'acknowledged'],
    )
    const [, conflict] = calls
    assert.ok(conflict?.error instanceof OffsetConflictError)
    assert.deepEqual([conflict.error.expected, conflict.error.actual], [0, 1])
    assert.deepEqual(await readValues(log), ['a', 'c', 'd', 'e'])
    await log.close()
  })

  test('a conflict is told behind the calls before it, written or being synced', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    const told: string[] = []
    const watch = (name: string, call: TestCall): TestCall => {
      call.onSettled = () => told.push(name)
      return call
    }
    const calls = [watch('first', startAppend(log, recordSet('a')))]
    await until(() => count(fileSystem, 'sync') === 1)
    const stale = { expectedOffset: 0 }
    calls.push(watch('conflict', startAppend(log, recordSet('x'), stale)))
    calls.push(watch('second', startAppend(log, recordSet('b'))))
    calls.push(watch('late', startAppend(log, recordSet('y'), { ...stale, durability: 'os' })))
    assert.deepEqual(told, [])
    await settled(calls)
    assert.deepEqual(told, ['first', 'conflict', 'second', 'late'])
    await log.close()
  })

  test('fails with the calls before it', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await append(log, recordSet('a'))
    fileSystem.refuseSync((path) => path === LOG_0)
    const calls = [
      startAppend(log, recordSet('b')),
      startAppend(log, recordSet('c'), { expectedOffset: 2 }),
      startAppend(log, recordSet('d'), { expectedOffset: 0 }),
    ]
    await settled(calls)
    for (const { error } of calls)
      assert.equal((error as { code?: string })?.code, 'STORAGE_FAILED')
  })
})

suite('the size of a batch', () => {
  const config = { maxMessageBytes: 1000, segmentBytes: 100_000 }

  test('gathered calls go into further batches of the same write', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem, { config })
    await append(log, recordSet('first'))
    const before = count(fileSystem, 'write')
    await settled(values(200).map((value) => startAppend(log, recordSet(value))))
    assert.equal(count(fileSystem, 'write') - before, 1)
    for await (const page of readPages(log)) {
      const sizes = batchesOf(page)
      assert.ok(sizes.length > 3)
      assert.ok(page.end - page.start <= sizes.length * 1000)
    }
    assert.deepEqual(await readValues(log), ['first', ...values(200)])
    await log.close()
  })

  test('a call that makes a larger one alone is refused with both sizes, and nothing changes', async () => {
    for (const [name, limits] of [
      ['maxMessageBytes', config],
      ['segmentBytes', { maxMessageBytes: 100_000, segmentBytes: 1000 }],
    ] as const) {
      const fileSystem = new FaultFileSystem()
      const log = await openLog(fileSystem, { config: limits })
      const around = [
        startAppend(log, recordSet('a')),
        startAppend(log, recordSet({ value: Buffer.alloc(2000) })),
        startAppend(log, recordSet('b')),
      ]
      await settled(around)
      const error = around[1]?.error
      assert.ok(error instanceof MessageTooLargeError)
      assert.ok(error.message.includes(name))
      assert.deepEqual([error.size, error.limit], [2070, 1000])
      assert.deepEqual(await readValues(log), ['a', 'b'])
      assert.equal(log.failure, undefined)
      await log.close()
    }
  })

  test('the largest batch that is allowed is taken, one byte more is not', async () => {
    const log = await openLog(new MemoryFileSystem(), { config })
    await append(log, recordSet({ value: Buffer.alloc(930) }))
    assert.equal((await readPage(log, 0)).end - (await readPage(log, 0)).start, 1000)
    await assert.rejects(append(log, recordSet({ value: Buffer.alloc(931) })), { size: 1001 })
    // The bound of its size, three bytes a character, is above the limit; its size is not.
    await append(log, recordSet({ key: 'k'.repeat(900), value: '' }))
    assert.equal(log.logEndOffset, 2)
    await log.close()
  })

  test('records that cannot be encoded fail their call alone', async () => {
    const log = await openLog(new MemoryFileSystem())
    const bad = (): RecordSet => {
      let uses = 0
      const header = (): string => {
        uses += 1
        if (uses > 1) throw new Error('the second use of a header')
        return 'h'
      }
      return {
        ...recordSet('x'),
        headers: [
          {
            get h() {
              return header()
            },
          },
        ],
      }
    }
    const calls = [
      startAppend(log, bad()),
      startAppend(log, recordSet('y'), { expectedOffset: 7 }),
      startAppend(log, recordSet('a')),
      startAppend(log, bad()),
      startAppend(log, recordSet('b')),
    ]
    await settled(calls)
    assert.deepEqual(
      calls.map(({ outcome }) => outcome),
      ['failed', 'failed', 'acknowledged', 'failed', 'acknowledged'],
    )
    assert.deepEqual(await readValues(log), ['a', 'b'])
    await log.close()
  })
})

suite('back-pressure', () => {
  test('calls wait for room in their order, nothing is dropped, and all room is given back', async () => {
    const fileSystem = new FaultFileSystem()
    const environment = storageEnvironment(fileSystem, { maxPendingBytes: 500 })
    const log = await openLog(fileSystem, { environment })
    const calls = values(100).map((value) => startAppend(log, recordSet(value)))
    assert.ok(environment.room.pendingBytes <= 500)
    assert.ok(environment.room.waiting > 50)
    await settled(calls)
    assert.deepEqual(await readValues(log), values(100))
    assert.deepEqual([environment.room.pendingBytes, environment.room.waiting], [0, 0])
    await log.close()
  })

  test('an abort takes back what waits, and nothing else', async () => {
    const fileSystem = new FaultFileSystem()
    const environment = storageEnvironment(fileSystem, { maxPendingBytes: 100 })
    const log = await openLog(fileSystem, { environment })
    const controller = new AbortController()
    const { signal } = controller
    const entered = startAppend(log, recordSet('entered'), { signal })
    const filler = startAppend(log, recordSet({ value: Buffer.alloc(80) }))
    const waiting = startAppend(log, recordSet('waiting'), { signal })
    const last = startAppend(log, recordSet('last'))
    const reason = new Error('no longer wanted')
    controller.abort(reason)
    assert.equal(waiting.error, reason)
    const late = startAppend(log, recordSet('late'), { signal })
    assert.equal(late.error, reason)
    await settled([entered, filler, last])
    assert.deepEqual(
      [entered, filler, last].map(({ outcome }) => outcome),
      ['acknowledged', 'acknowledged', 'acknowledged'],
    )
    assert.equal(log.logEndOffset, 3)
    assert.equal(environment.room.pendingBytes, 0)
    await log.close()
  })

  test('a call that waits has copied what it was given', async () => {
    const fileSystem = new FaultFileSystem()
    const environment = storageEnvironment(fileSystem, { maxPendingBytes: 50 })
    const log = await openLog(fileSystem, { environment })
    const key = Buffer.from('key')
    const value = Buffer.from('value')
    const header = Buffer.from('header')
    const first = startAppend(log, recordSet('first'))
    const call = startAppend(log, {
      keys: [key],
      values: [value],
      headers: [{ a: header, b: [header, null, 'c'] }],
      timestamps: undefined,
    })
    assert.equal(environment.room.waiting, 1)
    for (const bytes of [key, value, header]) bytes.fill(0)
    await settled([first, call])
    const [, record] = await readAll(log)
    assert.deepEqual([record?.key, record?.value], ['key', 'value'])
    const bytes = (await readFileBytes(fileSystem, LOG_0)).toString('latin1')
    assert.equal(bytes.split('header').length, 3)
    await log.close()
  })

  test('a failure reaches a great many waiting calls', async () => {
    const fileSystem = new FaultFileSystem()
    const environment = storageEnvironment(fileSystem, { maxPendingBytes: 50 })
    const log = await openLog(fileSystem, { environment })
    const calls = values(20_000).map((value) => startAppend(log, recordSet(value)))
    fileSystem.refuseSync((path) => path === LOG_0)
    await settled(calls)
    assert.ok(calls.every(({ outcome }) => outcome === 'failed'))
    assert.deepEqual([environment.room.pendingBytes, environment.room.waiting], [0, 0])
  })

  test('a close waits for the calls that wait for room', async () => {
    const fileSystem = new FaultFileSystem()
    const environment = storageEnvironment(fileSystem, { maxPendingBytes: 100 })
    const log = await openLog(fileSystem, { environment })
    const calls = values(50).map((value) => startAppend(log, recordSet(value)))
    await log.close()
    assert.ok(calls.every(({ outcome }) => outcome === 'acknowledged'))
    await assert.rejects(append(log, recordSet('late')), { code: 'CLOSED' })
    const again = await openLog(fileSystem, { isClean: true, recoveryPoint: 50 })
    assert.deepEqual(await readValues(again), values(50))
    await again.close()
  })
})

suite('a roll', () => {
  test('comes before the batch that would pass segmentBytes', async () => {
    const fileSystem = new FaultFileSystem()
    const config = { segmentBytes: 1024 }
    const log = await openLog(fileSystem, { config })
    await settled(values(20).map((value) => startAppend(log, recordSet(value))))
    for (const value of values(60, 20)) await append(log, recordSet(value))
    assert.ok(log.segments.length >= 4)
    for (const segment of log.segments) assert.ok(segment.sizeBytes <= 1024)
    assert.deepEqual(await readValues(log), values(80))
    await log.close()
  })

  test('many batches of one turn go into as many segments as they need', async () => {
    const log = await openLog(new MemoryFileSystem(), {
      config: { segmentBytes: 1024, maxMessageBytes: 300 },
    })
    await settled(values(300).map((value) => startAppend(log, recordSet(value))))
    assert.ok(log.segments.length > 5)
    for (const segment of log.segments) assert.ok(segment.sizeBytes <= 1024)
    assert.deepEqual(await readValues(log), values(300))
    await log.close()
  })

  test('comes when the record times of a segment span more than segmentMs, also within one turn', async () => {
    const log = await openLog(new MemoryFileSystem(), {
      config: { segmentMs: 1000, maxMessageBytes: 120 },
    })
    const times = [5000, 5500, 6000, 6001, 6002, 7001, 9000]
    const calls = times.map((timestamp) =>
      startAppend(log, recordSet({ value: Buffer.alloc(40), timestamp })),
    )
    await settled(calls)
    assert.deepEqual(
      log.segments.map(({ baseOffset }) => baseOffset),
      [0, 3, 6],
    )
    await log.close()
  })

  test('comes by the clock alone where a segment has no records yet to go by: never while it is empty', async () => {
    const clock = new ManualClock()
    const log = await openLog(new MemoryFileSystem(), { clock, config: { segmentMs: 1000 } })
    clock.setTime(clock.now() + 5000)
    await append(log, recordSet('a'))
    clock.setTime(clock.now() + 5000)
    await append(log, recordSet('b'))
    assert.deepEqual(
      log.segments.map(({ baseOffset }) => baseOffset),
      [0, 1],
    )
    await log.close()
  })

  test('comes when an index is full', async () => {
    const fileSystem = new MemoryFileSystem()
    const config = { segmentIndexBytes: 48, indexIntervalBytes: 0, maxMessageBytes: 120 }
    const log = await openLog(fileSystem, { config })
    let timestamp = 1
    for (let round = 0; round < 5; round += 1) {
      const calls = values(10).map((value) => {
        timestamp += 1
        return startAppend(log, recordSet({ value: value.padEnd(40), timestamp }))
      })
      await settled(calls)
    }
    assert.ok(log.segments.length > 10)
    await log.close()
    for (const name of await fileSystem.readdir(DIRECTORY)) {
      if (!name.endsWith('index')) continue
      assert.ok((await readFileBytes(fileSystem, `${DIRECTORY}/${name}`)).length <= 48, name)
    }
  })

  test('is undone or finished wherever the power is cut', async () => {
    const config = { segmentBytes: 1024 }
    const script = async (fileSystem: FaultFileSystem): Promise<string[]> => {
      const acknowledged: string[] = []
      const log = await openLog(fileSystem, { config })
      for (const value of values(30)) {
        await append(log, recordSet(value))
        acknowledged.push(value)
      }
      await log.close()
      return acknowledged
    }
    const whole = new FaultFileSystem()
    await script(whole)
    for (let index = 3; index < whole.operations.length; index += 1) {
      const fileSystem = new FaultFileSystem()
      fileSystem.cutAt(index)
      const calls: TestCall[] = []
      const log = await openLog(fileSystem, { config }).catch(() => undefined)
      for (const value of log === undefined ? [] : values(30)) {
        const call = startAppend(log as PartitionLog, recordSet(value))
        await settled([call])
        calls.push(call)
      }
      await log?.close().catch(() => {})
      const acknowledged = calls.filter(({ outcome }) => outcome === 'acknowledged').length
      const next = fileSystem.powerCut({ seed: index })
      const again = await openLog(next, { config })
      const read = await readValues(again)
      assert.deepEqual(read, values(read.length), `cut at ${index}`)
      assert.ok(read.length >= acknowledged && read.length <= acknowledged + 1)
      await append(again, recordSet('next'))
      const third = await openLog(next.powerCut({ mode: 'lose-all' }), { config })
      assert.deepEqual(await readValues(third), [...read, 'next'], `cut at ${index}, then again`)
      await third.close()
    }
  })

  test('whose directory sync fails leaves no name that is not on the disk', async () => {
    const before = new FaultFileSystem()
    const log = await openLog(before)
    await appendAll(log, values(3))
    const heal = before.failWhen(({ name, path }) => {
      const hasNew = before.operations.some(({ name: each, path: file }) => {
        return each === 'create' && file.endsWith('3.log')
      })
      return name === 'syncDirectory' && path === DIRECTORY && hasNew ? 'EIO' : undefined
    })
    await assert.rejects(log.rollNow(), { code: 'STORAGE_FAILED' })
    heal()
    const killed = before.processKill()
    const again = await openLog(killed)
    await append(again, recordSet('next'))
    const third = await openLog(killed.powerCut({ mode: 'lose-all' }))
    assert.deepEqual(await readValues(third), [...values(3), 'next'])
    await third.close()
  })
})

suite('a disk without room', () => {
  for (const code of ['ENOSPC', 'EDQUOT'] as const) {
    test(`${code} refuses the calls, leaves nothing half written, and passes`, async () => {
      const fileSystem = new FaultFileSystem()
      fileSystem.fullCode = code
      const log = await openLog(fileSystem)
      await appendAll(log, values(3))
      const size = (await readFileBytes(fileSystem, LOG_0)).length
      fileSystem.capacityBytes = fileSystem.usedBytes + 30
      const calls = values(5).map((value) => startAppend(log, recordSet(value)))
      await settled(calls)
      for (const { error } of calls) {
        const { code: told, retryable } = error as { code?: string; retryable?: boolean }
        assert.deepEqual([told, retryable], ['DISK_FULL', true])
      }
      assert.equal((await readFileBytes(fileSystem, LOG_0)).length, size)
      assert.deepEqual([log.logEndOffset, log.highWatermark, log.failure], [3, 3, undefined])
      fileSystem.capacityBytes = Number.POSITIVE_INFINITY
      assert.equal((await append(log, recordSet('next'))).baseOffset, 3)
      assert.deepEqual(await readValues(log), [...values(3), 'next'])
      const again = await openLog(fileSystem.powerCut({ mode: 'lose-all' }))
      assert.deepEqual(await readValues(again), [...values(3), 'next'])
      await again.close()
    })
  }

  test('a large write is refused in the same way', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await append(log, recordSet('a'))
    fileSystem.capacityBytes = fileSystem.usedBytes + 400_000
    const large = recordSet({ value: Buffer.alloc(700_000) })
    await assert.rejects(append(log, large), { code: 'DISK_FULL' })
    assert.deepEqual(await readValues(log), ['a'])
    await append(log, recordSet('b'))
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY
    await append(log, large)
    assert.equal(log.logEndOffset, 3)
    await log.close()
  })

  test('a roll that finds none is tried again by the next append', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem, { config: { segmentBytes: 1024 } })
    await appendAll(log, values(12))
    fileSystem.capacityBytes = fileSystem.usedBytes
    const refused = startAppend(log, recordSet({ value: Buffer.alloc(900) }))
    await settled([refused])
    assert.equal((refused.error as { code?: string }).code, 'DISK_FULL')
    assert.equal(log.failure, undefined)
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY
    await append(log, recordSet({ value: Buffer.alloc(900) }))
    assert.equal(log.segments.length, 2)
    assert.equal(log.logEndOffset, 13)
    await log.close()
  })

  test('a cut that fails closes the partition to writes', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await appendAll(log, values(3))
    fileSystem.capacityBytes = fileSystem.usedBytes + 30
    fileSystem.failWhen(({ name }) => (name === 'truncate' ? 'EIO' : undefined))
    await assert.rejects(append(log, recordSet('x')), { code: 'STORAGE_FAILED', retryable: false })
    assert.deepEqual(await readValues(log), values(3))
    const killed = fileSystem.processKill()
    const again = await openLog(killed)
    assert.deepEqual(await readValues(again), values(3))
    killed.capacityBytes = Number.POSITIVE_INFINITY
    await again.close()
  })
})

suite('a disk that fails', () => {
  /** Appends at both levels around a failure; what is acknowledged must be there after a power cut. */
  async function failing(
    prepare: (fileSystem: FaultFileSystem) => void,
    config: object = {},
  ): Promise<void> {
    const fileSystem = new FaultFileSystem()
    const environment = storageEnvironment(fileSystem)
    const log = await openLog(fileSystem, { environment, config })
    await appendAll(log, values(5))
    const highWatermark = log.highWatermark
    prepare(fileSystem)
    let failedFirst = false
    const calls = values(10, 5).map((value) => {
      const call = startAppend(log, recordSet(value))
      call.onSettled = () => {
        if (call.outcome === 'failed') failedFirst = true
        else assert.ok(!failedFirst, 'acknowledged after a failure')
      }
      return call
    })
    await settled(calls)
    for (const { error } of calls) {
      const { code, retryable } = error as { code?: string; retryable?: boolean }
      assert.deepEqual([code, retryable], ['STORAGE_FAILED', false])
    }
    assert.equal(environment.failures.length, 1)
    assert.equal(log.highWatermark, highWatermark)
    assert.deepEqual(await readValues(log), values(5))
    await assert.rejects(append(log, recordSet('late')), { code: 'STORAGE_FAILED' })
    await assert.rejects(log.flush(), { code: 'STORAGE_FAILED' })
    await assert.rejects(log.rollNow(), { code: 'STORAGE_FAILED' })
    await assert.rejects(log.close(), { code: 'STORAGE_FAILED' })
    assert.equal(environment.room.pendingBytes, 0)
    const again = await openLog(fileSystem.powerCut({ mode: 'lose-all' }), { config })
    assert.deepEqual((await readValues(again)).slice(0, 5), values(5))
    await again.close()
  }

  test('at a write closes the partition to writes', () =>
    failing((fileSystem) => {
      fileSystem.failWhen(({ name, path }) =>
        name === 'write' && path === LOG_0 ? { code: 'EIO', writtenBytes: 20 } : undefined,
      )
    }))

  for (const code of ['EIO', 'ENOSPC'] as const) {
    test(`at a sync, with ${code}, closes the partition to writes`, () =>
      failing((fileSystem) => {
        fileSystem.refuseSync((path) => path === LOG_0, code)
      }))

    test(`at the sync of a roll, with ${code}, closes the partition to writes`, () =>
      failing(
        (fileSystem) => {
          fileSystem.refuseSync((path) => path.endsWith('index'), code)
        },
        { segmentBytes: 420, maxMessageBytes: 200 },
      ))
  }

  test('at a sync that was made to free a handle closes the partition to writes', async () => {
    const fileSystem = new FaultFileSystem()
    const environment = storageEnvironment(fileSystem, { maxOpenFiles: 1 })
    const first = await openLog(fileSystem, { environment })
    const second = await openLog(fileSystem, { environment, partition: 1 })
    await append(first, recordSet('a'), { durability: 'os' })
    fileSystem.refuseSync((path) => path === LOG_0, 'ENOSPC')
    await append(second, recordSet('b'))
    assert.equal(first.failure?.code, 'STORAGE_FAILED')
    assert.equal(second.failure, undefined)
    await assert.rejects(append(first, recordSet('c'), { durability: 'os' }), {
      code: 'STORAGE_FAILED',
    })
    assert.deepEqual(await readValues(second), ['b'])
  })

  /** Appends until the disk fails, at the latest; gives the calls. */
  async function failAtRandom(fileSystem: FaultFileSystem, seed: number): Promise<TestCall[]> {
    const environment = storageEnvironment(fileSystem, { maxOpenFiles: 2, maxPendingBytes: 400 })
    const config = { segmentBytes: 1024, maxMessageBytes: 300 }
    const log = await openLog(fileSystem, { environment, config })
    fileSystem.failAtRandom(seed, 0.03, seed % 2 === 0 ? 'EIO' : 'ENOSPC')
    const calls: TestCall[] = []
    for (let index = 0; index < 60; index += 1) {
      calls.push(startAppend(log, recordSet(`${index}`)))
      if ((index * 7 + seed) % 5 === 0) await new Promise<void>((resolve) => setImmediate(resolve))
    }
    await settled(calls)
    await log.close().catch(() => {})
    return calls
  }

  test('at random never acknowledges what a power cut then takes', async () => {
    const config = { segmentBytes: 1024, maxMessageBytes: 300 }
    let failures = 0
    for (let seed = 0; seed < 150; seed += 1) {
      const fileSystem = new FaultFileSystem()
      const calls = await failAtRandom(fileSystem, seed)
      const isCut = seed % 3 === 0
      const next = isCut ? fileSystem.powerCut({ seed }) : fileSystem.processKill()
      const again = await openLog(next, { config })
      const served = await readAll(again)
      const byOffset = new Map(served.map(({ offset, value }) => [offset, value]))
      const acknowledged = calls.filter(({ outcome }) => outcome === 'acknowledged')
      failures += calls.length - acknowledged.length
      for (const call of acknowledged) {
        assert.equal(byOffset.get(call.baseOffset), `${calls.indexOf(call)}`, `seed ${seed}`)
      }
      const third = await openLog(next.powerCut({ seed }), { config })
      assert.deepEqual((await readAll(third)).slice(0, served.length), served, `seed ${seed}`)
      await third.close()
    }
    assert.ok(failures > 1000)
  })
})

suite('open handles', () => {
  /** Replays the operations on .log files: what was open at once, and whether any was closed with unsynced bytes. */
  function handles(fileSystem: FaultFileSystem): { most: number; unsynced: string[] } {
    const dirty = new Set<string>()
    const unsynced: string[] = []
    let open = 0
    let most = 0
    const effects: Partial<Record<OperationName, (path: string) => void>> = {
      open: () => {
        open += 1
      },
      create: () => {
        open += 1
      },
      write: (path) => dirty.add(path),
      sync: (path) => dirty.delete(path),
      close: (path) => {
        open -= 1
        if (dirty.has(path)) unsynced.push(path)
      },
    }
    for (const { name, path } of fileSystem.operations) {
      if (!path.endsWith('.log')) continue
      effects[name]?.(path)
      most = Math.max(most, open)
    }
    return { most, unsynced }
  }

  async function use(log: PartitionLog, partition: number): Promise<void> {
    for (let index = 0; index < 30; index += 1) {
      const durability = (index + partition) % 3 === 0 ? 'disk' : 'os'
      await append(log, recordSet(`${partition}/${index}`), { durability })
      if (index % 10 === 9) await log.flush()
    }
    const expected = values(30).map((_, index) => `${partition}/${index}`)
    assert.deepEqual(await readValues(log, { maxBytes: 200 }), expected)
  }

  for (const maxOpenFiles of [1, 2, 5]) {
    test(`stay within ${maxOpenFiles}, and none is closed with unsynced bytes`, async () => {
      const fileSystem = new FaultFileSystem({ countReads: true })
      const options = { maxOpenFiles, cacheBytes: 0 }
      const environment = storageEnvironment(fileSystem, options)
      const logs: PartitionLog[] = []
      for (let partition = 0; partition < 12; partition += 1) {
        const config = { segmentBytes: 1024 }
        logs.push(await openLog(fileSystem, { environment, partition, config }))
      }
      await Promise.all(logs.map(use))
      for (const log of logs) await log.close()
      const { most, unsynced } = handles(fileSystem)
      // A new partition's first file is made before it is in the cache.
      assert.ok(most <= maxOpenFiles + 1 && most >= maxOpenFiles)
      assert.deepEqual(unsynced, [])
      assert.equal(environment.files.openFiles, 0)
    })
  }
})

suite('random appends', () => {
  type Pause = 'none' | 'microtask' | 'turn' | 'await' | 'reopen' | 'roll' | 'flush'

  class Model {
    readonly fileSystem: MemoryFileSystem
    readonly values: string[] = []
    readonly options: OpenOptions
    log: PartitionLog
    calls: TestCall[] = []

    private constructor(options: OpenOptions, fileSystem: MemoryFileSystem, log: PartitionLog) {
      this.options = options
      this.fileSystem = fileSystem
      this.log = log
    }

    static async open(options: OpenOptions): Promise<Model> {
      const fileSystem = new MemoryFileSystem()
      return new Model(options, fileSystem, await openLog(fileSystem, options))
    }

    append(sizes: readonly number[], durability: Durability): TestCall {
      const { length: expectedOffset } = this.values
      const batch = sizes.map((size) => `${expectedOffset}`.padEnd(size, 'x'))
      const call = startAppend(this.log, recordSet(...batch), { durability, expectedOffset })
      this.values.push(...batch)
      this.calls.push(call)
      return call
    }

    async pause(pause: Pause, call: TestCall): Promise<void> {
      const pauses: Record<Pause, () => unknown> = {
        none: () => undefined,
        microtask: () => Promise.resolve(),
        turn: () => new Promise<void>((resolve) => setImmediate(resolve)),
        await: () => call.done,
        flush: () => this.log.flush(),
        roll: async () => assert.equal(await this.log.rollNow(), this.values.length),
        reopen: () => this.reopen(true),
      }
      await pauses[pause]()
    }

    async reopen(isClean: boolean): Promise<void> {
      await this.log.close()
      assert.ok(this.calls.every(({ outcome }) => outcome === 'acknowledged'))
      this.calls = []
      const recoveryPoint = isClean ? this.values.length : 0
      this.log = await openLog(this.fileSystem, { ...this.options, isClean, recoveryPoint })
    }
  }

  test('are read back as an array would have them', async () => {
    const operation = fc.record({
      sizes: fc.array(fc.nat(200), { minLength: 1, maxLength: 4 }),
      durability: fc.constantFrom<Durability>('os', 'disk'),
      pause: fc.constantFrom<Pause>(
        'none',
        'microtask',
        'turn',
        'await',
        'reopen',
        'roll',
        'flush',
      ),
    })
    const property = fc.asyncProperty(
      fc.array(operation, { maxLength: 40 }),
      fc.constantFrom(0, 20_000, 64 * 1024 * 1024),
      async (operations, cacheBytes) => {
        const config = { segmentBytes: 1500, maxMessageBytes: 1200 }
        const model = await Model.open({ cacheBytes, config })
        for (const { sizes, durability, pause } of operations) {
          await model.pause(pause, model.append(sizes, durability))
        }
        await settled(model.calls)
        await model.log.flush()
        assert.deepEqual(await readValues(model.log), model.values)
        await model.reopen(false)
        assert.deepEqual(await readValues(model.log, { maxBytes: 500 }), model.values)
        await model.log.close()
      },
    )
    await fc.assert(property, { numRuns: 150 })
  })
})
