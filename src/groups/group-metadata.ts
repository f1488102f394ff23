/** Between a group at work and what is stored of it. Pure. */
import { comparePartitions } from '../util/compare.ts'
import type { GroupMetadata } from './group-metadata-format.ts'
import { CONSUMER_PROTOCOL } from './group-metadata-format.ts'
import type { GroupMemberState, GroupState } from './group-state.ts'
import { EMPTY_GROUP } from './group-state.ts'
import type { PartitionSet } from './partition-set.ts'
import { byTopic, NO_PARTITIONS, partitionSet } from './partition-set.ts'
import type { GroupMember, TopicPartitions } from './types.ts'

const MAX_INT32 = 2 ** 31 - 1
/** As a broker writes a member's address: it is in this process. */
const CLIENT_HOST = '/127.0.0.1'

/**
 * What is stored of a group: each member with what it is to have, as Kafka's coordinator stores what was assigned. A static member that
 * comes back finds it there.
 *
 * @param assignor its name
 * @param timestamp since when the group is like this, in milliseconds
 */
export function metadataOf(state: GroupState, assignor: string, timestamp: number): GroupMetadata {
  const members = [...state.members.values()].map((member) =>
    describeMember(member, state.epoch, state.target.get(member.memberId) ?? NO_PARTITIONS),
  )
  const leader = members[0]?.memberId ?? null
  return {
    protocolType: CONSUMER_PROTOCOL,
    generation: state.epoch,
    protocol: leader === null ? null : assignor,
    leader,
    currentStateTimestamp: timestamp,
    members,
  }
}

export function describeMember(
  member: GroupMemberState,
  generation: number,
  assigned: PartitionSet,
): GroupMember {
  const { memberId, groupInstanceId, clientId, topics, owned } = member
  const ownedPartitions = inOrder(owned)
  return {
    memberId,
    groupInstanceId,
    clientId,
    clientHost: CLIENT_HOST,
    // Kafka's consumers give their `max.poll.interval.ms` for it.
    rebalanceTimeoutMs: toInt32(member.maxPollIntervalMs) || MAX_INT32,
    sessionTimeoutMs: toInt32(member.sessionTimeoutMs),
    subscription: { topics, userData: null, ownedPartitions, generation, rack: null },
    assignment: { partitions: inOrder(assigned), userData: null },
  }
}

function inOrder(set: PartitionSet): TopicPartitions[] {
  return byTopic([...set.values()].sort(comparePartitions))
}

function toInt32(milliseconds: number): number {
  return Math.min(milliseconds, MAX_INT32)
}

/**
 * A group as it is found by an open. Its members were those of a process that has ended: static ones are away, each with what it was to
 * have, until their session is over; the others are gone. The target becomes stale when the group is told which topics there are.
 *
 * @param openedMs since when nothing can be heard of the members
 */
export function restoredGroup(
  { generation, members }: GroupMetadata,
  openedMs: number,
  now: number,
): GroupState {
  const away = new Map<string, GroupMemberState>()
  const target = new Map<string, PartitionSet>()
  for (const { subscription, assignment, rebalanceTimeoutMs, ...member } of members) {
    const awayUntilMs = openedMs + member.sessionTimeoutMs
    const isKept = member.groupInstanceId !== null && subscription !== undefined
    if (!isKept || awayUntilMs <= now) continue
    away.set(member.memberId, {
      ...member,
      topics: subscription.topics,
      maxPollIntervalMs: Math.max(rebalanceTimeoutMs, 0),
      owned: NO_PARTITIONS,
      revoking: NO_PARTITIONS,
      busySinceMs: undefined,
      awayUntilMs,
    })
    target.set(member.memberId, partitionSet(assignment?.partitions ?? []))
  }
  return { ...EMPTY_GROUP, epoch: Math.max(generation, 0), members: away, target }
}
