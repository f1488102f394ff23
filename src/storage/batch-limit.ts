import { BATCH_HEADER_BYTES } from '../codec/batch.ts'
import { BatchEncoder } from '../codec/batch-encoder.ts'
import type { RecordSet } from '../codec/record-set.ts'
import { MessageTooLargeError } from '../errors.ts'
import type { TopicConfig } from '../types.ts'

type Limits = Pick<TopicConfig, 'maxMessageBytes' | 'segmentBytes' | 'timestampType'>

/** A batch is never larger, before it is compressed. `markerBytes`: what goes behind it into the same segment. */
export function largestBatchBytes(
  { maxMessageBytes, segmentBytes }: Limits,
  markerBytes = 0,
): number {
  return Math.min(maxMessageBytes, segmentBytes - markerBytes)
}

/**
 * Throws `MessageTooLargeError` where the records do not fit into one batch. They are encoded to learn their size, so it is for those whose
 * bound is above the largest batch.
 * @param boundBytes at least what they take, header of the batch apart.
 * @param now the timestamp of records without one.
 * @param markerBytes what goes behind them into the same segment.
 */
export function requireFits(
  where: string,
  set: RecordSet,
  boundBytes: number,
  now: number,
  limits: Limits,
  markerBytes = 0,
): void {
  const scratch = Buffer.allocUnsafe(boundBytes + BATCH_HEADER_BYTES)
  const encoder = new BatchEncoder()
  encoder.begin(scratch, 0)
  encoder.add(set, now, limits.timestampType, scratch.length)
  const { maxMessageBytes, segmentBytes } = limits
  if (encoder.end > maxMessageBytes) {
    throw new MessageTooLargeError(where, encoder.end, 'maxMessageBytes', maxMessageBytes)
  }
  const bytes = encoder.end + markerBytes
  if (bytes > segmentBytes)
    throw new MessageTooLargeError(where, bytes, 'segmentBytes', segmentBytes)
}
