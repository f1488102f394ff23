import { BATCH_HEADER_BYTES, baseOffsetAt, checkBatchHeader } from '../codec/batch.ts'
import { CorruptLogError } from '../errors.ts'
import { IndexBuilder, indexedBatchAt } from './index-builder.ts'
import type { Segment } from './segment.ts'
import { findNextBatch, readRange, scanBatches } from './segment-scan.ts'

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
    const { offsetLimit } = segment
    const range = { from: position, to, nextOffset, crcFrom: Number.POSITIVE_INFINITY, offsetLimit }
    const end = await scanBatches(segment.file, range, (buffer, at, batchPosition) =>
      builder.batch(indexedBatchAt(buffer, at, batchPosition)),
    )
    nextOffset = end.nextOffset
    position = end.position
    if (end.fault === undefined) continue
    const next = await findNextBatch(segment.file, { position, to, nextOffset }, offsetLimit)
    position = next === -1 ? to : next
  }
  builder.close()
  segment.replaceIndexes(offsets, times)
}

const rebuilding = new WeakMap<Segment, Promise<void>>()

/** As `rebuildIndexes`, once for all who find an index wrong at the same time. */
export function rebuildIndexesOnce(segment: Segment): Promise<void> {
  let running = rebuilding.get(segment)
  if (running === undefined) {
    running = rebuildIndexes(segment).finally(() => rebuilding.delete(segment))
    rebuilding.set(segment, running)
  }
  return running
}

/** Where a walk to an offset may begin: a batch at or before it. An index that leads elsewhere is built again. */
export async function seek(segment: Segment, offset: number): Promise<number> {
  const size = await segment.measure()
  if (!segment.wereIndexesRebuilt) {
    const position = positionIn(segment, offset)
    if (position === 0) return 0
    if (position !== undefined && (await leadsTo(segment, position, size, offset))) return position
    await rebuildIndexesOnce(segment)
  }
  return segment.positionFor(offset)
}

/** What the index says; undefined where it cannot even be read. */
export function positionIn(segment: Segment, offset: number): number | undefined {
  try {
    return segment.positionFor(offset)
  } catch (error) {
    if (error instanceof CorruptLogError) return undefined
    throw error
  }
}

async function leadsTo(
  segment: Segment,
  position: number,
  size: number,
  offset: number,
): Promise<boolean> {
  const header = await readRange(segment.file, position, BATCH_HEADER_BYTES)
  if (header.length < BATCH_HEADER_BYTES) return false
  if (checkBatchHeader(header, 0, size - position) !== undefined) return false
  return baseOffsetAt(header, 0) <= offset
}
