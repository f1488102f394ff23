/** What is asked of the groups that are at work in this process: how they are described, and what is refused while they have members. */
import { LogError } from '../errors.ts'
import type { TopicPartition } from '../types.ts'
import type { KnownGroup } from './group-description.ts'
import { describeMember } from './group-metadata.ts'
import { CONSUMER_PROTOCOL } from './group-metadata-format.ts'
import type { GroupMemberState, GroupState } from './group-state.ts'
import type { PartitionSet } from './partition-set.ts'
import { NO_PARTITIONS } from './partition-set.ts'
import type { GroupState as DescribedState, GroupOffset } from './types.ts'

/** A group that has a coordinator. */
export interface LiveGroup {
  readonly state: GroupState
  /** The assignor's name. */
  readonly assignor: string
}

export interface LiveGroups {
  find(group: string): LiveGroup | undefined
  names(): Iterable<string>
  /** The group has been deleted: where it has no members, nothing is known of it any more. */
  forget(group: string): void
}

export const NO_LIVE_GROUPS: LiveGroups = {
  find: () => undefined,
  names: () => [],
  forget: () => {},
}

// ------------------------------------------------------------------------------------ description

export function describeLiveGroup(
  group: string,
  { state, assignor }: LiveGroup,
  offsets: readonly GroupOffset[],
): KnownGroup {
  const members = [...state.members.values()].map((member) =>
    describeMember(member, state.epoch, partitionsOf(state, member)),
  )
  const leader = members[0]?.memberId ?? null
  return {
    group,
    state: stateOf(state),
    protocolType: CONSUMER_PROTOCOL,
    generation: state.epoch,
    protocol: leader === null ? null : assignor,
    leader,
    members,
    offsets,
  }
}

/** What it has; of a static member that is away: what is kept for it. */
function partitionsOf({ target }: GroupState, member: GroupMemberState): PartitionSet {
  if (member.awayUntilMs === undefined) return member.owned
  return target.get(member.memberId) ?? NO_PARTITIONS
}

/** In Kafka's words: who is to have what is about to be decided, or partitions are on their way to whom they are to be. */
function stateOf(state: GroupState): DescribedState {
  if (state.members.size === 0) return 'Empty'
  if (state.isTargetStale) return 'PreparingRebalance'
  for (const member of state.members.values()) {
    const target = state.target.get(member.memberId) ?? NO_PARTITIONS
    const has = partitionsOf(state, member)
    const isThere = has.size === target.size && [...target.keys()].every((name) => has.has(name))
    if (!isThere) return 'CompletingRebalance'
  }
  return 'Stable'
}

// --------------------------------------------------------------------------------------- refusals

/** A static member that is away is a member. */
export function requireNoMembers(group: string, live: LiveGroup | undefined, what: string): void {
  const count = live?.state.members.size ?? 0
  if (count === 0) return
  const message = `the group ${JSON.stringify(group)} has ${count} members: ${what}`
  throw new LogError('GROUP_NOT_EMPTY', message)
}

/** For a commit of who is no member. */
export function requireNoOwners(
  group: string,
  live: LiveGroup | undefined,
  partitions: readonly TopicPartition[],
): void {
  if (live === undefined) return
  const { members, target } = live.state
  for (const { topic, partition } of partitions) {
    const name = `${topic}-${partition}`
    for (const { memberId, owned } of members.values()) {
      if (!owned.has(name) && target.get(memberId)?.has(name) !== true) continue
      const message = `${name} belongs to the member ${memberId} of the group ${JSON.stringify(group)}: nothing was committed`
      throw new LogError('FENCED', message)
    }
  }
}

/** A member would go on behind what is deleted. */
export function requireNotSubscribed(
  group: string,
  live: LiveGroup | undefined,
  partitions: readonly TopicPartition[],
): void {
  const subscribed = subscribedTopics(live)
  for (const { topic } of partitions) {
    if (!subscribed.has(topic)) continue
    const message = `the group ${JSON.stringify(group)} has a member that is subscribed to ${topic}: none of its offsets were deleted`
    throw new LogError('GROUP_NOT_EMPTY', message)
  }
}

export function subscribedTopics(live: LiveGroup | undefined): ReadonlySet<string> {
  const subscribed = new Set<string>()
  for (const { topics } of live?.state.members.values() ?? []) {
    for (const topic of topics) subscribed.add(topic)
  }
  return subscribed
}
