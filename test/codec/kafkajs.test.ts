// An independent implementation of the format, both ways.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { checkBatch } from '../../src/codec/batch.ts'
import { BatchEncoder, encodeControlBatch } from '../../src/codec/batch-encoder.ts'
import type { RecordSet } from '../../src/codec/record-set.ts'
import type { RecordHeaders, TimestampType } from '../../src/types.ts'
import { decodeBatch } from './support.ts'

interface KafkaJsRecord {
  offset: string
  timestamp: string
  key: Buffer | null
  value: Buffer | null
  headers: Record<string, unknown>
  isControlRecord: boolean
}
interface KafkaJsBatch {
  firstOffset: string
  maxTimestamp: string
  producerId: string
  producerEpoch: number
  firstSequence: number
  lastOffsetDelta: number
  partitionLeaderEpoch: number
  inTransaction: boolean
  isControlBatch: boolean
  records: KafkaJsRecord[]
}

const require = createRequire(import.meta.url)
const Decoder = require('kafkajs/src/protocol/decoder.js') as new (bytes: Buffer) => object
const decodeWithKafkaJs = require('kafkajs/src/protocol/recordBatch/v0/decoder.js') as (
  decoder: object,
) => Promise<KafkaJsBatch>
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js') as {
  RecordBatch: (batch: object) => Promise<{ buffer: Buffer }>
}
const encodeRecordWithKafkaJs = require('kafkajs/src/protocol/recordBatch/record/v0/index.js') as (
  record: object,
) => object

const KEYS = [null, '', 'order-1', 'ключ', Buffer.from([0, 255, 128]), '🔑'.repeat(40)]
const VALUES = [null, Buffer.alloc(0), Buffer.from('v'), Buffer.alloc(20_000, 5)]
const TIMESTAMPS = [1_700_000_000_000, 0, 1, 1_699_999_999_999, 4_102_444_800_000]
const HEADERS: RecordHeaders[] = [
  {},
  { trace: 'abc', empty: '', ключ: Buffer.from([1, 2]) },
  { repeats: ['1', Buffer.from('2'), '3'] },
]

/** Every key with every value, timestamps and headers in turn. */
const RECORDS = KEYS.flatMap((key) => VALUES.map((value) => ({ key, value }))).map((each, i) => ({
  ...each,
  timestamp: TIMESTAMPS[i % TIMESTAMPS.length] ?? 0,
  headers: HEADERS[i % HEADERS.length] ?? {},
}))

function bufferOf(content: string | Uint8Array | null): Buffer | null {
  if (content === null) return null
  return typeof content === 'string' ? Buffer.from(content) : Buffer.from(content)
}

function buffersOf(headers: RecordHeaders): Record<string, unknown> {
  const entries = Object.entries(headers).map(([name, value]) => [
    name,
    Array.isArray(value) ? value.map(bufferOf) : bufferOf(value as string | Uint8Array | null),
  ])
  return Object.fromEntries(entries)
}

function encode(timestampType: TimestampType): Buffer {
  const set: RecordSet = {
    keys: RECORDS.map((record) => record.key),
    values: RECORDS.map((record) => record.value),
    headers: RECORDS.map((record) => record.headers),
    timestamps: RECORDS.map((record) => record.timestamp),
  }
  const buffer = Buffer.alloc(1 << 20)
  const encoder = new BatchEncoder()
  encoder.begin(buffer, 0)
  assert.ok(encoder.add(set, 1_750_000_000_000, timestampType, buffer.length))
  return buffer.subarray(0, encoder.finish(2 ** 33, 6, timestampType))
}

for (const timestampType of ['CreateTime', 'LogAppendTime'] as TimestampType[]) {
  test(`kafkajs reads a batch written here (${timestampType})`, async () => {
    const batch = await decodeWithKafkaJs(new Decoder(encode(timestampType)))
    assert.equal(batch.firstOffset, `${2 ** 33}`)
    assert.equal(batch.lastOffsetDelta, RECORDS.length - 1)
    assert.equal(batch.partitionLeaderEpoch, 6)
    assert.deepEqual([batch.producerId, batch.producerEpoch, batch.firstSequence], ['-1', -1, -1])
    assert.equal(batch.records.length, RECORDS.length)
    for (const [i, { key, value, timestamp, headers }] of RECORDS.entries()) {
      const read = batch.records[i]
      assert.ok(read)
      assert.equal(read.offset, `${2 ** 33 + i}`)
      const expected = timestampType === 'CreateTime' ? timestamp : 1_750_000_000_000
      assert.equal(read.timestamp, `${expected}`)
      assert.deepEqual(read.key, bufferOf(key))
      assert.deepEqual(read.value, value)
      assert.deepEqual(read.headers, buffersOf(headers))
    }
  })
}

test('kafkajs reads a transaction marker written here', async () => {
  const marker = encodeControlBatch({
    baseOffset: 4,
    type: 1,
    producerId: 9,
    producerEpoch: 2,
    coordinatorEpoch: 1,
    timestamp: 1_700_000_000_000,
  })
  const batch = await decodeWithKafkaJs(new Decoder(marker))
  assert.equal(batch.isControlBatch, true)
  assert.equal(batch.inTransaction, true)
  assert.deepEqual([batch.producerId, batch.producerEpoch, batch.firstSequence], ['9', 2, -1])
  assert.equal(batch.records[0]?.key?.toString('hex'), '00000001')
})

test('a batch that kafkajs wrote is read here', async () => {
  const base = 1_700_000_000_000
  const records = RECORDS.map((record, i) =>
    encodeRecordWithKafkaJs({
      offsetDelta: i,
      timestampDelta: record.timestamp - base,
      key: record.key,
      value: record.value,
      headers: record.headers,
    }),
  )
  const { buffer } = await RecordBatch({
    records,
    firstTimestamp: base,
    maxTimestamp: 4_102_444_800_000,
    lastOffsetDelta: records.length - 1,
  })
  assert.equal(checkBatch(buffer, 0, buffer.length), undefined)
  const decoded = decodeBatch(buffer)
  assert.equal(decoded.header.maxTimestamp, 4_102_444_800_000)
  assert.equal(decoded.records.length, RECORDS.length)
  for (const [i, { key, value, timestamp, headers }] of RECORDS.entries()) {
    assert.deepEqual(decoded.records[i], {
      offset: i,
      timestamp,
      key: bufferOf(key),
      value,
      headers: buffersOf(headers),
    })
  }
})
