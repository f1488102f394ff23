/**
 * Which segments retention takes, as Kafka decides it (`UnifiedLog.deleteOldSegments`): whole segments, oldest first, up to the first
 * that stays. One goes when its largest timestamp is more than `retentionMs` ago, or when the log without it is still at least
 * `retentionBytes` large. None goes that has an offset at or above the high watermark. The last one is active: it goes only by being
 * rolled first, so that an empty segment at the log end carries the offsets on, and only if it is not empty itself.
 */

export interface RetentionSegment {
  readonly baseOffset: number
  readonly sizeBytes: number
  /** Milliseconds since the Unix epoch; where no record has a timestamp, when the file was last modified. */
  readonly largestTimestamp: number
  /** Base offset of the next segment; of the last one, the log end offset. */
  readonly nextOffset: number
}

export interface RetentionLimits {
  /** Milliseconds; -1: no bound. */
  readonly retentionMs: number
  /** Bytes; -1: no bound. */
  readonly retentionBytes: number
  /** Milliseconds since the Unix epoch. */
  readonly now: number
  readonly highWatermark: number
}

export interface RetentionPlan {
  /** All segments go that lie wholly below this offset. */
  readonly deleteBelow: number
  /** The active segment is among them: it has to be rolled before. */
  readonly rollFirst: boolean
}

/** @param segments by rising base offset, the active one last. Undefined: nothing goes. */
export function planRetention(
  segments: readonly RetentionSegment[],
  limits: RetentionLimits,
): RetentionPlan | undefined {
  const { retentionMs, retentionBytes, now, highWatermark } = limits
  let remainingBytes = segments.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  let gone = 0
  for (const segment of segments) {
    const isOld = retentionMs >= 0 && now - segment.largestTimestamp > retentionMs
    const isTooMuch = retentionBytes >= 0 && remainingBytes - segment.sizeBytes >= retentionBytes
    if (!isOld && !isTooMuch) break
    if (segment.nextOffset > highWatermark) break
    if (gone === segments.length - 1 && segment.sizeBytes === 0) break
    remainingBytes -= segment.sizeBytes
    gone += 1
  }
  const last = segments[gone - 1]
  if (last === undefined) return undefined
  return { deleteBelow: last.nextOffset, rollFirst: gone === segments.length }
}
