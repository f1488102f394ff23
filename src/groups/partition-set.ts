import type { TopicPartition } from '../types.ts'
import type { TopicPartitions } from './types.ts'

/** `<topic>-<partition>` to the partition. */
export type PartitionSet = ReadonlyMap<string, TopicPartition>

export const NO_PARTITIONS: PartitionSet = new Map()

export function partitionSet(topics: readonly TopicPartitions[]): PartitionSet {
  const set = new Map<string, TopicPartition>()
  for (const { topic, partitions } of topics) {
    for (const partition of partitions) set.set(`${topic}-${partition}`, { topic, partition })
  }
  return set
}

/** In the order in which they stand. */
export function byTopic(all: Iterable<TopicPartition>): TopicPartitions[] {
  const topics = new Map<string, number[]>()
  for (const { topic, partition } of all) {
    const partitions = topics.get(topic)
    if (partitions === undefined) topics.set(topic, [partition])
    else partitions.push(partition)
  }
  return [...topics].map(([topic, partitions]) => ({ topic, partitions }))
}

export function without(set: PartitionSet, partitions: readonly TopicPartition[]): PartitionSet {
  const rest = new Map(set)
  for (const { topic, partition } of partitions) rest.delete(`${topic}-${partition}`)
  return rest
}
