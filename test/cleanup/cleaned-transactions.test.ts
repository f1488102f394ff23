import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CleanedTransactions } from '../../src/cleanup/cleaned-transactions.ts'
import { CONTROL_ABORT, CONTROL_COMMIT } from '../../src/codec/batch.ts'
import type { AbortedTransaction } from '../../src/storage/aborted-index.ts'

const aborted = (producerId: number, firstOffset: number, lastOffset: number) => ({
  producerId,
  firstOffset,
  lastOffset,
  lastStableOffset: lastOffset + 1,
})

function follow(...transactions: AbortedTransaction[]) {
  const followed = new CleanedTransactions(transactions)
  const kept: number[] = []
  const marker = (producerId: number, offset: number, type: number | undefined) =>
    followed.marker(producerId, offset, type, ({ firstOffset }) => kept.push(firstOffset))
  return { followed, kept, marker }
}

test('batches of an aborted transaction are told, from its first offset to its marker', () => {
  const { followed, marker } = follow(aborted(1, 10, 20))
  assert.equal(followed.data(1, 9, true), false)
  assert.equal(marker(1, 9, CONTROL_COMMIT), false)
  assert.equal(followed.data(1, 12, true), true)
  assert.equal(followed.data(2, 13, true), false)
  assert.equal(followed.data(1, 14, false), false)
  marker(1, 20, CONTROL_ABORT)
  assert.equal(followed.data(1, 22, true), false)
})

test('a marker is idle when no batch of its transaction was met', () => {
  const { marker } = follow(aborted(1, 10, 20))
  assert.equal(marker(1, 20, CONTROL_ABORT), true)
  assert.equal(marker(2, 21, CONTROL_COMMIT), true)
  assert.equal(marker(3, 22, undefined), true)
})

test('a marker whose transaction has batches stays, and with it the entry of an aborted one', () => {
  const { followed, kept, marker } = follow(aborted(1, 10, 20))
  followed.data(1, 10, true)
  followed.data(2, 11, true)
  assert.equal(marker(1, 20, CONTROL_ABORT), false)
  assert.equal(marker(2, 21, CONTROL_COMMIT), false)
  assert.deepEqual(kept, [10])
})

test('the transactions of one producer are told apart', () => {
  const { followed, kept, marker } = follow(aborted(1, 10, 12), aborted(1, 20, 22))
  followed.data(1, 10, true)
  assert.equal(marker(1, 12, CONTROL_ABORT), false)
  assert.equal(followed.data(1, 15, true), false)
  assert.equal(marker(1, 16, CONTROL_COMMIT), false)
  assert.equal(marker(1, 22, CONTROL_ABORT), true)
  assert.deepEqual(kept, [10])
})

test('a control record of another type is no marker, and stays', () => {
  assert.equal(follow().marker(1, 5, 2), false)
})
