import {
  BATCH_HEADER_BYTES,
  checkBatch,
  lastOffsetAt,
  maxTimestampAt,
  readBatchHeader,
} from '../codec/batch.ts'
import type { RecordSink } from '../codec/batch-decoder.ts'
import { decodeRecords } from '../codec/batch-decoder.ts'
import { BatchFormatError } from '../codec/batch-format-error.ts'
import { CODEC_NONE } from '../codec/codec-names.ts'
import type { Codecs } from '../codec/codecs.ts'
import { CorruptLogError, LogError } from '../errors.ts'
import { recordTimestampAt } from './index-builder.ts'
import { rebuildIndexesOnce, seek } from './index-rebuild.ts'
import type { Segment } from './segment.ts'
import type { SegmentList } from './segment-list.ts'
import type { BatchVisitor, ScanEnd } from './segment-scan.ts'
import { findNextBatch, readRange, STOP, scanBatches, scanPassingLost } from './segment-scan.ts'

export interface TimeRequest {
  /** Milliseconds. */
  readonly timestamp: number
  /** Offsets below are not answered. */
  readonly from: number
  /** Nor from here on. */
  readonly end: number
}

/**
 * The first offset within [from, end) whose record has a timestamp >= the one asked for; undefined where there is none.
 * Control records count, as they do in Kafka.
 * The time index says up to where all timestamps are below it; from there on batches decide by their greatest timestamp,
 * and within the first that reaches it, the records.
 */
export async function findOffsetByTime(
  segments: SegmentList,
  request: TimeRequest,
  codecs: Codecs,
): Promise<number | undefined> {
  for (const segment of segments.all) {
    if (segment.baseOffset >= request.end) return undefined
    const next = segments.after(segment)?.baseOffset
    if (next !== undefined && next <= request.from) continue
    const isActive = next === undefined
    if (!isActive && (await greatestTimestamp(segment)) < request.timestamp) continue
    const offset = await findInSegment(segment, request, codecs)
    if (offset !== undefined) return offset < request.end ? offset : undefined
  }
  return undefined
}

/**
 * The greatest timestamp of a segment that is not appended to; -1 where it has no batch. The last time entry says it, if
 * the batches behind that entry bear it out; else the indexes are built again.
 */
export async function greatestTimestamp(segment: Segment): Promise<number> {
  const size = await segment.measure()
  if (size === 0) return -1
  if (!segment.isTimeIndexChecked) {
    const end = await walkFromLastTime(segment, size, () => {})
    if (end === undefined) await rebuildIndexesOnce(segment)
    segment.isTimeIndexChecked = true
  }
  return segment.timeIndex.lastTimestamp
}

/**
 * Walks from the batch of the last time entry to the end of the segment, and answers with that end. Undefined where the indexes
 * are not borne out: the entry leads to another batch or nowhere, its time is not that batch's, or a batch behind it is younger or
 * faulty. Then nothing that was seen on the way is to be relied on.
 * @param visit is told of the batches on the way.
 */
export async function walkFromLastTime(
  segment: Segment,
  size: number,
  visit: BatchVisitor,
): Promise<ScanEnd | undefined> {
  try {
    const { timeIndex } = segment
    const { count, lastTimestamp } = timeIndex
    const lastOffset = segment.baseOffset + timeIndex.lastRelativeOffset
    const from = count === 0 ? 0 : segment.positionFor(lastOffset)
    let greatest = -1
    let isEntryTrue = count === 0
    const range = {
      from,
      to: size,
      nextOffset: segment.baseOffset,
      crcFrom: Number.POSITIVE_INFINITY,
      offsetLimit: segment.offsetLimit,
    }
    const seen: BatchVisitor = (buffer, at, position) => {
      const timestamp = recordTimestampAt(buffer, at)
      if (Number.isSafeInteger(timestamp)) greatest = Math.max(greatest, timestamp)
      // A broker's entry may be that of a batch without records.
      const isNamed = lastOffsetAt(buffer, at) === lastOffset
      if (isNamed) isEntryTrue = maxTimestampAt(buffer, at) === lastTimestamp
      visit(buffer, at, position)
    }
    const end = await scanPassingLost(segment.file, range, segment.lostRegions, seen)
    const isWhole = end.fault === undefined && isEntryTrue && greatest <= lastTimestamp
    return isWhole ? end : undefined
  } catch (error) {
    if (error instanceof CorruptLogError) return undefined
    throw error
  }
}

async function findInSegment(
  segment: Segment,
  request: TimeRequest,
  codecs: Codecs,
): Promise<number | undefined> {
  const to = await segment.measure()
  const start = Math.max(await offsetBefore(segment, request.timestamp), request.from)
  let position = await seek(segment, start)
  let nextOffset = segment.baseOffset
  while (position < to) {
    let candidate = -1
    const range = {
      from: position,
      to,
      nextOffset,
      crcFrom: Number.POSITIVE_INFINITY,
      offsetLimit: segment.offsetLimit,
    }
    const end = await scanBatches(segment.file, range, (buffer, at, batchPosition) => {
      if (maxTimestampAt(buffer, at) < request.timestamp) return undefined
      if (lastOffsetAt(buffer, at) < request.from) return undefined
      candidate = batchPosition
      return STOP
    })
    position = end.position
    nextOffset = end.nextOffset
    if (candidate !== -1) {
      const offset = await findInBatch(segment, candidate, request, codecs)
      if (offset !== undefined) return offset
    } else {
      if (end.fault === undefined) return undefined
      const faulty = { position, to, nextOffset }
      position = await findNextBatch(segment.file, faulty, segment.offsetLimit)
      if (position === -1) return undefined
    }
  }
  return undefined
}

/** An offset up to which all timestamps of the segment are below the one asked for. */
async function offsetBefore(segment: Segment, timestamp: number): Promise<number> {
  const { timeIndex, baseOffset } = segment
  if (!segment.wereIndexesRebuilt) {
    const entry = timeIndex.lookup(timestamp - 1)
    for (const each of [entry, entry + 1]) {
      if (each < 0 || each >= timeIndex.count || (await isEntryTrue(segment, each))) continue
      await rebuildIndexesOnce(segment)
      break
    }
  }
  const entry = timeIndex.lookup(timestamp - 1)
  return entry < 0 ? baseOffset : baseOffset + timeIndex.relativeOffsetAt(entry)
}

/** The batch of a time entry has the entry's timestamp. */
async function isEntryTrue(segment: Segment, entry: number): Promise<boolean> {
  const { timeIndex, baseOffset } = segment
  const timestamp = timeIndex.timestampAt(entry)
  const offset = baseOffset + timeIndex.relativeOffsetAt(entry)
  let isTrue = false
  const range = {
    from: await seek(segment, offset),
    to: await segment.measure(),
    nextOffset: baseOffset,
    crcFrom: Number.POSITIVE_INFINITY,
    offsetLimit: segment.offsetLimit,
  }
  await scanBatches(segment.file, range, (buffer, at) => {
    if (lastOffsetAt(buffer, at) < offset) return undefined
    isTrue = maxTimestampAt(buffer, at) === timestamp
    return STOP
  })
  return isTrue
}

async function findInBatch(
  segment: Segment,
  position: number,
  request: TimeRequest,
  codecs: Codecs,
): Promise<number | undefined> {
  const head = await readRange(segment.file, position, BATCH_HEADER_BYTES)
  const header = readBatchHeader(head, 0)
  const batch = await readRange(segment.file, position, header.sizeBytes)
  const start = Math.max(header.baseOffset, request.from)
  // A reader that begins here is told of the damage.
  if (checkBatch(batch, 0, header.sizeBytes) !== undefined) return start
  // All its records have its timestamp; they need not be decompressed, unless compaction has taken some.
  const isWhole = header.count === header.lastOffset - header.baseOffset + 1
  if (isWhole && header.isLogAppendTime && header.codec !== CODEC_NONE) return start
  const sink = new FirstSince(request)
  try {
    const records = await codecs.decompress(header.codec, batch.subarray(BATCH_HEADER_BYTES))
    decodeRecords(records, 0, records.length, header, request.from, Number.POSITIVE_INFINITY, sink)
    return sink.found
  } catch (error) {
    if (isUnreadable(error)) return sink.found ?? start
    throw error
  }
}

/** The record is in this batch, which cannot be read to its end: a reader that begins with it is told why. */
function isUnreadable(error: unknown): boolean {
  if (error instanceof BatchFormatError) return true
  return error instanceof LogError && error.code === 'UNSUPPORTED_CODEC'
}

class FirstSince implements RecordSink {
  readonly #timestamp: number
  found: number | undefined

  constructor(request: TimeRequest) {
    this.#timestamp = request.timestamp
  }

  record(offset: number, timestamp: number): void {
    if (this.found === undefined && timestamp >= this.#timestamp) this.found = offset
  }
}
