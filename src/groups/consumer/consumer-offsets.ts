import type { Topic } from '../../topics/topic.ts'
import type { TopicPartition } from '../../types.ts'
import { wrongType } from '../../util/check.ts'
import type { OffsetCommit } from '../types.ts'

/** What a transaction that commits for a consumer needs of it. */
export interface ConsumerOffsets {
  readonly group: string
  /** As the consumer's log has it. */
  findTopic(name: string): Topic | undefined
  /** Throws `FENCED` for what is not the consumer's own (any more). Answers with what throws it once that has changed: to be asked when the transaction commits. */
  own(partitions: readonly TopicPartition[]): () => void
  /** They are committed: told to who listens. */
  committed(commits: readonly OffsetCommit[]): void
}

const OFFSETS = new WeakMap<object, ConsumerOffsets>()

/** Of the consumer itself, when it is made. */
export function offerOffsets(consumer: object, offsets: ConsumerOffsets): void {
  OFFSETS.set(consumer, offsets)
}

/** Throws a `TypeError` for what is no consumer. */
export function consumerOffsets(consumer: unknown): ConsumerOffsets {
  const isObject = typeof consumer === 'object' && consumer !== null
  const offsets = isObject ? OFFSETS.get(consumer) : undefined
  if (offsets !== undefined) return offsets
  throw wrongType('group', consumer, 'a name, or a consumer')
}
