/**
 * Which committed offsets of a group have had their time, as Kafka's coordinator judges classic groups. Pure.
 *
 * - A group with members: offsets of topics that no member is subscribed to go when their commit is old enough; the others stay.
 * - A group of consumers without members: all of them go when it has been empty for long enough. One that was committed later than that,
 *   by hand, goes by the time of its commit; with Kafka it goes with the others.
 * - A group that never had members: each goes when its commit is old enough.
 *
 * A group that has nothing left goes itself. What an undecided transaction has committed holds the group, and what it would replace.
 */
import type { TopicPartition } from '../types.ts'
import type { GroupMetadata } from './group-metadata-format.ts'
import type { LiveGroup } from './live-group.ts'
import { subscribedTopics } from './live-group.ts'
import type { GroupOffset } from './types.ts'

/** What is known of a group. */
export interface ExpiringGroup {
  readonly metadata: GroupMetadata | undefined
  readonly offsets: readonly GroupOffset[]
  /** A transaction that is not decided has committed for the partition; without one: for any. */
  readonly isUndecided: (partition?: TopicPartition) => boolean
  /** Where it has a coordinator in this process. */
  readonly live: LiveGroup | undefined
  /** Static members of a process that has ended still have their place. */
  readonly isAwaited: boolean
}

export interface Expiry {
  readonly offsets: readonly TopicPartition[]
  /** Stored in place of the group's metadata; null: it goes; undefined: it stays. */
  readonly metadata: GroupMetadata | null | undefined
}

const NOTHING: Expiry = { offsets: [], metadata: undefined }

export function expiryOf(group: ExpiringGroup, retentionMs: number, now: number): Expiry {
  const { metadata, offsets, live, isUndecided } = group
  const isOver = (each: GroupOffset, sinceMs: number): boolean =>
    now - Math.max(sinceMs, each.commitTimestamp) >= retentionMs && !isUndecided(each)
  if (live !== undefined && live.state.members.size > 0) {
    const subscribed = subscribedTopics(live)
    const unread = offsets.filter(({ topic }) => !subscribed.has(topic))
    return { offsets: unread.filter((each) => isOver(each, -1)), metadata: undefined }
  }
  if (metadata !== undefined && metadata.members.length > 0) {
    // That a coordinator of this process has no members any more is about to be stored.
    return group.isAwaited || live !== undefined ? NOTHING : emptied(metadata, now)
  }
  const over = offsets.filter((each) => isOver(each, metadata?.currentStateTimestamp ?? -1))
  const isGone = over.length === offsets.length && !isUndecided()
  return { offsets: over, metadata: isGone ? null : undefined }
}

/** Its members were those of a process that has ended: the time of its offsets begins now. */
function emptied(metadata: GroupMetadata, now: number): Expiry {
  const none = { protocol: null, leader: null, members: [] }
  return { offsets: [], metadata: { ...metadata, ...none, currentStateTimestamp: now } }
}
