import { isRetentionBound } from '../options.ts'
import type { StorageEnvironment } from '../storage/environment.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Segment } from '../storage/segment.ts'
import { overChanges } from '../storage/segment-gone.ts'
import { greatestTimestamp } from '../storage/time-lookup.ts'
import type { RetentionLimits, RetentionSegment } from './retention.ts'
import { planRetention } from './retention.ts'

export type CleanerEnvironment = Pick<StorageEnvironment, 'clock' | 'fileSystem' | 'readOnly'>

/** A segment whose timestamp nobody has asked for is as good as one of the far future. */
const NOT_ASKED = Number.POSITIVE_INFINITY

/**
 * Deletes the segments of a partition that its configuration keeps no longer; answers with their number. Without a limit it does
 * nothing at all, and of the timestamps it reads only those that decide. A partition that is closed to writes is left as it is.
 *
 * Order: where all go, the roll first (its commit point is its own), then the deletion, oldest first. Killed in between, an empty
 * segment stands at the log end and the next run deletes the rest. Records that arrive between the decision and the roll stay: the
 * segment that they are in then reaches beyond what was decided.
 *
 * Rejects with what the disk said.
 */
export async function applyRetention(
  partition: PartitionLog,
  environment: CleanerEnvironment,
): Promise<number> {
  const { retentionMs, retentionBytes } = partition.config
  if (!isRetentionBound(partition.config)) return 0
  if (retentionMs < 0 && retentionBytes < 0) return 0
  if (environment.readOnly || partition.failure !== undefined) return 0
  const { highWatermark } = partition
  const limits = { retentionMs, retentionBytes, now: environment.clock.now(), highWatermark }
  const plan = planRetention(await describeSegments(partition, environment, limits), limits)
  if (plan === undefined) return 0
  if (plan.rollFirst) await partition.rollNow()
  return partition.deleteSegmentsBelow(plan.deleteBelow)
}

/** The segments with all that the decision will look at. */
function describeSegments(
  partition: PartitionLog,
  environment: CleanerEnvironment,
  limits: RetentionLimits,
): Promise<RetentionSegment[]> {
  return overChanges(partition, () => describe(partition, environment, limits))
}

async function describe(
  partition: PartitionLog,
  environment: CleanerEnvironment,
  limits: RetentionLimits,
): Promise<RetentionSegment[]> {
  const segments = [...partition.segments]
  const { logEndOffset } = partition
  const described: RetentionSegment[] = []
  for (const [index, segment] of segments.entries()) {
    described.push({
      baseOffset: segment.baseOffset,
      sizeBytes: await sizeFor(segment, segment === segments.at(-1), limits),
      largestTimestamp: NOT_ASKED,
      nextOffset: segments[index + 1]?.baseOffset ?? logEndOffset,
    })
  }
  await addTimestamps(described, segments, environment, limits)
  return described
}

/** Without a bound in bytes only the active segment's size decides anything. */
async function sizeFor(
  segment: Segment,
  isActive: boolean,
  { retentionBytes }: RetentionLimits,
): Promise<number> {
  return isActive || retentionBytes >= 0 ? await segment.measure() : 0
}

/** From the first segment that its size does not take, up to the first that is young enough to stay. */
async function addTimestamps(
  described: RetentionSegment[],
  segments: readonly Segment[],
  environment: CleanerEnvironment,
  limits: RetentionLimits,
): Promise<void> {
  const { retentionMs, now } = limits
  if (retentionMs < 0) return
  const bySize = planRetention(described, limits)?.deleteBelow ?? -1
  for (const [index, each] of described.entries()) {
    const segment = segments[index]
    if (segment === undefined || each.nextOffset <= bySize) continue
    const isActive = index === segments.length - 1
    const largestTimestamp = await timestampOf(segment, isActive, environment)
    described[index] = { ...each, largestTimestamp }
    if (now - largestTimestamp <= retentionMs) return
  }
}

/**
 * The greatest timestamp of a segment; where no record has one, when its file was last modified. One of which compaction has left nothing is
 * as old as can be: nothing keeps it.
 */
export async function timestampOf(
  segment: Segment,
  isActive: boolean,
  { fileSystem }: Pick<CleanerEnvironment, 'fileSystem'>,
): Promise<number> {
  const timestamp = isActive ? segment.maxTimestamp : await greatestTimestamp(segment)
  if (timestamp >= 0) return timestamp
  if (!isActive && (await segment.measure()) === 0) return 0
  return (await fileSystem.stat(segment.file.path))?.modifiedMs ?? NOT_ASKED
}
