import { LogError } from '../errors.ts'
import { copyRecordSet } from '../storage/admission.ts'
import type { Clock, Durability, Timer } from '../types.ts'
import { Deferred } from '../util/deferred.ts'
import { asError } from '../util/error-code.ts'
import { levelOf } from './commit-level.ts'
import type { JoinedTransaction, Producers } from './joint-commits.ts'
import { JointCommits } from './joint-commits.ts'
import type {
  Appended,
  DecisionListener,
  OpenTransaction,
  TransactionalProducer,
  TransactionOutcome,
  TransactionPhase,
  TransactionWrite,
  UnnamedOptions,
} from './types.ts'

/** What a transaction without a name needs of the coordinator. */
export interface UnnamedHost extends Producers {
  readonly clock: Clock
  /** Of the log. */
  readonly durability: Durability
  readonly joint: JointCommits
  /** It commits by itself, or a producer is made for it: the log's close waits for that. */
  goesAlone(work: Promise<unknown>): void
  /** It takes nothing more. */
  gone(transaction: UnnamedTransaction): void
}

/**
 * A transaction without a name. Until it writes there is nothing of it but this: it commits together with others that end in the same turn (see
 * `JointCommits`). Where it writes before its end, or has conditions, it gets a producer of its own.
 */
export class UnnamedTransaction implements OpenTransaction, JoinedTransaction {
  readonly #host: UnnamedHost
  readonly #options: UnnamedOptions
  #timer: Timer | undefined
  #listeners: DecisionListener[] | undefined
  #phase: TransactionPhase = 'open'
  #durability: Durability
  #failure: LogError | undefined
  #producer: TransactionalProducer | undefined
  #own: OpenTransaction | undefined
  /** While its producer is made. */
  #making: Promise<OpenTransaction> | undefined
  #committing: Deferred<readonly Appended[]> | undefined
  #appended: readonly Appended[] = []

  constructor(host: UnnamedHost, options: UnnamedOptions) {
    this.#host = host
    this.#options = options
    this.#durability = levelOf(options.durability ?? host.durability, [])
  }

  /** For the coordinator: its time begins to count. */
  time(): void {
    if (this.state !== 'open') return
    this.#timer = this.#host.clock.setTimer(() => this.#expire(), this.#options.timeoutMs)
  }

  get state(): TransactionPhase {
    return this.#own?.state ?? this.#phase
  }

  get durability(): Durability {
    return this.#own?.durability ?? this.#durability
  }

  get failure(): LogError | undefined {
    return this.#failure ?? this.#own?.failure
  }

  onDecided(listener: DecisionListener): void {
    if (this.#own !== undefined) this.#own.onDecided(listener)
    else if (this.#listeners === undefined) this.#listeners = [listener]
    else this.#listeners.push(listener)
  }

  write(writes: readonly TransactionWrite[]): Promise<readonly Appended[]> {
    if (this.#own !== undefined) return this.#own.write(writes)
    if (this.#phase !== 'open') return Promise.reject(this.#gone('takes no more records'))
    const begun = this.#begin()
    if (!(begun instanceof Promise)) return begun.write(writes)
    const copies = writes.map((write) => ({ ...write, set: copyRecordSet(write.set) }))
    return begun.then((own) => own.write(copies))
  }

  commit(writes: readonly TransactionWrite[]): Promise<readonly Appended[]> {
    if (this.state !== 'open') return Promise.reject(this.#gone('cannot be committed'))
    this.#leave()
    if (this.#own !== undefined) {
      return this.#own.commit(writes).finally(() => this.#giveBack())
    }
    this.#phase = 'committing'
    this.#committing = new Deferred()
    const { promise } = this.#committing
    if (this.#making !== undefined || !JointCommits.takes(writes)) this.parted(writes)
    else if (writes.length === 0) {
      this.decided([])
      this.committed()
    } else {
      this.#durability = levelOf(
        this.#options.durability ?? this.#host.durability,
        writes.map(({ log }) => log),
      )
      this.#host.joint.add(this, writes, this.#durability)
    }
    return promise
  }

  async abort(): Promise<void> {
    const isOver = !['open', 'aborting', 'aborted'].includes(this.#phase)
    if (this.#own === undefined && isOver) throw this.#gone('cannot be aborted')
    this.#leave()
    if (this.#phase === 'open') this.#phase = 'aborting'
    const own = this.#own ?? (await this.#making?.catch(() => undefined))
    if (own !== undefined) await own.abort().finally(() => this.#giveBack())
    else if (this.#phase === 'aborting') this.#end('aborted')
  }

  /** Gives it up where it is not being committed. */
  end(reason: LogError): Promise<void> {
    if (this.state !== 'open') return Promise.resolve()
    this.#failure = reason
    return this.abort()
  }

  // ------------------------------------------------------------------------- committed with others

  decided(appended: readonly Appended[]): void {
    this.#appended = appended
    this.#tell('commit')
  }

  committed(): void {
    this.#phase = 'committed'
    this.#committing?.resolve(this.#appended)
  }

  failed(error: Error, phase: TransactionPhase): void {
    if (phase === 'unknown' && error instanceof LogError) this.#failure = error
    this.#end(phase)
    this.#committing?.reject(error)
  }

  // ---------------------------------------------------------------------------------- by itself

  /** Commits it under a producer of its own. */
  parted(writes: readonly TransactionWrite[]): void {
    const committing = this.#committing as Deferred<readonly Appended[]>
    this.#host.goesAlone(committing.promise)
    const commit = (own: OpenTransaction): void => {
      const committed = own.commit(writes).finally(() => this.#giveBack())
      committed.then(committing.resolve, committing.reject)
    }
    try {
      const begun = this.#begin()
      if (begun instanceof Promise)
        begun.then(commit, (error) => this.failed(asError(error), 'aborted'))
      else commit(begun)
    } catch (error) {
      this.failed(asError(error), 'aborted')
    }
  }

  #begin(): OpenTransaction | Promise<OpenTransaction> {
    if (this.#making !== undefined) return this.#making
    const producer = this.#host.take()
    if (!(producer instanceof Promise)) return this.#beginOf(producer)
    this.#making = producer.then((made) => this.#beginOf(made))
    this.#host.goesAlone(this.#making)
    return this.#making
  }

  #beginOf(producer: TransactionalProducer): OpenTransaction {
    const { durability } = this.#options
    this.#producer = producer
    try {
      this.#own = producer.begin({ timeoutMs: undefined, durability })
    } catch (error) {
      this.#giveBack()
      throw error
    }
    for (const listener of this.#listeners ?? []) this.#own.onDecided(listener)
    return this.#own
  }

  #giveBack(): void {
    if (this.#producer !== undefined) this.#host.giveBack(this.#producer)
    this.#producer = undefined
  }

  // ------------------------------------------------------------------------------------------ end

  #expire(): Promise<void> {
    const { timeoutMs } = this.#options
    const message = `the transaction was not committed within ${timeoutMs} ms, and was aborted`
    return this.end(new LogError('TRANSACTION_ABORTED', message))
  }

  #leave(): void {
    this.#timer?.cancel()
    this.#host.gone(this)
  }

  #end(phase: TransactionPhase): void {
    this.#phase = phase
    if (phase !== 'committed') this.#tell(phase === 'unknown' ? 'unknown' : 'abort')
  }

  #tell(outcome: TransactionOutcome | 'unknown'): void {
    for (const listener of this.#listeners ?? []) listener(outcome, this.#appended)
  }

  #gone(what: string): Error {
    return this.failure ?? new TypeError(`the transaction is ${this.state}: it ${what}`)
  }
}
