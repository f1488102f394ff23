// Batches of producers: their headers, their markers, and that both go in one write.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { readControlRecord } from '../../src/codec/batch.ts'
import { AbortedIndex } from '../../src/storage/aborted-index.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import {
  ABORT,
  COMMIT,
  FIRST_ID,
  headersIn,
  IN_TRANSACTION,
  NEXT,
  produce,
  startProducing,
} from '../support/producer-calls.ts'
import {
  appendAll,
  openLog,
  readFileBytes,
  readValues,
  recordSet,
  TestCall,
  writeFileBytes,
} from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const LOG_0 = `${DIRECTORY}/00000000000000000000.log`

for (const compression of ['none', 'gzip'] as const) {
  suite(`batches of producers, compression ${compression}`, () => {
    test('are of one call each, and bear its producer', async () => {
      const fileSystem = new FaultFileSystem()
      const log = await openLog(fileSystem, { config: { compression } })
      const calls = [
        startProducing(log, NEXT, ['a', 'b']),
        startProducing(log, NEXT, ['c']),
        startProducing(log, { ...NEXT, producerId: FIRST_ID + 1, producerEpoch: 4 }, ['d']),
        startProducing(log, { ...NEXT, baseSequence: 3, isTransactional: true }, ['e']),
      ]
      const plain = [new TestCall(), new TestCall()]
      for (const call of plain) log.append(recordSet('f'), call)
      await Promise.all([...calls, ...plain].map(({ done }) => done))
      const headers = headersIn(await readFileBytes(fileSystem, LOG_0))
      assert.deepEqual(
        headers.map((each) => [
          each.baseOffset,
          each.count,
          each.producerId,
          each.producerEpoch,
          each.baseSequence,
          each.isTransactional,
        ]),
        [
          [0, 2, FIRST_ID, 0, 0, false],
          [2, 1, FIRST_ID, 0, 2, false],
          [3, 1, FIRST_ID + 1, 4, 0, false],
          [4, 1, FIRST_ID, 0, 3, true],
          [5, 2, -1, -1, -1, false],
        ],
      )
      assert.deepEqual(
        calls.map(({ baseOffset, count }) => [baseOffset, count]),
        [
          [0, 2],
          [2, 1],
          [3, 1],
          [4, 1],
        ],
      )
      await log.close()
    })

    test('and the marker behind them go in one write, and alone where there are no records', async () => {
      const fileSystem = new FaultFileSystem()
      const log = await openLog(fileSystem, { config: { compression } })
      log.append(recordSet('x'.repeat(300)), new TestCall({ durability: 'os' }))
      const call = startProducing(log, COMMIT, ['a'.repeat(500), 'b'])
      const ending = { outcome: 'abort', coordinatorEpoch: 5 } as const
      const alone = startProducing(log, { ...ABORT, ending }, [])
      await Promise.all([call.done, alone.done])
      assert.deepEqual([call.baseOffset, call.count, alone.baseOffset, alone.count], [1, 2, 4, 0])
      const bytes = await readFileBytes(fileSystem, LOG_0)
      const headers = headersIn(bytes)
      assert.deepEqual(
        headers.map(({ baseOffset, lastOffset, isControl, producerId, baseSequence }) => [
          baseOffset,
          lastOffset,
          isControl,
          producerId,
          baseSequence,
        ]),
        [
          [0, 0, false, -1, -1],
          [1, 2, false, FIRST_ID, 0],
          [3, 3, true, FIRST_ID, -1],
          [4, 4, true, FIRST_ID, -1],
        ],
      )
      const sizes = headers.map(({ sizeBytes }) => sizeBytes)
      const [first = 0, second = 0, third = 0] = sizes
      assert.deepEqual(readControlRecord(bytes, first + second), { type: 1, coordinatorEpoch: 3 })
      assert.deepEqual(readControlRecord(bytes, first + second + third), {
        type: 0,
        coordinatorEpoch: 5,
      })
      const writes = fileSystem.operations.filter(
        ({ name, path }) => name === 'write' && path === LOG_0,
      )
      // The first batch of a segment goes alone, and compressed ones do.
      assert.equal(writes.length, compression === 'none' ? 2 : 3)
      assert.equal(log.appended.records, 3)
      assert.deepEqual([log.logEndOffset, log.highWatermark, log.lastStableOffset], [5, 5, 1])
      assert.equal(log.firstUnstableOffset, undefined)
      log.visible.release(FIRST_ID)
      assert.equal(log.lastStableOffset, 5)
      await appendAll(log, ['plain'])
      if (compression === 'none') assert.equal((await readValues(log)).length, 4)
      await log.close()
    })
  })
}

suite('a transaction of one partition', () => {
  test('is held back from the call on until it is released', async () => {
    const log = await openLog(new FaultFileSystem(), { config: { durability: 'os' } })
    await appendAll(log, ['plain'], { durability: 'os' })
    const call = startProducing(log, COMMIT, ['a'], { durability: 'os' })
    assert.equal(log.lastStableOffset, 1)
    await call.done
    assert.deepEqual([log.highWatermark, log.lastStableOffset, log.settledOffset], [3, 1, 1])
    assert.equal(log.firstUnstableOffset, undefined)
    assert.equal(log.visible.release(FIRST_ID), true)
    assert.deepEqual([log.highWatermark, log.lastStableOffset, log.settledOffset], [3, 3, 3])
    await log.close()
  })

  test('that is aborted is known as that, and stands in .txnindex', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    const other = { ...IN_TRANSACTION, producerId: FIRST_ID + 1 }
    assert.equal(await produce(log, IN_TRANSACTION, ['a', 'b']), 0)
    assert.equal(await produce(log, other, ['c']), 2)
    assert.equal(await produce(log, ABORT, ['d']), 3)
    const expected = { producerId: FIRST_ID, firstOffset: 0, lastOffset: 4, lastStableOffset: 2 }
    const index = new AbortedIndex(fileSystem, `${DIRECTORY}/00000000000000000000.txnindex`)
    assert.deepEqual(await index.read(), [expected])
    assert.deepEqual(
      [0, 3, 5].map((offset) => log.visible.isAborted(FIRST_ID, offset)),
      [true, true, false],
    )
    assert.equal(log.visible.isAborted(FIRST_ID + 1, 2), false)
    log.visible.release(FIRST_ID)
    assert.equal(log.lastStableOffset, 2)
    await log.close()
  })

  test('whose records and marker do not fit into a segment is refused as a whole', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem, { config: { segmentBytes: 1000 } })
    const fits = 'x'.repeat(850)
    assert.equal(await produce(log, COMMIT, ['x'.repeat(900)]), 'MESSAGE_TOO_LARGE')
    assert.deepEqual([log.logEndOffset, log.lastStableOffset], [0, 0])
    assert.equal(log.visible.firstUnstableOffset, undefined)
    assert.equal(await produce(log, COMMIT, [fits]), 0)
    assert.equal(await produce(log, COMMIT, [fits]), 2)
    const sizes = log.segments.map(({ sizeBytes }) => sizeBytes)
    assert.equal(sizes.length, 2)
    assert.ok(sizes.every((size) => size <= 1000))
    await log.close()
  })

  test('has the leader epoch and the time of its append in both batches', async () => {
    const fileSystem = new FaultFileSystem()
    const clock = new ManualClock()
    await (await openLog(fileSystem)).close()
    const epochs = '0\n1\n7 0\n'
    await writeFileBytes(fileSystem, `${DIRECTORY}/leader-epoch-checkpoint`, Buffer.from(epochs))
    const log = await openLog(fileSystem, { clock, isClean: true })
    assert.equal(await produce(log, COMMIT, ['a']), 0)
    const headers = headersIn(await readFileBytes(fileSystem, LOG_0))
    assert.deepEqual(
      headers.map((each) => [each.partitionLeaderEpoch, each.maxTimestamp, each.isLogAppendTime]),
      [
        [7, clock.now(), false],
        [7, clock.now(), false],
      ],
    )
    await log.close()
  })
})
