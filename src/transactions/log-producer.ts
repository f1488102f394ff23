import type { IdempotentProduceOptions, TransactionOptions } from '../options.ts'
import { resolveTransactionOptions } from '../options.ts'
import type { AnyTopics, KeyOf, ProducedOf, TopicName } from '../topics/topic-types.ts'
import type { Acknowledgement, BatchAcknowledgement, ProduceRecord } from '../types.ts'
import type { TransactionContext } from './transaction.ts'
import { runTransaction, Transaction } from './transaction.ts'
import type { TransactionalProducer } from './types.ts'

/** Who a batch is of. */
export interface ProducerIdentity {
  readonly producerId: number
  readonly producerEpoch: number
}

type Records = ProduceRecord<unknown, unknown> | readonly ProduceRecord<unknown, unknown>[]

/** What a producer needs of its log. */
export interface ProducerContext {
  /** For the transactions of a named one. */
  readonly transactions: TransactionContext
  /** Appends as `log.produce`, in batches of the producer. Misuse rejects. */
  produce(
    as: ProducerIdentity,
    topic: string,
    records: Records,
    options: IdempotentProduceOptions | undefined,
  ): Promise<Acknowledgement | BatchAcknowledgement[]>
}

/** One of transactions. */
export interface NamedProducer {
  readonly producer: TransactionalProducer
  readonly transactionTimeoutMs: number
}

/**
 * Who writes: batches say whose they are, and count the records of a producer in each partition, so that one that comes again is stored once.
 *
 * One without a name is idempotent: a batch that is sent again with its `sequence` is answered as it was the first time (of the last 5 batches of a
 * partition; `DUPLICATE_SEQUENCE` before them), a gap is refused (`OUT_OF_ORDER_SEQUENCE`). One with a `transactionalId` writes in transactions alone;
 * who takes the same name fences it (`PRODUCER_FENCED`).
 */
export class Producer<T extends object = AnyTopics> {
  readonly producerId: number
  readonly producerEpoch: number
  /** Undefined: it is idempotent alone. */
  readonly transactionalId: string | undefined
  readonly #context: ProducerContext
  readonly #named: NamedProducer | undefined

  constructor(context: ProducerContext, identity: ProducerIdentity | NamedProducer) {
    this.#context = context
    const named = 'producer' in identity ? identity : undefined
    const { producerId, producerEpoch } = 'producer' in identity ? identity.producer : identity
    this.#named = named
    this.producerId = producerId
    this.producerEpoch = producerEpoch
    this.transactionalId = named?.producer.transactionalId
  }

  /**
   * As `log.produce`, idempotently. Calls that are made one after another get adjacent sequences; where one is refused, the next one takes its
   * place. A `TypeError` of one with a `transactionalId`.
   */
  produce<N extends TopicName<T>>(
    topic: N,
    record: ProduceRecord<KeyOf<T, N>, ProducedOf<T, N>>,
    options?: IdempotentProduceOptions,
  ): Promise<Acknowledgement>
  produce<N extends TopicName<T>>(
    topic: N,
    records: readonly ProduceRecord<KeyOf<T, N>, ProducedOf<T, N>>[],
    options?: IdempotentProduceOptions,
  ): Promise<BatchAcknowledgement[]>
  produce(
    topic: string,
    records: Records,
    options?: IdempotentProduceOptions,
  ): Promise<Acknowledgement | BatchAcknowledgement[]> {
    if (this.#named !== undefined) {
      const message = `the producer ${this.transactionalId} writes in transactions alone: begin one`
      return Promise.reject(new TypeError(message))
    }
    return this.#context.produce(this, topic, records, options)
  }

  /**
   * Begins a transaction; one at a time. Rejects with a `TypeError` of one without a `transactionalId`, or while a transaction of it is open, with `PRODUCER_FENCED`
   * once another has taken its name, or a transaction of it has timed out: then `log.producer` makes a new one.
   */
  begin(options?: TransactionOptions): Promise<Transaction<T>> {
    try {
      const { transactions } = this.#context
      transactions.requireWritable()
      const named = this.#named
      if (named === undefined) {
        throw new TypeError('a producer needs a transactionalId to begin a transaction')
      }
      const resolved = resolveTransactionOptions(options, named.transactionTimeoutMs)
      const { durability, transactionTimeoutMs: timeoutMs } = resolved
      const open = named.producer.begin({ timeoutMs, durability })
      return Promise.resolve(new Transaction<T>(transactions, open))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Runs a function in a transaction of its own: see `log.transaction`. */
  async transaction<R>(
    run: (tx: Transaction<T>) => R | PromiseLike<R>,
    options?: TransactionOptions,
  ): Promise<R> {
    requireFunction(run)
    return await runTransaction(await this.begin(options), run)
  }
}

export function requireFunction(run: unknown): void {
  if (typeof run === 'function') return
  throw new TypeError('transaction takes a function that is given the transaction')
}
