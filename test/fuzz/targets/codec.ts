/** The decoders of record batches. */
import assert from 'node:assert/strict'
import type { BatchHeader } from '../../../src/codec/batch.ts'
import {
  BATCH_HEADER_BYTES,
  batchSizeAt,
  checkBatch,
  checkBatchHeader,
  readBatchHeader,
  readControlRecord,
} from '../../../src/codec/batch.ts'
import type { RecordSink } from '../../../src/codec/batch-decoder.ts'
import { decodeRecordRun, decodeRecords, readHeaders } from '../../../src/codec/batch-decoder.ts'
import { BatchFormatError } from '../../../src/codec/batch-format-error.ts'
import { recordPositions } from '../../../src/codec/record-table.ts'
import {
  VarintReader,
  varintSize,
  varlongSize,
  writeVarint,
  writeVarlong,
} from '../../../src/codec/varint.ts'
import { allBatches } from '../corpus.ts'
import { mutateBatches } from '../kafka-bytes.ts'
import { varintBytes } from '../mutate.ts'
import type { ReferenceRecord } from '../reference-decoder.ts'
import { referenceRecords } from '../reference-decoder.ts'
import type { FuzzTarget } from '../target.ts'
import { unlessRefused } from '../target.ts'

// ----------------------------------------------------------------------------------------- varint

/** The value by BigInt; undefined where it is cut short or takes more than `maxBytes`. */
function plainVarint(bytes: Buffer, maxBytes: number): { value: bigint; end: number } | undefined {
  let zigzag = 0n
  for (let index = 0; index < Math.min(maxBytes, bytes.length); index += 1) {
    const byte = bytes[index] as number
    zigzag |= BigInt(byte & 0x7f) << BigInt(7 * index)
    if (byte < 0x80) return { value: (zigzag >> 1n) ^ -(zigzag & 1n), end: index + 1 }
  }
  return undefined
}

function checkVarint(bytes: Buffer): void {
  const reader = new VarintReader(bytes, 0, bytes.length)
  const plain = plainVarint(bytes, 5)
  const fits = plain !== undefined && BigInt.asIntN(32, plain.value) === plain.value
  const value = unlessRefused(() => reader.readVarint(), BatchFormatError)
  assert.equal(value, fits ? Number(plain.value) : undefined)
  if (value === undefined || plain === undefined) return
  assert.equal(reader.position, plain.end)
  const again = Buffer.alloc(8)
  assert.equal(writeVarint(again, 0, value), varintSize(value))
  assert.equal(new VarintReader(again, 0, 8).readVarint(), value)
}

function checkVarlong(bytes: Buffer): void {
  const reader = new VarintReader(bytes, 0, bytes.length)
  const plain = plainVarint(bytes, 10)
  const value = unlessRefused(() => reader.readVarlong(), BatchFormatError)
  const expected = plain === undefined ? Number.NaN : Number(plain.value)
  assert.equal(value, Number.isSafeInteger(expected) ? expected : undefined)
  if (value === undefined || plain === undefined) return
  assert.equal(reader.position, plain.end)
  const again = Buffer.alloc(12)
  assert.equal(writeVarlong(again, 0, value), varlongSize(value))
  assert.equal(new VarintReader(again, 0, 12).readVarlong(), value)
}

export const varint: FuzzTarget = {
  name: 'varint',
  generate: (random) =>
    random.chance(0.6) ? varintBytes(random) : random.bytes(1 + random.below(12)),
  run(input) {
    checkVarint(input)
    checkVarlong(input)
  },
}

// -------------------------------------------------------------------------------------- one batch

/** As `ReferenceRecord`, with the absolute timestamp. */
interface FoundRecord extends Omit<ReferenceRecord, 'headers' | 'timestampDelta'> {
  readonly timestamp: number
  readonly headers: Readonly<Record<string, unknown>>
}

class Gathering implements RecordSink {
  readonly records: FoundRecord[] = []

  record(
    offset: number,
    timestamp: number,
    page: Buffer,
    keyStart: number,
    keyLength: number,
    valueStart: number,
    valueLength: number,
    headersStart: number,
    headerCount: number,
  ): void {
    const part = (start: number, length: number): Buffer | null =>
      length < 0 ? null : page.subarray(start, start + length)
    const key = part(keyStart, keyLength)
    const value = part(valueStart, valueLength)
    const headers = readHeaders(page, headersStart, headerCount)
    this.records.push({ offset, timestamp, key, value, headers })
  }
}

const ALL = Number.POSITIVE_INFINITY

/** The library agrees with the plain reading, from the first record on, from one in the middle, and by the table. */
export function checkRecords(bytes: Buffer, start: number, end: number, header: BatchHeader): void {
  const { records: plain, isWhole } = referenceRecords(bytes, start, end, header)
  const sink = new Gathering()
  const count = unlessRefused(
    () => decodeRecords(bytes, start, end, header, header.baseOffset, ALL, sink),
    BatchFormatError,
  )
  assert.equal(count, isWhole ? plain.length : undefined)
  // Also what was handed out before damage.
  assert.equal(sink.records.length, plain.length)
  checkEach(sink.records, plain, header)
  const middle = plain[Math.floor(plain.length / 2)]
  if (!isWhole || middle === undefined) return
  const later = new Gathering()
  decodeRecords(bytes, start, end, header, middle.offset, 3, later)
  const wanted = plain.filter(({ offset }) => offset >= middle.offset).slice(0, 3)
  assert.equal(later.records.length, wanted.length)
  checkEach(later.records, wanted, header)
}

function checkEach(
  records: readonly FoundRecord[],
  plain: readonly ReferenceRecord[],
  header: BatchHeader,
): void {
  for (const [index, record] of records.entries()) {
    checkRecord(record, plain[index] as ReferenceRecord, header)
  }
}

function checkRecord(record: FoundRecord, plain: ReferenceRecord, header: BatchHeader): void {
  assert.equal(record.offset, plain.offset)
  const { isLogAppendTime, baseTimestamp, maxTimestamp } = header
  const timestamp = isLogAppendTime ? maxTimestamp : baseTimestamp + plain.timestampDelta
  assert.equal(record.timestamp, timestamp)
  assert.deepEqual([record.key, record.value], [plain.key, plain.value])
  const names = new Set(plain.headers.map(([name]) => name.toString()))
  assert.deepEqual(Object.keys(record.headers).sort(), [...names].sort())
  const values = Object.values(record.headers).flat(1)
  assert.equal(values.length, plain.headers.length)
}

/** The table of a batch without compression leads to the records that a walk finds. */
function checkTable(bytes: Buffer, start: number, end: number, header: BatchHeader): void {
  const { records: plain, isWhole } = referenceRecords(bytes, start, end, header)
  const table = unlessRefused(() => recordPositions(bytes, start, end, header), BatchFormatError)
  if (table === undefined) {
    assert.ok(!isWhole)
    return
  }
  if (!isWhole) return
  assert.equal(table.count, plain.length)
  for (const [index, { offset }] of plain.entries()) {
    assert.equal(table.offsetAt(index), offset)
    assert.equal(table.indexOf(offset), index)
  }
  const first = Math.floor(table.count / 3)
  const count = Math.min(table.count - first, 5)
  if (count === 0) return
  const sink = new Gathering()
  const batchStart = start - BATCH_HEADER_BYTES
  const from = batchStart + table.positionAt(first)
  const to = batchStart + table.positionAt(first + count)
  assert.equal(decodeRecordRun(bytes, from, to, header, count, sink), count)
  checkEach(sink.records, plain.slice(first), header)
}

function checkOneBatch(input: Buffer): void {
  const fault = checkBatchHeader(input, 0, input.length)
  const whole = checkBatch(input, 0, input.length)
  if (fault !== undefined) assert.equal(whole, fault)
  else assert.ok(whole === undefined || whole === 'bad-crc', `${whole}`)
  if (fault !== undefined) return
  const header = readBatchHeader(input, 0)
  const end = batchSizeAt(input, 0)
  assert.ok(end >= BATCH_HEADER_BYTES && end <= input.length)
  if (header.isControl) {
    unlessRefused(() => readControlRecord(input, 0), BatchFormatError)
  }
  if (header.codec !== 0) return
  checkRecords(input, BATCH_HEADER_BYTES, end, header)
  checkTable(input, BATCH_HEADER_BYTES, end, header)
}

let batches: readonly Buffer[] = []

export const batch: FuzzTarget = {
  name: 'batch',
  weight: 3,
  async prepare() {
    batches = allBatches()
  },
  generate: (random) =>
    random.chance(0.03)
      ? random.bytes(random.size(200))
      : mutateBatches(random, random.pick(batches), batches),
  run: checkOneBatch,
}
