import type { TopicPartition } from '../types.ts'
import { comparePartitions } from '../util/compare.ts'
import type { GroupMetadata } from './group-metadata-format.ts'
import type { GroupDescription, GroupMember, GroupOffset, GroupState } from './types.ts'

/** A group without what its partitions themselves say. */
export type KnownGroup = Omit<GroupDescription, 'partitions' | 'lagRecords' | 'lagMs'>

/**
 * Describes a group by what is stored of it. `metadata` is undefined for a group known by its commits alone,
 * `offsets` for one of which nothing is known.
 */
export function describeGroup(
  group: string,
  metadata: GroupMetadata | undefined,
  offsets: readonly GroupOffset[] | undefined,
): KnownGroup {
  return {
    group,
    state: stateOf(metadata, offsets),
    protocolType: metadata?.protocolType ?? '',
    generation: metadata?.generation ?? -1,
    protocol: metadata?.protocol ?? null,
    leader: metadata?.leader ?? null,
    members: metadata?.members ?? [],
    offsets: offsets ?? [],
  }
}

/** Kafka's rule for a group that it loads: with members it is stable. */
function stateOf(
  metadata: GroupMetadata | undefined,
  offsets: readonly GroupOffset[] | undefined,
): GroupState {
  if (metadata !== undefined && metadata.members.length > 0) return 'Stable'
  return metadata === undefined && offsets === undefined ? 'Dead' : 'Empty'
}

/** A partition that a member has. */
export interface OwnedPartition extends TopicPartition {
  readonly memberId: string
}

/** By `<topic>-<partition>`. */
export function ownersOf(members: readonly GroupMember[]): Map<string, OwnedPartition> {
  const owners = new Map<string, OwnedPartition>()
  for (const { memberId, assignment } of members) {
    for (const { topic, partitions } of assignment?.partitions ?? []) {
      for (const partition of partitions) {
        owners.set(`${topic}-${partition}`, { topic, partition, memberId })
      }
    }
  }
  return owners
}

/** Where a group is in a partition. */
export interface GroupPosition extends TopicPartition {
  /** Undefined where it has committed nothing there. */
  readonly offset: number | undefined
}

/** Where the group has committed, and what a member has. */
export function positionsOf(
  offsets: readonly GroupOffset[],
  owners: ReadonlyMap<string, OwnedPartition>,
): GroupPosition[] {
  const positions = new Map<string, GroupPosition>()
  for (const [name, { topic, partition }] of owners) {
    positions.set(name, { topic, partition, offset: undefined })
  }
  for (const each of offsets) positions.set(`${each.topic}-${each.partition}`, each)
  return [...positions.values()].sort(comparePartitions)
}
