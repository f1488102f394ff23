import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { checkBatch } from '../../src/codec/batch.ts'
import { BatchEncoder, encodeBatch, encodedSizeBound } from '../../src/codec/batch-encoder.ts'
import type { RecordSet } from '../../src/codec/record-set.ts'
import type { HeaderValue, RecordHeaders, TimestampType } from '../../src/types.ts'
import type { DecodedRecord } from './support.ts'
import { decodeBatch } from './support.ts'

function setOf(...keys: string[]): RecordSet {
  return {
    keys,
    values: keys.map((key) => Buffer.from(`value of ${key}`)),
    headers: undefined,
    timestamps: undefined,
  }
}

function keysOf(records: readonly DecodedRecord[]): (string | undefined)[] {
  return records.map((record) => record.key?.toString())
}

test('sets added one after another make one batch with adjacent offsets', () => {
  const buffer = Buffer.alloc(1000)
  const encoder = new BatchEncoder()
  assert.equal(encoder.isOpen, false)
  encoder.begin(buffer, 7)
  assert.equal(encoder.isOpen, true)
  assert.equal(encoder.end, 68)
  assert.equal(encoder.add(setOf('a', 'b'), 1000, 'CreateTime', 1000), true)
  assert.equal(encoder.add(setOf('c'), 2000, 'CreateTime', 1000), true)
  assert.equal(encoder.count, 3)
  assert.equal(encoder.baseTimestamp, 1000)
  assert.equal(encoder.maxTimestamp, 2000)
  const end = encoder.finish(50, 4, 'CreateTime')
  assert.equal(end, encoder.end)
  assert.equal(encoder.isOpen, false)
  assert.equal(checkBatch(buffer, 7, end - 7), undefined)
  const { header, records } = decodeBatch(buffer, 7)
  assert.equal(header.sizeBytes, end - 7)
  assert.equal(header.partitionLeaderEpoch, 4)
  assert.equal(header.attributes, 0)
  assert.deepEqual([header.baseOffset, header.lastOffset, header.count], [50, 52, 3])
  assert.deepEqual([header.producerId, header.producerEpoch, header.baseSequence], [-1, -1, -1])
  assert.deepEqual(
    records.map(({ offset, timestamp }) => [offset, timestamp]),
    [
      [50, 1000],
      [51, 1000],
      [52, 2000],
    ],
  )
  assert.deepEqual(keysOf(records), ['a', 'b', 'c'])
})

test('given timestamps are kept in any order, and the greatest is the batch maximum', () => {
  const buffer = Buffer.alloc(1000)
  const encoder = new BatchEncoder()
  encoder.begin(buffer, 0)
  const timestamps = [5000, 0, undefined, 9000, 253_402_300_799_000, 1]
  const set = { ...setOf('a', 'b', 'c', 'd', 'e', 'f'), timestamps }
  encoder.add(set, 7000, 'CreateTime', 1000)
  encoder.finish(0, 0, 'CreateTime')
  const { header, records } = decodeBatch(buffer)
  assert.equal(header.baseTimestamp, 5000)
  assert.equal(header.maxTimestamp, 253_402_300_799_000)
  assert.deepEqual(
    records.map((record) => record.timestamp),
    timestamps.map((timestamp) => timestamp ?? 7000),
  )
})

test('with LogAppendTime all records have the time of the append, whatever they brought', () => {
  const buffer = Buffer.alloc(1000)
  const encoder = new BatchEncoder()
  encoder.begin(buffer, 0)
  encoder.add({ ...setOf('a', 'b'), timestamps: [1, 9_999] }, 5000, 'LogAppendTime', 1000)
  encoder.add(setOf('c'), 5003, 'LogAppendTime', 1000)
  assert.equal(encoder.maxTimestamp, 5003)
  const end = encoder.finish(0, 0, 'LogAppendTime')
  assert.equal(checkBatch(buffer, 0, end), undefined)
  const { header, records } = decodeBatch(buffer)
  assert.equal(header.isLogAppendTime, true)
  assert.deepEqual(
    records.map((record) => record.timestamp),
    [5003, 5003, 5003],
  )
  // Each record: length, attributes, then the timestamp delta.
  assert.equal(buffer[63], 0)
})

test('the time of the append can be given at the end', () => {
  const buffer = Buffer.alloc(1000)
  const encoder = new BatchEncoder()
  encoder.begin(buffer, 0)
  encoder.add(setOf('a'), 5000, 'LogAppendTime', 1000)
  encoder.finish(0, 0, 'LogAppendTime', 6000)
  assert.equal(encoder.maxTimestamp, 6000)
  assert.equal(decodeBatch(buffer).records[0]?.timestamp, 6000)
})

for (const timestampType of ['CreateTime', 'LogAppendTime'] as TimestampType[]) {
  test(`a set that does not fit leaves the batch as it was (${timestampType})`, () => {
    const buffer = Buffer.alloc(200, 0xee)
    const encoder = new BatchEncoder()
    encoder.begin(buffer, 0)
    encoder.add(setOf('a'), 1000, timestampType, 200)
    const { end } = encoder
    for (let capacity = end; capacity < end + 36; capacity += 1) {
      assert.equal(encoder.add(setOf('b', 'c'), 9000, timestampType, capacity), false)
      assert.ok(buffer.subarray(capacity).every((byte) => byte === 0xee))
      assert.deepEqual([encoder.end, encoder.count, encoder.maxTimestamp], [end, 1, 1000])
    }
    assert.equal(encoder.add(setOf('b', 'c'), 1000, timestampType, end + 36), true)
    assert.equal(encoder.finish(0, 0, timestampType), end + 36)
    assert.deepEqual(keysOf(decodeBatch(buffer).records), ['a', 'b', 'c'])
  })
}

test('the end of the buffer bounds a set even where the capacity does not', () => {
  const buffer = Buffer.alloc(80)
  const encoder = new BatchEncoder()
  encoder.begin(buffer, 0)
  assert.equal(encoder.add(setOf('a', 'b'), 1000, 'CreateTime', 1000), false)
  assert.equal(encoder.add(setOf('a'), 1000, 'CreateTime', 1000), true)
})

test('rollback takes back what was added since mark', () => {
  const buffer = Buffer.alloc(1000)
  const encoder = new BatchEncoder()
  encoder.begin(buffer, 0)
  encoder.add(setOf('a'), 1000, 'CreateTime', 1000)
  encoder.mark()
  const { end } = encoder
  encoder.add(setOf('b'), 3000, 'CreateTime', 1000)
  encoder.add(setOf('c'), 4000, 'CreateTime', 1000)
  encoder.rollback()
  assert.deepEqual([encoder.end, encoder.count, encoder.maxTimestamp], [end, 1, 1000])
  encoder.add(setOf('d'), 2000, 'CreateTime', 1000)
  encoder.finish(0, 0, 'CreateTime')
  assert.deepEqual(keysOf(decodeBatch(buffer).records), ['a', 'd'])
  assert.equal(decodeBatch(buffer).header.maxTimestamp, 2000)
})

test('rollback without a mark empties the batch, which then takes its base timestamp anew', () => {
  const buffer = Buffer.alloc(1000)
  const encoder = new BatchEncoder()
  encoder.begin(buffer, 0)
  encoder.add(setOf('a'), 9000, 'CreateTime', 1000)
  encoder.rollback()
  assert.deepEqual([encoder.end, encoder.count, encoder.baseTimestamp], [61, 0, -1])
  encoder.add(setOf('b'), 1000, 'CreateTime', 1000)
  encoder.finish(0, 0, 'CreateTime')
  const { header, records } = decodeBatch(buffer)
  assert.deepEqual([header.baseTimestamp, header.maxTimestamp], [1000, 1000])
  assert.deepEqual(keysOf(records), ['b'])
})

test('an open batch moves to another buffer and goes on there', () => {
  const encoder = new BatchEncoder()
  encoder.begin(Buffer.alloc(100), 10)
  encoder.add(setOf('a'), 1000, 'CreateTime', 100)
  encoder.mark()
  const larger = Buffer.alloc(1000)
  encoder.moveTo(larger, 200)
  assert.equal(encoder.start, 200)
  encoder.add(setOf('b'), 1000, 'CreateTime', 1000)
  encoder.rollback()
  encoder.add(setOf('c'), 1000, 'CreateTime', 1000)
  const end = encoder.finish(5, 0, 'CreateTime')
  assert.equal(checkBatch(larger, 200, end - 200), undefined)
  assert.deepEqual(keysOf(decodeBatch(larger, 200).records), ['a', 'c'])
})

test('a batch without records is not finished, nor one twice', () => {
  const encoder = new BatchEncoder()
  assert.throws(() => encoder.finish(0, 0, 'CreateTime'), RangeError)
  encoder.begin(Buffer.alloc(100), 0)
  assert.equal(encoder.add(setOf(), 1000, 'CreateTime', 100), true)
  assert.throws(() => encoder.finish(0, 0, 'CreateTime'), RangeError)
  encoder.add(setOf('a'), 1000, 'CreateTime', 100)
  encoder.finish(0, 0, 'CreateTime')
  assert.throws(() => encoder.finish(1, 0, 'CreateTime'), RangeError)
})

test('encodeBatch writes what it is given into the header, gaps between offsets included', () => {
  const value = Buffer.from('v')
  const batch = encodeBatch({
    baseOffset: 10,
    lastOffset: 30,
    records: [
      { key: 'a', value, timestamp: 5, offset: 12 },
      { key: 'b', value, timestamp: 3 },
      { key: 'c', value, timestamp: 4, offset: 20 },
    ],
    partitionLeaderEpoch: 2,
    attributes: 0x10,
    producerId: 1,
    producerEpoch: 2,
    baseSequence: 3,
  })
  assert.equal(checkBatch(batch, 0, batch.length), undefined)
  const { header, records } = decodeBatch(batch)
  assert.deepEqual(
    records.map((record) => [record.offset, record.timestamp]),
    [
      [12, 5],
      [13, 3],
      [20, 4],
    ],
  )
  assert.equal(header.lastOffset, 30)
  assert.equal(header.count, 3)
  assert.equal(header.isTransactional, true)
  assert.deepEqual([header.baseTimestamp, header.maxTimestamp], [5, 5])
  assert.deepEqual([header.producerId, header.producerEpoch, header.baseSequence], [1, 2, 3])
})

// ------------------------------------------------------------------------------------ round trip

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
)
const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 60 }),
  fc.nat(20_000).map((size) => new Uint8Array(size).fill(size)),
)
const timestamp = fc.oneof(
  fc.constantFrom(0, 1, 1_700_000_000_000, 253_402_300_799_000, Number.MAX_SAFE_INTEGER),
  fc.maxSafeNat(),
)
const headerValue: fc.Arbitrary<HeaderValue> = fc.oneof(text, bytes, fc.constant(null))
const headers: fc.Arbitrary<RecordHeaders> = fc.dictionary(
  fc.oneof(text, fc.constantFrom('', '__proto__', 'constructor', 'toString')),
  fc.oneof(headerValue, fc.array(headerValue, { maxLength: 4 })),
  { maxKeys: 4, noNullPrototype: true },
)
const record = fc.record({
  key: fc.oneof(text, bytes, fc.constant(null)),
  value: fc.option(bytes),
  headers: fc.option(headers, { nil: undefined }),
  timestamp: fc.option(timestamp, { nil: undefined }),
})

function asBuffer(content: string | Uint8Array | null): Buffer | null {
  if (content === null) return null
  return typeof content === 'string' ? Buffer.from(content, 'utf8') : Buffer.from(content)
}

/** [name, values] as they are to be read back; a name without a value is not written at all. */
function expectedHeaders(given: RecordHeaders = {}): [string, (Buffer | null)[]][] {
  return Object.entries(given)
    .map(([name, value]): [string, (Buffer | null)[]] => [
      Buffer.from(name).toString(),
      (Array.isArray(value) ? value : [value]).map(asBuffer),
    ])
    .filter(([, values]) => values.length > 0)
}

function actualHeaders(decoded: DecodedRecord): [string, (Buffer | null)[]][] {
  return Object.entries(decoded.headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value : [value],
  ])
}

test('whatever is encoded is decoded, in sets of any size', () => {
  fc.assert(
    fc.property(
      fc.array(fc.array(record, { maxLength: 6 }), { minLength: 1, maxLength: 3 }),
      fc.nat(2 ** 40),
      (sets, baseOffset) => {
        const all = sets.flat()
        fc.pre(all.length > 0)
        const recordSets = sets.map(
          (records): RecordSet => ({
            keys: records.map((each) => each.key),
            values: records.map((each) => each.value),
            headers: records.map((each) => each.headers),
            timestamps: records.map((each) => each.timestamp),
          }),
        )
        const bound = recordSets.reduce((sum, set) => sum + encodedSizeBound(set), 61)
        const buffer = Buffer.alloc(bound)
        const encoder = new BatchEncoder()
        encoder.begin(buffer, 0)
        for (const set of recordSets) assert.ok(encoder.add(set, 42, 'CreateTime', bound))
        const end = encoder.finish(baseOffset, 0, 'CreateTime')
        assert.equal(checkBatch(buffer, 0, end), undefined)
        const { records } = decodeBatch(buffer)
        assert.equal(records.length, all.length)
        for (const [i, given] of all.entries()) {
          const decoded = records[i]
          assert.ok(decoded)
          assert.equal(decoded.offset, baseOffset + i)
          assert.equal(decoded.timestamp, given.timestamp ?? 42)
          assert.deepEqual(decoded.key, asBuffer(given.key))
          assert.deepEqual(decoded.value, asBuffer(given.value))
          assert.deepEqual(actualHeaders(decoded), expectedHeaders(given.headers))
        }
      },
    ),
    { numRuns: 200 },
  )
})
