// Batches that real Kafka brokers wrote, against what Kafka's own tools read in them.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { BatchHeader } from '../../src/codec/batch.ts'
import {
  BATCH_HEADER_BYTES,
  checkBatch,
  readBatchHeader,
  readControlRecord,
} from '../../src/codec/batch.ts'
import { decodeRecords } from '../../src/codec/batch-decoder.ts'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import { CODEC_NAMES, decompress } from '../../src/codec/compression.ts'
import type {
  ExpectedBatch,
  ExpectedPartition,
  ExpectedRecord,
  FixtureSet,
} from '../support/fixtures.ts'
import { loadPartitions } from '../support/fixtures.ts'
import type { DecodedRecord } from './support.ts'
import { Collector, decodeBatch } from './support.ts'

const MAX_BYTES = 1024 * 1024
/** Every batch is intact in these. */
const SETS: FixtureSet[] = [
  'plain',
  'compressed',
  'append-time',
  'compacted',
  'delete-records',
  'offsets',
  'restarted',
  'segments',
  'transactions',
  'transactions-v1',
]

function readLog(directory: string, segment: number): Buffer {
  return readFileSync(path.join(directory, `${String(segment).padStart(20, '0')}.log`))
}

function assertHeader(header: BatchHeader, expected: ExpectedBatch): void {
  const { producerId = -1, producerEpoch = -1, baseSequence = -1 } = expected
  // Without a producer the coordinator writes sequence 0, and the description has none.
  if (producerId >= 0) assert.equal(header.baseSequence, baseSequence)
  assert.deepEqual(
    {
      baseOffset: header.baseOffset,
      lastOffset: header.lastOffset,
      count: header.count,
      partitionLeaderEpoch: header.partitionLeaderEpoch,
      createTime: header.maxTimestamp,
      size: header.sizeBytes,
      magic: header.magic,
      compresscodec: CODEC_NAMES[header.codec],
      crc: header.crc,
      producer: [header.producerId, header.producerEpoch],
      isTransactional: header.isTransactional,
      isControl: header.isControl,
    },
    {
      baseOffset: expected.baseOffset,
      lastOffset: expected.lastOffset,
      count: expected.count,
      partitionLeaderEpoch: expected.partitionLeaderEpoch,
      createTime: expected.createTime,
      size: expected.size,
      magic: expected.magic,
      compresscodec: expected.compresscodec,
      crc: expected.crc,
      producer: [producerId, producerEpoch],
      isTransactional: expected.isTransactional ?? false,
      isControl: expected.isControl ?? false,
    },
  )
}

function assertContent(
  actual: Buffer | null,
  base64: string | null | undefined,
  sha256: string | undefined,
): void {
  if (sha256 === undefined) assert.equal(actual?.toString('base64') ?? null, base64)
  else assert.equal(actual && createHash('sha256').update(actual).digest('hex'), sha256)
}

function assertRecord(record: DecodedRecord, expected: ExpectedRecord): void {
  assert.equal(record.offset, expected.offset)
  assert.equal(record.timestamp, expected.timestamp)
  assertContent(record.key, expected.key, expected.keySha256)
  assertContent(record.value, expected.value, expected.valueSha256)
  const byName: Record<string, (string | null)[]> = {}
  for (const [name, value] of expected.headers ?? []) {
    byName[name] ??= []
    byName[name].push(value)
  }
  const actual = Object.entries(record.headers).map(([name, value]) => [
    name,
    (Array.isArray(value) ? value : [value]).map((each) => each?.toString('base64') ?? null),
  ])
  assert.deepEqual(Object.fromEntries(actual), byName)
}

/** The records a consumer is given, after each batch is checked against what DumpLogSegments saw. */
async function readRecords(
  directory: string,
  expected: ExpectedPartition,
): Promise<DecodedRecord[]> {
  const records: DecodedRecord[] = []
  for (const batch of expected.batches) {
    const log = readLog(directory, batch.segment)
    assert.equal(checkBatch(log, batch.position, log.length - batch.position), undefined)
    const decoded = await decodeCompressed(log, batch.position)
    assertHeader(decoded.header, batch)
    assert.equal(decoded.records.length, batch.count)
    if (!decoded.header.isControl) records.push(...decoded.records)
    else if (batch.count > 0) assertMarker(log, batch)
  }
  return records.filter((record) => record.offset >= expected.logStartOffset)
}

async function decodeCompressed(
  log: Buffer,
  at: number,
): Promise<{ header: BatchHeader; records: DecodedRecord[] }> {
  const header = readBatchHeader(log, at)
  const body = log.subarray(at + BATCH_HEADER_BYTES, at + header.sizeBytes)
  const records = await decompress(header.codec, body, MAX_BYTES)
  const collector = new Collector()
  decodeRecords(records, 0, records.length, header, 0, Number.POSITIVE_INFINITY, collector)
  return { header, records: collector.records }
}

function assertMarker(log: Buffer, batch: ExpectedBatch): void {
  const names = ['ABORT', 'COMMIT']
  const marker = readControlRecord(log, batch.position)
  assert.ok(marker)
  assert.equal(names[marker.type], batch.controlType?.toUpperCase())
  assert.equal(marker.coordinatorEpoch, batch.coordinatorEpoch)
}

for (const set of SETS) {
  for (const { topic, expected, directory } of await loadPartitions(set)) {
    test(`${set}: ${topic}-${expected.partition} reads as Kafka reads it`, async () => {
      const records = await readRecords(directory, expected)
      const byOffset = new Map(expected.records.map((record) => [record.offset, record]))
      assert.equal(records.length, expected.records.length)
      for (const record of records) {
        const wanted = byOffset.get(record.offset)
        assert.ok(wanted, `offset ${record.offset}`)
        assertRecord(record, wanted)
      }
    })
  }
}

test('plain: each batch that Kafka wrote comes out byte for byte when it is encoded again', async () => {
  for (const { expected, directory } of await loadPartitions('plain')) {
    const log = readLog(directory, 0)
    let count = 0
    for (const { position, size } of expected.batches) {
      const { header, records } = decodeBatch(log, position)
      // An object cannot hold the order of headers that repeat apart from each other.
      const hasRepeats = records.some((record) => Object.values(record.headers).some(Array.isArray))
      if (hasRepeats) continue
      const again = encodeBatch({ ...header, records })
      assert.deepEqual(again, Buffer.from(log.subarray(position, position + size)))
      count += 1
    }
    assert.ok(count > 10)
  }
})

test('flipped-byte: the batch that Kafka calls damaged fails its CRC, the others pass', async () => {
  let damaged = 0
  for (const { expected, directory } of await loadPartitions('flipped-byte')) {
    for (const { segment, position, isvalid = true } of expected.batches) {
      const log = readLog(directory, segment)
      const fault = checkBatch(log, position, log.length - position)
      assert.equal(fault, isvalid ? undefined : 'bad-crc')
      if (!isvalid) {
        damaged += 1
        assert.equal(readBatchHeader(log, position).magic, 2)
      }
    }
  }
  assert.equal(damaged, 1)
})
