/**
 * The transactions of a log: who writes them, how they end, and what an open does about those that a dead process left.
 *
 * `__transaction_state` is made at the first need. Its last record of an id is kept in memory; one that says that something is under way is
 * followed by one that says that nothing is, some time after all markers have come to the disk.
 */
import { LogError } from '../errors.ts'
import { OFFSETS_TOPIC } from '../groups/offset-store.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Clock, Durability, RecoveredTransaction, Timer } from '../types.ts'
import { KeyedMutex } from '../util/keyed-mutex.ts'
import type { MarkerListener } from './decided-transaction.ts'
import { DecidedTransaction } from './decided-transaction.ts'
import type { UnderWay } from './identity.ts'
import { Identity } from './identity.ts'
import type { Producers } from './joint-commits.ts'
import type { FoundTransaction } from './open-transactions.ts'
import { findOpenTransactions, holdMarked } from './open-transactions.ts'
import type { ProducerHost } from './producer.ts'
import { busyError, fencedError, forgottenError, Producer } from './producer.ts'
import type { ProducerIdSource } from './producer-ids.ts'
import { ProducerIds } from './producer-ids.ts'
import { isPoolName, ProducerPool } from './producer-pool.ts'
import type { RunHost } from './run-host.ts'
import { readTransactionStates, stateLogFor, storeState } from './state-log.ts'
import { isIdle, needsProducerId, transition } from './transaction-machine.ts'
import { TransactionRun } from './transaction-run.ts'
import type {
  BeginOptions,
  OpenTransaction,
  TransactionalProducer,
  TransactionalProducers,
  TransactionOutcome,
  UnnamedOptions,
} from './types.ts'
import { UnnamedTransactions } from './unnamed-transactions.ts'

/** After so long markers that found no room are tried again, and what is complete is said to be. */
const TICK_MS = 1000
/** Of producers without a name, whose transactions say themselves how long they may take. */
const POOL_TIMEOUT_MS = 60_000

export interface CoordinatorOptions {
  readonly clock: Clock
  /** Of the log. */
  readonly durability: Durability
  /** Milliseconds. */
  readonly transactionalIdExpirationMs: number
  readonly ids: Omit<ProducerIdSource, 'knownProducerIds'>
  /** The partitions of `__transaction_state`; undefined: it is not made yet. */
  stateLogs(): readonly PartitionLog[] | undefined
  makeStateLogs(): Promise<readonly PartitionLog[]>
  /** False once the deletion of its topic has begun. */
  isThere(log: PartitionLog): boolean
  /** A transaction that was open when the log was opened has come to its end in a partition of `__consumer_offsets`, after the groups were loaded. */
  offsetsDecided(producerId: number, outcome: TransactionOutcome): void
}

export class TransactionCoordinator
  implements TransactionalProducers, ProducerHost, RunHost, Producers
{
  readonly #options: CoordinatorOptions
  readonly #ids: ProducerIds
  readonly #pool: ProducerPool
  readonly #identities = new Map<string, Identity>()
  /** The instance that may write, by transactional id. */
  readonly #producers = new Map<string, Producer>()
  /** Who takes an id, and what forgets it, by transactional id. */
  readonly #inits = new KeyedMutex()
  readonly #runs = new Set<UnderWay>()
  readonly #unnamed = new UnnamedTransactions(this)
  /** Those whose markers wait for room. */
  #stalled = new Set<DecidedTransaction>()
  /** Those that `__transaction_state` says something to be under way of. */
  readonly #unsettled = new Set<Identity>()
  #timer: Timer | undefined
  /** Why `__transaction_state` cannot be read. */
  #unreadable: LogError | undefined
  #closed: LogError | undefined
  #isOpened = false

  constructor(options: CoordinatorOptions) {
    this.#options = options
    const knownProducerIds = (): Iterable<number> => this.#knownProducerIds()
    this.#ids = new ProducerIds({ ...options.ids, knownProducerIds })
    this.#pool = new ProducerPool((id) => this.#init(id, POOL_TIMEOUT_MS, false))
  }

  get clock(): Clock {
    return this.#options.clock
  }

  get durability(): Durability {
    return this.#options.durability
  }

  get closed(): LogError | undefined {
    return this.#closed
  }

  // ------------------------------------------------------------------------------------- producers

  nextProducerId(): Promise<number> {
    return this.#ids.next()
  }

  /** Rejects with a `RangeError` for an id that was not given to an idempotent producer. */
  async requireIdempotent(producerId: number): Promise<void> {
    // It would be given to another one day.
    if (!(await this.#ids.hasGiven(producerId))) {
      throw new RangeError(`producerId is ${producerId}, which the log has not given`)
    }
    for (const { state, transactionalId } of this.#identities.values()) {
      const { producerId: own, previousProducerId, nextProducerId } = state
      if (![own, previousProducerId, nextProducerId].includes(producerId)) continue
      // Its batches would be taken for those of the transactions.
      throw new RangeError(
        `producerId is ${producerId}, that of transactions of ${transactionalId}`,
      )
    }
  }

  async init(transactionalId: string, transactionTimeoutMs: number): Promise<Producer> {
    if (isPoolName(transactionalId)) {
      throw new TypeError(`transactionalId ${transactionalId} is kept for transactions without one`)
    }
    return await this.#init(transactionalId, transactionTimeoutMs, true)
  }

  take(): Producer | Promise<Producer> {
    const producer = this.#pool.take()
    if (producer instanceof Producer) producer.identity.usedMs = this.clock.now()
    return producer
  }

  giveBack(producer: TransactionalProducer): void {
    if (producer instanceof Producer) this.#pool.giveBack(producer)
  }

  /** One after another for each id. */
  #init(transactionalId: string, timeoutMs: number, isNamed: boolean): Promise<Producer> {
    return this.#inits.run(transactionalId, async () => {
      this.#requireOpen(isNamed)
      const identity = await this.#inited(transactionalId, timeoutMs)
      this.#requireOpen(isNamed)
      const producer = new Producer(this, identity, isNamed)
      this.#producers.set(transactionalId, producer)
      return producer
    })
  }

  async #inited(transactionalId: string, transactionTimeoutMs: number): Promise<Identity> {
    const known = this.#identities.get(transactionalId)
    if (known !== undefined) await this.#takeOver(known)
    const logs = this.#options.stateLogs() ?? (await this.#options.makeStateLogs())
    const newProducerId = needsProducerId(known?.state) ? await this.#ids.next() : undefined
    const event = { type: 'init', transactionTimeoutMs, newProducerId } as const
    const now = this.clock.now()
    const state = known === undefined ? transition(undefined, event, now) : known.next(event, now)
    if (known !== undefined) {
      await known.store(state, 'disk')
      return known
    }
    const log = stateLogFor(transactionalId, logs)
    await storeState(log, transactionalId, state, 'disk')
    const identity = new Identity(transactionalId, log, state)
    this.#identities.set(transactionalId, identity)
    return identity
  }

  /** Fences the former instance, and ends what it has under way. */
  async #takeOver(identity: Identity): Promise<void> {
    this.#producers.get(identity.transactionalId)?.fence(fencedError(identity.transactionalId))
    await identity.run?.end(fencedError(identity.transactionalId), false)
    if (identity.failure !== undefined) throw identity.failure
    if (identity.isBusy) throw busyError(identity)
    if (identity.mustRest('disk')) await identity.rest()
  }

  #requireOpen(isNamed = true): void {
    // Who commits without a name may need a producer for it while the log is being closed.
    if (this.#closed !== undefined && isNamed) throw this.#closed
    if (this.#unreadable !== undefined) throw this.#unreadable
  }

  *#knownProducerIds(): Iterable<number> {
    for (const { state } of this.#identities.values()) {
      yield Math.max(state.producerId, state.previousProducerId, state.nextProducerId)
    }
  }

  // ---------------------------------------------------------------------------------- transactions

  begin(options: UnnamedOptions): OpenTransaction {
    this.#requireOpen()
    return this.#unnamed.begin(options)
  }

  beginOf(identity: Identity, options: BeginOptions, isNamed: boolean): OpenTransaction {
    const run = new TransactionRun(this, identity, options, isNamed)
    identity.run = run
    identity.usedMs = this.clock.now()
    this.#runs.add(run)
    return run
  }

  isThere(log: PartitionLog): boolean {
    return this.#options.isThere(log)
  }

  ended(identity: Identity, run: UnderWay): void {
    this.#runs.delete(run)
    if (identity.run === run) identity.run = undefined
    if (!isIdle(identity.state) && identity.failure === undefined) {
      this.#unsettled.add(identity)
      this.#schedule()
    }
  }

  stalled(transaction: DecidedTransaction, error: Error): void {
    if (this.#closed !== undefined) {
      transaction.abandon(error)
      return
    }
    this.#stalled.add(transaction)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#closed !== undefined || !this.#isOpened) return
    this.#timer ??= this.clock.setTimer(() => this.#tick(), TICK_MS)
  }

  async #tick(): Promise<void> {
    this.#timer = undefined
    this.#retry()
    await this.#settle()
    if (this.#stalled.size + this.#unsettled.size > 0) this.#schedule()
  }

  #retry(): void {
    const stalled = this.#stalled
    this.#stalled = new Set()
    for (const transaction of stalled) transaction.write()
  }

  /** Says what is complete to be so. Where something is under way it says so itself. */
  async #settle(): Promise<void> {
    await Promise.all([...this.#unsettled].map((identity) => this.#settleOne(identity)))
  }

  async #settleOne(identity: Identity): Promise<void> {
    if (identity.isBusy) return
    try {
      if (!identity.isSettled) await identity.rest()
    } catch {
      // Its partition is closed to writes: the next open decides what is true of it.
      this.#unsettled.delete(identity)
      return
    }
    if (identity.isBusy || !identity.isSettled) return
    identity.complete(this.clock.now())
    this.#unsettled.delete(identity)
  }

  /** Forgets ids that have been idle for long. As with Kafka, a producer that still has one begins nothing more, and who takes the id anew is a new producer. */
  async expire(): Promise<void> {
    const expired = [...this.#identities.values()].filter((each) => this.#isExpired(each))
    await Promise.all(
      expired.map((each) => this.#inits.run(each.transactionalId, () => this.#forget(each))),
    )
  }

  #isExpired(identity: Identity): boolean {
    return identity.idleMs(this.clock.now()) > this.#options.transactionalIdExpirationMs
  }

  async #forget(identity: Identity): Promise<void> {
    // Somebody may have taken it meanwhile.
    if (this.#closed !== undefined || !this.#isExpired(identity)) return
    const { log, transactionalId } = identity
    this.#producers.get(transactionalId)?.fence(forgottenError(transactionalId))
    await storeState(log, transactionalId, null, 'os')
    this.#identities.delete(transactionalId)
    this.#producers.delete(transactionalId)
    this.#unsettled.delete(identity)
  }

  // ------------------------------------------------------------------------------------------ open

  /** Reads `__transaction_state`. Before all else that is done with transactions. */
  async load(): Promise<void> {
    for (const log of this.#options.stateLogs() ?? []) {
      try {
        for (const [transactionalId, state] of await readTransactionStates(log)) {
          this.#identities.set(transactionalId, new Identity(transactionalId, log, state))
        }
      } catch (error) {
        if (!(error instanceof LogError && error.code === 'UNSUPPORTED_CODEC')) throw error
        // Nothing can be decided without it: what is open stays so, and readers stop before it.
        const message = `transactions cannot be read from ${log.name}: ${error.message}`
        this.#unreadable = new LogError('UNSUPPORTED_CODEC', message, { cause: error })
      }
    }
  }

  /**
   * Ends what a dead process has left: by what is decided, and else as aborted. After `load`, and before anybody reads or writes. Where a partition has no room for
   * a marker it is tried again later; where one has failed, the next open does it. Readers wait for that.
   */
  async completeAtOpen(): Promise<readonly RecoveredTransaction[]> {
    if (this.#unreadable !== undefined) return []
    const found = findOpenTransactions(this.#options.ids.partitions(), this.#identities.values())
    holdMarked(found)
    const recovered = await Promise.all(found.map((each) => this.#complete(each)))
    for (const identity of this.#identities.values()) {
      if (!isIdle(identity.state) && identity.failure === undefined) this.#unsettled.add(identity)
    }
    return recovered
  }

  /** The log is open: what waits for room is tried again from here on, and groups are told. */
  opened(): void {
    this.#isOpened = true
    if (this.#stalled.size + this.#unsettled.size > 0) this.#schedule()
  }

  async #complete(found: FoundTransaction): Promise<RecoveredTransaction> {
    const { identity, decision, logs } = found
    const { producerId, producerEpoch, outcome } = decision
    const isComplete = await this.#writeMarkers(found)
    // So that nothing comes before them on the disk; whoever fails will tell.
    if (isComplete) await Promise.allSettled(logs.map((log) => log.flush()))
    return {
      transactionalId: identity?.transactionalId ?? null,
      producerId,
      producerEpoch,
      outcome,
      partitions: logs.map(({ topic, partition }) => ({ topic, partition })),
      isComplete,
    }
  }

  /** Answers whether all stand by now. */
  #writeMarkers({ identity, decision, logs, marked }: FoundTransaction): Promise<boolean> {
    const others = marked.map(({ log }) => log)
    return new Promise((resolve) => {
      let isWaiting = false
      const isThere = (log: PartitionLog): boolean => this.isThere(log)
      const listener: MarkerListener = {
        stood: () => {
          if (isWaiting && identity !== undefined) identity.waiting -= 1
          if (isWaiting && logs.some(({ topic }) => topic === OFFSETS_TOPIC)) {
            this.#options.offsetsDecided(decision.producerId, decision.outcome)
          }
          resolve(true)
        },
        stalled: (error) => {
          if (!isWaiting && identity !== undefined) identity.waiting += 1
          isWaiting = true
          this.stalled(transaction, error)
          resolve(false)
        },
        failed: (error) => {
          if (identity !== undefined) identity.failure = unfinishedError(identity, error)
          resolve(false)
        },
      }
      const transaction = new DecidedTransaction(decision, logs, isThere, listener, others)
      identity?.ended(transaction, 'disk')
      transaction.write()
    })
  }

  // ----------------------------------------------------------------------------------------- close

  /** No more transactions begin, and open ones are aborted; who commits is waited for by who has called. */
  beginClose(): void {
    if (this.#closed !== undefined) return
    this.#closed = new LogError('CLOSED', 'the log is closed')
    this.#timer?.cancel()
    this.#unnamed.end(this.#closed)
    for (const run of [...this.#runs]) void run.end(this.#closed, false)
    this.#retry()
  }

  /** Ends what is under way, and stores that nothing is. Before the partitions are closed. */
  async close(): Promise<void> {
    this.beginClose()
    const closed = this.#closed as LogError
    await this.#unnamed.committed()
    await Promise.all([...this.#runs].map((run) => run.end(closed, false)))
    await this.#inits.idle()
    await this.#settle()
  }
}

function unfinishedError({ transactionalId }: Identity, cause: Error): LogError {
  const message = `a transaction of ${transactionalId} from before the log was opened could not be ended; the next open tries again`
  return new LogError('STORAGE_FAILED', message, { cause })
}
