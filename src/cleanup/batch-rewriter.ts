import type { BatchHeader } from '../codec/batch.ts'
import { BATCH_HEADER_BYTES, CODEC_MASK, DELETE_HORIZON_BIT } from '../codec/batch.ts'
import type { Codecs } from '../codec/codecs.ts'
import { shiftedBytes, shiftTimestamps } from '../codec/timestamp-shift.ts'

/** The fields of a batch's header that change when some of its records go. */
export interface RewrittenBatch {
  readonly attributes: number
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly count: number
  /** Behind the header, compressed as they were. */
  readonly records: Buffer
}

const NOTHING = Buffer.alloc(0)
const NO_TIMESTAMP = -1

/** Records of a batch that stay, without compression. */
export interface KeptRecords {
  readonly records: Buffer
  readonly count: number
  readonly maxTimestamp: number
}

/**
 * A batch with fewer records than it had, or with a delete horizon that it had not. Their timestamps are then relative to the horizon;
 * with append time all have the batch's, whatever their deltas say.
 * @param horizon of the batch from now on; undefined: it stays as it is.
 */
export async function rewriteBatch(
  header: BatchHeader,
  kept: KeptRecords,
  horizon: number | undefined,
  codecs: Pick<Codecs, 'compress'>,
): Promise<RewrittenBatch> {
  const { attributes, baseTimestamp, codec, isLogAppendTime } = header
  const { count, maxTimestamp } = kept
  if (horizon === undefined) {
    const records = await codecs.compress(codec, kept.records)
    return { attributes, baseTimestamp, maxTimestamp, count, records }
  }
  const plain = isLogAppendTime
    ? kept.records
    : shifted(kept.records, count, baseTimestamp - horizon)
  return {
    attributes: attributes | DELETE_HORIZON_BIT,
    baseTimestamp: horizon,
    maxTimestamp,
    count,
    records: await codecs.compress(codec, plain),
  }
}

/** A batch that has lost all of its records: offsets, producer and greatest timestamp are what its header still tells. */
export function emptyBatch({ attributes, maxTimestamp }: BatchHeader): RewrittenBatch {
  return {
    attributes: attributes & ~(CODEC_MASK | DELETE_HORIZON_BIT),
    baseTimestamp: NO_TIMESTAMP,
    maxTimestamp,
    count: 0,
    records: NOTHING,
  }
}

export function sizeOf({ records }: RewrittenBatch): number {
  return BATCH_HEADER_BYTES + records.length
}

function shifted(records: Buffer, count: number, shiftMs: number): Buffer {
  const target = Buffer.allocUnsafe(shiftedBytes(records.length, count))
  const bytes = shiftTimestamps(records, 0, records.length, shiftMs, target)
  return target.subarray(0, bytes)
}
