// What `raw` and `raw+encode` do: Kafka's record batches by hand, on node:fs alone, for records of the sizes of the
// workloads (keys and values below 8 KiB, no headers, one timestamp a batch).
import { closeSync, openSync, readSync } from 'node:fs'
import { crc32c } from '../../src/codec/crc32c.ts'
import type { BenchRecord } from './data.ts'
import { touch } from './data.ts'

const HEADER_BYTES = 61
const CRC_FROM = 21
const CHUNK_BYTES = 1 << 20

/** Writes one record batch at `at`; answers with its end. */
export function encodeBatch(
  buffer: Buffer,
  at: number,
  baseOffset: number,
  records: readonly BenchRecord[],
): number {
  const timestamp = BigInt(Date.now())
  let end = at + HEADER_BYTES
  for (let i = 0; i < records.length; i += 1) {
    const { key, value } = records[i] as BenchRecord
    const body =
      3 +
      varintBytes(i) +
      varintBytes(key.length) +
      varintBytes(value.length) +
      key.length +
      value.length
    end = writeVarint(buffer, end, body)
    buffer[end] = 0
    buffer[end + 1] = 0
    end = writeVarint(buffer, end + 2, i)
    end = writeVarint(buffer, end, key.length)
    buffer.set(key, end)
    end = writeVarint(buffer, end + key.length, value.length)
    buffer.set(value, end)
    end += value.length
    buffer[end] = 0
    end += 1
  }
  buffer.fill(0, at, at + HEADER_BYTES)
  buffer.writeBigInt64BE(BigInt(baseOffset), at)
  buffer.writeInt32BE(end - at - 12, at + 8)
  buffer[at + 16] = 2
  buffer.writeInt32BE(records.length - 1, at + 23)
  buffer.writeBigInt64BE(timestamp, at + 27)
  buffer.writeBigInt64BE(timestamp, at + 35)
  buffer.fill(0xff, at + 43, at + 57)
  buffer.writeInt32BE(records.length, at + 57)
  buffer.writeUInt32BE(crc32c(buffer, at + CRC_FROM, end), at + 17)
  return end
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

/**
 * Reads a file of batches in pages of 1 MiB and touches every record; answers with the sum of what it touched.
 * With views it also checks the CRCs.
 */
export function scanFile(file: string, touching: Touching): number {
  const descriptor = openSync(file, 'r')
  const buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES)
  let position = 0
  let sum = 0
  for (;;) {
    const read = readSync(descriptor, buffer, 0, CHUNK_BYTES, position)
    let at = 0
    while (at + HEADER_BYTES <= read) {
      const end = at + 12 + buffer.readInt32BE(at + 8)
      if (end > read) break
      if (touching === 'views') checkCrc(buffer, at, end)
      sum += scanBatch(buffer, at + HEADER_BYTES, end, touching)
      at = end
    }
    if (at === 0) break
    position += at
  }
  closeSync(descriptor)
  return sum
}

function checkCrc(buffer: Buffer, at: number, end: number): void {
  if (crc32c(buffer, at + CRC_FROM, end) === buffer.readUInt32BE(at + 17)) return
  throw new Error('a batch fails its CRC')
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
