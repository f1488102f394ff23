import type { PartitionContext } from '../../groups/consumer/run/handler-context.ts'
import type { ProduceRecord } from '../../types.ts'
import type {
  ProcessContext,
  ProcessProduceOptions,
  ProcessTransaction,
} from './process-options.ts'
import type { Consumed, TransactionWriter } from './seams.ts'

/** What one call of a handler is given, and what it has produced: kept only if it ends well. */
export class HandlerScope<P> implements ProcessContext {
  readonly #writer: TransactionWriter<P>
  readonly #context: PartitionContext
  readonly #given: readonly Consumed[]
  #outputs: P[] | undefined
  #tx: ProcessTransaction | undefined
  #isOver = false

  /** @param given what the handler is called with. */
  constructor(writer: TransactionWriter<P>, context: PartitionContext, given: readonly Consumed[]) {
    this.#writer = writer
    this.#context = context
    this.#given = given
  }

  get signal(): AbortSignal {
    return this.#context.signal
  }

  get tx(): ProcessTransaction {
    this.#tx ??= {
      produce: async (topic, records, options) => this.#produce(topic, records, options),
    }
    return this.#tx
  }

  #produce(
    topic: string,
    records: ProduceRecord<unknown, unknown> | readonly ProduceRecord<unknown, unknown>[],
    options: ProcessProduceOptions | undefined,
  ): void {
    if (this.#isOver) {
      throw new TypeError(
        `tx.produce to ${topic}: the handler has ended, and its outputs are on their way`,
      )
    }
    this.#outputs ??= []
    this.#outputs.push(...this.#writer.prepare(topic, records, options, this.#given))
  }

  /** The handler has ended; answers with what it has produced and what it answers with, in this order. Throws what is wrong with the answer. */
  end(to: string | undefined, answer: unknown): readonly P[] {
    this.#isOver = true
    const isNothing =
      answer === undefined || answer === null || (Array.isArray(answer) && answer.length === 0)
    if (isNothing) return this.#outputs ?? NOTHING
    if (to === undefined) {
      throw new TypeError('the handler answers with a record, and the options name no topic to')
    }
    const prepared = this.#writer.prepare(to, answer, undefined, this.#given)
    return this.#outputs === undefined ? prepared : [...this.#outputs, ...prepared]
  }

  /** It has failed, or nobody waits for it. */
  drop(): void {
    this.#isOver = true
  }
}

const NOTHING: readonly never[] = []
