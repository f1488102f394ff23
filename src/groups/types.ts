/** Public data shapes of consumer groups and their committed offsets. */
import type { Durability, TopicPartition, TopicPartitions } from '../types.ts'

export type { TopicPartitions } from '../types.ts'

/** What a group commits for one partition. */
export interface OffsetCommit extends TopicPartition {
  /** The next offset to be read; a safe integer >= 0. */
  readonly offset: number
  /** Whatever the group wants to remember; at most 4,096 bytes of UTF-8. Default ''. */
  readonly metadata?: string
  /** Leader epoch of the last record read; -1 (the default) where it is not known. */
  readonly leaderEpoch?: number
}

export interface CommittedOffset {
  /** The next offset to be read. */
  readonly offset: number
  readonly metadata: string
  /** -1 where none was given. */
  readonly leaderEpoch: number
  /** When it was committed, milliseconds since the Unix epoch. */
  readonly commitTimestamp: number
}

export interface GroupOffset extends TopicPartition, CommittedOffset {}

export interface CommitAcknowledgement {
  /** The level that this acknowledgement has. */
  readonly durability: Durability
}

/**
 * `Empty`: offsets or metadata, no members. `PreparingRebalance`: members, subscriptions or topics have changed, and it is about to be
 * decided who is to have what. `CompletingRebalance`: partitions are on their way to whom they are to be; the others are read on.
 * `Stable`: members with their assignments; also a group that is known by what is stored of its members. `Dead`: nothing is known of it.
 */
export type GroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable' | 'Dead'

/** What a member told the group when it joined. */
export interface MemberSubscription {
  readonly topics: readonly string[]
  readonly userData: Buffer | null
  readonly ownedPartitions: readonly TopicPartitions[]
  /** -1 where none was given. */
  readonly generation: number
  readonly rack: string | null
}

export interface MemberAssignment {
  readonly partitions: readonly TopicPartitions[]
  readonly userData: Buffer | null
}

export interface GroupMember {
  readonly memberId: string
  /** Set for static members. */
  readonly groupInstanceId: string | null
  readonly clientId: string
  readonly clientHost: string
  /** Milliseconds; -1 where it was not stored. */
  readonly rebalanceTimeoutMs: number
  readonly sessionTimeoutMs: number
  /** Undefined where the group's protocol type is not `consumer`. */
  readonly subscription: MemberSubscription | undefined
  /** What it has. Undefined where the group's protocol type is not `consumer`, or nothing is assigned yet. */
  readonly assignment: MemberAssignment | undefined
}

export interface GroupDescription {
  readonly group: string
  readonly state: GroupState
  /** `consumer`, or '' for a group known by its commits alone. */
  readonly protocolType: string
  /** Rises with every rebalance; -1 for a group known by its commits alone. */
  readonly generation: number
  /** The assignor, or null. */
  readonly protocol: string | null
  /** Member id of the leader, or null. */
  readonly leader: string | null
  readonly members: readonly GroupMember[]
  /** By topic, then partition. */
  readonly offsets: readonly GroupOffset[]
  /** By topic, then partition: those that are there, and for which the group has committed or that a member has. */
  readonly partitions: readonly DescribedPartition[]
  /** As in `GroupLag`. */
  readonly lagRecords: number
  readonly lagMs: number
}

export interface DescribedPartition extends PartitionLag {
  /** Member id of who has it; undefined: nobody. */
  readonly owner: string | undefined
}

/** How far a group is behind in one partition. */
export interface PartitionLag extends TopicPartition {
  /** Undefined where the group has committed nothing there. */
  readonly committedOffset: number | undefined
  readonly logStartOffset: number
  /** Where readers stop: the last stable offset. Kafka's tools count up to the high watermark. */
  readonly endOffset: number
  /**
   * Offsets from the committed one (or the log start, where that is later) to the end. Control records and
   * compacted offsets count, as they do in Kafka. Undefined where nothing is committed.
   */
  readonly lagRecords: number | undefined
  /**
   * How long the first unread record has been waiting: now minus its timestamp, at least 0; 0 where no record
   * is unread. Undefined where nothing is committed.
   */
  readonly lagMs: number | undefined
}

export interface GroupLag {
  readonly group: string
  readonly partitions: readonly PartitionLag[]
  /** Sum over the partitions with a committed offset. */
  readonly lagRecords: number
  /** The greatest of the partitions'; 0 where there is none. */
  readonly lagMs: number
}

/** Where to set a group's offsets. A timestamp is in milliseconds: the first offset whose timestamp is >= it, or the end. */
export type ResetTo =
  | 'earliest'
  | 'latest'
  | { readonly offset: number }
  | { readonly timestamp: number }
