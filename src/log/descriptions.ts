import type { PartitionLog } from '../storage/partition-log.ts'
import { isInternalTopic } from '../topics/internal-topics.ts'
import type { PartitionDescription, TopicDescription } from '../types.ts'
import type { TopicRegistry } from './topic-registry.ts'

/** What a topic is at this moment. Throws LogError UNKNOWN_TOPIC. */
export async function describeTopic(
  topics: TopicRegistry,
  name: string,
  readOnly: boolean,
): Promise<TopicDescription> {
  const topic = topics.get(name)
  const stored = topics.store.get(name)
  return {
    name,
    topicId: topic.topicId,
    internal: isInternalTopic(name),
    key: stored?.key ?? topic.codec.key,
    serializer: stored?.serializer ?? topic.codec.serializer.name,
    config: { ...topic.config },
    partitions: await Promise.all(
      topic.partitions.map((each) => describePartition(each, readOnly)),
    ),
  }
}

/** The sizes of files not opened yet are asked of the disk. */
async function describePartition(
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
