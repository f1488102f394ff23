// Batches of producers: their headers, their markers, and that both go in one write.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import {
  batchSizeAt,
  checkBatch,
  readBatchHeader,
  readControlRecord,
} from '../../src/codec/batch.ts'
import type { BatchProducer } from '../../src/storage/append-call.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import type { Durability } from '../../src/types.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import {
  appendAll,
  openLog,
  readFileBytes,
  readValues,
  recordSet,
  TestCall,
} from '../support/storage-environment.ts'

const LOG_0 = '/data/t-0/00000000000000000000.log'
const ID = 2 ** 40

const PLAIN: BatchProducer = {
  producerId: ID,
  producerEpoch: 0,
  baseSequence: -1,
  isTransactional: false,
}
const COMMITTED: BatchProducer = {
  ...PLAIN,
  isTransactional: true,
  ending: { outcome: 'commit', coordinatorEpoch: 3 },
}

function start(
  log: PartitionLog,
  producer: BatchProducer,
  values: readonly string[],
  durability: Durability = 'disk',
): TestCall {
  const call = new TestCall({ durability })
  call.producer = producer
  log.append(recordSet(...values), call)
  return call
}

function headersOf(bytes: Buffer): ReturnType<typeof readBatchHeader>[] {
  const headers = []
  for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
    assert.equal(checkBatch(bytes, at, bytes.length - at), undefined)
    headers.push(readBatchHeader(bytes, at))
  }
  return headers
}

for (const compression of ['none', 'gzip'] as const) {
  suite(`batches of producers, compression ${compression}`, () => {
    test('are of one call each, and bear its producer', async () => {
      const fileSystem = new FaultFileSystem()
      const log = await openLog(fileSystem, { config: { compression } })
      const calls = [
        start(log, PLAIN, ['a', 'b']),
        start(log, PLAIN, ['c']),
        start(log, { ...PLAIN, producerId: ID + 1, producerEpoch: 4 }, ['d']),
        start(log, { ...PLAIN, baseSequence: 3, isTransactional: true }, ['e']),
      ]
      const plain = [new TestCall(), new TestCall()]
      for (const call of plain) log.append(recordSet('f'), call)
      await Promise.all([...calls, ...plain].map(({ done }) => done))
      const headers = headersOf(await readFileBytes(fileSystem, LOG_0))
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
          [0, 2, ID, 0, 0, false],
          [2, 1, ID, 0, 2, false],
          [3, 1, ID + 1, 4, 0, false],
          [4, 1, ID, 0, 3, true],
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
      const call = start(log, COMMITTED, ['a'.repeat(500), 'b'])
      const alone = start(
        log,
        { ...COMMITTED, ending: { outcome: 'abort', coordinatorEpoch: 5 } },
        [],
      )
      await Promise.all([call.done, alone.done])
      assert.deepEqual([call.baseOffset, call.count, alone.baseOffset, alone.count], [1, 2, 4, 0])
      const bytes = await readFileBytes(fileSystem, LOG_0)
      const headers = headersOf(bytes)
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
          [1, 2, false, ID, 0],
          [3, 3, true, ID, -1],
          [4, 4, true, ID, -1],
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
      log.visible.release(ID)
      assert.equal(log.lastStableOffset, 5)
      await appendAll(log, ['plain'])
      if (compression === 'none') assert.equal((await readValues(log)).length, 4)
      await log.close()
    })
  })
}
