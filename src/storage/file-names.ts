/**
 * Every name and suffix that the data directory knows, in one place. Pure.
 *
 *   <data>/<topic>-<partition>/<base offset, 20 digits>.log .index .timeindex .txnindex .snapshot
 *
 * A name of Kafka's is spelled as Kafka spells it (`LogFileUtils`, `LocalLog`, `UnifiedLog`); a name of our own
 * is one that a broker passes over.
 */

// ------------------------------------------------------------------------------- data directory

export const RECOVERY_POINT_CHECKPOINT = 'recovery-point-offset-checkpoint'
export const LOG_START_CHECKPOINT = 'log-start-offset-checkpoint'
/** How far compaction has come. */
export const CLEANER_CHECKPOINT = 'cleaner-offset-checkpoint'
/** A broker's high watermarks, which it alone keeps. */
export const REPLICATION_CHECKPOINT = 'replication-offset-checkpoint'
/** There only while the directory is closed, and only after a clean close. */
export const CLEAN_MARKER = '.kafka_cleanshutdown'
/** What a broker locks; ours takes the same lock where it can. */
export const KAFKA_LOCK = '.lock'
export const OWN_LOCK = 'brokerless.lock'
/** Topics, their configuration and ids. */
export const METADATA_FILE = 'brokerless.json'

// ---------------------------------------------------------------------------- partition directory

export const LEADER_EPOCH_CHECKPOINT = 'leader-epoch-checkpoint'
export const PARTITION_METADATA = 'partition.metadata'
/** What `replaceFile` writes before it renames; a left-over is worth nothing. */
export const TEMPORARY_SUFFIX = '.tmp'

/** Renamed, to be unlinked. */
export const DELETED_SUFFIX = '.deleted'
/** Compaction output that is not complete. */
export const CLEANED_SUFFIX = '.cleaned'
/** Complete compaction output, to replace what it covers. */
export const SWAP_SUFFIX = '.swap'

export type SegmentFileKind = 'log' | 'index' | 'timeindex' | 'txnindex' | 'snapshot'
export type PendingSuffix = typeof DELETED_SUFFIX | typeof CLEANED_SUFFIX | typeof SWAP_SUFFIX

export interface SegmentFileName {
  readonly baseOffset: number
  readonly kind: SegmentFileKind
  /** The operation that is under way with the file; undefined for a live one. */
  readonly pending: PendingSuffix | undefined
}

const SEGMENT_FILE =
  /^(\d{20})\.(log|index|timeindex|txnindex|snapshot)(\.deleted|\.cleaned|\.swap)?$/

/** `00000000000000000042.log` for (42, 'log'). For a snapshot the offset is the one that its state is as of. */
export function segmentFileName(baseOffset: number, kind: SegmentFileKind): string {
  return `${paddedOffset(baseOffset)}.${kind}`
}

/** Undefined for any other file. */
export function parseSegmentFileName(name: string): SegmentFileName | undefined {
  const match = SEGMENT_FILE.exec(name)
  if (match === null) return undefined
  const baseOffset = Number(match[1])
  if (!Number.isSafeInteger(baseOffset)) return undefined
  return {
    baseOffset,
    kind: match[2] as SegmentFileKind,
    pending: match[3] as PendingSuffix | undefined,
  }
}

/** `torn`: a copy of what was cut off the end. `lost`: an empty file, a region of zeros past the recovery point that readers pass. */
export type RegionFileKind = 'torn' | 'lost'

export interface RegionFileName {
  readonly baseOffset: number
  /** Where the region begins in the segment's .log, in bytes. */
  readonly position: number
  readonly kind: RegionFileKind
}

const REGION_FILE = /^(\d{20})\.log\.(0|[1-9]\d*)\.(torn|lost)$/

/** `00000000000000000042.log.1000.torn` for (42, 1000, 'torn'). */
export function regionFileName(baseOffset: number, position: number, kind: RegionFileKind): string {
  return `${segmentFileName(baseOffset, 'log')}.${position}.${kind}`
}

/** Undefined for any other file. */
export function parseRegionFileName(name: string): RegionFileName | undefined {
  const match = REGION_FILE.exec(name)
  if (match === null) return undefined
  const baseOffset = Number(match[1])
  const position = Number(match[2])
  if (!Number.isSafeInteger(baseOffset) || !Number.isSafeInteger(position)) return undefined
  return { baseOffset, position, kind: match[3] as RegionFileKind }
}

function paddedOffset(offset: number): string {
  return String(offset).padStart(20, '0')
}

// ------------------------------------------------------------------------------------- topics

/** Longest topic name, in characters (which are all ASCII). */
export const MAX_TOPIC_NAME_LENGTH = 249
const TOPIC_CHARACTERS = /^[a-zA-Z0-9._-]+$/

/** Why Kafka would refuse a topic of this name; undefined where it would not. */
export function topicNameProblem(name: string): string | undefined {
  if (name.length === 0) return 'it is empty'
  if (name === '.' || name === '..') return 'it is "." or ".."'
  if (name.length > MAX_TOPIC_NAME_LENGTH) {
    return `it has ${name.length} characters, the limit is ${MAX_TOPIC_NAME_LENGTH}`
  }
  return TOPIC_CHARACTERS.test(name)
    ? undefined
    : 'only a-z, A-Z, 0-9, ".", "_" and "-" may stand in it'
}

/**
 * Holds a name to Kafka's rules: 1 to 249 characters of `a-z A-Z 0-9 . _ -`, neither `.` nor `..`.
 * @throws TypeError for what is no string, RangeError for a name outside the rules.
 */
export function checkTopicName(name: unknown): asserts name is string {
  if (typeof name !== 'string') throw new TypeError(`a topic name is a string, not ${typeof name}`)
  const problem = topicNameProblem(name)
  if (problem !== undefined) throw new RangeError(`topic name ${JSON.stringify(name)}: ${problem}`)
}

// ------------------------------------------------------------------------- partition directories

export interface PartitionName {
  readonly topic: string
  readonly partition: number
}

export const STRAY_SUFFIX = '-stray'
export const FUTURE_SUFFIX = '-future'
export const DELETE_SUFFIX = '-delete'
/** The controller's log of a KRaft node, never a topic. */
export const CLUSTER_METADATA_DIRECTORY = '__cluster_metadata-0'

/** The longest name that common file systems take, in bytes. */
const MAX_FILE_NAME_BYTES = 255
const MAX_PARTITION = 2 ** 31 - 1
const PARTITION_NUMBER = /^(?:0|[1-9]\d{0,9})$/
const DELETING_DIRECTORY = /^(.*)-(0|[1-9]\d{0,9})\.([0-9a-fA-F]{32})-delete$/

/** `orders-0` for ('orders', 0): the partition's directory and its name in checkpoints. */
export function partitionDirectoryName(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

/** What stands before and behind the last dash; undefined where that is no topic partition, or the controller's log. */
export function parsePartitionDirectoryName(name: string): PartitionName | undefined {
  if (name === CLUSTER_METADATA_DIRECTORY) return undefined
  const dash = name.lastIndexOf('-')
  if (dash < 1) return undefined
  const topic = name.slice(0, dash)
  const digits = name.slice(dash + 1)
  if (!PARTITION_NUMBER.test(digits) || Number(digits) > MAX_PARTITION) return undefined
  return topicNameProblem(topic) === undefined ? { topic, partition: Number(digits) } : undefined
}

/**
 * What a partition's directory is renamed to before its files are unlinked. The topic is cut so that the name stays within 255 bytes.
 * @param uuid with or without dashes.
 */
export function deletingDirectoryName(topic: string, partition: number, uuid: string): string {
  const ending = `-${partition}.${uuid.replaceAll('-', '')}${DELETE_SUFFIX}`
  return topic.slice(0, MAX_FILE_NAME_BYTES - ending.length) + ending
}

/** The topic (it may be cut) and partition of a directory that is being deleted; undefined for any other. */
export function parseDeletingDirectoryName(name: string): PartitionName | undefined {
  const match = DELETING_DIRECTORY.exec(name)
  if (match === null) return undefined
  return { topic: match[1] ?? '', partition: Number(match[2]) }
}

/**
 * What a directory inside the data directory is: a partition, one that is being deleted, one of a broker's
 * that is left untouched (`-stray`, `-future`, the controller's log), or none of these.
 */
export function directoryKind(name: string): 'partition' | 'deleting' | 'untouched' | 'other' {
  if (name === CLUSTER_METADATA_DIRECTORY) return 'untouched'
  if (parseDeletingDirectoryName(name) !== undefined) return 'deleting'
  if (name.endsWith(STRAY_SUFFIX) || name.endsWith(FUTURE_SUFFIX)) return 'untouched'
  return parsePartitionDirectoryName(name) === undefined ? 'other' : 'partition'
}
