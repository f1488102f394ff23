import type { LogError } from '../errors.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability } from '../types.ts'
import type { DecidedTransaction } from './decided-transaction.ts'
import { appendState, storeState } from './state-log.ts'
import type { TransactionEvent } from './transaction-machine.ts'
import { decisionOf, isIdle, transition } from './transaction-machine.ts'
import type { TransactionState } from './transaction-state-format.ts'
import type { TransactionOutcome } from './types.ts'

/** A transaction as its identity sees it. */
export interface UnderWay {
  /** It is decided, and its markers wait for room. */
  readonly isStalled: boolean
  /** Gives it up where it is not being committed. Resolves when it has ended, or waits for room. */
  end(reason: LogError, fences: boolean): Promise<void>
}

/** A transactional id: what is stored of it, and its last transaction. */
export class Identity {
  readonly transactionalId: string
  /** Its partition of `__transaction_state`. */
  readonly log: PartitionLog
  /** As it was stored last. */
  state: TransactionState
  /** What is under way; also one whose markers wait for room. */
  run: UnderWay | undefined
  /** Ends of what an open has found that wait for room. */
  waiting = 0
  /** When it was used last in this process, in milliseconds of the clock, as far as `state` does not say so. */
  usedMs = 0
  /** Why it can be used no more. */
  failure: LogError | undefined
  /** How its last transaction ended. */
  outcome: TransactionOutcome = 'abort'
  #last: DecidedTransaction | undefined
  #lastLevel: Durability = 'os'
  /** A state is being stored that is waited for. */
  #isStoring = false

  constructor(transactionalId: string, log: PartitionLog, state: TransactionState) {
    this.transactionalId = transactionalId
    this.log = log
    this.state = state
  }

  /** How long nobody has used it; -1 while it is in use, or where the next open has to know of it. */
  idleMs(now: number): number {
    const { failure, isBusy, isSettled, state } = this
    if (failure !== undefined || isBusy || !isSettled || !isIdle(state)) return -1
    return now - Math.max(this.usedMs, state.lastUpdateTimestamp)
  }

  /** It can begin nothing yet. */
  get isBusy(): boolean {
    return this.run !== undefined || this.waiting > 0 || this.#isStoring
  }

  /** What it waits for is room on the disk. */
  get isStalled(): boolean {
    return this.waiting > 0 || this.run?.isStalled === true
  }

  /** Its last transaction over several partitions, or its last abort, and what was promised of it. */
  ended(transaction: DecidedTransaction, level: Durability): void {
    this.#last = transaction
    this.#lastLevel = level
    this.outcome = transaction.decision.outcome
  }

  /**
   * The markers of its last transaction are not on the disk, and must be before anything else is written: a power cut that took one of them and left
   * what came after it would make one transaction of the two. No power cut is reckoned with where neither is more than `'os'`.
   */
  mustRest(level: Durability): boolean {
    if (this.#last === undefined || (level === 'os' && this.#lastLevel === 'os')) return false
    return !this.#last.isDurable
  }

  /** No marker is on the way to the disk. */
  get isSettled(): boolean {
    return this.#last === undefined || this.#last.isDurable
  }

  /** Brings the markers to the disk. Rejects where a partition has failed. */
  async rest(): Promise<void> {
    await Promise.all(this.#last?.unsynced.map((log) => log.flush()) ?? [])
  }

  /** One of the partitions whose marker is not on the disk takes no more. */
  get cannotRest(): boolean {
    return this.#last?.unsynced.some(({ failure }) => failure !== undefined) === true
  }

  /** The state that follows, without storing it. What is over is complete without a word. */
  next(event: TransactionEvent, now: number): TransactionState {
    const isOver = this.state.status === 'Ongoing' ? event.type === 'init' : !isIdle(this.state)
    const state = isOver ? this.#completed(now) : this.state
    return transition(state, event, now)
  }

  /** Stores a state; nobody waits for it. What is not stored is as if it had not been said. */
  storeBehind(state: TransactionState): void {
    this.state = state
    appendState(this.log, this.transactionalId, state, 'os', ignore, ignore)
  }

  /** Resolves once it is stored. What came before it is not said behind it meanwhile. */
  async store(state: TransactionState, durability: Durability): Promise<void> {
    this.#isStoring = true
    try {
      await storeState(this.log, this.transactionalId, state, durability)
      this.state = state
    } finally {
      this.#isStoring = false
    }
  }

  /** That nothing is under way is stored, where something else is. */
  complete(now: number): void {
    if (!isIdle(this.state)) this.storeBehind(this.#completed(now))
  }

  #completed(now: number): TransactionState {
    const { status } = this.state
    const outcome =
      status === 'Ongoing' ? this.outcome : (decisionOf(this.state) as TransactionOutcome)
    return transition(this.state, { type: 'complete', outcome }, now)
  }
}

function ignore(): void {}
