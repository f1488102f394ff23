// Which segments retention takes: by time, by size, and never past the high watermark.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RetentionLimits, RetentionSegment } from '../../src/cleanup/retention.ts'
import { planRetention } from '../../src/cleanup/retention.ts'

const NOW = 1_000_000
const KEEP_ALL: RetentionLimits = {
  retentionMs: -1,
  retentionBytes: -1,
  now: NOW,
  highWatermark: Number.MAX_SAFE_INTEGER,
}

/** Segments of ten offsets each, by their size and age. */
function segments(...given: readonly (readonly [sizeBytes: number, ageMs: number])[]) {
  return given.map(([sizeBytes, ageMs], index): RetentionSegment => {
    const baseOffset = index * 10
    return { baseOffset, sizeBytes, largestTimestamp: NOW - ageMs, nextOffset: baseOffset + 10 }
  })
}

const plan = (list: readonly RetentionSegment[], limits: Partial<RetentionLimits>) =>
  planRetention(list, { ...KEEP_ALL, ...limits })

test('without limits nothing goes', () => {
  assert.equal(plan(segments([100, NOW], [100, NOW]), {}), undefined)
})

test('a segment goes when its largest timestamp is more than retentionMs ago, not before', () => {
  const list = segments([100, 51], [100, 50], [100, 0])
  assert.deepEqual(plan(list, { retentionMs: 50 }), { deleteBelow: 10, rollFirst: false })
})

test('a segment goes while the log without it is still at least retentionBytes large', () => {
  const list = segments([100, 0], [100, 0], [100, 0])
  assert.deepEqual(plan(list, { retentionBytes: 200 }), { deleteBelow: 10, rollFirst: false })
  assert.equal(plan(list, { retentionBytes: 201 }), undefined)
})

test('an old segment behind one that stays, stays', () => {
  assert.equal(plan(segments([100, 0], [100, 99], [100, 0]), { retentionMs: 50 }), undefined)
})

test('what size has taken makes way for what time takes', () => {
  const list = segments([100, 0], [10, 99], [10, 99], [10, 0])
  const limits = { retentionMs: 50, retentionBytes: 25 }
  assert.deepEqual(plan(list, limits), { deleteBelow: 30, rollFirst: false })
})

test('a timestamp in the future keeps its segment', () => {
  assert.equal(plan(segments([100, -5], [100, -5]), { retentionMs: 0 }), undefined)
})

test('where all go, the active segment is rolled first', () => {
  const list = segments([100, 99], [100, 99])
  assert.deepEqual(plan(list, { retentionMs: 50 }), { deleteBelow: 20, rollFirst: true })
  assert.deepEqual(plan(list, { retentionBytes: 0 }), { deleteBelow: 20, rollFirst: true })
})

test('an empty active segment stays', () => {
  const empty: RetentionSegment = {
    baseOffset: 10,
    sizeBytes: 0,
    largestTimestamp: 0,
    nextOffset: 10,
  }
  const [old] = segments([100, 99])
  const list = old === undefined ? [] : [old, empty]
  assert.deepEqual(plan(list, { retentionMs: 50 }), { deleteBelow: 10, rollFirst: false })
  assert.equal(plan([empty], { retentionMs: 50, retentionBytes: 0 }), undefined)
})

test('nothing goes that has an offset at or above the high watermark', () => {
  const list = segments([100, 99], [100, 99], [100, 99])
  const limits = { retentionMs: 50, retentionBytes: 0 }
  const below = (highWatermark: number) => plan(list, { ...limits, highWatermark })?.deleteBelow
  assert.deepEqual([9, 10, 19, 20, 29, 30].map(below), [undefined, 10, 10, 20, 20, 30])
})

// ------------------------------------------------------------------------------------- a model

const limit = fc.oneof(fc.constant(-1), fc.integer({ min: 0, max: 60 }))
const scenario = fc.record({
  sizes: fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 8 }),
  ages: fc.array(fc.integer({ min: -5, max: 60 }), { minLength: 8, maxLength: 8 }),
  isLastEmpty: fc.boolean(),
  retentionMs: limit,
  retentionBytes: limit,
  highWatermark: fc.integer({ min: 0, max: 90 }),
})

/** Takes one segment away after another and looks at the whole log each time. */
function naive(list: readonly RetentionSegment[], limits: RetentionLimits): number {
  const [first, ...rest] = list
  if (first === undefined) return 0
  const isOld =
    limits.retentionMs !== -1 && limits.now > first.largestTimestamp + limits.retentionMs
  const bytesLeft = rest.map((each) => each.sizeBytes).reduce((a, b) => a + b, 0)
  const isTooMuch = limits.retentionBytes !== -1 && bytesLeft >= limits.retentionBytes
  const isReadable = first.nextOffset <= limits.highWatermark
  const isEmptyActive = rest.length === 0 && first.sizeBytes === 0
  if (!(isOld || isTooMuch) || !isReadable || isEmptyActive) return 0
  return 1 + naive(rest, limits)
}

test('the plan is what taking one segment after another comes to', () => {
  fc.assert(
    fc.property(scenario, ({ sizes, ages, isLastEmpty, ...rest }) => {
      const list = segments(
        ...sizes.map((size, index) => {
          const isEmpty = isLastEmpty && index === sizes.length - 1
          return [isEmpty ? 0 : size, ages[index] ?? 0] as const
        }),
      )
      const limits = { ...rest, now: NOW }
      const gone = naive(list, limits)
      const expected =
        gone === 0 ? undefined : { deleteBelow: gone * 10, rollFirst: gone === list.length }
      assert.deepEqual(planRetention(list, limits), expected)
    }),
    { numRuns: 2000 },
  )
})

test('what a plan leaves is left by the next one', () => {
  fc.assert(
    fc.property(scenario, ({ sizes, ages, isLastEmpty: _, ...rest }) => {
      const list = segments(...sizes.map((size, index) => [size, ages[index] ?? 0] as const))
      const limits = { ...rest, now: NOW }
      const first = planRetention(list, limits)
      const left = list.filter((each) => each.nextOffset > (first?.deleteBelow ?? 0))
      assert.equal(planRetention(left, limits), undefined)
    }),
  )
})
