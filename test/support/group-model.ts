/** A group's coordinator with members that do what they are told, later or never, and notes of who was told what. */
import assert from 'node:assert/strict'
import type { Assignor, AssignorMember } from '../../src/groups/assignors/assignor.ts'
import type { Joining, MemberListener, Membership } from '../../src/groups/coordinator.ts'
import { GroupCoordinator } from '../../src/groups/coordinator.ts'
import type { GroupState, LostReason } from '../../src/groups/group-state.ts'
import { EMPTY_GROUP } from '../../src/groups/group-state.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { TopicPartition } from '../../src/types.ts'

export const SESSION_MS = 10_000
export const MAX_POLL_MS = 60_000
/** The coordinator looks at its members so often. */
const WATCH_MS = 1000

const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`

function partitionOf(name: string): TopicPartition {
  const dash = name.lastIndexOf('-')
  return { topic: name.slice(0, dash), partition: Number(name.slice(dash + 1)) }
}

export interface Member {
  readonly membership: Membership
  readonly instance: string | null
  readonly maxPollIntervalMs: number
  topics: readonly string[]
  /** What it may read, as it was told. */
  readonly owned: Set<string>
  readonly asked: Set<string>
  /** It has records in hand, and is never heard of again. */
  hasCrashed: boolean
  /**
   * Since when it has records in hand, by time in which the loop ran, and how many jumps of the clock there were by then. The time
   * allowed may be counted from later on: from when the clock was set back.
   */
  busy: { readonly sinceMs: number; readonly jumps: number; countedFromMs: number } | undefined
}

type Joined = Pick<Joining, 'groupInstanceId' | 'topics' | 'maxPollIntervalMs'>

export class GroupModel {
  readonly coordinator: GroupCoordinator
  counts: ReadonlyMap<string, number> = new Map()
  readonly lost: Record<LostReason, number> = { expired: 0, replaced: 0 }
  returned = 0
  handedBack = 0
  stoodMs = 0
  readonly #assignor: Assignor
  readonly #clock = new ManualClock()
  readonly #members = new Map<string, Member>()
  /** Who has each partition: taken out by a hand-back, a loss or a leave alone. */
  readonly #owners = new Map<string, Member>()
  readonly #gone: Membership[] = []
  /** Static members that have left: what they had, by instance. */
  readonly #away = new Map<string, { readonly had: readonly string[]; readonly epoch: number }>()
  #joined = 0
  #jumpedMs = 0
  readonly #beganMs = this.#clock.now()
  #jumps = 0
  #lastEpoch = 0
  #storedMembers = 0
  /** Something has happened since the last turn that makes a new target due. */
  #hasChanged = false
  /** What a listener has found wrong: the coordinator takes it for the assignor's. */
  #failure: Error | undefined

  constructor(assignor: Assignor) {
    this.#assignor = assignor
    this.coordinator = new GroupCoordinator({
      clock: this.#clock,
      assignor,
      state: EMPTY_GROUP,
      store: (state) => this.#stored(state),
      stood: (durationMs) => {
        this.stoodMs += durationMs
      },
    })
  }

  /** Members that do as they are told. */
  present(): Member[] {
    return [...this.#members.values()].filter(({ hasCrashed }) => !hasCrashed)
  }

  /** Time in which the loop ran. */
  get #ranMs(): number {
    return this.#clock.now() - this.#beganMs - this.#jumpedMs
  }

  // -------------------------------------------------------------------------- what may happen

  join(joined: Joined): void {
    this.#joined += 1
    const memberId = `m${this.#joined}`
    const owned = new Set<string>()
    const { groupInstanceId: instance, topics, maxPollIntervalMs } = joined
    const joining = { ...joined, memberId, clientId: 'test', sessionTimeoutMs: SESSION_MS }
    this.#hasChanged = true
    const had = instance === null ? undefined : this.#away.get(instance)
    // Its listener is told before `join` has answered: of a place that was kept.
    const member = { instance, maxPollIntervalMs, topics, owned } as Member
    Object.assign(member, { asked: new Set(), hasCrashed: false, busy: undefined })
    this.#members.set(memberId, member)
    const membership = this.coordinator.join(joining, this.#listenerOf(memberId))
    Object.assign(member, { membership })
    this.#check()
    if (instance === null || had === undefined) return
    this.#away.delete(instance)
    if (had.epoch !== this.coordinator.state.epoch) return
    const has = [...owned].join(' ')
    for (const name of had.had)
      assert.ok(owned.has(name), `${name} of ${instance}, which has ${has}`)
    this.returned += 1
  }

  leave(member: Member): void {
    const { epoch, isTargetStale } = this.coordinator.state
    const had = [...member.owned]
    // Else it is still to be given something, or it is given it while it is away.
    const isSettled = !isTargetStale && member.asked.size === 0
    this.#end(member)
    this.#hasChanged = true
    this.coordinator.leave(member.membership)
    if (member.instance !== null && isSettled) this.#away.set(member.instance, { had, epoch })
  }

  /** Nothing is heard of it any more. */
  crash(member: Member): void {
    if (member.maxPollIntervalMs === 0) return
    if (member.busy === undefined) this.work(member)
    member.hasCrashed = true
  }

  /** It is handed records. */
  work(member: Member): void {
    member.busy = { sinceMs: this.#ranMs, jumps: this.#jumps, countedFromMs: this.#ranMs }
    this.coordinator.busy(member.membership)
  }

  /** It asks for more. */
  wait(member: Member): void {
    member.busy = undefined
    this.coordinator.idle(member.membership)
  }

  handBack(member: Member, names: Iterable<string>): void {
    const handed = [...names]
    for (const name of handed) {
      member.asked.delete(name)
      member.owned.delete(name)
      this.#owners.delete(name)
    }
    this.handedBack += handed.length
    this.coordinator.handBack(member.membership, handed.map(partitionOf))
    this.#check()
  }

  subscribe(member: Member, topics: readonly string[]): void {
    member.topics = topics
    this.#hasChanged = true
    this.coordinator.subscribe(member.membership, topics)
  }

  setTopics(counts: ReadonlyMap<string, number>): void {
    this.counts = counts
    this.#hasChanged = true
    this.coordinator.followTopics(counts)
  }

  /** Time in which the loop runs. */
  async pass(ms: number): Promise<void> {
    await this.#clock.advance(ms)
    for (const member of this.#members.values()) this.#checkIsInTime(member)
    await this.endTurn()
  }

  /** The clock is set, or goes on while the loop stands still. What of two jumps came between two looks is not known. */
  async jump(byMs: number): Promise<void> {
    await this.pass(WATCH_MS)
    this.#jumps += 1
    this.#jumpedMs += byMs
    this.#clock.setTime(this.#clock.now() + byMs)
    if (byMs > 0) return
    for (const { busy } of this.#members.values()) {
      if (busy !== undefined) busy.countedFromMs = this.#ranMs
    }
  }

  /** What the turn has made stale is assigned anew. */
  async endTurn(): Promise<void> {
    await null
    await null
    this.#check()
    assert.equal(this.coordinator.state.isTargetStale, false)
    this.#hasChanged = false
  }

  /** Who has crashed is out, who was asked hands back: nothing is left to be done, and all is as the assignor says. */
  async settle(): Promise<void> {
    for (const member of this.present()) this.wait(member)
    await this.pass(MAX_POLL_MS + (this.#jumps + 2) * WATCH_MS)
    for (let isDone = false; !isDone; ) {
      isDone = true
      for (const member of this.present()) {
        if (member.asked.size === 0) continue
        this.handBack(member, member.asked)
        isDone = false
      }
      await this.endTurn()
    }
    assert.equal(this.#members.size, this.present().length, 'who has crashed is out')
    assert.equal(this.coordinator.state.members.size, this.#members.size, 'who was away is out')
    this.#checkIsAssigned()
    assert.equal(this.#clock.pendingTimers, 0, 'all wait: there is no timer')
    this.#jumps = 0
  }

  // --------------------------------------------------------------------------- what it is told

  #listenerOf(memberId: string): MemberListener {
    const told = (): Member => {
      const member = this.#members.get(memberId)
      assert.ok(member, `${memberId} is told something, and is no member`)
      return member
    }
    return {
      assigned: (partitions) => this.#assigned(memberId, told(), partitions),
      revoked: (partitions) => {
        const { owned, asked } = told()
        assert.ok(partitions.length > 0)
        for (const name of partitions.map(nameOf)) {
          assert.ok(owned.has(name), `${memberId} is asked for ${name}, which it has not`)
          assert.ok(!asked.has(name), `${memberId} is asked twice for ${name}`)
          asked.add(name)
        }
      },
      lost: (partitions, reason) => {
        const member = told()
        assert.deepEqual(partitions.map(nameOf).sort(), [...member.owned].sort())
        if (reason === 'expired') this.#checkIsLate(memberId, member)
        this.lost[reason] += 1
        this.#hasChanged = true
        this.#end(member)
      },
      failed: (error) => {
        this.#failure ??= error
      },
    }
  }

  #assigned(memberId: string, { owned }: Member, partitions: readonly TopicPartition[]): void {
    assert.ok(partitions.length > 0)
    for (const name of partitions.map(nameOf)) {
      const owner = this.#owners.get(name)?.membership.memberId
      assert.equal(owner, undefined, `${name} is assigned to ${memberId}, and is ${owner}'s`)
      this.#owners.set(name, this.#members.get(memberId) as Member)
      owned.add(name)
    }
  }

  /** It is no member, and has nothing. */
  #end(member: Member): void {
    for (const name of member.owned) this.#owners.delete(name)
    member.owned.clear()
    member.asked.clear()
    for (const [memberId, each] of this.#members) {
      if (each === member) this.#members.delete(memberId)
    }
    this.#gone.push(member.membership)
  }

  #stored({ epoch, members }: GroupState): void {
    assert.ok(epoch >= this.#lastEpoch && epoch <= this.#lastEpoch + 1)
    // Who has stayed away for too long is out, and is told nothing.
    const isSmaller = members.size < this.#storedMembers
    if (epoch > this.#lastEpoch) {
      assert.ok(this.#hasChanged || isSmaller, 'a new target for nothing')
    }
    this.#lastEpoch = epoch
    this.#storedMembers = members.size
  }

  // ---------------------------------------------------------------------------------- judging

  /** Each partition may be committed by its owner alone; by who is gone nothing. */
  #check(): void {
    if (this.#failure !== undefined) throw this.#failure
    const members = [...this.#members.values()]
    for (const [name, owner] of this.#owners) {
      for (const { membership } of members) {
        const mayCommit = this.coordinator.fenceOf(membership, partitionOf(name)) === undefined
        assert.equal(mayCommit, membership === owner.membership, `${name}: ${membership.memberId}`)
      }
    }
    for (const membership of this.#gone.slice(-20)) {
      for (const name of this.#owners.keys()) {
        assert.equal(this.coordinator.fenceOf(membership, partitionOf(name)), 'member')
      }
    }
  }

  /** By at most one look for each jump of the clock, what a jump came to is not known better. */
  #checkIsLate(memberId: string, { busy, maxPollIntervalMs }: Member): void {
    assert.ok(busy && maxPollIntervalMs > 0, `${memberId} is out, and had nothing in hand`)
    const ranMs = this.#ranMs - busy.sinceMs
    const earliestMs = maxPollIntervalMs - (this.#jumps - busy.jumps) * WATCH_MS
    assert.ok(ranMs >= earliestMs, `${memberId} is out after ${ranMs} ms`)
  }

  #checkIsInTime({ membership, busy, maxPollIntervalMs }: Member): void {
    if (busy === undefined || maxPollIntervalMs === 0) return
    const ranMs = this.#ranMs - busy.countedFromMs
    // It is seen at the next look, and so is a jump that came just before it began.
    const latestMs = maxPollIntervalMs + (this.#jumps - busy.jumps + 2) * WATCH_MS
    assert.ok(ranMs <= latestMs, `${membership.memberId} is there after ${ranMs} ms`)
  }

  /** Each has what the assignor gives it, and the assignor would give it that again. */
  #checkIsAssigned(): void {
    const { members, target, partitionCounts } = this.coordinator.state
    const input = [...members.values()].map((member): AssignorMember => {
      const { memberId, groupInstanceId, topics, awayUntilMs } = member
      const names = awayUntilMs === undefined ? this.#members.get(memberId)?.owned : undefined
      const has = names ?? target.get(memberId)?.keys() ?? []
      const each = [...has].map(partitionOf)
      const ownedPartitions = each.map(({ topic, partition }) => ({
        topic,
        partitions: [partition],
      }))
      return { memberId, groupInstanceId, topics, ownedPartitions }
    })
    const assignment = this.#assignor.assign({ members: input, partitionCounts })
    for (const { memberId, ownedPartitions } of input) {
      const has = ownedPartitions.map(({ topic, partitions }) => `${topic}-${partitions[0]}`)
      const expected = (assignment.get(memberId) ?? []).flatMap(({ topic, partitions }) =>
        partitions.map((partition) => `${topic}-${partition}`),
      )
      assert.deepEqual(has.sort(), expected.sort(), memberId)
    }
  }
}
