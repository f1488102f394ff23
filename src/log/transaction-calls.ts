import type { ProducerOptions, TransactionOptions } from '../options.ts'
import { resolveProducerOptions, resolveTransactionOptions } from '../options.ts'
import type { AnyTopics } from '../topics/topic-types.ts'
import { Producer, requireFunction } from '../transactions/log-producer.ts'
import { runTransaction, Transaction } from '../transactions/transaction.ts'
import { GroupCalls } from './group-calls.ts'
import type { Session } from './session.ts'
import { TransactionAccess } from './transaction-access.ts'

/** What a log does for producers and transactions. */
export class TransactionCalls<T extends object = AnyTopics> extends GroupCalls<T> {
  readonly #session: Session
  readonly #access: TransactionAccess

  constructor(session: Session) {
    super(session)
    this.#session = session
    this.#access = new TransactionAccess(session)
  }

  /**
   * A producer that is idempotent, or one of transactions with `transactionalId`: see `Producer`. Whoever takes a `transactionalId` fences the producer that had it
   * before, and what that has open is aborted before this resolves. With `producerId` and `producerEpoch` an earlier idempotent one goes on, to send again
   * what may not have arrived; a `RangeError` for an id that this log has not given, or that is one of transactions.
   */
  async producer(options?: ProducerOptions): Promise<Producer<T>> {
    const session = this.#session
    session.requireWritable()
    const { transactionalId, ...resolved } = resolveProducerOptions(options)
    const { transactions } = session.core
    if (transactionalId !== undefined && 'transactionTimeoutMs' in resolved) {
      const { transactionTimeoutMs } = resolved
      const producer = await session.track(transactions.init(transactionalId, transactionTimeoutMs))
      return new Producer<T>(this.#access, { producer, transactionTimeoutMs })
    }
    const { resumed } = resolved
    if (resumed === undefined) {
      const producerId = await session.track(transactions.nextProducerId())
      return new Producer<T>(this.#access, { producerId, producerEpoch: 0 })
    }
    await session.track(transactions.requireIdempotent(resumed.producerId))
    return new Producer<T>(this.#access, resumed)
  }

  /**
   * Runs a function in a transaction: all that it produces and commits through the transaction is seen at once when it has ended, or never where it throws; then
   * this rejects with what it has thrown. Answers with what the function has given. See `Transaction.commit` for what else it rejects with.
   * Where the function itself has called `commit` or `abort`, that is what happens.
   */
  transaction<R>(
    run: (tx: Transaction<T>) => R | PromiseLike<R>,
    options?: TransactionOptions,
  ): Promise<R> {
    try {
      requireFunction(run)
      return runTransaction(this.#begin(options), run)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The same by hand: `commit` or `abort` ends it, or its time-out, or the log's close, which abort it. Any number may be open at once. */
  async beginTransaction(options?: TransactionOptions): Promise<Transaction<T>> {
    return this.#begin(options)
  }

  #begin(options: TransactionOptions | undefined): Transaction<T> {
    this.#session.requireWritable()
    const { durability, transactionTimeoutMs: timeoutMs } = resolveTransactionOptions(options)
    const open = this.#session.core.transactions.begin({ timeoutMs, durability })
    return new Transaction<T>(this.#access, open)
  }
}
