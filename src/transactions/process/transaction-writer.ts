/**
 * Writes what a lane hands over as one transaction: outputs, and the offsets behind its input as the group's member.
 *
 * Each is begun when all that goes into it is known, and is called to commit in the turn in which the member is
 * found to own the partitions. From then on until the decision nobody else begins them (`OffsetStore.inTransaction`): a partition that was lost
 * before is refused, one that is lost meanwhile goes on behind what was committed.
 */
import type { ResolvedProduceOptions } from '../../options.ts'
import { resolveTransactionProduceOptions } from '../../options.ts'
import type { PreparedProduce, PreparedRecord } from '../../topics/produce.ts'
import { compressionFor } from '../../topics/produce.ts'
import type { Topic } from '../../topics/topic.ts'
import type { Durability, ProduceRecord } from '../../types.ts'
import { checkNames, checkObject } from '../../util/check.ts'
import type { OffsetsAccess } from '../transaction-offsets.ts'
import { commitHeld } from '../transaction-offsets.ts'
import type { TransactionalProducers } from '../types.ts'
import type { Output } from './output.ts'
import { outputOf, writesOf } from './output.ts'
import type { ProcessProduceOptions } from './process-options.ts'
import type { Consumed, ConsumedInput, TransactionWriter } from './seams.ts'

type OneRecord = ProduceRecord<unknown, unknown>

/** What writing takes of a log. */
export interface WriterContext {
  readonly producers: TransactionalProducers
  readonly offsets: OffsetsAccess
  now(): number
  /** The log's close waits for it. */
  track<R>(work: Promise<R>): Promise<R>
  /** Throws `UNKNOWN_TOPIC`, and what keeps anybody from writing to it with these options. */
  topic(name: string, options: ResolvedProduceOptions): Topic
  /** Serializes and partitions. Throws what is wrong with the records. */
  prepare(
    topic: Topic,
    records: readonly OneRecord[],
    options: ResolvedProduceOptions,
  ): PreparedProduce
  prepareOne(topic: Topic, record: OneRecord, options: ResolvedProduceOptions): PreparedRecord
  /** A record for the topic of dead letters, with what became of it. */
  deadLetter(record: Consumed, error: unknown): Promise<PreparedRecord & { readonly topic: Topic }>
}

export interface WriterOptions {
  readonly group: string
  readonly durability: Durability | undefined
  readonly transactionTimeoutMs: number
}

const PRODUCE_OPTIONS: ReadonlySet<string> = new Set<keyof ProcessProduceOptions>([
  'partition',
  'compression',
  'compressionLevel',
])

export class OutputWriter implements TransactionWriter<Output> {
  readonly #context: WriterContext
  readonly #options: WriterOptions

  constructor(context: WriterContext, options: WriterOptions) {
    this.#context = context
    this.#options = options
  }

  prepare(
    name: string,
    records: unknown,
    produceOptions: ProcessProduceOptions | undefined,
    given: readonly Consumed[],
  ): readonly Output[] {
    if (produceOptions !== undefined) {
      checkObject("the options of a transaction's produce", produceOptions)
      checkNames("a transaction's produce", produceOptions, PRODUCE_OPTIONS)
    }
    const options = resolveTransactionProduceOptions(produceOptions)
    const compression = compressionFor(options)
    const context = this.#context
    const topic = context.topic(name, options)
    const now = context.now()
    if (!Array.isArray(records)) {
      const { partition, set } = context.prepareOne(topic, records as OneRecord, options)
      return [outputOf(topic, partition, set, compression, now, given)]
    }
    const { sets } = context.prepare(topic, records as OneRecord[], options)
    return Array.from(sets, ([partition, set]) =>
      outputOf(topic, partition, set, compression, now, given),
    )
  }

  bytesOf({ bytes }: Output): number {
    return bytes
  }

  async deadLetter(record: Consumed, error: unknown): Promise<readonly Output[]> {
    const { topic, partition, set } = await this.#context.deadLetter(record, error)
    return [outputOf(topic, partition, set, undefined, this.#context.now(), [record])]
  }

  commit(outputs: readonly Output[], input: ConsumedInput): Promise<void> {
    return this.#context.track(this.#commit(outputs, input))
  }

  async #commit(outputs: readonly Output[], input: ConsumedInput): Promise<void> {
    const { producers, offsets } = this.#context
    const { group, durability, transactionTimeoutMs: timeoutMs } = this.#options
    const { before, last } = writesOf(outputs)
    const open = producers.begin({ timeoutMs, durability })
    try {
      if (before.length > 0) await open.write(before)
      const refuse = (): void => {
        offsets.check(group, input.offsets)
        input.judge()
      }
      const commits = new Map([[group, input.offsets]])
      await offsets.inTransaction(commits, refuse, (held) => commitHeld(open, last, held))
    } catch (error) {
      // What it was that failed it matters more than what the abort may come to, which the next open finishes.
      const isOpen = open.state === 'open' || open.state === 'aborting'
      if (isOpen) await open.abort().catch(() => {})
      throw error
    }
  }
}
