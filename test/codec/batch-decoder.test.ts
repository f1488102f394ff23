import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BatchHeader } from '../../src/codec/batch.ts'
import { readBatchHeader } from '../../src/codec/batch.ts'
import {
  BatchFormatError,
  decodeRecordRun,
  decodeRecords,
  readHeaders,
  recordPositions,
} from '../../src/codec/batch-decoder.ts'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import { Collector } from './support.ts'

const ALL = Number.POSITIVE_INFINITY

function offsetsOf(
  page: Buffer,
  fromOffset: number,
  maxRecords: number,
  header: BatchHeader = readBatchHeader(page, 0),
): number[] {
  const collector = new Collector()
  const given = decodeRecords(page, 61, page.length, header, fromOffset, maxRecords, collector)
  assert.equal(given, collector.records.length)
  return collector.records.map((record) => record.offset)
}

function batchOf(...offsets: number[]): Buffer {
  return encodeBatch({
    baseOffset: 100,
    records: offsets.map((offset) => ({
      key: `k${offset}`,
      value: Buffer.alloc(offset % 5, 1),
      headers: { h: `${offset}` },
      timestamp: 1000 + offset,
      offset,
    })),
    lastOffset: 109,
  })
}

const DENSE = batchOf(100, 101, 102, 103, 104, 105, 106, 107, 108, 109)
const GAPS = batchOf(101, 104, 108)

test('records are handed out from an offset on, up to a number', () => {
  assert.deepEqual(offsetsOf(DENSE, 0, ALL), [100, 101, 102, 103, 104, 105, 106, 107, 108, 109])
  assert.deepEqual(offsetsOf(DENSE, 104, 3), [104, 105, 106])
  assert.deepEqual(offsetsOf(DENSE, 108, 2), [108, 109])
  assert.deepEqual(offsetsOf(DENSE, 110, ALL), [])
  assert.deepEqual(offsetsOf(DENSE, ALL, ALL), [])
  assert.deepEqual(offsetsOf(DENSE, 104, 0), [])
  assert.deepEqual(offsetsOf(GAPS, 102, ALL), [104, 108])
})

test('a batch emptied by compaction has no records, and may have no bytes', () => {
  const empty = encodeBatch({ baseOffset: 5, lastOffset: 9, records: [] })
  assert.deepEqual(offsetsOf(empty, 0, ALL), [])
  assert.throws(
    () => offsetsOf(Buffer.concat([empty, Buffer.alloc(1)]), 0, ALL, readBatchHeader(empty, 0)),
    BatchFormatError,
  )
})

test('timestamps count from baseTimestamp, with append time all are maxTimestamp', () => {
  const records = [10, 30, 20].map((timestamp) => ({ key: null, value: null, timestamp }))
  const timesOf = (attributes: number): number[] => {
    const page = encodeBatch({ baseOffset: 0, records, attributes, maxTimestamp: 77 })
    const collector = new Collector()
    decodeRecords(page, 61, page.length, readBatchHeader(page, 0), 0, ALL, collector)
    return collector.records.map((record) => record.timestamp)
  }
  assert.deepEqual(timesOf(0), [10, 30, 20])
  assert.deepEqual(timesOf(0x08), [77, 77, 77])
})

test('a count above or below the records that are there is refused', () => {
  const header = readBatchHeader(DENSE, 0)
  assert.throws(() => offsetsOf(DENSE, 0, ALL, { ...header, count: 11 }), BatchFormatError)
  assert.throws(() => offsetsOf(DENSE, 0, ALL, { ...header, count: 9 }), BatchFormatError)
  assert.throws(
    () => recordPositions(DENSE, 61, DENSE.length, { ...header, count: 11 }),
    BatchFormatError,
  )
  assert.throws(
    () => recordPositions(DENSE, 61, DENSE.length, { ...header, count: 9 }),
    BatchFormatError,
  )
  assert.throws(
    () => recordPositions(DENSE, 61, DENSE.length, { ...header, count: 2 ** 31 - 1 }),
    BatchFormatError,
  )
})

test('bytes behind the last record are seen even when no more records were wanted', () => {
  const longer = Buffer.concat([DENSE, Buffer.alloc(1)])
  const header = readBatchHeader(DENSE, 0)
  assert.throws(() => offsetsOf(longer, 109, 1, header), BatchFormatError)
  assert.deepEqual(offsetsOf(longer, 108, 1, header), [108])
})

test('offsets that do not rise or leave the batch are refused', () => {
  for (const page of [batchOf(101, 101), batchOf(105, 102), batchOf(110), batchOf(99)]) {
    const header = readBatchHeader(page, 0)
    assert.throws(() => offsetsOf(page, 0, ALL), BatchFormatError)
    assert.throws(() => recordPositions(page, 61, page.length, header), BatchFormatError)
  }
})

test('a batch cut at any byte is refused', () => {
  const header = readBatchHeader(DENSE, 0)
  for (let end = 61; end < DENSE.length; end += 1) {
    const check = (): unknown => decodeRecords(DENSE, 61, end, header, ALL, ALL, new Collector())
    assert.throws(check, BatchFormatError, `cut at ${end}`)
    assert.throws(() => recordPositions(DENSE, 61, end, header), BatchFormatError)
  }
})

/** One record from hex, behind a header for one record. */
function decodeHex(hex: string): void {
  const empty = encodeBatch({ baseOffset: 0, records: [{ key: null, value: null, timestamp: 0 }] })
  const page = Buffer.concat([empty.subarray(0, 61), Buffer.from(hex, 'hex')])
  decodeRecords(page, 61, page.length, readBatchHeader(page, 0), 0, ALL, new Collector())
}

const MALFORMED: [string, string][] = [
  ['a length of 5', '0a0000000101'],
  ['a negative length', '01000000010100'],
  ['a length past the end', '0e000000010100'],
  ['a key past its end', '0c000000080100'],
  ['a key of length -2', '0c000000030100'],
  ['a value past its end', '0c000000010600'],
  ['a value of length -2', '0c000000010300'],
  ['a negative header count', '0c000000010101'],
  ['more headers than bytes', '0c000000010102'],
  ['a header without a name', '100000000101020100'],
  ['a header name past its end', '100000000101020800'],
  ['a header value past its end', '100000000101020004'],
  ['a byte left over', '0e00000001010000'],
  ['a timestamp delta beyond the safe integers', '1e00ffffffffffffffffff7f00010100'],
]
for (const [what, hex] of MALFORMED) {
  test(`a record with ${what} is refused`, () => {
    decodeHex('0c000000010100')
    decodeHex('100000000101020000')
    assert.throws(() => decodeHex(hex), BatchFormatError)
  })
}

test('any changed byte either decodes within its bounds or is refused, nothing else', () => {
  const header = readBatchHeader(GAPS, 0)
  for (let position = 61; position < GAPS.length; position += 1) {
    for (let flip = 1; flip < 256; flip += 1) {
      const page = Buffer.from(GAPS)
      page.writeUInt8((GAPS[position] ?? 0) ^ flip, position)
      const collector = new Collector()
      try {
        decodeRecords(page, 61, page.length, header, 0, ALL, collector)
      } catch (error) {
        assert.ok(error instanceof BatchFormatError)
      }
      for (const { offset, key } of collector.records) {
        assert.ok(offset >= 100 && offset <= 109)
        assert.ok(key === null || key.length < GAPS.length)
      }
    }
  }
})

test('a range outside the page is a mistake of the caller', () => {
  const header = readBatchHeader(DENSE, 0)
  const decode = (): unknown =>
    decodeRecords(DENSE, 61, DENSE.length + 1, header, 0, ALL, new Collector())
  assert.throws(decode, RangeError)
})

// --------------------------------------------------------------------------------- record tables

for (const [what, batch, offsets] of [
  ['without gaps', DENSE, [100, 101, 102, 103, 104, 105, 106, 107, 108, 109]],
  ['with gaps', GAPS, [101, 104, 108]],
] as const) {
  test(`a record table finds each record of a batch ${what}`, () => {
    const page = Buffer.concat([Buffer.alloc(13), batch])
    const header = readBatchHeader(page, 13)
    const table = recordPositions(page, 13 + 61, page.length, header)
    assert.equal(table.count, offsets.length)
    assert.equal(table.positionAt(0), 61)
    assert.equal(table.positionAt(table.count), batch.length)
    assert.equal(table.header, header)
    for (let offset = 98; offset < 112; offset += 1) {
      const index = offsets.findIndex((each) => each >= offset)
      const expected = index < 0 ? offsets.length : index
      assert.equal(table.indexOf(offset), expected)
      assert.equal(table.positionOf(offset), table.positionAt(expected))
    }
    for (const [index, offset] of offsets.entries()) {
      assert.equal(table.offsetAt(index), offset)
      const collector = new Collector()
      const end = Math.min(index + 2, table.count)
      const run = batch.subarray(table.positionAt(index), table.positionAt(end))
      decodeRecordRun(run, 0, run.length, table.header, end - index, collector)
      assert.deepEqual(
        collector.records.map((record) => [
          record.offset,
          record.timestamp,
          record.key?.toString(),
        ]),
        offsets.slice(index, end).map((each) => [each, 1000 + each, `k${each}`]),
      )
    }
    assert.throws(() => table.positionAt(table.count + 1), RangeError)
  })
}

test('a table without gaps takes four bytes a record, one with gaps eight', () => {
  const sizeOf = (batch: Buffer): number =>
    recordPositions(batch, 61, batch.length, readBatchHeader(batch, 0)).sizeBytes
  const fixed = sizeOf(encodeBatch({ baseOffset: 0, records: [] })) - 4
  assert.equal(sizeOf(DENSE) - fixed, 11 * 4)
  assert.equal(sizeOf(GAPS) - fixed, 4 * 4 + 3 * 4)
})

// --------------------------------------------------------------------------------------- headers

function headersOf(hex: string, count: number): ReturnType<typeof readHeaders> {
  return readHeaders(Buffer.from(`ff${hex}`, 'hex'), 1, count)
}

test('records without headers share one object that cannot be changed', () => {
  const none = headersOf('', 0)
  assert.deepEqual(none, {})
  assert.equal(headersOf('', 0), none)
  assert.ok(Object.isFrozen(none))
})

test('a header that repeats comes back as an array, one null among them', () => {
  assert.deepEqual(
    headersOf('0261' + '0231' + '0262' + '00' + '0261' + '01' + '0261' + '0232', 4),
    {
      a: [Buffer.from('1'), null, Buffer.from('2')],
      b: Buffer.alloc(0),
    },
  )
})

test('a null header that repeats is not taken for a missing one', () => {
  assert.deepEqual(headersOf('0261' + '01' + '0261' + '01', 2), { a: [null, null] })
})

test('a header may be called __proto__ or constructor', () => {
  const name = (text: string): string =>
    Buffer.from([text.length * 2]).toString('hex') + Buffer.from(text).toString('hex')
  const headers = headersOf(`${name('__proto__')}0231${name('constructor')}0232`, 2)
  assert.equal(Object.getPrototypeOf(headers), Object.prototype)
  assert.deepEqual(Object.keys(headers), ['__proto__', 'constructor'])
  assert.deepEqual(Object.getOwnPropertyDescriptor(headers, '__proto__')?.value, Buffer.from('1'))
  assert.deepEqual(headers['constructor'], Buffer.from('2'))
})

test('headers that run past the page or have no name are refused', () => {
  assert.throws(() => headersOf('0261', 1), BatchFormatError)
  assert.throws(() => headersOf('026104', 1), BatchFormatError)
  assert.throws(() => headersOf('0102', 1), BatchFormatError)
})
