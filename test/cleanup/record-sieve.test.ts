import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { KeptRecords, RewrittenBatch } from '../../src/cleanup/batch-rewriter.ts'
import { emptyBatch, rewriteBatch, sizeOf } from '../../src/cleanup/batch-rewriter.ts'
import { KeyMap } from '../../src/cleanup/key-map.ts'
import { RecordChunk, RecordReader } from '../../src/cleanup/record-chunk.ts'
import { RecordSieve } from '../../src/cleanup/record-sieve.ts'
import type { BatchHeader } from '../../src/codec/batch.ts'
import {
  BATCH_HEADER_BYTES,
  checkBatch,
  DELETE_HORIZON_BIT,
  LOG_APPEND_TIME_BIT,
  readBatchHeader,
  writeBatchHeader,
} from '../../src/codec/batch.ts'
import type { RecordToEncode } from '../../src/codec/batch-encoder.ts'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import { Codecs } from '../../src/codec/codecs.ts'
import type { DecodedRecord } from '../codec/support.ts'
import { decodeBatch } from '../codec/support.ts'

const CODECS = new Codecs({}, 1024 * 1024)

interface Sifted {
  readonly sieve: RecordSieve
  readonly header: BatchHeader
  readonly kept: KeptRecords
}

interface SiftOptions {
  readonly keepsTombstones?: boolean
  /** Records behind it are not in the map. */
  readonly latestOffset?: number
}

/** The map knows what the log has, as `last` tells it: the last offset of each key. */
async function sift(
  batch: Buffer,
  last: ReadonlyMap<string, number>,
  options: SiftOptions = {},
): Promise<Sifted> {
  const keys = new KeyMap(1024 * 1024, 10_000, (below) => below >> 1)
  await keys.begin(0, async () => {})
  const chunk = new RecordChunk()
  for (const [key, offset] of [...last].sort((a, b) => a[1] - b[1])) {
    chunk.count = 1
    chunk.keyLengths[0] = Buffer.byteLength(key)
    keys.put(Buffer.from(key), chunk, offset, 0)
  }
  const header = readBatchHeader(batch, 0)
  const { baseOffset, count, lastOffset } = header
  const sieve = new RecordSieve(keys, options.latestOffset ?? Number.MAX_SAFE_INTEGER)
  const range = { count, lastOffsetDelta: lastOffset - baseOffset }
  const keeps = options.keepsTombstones ?? true
  sieve.begin(batch, BATCH_HEADER_BYTES, batch.length, baseOffset, range, keeps)
  while (!sieve.advance());
  const maxTimestamp = header.isLogAppendTime
    ? header.maxTimestamp
    : header.baseTimestamp + sieve.maxTimestampDelta
  return { sieve, header, kept: { records: sieve.records, count: sieve.kept, maxTimestamp } }
}

function assemble(header: BatchHeader, rewritten: RewrittenBatch): Buffer {
  const batch = Buffer.alloc(sizeOf(rewritten))
  rewritten.records.copy(batch, BATCH_HEADER_BYTES)
  writeBatchHeader(batch, 0, { ...header, ...rewritten, sizeBytes: batch.length })
  assert.equal(checkBatch(batch, 0, batch.length), undefined)
  return batch
}

function contentOf(records: readonly DecodedRecord[]): unknown[] {
  return records.map(({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    key: key?.toString('hex'),
    value: value?.toString('hex'),
    headers,
  }))
}

const record = (key: string | null, value: string | null, timestamp: number, more = {}) => ({
  key,
  value: value === null ? null : Buffer.from(value),
  timestamp,
  ...more,
})

const PRODUCER = { producerId: 7, producerEpoch: 3, baseSequence: 40, partitionLeaderEpoch: 5 }

test('of a batch stay the last records of their keys, with offsets, times and headers, and its own range', async () => {
  const batch = encodeBatch({
    ...PRODUCER,
    baseOffset: 100,
    records: [
      record('a', '1', 1000),
      record('b', '2', 3000, { headers: { h: 'x' } }),
      record('a', '3', 2000),
      record(null, '4', 2500),
      record('c', '5', 1500),
    ],
  })
  const last = new Map([
    ['a', 102],
    ['b', 101],
    ['c', 500],
  ])
  const { sieve, header, kept } = await sift(batch, last)
  assert.deepEqual([sieve.kept, sieve.removed, sieve.hasTombstone], [2, 3, false])
  const rewritten = assemble(header, await rewriteBatch(header, kept, undefined, CODECS))
  const after = decodeBatch(rewritten)
  assert.deepEqual(
    contentOf(after.records),
    contentOf(decodeBatch(batch).records.filter(({ offset }) => offset === 101 || offset === 102)),
  )
  assert.deepEqual(after.header, {
    ...header,
    crc: after.header.crc,
    sizeBytes: rewritten.length,
    count: 2,
    maxTimestamp: 3000,
  })
})

test('where all records stay nothing is copied', async () => {
  const batch = encodeBatch({ baseOffset: 0, records: [record('a', '1', 1), record('b', '2', 2)] })
  const { sieve } = await sift(batch, new Map([['a', 0]]))
  assert.deepEqual([sieve.kept, sieve.removed, sieve.records.length], [2, 0, 0])
})

test('records behind what the map knows stay, keyless ones too', async () => {
  const batch = encodeBatch({
    baseOffset: 10,
    records: [record('a', '1', 1), record(null, '2', 2), record('a', '3', 3), record(null, '4', 4)],
  })
  const { sieve } = await sift(batch, new Map([['a', 12]]), { latestOffset: 11 })
  assert.deepEqual([sieve.kept, sieve.removed], [2, 2])
})

test('a tombstone stays, or goes once its horizon has passed; as the last of its key it takes the others with it', async () => {
  const batch = encodeBatch({
    baseOffset: 0,
    records: [record('a', '1', 1), record('a', null, 2), record('b', '3', 3)],
  })
  const last = new Map([
    ['a', 1],
    ['b', 2],
  ])
  const before = await sift(batch, last)
  assert.deepEqual([before.sieve.kept, before.sieve.hasTombstone], [2, true])
  const after = await sift(batch, last, { keepsTombstones: false })
  assert.deepEqual([after.sieve.kept, after.sieve.hasTombstone], [1, false])
})

test('a horizon becomes the base of the timestamps, and changes none', async () => {
  const batch = encodeBatch({
    baseOffset: 0,
    attributes: 0,
    records: [record('a', '1', 10), record('b', null, 2000, { headers: { h: null } })],
  })
  const { header } = await sift(batch, new Map())
  const all = { records: batch.subarray(BATCH_HEADER_BYTES), count: 2, maxTimestamp: 2000 }
  const horizon = 86_400_000 * 400
  const rewritten = decodeBatch(assemble(header, await rewriteBatch(header, all, horizon, CODECS)))
  assert.equal(rewritten.header.attributes, DELETE_HORIZON_BIT)
  assert.equal(rewritten.header.baseTimestamp, horizon)
  assert.deepEqual(contentOf(rewritten.records), contentOf(decodeBatch(batch).records))
})

test('with append time all records keep the time of the batch, horizon or not', async () => {
  const batch = encodeBatch({
    baseOffset: 0,
    attributes: LOG_APPEND_TIME_BIT,
    maxTimestamp: 9000,
    records: [record('a', '1', 10), record('b', null, 20)],
  })
  const { header, kept } = await sift(batch, new Map([['a', 5]]))
  assert.equal(kept.maxTimestamp, 9000)
  const after = decodeBatch(assemble(header, await rewriteBatch(header, kept, 50_000, CODECS)))
  assert.equal(after.header.attributes, LOG_APPEND_TIME_BIT | DELETE_HORIZON_BIT)
  assert.deepEqual(
    after.records.map(({ offset, timestamp }) => [offset, timestamp]),
    [[1, 9000]],
  )
})

test('what was compressed is compressed again with the same codec', async () => {
  const plain = encodeBatch({ baseOffset: 0, records: [record('a', '1', 1), record('b', '2', 2)] })
  const { kept } = await sift(plain, new Map([['a', 9]]))
  const zipped = encodeBatch({
    baseOffset: 0,
    attributes: 1,
    records: [record('a', '1', 1), record('b', '2', 2)],
    compress: (records) => gzipSync(records),
  })
  const header = readBatchHeader(zipped, 0)
  const rewritten = await rewriteBatch(header, kept, undefined, CODECS)
  assert.equal(rewritten.attributes, 1)
  assert.deepEqual(gunzipSync(rewritten.records), kept.records)
})

test('an emptied batch is a header of 61 bytes, with its producer, offsets and greatest time', () => {
  const batch = encodeBatch({
    ...PRODUCER,
    baseOffset: 5,
    attributes: 1 | DELETE_HORIZON_BIT,
    records: [record('a', '1', 10), record('b', '2', 30)],
    compress: (records) => gzipSync(records),
  })
  const header = readBatchHeader(batch, 0)
  const empty = assemble(header, emptyBatch(header))
  assert.equal(empty.length, 61)
  const { crc } = readBatchHeader(empty, 0)
  assert.deepEqual(readBatchHeader(empty, 0), {
    ...header,
    crc,
    sizeBytes: 61,
    attributes: 0,
    codec: 0,
    count: 0,
    baseTimestamp: -1,
  })
})

test('records that are none, or whose offsets make no sense, are refused', () => {
  const batch = encodeBatch({ baseOffset: 0, records: [record('a', '1', 1), record('b', '2', 2)] })
  const read = (bytes: Buffer, range: { count: number; lastOffsetDelta: number }): void => {
    const reader = new RecordReader()
    reader.begin(bytes, BATCH_HEADER_BYTES, bytes.length, range)
    reader.read(new RecordChunk())
  }
  read(batch, { count: 2, lastOffsetDelta: 1 })
  for (const wrong of [
    () => read(batch, { count: 3, lastOffsetDelta: 2 }),
    () => read(batch, { count: 1, lastOffsetDelta: 1 }),
    () => read(batch, { count: 2, lastOffsetDelta: 0 }),
    () => read(batch.subarray(0, batch.length - 1), { count: 2, lastOffsetDelta: 1 }),
  ]) {
    assert.throws(wrong, { name: 'BatchFormatError' })
  }
})

test('whatever the records, what stays is what a plain filter leaves, chunk after chunk', async () => {
  const key = fc.option(fc.constantFrom('a', 'b', 'c', 'd', 'e'))
  const value = fc.option(fc.string({ maxLength: 20 }))
  const timestamp = fc.integer({ min: 0, max: 2 ** 45 })
  const records = fc.array(fc.tuple(key, value, timestamp, fc.integer({ min: 1, max: 3 })), {
    minLength: 1,
    maxLength: 700,
  })
  const horizon = fc.option(fc.integer({ min: 0, max: 2 ** 45 }), { nil: undefined })
  await fc.assert(
    fc.asyncProperty(records, fc.boolean(), horizon, fc.nat(), async (given, keeps, until, cut) => {
      let offset = 0
      const toEncode: RecordToEncode[] = given.map(([k, v, at, step]) => {
        const each = { ...record(k, v, at), offset }
        offset += step
        return each
      })
      const batch = encodeBatch({ baseOffset: 0, records: toEncode })
      const latestOffset = cut % (offset + 1)
      const last = new Map<string, number>()
      for (const each of toEncode) {
        if (each.key !== null && (each.offset ?? 0) <= latestOffset) {
          last.set(String(each.key), each.offset ?? 0)
        }
      }
      const expected = decodeBatch(batch).records.filter((each) => {
        if (each.offset > latestOffset) return true
        if (each.key === null || last.get(each.key.toString()) !== each.offset) return false
        return each.value !== null || keeps
      })
      const options = { keepsTombstones: keeps, latestOffset }
      const { sieve, header, kept } = await sift(batch, last, options)
      assert.equal(sieve.kept, expected.length)
      assert.equal(sieve.removed, given.length - expected.length)
      assert.equal(
        sieve.hasTombstone,
        expected.some((each) => each.value === null),
      )
      if (expected.length === 0 || sieve.removed === 0) return
      const after = decodeBatch(assemble(header, await rewriteBatch(header, kept, until, CODECS)))
      assert.deepEqual(contentOf(after.records), contentOf(expected))
      assert.equal(after.header.lastOffset, header.lastOffset)
      assert.equal(after.header.maxTimestamp, Math.max(...expected.map((each) => each.timestamp)))
    }),
    { numRuns: 200 },
  )
})
