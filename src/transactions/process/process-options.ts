/** What `log.process` is given, and what it comes to. */
import type { ConsumedRecord } from '../../groups/consumer/page-source.ts'
import type { FailurePolicy, ResolvedPolicy } from '../../groups/consumer/run/failure-policy.ts'
import { resolveFailurePolicy } from '../../groups/consumer/run/failure-policy.ts'
import type { ConsumedBatch, HandlerContext } from '../../groups/consumer/run/run-options.ts'
import type {
  ConsumerFrom,
  ConsumerOptions,
  ResolvedConsumerOptions,
  TransactionProduceOptions,
} from '../../options.ts'
import { DURABILITIES, resolveConsumerFrom, resolveConsumerOptions } from '../../options.ts'
import type { AnyTopics, KeyOf, ProducedOf, TopicName } from '../../topics/topic-types.ts'
import type { Durability, ProduceRecord } from '../../types.ts'
import {
  checkChoice,
  checkInteger,
  checkNames,
  checkObject,
  MAX_INT32,
  optionalInteger,
  wrongType,
} from '../../util/check.ts'

/** Those of a consumer that mean the same here. */
type SharedWithConsumer =
  | 'assignor'
  | 'instanceId'
  | 'clientId'
  | 'sessionTimeoutMs'
  | 'maxPollIntervalMs'
  | 'maxBytes'
  | 'readAheadBytes'
  | 'onCorrupt'
  | 'signal'
  | 'onAssigned'
  | 'onRevoked'
  | 'onLost'

export interface ProcessOptions<N extends string = string, R = ConsumedRecord>
  extends Pick<ConsumerOptions<N>, SharedWithConsumer> {
  /** Topics that are consumed: a name, a pattern, or several of them. As `topics` of a consumer. */
  readonly from: N | RegExp | readonly (N | RegExp)[]
  readonly group: string
  /** The topic that takes what the handler answers with. Left out: the handler answers with nothing, and uses `tx.produce` where it has something to say. */
  readonly to?: N
  /** Where a partition is begun for which the group has committed nothing; see a consumer's `from`. Default `'earliest'`. */
  readonly startFrom?: ConsumerFrom
  /** A transaction ends with so many records of input. Default 5,000; 1 to 2^31 - 1. */
  readonly maxRecords?: number
  /** A transaction ends so long after its first record was handled. Default 100; 0: as soon as the one before is written; to 2^31 - 1. */
  readonly commitIntervalMs?: number
  /** So many partitions are handled side by side, each in transactions of its own where there are as many as partitions. Default 1; at least 1. */
  readonly concurrency?: number
  readonly failurePolicy?: FailurePolicy<R>
  /** Of the transactions. Default: the log's, and `'disk'` where a topic that they write to asks for it. */
  readonly durability?: Durability
  /** A transaction that takes longer to be written is aborted, and tried again. Default 60,000; 1 to 2^31 - 1. */
  readonly transactionTimeoutMs?: number
}

/** A record as a topic takes it, or several of them. */
export type ProcessOutput<O> = O | readonly O[] | null | undefined

/** As of a transaction's `produce`. A condition would fail the input of others with it: there is no `expectedOffset`. */
export type ProcessProduceOptions = Omit<TransactionProduceOptions, 'expectedOffset'>

/** Where a handler writes beside what it answers with: goes with the same transaction, and only if the handler ends well. */
export interface ProcessTransaction<T extends object = AnyTopics> {
  /** Resolves when the records are taken; they are serialized in the call. Rejects with what is wrong with them. The topic must be there. */
  produce<N extends TopicName<T>>(
    topic: N,
    records:
      | ProduceRecord<KeyOf<T, N>, ProducedOf<T, N>>
      | readonly ProduceRecord<KeyOf<T, N>, ProducedOf<T, N>>[],
    options?: ProcessProduceOptions,
  ): Promise<void>
}

export interface ProcessContext<Tx = ProcessTransaction> extends HandlerContext {
  readonly tx: Tx
}

/** Answers, at once or with a promise, with what one record comes to; fails by throwing or rejecting. */
export type RecordProcessor<
  R = ConsumedRecord,
  O = ProduceRecord<unknown, unknown>,
  Tx = ProcessTransaction,
> = (
  record: R,
  context: ProcessContext<Tx>,
) => ProcessOutput<O> | Promise<ProcessOutput<O>> | void | Promise<void>

/** The same for records of one partition, at most `maxRecords`. What fails is handed out as a whole again; given up, record by record. */
export interface BatchProcessor<
  R = ConsumedRecord,
  O = ProduceRecord<unknown, unknown>,
  Tx = ProcessTransaction,
> {
  readonly eachBatch: (
    batch: ConsumedBatch<R>,
    context: ProcessContext<Tx>,
  ) => ProcessOutput<O> | Promise<ProcessOutput<O>> | void | Promise<void>
}

export type ProcessHandler<
  R = ConsumedRecord,
  O = ProduceRecord<unknown, unknown>,
  Tx = ProcessTransaction,
> = RecordProcessor<R, O, Tx> | BatchProcessor<R, O, Tx>

type Consumed = ConsumedRecord<unknown, unknown>

export interface ResolvedProcessOptions {
  readonly consumer: ResolvedConsumerOptions
  readonly to: string | undefined
  readonly maxRecords: number
  readonly commitIntervalMs: number
  readonly concurrency: number
  readonly policy: ResolvedPolicy<unknown, unknown>
  readonly durability: Durability | undefined
  readonly transactionTimeoutMs: number
  readonly eachRecord: ((record: Consumed, context: ProcessContext) => unknown) | undefined
  readonly eachBatch:
    | ((batch: ConsumedBatch<Consumed>, context: ProcessContext) => unknown)
    | undefined
}

const PROCESS_OPTIONS: ReadonlySet<string> = new Set<keyof ProcessOptions>([
  'from',
  'group',
  'to',
  'startFrom',
  'maxRecords',
  'commitIntervalMs',
  'concurrency',
  'failurePolicy',
  'durability',
  'transactionTimeoutMs',
  'assignor',
  'instanceId',
  'clientId',
  'sessionTimeoutMs',
  'maxPollIntervalMs',
  'maxBytes',
  'readAheadBytes',
  'onCorrupt',
  'signal',
  'onAssigned',
  'onRevoked',
  'onLost',
])
/** Of about a hundred bytes they come to a batch that is worth its syncs. */
const MAX_RECORDS = 5000
const HANDLERS: ReadonlySet<string> = new Set<keyof BatchProcessor>(['eachBatch'])

/** Throws a `TypeError` or `RangeError` that names what is wrong. Whether topics are there is for the caller to see. */
export function resolveProcessOptions(
  given: ProcessOptions,
  handler: unknown,
): ResolvedProcessOptions {
  if (checkObject('the options of process', given) === undefined) {
    throw new TypeError('process needs options with from and group')
  }
  checkNames('process', given, PROCESS_OPTIONS)
  const { to, concurrency = 1, failurePolicy, durability, transactionTimeoutMs } = given
  if (to !== undefined && typeof to !== 'string') throw wrongType('to', to, 'the name of a topic')
  return {
    consumer: consumerOptionsOf(given),
    to,
    maxRecords: optionalInteger('maxRecords', given.maxRecords, MAX_RECORDS, 1, MAX_INT32),
    commitIntervalMs: optionalInteger(
      'commitIntervalMs',
      given.commitIntervalMs,
      100,
      0,
      MAX_INT32,
    ),
    concurrency: checkInteger('concurrency', concurrency, 1),
    policy: resolveFailurePolicy(failurePolicy),
    durability: checkChoice('durability', durability, undefined, DURABILITIES),
    transactionTimeoutMs: optionalInteger(
      'transactionTimeoutMs',
      transactionTimeoutMs,
      60_000,
      1,
      MAX_INT32,
    ),
    ...resolveHandler(handler),
  }
}

function consumerOptionsOf(given: ProcessOptions): ResolvedConsumerOptions {
  const {
    from,
    startFrom,
    to: _to,
    maxRecords: _maxRecords,
    commitIntervalMs: _commitIntervalMs,
    concurrency: _concurrency,
    failurePolicy: _failurePolicy,
    durability: _durability,
    transactionTimeoutMs: _transactionTimeoutMs,
    ...shared
  } = given
  const resolved = resolveConsumerOptions({ ...shared, topics: topicsOf(from), autoCommit: false })
  return { ...resolved, from: resolveConsumerFrom('startFrom', startFrom) }
}

function topicsOf(from: unknown): readonly (string | RegExp)[] {
  const topics: readonly unknown[] = Array.isArray(from) ? from : [from]
  if (topics.length === 0) throw new RangeError('from is empty; it must name at least one topic')
  return topics.map((each) => {
    if (typeof each === 'string' || each instanceof RegExp) return each
    throw wrongType('from', each, 'a name, a RegExp, or an array of them')
  })
}

function resolveHandler(
  handler: unknown,
): Pick<ResolvedProcessOptions, 'eachRecord' | 'eachBatch'> {
  if (typeof handler === 'function') {
    return {
      eachRecord: handler as ResolvedProcessOptions['eachRecord'],
      eachBatch: undefined,
    }
  }
  if (typeof handler !== 'object' || handler === null) {
    throw wrongType('the handler', handler, 'a function, or { eachBatch }')
  }
  checkNames('the handler of process', handler, HANDLERS)
  const { eachBatch } = handler as { readonly eachBatch?: unknown }
  if (typeof eachBatch !== 'function') throw wrongType('eachBatch', eachBatch, 'a function')
  return { eachRecord: undefined, eachBatch: eachBatch as ResolvedProcessOptions['eachBatch'] }
}
