import assert from 'node:assert/strict'
import { test } from 'node:test'
import { releaseAborted, releaseJointly } from '../../src/storage/joint-release.ts'
import type { HeldLog } from '../../src/storage/visible-transactions.ts'
import { VisibleTransactions } from '../../src/storage/visible-transactions.ts'

class Partition implements HeldLog {
  readonly visible = new VisibleTransactions()
  /** The offset of each producer's last record. */
  readonly last = new Map<number, number>()
  readonly producers = {
    get: (producerId: number) => {
      const lastOffset = this.last.get(producerId)
      return lastOffset === undefined ? undefined : { batches: [{ lastOffset }] }
    },
  }
  told = 0

  /** Transactions of these producers, one record each, from offset 10 on. */
  constructor(...producerIds: readonly number[]) {
    for (const [index, id] of producerIds.entries()) {
      this.visible.hold(id, 10 + index)
      this.last.set(id, 10 + index)
    }
  }

  stabilized(): void {
    this.told += 1
  }

  get first(): number | undefined {
    return this.visible.firstUnstableOffset
  }
}

test('a committed transaction is seen nowhere while one before it, in any of its partitions, is not decided', () => {
  const [a, b] = [new Partition(1, 2), new Partition(2)]
  releaseJointly(2, [a, b])
  assert.deepEqual([a.first, b.first], [10, 10])
  releaseJointly(1, [a])
  assert.deepEqual([a.first, b.first], [undefined, undefined])
  assert.ok(a.told > 0 && b.told > 1)
})

test('nor while one is open that lies between its records', () => {
  const [a, b] = [new Partition(1, 2), new Partition(1)]
  a.last.set(1, 12)
  releaseJointly(1, [a, b])
  assert.deepEqual([a.first, b.first], [10, 10])
  releaseAborted(2, [a])
  assert.deepEqual([a.first, b.first], [undefined, undefined])
})

test('those that lie before each other are seen together', () => {
  const [a, b, c] = [new Partition(1, 2), new Partition(2, 3), new Partition(3, 1)]
  releaseJointly(1, [a, c])
  releaseJointly(2, [a, b])
  assert.deepEqual([a.first, b.first, c.first], [10, 10, 10])
  releaseJointly(3, [b, c])
  assert.deepEqual([a.first, b.first, c.first], [undefined, undefined, undefined])
})

test('one that waits for others waits for all that these wait for', () => {
  const [a, b, c] = [new Partition(1), new Partition(1, 2), new Partition(2, 3)]
  releaseJointly(3, [c])
  releaseJointly(2, [b, c])
  assert.deepEqual([a.first, b.first, c.first], [10, 10, 10])
  releaseJointly(1, [a, b])
  assert.deepEqual([a.first, b.first, c.first], [undefined, undefined, undefined])
})

test('an abort waits for nobody, and lets go of what waited for it', () => {
  const [a, b] = [new Partition(1, 2), new Partition(2, 3)]
  releaseJointly(2, [a, b])
  releaseAborted(1, [a])
  assert.deepEqual([a.first, b.first], [undefined, 11])
  releaseAborted(3, [b])
  assert.equal(b.first, undefined)
})

test("a producer's next transaction is another one than that which still waits to be seen", () => {
  const [a, b] = [new Partition(1, 2), new Partition(2)]
  releaseJointly(2, [a, b])
  assert.ok(a.visible.hold(2, 12) && b.visible.hold(2, 12))
  releaseJointly(1, [a])
  assert.deepEqual([a.first, b.first], [12, 12])
  releaseJointly(2, [a, b])
  assert.deepEqual([a.first, b.first], [undefined, undefined])
})
