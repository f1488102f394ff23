import {
  BATCH_HEADER_BYTES,
  batchSizeAt,
  checkBatch,
  checkBatchHeader,
  lastOffsetAt,
  maxTimestampAt,
} from '../codec/batch.ts'
import { CorruptLogError } from '../errors.ts'
import { recordTimestampAt } from './index-builder.ts'
import type { Segment } from './segment.ts'
import { readRange, STOP, scanBatches } from './segment-scan.ts'

/** Where a segment can be walked from, and how many entries of its indexes are from before that. */
export interface IndexStart {
  readonly position: number
  readonly offsetEntries: number
  readonly timeEntries: number
  /** Of the time entries that are not kept: the batches from `position` on have it. -1 where there are none. */
  readonly greatestTimestamp: number
}

const FROM_THE_START: IndexStart = {
  position: 0,
  offsetEntries: 0,
  timeEntries: 0,
  greatestTimestamp: -1,
}

/**
 * The last entry of the offset index for a batch at or below `offset`, if the batch is there as the entry says, and the last time
 * entry up to there is borne out; else the start of the segment, with no entries kept.
 */
export async function indexStart(segment: Segment, offset: number): Promise<IndexStart> {
  const size = await segment.measure()
  try {
    const { offsetIndex, timeIndex } = segment
    const entry = offsetIndex.lookup(Math.min(offset - segment.baseOffset, 2 ** 31 - 1))
    if (entry < 0) return FROM_THE_START
    const position = offsetIndex.positionAt(entry)
    const lastOffset = segment.baseOffset + offsetIndex.offsetAt(entry)
    if (!(await isBatchThere(segment, position, size, lastOffset))) return FROM_THE_START
    let timeEntries = timeIndex.count
    while (
      timeEntries > 0 &&
      timeIndex.relativeOffsetAt(timeEntries - 1) > lastOffset - segment.baseOffset
    ) {
      timeEntries -= 1
    }
    // Both indexes get their entries together: without a single time entry the other one cannot be whole.
    if (timeEntries === 0 || !(await isTimeTrue(segment, timeEntries - 1, position))) {
      return FROM_THE_START
    }
    const greatestTimestamp = timeEntries === timeIndex.count ? -1 : timeIndex.lastTimestamp
    return { position, offsetEntries: entry + 1, timeEntries, greatestTimestamp }
  } catch (error) {
    if (error instanceof CorruptLogError) return FROM_THE_START
    throw error
  }
}

/** A whole batch, its CRC included, that ends at or below an offset: what comes before it is known to be before it. */
async function isBatchThere(
  segment: Segment,
  position: number,
  size: number,
  lastOffset: number,
): Promise<boolean> {
  const header = await readRange(segment.file, position, BATCH_HEADER_BYTES)
  if (header.length < BATCH_HEADER_BYTES) return false
  if (checkBatchHeader(header, 0, size - position) !== undefined) return false
  if (lastOffsetAt(header, 0) > lastOffset) return false
  const batch = await readRange(segment.file, position, batchSizeAt(header, 0))
  return checkBatch(batch, 0, batch.length) === undefined
}

/**
 * The batch that a time entry speaks of has the entry's timestamp, and none from there up to `position` a greater one: that one's entry
 * has not come to the file, though the offset index may have gone on since. Behind damage, where there is any, it is taken to be so.
 */
async function isTimeTrue(segment: Segment, entry: number, position: number): Promise<boolean> {
  const { timeIndex, baseOffset } = segment
  const offset = baseOffset + timeIndex.relativeOffsetAt(entry)
  const timestamp = timeIndex.timestampAt(entry)
  let isTrue = false
  let isExceeded = false
  const range = {
    from: segment.positionFor(offset),
    to: await segment.measure(),
    nextOffset: baseOffset,
    crcFrom: Number.POSITIVE_INFINITY,
    offsetLimit: segment.offsetLimit,
  }
  await scanBatches(segment.file, range, (buffer, at, batchPosition) => {
    const lastOffset = lastOffsetAt(buffer, at)
    if (lastOffset === offset) isTrue = maxTimestampAt(buffer, at) === timestamp
    if (batchPosition >= position) return STOP
    isExceeded ||= lastOffset > offset && recordTimestampAt(buffer, at) > timestamp
    return isExceeded ? STOP : undefined
  })
  return isTrue && !isExceeded
}
