/**
 * What of a partition can be compacted, and whether it is worth it, as Kafka decides it (`LogCleanerManager`, `LogToClean`). Pure.
 *
 *   | clean                | dirty, to be compacted | not to be compacted yet | active |
 *   first segment          firstDirtyOffset         upperBoundOffset          log end
 *
 * The dirty part ends with the last whole segment that is below the first undecided transaction and the high watermark, and older than
 * `minCompactionLagMs`. It is compacted when more than `minCleanableDirtyRatio` of the bytes before that end are dirty, or when
 * `maxCompactionLagMs` have passed since one of its segments began.
 */

export interface CleanableSegment {
  readonly baseOffset: number
  readonly sizeBytes: number
  /** Milliseconds since the Unix epoch; of a segment without timestamps, when its file was last modified. */
  readonly largestTimestamp: number
  /** Of the first batch; -1 where there is none. */
  readonly firstTimestamp: number
}

export interface CleanableLimits {
  /** Up to where it was compacted before, as the checkpoint has it; undefined: never. */
  readonly checkpoint: number | undefined
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** The least of what bounds it: the high watermark, and where the first undecided transaction begins. */
  readonly stableOffset: number
  readonly minCompactionLagMs: number
  /** -1: none. */
  readonly maxCompactionLagMs: number
  readonly now: number
}

export interface CleanablePart {
  readonly firstDirtyOffset: number
  /** Base offset of the first segment that stays as it is. */
  readonly upperBoundOffset: number
  /** Of the segments before the upper bound. */
  readonly totalBytes: number
  readonly dirtyBytes: number
  /** Some of it is older than `maxCompactionLagMs`. */
  readonly isOverdue: boolean
}

/**
 * Where the dirty part begins. A checkpoint outside of the log says nothing: below its start records were deleted since, above its end
 * some were lost.
 */
export function firstDirtyOffset({
  checkpoint,
  logStartOffset,
  logEndOffset,
}: Pick<CleanableLimits, 'checkpoint' | 'logStartOffset' | 'logEndOffset'>): number {
  if (checkpoint === undefined || checkpoint > logEndOffset) return logStartOffset
  return Math.max(checkpoint, logStartOffset)
}

/** @param segments by rising base offset, the active one last. */
export function findCleanable(
  segments: readonly CleanableSegment[],
  limits: CleanableLimits,
): CleanablePart {
  const { stableOffset, minCompactionLagMs, maxCompactionLagMs, now } = limits
  const dirtyOffset = firstDirtyOffset(limits)
  let totalBytes = 0
  let dirtyBytes = 0
  let upperBoundOffset = segments[0]?.baseOffset ?? 0
  let isOverdue = false
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1]
    if (next === undefined || next.baseOffset > stableOffset) break
    const isDirty = next.baseOffset > dirtyOffset
    const isYoung = minCompactionLagMs > 0 && segment.largestTimestamp > now - minCompactionLagMs
    if (isDirty && isYoung) break
    upperBoundOffset = next.baseOffset
    totalBytes += segment.sizeBytes
    // A segment in which the last pass came to the end of its map counts whole.
    if (isDirty) dirtyBytes += segment.sizeBytes
    isOverdue ||= isDirty && isDue(segment.firstTimestamp, maxCompactionLagMs, now)
  }
  return { firstDirtyOffset: dirtyOffset, upperBoundOffset, totalBytes, dirtyBytes, isOverdue }
}

/** Records that were written at this time have to be compacted by now. */
export function isDue(timestamp: number, maxCompactionLagMs: number, now: number): boolean {
  return maxCompactionLagMs >= 0 && timestamp > 0 && timestamp < now - maxCompactionLagMs
}

/** 0 to 1. */
export function dirtyRatio({ dirtyBytes, totalBytes }: CleanablePart): number {
  return totalBytes === 0 ? 0 : dirtyBytes / totalBytes
}

/** Whether it is to be compacted in the background. */
export function isWorthCleaning(part: CleanablePart, minCleanableDirtyRatio: number): boolean {
  if (part.upperBoundOffset <= part.firstDirtyOffset) return false
  return part.isOverdue || dirtyRatio(part) > minCleanableDirtyRatio
}
