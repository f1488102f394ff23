import assert from 'node:assert/strict'
import { test } from 'node:test'
import { recordSizeBound, writeRecord } from '../../src/codec/record-writer.ts'

test('a record is written as the format says', () => {
  const buffer = Buffer.alloc(100)
  const headers = { h: 'é', n: null, r: ['1', Buffer.from([2])] }
  const end = writeRecord(buffer, 3, 100, 70, -1, 'key', Buffer.from('value'), headers)
  assert.equal(
    buffer.subarray(3, end).toString('hex'),
    [
      '3e', // 31 bytes follow
      '00', // attributes
      '01', // timestampDelta -1
      '8c01', // offsetDelta 70
      '066b6579', // "key"
      '0a76616c7565', // "value"
      '08', // 4 headers
      '0268',
      '04c3a9', // h: é
      '026e',
      '01', // n: null
      '0272',
      '0231', // r: "1"
      '0272',
      '0202', // r: 2
    ].join(''),
  )
})

test('null key and value have length -1, empty ones length 0', () => {
  const buffer = Buffer.alloc(16)
  let end = writeRecord(buffer, 0, 16, 0, 0, null, null, undefined)
  assert.equal(buffer.subarray(0, end).toString('hex'), '0c000000010100')
  end = writeRecord(buffer, 0, 16, 0, 0, '', Buffer.alloc(0), {})
  assert.equal(buffer.subarray(0, end).toString('hex'), '0c000000000000')
})

const KEYS: [string, string | Uint8Array | null][] = [
  ['a short ASCII key', 'order-1'],
  ['a short key that is ASCII but for its end', 'order-ü'],
  ['a short key of emoji', '🔑🔑'],
  ['a lone surrogate', 'a\ud800b'],
  ['a key of 48 characters', 'k'.repeat(48)],
  ['a key of 49 characters', 'k'.repeat(49)],
  ['a long key with a last character of three bytes', `${'k'.repeat(200)}€`],
  ['a key of bytes', Uint8Array.of(0, 128, 255)],
]
for (const [what, key] of KEYS) {
  test(`${what} is written as UTF-8, up to the limit and not past it`, () => {
    const expected = typeof key === 'string' ? Buffer.from(key, 'utf8') : Buffer.from(key ?? [])
    const value = Buffer.from('v')
    const buffer = Buffer.alloc(1000, 0xee)
    const end = writeRecord(buffer, 10, 1000, 0, 0, key, value, undefined)
    assert.ok(buffer.subarray(10, end).includes(expected))
    assert.ok(buffer.subarray(end).every((byte) => byte === 0xee))
    const tight = Buffer.alloc(1000, 0xee)
    assert.equal(writeRecord(tight, 10, end, 0, 0, key, value, undefined), end)
    assert.deepEqual(tight, buffer)
    tight.fill(0xee)
    assert.equal(writeRecord(tight, 10, end - 1, 0, 0, key, value, undefined), -1)
    assert.ok(tight.subarray(end - 1).every((byte) => byte === 0xee))
    assert.ok(recordSizeBound(key, value, undefined) >= end - 10)
  })
}
