// What a partition knows of its producers, against the snapshots and aborted transactions that Kafka wrote.
import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import {
  batchSizeAt,
  CONTROL_ABORT,
  CONTROL_COMMIT,
  readBatchHeader,
  readControlRecord,
} from '../../src/codec/batch.ts'
import { CorruptLogError } from '../../src/errors.ts'
import type { AbortedTransaction } from '../../src/storage/aborted-index.ts'
import { decodeAbortedTransactions } from '../../src/storage/aborted-index.ts'
import { segmentFileName } from '../../src/storage/file-names.ts'
import { decodeSnapshot } from '../../src/storage/producer-snapshot.ts'
import type { ProducerBatch } from '../../src/storage/producer-state.ts'
import { ProducerStates } from '../../src/storage/producer-state.ts'
import type { ExpectedProducer, FixturePartition, FixtureSet } from '../support/fixtures.ts'
import { loadPartitions } from '../support/fixtures.ts'

/** The year in which the brokers ran; some of their records are years older. */
const BROKER_TIME_MS = Date.UTC(2026, 10, 21)

interface ReplayedBatch extends ProducerBatch {
  readonly segment: number
  readonly marker: { readonly type: number; readonly coordinatorEpoch: number } | undefined
}

async function batchesOf({ directory, expected }: FixturePartition): Promise<ReplayedBatch[]> {
  const batches: ReplayedBatch[] = []
  for (const { baseOffset: segment } of expected.segments) {
    const bytes = await readFile(join(directory, segmentFileName(segment, 'log')))
    for (let at = 0; at < bytes.length; at += batchSizeAt(bytes, at)) {
      const header = readBatchHeader(bytes, at)
      const marker = header.isControl ? readControlRecord(bytes, at) : undefined
      batches.push({ ...header, segment, marker })
    }
  }
  return batches
}

async function snapshotsOf({ directory }: FixturePartition): Promise<[number, Buffer][]> {
  const names = (await readdir(directory)).filter((name) => name.endsWith('.snapshot')).sort()
  const read = async (name: string): Promise<[number, Buffer]> => [
    Number.parseInt(name, 10),
    await readFile(join(directory, name)),
  ]
  return Promise.all(names.map(read))
}

function expectedEntry(expected: ExpectedProducer): object {
  return {
    producerId: expected.producerId,
    producerEpoch: expected.producerEpoch,
    coordinatorEpoch: expected.coordinatorEpoch,
    lastTimestamp: expected.lastTimestamp,
    currentTxnFirstOffset: expected.currentTxnFirstOffset,
    lastSequence: expected.lastSequence ?? -1,
    lastOffset: expected.lastOffset ?? -1,
    offsetDelta: expected.offsetDelta ?? 0,
  }
}

/** By snapshot offset, what replaying all batches below it gives. */
async function replay(partition: FixturePartition): Promise<Map<number, Buffer>> {
  const batches = await batchesOf(partition)
  const states = new ProducerStates()
  const snapshots = new Map<number, Buffer>()
  let next = 0
  for (const [offset] of await snapshotsOf(partition)) {
    for (; (batches[next]?.lastOffset ?? Number.POSITIVE_INFINITY) < offset; next += 1) {
      const batch = batches[next] as ReplayedBatch
      states.update(batch, batch.marker)
    }
    snapshots.set(offset, states.snapshot())
    // The broker of this set was restarted at its first snapshot, and its producers had been idle for years by the clock.
    if (partition.set === 'restarted' && snapshots.size === 1) {
      states.load(states.snapshot(), BROKER_TIME_MS)
    }
  }
  return snapshots
}

type AbortedIn = AbortedTransaction & { readonly segment: number }

async function replayTransactions(
  partition: FixturePartition,
): Promise<{ aborted: AbortedIn[]; firstUnstableOffset: number | undefined }> {
  const states = new ProducerStates()
  const aborted: AbortedIn[] = []
  for (const batch of await batchesOf(partition)) {
    const transaction = states.update(batch, batch.marker)
    if (transaction !== undefined) aborted.push({ ...transaction, segment: batch.segment })
  }
  return { aborted, firstUnstableOffset: states.firstUnstableOffset }
}

/** What stands in the `.txnindex` files, which is what Kafka's own tool lists. */
async function abortedTransactionsOf(partition: FixturePartition): Promise<AbortedIn[]> {
  const all: AbortedIn[] = []
  for (const { baseOffset: segment, abortedTransactions } of partition.expected.segments) {
    if (abortedTransactions === undefined) continue
    const name = segmentFileName(segment, 'txnindex')
    const entries = decodeAbortedTransactions(await readFile(join(partition.directory, name)), name)
    assert.deepEqual(
      entries.map((each) => ({ version: 0, ...each })),
      abortedTransactions,
    )
    all.push(...entries.map((each) => ({ ...each, segment })))
  }
  return all
}

const REPLAYED: [set: FixtureSet, snapshots: number][] = [
  ['append-time', 3],
  ['plain', 3],
  ['restarted', 5],
  ['segments', 72],
  ['transactions', 15],
  ['transactions-v1', 23],
]

suite('replaying the batches that Kafka wrote', () => {
  for (const [set, count] of REPLAYED) {
    test(`${set}: gives every producer snapshot, byte by byte`, async () => {
      let compared = 0
      for (const partition of await loadPartitions(set)) {
        const replayed = await replay(partition)
        for (const [offset, bytes] of await snapshotsOf(partition)) {
          const name = segmentFileName(offset, 'snapshot')
          const expected = partition.expected.producerSnapshots[name]?.map(expectedEntry)
          assert.deepEqual(decodeSnapshot(bytes, name), expected, name)
          assert.deepEqual(replayed.get(offset), bytes, `${partition.topic} ${name}`)
          compared += 1
        }
      }
      assert.equal(compared, count)
    })
  }

  for (const set of ['transactions', 'transactions-v1'] as const) {
    test(`${set}: gives every aborted transaction and the last stable offset`, async () => {
      let compared = 0
      for (const partition of await loadPartitions(set)) {
        const { logEndOffset, lastStableOffset } = partition.expected
        const { aborted, firstUnstableOffset } = await replayTransactions(partition)
        assert.equal(firstUnstableOffset ?? logEndOffset, lastStableOffset)
        assert.deepEqual(aborted, await abortedTransactionsOf(partition))
        compared += aborted.length
      }
      assert.ok(compared > 10, `${compared} aborted transactions compared`)
    })
  }

  test('going on from any snapshot is the same as reading from the start', async () => {
    for (const partition of await loadPartitions('transactions')) {
      const batches = await batchesOf(partition)
      const snapshots = await snapshotsOf(partition)
      const last = snapshots.at(-1)
      for (const [offset, bytes] of snapshots) {
        const states = new ProducerStates()
        states.load(bytes, BROKER_TIME_MS)
        for (const batch of batches) {
          if (batch.baseOffset >= offset) states.update(batch, batch.marker)
        }
        assert.deepEqual(states.snapshot(), last?.[1])
        const { lastStableOffset, logEndOffset } = partition.expected
        assert.equal(states.firstUnstableOffset ?? logEndOffset, lastStableOffset)
      }
    }
  })
})

function batch(fields: Partial<ProducerBatch>): ProducerBatch {
  return {
    producerId: 7,
    producerEpoch: 0,
    baseSequence: 0,
    baseOffset: 0,
    lastOffset: fields.baseOffset ?? 0,
    maxTimestamp: 1000,
    isTransactional: false,
    isControl: false,
    ...fields,
  }
}
const transactional = { isTransactional: true }
const control = { isTransactional: true, isControl: true, baseSequence: -1 }
const abort = { type: CONTROL_ABORT, coordinatorEpoch: 3 }
const commit = { type: CONTROL_COMMIT, coordinatorEpoch: 3 }

suite('producer state', () => {
  test('batches without a producer leave no trace', () => {
    const states = new ProducerStates()
    states.update(batch({ producerId: -1, ...transactional }))
    assert.equal(states.size, 0)
    assert.equal(states.firstUnstableOffset, undefined)
  })

  test('the last five batches are remembered, and only the last is in the snapshot', () => {
    const states = new ProducerStates()
    for (let offset = 0; offset < 8; offset += 1) {
      states.update(batch({ baseSequence: offset, baseOffset: offset }))
    }
    const offsets = states.get(7)?.batches.map((each) => each.lastOffset)
    assert.deepEqual(offsets, [3, 4, 5, 6, 7])
    const loaded = new ProducerStates()
    loaded.load(states.snapshot(), 1000)
    assert.deepEqual(loaded.get(7)?.batches, [
      { lastSequence: 7, lastOffset: 7, offsetDelta: 0, timestamp: 1000 },
    ])
  })

  test('a new epoch forgets the batches of the last one', () => {
    const states = new ProducerStates()
    states.update(batch({ baseOffset: 0 }))
    states.update(batch({ baseOffset: 1, producerEpoch: 1 }))
    assert.deepEqual(
      states.get(7)?.batches.map((each) => each.lastOffset),
      [1],
    )
  })

  test('a sequence begins again at 0 behind 2^31 - 1', () => {
    const states = new ProducerStates()
    states.update(batch({ baseSequence: 2 ** 31 - 2, lastOffset: 3 }))
    assert.equal(states.get(7)?.batches[0]?.lastSequence, 1)
    states.update(batch({ baseSequence: 2 ** 31 - 2, lastOffset: 1 }))
    assert.equal(states.get(7)?.batches[1]?.lastSequence, 2 ** 31 - 1)
  })

  test('a transaction is open from its first record to its marker', () => {
    const states = new ProducerStates()
    states.update(batch({ baseOffset: 5, lastOffset: 6, ...transactional }))
    states.update(batch({ baseOffset: 7, baseSequence: 2, ...transactional }))
    assert.equal(states.firstUnstableOffset, 5)
    assert.equal(states.update(batch({ baseOffset: 8, ...control }), commit), undefined)
    assert.equal(states.firstUnstableOffset, undefined)
    assert.equal(states.get(7)?.coordinatorEpoch, 3)
  })

  test('an abort names the first record, the marker and the next transaction still open', () => {
    const states = new ProducerStates()
    states.update(batch({ baseOffset: 5, ...transactional }))
    states.update(batch({ baseOffset: 6, producerId: 8, ...transactional }))
    states.update(batch({ baseOffset: 7, producerId: 9, ...transactional }))
    assert.deepEqual(states.update(batch({ baseOffset: 8, producerId: 8, ...control }), abort), {
      producerId: 8,
      firstOffset: 6,
      lastOffset: 8,
      lastStableOffset: 5,
    })
    assert.deepEqual(states.update(batch({ baseOffset: 9, ...control }), abort), {
      producerId: 7,
      firstOffset: 5,
      lastOffset: 9,
      lastStableOffset: 7,
    })
    states.update(batch({ baseOffset: 10, producerId: 9, ...control }), commit)
    assert.equal(states.firstUnstableOffset, undefined)
  })

  test('an abort behind no records is no aborted transaction', () => {
    const states = new ProducerStates()
    assert.equal(states.update(batch({ baseOffset: 8, ...control }), abort), undefined)
    assert.equal(states.get(7)?.lastTimestamp, 1000)
  })

  test('an emptied control batch and an unknown control type end nothing', () => {
    const states = new ProducerStates()
    states.update(batch({ baseOffset: 5, ...transactional }))
    states.update(batch({ baseOffset: 6, ...control }))
    states.update(batch({ baseOffset: 7, ...control }), { type: 2, coordinatorEpoch: -1 })
    assert.equal(states.firstUnstableOffset, 5)
  })

  test('a producer idle for longer than the expiration is dropped, unless its transaction is open', () => {
    const states = new ProducerStates()
    states.update(batch({ producerId: 1, maxTimestamp: 1000 }))
    states.update(batch({ producerId: 2, maxTimestamp: 1001 }))
    states.update(batch({ producerId: 3, maxTimestamp: 0, baseOffset: 9, ...transactional }))
    const loaded = new ProducerStates()
    loaded.load(states.snapshot(), 1101, 100)
    assert.equal(loaded.get(1), undefined)
    assert.equal(loaded.get(2)?.lastTimestamp, 1001)
    assert.equal(loaded.firstUnstableOffset, 9)
    loaded.clear()
    assert.equal(loaded.size, 0)
    assert.equal(loaded.firstUnstableOffset, undefined)
  })

  test('open transactions are loaded in the order of the log, not of the producers', () => {
    const states = new ProducerStates()
    states.update(batch({ producerId: 9, baseOffset: 1, ...transactional }))
    states.update(batch({ producerId: 8, baseOffset: 2, ...transactional }))
    const loaded = new ProducerStates()
    loaded.load(states.snapshot(), 1000)
    assert.equal(loaded.firstUnstableOffset, 1)
  })
})

suite('producer snapshot', () => {
  const int32 = fc.integer({ min: -1, max: 2 ** 31 - 1 })
  const batches = fc.array(
    fc.record({
      producerId: fc.nat({ max: 5 }),
      producerEpoch: fc.nat({ max: 2 ** 15 - 1 }),
      baseSequence: int32,
      size: fc.nat({ max: 100 }),
      maxTimestamp: fc.nat({ max: Number.MAX_SAFE_INTEGER }),
      isTransactional: fc.boolean(),
    }),
  )

  test('what was saved is loaded again, whatever was written', () => {
    fc.assert(
      fc.property(batches, (list) => {
        const states = new ProducerStates()
        let next = 0
        for (const { size, ...each } of list) {
          states.update(batch({ ...each, baseOffset: next, lastOffset: next + size }))
          next += size + 1
        }
        const loaded = new ProducerStates()
        loaded.load(states.snapshot(), 0)
        assert.deepEqual(loaded.snapshot(), states.snapshot())
        assert.equal(loaded.firstUnstableOffset, states.firstUnstableOffset)
        assert.equal(loaded.size, states.size)
      }),
    )
  })

  test('a snapshot without producers is 10 bytes', () => {
    assert.equal(new ProducerStates().snapshot().length, 10)
  })

  test('any cut or flipped bit is a CorruptLogError that names the file, and changes nothing', () => {
    const states = new ProducerStates()
    states.update(batch({ baseOffset: 5, ...transactional }))
    const bytes = states.snapshot()
    const damaged = [...Array(bytes.length).keys()].flatMap((at) => {
      const flipped = Buffer.from(bytes)
      flipped.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      return [bytes.subarray(0, at), flipped]
    })
    for (const each of damaged) {
      assert.throws(
        () => states.load(each, 1000, 100, 'a.snapshot'),
        (error) => error instanceof CorruptLogError && error.file === 'a.snapshot',
      )
    }
    assert.deepEqual(states.snapshot(), bytes)
  })
})
