import { randomInt } from 'node:crypto'
import type { PartitionLog } from '../storage/partition-log.ts'
import { ReusedMemory } from '../storage/reused-memory.ts'
import type { Segment } from '../storage/segment.ts'
import { overChanges, SegmentGoneError } from '../storage/segment-gone.ts'
import type { CleanablePart, CleanableSegment } from './cleanable.ts'
import { findCleanable, firstDirtyOffset, isDue } from './cleanable.ts'
import { timestampOf } from './cleaner.ts'
import type { PassEnvironment, PassRange, PassResult } from './compaction-pass.ts'
import { CompactionPass } from './compaction-pass.ts'
import { KeyMap } from './key-map.ts'
import { DamageFoundError, KnownDamage } from './known-damage.ts'
import type { PassContext } from './pass-context.ts'

/** A pass is begun again as often at the most, because of deletions, before it is left to the next time. */
const MOST_TRIES = 20

/** What is cleanable of a partition at this moment; of timestamps only those are read that decide. */
export function describeCleanable(
  partition: PartitionLog,
  environment: PassEnvironment,
  checkpoint: number | undefined,
): Promise<CleanablePart> {
  return overChanges(partition, () => describe(partition, environment, checkpoint))
}

async function describe(
  partition: PartitionLog,
  environment: PassEnvironment,
  checkpoint: number | undefined,
): Promise<CleanablePart> {
  const { config, logStartOffset, logEndOffset } = partition
  const { minCompactionLagMs, maxCompactionLagMs } = config
  const limits = {
    checkpoint,
    logStartOffset,
    logEndOffset,
    stableOffset: partition.settledOffset,
    minCompactionLagMs,
    maxCompactionLagMs,
    now: environment.clock.now(),
  }
  const dirtyOffset = firstDirtyOffset(limits)
  const described: CleanableSegment[] = []
  const { segments } = partition
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1]
    const isDirty = next !== undefined && next.baseOffset > dirtyOffset
    described.push({
      baseOffset: segment.baseOffset,
      sizeBytes: next === undefined ? 0 : await segment.measure(),
      largestTimestamp:
        isDirty && minCompactionLagMs > 0 ? await timestampOf(segment, false, environment) : -1,
      firstTimestamp: isDirty && maxCompactionLagMs >= 0 ? await firstTimestampOf(segment) : -1,
    })
  }
  return findCleanable(described, limits)
}

/** Rolls the active segment where one of its records is due by `maxCompactionLagMs`: only what was rolled can be compacted. */
export async function rollWhereDue(
  partition: PartitionLog,
  { clock }: PassEnvironment,
): Promise<void> {
  const { maxCompactionLagMs } = partition.config
  if (maxCompactionLagMs < 0) return
  const timestamp = await overChanges(partition, () => firstTimestampOf(partition.active))
  if (isDue(timestamp, maxCompactionLagMs, clock.now())) await partition.rollNow()
}

export interface CompactionRequest {
  readonly range: PassRange
  /** Of the map of keys. */
  readonly mapBytes: number
  readonly pace: PassContext['pace']
  /** A pass has ended: up to this offset the partition is clean. */
  passed(endOffset: number): Promise<void>
}

export interface CompactionCounts {
  readonly passes: number
  /** Bytes of the segments that could be compacted. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** Records in them, markers included. */
  readonly recordsBefore: number
  readonly recordsAfter: number
  /** Segments that were left as they are, because they are damaged. */
  readonly damagedSegments: number
}

/** Compacts a partition up to the upper bound, in as many passes as the map of keys makes necessary; at least one. */
export async function compactPartition(
  partition: PartitionLog,
  environment: PassEnvironment,
  request: CompactionRequest,
): Promise<CompactionCounts> {
  const { range, mapBytes, pace, passed } = request
  const { upperBoundOffset } = range
  // A power cut must not take a marker by which older records were removed here.
  const isSynced = partition.syncedOffset >= partition.logEndOffset
  if (partition.producers.size > 0 && !isSynced) await partition.flush()
  const bytesBefore = await bytesBelow(partition, upperBoundOffset)
  const context: PassContext = {
    damage: new KnownDamage(),
    codecs: partition.codecs,
    pace,
    windowMemory: new ReusedMemory(),
    writeMemory: new ReusedMemory(),
  }
  const mostKeys = Math.max(0, upperBoundOffset - range.firstDirtyOffset)
  const keys = new KeyMap(mapBytes, mostKeys, (below) => randomInt(below))
  let passes = 0
  let removed = 0
  let last: PassResult | undefined
  for (let from = range.firstDirtyOffset; last === undefined || from < upperBoundOffset; ) {
    const pass = new CompactionPass(partition, environment, context, keys)
    last = await untilThrough(pass, { firstDirtyOffset: from, upperBoundOffset }, pace)
    from = last.endOffset
    removed += last.recordsRead - last.recordsKept
    passes += 1
    await passed(from)
  }
  return {
    passes,
    bytesBefore,
    bytesAfter: await bytesBelow(partition, upperBoundOffset),
    recordsBefore: last.recordsKept + removed,
    recordsAfter: last.recordsKept,
    damagedSegments: context.damage.size,
  }
}

/**
 * Damage that a pass comes upon, and segments that are deleted under it, make it begin again; because of damage as often as there is
 * some that was not known before.
 */
async function untilThrough(
  pass: CompactionPass,
  range: PassRange,
  pace: PassContext['pace'],
): Promise<PassResult> {
  for (let tries = 1; ; ) {
    try {
      return await pass.run(range)
    } catch (error) {
      if (error instanceof SegmentGoneError) tries += 1
      else if (!(error instanceof DamageFoundError)) throw error
      if (tries > MOST_TRIES) throw error
      await pace(0)
    }
  }
}

async function firstTimestampOf(segment: Segment): Promise<number> {
  if ((await segment.measure()) === 0) return -1
  while (!segment.file.isReady()) await segment.file.ready()
  return segment.firstTimestamp
}

function bytesBelow(partition: PartitionLog, offset: number): Promise<number> {
  return overChanges(partition, () => sumBelow(partition.segments, offset))
}

async function sumBelow(segments: readonly Segment[], offset: number): Promise<number> {
  let bytes = 0
  for (const [index, segment] of segments.entries()) {
    const next = segments[index + 1]
    if (next !== undefined && next.baseOffset <= offset) bytes += await segment.measure()
  }
  return bytes
}
