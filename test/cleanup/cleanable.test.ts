import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CleanableLimits, CleanableSegment } from '../../src/cleanup/cleanable.ts'
import { dirtyRatio, findCleanable, isDue, isWorthCleaning } from '../../src/cleanup/cleanable.ts'

const NOW = 1_000_000

/** Segments of 10 offsets and 100 bytes, written an hour ago; the last one is active. */
function segmentsOf(...given: Partial<CleanableSegment>[]): CleanableSegment[] {
  return given.map((each, index) => ({
    baseOffset: 10 * index,
    sizeBytes: 100,
    largestTimestamp: NOW - 900,
    firstTimestamp: NOW - 1000,
    ...each,
  }))
}

const LIMITS: CleanableLimits = {
  checkpoint: undefined,
  logStartOffset: 0,
  logEndOffset: 45,
  stableOffset: 45,
  minCompactionLagMs: 0,
  maxCompactionLagMs: -1,
  now: NOW,
}

const FIVE = segmentsOf({}, {}, {}, {}, {})
const find = (limits: Partial<CleanableLimits>, segments = FIVE) =>
  findCleanable(segments, { ...LIMITS, ...limits })

test('all but the active segment can be compacted, and all of it is dirty that never was', () => {
  assert.deepEqual(find({}), {
    firstDirtyOffset: 0,
    upperBoundOffset: 40,
    totalBytes: 400,
    dirtyBytes: 400,
    isOverdue: false,
  })
})

test('a log of the active segment alone has nothing to compact', () => {
  const part = find({}, segmentsOf({ baseOffset: 7 }))
  assert.deepEqual([part.upperBoundOffset, part.totalBytes], [7, 0])
  assert.equal(dirtyRatio(part), 0)
  assert.equal(isWorthCleaning(part, 0), false)
})

test('below the checkpoint it is clean', () => {
  const part = find({ checkpoint: 30 })
  assert.deepEqual([part.firstDirtyOffset, part.totalBytes, part.dirtyBytes], [30, 400, 100])
  assert.equal(dirtyRatio(part), 0.25)
})

test('a segment in which a pass ended half-way is dirty as a whole', () => {
  assert.equal(find({ checkpoint: 25 }).dirtyBytes, 200)
})

test('a checkpoint below the log start or above its end says nothing', () => {
  assert.equal(find({ checkpoint: 5, logStartOffset: 20 }).firstDirtyOffset, 20)
  assert.equal(find({ checkpoint: 46, logStartOffset: 20 }).firstDirtyOffset, 20)
  assert.equal(find({ checkpoint: 45 }).firstDirtyOffset, 45)
})

test('only whole segments below the stable offset are compacted', () => {
  assert.equal(find({ stableOffset: 29 }).upperBoundOffset, 20)
  assert.equal(find({ stableOffset: 30 }).upperBoundOffset, 30)
  assert.equal(find({ stableOffset: 0 }).upperBoundOffset, 0)
})

test('a segment with a record younger than the least lag ends what is compacted, if it is dirty', () => {
  const segments = segmentsOf({}, { largestTimestamp: NOW - 9 }, {}, {}, {})
  const limits = { minCompactionLagMs: 10 }
  assert.equal(find(limits, segments).upperBoundOffset, 10)
  assert.equal(find({ ...limits, checkpoint: 20 }, segments).upperBoundOffset, 40)
  assert.equal(find({ minCompactionLagMs: 9 }, segments).upperBoundOffset, 40)
  assert.equal(find({}, segmentsOf({ largestTimestamp: NOW + 5 }, {})).upperBoundOffset, 10)
})

test('it is overdue when a dirty segment began longer ago than the greatest lag', () => {
  assert.equal(find({ maxCompactionLagMs: 999 }).isOverdue, true)
  assert.equal(find({ maxCompactionLagMs: 1000 }).isOverdue, false)
  assert.equal(find({ maxCompactionLagMs: 999, checkpoint: 40 }).isOverdue, false)
  assert.equal(isDue(0, 1, NOW), false)
  assert.equal(isDue(-1, 1, NOW), false)
  assert.equal(isDue(1, -1, NOW), false)
})

test('it is worth while above the dirty ratio, or when it is overdue', () => {
  const half = find({ checkpoint: 20 })
  assert.equal(dirtyRatio(half), 0.5)
  assert.equal(isWorthCleaning(half, 0.5), false)
  assert.equal(isWorthCleaning(half, 0.49), true)
  assert.equal(isWorthCleaning({ ...half, isOverdue: true }, 1), true)
  assert.equal(isWorthCleaning(find({ checkpoint: 40 }), 0), false)
})
