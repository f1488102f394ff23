/**
 * The leader epochs of a log out of its batches, for where the file is missing or wrong.
 *
 * Epochs rise from batch to batch, so between two batches of the same epoch there is no other. The first header of each segment is
 * read. In a segment behind which the next one begins with another epoch, and in the last one, the entries of the offset index are
 * bisected in the same way; only from one entry to the next, and behind the last, batches are walked over, by their headers. Where the
 * index is not borne out by the data, so is the whole of that segment.
 *
 * An epoch begins at its first batch that is there: behind a gap that compaction has left, later than it did.
 */
import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  checkBatchHeader,
  lastOffsetAt,
  partitionLeaderEpochAt,
} from '../codec/batch.ts'
import { CorruptLogError } from '../errors.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import { LeaderEpochs } from './leader-epochs.ts'
import type { Segment } from './segment.ts'
import type { SegmentList } from './segment-list.ts'
import { findNextBatch, readRange, STOP, scanBatches } from './segment-scan.ts'

const TO_THE_END = Number.POSITIVE_INFINITY

export async function findLeaderEpochs(segments: SegmentList): Promise<LeaderEpochs> {
  const epochs = new LeaderEpochs()
  let before: { readonly segment: Segment; readonly first: Point | undefined } | undefined
  for (const segment of segments.all) {
    if ((await segment.measure()) === 0) continue
    if (turnIsLong()) await nextTurn()
    const first = await pointAt(segment, 0, 0)
    const isSame = first !== undefined && first.epoch === before?.first?.epoch
    if (before !== undefined && !isSame) await searchSegment(before.segment, epochs)
    if (first !== undefined) note(epochs, first.epoch, first.baseOffset)
    before = { segment, first }
  }
  if (before !== undefined) await searchSegment(before.segment, epochs)
  return epochs
}

/** A batch that can be found without a walk. */
interface Point {
  readonly position: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly epoch: number
  /** 0: the first batch; else that of entry `number - 1` of the offset index. */
  readonly number: number
}

function note(epochs: LeaderEpochs, epoch: number, baseOffset: number): void {
  if (epoch > (epochs.latest?.epoch ?? -1)) epochs.assign(epoch, baseOffset)
}

async function searchSegment(segment: Segment, epochs: LeaderEpochs): Promise<void> {
  const first = await pointAt(segment, 0, 0)
  const last = await indexedPoint(segment, segment.offsetIndex.count, first)
  const isBorneOut =
    first !== undefined && last !== undefined && (await bisect(segment, first, last, epochs))
  await walk(segment, isBorneOut ? last : undefined, TO_THE_END, epochs)
}

/** Notes the epochs that begin behind `low` and up to `high`; false where the index is not borne out. */
async function bisect(
  segment: Segment,
  low: Point,
  high: Point,
  epochs: LeaderEpochs,
): Promise<boolean> {
  if (low.epoch === high.epoch) return true
  if (high.number - low.number <= 1) {
    await walk(segment, low, high.position, epochs)
    return true
  }
  const middle = await indexedPoint(segment, (low.number + high.number) >> 1, low)
  if (middle === undefined) return false
  return (
    (await bisect(segment, low, middle, epochs)) && (await bisect(segment, middle, high, epochs))
  )
}

/** The batch of an index entry, or the first one; undefined where it is not there as the entry says. */
async function indexedPoint(
  segment: Segment,
  number: number,
  first: Point | undefined,
): Promise<Point | undefined> {
  if (number === 0) return first
  try {
    const { offsetIndex, baseOffset } = segment
    const point = await pointAt(segment, offsetIndex.positionAt(number - 1), number)
    const isThere = point?.lastOffset === baseOffset + offsetIndex.offsetAt(number - 1)
    return isThere ? point : undefined
  } catch (error) {
    if (error instanceof CorruptLogError) return undefined
    throw error
  }
}

async function pointAt(
  segment: Segment,
  position: number,
  number: number,
): Promise<Point | undefined> {
  const header = await readRange(segment.file, position, BATCH_HEADER_BYTES)
  if (header.length < BATCH_HEADER_BYTES) return undefined
  if (checkBatchHeader(header, 0, segment.sizeBytes - position) !== undefined) return undefined
  return {
    position,
    baseOffset: baseOffsetAt(header, 0),
    lastOffset: lastOffsetAt(header, 0),
    epoch: partitionLeaderEpochAt(header, 0),
    number,
  }
}

/** Notes the epochs of the batches from one on, or all of a segment, past damage, up to the batch at `until`. */
async function walk(
  segment: Segment,
  from: Point | undefined,
  until: number,
  epochs: LeaderEpochs,
): Promise<void> {
  const to = await segment.measure()
  let position = from?.position ?? 0
  let nextOffset = from?.baseOffset ?? segment.baseOffset
  while (position !== -1 && position < to) {
    const range = { from: position, to, nextOffset, crcFrom: Number.POSITIVE_INFINITY }
    const end = await scanBatches(segment.file, range, (buffer, at, position) => {
      note(epochs, partitionLeaderEpochAt(buffer, at), baseOffsetAt(buffer, at))
      return position >= until ? STOP : undefined
    })
    if (end.fault === undefined) return
    nextOffset = end.nextOffset
    const faulty = { position: end.position, to, nextOffset }
    position = await findNextBatch(segment.file, faulty, Number.MAX_SAFE_INTEGER)
  }
}
