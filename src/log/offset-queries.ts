import { OffsetOutOfRangeError } from '../errors.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { EpochEndOffset, StableOffset } from '../types.ts'
import { checkFields, checkInteger, MAX_INT32, wrongType } from '../util/check.ts'
import { refuseInternal } from './group-offsets.ts'
import type { TopicRegistry } from './topic-registry.ts'

const LOOKUP_FIELDS: ReadonlySet<string> = new Set(['partition', 'timestamp'])
const EPOCH_FIELDS: ReadonlySet<string> = new Set(['partition', 'leaderEpoch'])
const DELETION_FIELDS: ReadonlySet<string> = new Set(['partition', 'before'])

/** See `Log.offsetForTimestamp`. */
export async function offsetForTimestamp(
  topics: TopicRegistry,
  topic: string,
  at: { readonly partition: number; readonly timestamp: number },
): Promise<number | undefined> {
  const { partition, timestamp } = checkFields('offsetForTimestamp', at, LOOKUP_FIELDS)
  checkInteger('timestamp', timestamp, 0)
  return await topics.get(topic).partition(partition).offsetForTime(timestamp)
}

/** See `Log.endOffsetForEpoch`. */
export async function endOffsetForEpoch(
  topics: TopicRegistry,
  topic: string,
  at: { readonly partition: number; readonly leaderEpoch: number },
): Promise<EpochEndOffset | undefined> {
  const { partition, leaderEpoch } = checkFields('endOffsetForEpoch', at, EPOCH_FIELDS)
  checkInteger('leaderEpoch', leaderEpoch, -1, MAX_INT32)
  const log = topics.get(topic).partition(partition)
  const epochs = await log.epochs()
  return epochs.endOffsetFor(leaderEpoch, log.logEndOffset)
}

/** See `Log.stableOffsets`. */
export function stableOffsets(topics: TopicRegistry, names: readonly string[]): StableOffset[] {
  if (!Array.isArray(names)) throw wrongType('topics', names, 'an array of names')
  return names.flatMap((topic) =>
    topics.get(topic).partitions.map(({ partition, lastStableOffset }) => ({
      topic,
      partition,
      lastStableOffset,
    })),
  )
}

/** What `Log.deleteRecords` is to delete: the records of a partition below an offset that its readers have come to. */
export function checkDeletion(
  topics: TopicRegistry,
  topic: string,
  records: { readonly partition: number; readonly before: number },
): { readonly log: PartitionLog; readonly before: number } {
  const { partition, before } = checkFields('deleteRecords', records, DELETION_FIELDS)
  refuseInternal(topic, 'shortened')
  const log = topics.get(topic).partition(partition)
  checkInteger('before', before, 0)
  if (before > log.highWatermark) {
    throw new OffsetOutOfRangeError(log.name, before, log.logStartOffset, log.highWatermark)
  }
  return { log, before }
}
