import { BATCH_HEADER_BYTES, checkBatchHeader, lastOffsetAt } from '../codec/batch.ts'
import { CorruptLogError } from '../errors.ts'
import type { Segment } from './segment.ts'
import { readRange } from './segment-scan.ts'

/** Where a segment can be walked from, and how many entries of its indexes are from before that. */
export interface IndexStart {
  readonly position: number
  readonly offsetEntries: number
  readonly timeEntries: number
}

const FROM_THE_START: IndexStart = { position: 0, offsetEntries: 0, timeEntries: 0 }

/**
 * The last entry of the offset index for a batch at or below `offset`, if the batch is there as the entry says;
 * else the start of the segment, with no entries kept.
 */
export async function indexStart(segment: Segment, offset: number): Promise<IndexStart> {
  const size = await segment.measure()
  try {
    const { offsetIndex, timeIndex } = segment
    const entry = offsetIndex.lookup(Math.min(offset - segment.baseOffset, 2 ** 31 - 1))
    if (entry < 0) return FROM_THE_START
    const position = offsetIndex.positionAt(entry)
    const lastOffset = segment.baseOffset + offsetIndex.offsetAt(entry)
    const header = await readRange(segment.file, position, BATCH_HEADER_BYTES)
    const isThere =
      header.length === BATCH_HEADER_BYTES &&
      checkBatchHeader(header, 0, size - position) === undefined &&
      lastOffsetAt(header, 0) <= lastOffset
    // Both indexes get their entries together: without a single time entry the other one cannot be whole.
    if (!isThere || timeIndex.count === 0) return FROM_THE_START
    let timeEntries = timeIndex.count
    while (
      timeEntries > 0 &&
      timeIndex.relativeOffsetAt(timeEntries - 1) > lastOffset - segment.baseOffset
    ) {
      timeEntries -= 1
    }
    return { position, offsetEntries: entry + 1, timeEntries }
  } catch (error) {
    if (error instanceof CorruptLogError) return FROM_THE_START
    throw error
  }
}
