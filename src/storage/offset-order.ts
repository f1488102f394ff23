/**
 * Whether a batch has the offsets that it says. Its base offset is not under its checksum, so a flipped bit there gives a batch that
 * passes every check and claims offsets of those behind it; believed, it would take all of them for out of order. Where only headers
 * are looked at, the same goes for the last offset.
 *
 * Suspected is a batch that does not begin where the one before it ended, or that has fewer records than offsets: both are rare in a
 * log that was not compacted. It is found guilty where the batch behind it is whole, its checksum included, and begins within
 * what the suspect claims, but not below where the one before it ended.
 */
import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  batchSizeAt,
  checkBatch,
  checkBatchHeader,
  countAt,
  lastOffsetAt,
} from '../codec/batch.ts'

/** Nothing speaks against the offsets. */
export const OFFSETS_SOUND = 0
/** The batch claims offsets that belong to the one behind it. */
export const OFFSETS_FALSE = -1

/**
 * Judges the batch at `at`, whose header is sound and which lies whole in the buffer or not; `available` bytes are there from it to
 * the end of the file. `OFFSETS_SOUND`, `OFFSETS_FALSE`, or the number of bytes from `at` on that have to be in the buffer to tell.
 * @param nextOffset where the batch before it ended, or something below that.
 */
export function judgeOffsets(
  buffer: Buffer,
  at: number,
  available: number,
  nextOffset: number,
): number {
  const lastOffset = lastOffsetAt(buffer, at)
  const baseOffset = baseOffsetAt(buffer, at)
  const isSuspect = baseOffset > nextOffset || countAt(buffer, at) !== lastOffset - baseOffset + 1
  if (!isSuspect) return OFFSETS_SOUND
  const sizeBytes = batchSizeAt(buffer, at)
  const left = available - sizeBytes
  if (left < BATCH_HEADER_BYTES) return OFFSETS_SOUND
  const next = at + sizeBytes
  if (next + BATCH_HEADER_BYTES > buffer.length) return sizeBytes + BATCH_HEADER_BYTES
  if (checkBatchHeader(buffer, next, left) !== undefined) return OFFSETS_SOUND
  const nextBase = baseOffsetAt(buffer, next)
  if (nextBase > lastOffset || nextBase < nextOffset) return OFFSETS_SOUND
  const nextSizeBytes = batchSizeAt(buffer, next)
  if (next + nextSizeBytes > buffer.length) return sizeBytes + nextSizeBytes
  const isWhole = checkBatch(buffer, next, nextSizeBytes) === undefined
  return isWhole ? OFFSETS_FALSE : OFFSETS_SOUND
}
