import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeliveryCounts } from '../../../src/groups/consumer/delivery-counts.ts'
import type { PartitionLog } from '../../../src/storage/partition-log.ts'

test('deliveries are counted for what is not done, by partition, and for nothing else', () => {
  const counts = new DeliveryCounts()
  const [a, b] = [{}, {}] as [PartitionLog, PartitionLog]
  assert.equal(counts.of(a), undefined)
  counts.note(a, 5, 1)
  counts.note(a, 7, 3)
  counts.note(a, 7, 2)
  counts.note(b, 5, 4)
  assert.deepEqual(
    counts.of(a),
    new Map([
      [5, 1],
      [7, 3],
    ]),
  )
  counts.forget(a, 6)
  assert.deepEqual(counts.of(a), new Map([[7, 3]]))
  counts.forget(a, 8)
  assert.equal(counts.of(a), undefined)
  assert.deepEqual(counts.of(b), new Map([[5, 4]]))
})
