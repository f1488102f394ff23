// What becomes of producers and their transactions where the disk fills up, fails, or a process is killed half-way.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import {
  ABORT,
  at,
  COMMIT,
  checkSnapshots,
  FIRST_ID,
  headersIn,
  IN_TRANSACTION,
  outcomeOf,
  produce,
  replay,
  startProducing,
  storedAborted,
} from '../support/producer-calls.ts'
import {
  append,
  appendAll,
  openLog,
  readFileBytes,
  recordSet,
  TestCall,
  until,
} from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const LOG_0 = `${DIRECTORY}/00000000000000000000.log`
const TXNINDEX_0 = `${DIRECTORY}/00000000000000000000.txnindex`

/** An aborted transaction stands in the log, and its producer goes on. */
async function logWithAborted(fileSystem: FaultFileSystem): Promise<PartitionLog> {
  const log = await openLog(fileSystem)
  assert.equal(await produce(log, IN_TRANSACTION, ['a']), 0)
  return log
}

suite('a full disk', () => {
  test('refuses records and marker together, and gives the sequences and the hold back', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await appendAll(log, ['plain'])
    const { sizeBytes } = log.active
    // Room for the records, and not for the marker behind them.
    fileSystem.capacityBytes = fileSystem.usedBytes + 80
    const calls = [
      startProducing(log, COMMIT, ['a']),
      startProducing(log, { ...at(0), producerId: FIRST_ID + 1 }, ['b']),
      startProducing(log, { ...at(1), producerId: FIRST_ID + 1 }, ['c']),
    ]
    assert.equal(log.visible.firstUnstableOffset, 1)
    const refused = ['DISK_FULL', 'DISK_FULL', 'DISK_FULL']
    assert.deepEqual(await Promise.all(calls.map(outcomeOf)), refused)
    assert.equal(log.visible.firstUnstableOffset, undefined)
    assert.deepEqual(
      [log.logEndOffset, log.active.sizeBytes, log.producers.size],
      [1, sizeBytes, 0],
    )
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY
    assert.equal(await produce(log, { ...COMMIT, baseSequence: 0 }, ['a']), 1)
    assert.equal(await produce(log, { ...at(0), producerId: FIRST_ID + 1 }, ['b']), 3)
    await log.close()
  })

  test('leaves a transaction open that was so before, where its end finds no room', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await logWithAborted(fileSystem)
    fileSystem.capacityBytes = fileSystem.usedBytes + 10
    assert.equal(await produce(log, COMMIT, ['b']), 'DISK_FULL')
    assert.equal(await produce(log, ABORT, []), 'DISK_FULL')
    assert.deepEqual([log.firstUnstableOffset, log.visible.firstUnstableOffset], [0, 0])
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY
    assert.equal(await produce(log, { ...COMMIT, baseSequence: 1 }, ['b']), 1)
    assert.equal(log.firstUnstableOffset, undefined)
    await log.close()
  })

  test('that leaves no room for the entry of an abort refuses what comes next, and not the abort', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await logWithAborted(fileSystem)
    const roomAgain = fileSystem.failWhen(({ name, path }) =>
      path === TXNINDEX_0 && (name === 'write' || name === 'create') ? 'ENOSPC' : undefined,
    )
    assert.equal(await produce(log, ABORT, []), 1)
    log.visible.release(FIRST_ID)
    assert.equal(log.visible.isAborted(FIRST_ID, 0), true)
    // The cleaner goes by the file.
    assert.deepEqual([log.lastStableOffset, log.settledOffset], [2, 0])
    await assert.rejects(append(log, recordSet('x')), { code: 'DISK_FULL', retryable: true })
    await assert.rejects(log.rollNow(), { code: 'DISK_FULL', retryable: true })
    assert.equal(await log.flush(), 2)
    assert.deepEqual(await storedAborted(fileSystem, DIRECTORY), new Map())
    roomAgain()
    await append(log, recordSet('x'))
    assert.equal(log.settledOffset, 3)
    const { aborted } = await replay(fileSystem, DIRECTORY)
    assert.deepEqual(await storedAborted(fileSystem, DIRECTORY), aborted)
    assert.equal(aborted.size, 1)
    await log.close()
  })

  test('that kept an entry out until the process was killed has it built again', async () => {
    const before = new FaultFileSystem()
    const log = await logWithAborted(before)
    before.failWhen(({ name, path }) =>
      path === TXNINDEX_0 && name === 'create' ? 'ENOSPC' : undefined,
    )
    assert.equal(await produce(log, ABORT, []), 1)
    const recoveryPoint = await log.flush()
    assert.equal(recoveryPoint, 2)
    const fileSystem = before.processKill()
    const next = await openLog(fileSystem, { recoveryPoint })
    const { aborted } = await replay(fileSystem, DIRECTORY)
    assert.deepEqual(await storedAborted(fileSystem, DIRECTORY), aborted)
    assert.equal(aborted.size, 1)
    await next.close()
  })
})

test('a codec that fails gives the sequences and the hold back', async () => {
  let isBroken = true
  const gzip = {
    compress: async (bytes: Uint8Array): Promise<Uint8Array> => {
      if (isBroken) throw new Error('broken')
      return gzipSync(bytes)
    },
    decompress: (bytes: Uint8Array): Uint8Array => gunzipSync(bytes),
  }
  const fileSystem = new FaultFileSystem()
  const log = await openLog(fileSystem, { codecs: { gzip }, config: { compression: 'gzip' } })
  const calls = [
    startProducing(log, COMMIT, ['a'.repeat(1000)]),
    startProducing(log, { ...at(0), producerId: FIRST_ID + 1 }, ['b'.repeat(1000)]),
  ]
  const failed = ['COMPRESSION_FAILED', 'COMPRESSION_FAILED']
  assert.deepEqual(await Promise.all(calls.map(outcomeOf)), failed)
  assert.deepEqual([log.logEndOffset, log.visible.firstUnstableOffset], [0, undefined])
  isBroken = false
  assert.equal(await produce(log, { ...COMMIT, baseSequence: 0 }, ['a'.repeat(1000)]), 0)
  assert.equal(await produce(log, { ...at(0), producerId: FIRST_ID + 1 }, ['b'.repeat(1000)]), 2)
  const headers = headersIn(await readFileBytes(fileSystem, LOG_0))
  assert.deepEqual(
    headers.map(({ codec, isControl }) => [codec, isControl]),
    [
      [1, false],
      [0, true],
      [1, false],
    ],
  )
  await log.close()
})

suite('a failed disk', () => {
  test('that takes no entry of an abort ends the writes, and the abort stands', async () => {
    const before = new FaultFileSystem()
    const log = await logWithAborted(before)
    before.failWhen(({ name, path }) =>
      path === TXNINDEX_0 && name === 'write' ? 'EIO' : undefined,
    )
    assert.equal(await produce(log, ABORT, [], { durability: 'os' }), 1)
    assert.equal(log.failure?.code, 'STORAGE_FAILED')
    assert.equal(log.visible.isAborted(FIRST_ID, 0), true)
    await assert.rejects(append(log, recordSet('x')), { code: 'STORAGE_FAILED' })
    const fileSystem = before.processKill()
    const next = await openLog(fileSystem)
    assert.deepEqual([next.logEndOffset, next.firstUnstableOffset], [2, undefined])
    const { aborted } = await replay(fileSystem, DIRECTORY)
    assert.deepEqual(await storedAborted(fileSystem, DIRECTORY), aborted)
    await next.close()
  })

  test('whose sync fails leaves it open whether a transaction was committed', async () => {
    for (const mode of ['keep-all', 'lose-all'] as const) {
      const before = new FaultFileSystem()
      const log = await openLog(before)
      await append(log, recordSet('x'))
      before.refuseSync((path) => path === LOG_0)
      const calls = [startProducing(log, COMMIT, ['a']), startProducing(log, COMMIT, ['b'])]
      await until(() => log.failure !== undefined)
      const failed = ['STORAGE_FAILED', 'STORAGE_FAILED']
      assert.deepEqual(await Promise.all(calls.map(outcomeOf)), failed)
      assert.equal(await produce(log, at(0), ['a']), 'STORAGE_FAILED')
      // It is written, and read-committed readers are told of nothing.
      assert.deepEqual([log.highWatermark, log.lastStableOffset], [1, 1])
      const next = await openLog(before.powerCut({ mode }), { recoveryPoint: 1 })
      assert.equal(next.firstUnstableOffset, undefined)
      assert.ok(next.logEndOffset === 1 || next.logEndOffset === 5)
      assert.equal(next.producers.size, next.logEndOffset === 1 ? 0 : 1)
      await next.close()
    }
  })
})

suite('a process that is killed within the write of records and marker', () => {
  test('leaves nothing, a transaction that nobody has decided, or one that is committed', async () => {
    const outcomes = new Set<string>()
    for (let written = 0; written <= 160; written += 4) {
      const before = new FaultFileSystem()
      const log = await openLog(before)
      await appendAll(log, ['plain'])
      before.failWhen(({ name, path }) =>
        name === 'write' && path === LOG_0 ? { code: 'EIO', writtenBytes: written } : undefined,
      )
      assert.equal(await produce(log, COMMIT, ['a']), 'STORAGE_FAILED')
      const next = await openLog(before.processKill(), { recoveryPoint: 1 })
      const { logEndOffset, firstUnstableOffset } = next
      outcomes.add(`${logEndOffset}, open from ${firstUnstableOffset}`)
      // What was there is brought again, or its answer is.
      const end = { ...COMMIT, baseSequence: 0 }
      if (logEndOffset === 1) assert.equal(await produce(next, end, ['a']), 1)
      else assert.equal(await produce(next, { ...IN_TRANSACTION, baseSequence: 0 }, ['a']), 1)
      if (firstUnstableOffset !== undefined) {
        assert.equal(next.lastStableOffset, 1)
        assert.equal(await produce(next, ABORT, []), 2)
      }
      assert.equal(next.firstUnstableOffset, undefined)
      await next.close()
    }
    assert.deepEqual(
      [...outcomes],
      ['1, open from undefined', '2, open from 1', '3, open from undefined'],
    )
  })
})

suite('a power cut', () => {
  test('before the sync of records and marker leaves all of them or none, and no damage', async () => {
    const outcomes = new Map<string, number>()
    for (let seed = 0; seed < 200; seed += 1) {
      const before = new FaultFileSystem()
      const log = await openLog(before, { config: { durability: 'os' } })
      await appendAll(log, ['plain'], { durability: 'disk' })
      // Of 512 bytes each, the last sector has the end of the marker alone, or all of it.
      await produce(log, COMMIT, ['x'.repeat(seed % 2 === 0 ? 360 : 3000)], { durability: 'os' })
      const next = await openLog(before.powerCut({ seed }), { recoveryPoint: 1 })
      assert.deepEqual(next.report.damage, [], `seed ${seed}`)
      const state = `${next.logEndOffset}, open from ${next.firstUnstableOffset}`
      outcomes.set(state, (outcomes.get(state) ?? 0) + 1)
      if (next.logEndOffset === 1) assert.equal(next.report.cut.length <= 1, true)
      await next.close()
    }
    assert.deepEqual([...outcomes.keys()].sort(), [
      '1, open from undefined',
      '2, open from 1',
      '3, open from undefined',
    ])
  })

  test('leaves the marker of a transaction whose records were synced before, and damage before it', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await produce(log, IN_TRANSACTION, ['a'])
    await appendAll(log, ['damaged'])
    await produce(log, { ...COMMIT }, [])
    const at = headersIn(await readFileBytes(fileSystem, LOG_0))[0]?.sizeBytes ?? 0
    const handle = fileSystem.openSync(LOG_0, 'write')
    handle.writeSync(Buffer.from([1]), 0, 1, at + 70)
    handle.closeSync()
    const next = await openLog(fileSystem.processKill())
    assert.deepEqual([next.logEndOffset, next.firstUnstableOffset], [3, undefined])
    assert.deepEqual(
      next.report.damage.map(({ kind }) => kind),
      ['damage'],
    )
    await next.close()
  })
})

suite('a producer snapshot', () => {
  test('of a flush is of its offset, whatever is written during its sync', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    const large = 'x'.repeat(900_000)
    for (let index = 0; index < 19; index += 1) {
      await produce(log, index === 5 ? ABORT : IN_TRANSACTION, [large], { durability: 'os' })
    }
    const flushed = log.flush()
    // While the sync is under way.
    await produce(log, { ...at(0), producerId: FIRST_ID + 7 }, ['late'], { durability: 'os' })
    await flushed
    assert.deepEqual(await checkSnapshots(fileSystem, DIRECTORY), [20])
    assert.equal(log.logEndOffset, 21)
    await log.close()
    assert.deepEqual(await checkSnapshots(fileSystem, DIRECTORY), [21])
  })

  test('is not written before the aborted transactions that it lies behind are on the disk', async () => {
    const before = new FaultFileSystem()
    const log = await logWithAborted(before)
    await produce(log, ABORT, [])
    await log.rollNow()
    const names = before.operations.map(({ name, path, dest }) => `${name} ${dest ?? path}`)
    const index = names.lastIndexOf(`sync ${TXNINDEX_0}`)
    const directory = names.indexOf(`syncDirectory ${DIRECTORY}`, index)
    const snapshot = names.findIndex((each) => /^rename .*\.snapshot$/.test(each))
    assert.ok(index >= 0 && index < directory && directory < snapshot, names.join('\n'))
    for (const mode of ['keep-all', 'lose-all', 'random'] as const) {
      const fileSystem = before.powerCut({ mode })
      assert.deepEqual(
        await storedAborted(fileSystem, DIRECTORY),
        (await replay(fileSystem, DIRECTORY)).aborted,
      )
    }
  })
})

suite('idle producers', () => {
  test('are forgotten after producerIdExpirationMs, save those with an open transaction', async () => {
    const { log, clock } = await expiringLog()
    await produce(log, at(0), ['a'])
    await produce(log, { ...IN_TRANSACTION, producerId: FIRST_ID + 1 }, ['b'])
    await clock.advance(1000)
    log.expireProducers()
    assert.equal(log.producers.size, 2)
    await clock.advance(1)
    log.expireProducers()
    assert.deepEqual(
      [...log.producers.entries()].map(({ producerId }) => producerId),
      [FIRST_ID + 1],
    )
    // Unknown, it begins anywhere.
    assert.equal(await produce(log, at(5), ['a']), 2)
    await log.close()
  })

  test('are those that write nothing, whatever time their records bear', async () => {
    const { log, clock } = await expiringLog()
    const call = new TestCall()
    call.producer = at(0)
    log.append(recordSet({ value: 'of long ago', timestamp: 1 }), call)
    await call.done
    await clock.advance(1000)
    log.expireProducers()
    assert.equal(log.producers.size, 1)
    await clock.advance(1)
    log.expireProducers()
    assert.equal(log.producers.size, 0)
    await log.close()
  })

  test('are not loaded from a snapshot', async () => {
    const { log, clock, fileSystem } = await expiringLog()
    await produce(log, at(0), ['a'])
    await log.close()
    for (const [idleMs, size] of [
      [1000, 1],
      [1, 0],
    ] as const) {
      await clock.advance(idleMs)
      const next = await openLog(fileSystem, { clock, isClean: true, producerIdExpirationMs: 1000 })
      assert.equal(next.producers.size, size)
      await next.close()
    }
  })
})

async function expiringLog(): Promise<{
  readonly log: PartitionLog
  readonly clock: ManualClock
  readonly fileSystem: FaultFileSystem
}> {
  const clock = new ManualClock()
  const fileSystem = new FaultFileSystem()
  const log = await openLog(fileSystem, { clock, producerIdExpirationMs: 1000 })
  return { log, clock, fileSystem }
}
