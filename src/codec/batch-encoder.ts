/** From records to record batches. */
import type { RecordHeaders, TimestampType } from '../types.ts'
import type { BatchHeaderFields } from './batch.ts'
import {
  BATCH_HEADER_BYTES,
  CONTROL_BIT,
  LOG_APPEND_TIME_BIT,
  TRANSACTIONAL_BIT,
  writeBatchHeader,
} from './batch.ts'
import type { RecordSet } from './record-set.ts'
import { recordSizeBound, writeRecord } from './record-writer.ts'

const NONE = Buffer.alloc(0)

/** What a batch's header says of who wrote it. */
export interface HeaderProducer {
  readonly producerId: number
  readonly producerEpoch: number
  /** Of the first record. */
  readonly baseSequence: number
  readonly isTransactional: boolean
}

/**
 * One open batch that grows in a buffer of the caller's: `begin`, then `add` as often as wanted, then `finish`.
 * Nothing is allocated a record or a batch.
 */
export class BatchEncoder {
  /** Where the batch starts in the buffer. */
  start = 0
  /** Behind the last byte written so far. */
  end = 0
  /** Records so far. */
  count = 0
  /** The first record's timestamp; -1 while there is none. */
  baseTimestamp = -1
  /** The greatest timestamp; -1 while there is none. */
  maxTimestamp = -1
  isOpen = false
  #buffer: Buffer = NONE
  #markEnd = 0
  #markCount = 0
  #markBaseTimestamp = -1
  #markMaxTimestamp = -1
  #producer: HeaderProducer | undefined = undefined
  readonly #fields: BatchHeaderFields = {
    baseOffset: 0,
    sizeBytes: 0,
    partitionLeaderEpoch: 0,
    attributes: 0,
    lastOffset: 0,
    baseTimestamp: 0,
    maxTimestamp: 0,
    producerId: -1,
    producerEpoch: -1,
    baseSequence: -1,
    count: 0,
  }

  /** Opens a batch at `at`, with room left for its header. What was open before is forgotten. `producer`: whose it is; nobody's by default. */
  begin(buffer: Buffer, at: number, producer?: HeaderProducer): void {
    this.#buffer = buffer
    this.#producer = producer
    this.start = at
    this.end = at + BATCH_HEADER_BYTES
    this.count = 0
    this.baseTimestamp = -1
    this.maxTimestamp = -1
    this.isOpen = true
    this.mark()
  }

  /**
   * Appends all records of the set, or none: false where they would pass `capacity`, a position in the buffer.
   * `now` is the timestamp of records without one and, with `LogAppendTime`, of all.
   */
  add(set: RecordSet, now: number, timestampType: TimestampType, capacity: number): boolean {
    const { keys, values, headers } = set
    const timestamps = timestampType === 'LogAppendTime' ? undefined : set.timestamps
    const buffer = this.#buffer
    const limit = Math.min(capacity, buffer.length)
    const { count } = this
    const isFirst = count === 0
    const base = isFirst ? (timestamps?.[0] ?? now) : this.baseTimestamp
    let max = isFirst ? base : this.maxTimestamp
    let position = this.end
    for (let i = 0; i < values.length; i += 1) {
      const timestamp = timestamps?.[i] ?? now
      if (timestamp > max) max = timestamp
      position = writeRecord(
        buffer,
        position,
        limit,
        count + i,
        timestampType === 'LogAppendTime' ? 0 : timestamp - base,
        keys[i] ?? null,
        values[i] ?? null,
        headers?.[i],
      )
      if (position < 0) return false
    }
    if (values.length === 0) return true
    this.end = position
    this.count = count + values.length
    this.baseTimestamp = base
    this.maxTimestamp = max
    return true
  }

  /** Notes the present state for `rollback`. */
  mark(): void {
    this.#markEnd = this.end - this.start
    this.#markCount = this.count
    this.#markBaseTimestamp = this.baseTimestamp
    this.#markMaxTimestamp = this.maxTimestamp
  }

  /** Takes back what was added since `mark` (or `begin`). */
  rollback(): void {
    this.end = this.start + this.#markEnd
    this.count = this.#markCount
    this.baseTimestamp = this.#markBaseTimestamp
    this.maxTimestamp = this.#markMaxTimestamp
  }

  /** Copies the open batch to `at` in another buffer (or elsewhere in this one) and goes on there. */
  moveTo(buffer: Buffer, at: number): void {
    const bytes = this.end - this.start
    this.#buffer.copy(
      buffer,
      at + BATCH_HEADER_BYTES,
      this.start + BATCH_HEADER_BYTES,
      this.start + bytes,
    )
    this.#buffer = buffer
    this.start = at
    this.end = at + bytes
  }

  /**
   * Writes the header and closes the batch; answers with its end. `appendTime` (by default the greatest `now`)
   * is every record's timestamp with `LogAppendTime`. An empty batch is a `RangeError`.
   */
  finish(
    baseOffset: number,
    partitionLeaderEpoch: number,
    timestampType: TimestampType,
    appendTime: number = this.maxTimestamp,
  ): number {
    this.#close(this.#fields, baseOffset, partitionLeaderEpoch, timestampType, appendTime)
    writeBatchHeader(this.#buffer, this.start, this.#fields)
    // Held by an encoder that rests, it would be memory that nobody counts.
    this.#buffer = NONE
    return this.end
  }

  /** As `finish`, for records that are compressed before they have a header: gives what that will say of them as they are. */
  finishWithoutHeader(
    baseOffset: number,
    partitionLeaderEpoch: number,
    timestampType: TimestampType,
  ): BatchHeaderFields {
    const fields = { ...this.#fields }
    this.#close(fields, baseOffset, partitionLeaderEpoch, timestampType, this.maxTimestamp)
    this.#buffer = NONE
    return fields
  }

  #close(
    fields: BatchHeaderFields,
    baseOffset: number,
    partitionLeaderEpoch: number,
    timestampType: TimestampType,
    appendTime: number,
  ): void {
    if (!this.isOpen || this.count === 0) throw new RangeError('there is no batch with records')
    if (timestampType === 'LogAppendTime') {
      this.baseTimestamp = appendTime
      this.maxTimestamp = appendTime
    }
    fields.baseOffset = baseOffset
    fields.sizeBytes = this.end - this.start
    fields.partitionLeaderEpoch = partitionLeaderEpoch
    fields.attributes = timestampType === 'LogAppendTime' ? LOG_APPEND_TIME_BIT : 0
    fields.lastOffset = baseOffset + this.count - 1
    fields.baseTimestamp = this.baseTimestamp
    fields.maxTimestamp = this.maxTimestamp
    fields.count = this.count
    const producer = this.#producer
    fields.producerId = producer === undefined ? -1 : producer.producerId
    fields.producerEpoch = producer === undefined ? -1 : producer.producerEpoch
    fields.baseSequence = producer === undefined ? -1 : producer.baseSequence
    if (producer?.isTransactional === true) fields.attributes |= TRANSACTIONAL_BIT
    this.isOpen = false
  }
}

/** At least the bytes that the set's records take in a batch, header of the batch apart; cheap. */
export function encodedSizeBound(set: RecordSet): number {
  const { keys, values, headers } = set
  let bytes = 0
  for (let i = 0; i < values.length; i += 1) {
    bytes += recordSizeBound(keys[i] ?? null, values[i] ?? null, headers?.[i])
  }
  return bytes
}

export interface RecordToEncode {
  readonly key: string | Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers?: RecordHeaders
  readonly timestamp: number
  /** Default: the one after the record before. Rising; gaps are as compaction leaves them. */
  readonly offset?: number
}

export interface BatchToEncode {
  readonly baseOffset: number
  readonly records: readonly RecordToEncode[]
  /** Default: the last record's. */
  readonly lastOffset?: number
  /** Default 0. */
  readonly partitionLeaderEpoch?: number
  /** Default 0. The codec bits must fit `compress`. */
  readonly attributes?: number
  /** Default: the first record's timestamp, -1 without records. */
  readonly baseTimestamp?: number
  /** Default: the greatest timestamp, -1 without records. */
  readonly maxTimestamp?: number
  /** Default -1, as the next two. */
  readonly producerId?: number
  readonly producerEpoch?: number
  readonly baseSequence?: number
  /** Compresses the record bytes. */
  readonly compress?: (records: Buffer) => Buffer
}

/** One batch in a buffer of its own, with every header field open: not for the hot path. */
export function encodeBatch(batch: BatchToEncode): Buffer {
  const { baseOffset, records } = batch
  const timestamps = records.map((record) => record.timestamp)
  const baseTimestamp = batch.baseTimestamp ?? timestamps[0] ?? -1
  const { bytes, nextOffset } = encodeRecords(baseOffset, baseTimestamp, records)
  const body = batch.compress === undefined ? bytes : batch.compress(bytes)
  const encoded = Buffer.alloc(BATCH_HEADER_BYTES + body.length)
  body.copy(encoded, BATCH_HEADER_BYTES)
  writeBatchHeader(encoded, 0, {
    baseOffset,
    sizeBytes: encoded.length,
    partitionLeaderEpoch: batch.partitionLeaderEpoch ?? 0,
    attributes: batch.attributes ?? 0,
    lastOffset: batch.lastOffset ?? Math.max(baseOffset, nextOffset - 1),
    baseTimestamp,
    maxTimestamp: batch.maxTimestamp ?? timestamps.reduce((a, b) => Math.max(a, b), -1),
    producerId: batch.producerId ?? -1,
    producerEpoch: batch.producerEpoch ?? -1,
    baseSequence: batch.baseSequence ?? -1,
    count: records.length,
  })
  return encoded
}

function encodeRecords(
  baseOffset: number,
  baseTimestamp: number,
  records: readonly RecordToEncode[],
): { bytes: Buffer; nextOffset: number } {
  const bound = records.reduce(
    (sum, { key, value, headers }) => sum + recordSizeBound(key, value, headers),
    0,
  )
  const buffer = Buffer.alloc(bound)
  let position = 0
  let nextOffset = baseOffset
  for (const { key, value, headers, timestamp, offset = nextOffset } of records) {
    const offsetDelta = offset - baseOffset
    const timestampDelta = timestamp - baseTimestamp
    position = writeRecord(
      buffer,
      position,
      bound,
      offsetDelta,
      timestampDelta,
      key,
      value,
      headers,
    )
    nextOffset = offset + 1
  }
  return { bytes: buffer.subarray(0, position), nextOffset }
}

export interface ControlBatchToEncode {
  readonly baseOffset: number
  /** `CONTROL_ABORT` or `CONTROL_COMMIT`. */
  readonly type: number
  readonly producerId: number
  readonly producerEpoch: number
  readonly coordinatorEpoch: number
  readonly timestamp: number
  /** Default 0. */
  readonly partitionLeaderEpoch?: number
}

/** Size of a transaction marker as `encodeControlBatch` makes it. */
export const CONTROL_BATCH_BYTES = 78

/** The record of a marker: its length, attributes, deltas, a key of a version and a type, a value of a version and an epoch, no headers. */
const CONTROL_RECORD = Buffer.from([32, 0, 0, 0, 8, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0])
const CONTROL_TYPE_AT = BATCH_HEADER_BYTES + 7
const CONTROL_EPOCH_AT = BATCH_HEADER_BYTES + 12

/** A transaction marker. Each transaction has one in every partition that it touches: nothing of it but these few fields varies. */
export function encodeControlBatch(marker: ControlBatchToEncode): Buffer {
  const { baseOffset, type, producerId, producerEpoch, coordinatorEpoch, timestamp } = marker
  const encoded = Buffer.allocUnsafe(CONTROL_BATCH_BYTES)
  encoded.set(CONTROL_RECORD, BATCH_HEADER_BYTES)
  encoded.writeInt16BE(type, CONTROL_TYPE_AT)
  encoded.writeInt32BE(coordinatorEpoch, CONTROL_EPOCH_AT)
  writeBatchHeader(encoded, 0, {
    baseOffset,
    sizeBytes: CONTROL_BATCH_BYTES,
    partitionLeaderEpoch: marker.partitionLeaderEpoch ?? 0,
    attributes: TRANSACTIONAL_BIT | CONTROL_BIT,
    lastOffset: baseOffset,
    baseTimestamp: timestamp,
    maxTimestamp: timestamp,
    producerId,
    producerEpoch,
    baseSequence: -1,
    count: 1,
  })
  return encoded
}
