/** Records of the topics in which Kafka's coordinators keep their state, decoded. Pure. */
import { MalformedBytesError } from '../groups/byte-reader.ts'
import type { GroupMetadata } from '../groups/group-metadata-format.ts'
import { decodeGroupMetadata } from '../groups/group-metadata-format.ts'
import { decodeKey, decodeOffsetValue } from '../groups/offset-format.ts'
import type { CommittedOffset } from '../groups/types.ts'
import type { TransactionState } from '../transactions/transaction-state-format.ts'
import {
  decodeTransactionKey,
  decodeTransactionValue,
} from '../transactions/transaction-state-format.ts'

export type InternalRecord =
  /** A null is a deletion. */
  | {
      readonly kind: 'offset'
      readonly group: string
      readonly topic: string
      readonly partition: number
      readonly committed: CommittedOffset | null
    }
  | { readonly kind: 'group'; readonly group: string; readonly metadata: GroupMetadata | null }
  | {
      readonly kind: 'transaction'
      readonly transactionalId: string
      readonly state: TransactionState | null
    }
  /** Of a version that is not read here, or malformed. */
  | { readonly kind: 'unknown'; readonly reason: string }

type Decoder = (key: Buffer, value: Buffer | null) => InternalRecord

const DECODERS: ReadonlyMap<string, Decoder> = new Map([
  ['__consumer_offsets', decodeOffsetsRecord],
  ['__transaction_state', decodeTransactionRecord],
])

/** Undefined for a topic of users, or where there is no key. */
export function decodeInternal(
  topic: string,
  key: Buffer | null,
  value: Buffer | null,
): InternalRecord | undefined {
  const decoder = DECODERS.get(topic)
  if (decoder === undefined || key === null) return undefined
  try {
    return decoder(key, value)
  } catch (error) {
    if (error instanceof MalformedBytesError) return { kind: 'unknown', reason: error.message }
    throw error
  }
}

function decodeOffsetsRecord(key: Buffer, value: Buffer | null): InternalRecord {
  const decoded = decodeKey(key)
  if (decoded.kind === 'offset') {
    const { kind, group, topic, partition } = decoded
    const committed = value === null ? null : decodeOffsetValue(value)
    return { kind, group, topic, partition, committed }
  }
  if (decoded.kind === 'group') {
    const metadata = value === null ? null : decodeGroupMetadata(value)
    return { kind: 'group', group: decoded.group, metadata }
  }
  const version = key.length < 2 ? undefined : key.readInt16BE(0)
  const reason = decoded.malformed ? 'its key is malformed' : `a key of version ${version}`
  return { kind: 'unknown', reason }
}

function decodeTransactionRecord(key: Buffer, value: Buffer | null): InternalRecord {
  const transactionalId = decodeTransactionKey(key)
  const state = value === null ? null : decodeTransactionValue(value)
  return { kind: 'transaction', transactionalId, state }
}
