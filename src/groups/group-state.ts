/** What a group is at one moment, what happens to it, and what is to be done then. See `group-machine.ts`. */
import type { TopicPartition } from '../types.ts'
import type { Assignor } from './assignors/assignor.ts'
import type { PartitionSet } from './partition-set.ts'

export interface GroupMemberState {
  readonly memberId: string
  /** Of a static member; else null. */
  readonly groupInstanceId: string | null
  readonly clientId: string
  /** By name; a pattern is resolved by whoever tells of it. */
  readonly topics: readonly string[]
  /** How long the place of a static member is kept that has left. */
  readonly sessionTimeoutMs: number
  /** A member that has records in hand and has not asked for more for so long is out; 0: never. */
  readonly maxPollIntervalMs: number
  /** What was handed to it and is not handed back: no other member has any of it. */
  readonly owned: PartitionSet
  /** Of these, what it is asked to hand back. */
  readonly revoking: PartitionSet
  /** When it was last handed records, and has not asked for more since; undefined: it waits for more. */
  readonly busySinceMs: number | undefined
  /** Of a static member that has left: until when its place is kept. */
  readonly awayUntilMs: number | undefined
}

export interface GroupState {
  /** Rises with each new target; Kafka's generation. */
  readonly epoch: number
  readonly members: ReadonlyMap<string, GroupMemberState>
  /** What each member is to have, by member id. Members go from what they own to this at their own pace. */
  readonly target: ReadonlyMap<string, PartitionSet>
  /** Members, subscriptions or topics have changed since the target was made. */
  readonly isTargetStale: boolean
  readonly partitionCounts: ReadonlyMap<string, number>
}

export type GroupEvent =
  | {
      readonly type: 'join'
      readonly member: Pick<
        GroupMemberState,
        | 'memberId'
        | 'groupInstanceId'
        | 'clientId'
        | 'topics'
        | 'sessionTimeoutMs'
        | 'maxPollIntervalMs'
      >
    }
  /** It has finished what it had in hand. */
  | { readonly type: 'leave'; readonly memberId: string }
  | { readonly type: 'subscribe'; readonly memberId: string; readonly topics: readonly string[] }
  /** It was handed records, or asked for more: see `busySinceMs`. To be told before a `tick`. */
  | {
      readonly type: 'pace'
      readonly memberId: string
      readonly busySinceMs: number | undefined
    }
  /** It has finished and committed what it had of these. */
  | {
      readonly type: 'handBack'
      readonly memberId: string
      readonly partitions: readonly TopicPartition[]
    }
  /** All topics that there are, internal ones left out. */
  | { readonly type: 'topics'; readonly partitionCounts: ReadonlyMap<string, number> }
  /** The event loop stood still for so long: nobody could have asked for more, or come back. 0: the clock was set back. */
  | { readonly type: 'stood'; readonly durationMs: number }
  /** Time has passed. */
  | { readonly type: 'tick' }
  /** Makes a new target, where it is stale. */
  | { readonly type: 'rebalance'; readonly assignor: Assignor }

/** `expired`: it did not ask for more in time. `replaced`: another has joined with its instance id. */
export type LostReason = 'expired' | 'replaced'

export type GroupEffect =
  /** These are the member's from now on. */
  | {
      readonly type: 'assign'
      readonly memberId: string
      readonly partitions: readonly TopicPartition[]
    }
  /** It is to finish what it has of these, commit, and hand them back. */
  | {
      readonly type: 'revoke'
      readonly memberId: string
      readonly partitions: readonly TopicPartition[]
    }
  /** It is no member any more, and these are not its own: what it has not committed comes to another. */
  | {
      readonly type: 'lose'
      readonly memberId: string
      readonly partitions: readonly TopicPartition[]
      readonly reason: LostReason
    }
  /** A `rebalance` is due, soon: what happens until then is part of it. */
  | { readonly type: 'rebalance' }
  /** Epoch, members or target have changed: to be stored. */
  | { readonly type: 'store' }

export const EMPTY_GROUP: GroupState = {
  epoch: 0,
  members: new Map(),
  target: new Map(),
  isTargetStale: false,
  partitionCounts: new Map(),
}

/** When a `tick` is due; undefined: never. */
export function nextDeadline({ members }: GroupState): number | undefined {
  let deadline = Number.POSITIVE_INFINITY
  for (const member of members.values()) deadline = Math.min(deadline, deadlineOf(member))
  return deadline === Number.POSITIVE_INFINITY ? undefined : deadline
}

/** When a member is out if nothing is heard of it. */
export function deadlineOf(member: GroupMemberState): number {
  const { awayUntilMs, busySinceMs, maxPollIntervalMs } = member
  if (awayUntilMs !== undefined) return awayUntilMs
  if (busySinceMs === undefined || maxPollIntervalMs === 0) return Number.POSITIVE_INFINITY
  return busySinceMs + maxPollIntervalMs
}

export type Fence = 'member' | 'owner' | undefined

/** Why a member may not commit for a partition: it is no `member`, or not its `owner`. Undefined: it may. */
export function fenceOf(
  { members }: GroupState,
  memberId: string,
  { topic, partition }: TopicPartition,
): Fence {
  const member = members.get(memberId)
  if (member === undefined || member.awayUntilMs !== undefined) return 'member'
  return member.owned.has(`${topic}-${partition}`) ? undefined : 'owner'
}
