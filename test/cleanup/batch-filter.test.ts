import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FilterRound } from '../../src/cleanup/batch-filter.ts'
import { BatchFilter } from '../../src/cleanup/batch-filter.ts'
import { CleanedTransactions } from '../../src/cleanup/cleaned-transactions.ts'
import {
  CONTROL_ABORT,
  CONTROL_BIT,
  CONTROL_COMMIT,
  DELETE_HORIZON_BIT,
  TRANSACTIONAL_BIT,
} from '../../src/codec/batch.ts'
import type { BatchToEncode } from '../../src/codec/batch-encoder.ts'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'

const NOW = 5000
const PRODUCER = { producerId: 7, producerEpoch: 3, baseSequence: 0 }
const RECORD = { key: 'k', value: Buffer.from('v'), timestamp: 100 }

function batchOf(given: Partial<BatchToEncode> = {}): Buffer {
  return encodeBatch({ baseOffset: 10, records: [RECORD], ...given })
}

function markerOf(type: number, given: Partial<BatchToEncode> = {}): Buffer {
  const key = Buffer.from([0, 0, 0, type])
  const value = Buffer.alloc(6)
  const attributes = TRANSACTIONAL_BIT | CONTROL_BIT | (given.attributes ?? 0)
  const records = [{ key, value, timestamp: 100 }]
  return batchOf({ ...PRODUCER, baseSequence: -1, records, ...given, attributes })
}

function filterOf(round: Partial<FilterRound> = {}): BatchFilter {
  const transactions = new CleanedTransactions([])
  const whole = { nowMs: NOW, producers: new Map(), upperBoundOffset: 1000, transactions }
  return new BatchFilter({ ...whole, isBehindDamage: false, ...round }, () => {})
}

const aborting = () =>
  new CleanedTransactions([
    { producerId: 7, firstOffset: 10, lastOffset: 20, lastStableOffset: 21 },
  ])
const lastAt = (lastDataOffset: number | undefined, producerEpoch = 3) =>
  new Map([[7, { lastDataOffset, producerEpoch }]])

test('of a batch of data its records decide', () => {
  assert.equal(filterOf().judge(batchOf(), 0), 'sifted')
  const committed = batchOf({ ...PRODUCER, attributes: TRANSACTIONAL_BIT })
  assert.equal(filterOf().judge(committed, 0), 'sifted')
})

test('a batch of an aborted transaction goes, save the header of its producer’s last', () => {
  const batch = batchOf({ ...PRODUCER, attributes: TRANSACTIONAL_BIT })
  assert.equal(filterOf({ transactions: aborting() }).judge(batch, 0), 'dropped')
  const producers = lastAt(10)
  assert.equal(filterOf({ transactions: aborting(), producers }).judge(batch, 0), 'emptied')
})

test('a batch that was emptied before stays as long as it has to', () => {
  const empty = batchOf({ ...PRODUCER, records: [], lastOffset: 12 })
  assert.equal(filterOf().judge(empty, 0), 'dropped')
  assert.equal(filterOf({ producers: lastAt(12) }).judge(empty, 0), 'kept')
  assert.equal(filterOf({ producers: lastAt(13) }).judge(empty, 0), 'dropped')
})

test('the last batch of the round leaves its header, so that its last offset is known', () => {
  const filter = filterOf({ upperBoundOffset: 13 })
  assert.equal(filter.mustLeaveHeader(batchOf({ lastOffset: 12 }), 0), true)
  assert.equal(filter.mustLeaveHeader(batchOf({ lastOffset: 11 }), 0), false)
})

test('of a producer whose epoch a marker has raised the marker stays', () => {
  const filter = filterOf({ producers: lastAt(undefined, 3) })
  assert.equal(filter.mustLeaveHeader(markerOf(CONTROL_COMMIT), 0), true)
  assert.equal(filter.mustLeaveHeader(markerOf(CONTROL_COMMIT, { producerEpoch: 2 }), 0), false)
  assert.equal(filter.mustLeaveHeader(batchOf(PRODUCER), 0), false)
  assert.equal(filter.mustLeaveHeader(batchOf(), 0), false)
})

test('a marker stays while its transaction has batches', () => {
  const filter = filterOf()
  filter.judge(batchOf({ ...PRODUCER, attributes: TRANSACTIONAL_BIT }), 0)
  assert.equal(filter.judge(markerOf(CONTROL_COMMIT, { baseOffset: 11 }), 0), 'kept')
})

test('a marker that nothing refers to is marked, stays up to its horizon, and goes then', () => {
  assert.equal(filterOf().judge(markerOf(CONTROL_COMMIT), 0), 'marked')
  const withHorizon = (horizon: number) =>
    markerOf(CONTROL_ABORT, { attributes: DELETE_HORIZON_BIT, baseTimestamp: horizon })
  assert.equal(filterOf().judge(withHorizon(NOW + 1), 0), 'kept')
  assert.equal(filterOf().judge(withHorizon(NOW), 0), 'dropped')
  assert.equal(filterOf({ producers: lastAt(undefined) }).judge(withHorizon(NOW), 0), 'emptied')
})

test('a marker that was emptied goes, unless its producer has no other', () => {
  const empty = markerOf(CONTROL_COMMIT, { records: [], lastOffset: 10 })
  assert.equal(filterOf().judge(empty, 0), 'dropped')
  assert.equal(filterOf({ producers: lastAt(undefined) }).judge(empty, 0), 'kept')
})

test('tombstones stay until the horizon of their batch, and while it has none', () => {
  const withHorizon = (horizon: number) =>
    batchOf({ attributes: DELETE_HORIZON_BIT, baseTimestamp: horizon })
  assert.equal(filterOf().keepsTombstones(batchOf(), 0), true)
  assert.equal(filterOf().keepsTombstones(withHorizon(NOW + 1), 0), true)
  assert.equal(filterOf().keepsTombstones(withHorizon(NOW), 0), false)
})

test('behind a segment that is left as it is tombstones stay for good', () => {
  const past = batchOf({ attributes: DELETE_HORIZON_BIT, baseTimestamp: NOW - 1 })
  assert.equal(filterOf({ isBehindDamage: true }).keepsTombstones(past, 0), true)
})
