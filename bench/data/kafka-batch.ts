// What `raw` and `raw+encode` write and scan: Kafka's record batches by hand, for records of the sizes of the workloads (keys
// and values below 8 KiB, no headers, one timestamp a batch).
import { crc32c } from '../../src/codec/crc32c.ts'
import type { BenchRecord, Dataset } from './records.ts'
import { touch } from './records.ts'

export const HEADER_BYTES = 61
const CRC_FROM = 21
/** A record is at most this much longer than its key and value. */
const RECORD_OVERHEAD_BYTES = 16

/** Room for any batch of a workload's shape. */
export function batchBound(records: readonly BenchRecord[]): number {
  const recordBytes = ({ key, value }: BenchRecord): number => (key?.length ?? 0) + value.length
  return records.reduce(
    (sum, record) => sum + recordBytes(record) + RECORD_OVERHEAD_BYTES,
    HEADER_BYTES,
  )
}

/** Each of the data set's different batches, encoded. */
export function prebuiltBatches(dataset: Dataset): Buffer[] {
  return dataset.batches.map((records) => {
    const buffer = Buffer.allocUnsafeSlow(batchBound(records))
    return buffer.subarray(0, encodeBatch(buffer, 0, records))
  })
}

/** Writes one record batch to the start of a buffer; answers with its length. */
export function encodeBatch(
  buffer: Buffer,
  baseOffset: number,
  records: readonly BenchRecord[],
): number {
  const timestamp = BigInt(Date.now())
  let end = HEADER_BYTES
  for (let i = 0; i < records.length; i += 1) {
    end = writeRecord(buffer, end, i, records[i] as BenchRecord)
  }
  buffer.fill(0, 0, HEADER_BYTES)
  buffer.writeBigInt64BE(BigInt(baseOffset), 0)
  buffer.writeInt32BE(end - 12, 8)
  buffer[16] = 2
  buffer.writeInt32BE(records.length - 1, 23)
  buffer.writeBigInt64BE(timestamp, 27)
  buffer.writeBigInt64BE(timestamp, 35)
  buffer.fill(0xff, 43, 57)
  buffer.writeInt32BE(records.length, 57)
  buffer.writeUInt32BE(crc32c(buffer, CRC_FROM, end), 17)
  return end
}

function writeRecord(
  buffer: Buffer,
  at: number,
  index: number,
  { key, value }: BenchRecord,
): number {
  const keyLength = key === null ? 0 : key.length
  const lengths = 3 + varintBytes(index) + varintBytes(keyLength) + varintBytes(value.length)
  let end = writeVarint(buffer, at, lengths + keyLength + value.length)
  buffer[end] = 0
  buffer[end + 1] = 0
  end = writeVarint(buffer, end + 2, index)
  if (key === null) {
    // Length -1: no key.
    buffer[end] = 1
    end += 1
  } else {
    end = writeVarint(buffer, end, keyLength)
    buffer.set(key, end)
    end += keyLength
  }
  end = writeVarint(buffer, end, value.length)
  buffer.set(value, end)
  end += value.length
  buffer[end] = 0
  return end + 1
}

/** Zigzag, of numbers from 0 to 8,191. */
function writeVarint(buffer: Buffer, at: number, value: number): number {
  const zigzag = value << 1
  if (zigzag < 0x80) {
    buffer[at] = zigzag
    return at + 1
  }
  buffer[at] = (zigzag & 0x7f) | 0x80
  buffer[at + 1] = zigzag >> 7
  return at + 2
}

function varintBytes(value: number): number {
  return value < 64 ? 1 : 2
}

/** Touches key and value where they lie, or through a view on each. */
export type Touching = 'in place' | 'views'

export interface Scanned {
  /** Bytes of whole batches. */
  readonly bytes: number
  readonly records: number
  /** Of what was touched. */
  readonly sum: number
}

/** Touches every record of the whole batches at the start of a buffer; all have a key. */
export function scanBatches(buffer: Buffer, length: number, touching: Touching): Scanned {
  let at = 0
  let records = 0
  let sum = 0
  while (at + HEADER_BYTES <= length) {
    const end = at + 12 + buffer.readInt32BE(at + 8)
    if (end > length) break
    records += buffer.readInt32BE(at + 57)
    sum += scanBatch(buffer, at + HEADER_BYTES, end, touching)
    at = end
  }
  return { bytes: at, records, sum }
}

function scanBatch(buffer: Buffer, from: number, end: number, touching: Touching): number {
  let sum = 0
  let at = from
  while (at < end) {
    let length = buffer[at] as number
    let bodyAt = at + 1
    if (length >= 0x80) {
      length = (length & 0x7f) | ((buffer[at + 1] as number) << 7)
      bodyAt = at + 2
    }
    // Attributes and timestamp delta take a byte each, the offset delta one or two.
    let keyAt = bodyAt + ((buffer[bodyAt + 2] as number) >= 0x80 ? 4 : 3)
    const keyEnd = keyAt + 1 + ((buffer[keyAt] as number) >> 1)
    keyAt += 1
    let valueLength = buffer[keyEnd] as number
    let valueAt = keyEnd + 1
    if (valueLength >= 0x80) {
      valueLength = (valueLength & 0x7f) | ((buffer[valueAt] as number) << 7)
      valueAt += 1
    }
    const valueEnd = valueAt + (valueLength >> 1)
    sum +=
      touching === 'views'
        ? touch(buffer.subarray(keyAt, keyEnd), buffer.subarray(valueAt, valueEnd))
        : (buffer[keyAt] as number) + (buffer[valueEnd - 1] as number)
    at = bodyAt + (length >> 1)
  }
  return sum
}

/** Where each record of an encoded batch begins, and the batch's end. */
export function recordPositions(batch: Buffer, records: readonly BenchRecord[]): number[] {
  const scratch = Buffer.allocUnsafe(batch.length)
  const positions = [HEADER_BYTES]
  for (const [index, record] of records.entries()) {
    positions.push((positions.at(-1) as number) + writeRecord(scratch, 0, index, record))
  }
  if (positions.at(-1) !== batch.length) throw new Error('the batch has another length')
  return positions
}
