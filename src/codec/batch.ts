/**
 * The record batch of magic 2, as in Kafka's `DefaultRecordBatch`. All integers are big-endian.
 *
 *   0            8        12            16    17  21         23              27
 *   | baseOffset | length | leaderEpoch | magic | crc | attributes | lastOffsetDelta |
 *   27              35             43           51              53             57      61
 *   | baseTimestamp | maxTimestamp | producerId | producerEpoch | baseSequence | count | records …
 *
 * `length` counts the bytes behind itself; the CRC-32C covers byte 21 to the end. So baseOffset, length and
 * leaderEpoch are not under the CRC: a broker sets the first and the last after the producer's checksum.
 */
import { BatchFormatError } from './batch-format-error.ts'
import { CODEC_NAMES } from './codec-names.ts'
import { crc32c } from './crc32c.ts'
import { putInt16, putInt32, putInt64, readInt32, readInt64 } from './int64.ts'
import { VarintReader } from './varint.ts'

export const BATCH_HEADER_BYTES = 61
/** baseOffset and length: what stands before the bytes that `length` counts. */
export const BATCH_OVERHEAD_BYTES = 12
/** Length, attributes, two deltas, two lengths and the header count, one byte each. */
export const MIN_RECORD_BYTES = 7

export const MAGIC = 2
/** Attribute bits. */
export const CODEC_MASK = 0x07
export const LOG_APPEND_TIME_BIT = 0x08
export const TRANSACTIONAL_BIT = 0x10
export const CONTROL_BIT = 0x20
/** baseTimestamp is the delete horizon, and record timestamps are relative to it. */
export const DELETE_HORIZON_BIT = 0x40

const CRC_START = 21
const MAX_BATCH_BYTES = 2 ** 31 - 1

export interface BatchHeader {
  readonly baseOffset: number
  /** The whole batch: 12 + its length field. */
  readonly sizeBytes: number
  /** Not under the CRC. */
  readonly partitionLeaderEpoch: number
  readonly magic: number
  readonly crc: number
  readonly attributes: number
  readonly lastOffset: number
  /** Milliseconds; -1 in a batch that compaction has emptied. */
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  /** -1: none. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  /** Records in the batch; compaction makes it fewer than there are offsets. */
  readonly count: number
  /** 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd. */
  readonly codec: number
  readonly isControl: boolean
  readonly isTransactional: boolean
  /** Every record's timestamp is maxTimestamp. */
  readonly isLogAppendTime: boolean
}

/** What `writeBatchHeader` needs; magic, length and CRC follow from it. */
export interface BatchHeaderFields {
  baseOffset: number
  sizeBytes: number
  partitionLeaderEpoch: number
  attributes: number
  lastOffset: number
  baseTimestamp: number
  maxTimestamp: number
  producerId: number
  producerEpoch: number
  baseSequence: number
  count: number
}

export function baseOffsetAt(buffer: Buffer, at: number): number {
  return readInt64(buffer, at)
}

export function lastOffsetAt(buffer: Buffer, at: number): number {
  return readInt64(buffer, at) + readInt32(buffer, at + 23)
}

/** Bytes of the whole batch. */
export function batchSizeAt(buffer: Buffer, at: number): number {
  return BATCH_OVERHEAD_BYTES + readInt32(buffer, at + 8)
}

/** The epoch of the leader that wrote it; -1 where none was known. Not under the CRC. */
export function partitionLeaderEpochAt(buffer: Buffer, at: number): number {
  return readInt32(buffer, at + 12)
}

export function magicAt(buffer: Buffer, at: number): number {
  return buffer.readUInt8(at + 16)
}

export function attributesAt(buffer: Buffer, at: number): number {
  return buffer.readUInt16BE(at + 21)
}

/** The delete horizon where its bit is set. */
export function baseTimestampAt(buffer: Buffer, at: number): number {
  return readInt64(buffer, at + 27)
}

export function producerIdAt(buffer: Buffer, at: number): number {
  return readInt64(buffer, at + 43)
}

export function producerEpochAt(buffer: Buffer, at: number): number {
  return buffer.readInt16BE(at + 51)
}

/** Records in the batch. */
export function countAt(buffer: Buffer, at: number): number {
  return readInt32(buffer, at + 57)
}

export function maxTimestampAt(buffer: Buffer, at: number): number {
  return readInt64(buffer, at + 35)
}

/** Reads the header without judging it. Its 61 bytes must be there, else a `RangeError`. */
export function readBatchHeader(buffer: Buffer, at: number): BatchHeader {
  const attributes = attributesAt(buffer, at)
  return {
    baseOffset: baseOffsetAt(buffer, at),
    sizeBytes: batchSizeAt(buffer, at),
    partitionLeaderEpoch: partitionLeaderEpochAt(buffer, at),
    magic: magicAt(buffer, at),
    crc: readInt32(buffer, at + 17) >>> 0,
    attributes,
    lastOffset: lastOffsetAt(buffer, at),
    baseTimestamp: readInt64(buffer, at + 27),
    maxTimestamp: maxTimestampAt(buffer, at),
    producerId: readInt64(buffer, at + 43),
    producerEpoch: buffer.readInt16BE(at + 51),
    baseSequence: readInt32(buffer, at + 53),
    count: readInt32(buffer, at + 57),
    codec: attributes & CODEC_MASK,
    isControl: (attributes & CONTROL_BIT) !== 0,
    isTransactional: (attributes & TRANSACTIONAL_BIT) !== 0,
    isLogAppendTime: (attributes & LOG_APPEND_TIME_BIT) !== 0,
  }
}

/** Writes the 61 bytes at `at`, the CRC over what already stands behind them. A `RangeError` if the batch passes the buffer. */
export function writeBatchHeader(buffer: Buffer, at: number, fields: BatchHeaderFields): void {
  const end = at + fields.sizeBytes
  if (at < 0 || fields.sizeBytes < BATCH_HEADER_BYTES || end > buffer.length) {
    throw new RangeError(`a batch of ${fields.sizeBytes} bytes does not fit the buffer at ${at}`)
  }
  putInt64(buffer, at, fields.baseOffset)
  putInt32(buffer, at + 8, fields.sizeBytes - BATCH_OVERHEAD_BYTES)
  putInt32(buffer, at + 12, fields.partitionLeaderEpoch)
  buffer[at + 16] = MAGIC
  putInt16(buffer, at + CRC_START, fields.attributes)
  putInt32(buffer, at + 23, fields.lastOffset - fields.baseOffset)
  putInt64(buffer, at + 27, fields.baseTimestamp)
  putInt64(buffer, at + 35, fields.maxTimestamp)
  putInt64(buffer, at + 43, fields.producerId)
  putInt16(buffer, at + 51, fields.producerEpoch)
  putInt32(buffer, at + 53, fields.baseSequence)
  putInt32(buffer, at + 57, fields.count)
  putInt32(buffer, at + 17, crc32c(buffer, at + CRC_START, end))
}

/** Why bytes are no intact batch. `unsupported-magic`: a message of Kafka before 0.11. */
export type BatchFault = 'truncated' | 'unsupported-magic' | 'bad-header' | 'bad-crc'

/**
 * Judges a header. `available` counts the bytes from `at` to the end of the file or region; the buffer may end
 * earlier, behind the header. `truncated`: what is there is plausible, but the batch goes on past `available`.
 */
export function checkBatchHeader(
  buffer: Buffer,
  at: number,
  available: number,
): BatchFault | undefined {
  const visible = Math.min(available, buffer.length - at)
  const fault = checkStart(buffer, at, visible)
  if (fault !== undefined) return fault
  if (visible < BATCH_HEADER_BYTES) return 'truncated'
  if (!hasSoundRange(buffer, at) || !hasSoundProducer(buffer, at)) return 'bad-header'
  return batchSizeAt(buffer, at) > available ? 'truncated' : undefined
}

/** Judges a whole batch, its CRC included; the bytes must be in the buffer. */
export function checkBatch(buffer: Buffer, at: number, available: number): BatchFault | undefined {
  const inBuffer = Math.min(available, buffer.length - at)
  const fault = checkBatchHeader(buffer, at, inBuffer)
  if (fault !== undefined) return fault
  const computed = crc32c(buffer, at + CRC_START, at + batchSizeAt(buffer, at))
  return computed === readInt32(buffer, at + 17) >>> 0 ? undefined : 'bad-crc'
}

/** Offset, length and magic, as far as they are there. */
function checkStart(buffer: Buffer, at: number, visible: number): BatchFault | undefined {
  if (visible < 8) return undefined
  const baseOffset = baseOffsetAt(buffer, at)
  if (!isOffset(baseOffset)) return 'bad-header'
  if (visible < BATCH_OVERHEAD_BYTES) return undefined
  const length = readInt32(buffer, at + 8)
  if (length < LEGACY_OVERHEAD_BYTES[0] || length > MAX_BATCH_BYTES - BATCH_OVERHEAD_BYTES) {
    return 'bad-header'
  }
  if (visible <= 16) return undefined
  const magic = magicAt(buffer, at)
  if (magic === 0 || magic === 1) return checkLegacy(buffer, at, visible, magic, length)
  const isLongEnough = length >= BATCH_HEADER_BYTES - BATCH_OVERHEAD_BYTES
  return magic === MAGIC && isLongEnough ? undefined : 'bad-header'
}

/** By magic: bytes of a message without key and value, behind its length field. */
const LEGACY_OVERHEAD_BYTES = [14, 22] as const

/**
 * A message of magic 0 or 1: crc, magic, attributes, (1: timestamp), key length, key, value length, value. A batch
 * of ours whose end was lost as zeros shows magic 0 too, so the lengths must add up before that name is given.
 */
function checkLegacy(
  buffer: Buffer,
  at: number,
  visible: number,
  magic: 0 | 1,
  length: number,
): BatchFault | undefined {
  const keyField = magic === 0 ? 18 : 26
  if (visible < keyField + 4) return undefined
  const keyLength = readInt32(buffer, at + keyField)
  const withKey = LEGACY_OVERHEAD_BYTES[magic] + Math.max(keyLength, 0)
  if (buffer.readUInt8(at + 17) > 0x0f || keyLength < -1 || withKey > length) return 'bad-header'
  const valueField = keyField + 4 + Math.max(keyLength, 0)
  if (valueField + 4 > visible) return 'unsupported-magic'
  const valueLength = readInt32(buffer, at + valueField)
  const addsUp = valueLength >= -1 && withKey + Math.max(valueLength, 0) === length
  return addsUp ? 'unsupported-magic' : 'bad-header'
}

/** Count, offsets, codec and size agree. A batch emptied by compaction is a header alone. */
function hasSoundRange(buffer: Buffer, at: number): boolean {
  const lastOffsetDelta = readInt32(buffer, at + 23)
  const count = readInt32(buffer, at + 57)
  const codec = attributesAt(buffer, at) & CODEC_MASK
  const recordBytes = batchSizeAt(buffer, at) - BATCH_HEADER_BYTES
  if (lastOffsetDelta < 0 || !isOffset(lastOffsetAt(buffer, at))) return false
  if (count < 0 || count > lastOffsetDelta + 1 || codec >= CODEC_NAMES.length) return false
  if (count === 0) return recordBytes === 0
  return recordBytes >= (codec === 0 ? count * MIN_RECORD_BYTES : 1)
}

/**
 * Without a producer id some writers leave epoch or sequence at 0 (Kafka's coordinator, kafkajs): no damage. Markers
 * have an id and no sequence.
 */
function hasSoundProducer(buffer: Buffer, at: number): boolean {
  const producerId = readInt64(buffer, at + 43)
  const producerEpoch = buffer.readInt16BE(at + 51)
  if (producerId < -1 || producerEpoch < -1 || readInt32(buffer, at + 53) < -1) return false
  if (producerId >= 0) return producerEpoch >= 0
  return (attributesAt(buffer, at) & TRANSACTIONAL_BIT) === 0
}

function isOffset(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0
}

// ------------------------------------------------------------------------------- control records

export const CONTROL_ABORT = 0
export const CONTROL_COMMIT = 1

export interface ControlRecord {
  /** `CONTROL_ABORT`, `CONTROL_COMMIT`, or one above them, to be skipped. */
  readonly type: number
  /** -1 for the types above. */
  readonly coordinatorEpoch: number
}

/**
 * The first record of the checked control batch at `at`; undefined where compaction has emptied it.
 * Key: int16 version, int16 type. Value of a marker: int16 version, int32 coordinatorEpoch.
 */
export function readControlRecord(buffer: Buffer, at: number): ControlRecord | undefined {
  if (readInt32(buffer, at + 57) === 0) return undefined
  const codec = attributesAt(buffer, at) & CODEC_MASK
  if (codec !== 0) throw new BatchFormatError(`a control batch has codec ${codec}`)
  const end = at + batchSizeAt(buffer, at)
  const reader = new VarintReader(buffer, at + BATCH_HEADER_BYTES, end)
  reader.end = reader.position + recordLength(reader)
  reader.skip(1)
  reader.readVarlong()
  reader.readVarint()
  const keyStart = field(reader, 4)
  const type = buffer.readInt16BE(keyStart + 2)
  if (type > CONTROL_COMMIT) return { type, coordinatorEpoch: -1 }
  const valueStart = field(reader, 6)
  return { type, coordinatorEpoch: buffer.readInt32BE(valueStart + 2) }
}

function recordLength(reader: VarintReader): number {
  const start = reader.position
  const length = reader.readVarint()
  const bodyStart = reader.position
  reader.skip(length)
  reader.position = bodyStart
  return bodyStart - start + length
}

/** Passes over a key or value of at least `minBytes`; answers where it starts. */
function field(reader: VarintReader, minBytes: number): number {
  const length = reader.readVarint()
  const start = reader.position
  if (length < minBytes)
    throw new BatchFormatError(`a control record has a field of ${length} bytes`)
  reader.skip(length)
  return start
}
