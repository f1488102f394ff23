/**
 * Group metadata of `__consumer_offsets` (Apache Kafka's `GroupMetadataValue`, versions 0 to 4) and what members
 * of the `consumer` protocol keep in it (`ConsumerProtocolSubscription`, `ConsumerProtocolAssignment`).
 *
 *   value   int16 version | string protocolType | int32 generation | string? protocol | string? leader
 *           | int64 currentStateTimestamp (2 and above) | array of members
 *   member  string memberId | string? groupInstanceId (3 and above) | string clientId | string clientHost
 *           | int32 rebalanceTimeout (1 and above) | int32 sessionTimeout | bytes subscription | bytes assignment
 *   4: strings, bytes and arrays are compact; tagged fields end each member and the value
 */
import { ByteReader, MalformedBytesError } from './byte-reader.ts'
import { ByteWriter } from './byte-writer.ts'
import type { GroupMember, MemberAssignment, MemberSubscription, TopicPartitions } from './types.ts'

const WRITTEN_VERSION = 3
const HIGHEST_VERSION = 4
const FLEXIBLE_VERSION = 4
export const CONSUMER_PROTOCOL = 'consumer'
/** Of subscription and assignment. */
const WRITTEN_PROTOCOL_VERSION = 3

export interface GroupMetadata {
  readonly protocolType: string
  readonly generation: number
  readonly protocol: string | null
  readonly leader: string | null
  /** Milliseconds since the Unix epoch; -1 where it was not stored. */
  readonly currentStateTimestamp: number
  readonly members: readonly GroupMember[]
}

/** Writes version 3, which every broker since 2.3 reads. A subscription or assignment that is undefined is written as no bytes. */
export function encodeGroupMetadata(metadata: GroupMetadata): Buffer {
  const writer = new ByteWriter()
  writer.int16(WRITTEN_VERSION)
  writer.string(metadata.protocolType)
  writer.int32(metadata.generation)
  writer.nullableString(metadata.protocol)
  writer.nullableString(metadata.leader)
  writer.int64(metadata.currentStateTimestamp)
  writer.array(metadata.members, (member) => writeMember(writer, member))
  return writer.toBuffer()
}

function writeMember(writer: ByteWriter, member: GroupMember): void {
  const { subscription, assignment } = member
  writer.string(member.memberId)
  writer.nullableString(member.groupInstanceId)
  writer.string(member.clientId)
  writer.string(member.clientHost)
  writer.int32(member.rebalanceTimeoutMs)
  writer.int32(member.sessionTimeoutMs)
  writer.bytes(subscription === undefined ? NO_BYTES : encodeSubscription(subscription))
  writer.bytes(assignment === undefined ? NO_BYTES : encodeAssignment(assignment))
}

const NO_BYTES = new Uint8Array()

export function encodeSubscription(subscription: MemberSubscription): Buffer {
  const writer = new ByteWriter()
  writer.int16(WRITTEN_PROTOCOL_VERSION)
  writer.array(subscription.topics, (topic) => writer.string(topic))
  writer.nullableBytes(subscription.userData)
  writeTopicPartitions(writer, subscription.ownedPartitions)
  writer.int32(subscription.generation)
  writer.nullableString(subscription.rack)
  return writer.toBuffer()
}

export function encodeAssignment(assignment: MemberAssignment): Buffer {
  const writer = new ByteWriter()
  writer.int16(WRITTEN_PROTOCOL_VERSION)
  writeTopicPartitions(writer, assignment.partitions)
  writer.nullableBytes(assignment.userData)
  return writer.toBuffer()
}

function writeTopicPartitions(writer: ByteWriter, topics: readonly TopicPartitions[]): void {
  writer.array(topics, ({ topic, partitions }) => {
    writer.string(topic)
    writer.array(partitions, (partition) => writer.int32(partition))
  })
}

/** Throws `MalformedBytesError` for damage and for versions above 4. */
export function decodeGroupMetadata(bytes: Buffer): GroupMetadata {
  const reader = new ByteReader(bytes)
  const version = reader.int16()
  if (version < 0 || version > HIGHEST_VERSION) {
    throw new MalformedBytesError(`group metadata version ${version}`)
  }
  const flexible = version >= FLEXIBLE_VERSION
  const protocolType = flexible ? reader.compactString() : reader.string()
  const generation = reader.int32()
  const protocol = flexible ? reader.nullableCompactString() : reader.nullableString()
  const leader = flexible ? reader.nullableCompactString() : reader.nullableString()
  const currentStateTimestamp = version >= 2 ? reader.int64() : -1
  const member = (): GroupMember =>
    flexible ? readFlexibleMember(reader, protocolType) : readMember(reader, version, protocolType)
  const members = flexible ? reader.compactArray(member) : reader.array(member)
  if (flexible) reader.skipTaggedFields()
  return { protocolType, generation, protocol, leader, currentStateTimestamp, members }
}

/** The generation alone, of a value whose rest may be damaged or of a newer version; undefined where it cannot be read either. */
export function decodeGeneration(bytes: Buffer): number | undefined {
  try {
    const reader = new ByteReader(bytes)
    if (reader.int16() >= FLEXIBLE_VERSION) reader.compactString()
    else reader.string()
    return reader.int32()
  } catch (error) {
    if (error instanceof MalformedBytesError) return undefined
    throw error
  }
}

function readMember(reader: ByteReader, version: number, protocolType: string): GroupMember {
  const memberId = reader.string()
  const groupInstanceId = version >= 3 ? reader.nullableString() : null
  const clientId = reader.string()
  const clientHost = reader.string()
  const rebalanceTimeoutMs = version >= 1 ? reader.int32() : -1
  const sessionTimeoutMs = reader.int32()
  const protocolBytes = consumerProtocol(protocolType, reader.bytes(), reader.bytes())
  return {
    memberId,
    groupInstanceId,
    clientId,
    clientHost,
    rebalanceTimeoutMs,
    sessionTimeoutMs,
    ...protocolBytes,
  }
}

function readFlexibleMember(reader: ByteReader, protocolType: string): GroupMember {
  const memberId = reader.compactString()
  const groupInstanceId = reader.nullableCompactString()
  const clientId = reader.compactString()
  const clientHost = reader.compactString()
  const rebalanceTimeoutMs = reader.int32()
  const sessionTimeoutMs = reader.int32()
  const protocolBytes = consumerProtocol(protocolType, reader.compactBytes(), reader.compactBytes())
  reader.skipTaggedFields()
  return {
    memberId,
    groupInstanceId,
    clientId,
    clientHost,
    rebalanceTimeoutMs,
    sessionTimeoutMs,
    ...protocolBytes,
  }
}

function consumerProtocol(
  protocolType: string,
  subscription: Buffer,
  assignment: Buffer,
): Pick<GroupMember, 'subscription' | 'assignment'> {
  if (protocolType !== CONSUMER_PROTOCOL) return { subscription: undefined, assignment: undefined }
  return {
    subscription: subscription.length === 0 ? undefined : decodeSubscription(subscription),
    assignment: assignment.length === 0 ? undefined : decodeAssignment(assignment),
  }
}

/** A version above 3 is read as 3, as Kafka does: what follows is ignored. */
export function decodeSubscription(bytes: Buffer): MemberSubscription {
  const reader = new ByteReader(bytes)
  const version = protocolVersion(reader)
  return {
    topics: reader.array(() => reader.string()),
    userData: copyOf(reader.nullableBytes()),
    ownedPartitions: version >= 1 ? readTopicPartitions(reader) : [],
    generation: version >= 2 ? reader.int32() : -1,
    rack: version >= 3 ? reader.nullableString() : null,
  }
}

/** All versions have one layout. */
export function decodeAssignment(bytes: Buffer): MemberAssignment {
  const reader = new ByteReader(bytes)
  protocolVersion(reader)
  return { partitions: readTopicPartitions(reader), userData: copyOf(reader.nullableBytes()) }
}

function protocolVersion(reader: ByteReader): number {
  const version = reader.int16()
  if (version < 0) throw new MalformedBytesError(`consumer protocol version ${version}`)
  return version
}

function readTopicPartitions(reader: ByteReader): TopicPartitions[] {
  return reader.array(() => ({
    topic: reader.string(),
    partitions: reader.array(() => reader.int32()),
  }))
}

/** The caller may keep it, and must not be able to change what is stored. */
function copyOf(bytes: Buffer | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes)
}
