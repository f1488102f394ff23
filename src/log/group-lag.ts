import type { GroupPosition } from '../groups/group-description.ts'
import type { LagInput } from '../groups/lag.ts'
import { firstUnreadOffset } from '../groups/lag.ts'
import { resolveFetchOptions } from '../options.ts'
import { fetch } from '../topics/fetcher.ts'
import type { Topic } from '../topics/topic.ts'
import type { Clock } from '../types.ts'
import type { TopicRegistry } from './topic-registry.ts'

/** What the lag is computed from, of the partitions that are there. */
export async function lagInputs(
  topics: TopicRegistry,
  positions: readonly GroupPosition[],
  clock: Clock,
): Promise<LagInput[]> {
  const inputs: LagInput[] = []
  for (const { topic: name, partition, offset: committedOffset } of positions) {
    const topic = topics.find(name)
    const log = topic?.partitions[partition]
    if (topic === undefined || log === undefined) continue
    const { logStartOffset, lastStableOffset: endOffset } = log
    const firstUnreadTimestamp =
      committedOffset === undefined
        ? undefined
        : await timestampAt(
            topic,
            partition,
            firstUnreadOffset(committedOffset, logStartOffset),
            clock,
          )
    inputs.push({
      topic: name,
      partition,
      committedOffset,
      logStartOffset,
      endOffset,
      firstUnreadTimestamp,
    })
  }
  return inputs
}

async function timestampAt(
  topic: Topic,
  partition: number,
  offset: number,
  clock: Clock,
): Promise<number | undefined> {
  if (offset >= topic.partition(partition).lastStableOffset) return undefined
  const options = resolveFetchOptions({ partition, offset, maxRecords: 1, onCorrupt: 'skip' })
  const { records } = await fetch(topic, options, clock)
  return records[0]?.timestamp
}
