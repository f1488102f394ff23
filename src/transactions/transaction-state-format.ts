/**
 * Keys and values of `__transaction_state`, as Apache Kafka writes them (`TransactionLogKey`, `TransactionLogValue`). All integers are big-endian.
 *
 *   key    int16 version 0 | string transactionalId
 *   value  int16 version | int64 producerId | int16 producerEpoch | int32 transactionTimeoutMs | int8 status
 *          | array? of (string topic, array of int32 partitions) | int64 lastUpdateTimestamp | int64 startTimestamp
 *          1: strings and arrays are compact; tagged fields end each topic and the value: 0 int64 previousProducerId, 1 int64 nextProducerId,
 *          2 int16 clientTransactionVersion
 *
 * Of our own, in a tagged field that Kafka passes over, as it does with all whose tag it does not know: with `Ongoing`, `PrepareCommit` and
 * `PrepareAbort` the offsets where the transaction begins in its partitions, in their order. An open after a crash must not take a transaction that
 * came after a decided one for it: both bear the same producer id and epoch, and that the first one is complete may not be on the disk yet.
 *          10000 array of int64 firstOffsets
 */
import { ByteReader, MalformedBytesError } from '../groups/byte-reader.ts'
import { ByteWriter } from '../groups/byte-writer.ts'
import type { TopicPartitions } from '../groups/types.ts'

const KEY_VERSION = 0
const HIGHEST_VALUE_VERSION = 1
const FLEXIBLE_VERSION = 1
const PREVIOUS_PRODUCER_ID_TAG = 0
const NEXT_PRODUCER_ID_TAG = 1
const CLIENT_VERSION_TAG = 2
const FIRST_OFFSETS_TAG = 10_000

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
  /** Where the transaction begins in each of `partitions`, one after another; left out where Kafka wrote the value. */
  readonly firstOffsets?: readonly number[]
}

export function encodeTransactionKey(transactionalId: string): Buffer {
  const writer = new ByteWriter()
  writer.int16(KEY_VERSION)
  writer.string(transactionalId)
  return writer.toBuffer()
}

/** Writes version 1, as brokers do since 3.9 with `transaction.version` 1. */
export function encodeTransactionValue(state: TransactionState): Buffer {
  const writer = new ByteWriter()
  writer.int16(HIGHEST_VALUE_VERSION)
  writer.int64(state.producerId)
  writer.int16(state.producerEpoch)
  writer.int32(state.transactionTimeoutMs)
  writer.int8(STATUSES.indexOf(state.status))
  if (state.status === 'Empty') writer.unsignedVarint(0)
  else writer.compactArray(state.partitions, (each) => writeCompactTopic(writer, each))
  writer.int64(state.lastUpdateTimestamp)
  writer.int64(state.startTimestamp)
  writeTags(writer, state)
  return writer.toBuffer()
}

function writeCompactTopic(writer: ByteWriter, { topic, partitions }: TopicPartitions): void {
  writer.compactString(topic)
  writer.compactArray(partitions, (partition) => writer.int32(partition))
  writer.unsignedVarint(0)
}

/** In the order of the tags; what is as it is by default is left out. */
function writeTags(writer: ByteWriter, state: TransactionState): void {
  const { previousProducerId, nextProducerId, clientTransactionVersion, firstOffsets } = state
  const given = [previousProducerId !== -1, nextProducerId !== -1, clientTransactionVersion !== 0]
  const count = given.filter(Boolean).length + (firstOffsets === undefined ? 0 : 1)
  writer.unsignedVarint(count)
  if (previousProducerId !== -1) {
    writer.unsignedVarint(PREVIOUS_PRODUCER_ID_TAG)
    writer.unsignedVarint(8)
    writer.int64(previousProducerId)
  }
  if (nextProducerId !== -1) {
    writer.unsignedVarint(NEXT_PRODUCER_ID_TAG)
    writer.unsignedVarint(8)
    writer.int64(nextProducerId)
  }
  if (clientTransactionVersion !== 0) {
    writer.unsignedVarint(CLIENT_VERSION_TAG)
    writer.unsignedVarint(2)
    writer.int16(clientTransactionVersion)
  }
  if (firstOffsets === undefined) return
  writer.unsignedVarint(FIRST_OFFSETS_TAG)
  writer.unsignedVarint(4 + 8 * firstOffsets.length)
  writer.array(firstOffsets, (offset) => writer.int64(offset))
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
  const firstOffsets = int64sOf(tagged.get(FIRST_OFFSETS_TAG))
  return {
    producerId,
    previousProducerId: int64Of(tagged.get(PREVIOUS_PRODUCER_ID_TAG)) ?? -1,
    nextProducerId: int64Of(tagged.get(NEXT_PRODUCER_ID_TAG)) ?? -1,
    producerEpoch,
    transactionTimeoutMs,
    status,
    partitions,
    lastUpdateTimestamp,
    startTimestamp,
    clientTransactionVersion: int16Of(tagged.get(CLIENT_VERSION_TAG)) ?? 0,
    ...(firstOffsets === undefined ? undefined : { firstOffsets }),
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

function int64sOf(bytes: Buffer | undefined): number[] | undefined {
  if (bytes === undefined) return undefined
  const reader = new ByteReader(bytes)
  return reader.array(() => reader.int64())
}
