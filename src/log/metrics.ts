import type { GroupCounts, LogSignals } from '../groups/consumer/signals.ts'
import { firstUnreadOffset } from '../groups/lag.ts'
import type { OffsetStore } from '../groups/offset-store.ts'
import type { GroupOffset } from '../groups/types.ts'
import type { RecordCount } from '../storage/append-target.ts'
import { isInternalTopic } from '../topics/internal-topics.ts'
import type { Topic } from '../topics/topic.ts'

/** What a log has done since it was opened, and where its groups are. Counters only rise; a topic that is deleted takes its own with it. */
export interface LogMetrics {
  /** By name; internal topics left out. */
  readonly topics: Readonly<Record<string, TopicMetrics>>
  /** By group: those that have committed, and those that have, or had, consumers here. */
  readonly groups: Readonly<Record<string, GroupMetrics>>
}

export interface TopicMetrics {
  /** Written, whether readers see it yet or not; bytes of batches, compressed. */
  readonly produced: Readonly<RecordCount>
  /** Handed to `fetch`, `read` and consumers; bytes of the pages that were read. */
  readonly fetched: Readonly<RecordCount>
}

export interface GroupMetrics extends GroupCounts {
  /** Offsets from the committed ones to the last stable offset, where the group has committed: see `Log.lag`. */
  readonly lagRecords: number
}

export interface MetricsSources {
  readonly topics: readonly Topic[]
  /** Undefined: nothing is committed. */
  readonly offsets: OffsetStore | undefined
  readonly signals: LogSignals
}

const NOTHING: GroupCounts = {
  members: 0,
  generation: -1,
  records: 0,
  bytes: 0,
  commits: 0,
  retries: 0,
  deadLetters: 0,
  skipped: 0,
  rebalances: 0,
}

/** A copy: nothing of it changes later. */
export function logMetrics({ topics, offsets, signals }: MetricsSources): LogMetrics {
  const byName = new Map(topics.map((topic) => [topic.name, topic]))
  const counted = signals.groups()
  const names = new Set([...(offsets?.groups() ?? []), ...counted.keys()])
  const countsOf = (group: string): GroupCounts => {
    const counts = counted.get(group)?.metrics() ?? NOTHING
    // Before its first rebalance here, what is stored says more.
    return {
      ...counts,
      generation: Math.max(counts.generation, offsets?.generationOf(group) ?? -1),
    }
  }
  const lagOf = (group: string): number =>
    (offsets?.offsetsOf(group) ?? []).reduce((sum, each) => sum + lagRecords(byName, each), 0)
  return {
    topics: Object.fromEntries(
      topics
        .filter(({ name }) => !isInternalTopic(name))
        .map((topic) => [topic.name, topicMetrics(topic)]),
    ),
    groups: Object.fromEntries(
      [...names].map((group) => [group, { ...countsOf(group), lagRecords: lagOf(group) }]),
    ),
  }
}

function topicMetrics({ partitions, fetched }: Topic): TopicMetrics {
  const produced = { records: 0, bytes: 0 }
  for (const { appended } of partitions) {
    produced.records += appended.records
    produced.bytes += appended.bytes
  }
  return { produced, fetched: { ...fetched } }
}

function lagRecords(
  topics: ReadonlyMap<string, Topic>,
  { topic, partition, offset }: GroupOffset,
): number {
  const log = topics.get(topic)?.partitions[partition]
  if (log === undefined) return 0
  return Math.max(0, log.lastStableOffset - firstUnreadOffset(offset, log.logStartOffset))
}
