/**
 * Keys and values of `__transaction_state`, as Apache Kafka writes them (`TransactionLogKey`, `TransactionLogValue`). All integers are big-endian.
 *
 *   key    int16 version 0 | string transactionalId
 *   value  int16 version | int64 producerId | int16 producerEpoch | int32 transactionTimeoutMs | int8 status
 *          | array? of (string topic, array of int32 partitions) | int64 lastUpdateTimestamp | int64 startTimestamp
 *          1: strings and arrays are compact; tagged fields end each topic and the value: 0 int64 previousProducerId, 1 int64 nextProducerId,
 *          2 int16 clientTransactionVersion
 */
import { ByteReader, MalformedBytesError } from '../groups/byte-reader.ts'
import type { TopicPartitions } from '../groups/types.ts'

const KEY_VERSION = 0
const HIGHEST_VALUE_VERSION = 1
const FLEXIBLE_VERSION = 1

/** By number. */
const STATUSES = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
] as const
export type TransactionStatus = (typeof STATUSES)[number]

export interface TransactionState {
  readonly producerId: number
  /** -1: none. */
  readonly previousProducerId: number
  /** -1: none. */
  readonly nextProducerId: number
  readonly producerEpoch: number
  readonly transactionTimeoutMs: number
  readonly status: TransactionStatus
  readonly partitions: readonly TopicPartitions[]
  readonly lastUpdateTimestamp: number
  /** -1 where no transaction has begun. */
  readonly startTimestamp: number
  readonly clientTransactionVersion: number
}

/** The transactional id. Throws `MalformedBytesError` for damage and for newer versions. */
export function decodeTransactionKey(bytes: Buffer): string {
  const reader = new ByteReader(bytes)
  const version = reader.int16()
  if (version !== KEY_VERSION) throw new MalformedBytesError(`transaction key version ${version}`)
  return reader.string()
}

/** Reads versions 0 and 1. Throws `MalformedBytesError` for damage and for newer versions. */
export function decodeTransactionValue(bytes: Buffer): TransactionState {
  const reader = new ByteReader(bytes)
  const version = reader.int16()
  if (version < 0 || version > HIGHEST_VALUE_VERSION) {
    throw new MalformedBytesError(`transaction value version ${version}`)
  }
  const isFlexible = version >= FLEXIBLE_VERSION
  const producerId = reader.int64()
  const producerEpoch = reader.int16()
  const transactionTimeoutMs = reader.int32()
  const status = statusOf(reader.int8())
  const partitions = (isFlexible ? readCompactTopics(reader) : readTopics(reader)) ?? []
  const lastUpdateTimestamp = reader.int64()
  const startTimestamp = reader.int64()
  const tagged = isFlexible ? reader.taggedFields() : new Map<number, Buffer>()
  return {
    producerId,
    previousProducerId: int64Of(tagged.get(0)) ?? -1,
    nextProducerId: int64Of(tagged.get(1)) ?? -1,
    producerEpoch,
    transactionTimeoutMs,
    status,
    partitions,
    lastUpdateTimestamp,
    startTimestamp,
    clientTransactionVersion: int16Of(tagged.get(2)) ?? 0,
  }
}

function readTopics(reader: ByteReader): TopicPartitions[] | null {
  return reader.nullableArray(() => ({
    topic: reader.string(),
    partitions: reader.array(() => reader.int32()),
  }))
}

function readCompactTopics(reader: ByteReader): TopicPartitions[] | null {
  return reader.nullableCompactArray(() => {
    const topic = reader.compactString()
    const partitions = reader.compactArray(() => reader.int32())
    reader.skipTaggedFields()
    return { topic, partitions }
  })
}

function statusOf(number: number): TransactionStatus {
  const status = STATUSES[number]
  if (status === undefined) throw new MalformedBytesError(`transaction status ${number}`)
  return status
}

function int64Of(bytes: Buffer | undefined): number | undefined {
  return bytes === undefined ? undefined : new ByteReader(bytes).int64()
}

function int16Of(bytes: Buffer | undefined): number | undefined {
  return bytes === undefined ? undefined : new ByteReader(bytes).int16()
}
