/**
 * Coordinates one group in this process: keeps its state (`group-machine.ts`), its timer and what is stored of it, and tells its members.
 *
 * Events are taken one after another, also those that a member causes while it is told something. What several changes of one turn make
 * stale is assigned anew once, at the end of the turn.
 */
import type { Clock, Timer, TopicPartition } from '../types.ts'
import { asError } from '../util/error-code.ts'
import { soon } from '../util/turn.ts'
import type { Assignor } from './assignors/assignor.ts'
import { applyGroupEvent } from './group-machine.ts'
import type { GroupEffect, GroupEvent, GroupState, LostReason } from './group-state.ts'
import { fenceOf, nextDeadline } from './group-state.ts'

/** So often is it looked whether a member that has records in hand is late, and whether the event loop stood still. */
const WATCH_MS = 1000

export type Joining = Extract<GroupEvent, { type: 'join' }>['member']

/** What a member is told. None of it may throw. */
export interface MemberListener {
  /** These are its own from now on. */
  assigned(partitions: readonly TopicPartition[]): void
  /** It is to finish what it has of these, to commit, and to call `handBack`. */
  revoked(partitions: readonly TopicPartition[]): void
  /** It is no member any more; its commits are refused from now on. */
  lost(partitions: readonly TopicPartition[], reason: LostReason): void
  /** The assignor has failed: nothing was assigned anew. */
  failed(error: Error): void
  /**
   * Its pace is about to be looked at: it may set `busySinceMs` of its membership to when there was the last sign of it. The event loop stood
   * still for so long since the last look.
   */
  looked?(stoodMs: number): void
}

/** Given by the group to who has joined. */
export interface Membership {
  readonly memberId: string
  /** When it was last handed records, in milliseconds of the clock; undefined while it waits for more. Set by its owner, through `busy` and `idle`. */
  busySinceMs: number | undefined
  readonly listener: MemberListener
}

export interface CoordinatorOptions {
  readonly clock: Clock
  readonly assignor: Assignor
  /** What is known of the group from before. */
  readonly state: GroupState
  /** The group has changed: called in the order of the changes. It must not throw. */
  readonly store: (state: GroupState) => void
  /** The event loop stood still for so long. */
  readonly stood: (durationMs: number) => void
}

export class GroupCoordinator {
  readonly #options: CoordinatorOptions
  readonly #members = new Map<string, Membership>()
  readonly #events: GroupEvent[] = []
  #isTaking = false
  #isRebalanceDue = false
  #isClosed = false
  #state: GroupState
  #timer: Timer | undefined
  #timerDueMs = 0

  constructor(options: CoordinatorOptions) {
    this.#options = options
    this.#state = options.state
  }

  get state(): GroupState {
    return this.#state
  }

  /** Its name. */
  get assignor(): string {
    return this.#options.assignor.name
  }

  join(joining: Joining, listener: MemberListener): Membership {
    const membership = { memberId: joining.memberId, busySinceMs: undefined, listener }
    this.#members.set(joining.memberId, membership)
    this.#take({ type: 'join', member: joining })
    return membership
  }

  /** It has finished what it had in hand, or gives it up. */
  leave({ memberId }: Membership): void {
    this.#members.delete(memberId)
    this.#take({ type: 'leave', memberId })
  }

  subscribe({ memberId }: Membership, topics: readonly string[]): void {
    this.#take({ type: 'subscribe', memberId, topics })
  }

  handBack({ memberId }: Membership, partitions: readonly TopicPartition[]): void {
    this.#take({ type: 'handBack', memberId, partitions })
  }

  /** All topics that there are, with their partitions. */
  followTopics(partitionCounts: ReadonlyMap<string, number>): void {
    this.#take({ type: 'topics', partitionCounts })
  }

  /** The member has been handed records. On the hot path: it changes nothing but a time. */
  busy(membership: Membership): void {
    membership.busySinceMs = this.#options.clock.now()
    if (this.#timer === undefined) this.#watch()
  }

  /** The member asks for more. */
  idle(membership: Membership): void {
    membership.busySinceMs = undefined
  }

  /** See `fenceOf`. */
  fenceOf({ memberId }: Membership, partition: TopicPartition): ReturnType<typeof fenceOf> {
    return fenceOf(this.#state, memberId, partition)
  }

  /** Nothing changes any more, and no timer fires: of a group without members, or of a log that is closed. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#timer = undefined
  }

  // ------------------------------------------------------------------------------------ events

  #take(event: GroupEvent): void {
    if (this.#isClosed) return
    this.#events.push(event)
    if (this.#isTaking) return
    this.#isTaking = true
    for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
      try {
        for (const effect of this.#apply(next)) this.#follow(effect)
      } catch (error) {
        // Of an assignor: the state is as it was.
        for (const { listener } of [...this.#members.values()]) listener.failed(asError(error))
      }
    }
    this.#isTaking = false
    this.#watch()
  }

  #apply(event: GroupEvent): readonly GroupEffect[] {
    const { state, effects } = applyGroupEvent(this.#state, event, this.#options.clock.now())
    this.#state = state
    return effects
  }

  #follow(effect: GroupEffect): void {
    if (effect.type === 'store') this.#options.store(this.#state)
    else if (effect.type === 'rebalance') this.#rebalanceSoon()
    else {
      const { memberId, partitions } = effect
      const membership = this.#members.get(memberId)
      if (effect.type === 'assign') membership?.listener.assigned(partitions)
      else if (effect.type === 'revoke') membership?.listener.revoked(partitions)
      else {
        this.#members.delete(memberId)
        membership?.listener.lost(partitions, effect.reason)
      }
    }
  }

  #rebalanceSoon(): void {
    if (this.#isRebalanceDue) return
    this.#isRebalanceDue = true
    soon(() => {
      this.#isRebalanceDue = false
      this.#take({ type: 'rebalance', assignor: this.#options.assignor })
    })
  }

  // -------------------------------------------------------------------------------------- time

  /** Sees to a timer as long as some member could be late, and to none when all of them wait. */
  #watch(): void {
    if (this.#timer !== undefined || this.#isClosed) return
    this.#tellPace()
    const deadline = nextDeadline(this.#state)
    if (deadline === undefined) return
    const delayMs = Math.min(Math.max(deadline - this.#options.clock.now(), 0), WATCH_MS)
    this.#timerDueMs = this.#options.clock.now() + delayMs
    this.#timer = this.#options.clock.setTimer(() => this.#look(), delayMs)
  }

  #look(): void {
    this.#timer = undefined
    const lateMs = this.#options.clock.now() - this.#timerDueMs
    this.#tellPace()
    // Early: the clock was set back. Who was at work then has all the time again, as nobody knows who was not.
    if (Math.abs(lateMs) >= WATCH_MS) this.#allow(Math.max(lateMs, 0))
    if (lateMs >= WATCH_MS) this.#options.stood(lateMs)
    const stoodMs = lateMs >= WATCH_MS ? lateMs : 0
    for (const { listener } of [...this.#members.values()]) listener.looked?.(stoodMs)
    this.#tellPace()
    this.#take({ type: 'tick' })
  }

  #allow(durationMs: number): void {
    this.#apply({ type: 'stood', durationMs })
    for (const membership of this.#members.values()) {
      membership.busySinceMs = this.#state.members.get(membership.memberId)?.busySinceMs
    }
  }

  /** The state is told when it matters, not whenever a record is handed out. */
  #tellPace(): void {
    for (const { memberId, busySinceMs } of this.#members.values()) {
      const known = this.#state.members.get(memberId)
      if (known === undefined || known.busySinceMs === busySinceMs) continue
      this.#apply({ type: 'pace', memberId, busySinceMs })
    }
  }
}
