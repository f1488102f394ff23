import {
  checkBoolean,
  checkInteger,
  checkNames,
  checkObject,
  MAX_INT32,
  wrongType,
} from '../util/check.ts'
import { isWellFormed } from '../util/well-formed.ts'
import type { ProduceOptions, ResolvedProduceOptions } from './produce-options.ts'
import { resolveProduceOptions } from './produce-options.ts'
import { checkTimeout } from './transaction-options.ts'

export interface ProducerOptions {
  /** A retried batch is stored once. Always; to say so is allowed. */
  readonly idempotent?: true
  /** Makes it a producer of transactions; whoever takes the same name fences the one before. 1 to 249 characters. */
  readonly transactionalId?: string
  /** Of its transactions: milliseconds from the begin to the call of `commit` after which one is aborted. Default 60,000; 1 to 2^31 - 1. Needs `transactionalId`. */
  readonly transactionTimeoutMs?: number
  /** Goes on as an earlier idempotent producer of this log, whose epoch is to be given as well. Default: a new one. */
  readonly producerId?: number
  /** Of `producerId`; 0 to 32,767. */
  readonly producerEpoch?: number
}

/** What a producer is: one of transactions, by its name, or one that is idempotent alone. */
export type ResolvedProducerOptions =
  | {
      readonly transactionalId: string
      readonly transactionTimeoutMs: number
      readonly resumed: undefined
    }
  | {
      readonly transactionalId: undefined
      /** Undefined: a new one. */
      readonly resumed: { readonly producerId: number; readonly producerEpoch: number } | undefined
    }

const PRODUCER_OPTIONS: ReadonlySet<string> = new Set<keyof ProducerOptions>([
  'idempotent',
  'transactionalId',
  'transactionTimeoutMs',
  'producerId',
  'producerEpoch',
])
const MAX_ID_LENGTH = 249
const MAX_EPOCH = 32_767
/** Transactions without a producer take theirs under these names. */
const OWN_ID = /^brokerless-\d+$/

/** Checks the options of `producer`. That the producer id is one of the log's is for the caller to see. */
export function resolveProducerOptions(input?: ProducerOptions): ResolvedProducerOptions {
  checkObject('the options of producer', input)
  const given = input ?? {}
  checkNames('producer', given, PRODUCER_OPTIONS)
  if (!checkBoolean('idempotent', given.idempotent, true)) {
    throw new TypeError('idempotent is false; log.produce is for records without a producer')
  }
  const { transactionalId, transactionTimeoutMs, producerId, producerEpoch } = given
  if (transactionalId !== undefined) {
    if (producerId !== undefined || producerEpoch !== undefined) {
      throw new TypeError('transactionalId has its own producer id and epoch: none can be given')
    }
    return {
      transactionalId: checkId(transactionalId),
      transactionTimeoutMs: checkTimeout(transactionTimeoutMs),
      resumed: undefined,
    }
  }
  if (transactionTimeoutMs !== undefined) {
    throw new TypeError('transactionTimeoutMs needs transactionalId beside it')
  }
  return { transactionalId: undefined, resumed: resumedOf(producerId, producerEpoch) }
}

function resumedOf(
  producerId: unknown,
  producerEpoch: unknown,
): { readonly producerId: number; readonly producerEpoch: number } | undefined {
  if (producerId === undefined && producerEpoch === undefined) return undefined
  if (producerId === undefined || producerEpoch === undefined) {
    throw new TypeError('a producer is resumed by producerId and producerEpoch: one is missing')
  }
  return {
    producerId: checkInteger('producerId', producerId, 0),
    producerEpoch: checkInteger('producerEpoch', producerEpoch, 0, MAX_EPOCH),
  }
}

function checkId(id: unknown): string {
  if (typeof id !== 'string') throw wrongType('transactionalId', id, 'a string')
  if (!isWellFormed(id)) throw new TypeError('transactionalId must be well-formed Unicode')
  if (id.length < 1 || id.length > MAX_ID_LENGTH) {
    throw new RangeError(
      `transactionalId has ${id.length} characters; it must have 1 to ${MAX_ID_LENGTH}`,
    )
  }
  if (OWN_ID.test(id)) {
    throw new RangeError(`transactionalId is '${id}'; such names are those of log.transaction`)
  }
  return id
}

export interface IdempotentProduceOptions extends ProduceOptions {
  /**
   * Number of the first record, as the producer counts its records in the partition: 0 to 2^31 - 1, then 0 again. All records must go to one partition, which is to be
   * given for those without a key where there are several.
   * Default: the next one.
   */
  readonly sequence?: number
}

export interface ResolvedIdempotentOptions {
  readonly options: ResolvedProduceOptions
  readonly sequence: number | undefined
}

/** Checks the options of a producer's `produce`. */
export function resolveIdempotentOptions(
  given?: IdempotentProduceOptions,
): ResolvedIdempotentOptions {
  if (given === undefined) return { options: resolveProduceOptions(), sequence: undefined }
  checkObject('the options of produce', given)
  const { sequence, ...rest } = given
  return {
    options: resolveProduceOptions(rest),
    sequence: sequence === undefined ? undefined : checkInteger('sequence', sequence, 0, MAX_INT32),
  }
}
