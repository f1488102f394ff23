/**
 * Keys and offset values of `__consumer_offsets`, as Apache Kafka writes them
 * (`OffsetCommitKey`, `OffsetCommitValue`, `GroupMetadataKey`). All integers are big-endian.
 *
 *   offset key    int16 version 0 or 1 | string group | string topic | int32 partition
 *   group key     int16 version 2      | string group
 *   offset value  int16 version | int64 offset | int32 leaderEpoch (3 and above) | string metadata
 *                 | int64 commitTimestamp | int64 expireTimestamp (1 only)
 *                 4: metadata is a compact string, tagged fields follow
 */
import { writeInt64 } from '../codec/int64.ts'
import { ByteReader, MalformedBytesError } from './byte-reader.ts'
import type { CommittedOffset } from './types.ts'

const OFFSET_KEY_VERSION = 1
const GROUP_KEY_VERSION = 2
const OFFSET_VALUE_VERSION = 3
const FLEXIBLE_OFFSET_VALUE_VERSION = 4

/** An int16 holds the length of a string. */
export const MAX_STRING_BYTES = 32_767

export interface OffsetKey {
  readonly kind: 'offset'
  readonly group: string
  readonly topic: string
  readonly partition: number
}

export interface GroupKey {
  readonly kind: 'group'
  readonly group: string
}

/** A key of a newer version, or one that is malformed: kept, never interpreted. */
export interface UnknownKey {
  readonly kind: 'unknown'
  readonly malformed: boolean
}

export type DecodedKey = OffsetKey | GroupKey | UnknownKey

/** Never throws: what cannot be read is `unknown`. */
export function decodeKey(bytes: Buffer): DecodedKey {
  try {
    return readKey(new ByteReader(bytes))
  } catch (error) {
    if (error instanceof MalformedBytesError) return { kind: 'unknown', malformed: true }
    throw error
  }
}

function readKey(reader: ByteReader): DecodedKey {
  const version = reader.int16()
  if (version === 0 || version === OFFSET_KEY_VERSION) {
    const group = reader.string()
    const topic = reader.string()
    return { kind: 'offset', group, topic, partition: reader.int32() }
  }
  if (version === GROUP_KEY_VERSION) return { kind: 'group', group: reader.string() }
  return { kind: 'unknown', malformed: version < 0 }
}

export function encodeOffsetKey(group: string, topic: string, partition: number): Buffer {
  const groupBytes = Buffer.byteLength(group)
  const topicBytes = Buffer.byteLength(topic)
  const bytes = Buffer.allocUnsafeSlow(2 + 2 + groupBytes + 2 + topicBytes + 4)
  bytes.writeInt16BE(OFFSET_KEY_VERSION, 0)
  let at = writeString(bytes, 2, group, groupBytes)
  at = writeString(bytes, at, topic, topicBytes)
  bytes.writeInt32BE(partition, at)
  return bytes
}

export function encodeGroupKey(group: string): Buffer {
  const groupBytes = Buffer.byteLength(group)
  const bytes = Buffer.allocUnsafeSlow(2 + 2 + groupBytes)
  bytes.writeInt16BE(GROUP_KEY_VERSION, 0)
  writeString(bytes, 2, group, groupBytes)
  return bytes
}

/** Reads versions 0 to 4. Throws `MalformedBytesError` for damage and for newer versions. */
export function decodeOffsetValue(bytes: Buffer): CommittedOffset {
  const reader = new ByteReader(bytes)
  const version = reader.int16()
  if (version < 0 || version > FLEXIBLE_OFFSET_VALUE_VERSION) {
    throw new MalformedBytesError(`offset value version ${version}`)
  }
  const flexible = version === FLEXIBLE_OFFSET_VALUE_VERSION
  const offset = reader.int64()
  if (offset < 0) throw new MalformedBytesError(`committed offset ${offset}`)
  const leaderEpoch = version >= OFFSET_VALUE_VERSION ? reader.int32() : -1
  const metadata = flexible ? reader.compactString() : reader.string()
  const commitTimestamp = reader.int64()
  if (version === 1) reader.int64()
  if (flexible) reader.skipTaggedFields()
  return { offset, metadata, leaderEpoch, commitTimestamp }
}

/** Writes version 3, which every broker since 2.1 reads. */
export function encodeOffsetValue(committed: CommittedOffset): Buffer {
  const metadataBytes = Buffer.byteLength(committed.metadata)
  const bytes = Buffer.allocUnsafeSlow(2 + 8 + 4 + 2 + metadataBytes + 8)
  bytes.writeInt16BE(OFFSET_VALUE_VERSION, 0)
  writeInt64(bytes, 2, committed.offset)
  bytes.writeInt32BE(committed.leaderEpoch, 10)
  const at = writeString(bytes, 14, committed.metadata, metadataBytes)
  writeInt64(bytes, at, committed.commitTimestamp)
  return bytes
}

/** Java's `String.hashCode`: over UTF-16 units, in 32 bits. */
export function javaHashCode(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i += 1) hash = (Math.imul(31, hash) + text.charCodeAt(i)) | 0
  return hash
}

/** The partition of `__consumer_offsets` that holds a group: Kafka's `Utils.abs(hash) % count`. */
export function offsetsPartitionFor(group: string, partitionCount: number): number {
  const hash = javaHashCode(group)
  return hash === -(2 ** 31) ? 0 : Math.abs(hash) % partitionCount
}

function writeString(bytes: Buffer, at: number, text: string, byteLength: number): number {
  bytes.writeInt16BE(byteLength, at)
  bytes.write(text, at + 2, 'utf8')
  return at + 2 + byteLength
}
