// What a producer brings again is stored once and gets its first answer; gaps and old epochs are refused.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { readBatchHeader } from '../../src/codec/batch.ts'
import { LogError } from '../../src/errors.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import {
  ABORT,
  at,
  COMMIT,
  FIRST_ID,
  headersIn,
  IN_TRANSACTION,
  NEXT,
  outcomeOf,
  produce,
  startProducing,
} from '../support/producer-calls.ts'
import {
  append,
  appendAll,
  openLog,
  readFileBytes,
  readValues,
  recordSet,
  startAppend,
  until,
} from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const LOG_0 = `${DIRECTORY}/00000000000000000000.log`
const MAX_SEQUENCE = 2 ** 31 - 1

function syncs(fileSystem: FaultFileSystem): number {
  return fileSystem.operations.filter(({ name, path }) => name === 'sync' && path === LOG_0).length
}

function writes(fileSystem: FaultFileSystem): number {
  return fileSystem.operations.filter(({ name, path }) => name === 'write' && path === LOG_0).length
}

suite('records that a producer brings again', () => {
  test('get their first answer, and are stored once', async () => {
    const fileSystem = new FaultFileSystem()
    const clock = new ManualClock()
    const log = await openLog(fileSystem, { clock })
    await appendAll(log, ['plain'])
    const first = startProducing(log, at(0), ['a', 'b'])
    await first.done
    await clock.advance(1000)
    const again = startProducing(log, at(0), ['a', 'b'])
    assert.deepEqual(await again.done, await first.done)
    assert.deepEqual([again.baseOffset, again.count, again.timestamp], [1, 2, first.timestamp])
    assert.equal(log.logEndOffset, 3)
    assert.deepEqual(await readValues(log), ['plain', 'a', 'b'])
    await log.close()
  })

  test('get it also while the first are not written yet, and wait with them', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    const calls = [
      startProducing(log, at(0), ['a', 'b']),
      startProducing(log, at(2), ['c']),
      startProducing(log, at(0), ['a', 'b']),
      startProducing(log, at(2), ['c'], { durability: 'os' }),
      startProducing(log, at(3), ['d']),
    ]
    assert.deepEqual(await Promise.all(calls.map(outcomeOf)), [0, 2, 0, 2, 3])
    assert.equal(log.logEndOffset, 4)
    await log.close()
  })

  test('get it also while the first are not synced yet, after a sync that covers them', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await startProducing(log, at(0), ['a'], { durability: 'os' }).done
    assert.deepEqual([syncs(fileSystem), log.syncedOffset], [0, 0])
    await startProducing(log, at(0), ['a'], { durability: 'os' }).done
    assert.deepEqual([syncs(fileSystem), log.syncedOffset], [0, 0])
    await startProducing(log, at(0), ['a'], { durability: 'disk' }).done
    assert.deepEqual([syncs(fileSystem), log.syncedOffset], [1, 1])
    await startProducing(log, at(0), ['a'], { durability: 'disk' }).done
    assert.equal(syncs(fileSystem), 1)
    await log.close()
  })

  test('are not held back by a sync where they ask for os', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    const slow = startAppend(log, recordSet('slow'))
    await until(() => syncs(fileSystem) === 1)
    const first = startProducing(log, at(0), ['a'])
    const again = startProducing(log, at(0), ['a'], { durability: 'os' })
    await again.done
    assert.deepEqual([slow.outcome, first.outcome, again.baseOffset], ['waiting', 'waiting', 1])
    await first.done
    await log.close()
  })

  test('fail with the first where those are not written', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await appendAll(log, ['plain'])
    fileSystem.capacityBytes = fileSystem.usedBytes
    const calls = [startProducing(log, at(0), ['a']), startProducing(log, at(0), ['a'])]
    assert.deepEqual(await Promise.all(calls.map(outcomeOf)), ['DISK_FULL', 'DISK_FULL'])
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY
    assert.equal(await produce(log, at(0), ['a']), 1)
    await log.close()
  })

  test('get their first answer whatever log end they expect', async () => {
    const log = await openLog(new FaultFileSystem())
    const options = { expectedOffset: 0 }
    assert.equal(await produce(log, at(0), ['a'], options), 0)
    assert.equal(await produce(log, at(0), ['a'], options), 0)
    assert.equal(await produce(log, at(1), ['b'], options), 'OFFSET_CONFLICT')
    assert.equal(await produce(log, at(1), ['b'], { expectedOffset: 1 }), 1)
    await log.close()
  })

  test('of the last five batches are known, and of those before it is known that they were written', async () => {
    const log = await openLog(new FaultFileSystem())
    for (let batch = 0; batch < 7; batch += 1) await produce(log, at(2 * batch), ['a', 'b'])
    const answers: (number | string)[] = []
    for (let batch = 0; batch < 7; batch += 1) {
      answers.push(await produce(log, at(2 * batch), ['a', 'b']))
    }
    const repeated = 'DUPLICATE_SEQUENCE'
    assert.deepEqual(answers, [repeated, repeated, 4, 6, 8, 10, 12])
    // Parts of what was written, and what goes on behind its end.
    assert.equal(await produce(log, at(12), ['a']), repeated)
    assert.equal(await produce(log, at(11), ['a', 'b']), repeated)
    assert.equal(await produce(log, at(13), ['b', 'c']), 'OUT_OF_ORDER_SEQUENCE')
    assert.equal(log.logEndOffset, 14)
    await log.close()
  })

  test('are known of all batches that wait to be written, however many', async () => {
    const log = await openLog(new FaultFileSystem())
    const calls = Array.from({ length: 20 }, (_, index) => startProducing(log, at(index), ['a']))
    const again = Array.from({ length: 20 }, (_, index) => startProducing(log, at(index), ['a']))
    const offsets = Array.from({ length: 20 }, (_, index) => index)
    assert.deepEqual(await Promise.all(calls.map(outcomeOf)), offsets)
    assert.deepEqual(await Promise.all(again.map(outcomeOf)), offsets)
    assert.equal(await produce(log, at(14), ['a']), 'DUPLICATE_SEQUENCE')
    assert.equal(await produce(log, at(15), ['a']), 15)
    await log.close()
  })

  test('with the end of their transaction are refused', async () => {
    const log = await openLog(new FaultFileSystem())
    await produce(log, { ...IN_TRANSACTION, baseSequence: 0 }, ['a'])
    assert.equal(await produce(log, { ...COMMIT, baseSequence: 0 }, ['a']), 'DUPLICATE_SEQUENCE')
    assert.equal(log.logEndOffset, 1)
    await log.close()
  })

  const reopened: readonly [string, (log: PartitionLog) => Promise<void>, boolean][] = [
    ['a roll', async (log) => void (await log.rollNow()), false],
    ['a close', (log) => log.close(), true],
    ['a roll and a close', async (log) => log.rollNow().then(() => log.close()), true],
    ['a crash', async () => {}, true],
    ['a roll and a crash', async (log) => void (await log.rollNow()), true],
  ]
  for (const [name, act, reopens] of reopened) {
    test(`get their first answer after ${name}`, async () => {
      const before = new FaultFileSystem()
      const log = await openLog(before)
      await produce(log, at(0), ['a', 'b'])
      const first = startProducing(log, at(2), ['c', 'd'])
      await first.done
      await act(log)
      const fileSystem = reopens ? before.powerCut({ mode: 'lose-all' }) : before
      const isClean = name.includes('close')
      const next = reopens
        ? await openLog(fileSystem, { isClean, recoveryPoint: isClean ? 4 : 0 })
        : log
      const again = startProducing(next, at(2), ['c', 'd'])
      assert.deepEqual(await again.done, await first.done)
      assert.equal(await produce(next, at(5), ['f']), 'OUT_OF_ORDER_SEQUENCE')
      assert.equal(await produce(next, NEXT, ['e']), 4)
      await next.close()
    })
  }
})

suite('sequences', () => {
  test('that leave a gap are refused, and written records are as they were', async () => {
    const log = await openLog(new FaultFileSystem())
    assert.equal(await produce(log, at(0), ['a', 'b']), 0)
    const refused = startProducing(log, at(3), ['d'])
    assert.equal(await outcomeOf(refused), 'OUT_OF_ORDER_SEQUENCE')
    assert.ok(refused.error instanceof LogError)
    assert.match(refused.error.message, /t-0: producer 1099511627776 brings sequence 3, its next/)
    assert.equal(await produce(log, at(2), ['c']), 2)
    assert.deepEqual(await readValues(log), ['a', 'b', 'c'])
    await log.close()
  })

  test('of a producer that is not known begin anywhere', async () => {
    const log = await openLog(new FaultFileSystem())
    assert.equal(await produce(log, at(77), ['a']), 0)
    assert.equal(await produce(log, at(79), ['a']), 'OUT_OF_ORDER_SEQUENCE')
    assert.equal(await produce(log, at(78), ['a']), 1)
    assert.equal(await produce(log, { ...NEXT, producerId: FIRST_ID + 1 }, ['a']), 2)
    assert.equal(await produce(log, { ...at(1), producerId: FIRST_ID + 1 }, ['a']), 3)
    await log.close()
  })

  test('go on from 0 after 2^31 - 1, within a batch and between two', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    assert.equal(await produce(log, at(MAX_SEQUENCE - 1), ['a', 'b', 'c']), 0)
    assert.equal(await produce(log, at(MAX_SEQUENCE - 1), ['a', 'b', 'c']), 0)
    assert.equal(await produce(log, at(MAX_SEQUENCE), ['b']), 'DUPLICATE_SEQUENCE')
    assert.equal(await produce(log, NEXT, ['d']), 3)
    assert.equal(await produce(log, at(1), ['d']), 3)
    const other = { ...at(MAX_SEQUENCE - 1), producerId: FIRST_ID + 1 }
    assert.equal(await produce(log, other, ['a', 'b']), 4)
    assert.equal(await produce(log, { ...NEXT, producerId: FIRST_ID + 1 }, ['c']), 6)
    assert.equal(await produce(log, other, ['a', 'b']), 4)
    const bases = headersIn(await readFileBytes(fileSystem, LOG_0)).map((each) => [
      each.baseOffset,
      each.baseSequence,
    ])
    assert.deepEqual(bases, [
      [0, MAX_SEQUENCE - 1],
      [3, 1],
      [4, MAX_SEQUENCE - 1],
      [6, 0],
    ])
    await log.close()
  })

  test('begin again at 0 with a new epoch, and an old one is fenced', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    assert.equal(await produce(log, at(0), ['a', 'b']), 0)
    assert.equal(await produce(log, at(2, 1), ['c']), 'OUT_OF_ORDER_SEQUENCE')
    assert.equal(await produce(log, at(-1, 1), ['c']), 2)
    assert.equal(readBatchHeader(await readFileBytes(fileSystem, LOG_0), 0).producerEpoch, 0)
    assert.equal(await produce(log, at(2, 0), ['c']), 'PRODUCER_FENCED')
    assert.equal(await produce(log, at(0, 0), ['a', 'b']), 'PRODUCER_FENCED')
    assert.equal(await produce(log, at(0, 1), ['c']), 2)
    assert.equal(await produce(log, { ...ABORT, producerEpoch: 0 }, []), 'PRODUCER_FENCED')
    assert.equal(log.logEndOffset, 3)
    await log.close()
  })

  test('of a new epoch are judged by what waits as well', async () => {
    const log = await openLog(new FaultFileSystem())
    await produce(log, at(0), ['a'])
    const calls = [
      startProducing(log, at(1), ['b']),
      startProducing(log, at(0, 1), ['c']),
      startProducing(log, at(2), ['d']),
      startProducing(log, at(1, 1), ['e']),
      startProducing(log, at(3, 1), ['f']),
    ]
    assert.deepEqual(await Promise.all(calls.map(outcomeOf)), [
      1,
      2,
      'PRODUCER_FENCED',
      3,
      'OUT_OF_ORDER_SEQUENCE',
    ])
    await log.close()
  })

  test('begin again behind a marker that raises the epoch', async () => {
    const log = await openLog(new FaultFileSystem())
    await produce(log, { ...IN_TRANSACTION, baseSequence: 0 }, ['a'])
    const calls = [
      startProducing(log, { ...ABORT, producerEpoch: 1 }, []),
      startProducing(log, at(1), ['b']),
      startProducing(log, at(1, 1), ['b']),
      startProducing(log, at(0, 1), ['b']),
    ]
    assert.deepEqual(await Promise.all(calls.map(outcomeOf)), [
      1,
      'PRODUCER_FENCED',
      'OUT_OF_ORDER_SEQUENCE',
      2,
    ])
    await log.close()
  })
})

suite('records of nobody', () => {
  test('cost no look at producers, and share batches and writes as before', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await openLog(fileSystem)
    await appendAll(log, ['first'])
    const written = writes(fileSystem)
    await Promise.all(['a', 'b', 'c'].map((value) => append(log, recordSet(value))))
    assert.equal(writes(fileSystem), written + 1)
    assert.equal(log.producers.size, 0)
    const headers = headersIn(await readFileBytes(fileSystem, LOG_0))
    assert.deepEqual(
      headers.map((each) => [each.count, each.producerId, each.producerEpoch, each.baseSequence]),
      [
        [1, -1, -1, -1],
        [3, -1, -1, -1],
      ],
    )
    await log.close()
  })
})
