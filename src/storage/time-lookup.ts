import {
  BATCH_HEADER_BYTES,
  lastOffsetAt,
  maxTimestampAt,
  readBatchHeader,
} from '../codec/batch.ts'
import type { RecordSink } from '../codec/batch-decoder.ts'
import { decodeRecords } from '../codec/batch-decoder.ts'
import { CODEC_NONE, decompress } from '../codec/compression.ts'
import { CorruptLogError } from '../errors.ts'
import { rebuildIndexes } from './index-rebuild.ts'
import type { Segment } from './segment.ts'
import type { SegmentList } from './segment-list.ts'
import { findValidBatch, readRange, scanBatches } from './segment-scan.ts'

/** What one batch may grow to when it is decompressed, in bytes. */
export const MAX_DECOMPRESSED_BYTES = 128 * 1024 * 1024

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
 * The time index says up to where all timestamps are below it; from there on batches decide by their greatest timestamp,
 * and within the first that reaches it, the records.
 */
export async function findOffsetByTime(
  segments: SegmentList,
  request: TimeRequest,
): Promise<number | undefined> {
  for (const segment of segments.all) {
    if (segment.baseOffset >= request.end) return undefined
    const next = segments.after(segment)?.baseOffset
    if (next !== undefined && next <= request.from) continue
    const isActive = next === undefined
    if (!isActive && (await greatestTimestamp(segment)) < request.timestamp) continue
    const offset = await findInSegment(segment, request)
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
    if (!(await isTimeIndexWhole(segment, size))) await rebuildIndexes(segment)
    segment.isTimeIndexChecked = true
  }
  return segment.timeIndex.lastTimestamp
}

/** The last time entry is true, and no batch behind it is younger. */
export async function isTimeIndexWhole(segment: Segment, size: number): Promise<boolean> {
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
    }
    const end = await scanBatches(segment.file, range, (buffer, at) => {
      greatest = Math.max(greatest, maxTimestampAt(buffer, at))
      if (lastOffsetAt(buffer, at) === lastOffset)
        isEntryTrue = maxTimestampAt(buffer, at) === lastTimestamp
    })
    return end.fault === undefined && isEntryTrue && greatest <= lastTimestamp
  } catch (error) {
    if (error instanceof CorruptLogError) return false
    throw error
  }
}

async function findInSegment(segment: Segment, request: TimeRequest): Promise<number | undefined> {
  const to = await segment.measure()
  const entry = segment.timeIndex.lookup(request.timestamp - 1)
  const first =
    entry < 0 ? segment.baseOffset : segment.baseOffset + segment.timeIndex.relativeOffsetAt(entry)
  let position = segment.positionFor(Math.max(first, request.from))
  let nextOffset = segment.baseOffset
  while (position < to) {
    const candidates: number[] = []
    const range = { from: position, to, nextOffset, crcFrom: Number.POSITIVE_INFINITY }
    const end = await scanBatches(segment.file, range, (buffer, at, batchPosition) => {
      if (candidates.length > 0) return
      const isReached = maxTimestampAt(buffer, at) >= request.timestamp
      if (isReached && lastOffsetAt(buffer, at) >= request.from) candidates.push(batchPosition)
    })
    for (const candidate of candidates) {
      const found = await findInBatch(segment, candidate, request)
      if (found.offset !== undefined) return found.offset
      position = found.end
    }
    if (candidates.length > 0) continue
    if (end.fault === undefined) return undefined
    nextOffset = end.nextOffset
    const behind = { from: end.position + 1, to, nextOffset }
    const next = await findValidBatch(segment.file, behind, Number.MAX_SAFE_INTEGER)
    if (next === -1) return undefined
    position = next
  }
  return undefined
}

async function findInBatch(
  segment: Segment,
  position: number,
  request: TimeRequest,
): Promise<{ offset: number | undefined; end: number }> {
  const head = await readRange(segment.file, position, BATCH_HEADER_BYTES)
  const header = readBatchHeader(head, 0)
  const end = position + header.sizeBytes
  if (header.isControl) return { offset: undefined, end }
  const body = await readRange(
    segment.file,
    position + BATCH_HEADER_BYTES,
    header.sizeBytes - BATCH_HEADER_BYTES,
  )
  const records =
    header.codec === CODEC_NONE
      ? body
      : await decompress(header.codec, body, MAX_DECOMPRESSED_BYTES)
  const sink = new FirstSince(request)
  decodeRecords(records, 0, records.length, header, request.from, Number.POSITIVE_INFINITY, sink)
  return { offset: sink.found, end }
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
