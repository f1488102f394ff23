import { crc32 } from 'node:zlib'
import type { BatchHeader, ControlRecord } from '../codec/batch.ts'
import { readBatchHeader, readControlRecord } from '../codec/batch.ts'
import type { LeaderEpoch } from '../storage/checkpoint.ts'
import type { Decompress } from './batch-content.ts'
import { RecordSurvey, recordBytes, unreadable } from './batch-content.ts'
import type { FindingDetails, FindingKind } from './finding.ts'
import type { OffsetIndexCheck, TimeIndexCheck } from './index-check.ts'
import type { FaultyRegion, LogVisitor } from './log-walk.ts'
import type { ProducerCheck } from './producer-check.ts'

/** The largest relative offset that an index entry can hold. */
const INT32_MAX = 2 ** 31 - 1

/** What a segment's batches are held against. */
export interface SegmentExpectations {
  readonly baseOffset: number
  /** Base offset of the next segment; undefined where this is the last. */
  readonly nextBaseOffset: number | undefined
  readonly epochs: readonly LeaderEpoch[]
  readonly logStartOffset: number
  readonly producers: ProducerCheck
  readonly decompress: Decompress | undefined
  /** Undefined where there is no index. */
  readonly offsetIndex: OffsetIndexCheck | undefined
  readonly timeIndex: TimeIndexCheck | undefined
  readonly tell: (kind: FindingKind, message: string, details?: FindingDetails) => void
  /** A region that is no batch: how bad that is depends on the state of the directory. */
  readonly region: (region: FaultyRegion) => Promise<void>
  readonly progress: (bytes: number) => void
}

/** Holds the batches of one segment against each other and against all that speaks of them. */
export class SegmentCheck implements LogVisitor {
  readonly #expected: SegmentExpectations
  readonly #survey = new RecordSurvey()
  /** The offset behind the last batch. */
  nextOffset: number
  batches = 0
  records = 0
  /** Position of the last batch, for messages. */
  #lastPosition = 0
  #isBehindRegion = false
  #gaps = 0
  #missing = 0
  #firstMissing = -1
  #lastMissing = -1
  #withoutCodec = new Map<string, number>()

  constructor(expected: SegmentExpectations) {
    this.#expected = expected
    this.nextOffset = expected.baseOffset
  }

  progress(bytes: number): void {
    this.#expected.progress(bytes)
  }

  batch(buffer: Buffer, at: number, position: number): void | Promise<void> {
    const header = readBatchHeader(buffer, at)
    this.#header(header, position)
    const marker = header.isControl ? this.#marker(buffer, at, header, position) : undefined
    this.#producer(header, marker, position)
    if (header.count === 0) return undefined
    try {
      const bytes = recordBytes(buffer, at, header, this.#expected.decompress)
      if (bytes instanceof Promise) return this.#compressed(bytes, header, position)
      this.#records(bytes, header, position)
    } catch (error) {
      this.#unreadable(error, header, position)
    }
    return undefined
  }

  largeBatch(bytes: Buffer, position: number): void {
    const header = readBatchHeader(bytes, 0)
    this.#header(header, position)
    this.#producer(header, undefined, position)
    this.#tellBatch('large-batch', header, position, 'it is not looked into')
  }

  region(region: FaultyRegion): Promise<void> {
    const { offsetIndex, timeIndex, producers } = this.#expected
    offsetIndex?.region(region.position + region.bytes)
    timeIndex?.region(region.resumeOffset ?? Number.POSITIVE_INFINITY)
    producers.damage()
    this.#isBehindRegion = true
    return this.#expected.region(region)
  }

  /** The segment ends; tells what was gathered. */
  end(): void {
    const { tell, nextBaseOffset } = this.#expected
    const missing = (nextBaseOffset ?? 0) - this.nextOffset
    // What a region that fails has held is told with it.
    if (missing > 0 && !this.#isBehindRegion) {
      this.#gap(this.nextOffset, this.nextOffset + missing - 1, missing)
    }
    if (this.#gaps > 0) {
      const [firstOffset, lastOffset] = [this.#firstMissing, this.#lastMissing]
      const gaps = this.#gaps === 1 ? 'one gap' : `${this.#gaps} gaps`
      const message = `${this.#missing} offsets without a record, in ${gaps}`
      tell('gap', message, { firstOffset, lastOffset })
    }
    for (const [message, count] of this.#withoutCodec) {
      tell(
        'codec-missing',
        `${message}; the records of as many batches were not looked at: ${count}`,
      )
    }
  }

  // ------------------------------------------------------------------------------------ headers

  #header(header: BatchHeader, position: number): void {
    this.batches += 1
    this.#order(header, position)
    this.#range(header, position)
    this.#epoch(header, position)
    this.#expected.offsetIndex?.batch(position, header.lastOffset)
    this.#expected.timeIndex?.batch(header)
    const offsets = header.lastOffset - header.baseOffset + 1
    if (header.count < offsets)
      this.#gap(header.baseOffset, header.lastOffset, offsets - header.count)
    this.nextOffset = header.lastOffset + 1
    this.#lastPosition = position
    this.#isBehindRegion = false
  }

  #order(header: BatchHeader, position: number): void {
    const { nextOffset } = this
    if (header.baseOffset < nextOffset && this.batches > 1) {
      const before = `the batch at position ${this.#lastPosition} ends with offset ${nextOffset - 1}`
      this.#tellBatch('offset-order', header, position, before)
    } else if (header.baseOffset > nextOffset) {
      this.#expected.producers.gap()
      // What a region that fails has held is told with it.
      if (this.#isBehindRegion) return
      this.#gap(nextOffset, header.baseOffset - 1, header.baseOffset - nextOffset)
    }
  }

  #range(header: BatchHeader, position: number): void {
    const { baseOffset, nextBaseOffset } = this.#expected
    if (header.baseOffset < baseOffset) {
      this.#tellBatch('segment-range', header, position, `the segment begins at ${baseOffset}`)
    } else if (nextBaseOffset !== undefined && header.lastOffset >= nextBaseOffset) {
      this.#tellBatch('segment-range', header, position, `the next one begins at ${nextBaseOffset}`)
    } else if (header.lastOffset - baseOffset > INT32_MAX) {
      const tooFar = `that is too far from the segment's base offset ${baseOffset}`
      this.#tellBatch('segment-range', header, position, tooFar)
    }
  }

  /** The first epoch's start moves up with the log start, so batches below that are not held to it. */
  #epoch(header: BatchHeader, position: number): void {
    const { epochs, logStartOffset } = this.#expected
    const said = epochs.findLast((each) => each.startOffset <= header.baseOffset)
    if (said?.epoch === header.partitionLeaderEpoch) return
    const isBelow = said === undefined && header.baseOffset < logStartOffset
    if (epochs.length === 0 || isBelow) return
    const saying = said === undefined ? 'has none for it' : `says ${said.epoch}`
    const message = `it has leader epoch ${header.partitionLeaderEpoch}, the checkpoint ${saying}`
    this.#tellBatch('leader-epoch', header, position, message)
  }

  #producer(header: BatchHeader, marker: ControlRecord | undefined, position: number): void {
    const fault = this.#expected.producers.batch(header, marker)
    if (fault !== undefined) this.#tellBatch(fault.kind, header, position, fault.message)
  }

  #gap(first: number, last: number, missing: number): void {
    this.#expected.producers.gap()
    this.#gaps += 1
    this.#missing += missing
    if (this.#firstMissing === -1) this.#firstMissing = first
    this.#lastMissing = last
  }

  // ------------------------------------------------------------------------------------ records

  async #compressed(bytes: Promise<Buffer>, header: BatchHeader, position: number): Promise<void> {
    try {
      this.#records(await bytes, header, position)
    } catch (error) {
      this.#unreadable(error, header, position)
    }
  }

  #records(bytes: Buffer, header: BatchHeader, position: number): void {
    const survey = this.#survey
    survey.of(bytes, header)
    this.records += survey.count
    const { greatestTimestamp } = survey
    if (greatestTimestamp === header.maxTimestamp) return
    const kind = greatestTimestamp > header.maxTimestamp ? 'timestamp-above' : 'max-timestamp'
    const message = `maxTimestamp is ${header.maxTimestamp}, the youngest record has ${greatestTimestamp}`
    this.#tellBatch(kind, header, position, message)
  }

  #unreadable(error: unknown, header: BatchHeader, position: number): void {
    const { why, message } = unreadable(error)
    if (why === 'format') this.#tellBatch('records', header, position, message)
    else this.#withoutCodec.set(message, (this.#withoutCodec.get(message) ?? 0) + 1)
  }

  #marker(
    buffer: Buffer,
    at: number,
    header: BatchHeader,
    position: number,
  ): ControlRecord | undefined {
    try {
      return readControlRecord(buffer, at)
    } catch (error) {
      this.#tellBatch('records', header, position, unreadable(error).message)
      return undefined
    }
  }

  #tellBatch(kind: FindingKind, header: BatchHeader, position: number, message: string): void {
    const { baseOffset: firstOffset, lastOffset, sizeBytes: bytes } = header
    const batch = `batch of offsets ${firstOffset} to ${lastOffset}`
    this.#expected.tell(kind, `${batch}: ${message}`, { position, bytes, firstOffset, lastOffset })
  }
}

/** A message of magic 0 or 1 whose CRC holds: of an old Kafka, no damage. Its CRC-32 covers all behind itself. */
export function isOldMessage(bytes: Buffer): boolean {
  const length = bytes.readInt32BE(8)
  const message = bytes.subarray(16, 12 + length)
  return message.length === length - 4 && crc32(message) === bytes.readUInt32BE(12)
}
