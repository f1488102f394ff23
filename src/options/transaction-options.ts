import type { CompressionType, Durability } from '../types.ts'
import {
  checkChoice,
  checkInteger,
  checkNames,
  checkObject,
  MAX_INT32,
  optionalInteger,
} from '../util/check.ts'
import { checkCompression } from './compression-options.ts'
import type { ResolvedProduceOptions } from './produce-options.ts'
import { DURABILITIES, partitionNumber } from './shared.ts'

/** Kafka's `transaction.timeout.ms`. */
export const TRANSACTION_TIMEOUT_MS = 60_000

export interface TransactionOptions {
  /** What the commit means: `'disk'`, or `'os'`, which a topic of level `'disk'` that is touched makes `'disk'` all the same. Default: the log's. */
  readonly durability?: Durability
  /** Milliseconds from the begin to the call of `commit` after which it is aborted. Default 60,000, or the producer's; 1 to 2^31 - 1. */
  readonly transactionTimeoutMs?: number
}

export interface ResolvedTransactionOptions {
  readonly durability: Durability | undefined
  readonly transactionTimeoutMs: number
}

const TRANSACTION_OPTIONS: ReadonlySet<string> = new Set<keyof TransactionOptions>([
  'durability',
  'transactionTimeoutMs',
])

/** Checks the options of `transaction`, `beginTransaction` and `begin`. */
export function resolveTransactionOptions(
  given: TransactionOptions | undefined,
  timeoutMs: number = TRANSACTION_TIMEOUT_MS,
): ResolvedTransactionOptions {
  if (given === undefined) return { durability: undefined, transactionTimeoutMs: timeoutMs }
  checkObject('the options of a transaction', given)
  checkNames('transaction', given, TRANSACTION_OPTIONS)
  return {
    durability: checkChoice('durability', given.durability, undefined, DURABILITIES),
    transactionTimeoutMs: checkTimeout(given.transactionTimeoutMs, timeoutMs),
  }
}

export function checkTimeout(value: unknown, fallback: number = TRANSACTION_TIMEOUT_MS): number {
  return optionalInteger('transactionTimeoutMs', value, fallback, 1, MAX_INT32)
}

export interface TransactionProduceOptions {
  /** For records that name none. Default: by key, else sticky. */
  readonly partition?: number
  /** Commit only if this is the log end offset when the records are appended; the transaction's own earlier records count. The partition must be given. */
  readonly expectedOffset?: number
  /** How the records are compressed. Default: as the topic says. */
  readonly compression?: CompressionType
  /** Of `compression`: gzip 1 to 9, zstd 1 to 22. Default -1: the codec's own. */
  readonly compressionLevel?: number
}

const TRANSACTION_PRODUCE_OPTIONS: ReadonlySet<string> = new Set<keyof TransactionProduceOptions>([
  'partition',
  'expectedOffset',
  'compression',
  'compressionLevel',
])
const DEFAULT_PRODUCE: ResolvedProduceOptions = Object.freeze({
  durability: undefined,
  compression: undefined,
  compressionLevel: undefined,
  partition: undefined,
  expectedOffset: undefined,
  signal: undefined,
})

/** Checks the options of a transaction's `produce`. That `expectedOffset` has its partition is for the caller to see, as records may name it. */
export function resolveTransactionProduceOptions(
  given?: TransactionProduceOptions,
): ResolvedProduceOptions {
  if (given === undefined) return DEFAULT_PRODUCE
  checkObject("the options of a transaction's produce", given)
  checkNames("a transaction's produce", given, TRANSACTION_PRODUCE_OPTIONS)
  checkCompression(given)
  const { compression, compressionLevel, partition, expectedOffset } = given
  return {
    durability: undefined,
    compression,
    compressionLevel,
    partition: partition === undefined ? undefined : partitionNumber(partition),
    expectedOffset:
      expectedOffset === undefined ? undefined : checkInteger('expectedOffset', expectedOffset, 0),
    signal: undefined,
  }
}
