import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { firstUnreadOffset, groupLag, partitionLag } from '../../src/groups/lag.ts'
import { planReset } from '../../src/groups/reset.ts'
import type { ResetTo } from '../../src/groups/types.ts'

const place = { topic: 't', partition: 1 }
const range = { ...place, logStartOffset: 10, endOffset: 100 }

describe('lag', () => {
  test('is the offsets to the end and the time that the first unread record has waited', () => {
    const input = { ...range, committedOffset: 40, firstUnreadTimestamp: 700 }
    assert.deepEqual(partitionLag(input, 1000), {
      ...range,
      committedOffset: 40,
      lagRecords: 60,
      lagMs: 300,
    })
  })

  test('counts from the log start where the committed offset is gone', () => {
    const input = { ...range, committedOffset: 3, firstUnreadTimestamp: 1000 }
    assert.equal(partitionLag(input, 1000).lagRecords, 90)
    assert.equal(firstUnreadOffset(3, 10), 10)
    assert.equal(firstUnreadOffset(30, 10), 30)
  })

  test('is 0 at the end and past it, whatever the time', () => {
    for (const committedOffset of [100, 101]) {
      const lag = partitionLag({ ...range, committedOffset, firstUnreadTimestamp: 5 }, 1000)
      assert.deepEqual([lag.lagRecords, lag.lagMs], [0, 0])
    }
  })

  test('in time is 0 where nothing but control records is unread, and where records come from the future', () => {
    const none = { ...range, committedOffset: 99, firstUnreadTimestamp: undefined }
    assert.deepEqual([partitionLag(none, 1000).lagRecords, partitionLag(none, 1000).lagMs], [1, 0])
    assert.equal(partitionLag({ ...none, firstUnreadTimestamp: 2000 }, 1000).lagMs, 0)
  })

  test('is not known where nothing is committed', () => {
    const input = { ...range, committedOffset: undefined, firstUnreadTimestamp: 700 }
    const lag = partitionLag(input, 1000)
    assert.equal(lag.lagRecords, undefined)
    assert.equal(lag.lagMs, undefined)
  })

  test('of a group is the sum in records and the greatest in time', () => {
    const input = { ...range, committedOffset: 40, firstUnreadTimestamp: 700 }
    const other = { ...input, partition: 2, committedOffset: 99, firstUnreadTimestamp: 500 }
    const uncommitted = { ...input, partition: 3, committedOffset: undefined }
    const lag = groupLag('g', [input, other, uncommitted], 1000)
    assert.deepEqual(
      [lag.group, lag.lagRecords, lag.lagMs, lag.partitions.length],
      ['g', 61, 500, 3],
    )
    assert.deepEqual(groupLag('g', [], 1000), {
      group: 'g',
      partitions: [],
      lagRecords: 0,
      lagMs: 0,
    })
  })
})

describe('a reset', () => {
  const stable = { ...range, lastStableOffset: 90 }
  const offsetOf = (to: ResetTo, change: object = {}) =>
    planReset(to, [{ ...stable, ...change }])[0]?.offset

  test('goes to either end of each partition; nothing undecided is skipped', () => {
    const second = { ...stable, partition: 2, logStartOffset: 0, endOffset: 7, lastStableOffset: 7 }
    assert.deepEqual(planReset('earliest', [stable, second]), [
      { ...place, offset: 10 },
      { topic: 't', partition: 2, offset: 0 },
    ])
    assert.deepEqual(planReset('latest', [stable, second]), [
      { ...place, offset: 90 },
      { topic: 't', partition: 2, offset: 7 },
    ])
  })

  test('goes to an offset, or to the end that is nearest to it', () => {
    assert.equal(offsetOf({ offset: 50 }), 50)
    assert.equal(offsetOf({ offset: 3 }), 10)
    assert.equal(offsetOf({ offset: 300 }), 100)
  })

  test('goes to the first offset of a time, or to the end where there is none', () => {
    assert.equal(offsetOf({ timestamp: 5 }, { offsetForTimestamp: 20 }), 20)
    assert.equal(offsetOf({ timestamp: 5 }), 100)
  })

  test('refuses what is no target', () => {
    assert.throws(() => offsetOf({ offset: -1 }), RangeError)
    assert.throws(() => offsetOf({ offset: 1.5 }), RangeError)
    assert.throws(() => offsetOf({ timestamp: Number.NaN }), RangeError)
    for (const to of ['first', null, undefined, {}, { offset: '1' }, { timestamp: new Date() }]) {
      assert.throws(() => offsetOf(to as ResetTo), TypeError)
    }
  })
})
