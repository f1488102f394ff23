import type { PartitionLog } from '../storage/partition-log.ts'
import type { PartitionDescription } from '../types.ts'

/** What a partition is at this moment; the sizes of files not opened yet are asked of the disk. */
export async function describePartition(
  log: PartitionLog,
  readOnly: boolean,
): Promise<PartitionDescription> {
  const epochs = await log.epochs()
  return {
    partition: log.partition,
    logStartOffset: log.logStartOffset,
    highWatermark: log.highWatermark,
    logEndOffset: log.logEndOffset,
    leaderEpoch: epochs.current(log.logEndOffset),
    segments: log.segments.length,
    sizeBytes: await log.sizeBytes(),
    writable: !readOnly && log.failure === undefined,
  }
}
