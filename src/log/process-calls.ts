import type { AnyTopics, KeyOf, ProducedOf, TopicName } from '../topics/topic-types.ts'
import type {
  ProcessHandler,
  ProcessOptions,
  ProcessTransaction,
} from '../transactions/process/process-options.ts'
import type { ProduceRecord } from '../types.ts'
import type { ConsumedOf, SubscribedTo } from './group-calls.ts'
import type { Processing } from './processing.ts'
import { beginProcess } from './processing.ts'
import type { Session } from './session.ts'
import { TransactionAccess } from './transaction-access.ts'
import { TransactionCalls } from './transaction-calls.ts'

type From<T extends object> = TopicName<T> | RegExp | readonly (TopicName<T> | RegExp)[]

/** What is consumed, as a list. */
type ListOf<F> = F extends readonly (string | RegExp)[] ? F : readonly [Extract<F, string | RegExp>]

/** A record of one of the topics that are consumed. */
export type ProcessedOf<T extends object, F> = ConsumedOf<T, SubscribedTo<T, ListOf<F>>>

/** A record for the topic `to`; where there is none, there is none. */
export type OutputFor<T extends object, O extends TopicName<T>> = [O] extends [never]
  ? never
  : ProduceRecord<KeyOf<T, O>, ProducedOf<T, O>>

/** Consuming, transforming and producing. */
export class ProcessCalls<T extends object = AnyTopics> extends TransactionCalls<T> {
  readonly #session: Session
  readonly #access: TransactionAccess

  constructor(session: Session) {
    super(session)
    this.#session = session
    this.#access = new TransactionAccess(session)
  }

  /**
   * Consumes topics as a member of a group, gives each record to the handler, and writes what it answers with to the topic `to`: each record has its
   * effect exactly once, since outputs and the offset behind their input are one transaction. See `ProcessOptions` and `ProcessContext`.
   * Resolves once it is closed; rejects with `HandlerFailedError` where the failure policy says stop, and with what else ends it.
   */
  process<const F extends From<T>, O extends TopicName<T> = never>(
    options: ProcessOptions<TopicName<T>, ProcessedOf<T, F>> & {
      readonly from: F
      readonly to?: O
    },
    handler: ProcessHandler<ProcessedOf<T, F>, OutputFor<T, O>, ProcessTransaction<T>>,
  ): Processing {
    return beginProcess(
      this.#session,
      this.#access,
      options as unknown as ProcessOptions,
      handler as unknown as ProcessHandler,
    )
  }
}
