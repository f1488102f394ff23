/**
 * The state machine of a group, in the manner of KIP-848: each member goes from what it owns to what the target gives it, by itself, and
 * nobody waits for all.
 *
 *   1. a change of members, subscriptions or topics makes the target stale, and a `rebalance` due; what else changes until then is part of it
 *   2. `rebalance` makes a new target in a new epoch
 *   3. a member is asked to hand back what it owns and the target gives to another; it goes on with the rest
 *   4. it finishes what it has in hand, commits, and hands back; then, and not before, the partition is its new owner's
 *
 * A partition has one owner at a time: it is assigned only where nobody owns it, and it is owned until it is handed back, or its owner is
 * out of the group. Who is out may not commit any more (`fenceOf`), so what comes to the next owner begins at the last commit.
 *
 * Pure: no time but what is given, no promises, no storage. An event that comes too late (of a member that is out, of a partition that is
 * not its own) changes nothing.
 */
import type { TopicPartition } from '../types.ts'
import type { Assignment, Assignor, AssignorMember } from './assignors/assignor.ts'
import type {
  GroupEffect,
  GroupEvent,
  GroupMemberState,
  GroupState,
  LostReason,
} from './group-state.ts'
import { deadlineOf } from './group-state.ts'
import type { PartitionSet } from './partition-set.ts'
import { byTopic, NO_PARTITIONS, partitionSet, without } from './partition-set.ts'

export interface GroupStep {
  readonly state: GroupState
  /** In the order in which they are to be done. */
  readonly effects: readonly GroupEffect[]
}

/** @param now in milliseconds; it does not run backwards. */
export function applyGroupEvent(state: GroupState, event: GroupEvent, now: number): GroupStep {
  const change = new GroupChange(state)
  change.apply(event, now)
  return change.step()
}

class GroupChange {
  readonly #before: GroupState
  #state: GroupState
  readonly #members: Map<string, GroupMemberState>
  readonly #effects: GroupEffect[] = []
  #hasBecomeStale = false

  constructor(state: GroupState) {
    this.#before = state
    this.#state = state
    this.#members = new Map(state.members)
  }

  step(): GroupStep {
    const { target } = this.#state
    // Each new target is one of its own; so is that in which a static member has taken the place of another.
    const hasChanged = target !== this.#before.target
    // Also where it was stale already: the assignor may have failed at what was there before.
    if (this.#hasBecomeStale) this.#effects.push({ type: 'rebalance' })
    if (hasChanged) this.#effects.push({ type: 'store' })
    return { state: { ...this.#state, members: this.#members }, effects: this.#effects }
  }

  apply(event: GroupEvent, now: number): void {
    switch (event.type) {
      case 'join':
        this.#join(event.member)
        // Who takes nobody's place has nothing before the next target.
        if (this.#state.target === this.#before.target) return
        break
      case 'leave':
        this.#leave(event.memberId, now)
        break
      case 'subscribe':
        this.#subscribe(event.memberId, event.topics)
        return
      case 'pace': {
        const { busySinceMs } = event
        this.#update(event.memberId, () => ({ busySinceMs }))
        return
      }
      case 'handBack':
        this.#handBack(event.memberId, event.partitions)
        break
      case 'topics':
        this.#takeTopics(event.partitionCounts)
        return
      case 'stood':
        this.#allow(event.durationMs, now)
        return
      case 'tick':
        this.#expire(now)
        break
      case 'rebalance':
        if (!this.#state.isTargetStale) return
        this.#retarget(this.#assignment(event.assignor))
    }
    this.#reconcile()
  }

  // ---------------------------------------------------------------------------------- members

  #join(joining: Extract<GroupEvent, { type: 'join' }>['member']): void {
    const { memberId, groupInstanceId, topics } = joining
    const former = groupInstanceId === null ? undefined : this.#ofInstance(groupInstanceId)
    const place = {
      owned: NO_PARTITIONS,
      revoking: NO_PARTITIONS,
      busySinceMs: undefined,
      awayUntilMs: undefined,
    }
    this.#members.set(memberId, { ...joining, ...place })
    if (former === undefined) {
      this.#becomeStale()
      return
    }
    // The place of a static member is its successor's, as it is: nothing changes for the others.
    if (former.memberId !== memberId) this.#members.delete(former.memberId)
    if (former.awayUntilMs === undefined) this.#lose(former, 'replaced')
    const target = new Map(this.#state.target)
    const partitions = target.get(former.memberId) ?? NO_PARTITIONS
    target.delete(former.memberId)
    target.set(memberId, partitions)
    this.#state = { ...this.#state, target }
    if (!haveSame(topics, former.topics)) this.#becomeStale()
  }

  #ofInstance(groupInstanceId: string): GroupMemberState | undefined {
    for (const member of this.#members.values()) {
      if (member.groupInstanceId === groupInstanceId) return member
    }
    return undefined
  }

  #leave(memberId: string, now: number): void {
    const member = this.#members.get(memberId)
    if (member === undefined || member.awayUntilMs !== undefined) return
    if (member.groupInstanceId === null) {
      this.#members.delete(memberId)
      this.#becomeStale()
      return
    }
    const awayUntilMs = now + member.sessionTimeoutMs
    const place = {
      owned: NO_PARTITIONS,
      revoking: NO_PARTITIONS,
      busySinceMs: undefined,
      awayUntilMs,
    }
    this.#members.set(memberId, { ...member, ...place })
  }

  #subscribe(memberId: string, topics: readonly string[]): void {
    const member = this.#members.get(memberId)
    if (member === undefined || haveSame(topics, member.topics)) return
    this.#members.set(memberId, { ...member, topics })
    this.#becomeStale()
  }

  #expire(now: number): void {
    for (const member of this.#members.values()) {
      if (deadlineOf(member) > now) continue
      this.#members.delete(member.memberId)
      this.#becomeStale()
      if (member.awayUntilMs === undefined) this.#lose(member, 'expired')
    }
  }

  #lose({ memberId, owned }: GroupMemberState, reason: LostReason): void {
    this.#effects.push({ type: 'lose', memberId, partitions: [...owned.values()], reason })
  }

  /** Nobody has more time than from now on: it may have begun after the loop stood still, and before that was seen, or by a clock that was set back. */
  #allow(durationMs: number, now: number): void {
    for (const [memberId, member] of this.#members) {
      const { busySinceMs, awayUntilMs, sessionTimeoutMs } = member
      this.#members.set(memberId, {
        ...member,
        busySinceMs: later(busySinceMs, durationMs, now),
        awayUntilMs: later(awayUntilMs, durationMs, now + sessionTimeoutMs),
      })
    }
  }

  // ----------------------------------------------------------------------------------- targets

  #takeTopics(partitionCounts: ReadonlyMap<string, number>): void {
    const before = this.#state.partitionCounts
    this.#state = { ...this.#state, partitionCounts }
    const isOther = (topic: string): boolean => before.get(topic) !== partitionCounts.get(topic)
    const concerned = [...this.#members.values()].some(({ topics }) => topics.some(isOther))
    if (concerned) this.#becomeStale()
  }

  #becomeStale(): void {
    this.#hasBecomeStale = true
    this.#state = { ...this.#state, isTargetStale: true }
  }

  /** Where nobody is left nobody is asked: an assignor that cannot do without members would keep the group from becoming empty. */
  #assignment(assignor: Assignor): Assignment {
    if (this.#members.size === 0) return new Map()
    const members = [...this.#members.values()].map((member): AssignorMember => {
      const { memberId, groupInstanceId, topics, awayUntilMs } = member
      // Who is away has nothing in hand, and finds again what it had.
      const has = awayUntilMs === undefined ? member.owned : this.#targetOf(memberId)
      return { memberId, groupInstanceId, topics, ownedPartitions: byTopic(has.values()) }
    })
    return assignor.assign({ members, partitionCounts: this.#state.partitionCounts })
  }

  #retarget(assignment: Assignment): void {
    const target = new Map<string, PartitionSet>()
    for (const memberId of this.#members.keys()) {
      target.set(memberId, partitionSet(assignment.get(memberId) ?? []))
    }
    const epoch = this.#state.epoch + 1
    this.#state = { ...this.#state, target, epoch, isTargetStale: false }
  }

  #targetOf(memberId: string): PartitionSet {
    return this.#state.target.get(memberId) ?? NO_PARTITIONS
  }

  // ----------------------------------------------------------------------------- change of hands

  #handBack(memberId: string, partitions: readonly TopicPartition[]): void {
    this.#update(memberId, ({ owned, revoking }) => ({
      owned: without(owned, partitions),
      revoking: without(revoking, partitions),
    }))
  }

  /** What is to be handed back is asked for first; then what nobody owns goes to whom it is to be. */
  #reconcile(): void {
    // What the same target asks back, it has asked back before.
    if (this.#state.target !== this.#before.target) {
      for (const member of this.#members.values()) this.#revokeFrom(member)
    }
    const short = [...this.#members.values()].filter((member) => this.#isShort(member))
    if (short.length === 0) return
    const taken = new Set<string>()
    for (const { owned } of this.#members.values()) for (const name of owned.keys()) taken.add(name)
    for (const member of short) this.#assignTo(member, taken)
  }

  /** It may not own all that the target gives it: what it owns besides is in `revoking`. */
  #isShort({ memberId, owned, revoking, awayUntilMs }: GroupMemberState): boolean {
    if (awayUntilMs !== undefined) return false
    return owned.size - revoking.size < this.#targetOf(memberId).size
  }

  /** What the target gives back to it, before it has handed it back, it is still to hand back: it may be doing so now. */
  #revokeFrom(member: GroupMemberState): void {
    const { memberId, owned } = member
    const target = this.#targetOf(memberId)
    const asked = [...owned].filter(([name]) => !target.has(name) && !member.revoking.has(name))
    if (asked.length === 0) return
    this.#members.set(memberId, { ...member, revoking: new Map([...member.revoking, ...asked]) })
    const partitions = asked.map(([, partition]) => partition)
    this.#effects.push({ type: 'revoke', memberId, partitions })
  }

  #assignTo(member: GroupMemberState, taken: ReadonlySet<string>): void {
    const { memberId, owned } = member
    const free = [...this.#targetOf(memberId)].filter(([name]) => !taken.has(name))
    if (free.length === 0) return
    this.#members.set(memberId, { ...member, owned: new Map([...owned, ...free]) })
    const partitions = free.map(([, partition]) => partition)
    this.#effects.push({ type: 'assign', memberId, partitions })
  }

  #update(memberId: string, change: (member: GroupMemberState) => Partial<GroupMemberState>): void {
    const member = this.#members.get(memberId)
    if (member !== undefined) this.#members.set(memberId, { ...member, ...change(member) })
  }
}

function later(timeMs: number | undefined, byMs: number, latestMs: number): number | undefined {
  return timeMs === undefined ? undefined : Math.min(timeMs + byMs, latestMs)
}

function haveSame(a: readonly string[], b: readonly string[]): boolean {
  const other = new Set(b)
  return new Set(a).size === other.size && a.every((each) => other.has(each))
}
