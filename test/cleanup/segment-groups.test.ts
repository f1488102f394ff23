import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GroupedSegment } from '../../src/cleanup/segment-groups.ts'
import { groupSegments } from '../../src/cleanup/segment-groups.ts'

const LIMITS = { segmentBytes: 100, segmentIndexBytes: 50 }

/** Segments of 10 offsets each, one behind the other. */
function segmentsOf(...given: Partial<GroupedSegment>[]): GroupedSegment[] {
  return given.map((each, index) => ({
    baseOffset: 10 * index,
    nextOffset: 10 * index + 10,
    sizeBytes: 30,
    offsetIndexBytes: 8,
    timeIndexBytes: 12,
    isKept: false,
    ...each,
  }))
}

function basesOf(segments: GroupedSegment[], limits = LIMITS): number[][] {
  return groupSegments(segments, limits).map((group) => group.map(({ baseOffset }) => baseOffset))
}

test('neighbours are joined as long as a segment may be that large', () => {
  const segments = segmentsOf({}, {}, { sizeBytes: 40 }, { sizeBytes: 1 }, { sizeBytes: 99 }, {})
  assert.deepEqual(basesOf(segments), [[0, 10, 20], [30, 40], [50]])
})

test('one that is larger by itself is cleaned by itself', () => {
  assert.deepEqual(basesOf(segmentsOf({ sizeBytes: 500 }, { sizeBytes: 500 })), [[0], [10]])
})

test('both indexes have to fit', () => {
  const large = { offsetIndexBytes: 40 }
  assert.deepEqual(basesOf(segmentsOf(large, { offsetIndexBytes: 10 }, large)), [[0, 10], [20]])
  assert.deepEqual(basesOf(segmentsOf({ timeIndexBytes: 40 }, {})), [[0], [10]])
})

test('the last offset is to be told relative to the first base offset, unless nothing is added', () => {
  const far = { baseOffset: 2 ** 31 - 9, nextOffset: 2 ** 31 + 1 }
  assert.deepEqual(basesOf(segmentsOf({}, far)), [[0], [2 ** 31 - 9]])
  assert.deepEqual(basesOf(segmentsOf({}, { ...far, nextOffset: 2 ** 31 })), [[0, 2 ** 31 - 9]])
  assert.deepEqual(basesOf(segmentsOf({}, { ...far, sizeBytes: 0 })), [[0, 2 ** 31 - 9]])
})

test('one that is left as it is parts its neighbours', () => {
  const segments = segmentsOf({}, { isKept: true }, {}, {}, { isKept: true })
  assert.deepEqual(basesOf(segments), [[0], [10], [20, 30], [40]])
})

test('no segments make no groups', () => {
  assert.deepEqual(basesOf([]), [])
})

test('however many are joined, each is looked at a few times', () => {
  let looks = 0
  const count = 1000
  const segments = segmentsOf(...new Array<object>(count).fill({})).map((segment) => ({
    ...segment,
    get sizeBytes() {
      looks += 1
      return 1
    },
  }))
  const groups = groupSegments(segments, { segmentBytes: count, segmentIndexBytes: 12 * count })
  assert.deepEqual([groups.length, groups[0]?.length], [1, count])
  assert.ok(looks <= 4 * count, `${looks}`)
})
