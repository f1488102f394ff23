import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LogError } from '../../src/errors.ts'
import { murmur2 } from '../../src/topics/murmur2.ts'
import type { Partitioner } from '../../src/topics/partitioner.ts'
import {
  choosePartition,
  partitionForKey,
  partitionForStringKey,
} from '../../src/topics/partitioner.ts'
import { STICKY_BYTES, StickyPartitioner } from '../../src/topics/sticky-partitioner.ts'

test("murmur2 gives Kafka's known values", () => {
  const known = {
    '21': -973932308,
    foobar: -790332482,
    'a-little-bit-long-string': -985981536,
    'a-little-bit-longer-string': -1486304829,
    lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8: -58897971,
    abc: 479470107,
  }
  for (const [key, hash] of Object.entries(known)) {
    const bytes = Buffer.from(key)
    assert.equal(murmur2(bytes, bytes.length), hash, key)
  }
})

test('a key goes to its hash without the sign bit, modulo the partition count', () => {
  const bytes = Buffer.from('foobar')
  assert.equal(partitionForKey(bytes, bytes.length, 7), (-790332482 & 0x7fffffff) % 7)
})

test('bytes behind the given length do not count', () => {
  assert.equal(partitionForKey(Buffer.from('abcdef'), 3, 1000), 479470107 % 1000)
})

test('a string key goes where its UTF-8 bytes go, whatever its length and alphabet', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.string({ unit: 'grapheme', maxLength: 600 }), fc.string({ maxLength: 40 })),
      fc.integer({ min: 1, max: 1000 }),
      (key, count) => {
        const bytes = Buffer.from(key)
        assert.equal(partitionForStringKey(key, count), partitionForKey(bytes, bytes.length, count))
      },
    ),
    {
      examples: [
        ['', 50],
        ['é'.repeat(341), 50],
        ['€'.repeat(342), 50],
      ],
    },
  )
})

/** Gives these numbers in turn. */
function scripted(...numbers: number[]): () => number {
  return () => numbers.shift() ?? assert.fail('more random numbers are taken than expected')
}

test('keyless records stay with a partition until 16 KiB went there, then move to another one', () => {
  const sticky = new StickyPartitioner(scripted(0.5, 0.99))
  assert.equal(sticky.choose(4, STICKY_BYTES - 1), 2)
  assert.equal(sticky.choose(4, 1), 2)
  assert.equal(sticky.choose(4, 1), 1)
  assert.equal(sticky.choose(4, STICKY_BYTES - 2), 1)
})

test('keyless records always move to another partition and reach every one', () => {
  let seed = 1
  const sticky = new StickyPartitioner(() => {
    seed = (seed * 16807) % 2147483647
    return seed / 2147483647
  })
  const seen = new Set<number>()
  let previous = -1
  for (let i = 0; i < 200; i += 1) {
    const partition = sticky.choose(5, STICKY_BYTES)
    assert.notEqual(partition, previous)
    assert.ok(partition >= 0 && partition < 5)
    seen.add(partition)
    previous = partition
  }
  assert.equal(seen.size, 5)
})

test('with one partition keyless records stay, and with more later they spread', () => {
  const sticky = new StickyPartitioner(scripted(0, 0, 0.6))
  assert.equal(sticky.choose(1, STICKY_BYTES), 0)
  assert.equal(sticky.choose(1, STICKY_BYTES), 0)
  assert.equal(sticky.choose(3, 1), 2)
})

function choose(
  given: number | undefined,
  key: string | Uint8Array | null,
  custom?: Partitioner,
): number {
  const sticky = new StickyPartitioner(scripted(0.75))
  return choosePartition('orders', 4, given, key, { v: 1 }, 10, custom, sticky)
}

test('a given partition comes before the custom partitioner, that before the key, that before sticky', () => {
  assert.equal(
    choose(1, 'abc', () => 2),
    1,
  )
  assert.equal(
    choose(undefined, 'abc', () => 2),
    2,
  )
  assert.equal(choose(undefined, 'abc'), 479470107 % 4)
  assert.equal(choose(undefined, Buffer.from('abc')), 479470107 % 4)
  assert.equal(choose(undefined, null), 3)
})

test('a custom partitioner is given key, value and partition count', () => {
  const calls: unknown[] = []
  choose(undefined, null, (...all) => {
    calls.push(all)
    return 0
  })
  assert.deepEqual(calls, [[null, { v: 1 }, 4]])
})

test("a custom partitioner's answer outside the partitions is refused", () => {
  for (const answer of [-1, 4, 0.5, Number.NaN]) {
    assert.throws(() => choose(undefined, 'k', () => answer), {
      name: 'RangeError',
      message: `orders: the partitioner's answer is ${answer}; it must be an integer from 0 to 3`,
    })
  }
  const nothing = (() => undefined) as unknown as Partitioner
  assert.throws(() => choose(undefined, 'k', nothing), TypeError)
})

test('a given partition that the topic does not have is UNKNOWN_PARTITION, a number that is none is misuse', () => {
  assert.throws(
    () => choose(4, null),
    (error: unknown) => error instanceof LogError && error.code === 'UNKNOWN_PARTITION',
  )
  assert.throws(() => choose(-1, null), RangeError)
  assert.throws(() => choose(0.5, null), RangeError)
  assert.throws(() => choose('0' as unknown as number, null), TypeError)
})
