import type { ConsumedRecord } from '../groups/consumer/page-source.ts'
import { deadLetterHeaders } from '../groups/consumer/run/dead-letters.ts'
import { isCompacted } from '../options.ts'
import type { RawRecord } from '../topics/raw-records.ts'
import { rawRecordOf } from '../topics/raw-records.ts'
import type { Topic } from '../topics/topic.ts'
import { refuseInternal } from './group-offsets.ts'
import type { TopicRegistry } from './topic-registry.ts'

/** Throws what is wrong with a dead-letter topic: `UNKNOWN_TOPIC`, or a `TypeError`. */
export function checkDeadLetterTopic(topics: TopicRegistry, name: string): void {
  refuseInternal(name, 'a dead-letter topic')
  if (isCompacted(topics.get(name).config)) {
    throw new TypeError(
      `${name} cannot be a dead-letter topic: it is compacted, and keeps only the last one of a key`,
    )
  }
}

export interface DeadLetter {
  readonly topic: Topic
  readonly partition: number
  readonly letter: RawRecord
}

/** The dead letter of a record, and where it goes. */
export async function deadLetterOf(
  topics: TopicRegistry,
  group: string,
  name: string,
  record: ConsumedRecord<unknown, unknown>,
  error: unknown,
): Promise<DeadLetter> {
  const { key, value } = await rawRecordOf(topics.find(record.topic), record)
  const headers = deadLetterHeaders(record.headers, record, group, error)
  const topic = topics.get(name)
  // Those of one partition stay in their order.
  const partition = record.partition % topic.partitions.length
  return { topic, partition, letter: { key, value, headers, timestamp: undefined } }
}
