import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { FinishedRange } from '../../../../src/groups/consumer/run/finished-ranges.ts'
import {
  decodeFinished,
  encodeFinished,
} from '../../../../src/groups/consumer/run/finished-ranges.ts'

const MAX_BYTES = 4096
const SAFE = Number.MAX_SAFE_INTEGER

/** Disjoint ranges above `committed`, at least one offset apart; `steps` are gaps and lengths. */
function rangesAbove(
  committed: number,
  steps: readonly (readonly [number, number])[],
): FinishedRange[] {
  let position = committed
  return steps.map(([gap, length]) => {
    const range = { start: position + gap, end: position + gap + length }
    position = range.end
    return range
  })
}

const offset = fc.oneof(
  fc.nat(100),
  fc.nat(2 ** 31 - 1),
  fc.nat(2 ** 20).map((n) => SAFE / 2 - n),
)
const step = fc.oneof(
  fc.integer({ min: 1, max: 3 }),
  fc.integer({ min: 1, max: 2000 }),
  fc.integer({ min: 1, max: 2 ** 40 }),
)
const steps = (maxLength: number): fc.Arbitrary<[number, number][]> =>
  fc.array(fc.tuple(step, step), { maxLength })

test('ranges that touch are one', () => {
  const ranges = [
    { start: 7, end: 8 },
    { start: 8, end: 10 },
    { start: 10, end: 11 },
    { start: 13, end: 14 },
  ]
  assert.deepEqual(decodeFinished(5, encodeFinished(5, ranges) ?? ''), [
    { start: 7, end: 11 },
    { start: 13, end: 14 },
  ])
})

test('what is written is read again', () => {
  fc.assert(
    fc.property(offset.map(Math.floor), steps(60), (committed, pairs) => {
      const ranges = rangesAbove(committed, pairs)
      const metadata = encodeFinished(committed, ranges)
      assert.equal(metadata === undefined, ranges.length === 0)
      assert.deepEqual(decodeFinished(committed, metadata ?? ''), ranges)
    }),
  )
})

test('of what does not fit into 4,096 bytes the lowest ranges are written, as many as fit', () => {
  const many = fc.array(fc.tuple(step, step), { minLength: 1000, maxLength: 3000 })
  fc.assert(
    fc.property(offset.map(Math.floor), many, (committed, pairs) => {
      const ranges = rangesAbove(committed, pairs)
      const metadata = encodeFinished(committed, ranges) ?? ''
      const bytes = Buffer.byteLength(metadata)
      assert.ok(bytes <= MAX_BYTES, `${bytes} bytes`)
      const read = decodeFinished(committed, metadata)
      assert.deepEqual(read, ranges.slice(0, read.length))
      // One more would have taken two numbers of at most 8 digits each (2^40).
      if (read.length < ranges.length) assert.ok(bytes > MAX_BYTES - 16, `${bytes} bytes`)
    }),
    { numRuns: 30 },
  )
})

test('every second record of some four thousand fits, and one range of any length', () => {
  const alternating = rangesAbove(
    1_000_000,
    Array.from({ length: 2030 }, () => [1, 1] as const),
  )
  const metadata = encodeFinished(1_000_000, alternating) ?? ''
  assert.deepEqual(decodeFinished(1_000_000, metadata), alternating)
  const long = encodeFinished(0, [{ start: 1, end: SAFE }]) ?? ''
  assert.ok(long.length < 40)
  assert.deepEqual(decodeFinished(0, long), [{ start: 1, end: SAFE }])
})

test('metadata of another commit, or of somebody else, says nothing', () => {
  const metadata = encodeFinished(10, [{ start: 12, end: 14 }]) ?? ''
  assert.deepEqual(decodeFinished(10, metadata), [{ start: 12, end: 14 }])
  assert.deepEqual(decodeFinished(11, metadata), [])
  for (const own of [
    '',
    'mine',
    '{"finished":[12]}',
    'brokerless-finished:2:KCC',
    'x'.repeat(4096),
  ])
    assert.deepEqual(decodeFinished(10, own), [], own)
})

test('metadata that is damaged gives no offset that is not above the commit, and does not throw', () => {
  const damage = fc.record({ at: fc.nat(200), with: fc.string({ maxLength: 3 }), cut: fc.nat(200) })
  fc.assert(
    fc.property(fc.nat(1000), steps(20), damage, (committed, pairs, { at, with: text, cut }) => {
      const whole = encodeFinished(committed, rangesAbove(committed, pairs)) ?? ''
      const damaged = (whole.slice(0, at) + text + whole.slice(at + text.length)).slice(0, cut + 1)
      let position = committed
      for (const { start, end } of decodeFinished(committed, damaged)) {
        assert.ok(start > position && end > start && Number.isSafeInteger(end))
        position = end
      }
    }),
    { numRuns: 1000 },
  )
})

test('numbers without end, zeros and offsets above the safe ones are refused', () => {
  const head = 'brokerless-finished:1:'
  assert.deepEqual(decodeFinished(0, `${head}ABB`), [{ start: 1, end: 2 }])
  const last = 'A'
  const more = 'g'
  for (const tail of [
    'AAB',
    'ABA',
    'AB',
    'ABg',
    'AB?',
    `AB${more.repeat(11)}${last}`,
    `AB${'/'.repeat(10)}f`,
    `AB${'/'.repeat(10)}HB${'/'.repeat(10)}H`,
  ])
    assert.deepEqual(decodeFinished(0, head + tail), [], tail)
})
