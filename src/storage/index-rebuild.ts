import { batchSizeAt, lastOffsetAt, maxTimestampAt } from '../codec/batch.ts'
import { IndexBuilder } from './index-builder.ts'
import type { Segment } from './segment.ts'
import { findValidBatch, scanBatches } from './segment-scan.ts'

/**
 * Builds both indexes of a segment again from its .log, headers only, passing damage. The entries are gathered first
 * and take the place of the old ones in one turn: batches may be appended meanwhile, and look-ups go on.
 */
export async function rebuildIndexes(segment: Segment): Promise<void> {
  const offsets: number[] = []
  const times: number[] = []
  const builder = new IndexBuilder(segment.indexIntervalBytes, {
    offsetEntry: (offset, position) => offsets.push(offset, position),
    timeEntry: (timestamp, offset) => times.push(timestamp, offset),
  })
  let position = 0
  let nextOffset = segment.baseOffset
  await segment.measure()
  // Grows while batches are appended; the last round finds nothing new, and the indexes change in the turn in which it looks.
  while (position < segment.sizeBytes) {
    const to = segment.sizeBytes
    const range = { from: position, to, nextOffset, crcFrom: Number.POSITIVE_INFINITY }
    const end = await scanBatches(segment.file, range, (buffer, at, batchPosition) =>
      builder.batch({
        position: batchPosition,
        sizeBytes: batchSizeAt(buffer, at),
        lastOffset: lastOffsetAt(buffer, at),
        maxTimestamp: maxTimestampAt(buffer, at),
      }),
    )
    nextOffset = end.nextOffset
    position = end.position
    if (end.fault === undefined) continue
    const from = position + 1
    const next = await findValidBatch(
      segment.file,
      { from, to, nextOffset },
      Number.MAX_SAFE_INTEGER,
    )
    position = next === -1 ? to : next
  }
  builder.close()
  segment.replaceIndexes(offsets, times)
}
