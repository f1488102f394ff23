/** What a commit must be, checked before anything is changed. */
import type { TopicPartition } from '../types.ts'
import { checkNames } from '../util/check.ts'
import { MAX_STRING_BYTES } from './offset-format.ts'
import type { GroupOffset, OffsetCommit } from './types.ts'

/** Kafka's `offset.metadata.max.bytes`. */
export const MAX_METADATA_BYTES = 4096
const MAX_INT32 = 2 ** 31 - 1

/** A non-empty, well-formed string of at most 32,767 bytes; else a `TypeError` or `RangeError`. */
export function checkGroup(group: string): void {
  checkString('group', group)
  if (group.length === 0) throw new RangeError('group must not be empty')
}

/** What a commit may name; also what `committedOffsets` answers with, so that it can be given back. */
const COMMIT_FIELDS: ReadonlySet<string> = new Set<keyof GroupOffset>([
  'topic',
  'partition',
  'offset',
  'metadata',
  'leaderEpoch',
  'commitTimestamp',
])

export function checkCommit(commit: OffsetCommit): void {
  if (typeof commit !== 'object' || commit === null) {
    throw new TypeError('a commit must be an object with topic, partition and offset')
  }
  checkNames('commitOffset', commit, COMMIT_FIELDS)
  const { topic, partition, offset, metadata, leaderEpoch = -1 } = commit
  checkTopicPartition(topic, partition)
  checkInteger('offset', offset, 0, Number.MAX_SAFE_INTEGER)
  checkInteger('leaderEpoch', leaderEpoch, -1, MAX_INT32)
  if (metadata === undefined) return
  checkString('metadata', metadata)
  const bytes = Buffer.byteLength(metadata)
  if (bytes > MAX_METADATA_BYTES) {
    throw new RangeError(`metadata has ${bytes} bytes, at most ${MAX_METADATA_BYTES} are taken`)
  }
}

/** What offsets are deleted for: a partition, or what `committedOffsets` answers with. */
export function checkPartitionName(partition: TopicPartition): void {
  if (typeof partition !== 'object' || partition === null) {
    throw new TypeError('a partition must be an object with topic and partition')
  }
  checkNames('deleteOffsets', partition, COMMIT_FIELDS)
  checkTopicPartition(partition.topic, partition.partition)
}

function checkTopicPartition(topic: unknown, partition: unknown): void {
  checkString('topic', topic)
  checkInteger('partition', partition, 0, MAX_INT32)
}

function checkString(name: string, value: unknown): void {
  if (typeof value !== 'string') throw new TypeError(`${name} must be a string`)
  // A lone surrogate has no UTF-8: it would come back as another string.
  if (/\p{Surrogate}/u.test(value)) throw new TypeError(`${name} must be well-formed Unicode`)
  if (Buffer.byteLength(value) > MAX_STRING_BYTES) {
    throw new RangeError(`${name} must have at most ${MAX_STRING_BYTES} bytes of UTF-8`)
  }
}

function checkInteger(name: string, value: unknown, least: number, most: number): void {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`)
  if (!Number.isSafeInteger(value) || value < least || value > most) {
    throw new RangeError(`${name} must be an integer from ${least} to ${most}, it is ${value}`)
  }
}
