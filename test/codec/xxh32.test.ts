import assert from 'node:assert/strict'
import { test } from 'node:test'
import { xxh32 } from '../../src/codec/xxh32.ts'

test('the hash is that of the specification', () => {
  // Of xxHash's own sanity checks and documentation.
  assert.equal(xxh32(Buffer.alloc(0)), 0x02cc5d05)
  assert.equal(xxh32(Buffer.from('a')), 0x550d7456)
  assert.equal(xxh32(Buffer.from('abc')), 0x32d153ff)
  assert.equal(xxh32(Buffer.from('Nobody inspects the spammish repetition')), 0xe2293b2f)
})

test('a range is hashed as a buffer of its own', () => {
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, n) => (n * 37) % 256))
  for (const [start, end] of [
    [0, 100],
    [1, 17],
    [3, 19],
    [50, 99],
    [7, 7],
  ] as const) {
    assert.equal(xxh32(bytes, start, end), xxh32(Buffer.from(bytes.subarray(start, end))))
  }
})
