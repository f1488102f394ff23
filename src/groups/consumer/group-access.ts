import type { PartitionLog } from '../../storage/partition-log.ts'
import type { Topic } from '../../topics/topic.ts'
import type { Clock, TopicPartition } from '../../types.ts'
import type { GroupCoordinator, Joining, MemberListener, Membership } from '../coordinator.ts'
import type { CommittedOffset, OffsetCommit } from '../types.ts'
import type { DeliveryCounts } from './delivery-counts.ts'
import type { ConsumedRecord } from './page-source.ts'

/** Who is told when topics were made or deleted, or have got more partitions. */
export interface TopicFollower {
  topicsChanged(): void
}

/** A consumer's group, as the log serves it. */
export interface GroupAccess {
  readonly group: string
  readonly clock: Clock
  readonly deliveries: DeliveryCounts
  /** Where the group has begun partitions for which nothing was committed, since it is at work. */
  readonly starts: WeakMap<PartitionLog, number>
  /** There once a consumer has joined. */
  readonly coordinator: GroupCoordinator
  /** Throws a `TypeError` where the group is at work with another assignor. */
  join(joining: Joining, listener: MemberListener): Membership
  /** Names of topics that are there, of which patterns find some: internal ones never. */
  topicsOf(subscription: readonly (string | RegExp)[]): string[]
  findTopic(name: string): Topic | undefined
  /** The partition has come while the group was at work. */
  hasSeenMade(partition: TopicPartition): boolean
  /** Resolves when no transaction is about to commit for the partition; undefined where none is. */
  decided(partition: TopicPartition): Promise<void> | undefined
  committed(partition: TopicPartition): CommittedOffset | undefined
  commit(commits: readonly OffsetCommit[]): Promise<unknown>
  /** Throws what is wrong with a dead-letter topic: `UNKNOWN_TOPIC`, or a `TypeError`. */
  checkDeadLetterTopic(name: string): void
  /** Appends a record to a dead-letter topic; resolves once it is acknowledged at that topic's durability. */
  appendDeadLetter(
    name: string,
    record: ConsumedRecord<unknown, unknown>,
    error: unknown,
  ): Promise<void>
  follow(follower: TopicFollower): void
  unfollow(follower: TopicFollower): void
  /** Told through the log's `failure`. It must not throw. */
  failed(error: Error): void
}
