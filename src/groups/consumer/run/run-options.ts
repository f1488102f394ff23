/** What `run` is given, and what it comes to. */
import {
  checkChoice,
  checkFields,
  checkInteger,
  checkNames,
  wrongType,
} from '../../../util/check.ts'
import type { ConsumedRecord } from '../page-source.ts'
import type { FailurePolicy, ResolvedPolicy } from './failure-policy.ts'
import { resolveFailurePolicy } from './failure-policy.ts'

/** What a handler is given beside its records. */
export interface HandlerContext {
  /** Aborted where what the handler does is for nothing: its partition is another's by now, or a close has waited long enough. */
  readonly signal: AbortSignal
}

/** Records of one partition, in their order; at least one. */
export interface ConsumedBatch<R = ConsumedRecord> {
  readonly topic: string
  readonly partition: number
  readonly records: readonly R[]
}

/** How many handlers may be under way at once, and what they must not overtake. */
export interface Concurrency {
  /**
   * `'partition'` (default): one handler a partition at a time. `'key'`: one handler a key (of a partition) at a time; records of one key stay in order,
   * others overtake. A record without a key has no order: it waits for nobody, and nobody for it.
   */
  readonly by?: 'partition' | 'key'
  /** Handlers under way at once, over all partitions. At least 1. */
  readonly max: number
}

interface SharedRunOptions<R> {
  /** A number is that many partitions at once. Default 1: one handler at a time. */
  readonly concurrency?: number | Concurrency
  readonly failurePolicy?: FailurePolicy<R>
}

/** Exactly one of `eachRecord` and `eachBatch`. A handler may answer at once or with a promise; it fails by throwing or rejecting. */
export type RunOptions<R = ConsumedRecord> = SharedRunOptions<R> &
  (
    | {
        readonly eachRecord: (record: R, context: HandlerContext) => unknown
        readonly eachBatch?: never
      }
    | {
        /**
         * A page of a partition, whole. A batch that fails is retried whole; given up, it is handed out once more record by record, so that only those
         * that fail then are skipped or dead letters. Concurrency is by partition.
         */
        readonly eachBatch: (batch: ConsumedBatch<R>, context: HandlerContext) => unknown
        readonly eachRecord?: never
      }
  )

export interface ResolvedRunOptions<K, V> {
  readonly eachRecord:
    | ((record: ConsumedRecord<K, V>, context: HandlerContext) => unknown)
    | undefined
  readonly eachBatch:
    | ((batch: ConsumedBatch<ConsumedRecord<K, V>>, context: HandlerContext) => unknown)
    | undefined
  readonly by: 'partition' | 'key'
  readonly max: number
  readonly policy: ResolvedPolicy<K, V>
}

const RUN: ReadonlySet<string> = new Set<keyof RunOptions>([
  'eachRecord',
  'eachBatch',
  'concurrency',
  'failurePolicy',
])
const CONCURRENCY: ReadonlySet<string> = new Set<keyof Concurrency>(['by', 'max'])

/** Throws a `TypeError` or `RangeError` that names what is wrong. */
export function resolveRunOptions<K, V>(
  given: RunOptions<ConsumedRecord<K, V>>,
): ResolvedRunOptions<K, V> {
  const { eachRecord, eachBatch, concurrency, failurePolicy } = checkFields('run', given, RUN)
  if ((eachRecord === undefined) === (eachBatch === undefined)) {
    const which =
      eachRecord === undefined
        ? 'neither eachRecord nor eachBatch is'
        : 'eachRecord and eachBatch are both'
    throw new TypeError(`${which} given; one of them is needed`)
  }
  for (const [name, handler] of Object.entries({ eachRecord, eachBatch })) {
    if (handler !== undefined && typeof handler !== 'function')
      throw wrongType(name, handler, 'a function')
  }
  const { by, max } = resolveConcurrency(concurrency)
  if (by === 'key' && eachBatch !== undefined) {
    throw new TypeError(
      "eachBatch is given a partition's records in their order: concurrency by key needs eachRecord",
    )
  }
  return { eachRecord, eachBatch, by, max, policy: resolveFailurePolicy(failurePolicy) }
}

function resolveConcurrency(given: unknown = 1): Required<Concurrency> {
  if (typeof given === 'number') {
    return { by: 'partition', max: checkInteger('concurrency', given, 1) }
  }
  if (typeof given !== 'object' || given === null) {
    throw wrongType('concurrency', given, 'an integer of at least 1, or { by, max }')
  }
  checkNames('concurrency', given, CONCURRENCY)
  const { by, max } = given as Partial<Concurrency>
  return {
    by: checkChoice('concurrency.by', by, 'partition', ['partition', 'key']),
    max: checkInteger('concurrency.max', max, 1),
  }
}
