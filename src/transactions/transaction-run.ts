/**
 * A transaction, from its begin to its end.
 *
 * ## Over several partitions, at `'disk'`
 *
 *   0. rest        the markers of the producer's last transaction are on the disk (see `Identity.mustRest`)
 *   1. data        all partitions side by side, each batch synced
 *   2. decision    `PrepareCommit` in `__transaction_state`, with all partitions and where the transaction begins in them, synced
 *   3. markers     one to each partition, written
 *   4. told        offsets of groups take effect and the last stable offsets move, in one turn of the event loop; the promise resolves
 *   5. complete    `CompleteCommit`, some time after the markers have come to the disk; or the producer's next decision in its place
 *
 * The commit point is 2: the decision on the disk. The decision is overwritten (5, or the next 2) only when all markers are on the disk. After a kill,
 * or a power cut,
 *   - before 2, the open finds the data, or a part of it, and no decision: it writes abort markers. Nobody was told; readers have stopped before it.
 *   - within 2, it finds the decision or not. Where it does the data is there, all of it: 1 was synced. Where it does not, as before.
 *   - after 2, it writes the commit markers that are missing. A partition whose producer state has no open transaction of the producer has its own.
 *   - within 4, or after it, the same: memory is gone, and the log says all.
 *   - in the middle of such an open: the next one does the rest. Its own markers are as good as these.
 * A transaction that comes after a decided one, and has no decision of its own, bears the same producer id and epoch. The decision says where
 * its transaction begins, so the open takes none for it that begins elsewhere: it aborts that. It could not tell them apart where the marker
 * between them was lost and what came later was not, as a power cut may have it within what was not synced: hence 0.
 * At `'os'` each step is written, not synced: a kill at any point leaves the same as above; a power cut may take any of it, as `'os'` has it.
 *
 * ## In one partition
 *
 * The marker is the decision; nothing goes to `__transaction_state`. One batch, and nothing written before: batch and marker go in one write, with one
 * sync. A kill leaves nothing, the batch alone (aborted by the open), or both. More batches than one: all are synced first, and
 * the marker is then written and synced alone, since a power cut may take one of them and leave a marker that came with the last.
 *
 * ## What was written early
 *
 * Before it `Ongoing` is written, with the partitions: nobody waits for it, since an open asks the partitions themselves; it tells people, and brokers.
 * What was written early and not synced is synced between 1 and 2.
 *
 * ## Abort
 *
 * No decision is an abort, so there is no commit point: markers are written where data was, `PrepareAbort` before them where `Ongoing` was, and the readers of
 * each partition go on. A kill or a power cut anywhere leaves less than that, and the open writes the markers that are missing. Nothing was
 * written: nothing is written. A time-out, and a newer instance of the producer, abort as well, with the next epoch in the markers:
 * the partitions take nothing more from the old one.
 *
 * ## What fails
 *
 * Before the commit point: abort; the promise rejects with what has failed. In 2, with a failed sync: nobody knows (`unknown`), so readers stay where they are,
 * the producer is used no more, the promise rejects, and the next open finds out. So it is with the marker in one partition. After 2 there is no way back: a marker that has no room is tried again,
 * and readers see nothing of the transaction in any partition until all stand; where a partition has failed, the next open does it. A partition
 * whose topic was deleted meanwhile has nobody to be told, and the others go on without it.
 *
 * To all of this it is the same whether it is one transaction of a user's or several that are committed together (see `JointCommits`).
 */
import type { LogError } from '../errors.ts'
import { copyRecordSet } from '../storage/admission.ts'
import { releaseJointly } from '../storage/joint-release.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability, Timer } from '../types.ts'
import { Deferred } from '../util/deferred.ts'
import { asError } from '../util/error-code.ts'
import { levelOf } from './commit-level.ts'
import { markerFor } from './data-round.ts'
import type { MarkerListener } from './decided-transaction.ts'
import { DecidedTransaction, endingIn } from './decided-transaction.ts'
import type { Identity, UnderWay } from './identity.ts'
import type { RunHost } from './run-host.ts'
import { appendState } from './state-log.ts'
import { TransactionData } from './transaction-data.ts'
import { misused, onlyAbortable, timedOut, undecidable, untold } from './transaction-failures.ts'
import type {
  Appended,
  BeginOptions,
  DecisionListener,
  OpenTransaction,
  TransactionOutcome,
  TransactionPhase,
  TransactionWrite,
} from './types.ts'

export class TransactionRun implements OpenTransaction, UnderWay, MarkerListener {
  readonly #host: RunHost
  readonly #identity: Identity
  readonly #options: BeginOptions
  /** Others than this process may know the producer: where its time is up, they are fenced. */
  readonly #isNamed: boolean
  readonly #timer: Timer | undefined
  readonly #startTimestamp: number
  readonly #listeners: DecisionListener[] = []
  readonly #data: TransactionData
  #phase: TransactionPhase = 'open'
  /** Why a write was refused. */
  #refusal: Error | undefined
  #failure: LogError | undefined
  /** How many partitions `Ongoing` was written with. */
  #storedPlaces = 0
  #committing: Deferred<readonly Appended[]> | undefined
  #aborting: Deferred<void> | undefined
  /** Who waits for the end of a commit. */
  #end: Deferred<void> | undefined
  #decided: DecidedTransaction | undefined
  #isTold = false
  isStalled = false

  constructor(host: RunHost, identity: Identity, options: BeginOptions, isNamed: boolean) {
    this.#host = host
    this.#identity = identity
    this.#options = options
    this.#isNamed = isNamed
    this.#data = new TransactionData(identity)
    this.#startTimestamp = host.clock.now()
    const { timeoutMs } = options
    this.#timer =
      timeoutMs === undefined
        ? undefined
        : host.clock.setTimer(() => this.#expire(timeoutMs), timeoutMs)
  }

  get state(): TransactionPhase {
    return this.#phase
  }

  get failure(): LogError | undefined {
    return this.#failure
  }

  get durability(): Durability {
    return this.#levelWith([])
  }

  onDecided(listener: DecisionListener): void {
    this.#listeners.push(listener)
  }

  // ---------------------------------------------------------------------------------------- calls

  write(writes: readonly TransactionWrite[]): Promise<readonly Appended[]> {
    const refused = this.#refuse('takes no more records')
    if (refused !== undefined) return Promise.reject(refused)
    const answer = new Deferred<readonly Appended[]>()
    this.#data.hold()
    this.#rested(this.#levelWith(writes), writes, (ready, error) => {
      // It may have been given up meanwhile.
      const isOver = this.#phase !== 'open' && this.#phase !== 'committing'
      const failure = error ?? (isOver ? this.#gone() : undefined)
      if (failure === undefined) this.#writeEarly(ready, answer)
      else this.#refuseWrite(answer, failure)
      this.#data.letGo()
    })
    return answer.promise
  }

  commit(writes: readonly TransactionWrite[]): Promise<readonly Appended[]> {
    const refused = this.#refuse('cannot be committed')
    if (refused !== undefined && this.#phase !== 'open') return Promise.reject(refused)
    this.#phase = 'committing'
    this.#timer?.cancel()
    this.#committing = new Deferred<readonly Appended[]>()
    const level = this.#levelWith(writes)
    if (refused !== undefined) this.#giveUp(refused)
    else {
      this.#rested(level, writes, (ready, error) => {
        if (error !== undefined) this.#giveUp(error)
        else if (!this.#data.isEmpty) this.#commit(ready, level)
        // Where a write waits as well, it is to come first.
        else this.#data.whenIdle(() => this.#commit(ready, level))
      })
    }
    return this.#committing.promise
  }

  abort(): Promise<void> {
    if (this.#aborting !== undefined) return this.#aborting.promise
    if (this.#phase === 'open') return this.#abort(false)
    if (this.#phase === 'aborted') return Promise.resolve()
    if (this.#phase === 'unknown') return Promise.reject(this.#gone())
    return Promise.reject(this.#misuse('cannot be aborted'))
  }

  end(reason: LogError, fences: boolean): Promise<void> {
    if (this.#phase === 'open') {
      this.#failure = reason
      return this.#abort(fences)
    }
    if (this.#aborting !== undefined) return this.#aborting.promise
    this.#end ??= new Deferred()
    return this.#end.promise
  }

  #expire(timeoutMs: number): Promise<void> {
    return this.end(timedOut(this.#identity.transactionalId, timeoutMs), this.#isNamed)
  }

  /** Why it cannot be written to, or committed; undefined: it can. */
  #refuse(what: string): Error | undefined {
    if (this.#phase !== 'open') return this.#gone(what)
    return this.#refusal && onlyAbortable(this.#refusal)
  }

  #gone(what = 'takes no more records'): Error {
    return this.#failure ?? this.#misuse(what)
  }

  #misuse(what: string): TypeError {
    return misused(this.#identity.transactionalId, this.#phase, what)
  }

  // ----------------------------------------------------------------------------------------- data

  /** What all of it is to be acknowledged with. */
  #levelWith(writes: readonly TransactionWrite[]): Durability {
    const asked = this.#options.durability ?? this.#host.durability
    return levelOf(asked, [...this.#data.logs, ...writes.map(({ log }) => log)])
  }

  /** Goes on at once, or, with copies of the records, when the producer may write again. */
  #rested(
    level: Durability,
    writes: readonly TransactionWrite[],
    next: (writes: readonly TransactionWrite[], error?: Error) => void,
  ): void {
    if (!this.#data.isEmpty || !this.#identity.mustRest(level)) {
      next(writes)
      return
    }
    const copies = writes.map((write) => ({ ...write, set: copyRecordSet(write.set) }))
    this.#identity.rest().then(
      () => next(copies),
      (error: unknown) => next(copies, asError(error)),
    )
  }

  #writeEarly(writes: readonly TransactionWrite[], answer: Deferred<readonly Appended[]>): void {
    const round = this.#data.round(writes, 'os', undefined, (failure) => {
      if (failure === undefined) answer.resolve(round.calls)
      else this.#refuseWrite(answer, failure)
    })
    this.#storeOngoing(writes)
    round.start()
  }

  #refuseWrite(answer: Deferred<readonly Appended[]>, failure: Error): void {
    this.#refusal ??= failure
    answer.reject(failure)
  }

  /** The partitions, with those of what is about to be written; not where a decision stands there that has to. Nobody waits for it. */
  #storeOngoing(writes: readonly TransactionWrite[]): void {
    const places = this.#data.placesWith(writes)
    if (places.length <= this.#storedPlaces || !this.#identity.isSettled) return
    this.#storedPlaces = places.length
    const event = { type: 'add', places, startTimestamp: this.#startTimestamp } as const
    this.#identity.storeBehind(this.#identity.next(event, this.#host.clock.now()))
  }

  // --------------------------------------------------------------------------------------- commit

  #commit(writes: readonly TransactionWrite[], level: Durability): void {
    const [only] = writes
    if (this.#refusal !== undefined) this.#giveUp(this.#refusal)
    else if (only === undefined && this.#data.isEmpty) this.#finishCommit([])
    else if (only !== undefined && writes.length === 1 && this.#data.isEmpty) {
      this.#commitInOne(only, level)
    } else {
      if (only !== undefined) {
        const ended = (failure: Error | undefined): void => {
          this.#refusal ??= failure
        }
        this.#data.round(writes, level, undefined, ended).start()
      }
      this.#data.whenIdle(() => this.#written(this.#levelWith([])))
    }
  }

  /** What is left to write is the marker, alone or behind the only batch, and it decides. */
  #commitInOne(write: TransactionWrite, level: Durability): void {
    const { log } = write
    const ending = endingIn(log, this.#identity.state.producerId, 'commit')
    const hadFailed = log.failure !== undefined
    const round = this.#data.round([write], level, ending, (failure) => {
      if (failure === undefined) this.#finishCommit([log])
      else this.#undecided(log, hadFailed, failure)
    })
    round.start()
  }

  /** All data stands. What of it is not on the disk is brought there, where that is asked for. */
  #written(level: Durability): void {
    if (this.#refusal !== undefined) {
      this.#giveUp(this.#refusal)
      return
    }
    const unsynced = level === 'disk' ? this.#data.unsynced : []
    if (unsynced.length === 0) this.#decide(level)
    else {
      Promise.all(unsynced.map((log) => log.flush())).then(
        () => this.#decide(level),
        (error: unknown) => this.#giveUp(asError(error)),
      )
    }
  }

  #decide(level: Durability): void {
    const logs = this.#data.logs
    const [only] = logs
    if (only !== undefined && logs.length === 1) {
      this.#commitInOne(markerFor(only), level)
      return
    }
    const identity = this.#identity
    const { log, transactionalId } = identity
    const startTimestamp = this.#startTimestamp
    const places = this.#data.placesWith([])
    const event = { type: 'prepare', outcome: 'commit', places, startTimestamp } as const
    const state = identity.next(event, this.#host.clock.now())
    const hadFailed = log.failure !== undefined
    const stored = (): void => {
      identity.state = state
      this.#writeMarkers('commit', logs, level)
    }
    appendState(log, transactionalId, state, level, stored, (error) =>
      this.#undecided(log, hadFailed, error),
    )
  }

  /** Of a write that was refused it is known that it is not there, and of one that has failed, or its sync, nothing is. */
  #undecided(log: PartitionLog, hadFailed: boolean, error: Error): void {
    if (hadFailed || log.failure === undefined) this.#giveUp(error)
    else this.#lose(error)
  }

  #finishCommit(logs: readonly PartitionLog[]): void {
    this.#identity.outcome = 'commit'
    this.#tell('commit')
    releaseJointly(this.#identity.state.producerId, logs)
    this.#finish('committed')
  }

  /** Nobody knows whether it is decided. Its readers wait for the next open. */
  #lose(cause: Error): void {
    this.#failure = undecidable(this.#identity.transactionalId, cause)
    this.#identity.failure = this.#failure
    this.#tell('unknown')
    this.#committing?.reject(this.#failure)
    this.#finish('unknown')
  }

  // ---------------------------------------------------------------------------------------- abort

  #giveUp(error: Error): void {
    void this.#abort(false).then(() => this.#committing?.reject(error))
  }

  #abort(fences: boolean): Promise<void> {
    this.#phase = 'aborting'
    this.#timer?.cancel()
    const aborting = new Deferred<void>()
    this.#aborting = aborting
    this.#data.whenIdle(() => this.#endAborted(fences))
    return aborting.promise
  }

  #endAborted(fences: boolean): void {
    const identity = this.#identity
    const logs = this.#data.logs
    if (fences || this.#storedPlaces > 0) {
      const startTimestamp = this.#startTimestamp
      const places = this.#data.placesWith([])
      const event = { type: 'prepare', outcome: 'abort', places, startTimestamp, fences } as const
      const state = identity.next(event, this.#host.clock.now())
      if (identity.isSettled) identity.storeBehind(state)
      else identity.state = { ...identity.state, producerEpoch: state.producerEpoch }
    }
    identity.outcome = 'abort'
    if (logs.length > 0) this.#writeMarkers('abort', logs, this.#levelWith([]))
    else {
      this.#tell('abort')
      this.#finish('aborted')
    }
  }

  // -------------------------------------------------------------------------------------- markers

  #writeMarkers(
    outcome: TransactionOutcome,
    logs: readonly PartitionLog[],
    level: Durability,
  ): void {
    const { producerId, producerEpoch } = this.#identity.state
    const isThere = (log: PartitionLog): boolean => this.#host.isThere(log)
    const decision = { producerId, producerEpoch, outcome }
    this.#decided = new DecidedTransaction(decision, logs, isThere, this)
    this.#identity.ended(this.#decided, level)
    this.#decided.write()
  }

  stood(): void {
    const outcome = this.#decided?.decision.outcome ?? 'abort'
    this.#tell(outcome)
    this.#finish(outcome === 'commit' ? 'committed' : 'aborted')
  }

  stalled(error: LogError): void {
    const decided = this.#decided as DecidedTransaction
    this.isStalled = true
    if (decided.decision.outcome === 'abort') {
      this.#tell('abort')
      this.#aborting?.resolve()
    }
    this.#end?.resolve()
    this.#options.onStalled?.()
    this.#host.stalled(decided, error)
  }

  failed(cause: Error): void {
    const outcome = this.#decided?.decision.outcome ?? 'abort'
    this.#identity.failure = untold(this.#identity.transactionalId, outcome, cause)
    if (outcome === 'commit') this.#committing?.reject(this.#identity.failure)
    this.#tell(outcome)
    this.#finish(outcome === 'commit' ? 'committed' : 'aborted')
  }

  #tell(outcome: TransactionOutcome | 'unknown'): void {
    if (this.#isTold) return
    this.#isTold = true
    if (this.#listeners.length === 0) return
    const appended = this.#data.appended()
    for (const listener of this.#listeners) listener(outcome, appended)
  }

  #finish(phase: 'committed' | 'aborted' | 'unknown'): void {
    this.#phase = phase
    if (phase === 'committed') this.#committing?.resolve(this.#data.appended())
    this.#aborting?.resolve()
    this.#end?.resolve()
    this.#host.ended(this.#identity, this)
  }
}
