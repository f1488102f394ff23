/** The data shapes and the seams (clock, file system) that every layer shares. */

// ------------------------------------------------------------------------------------------ seams

/** A running timer. */
export interface Timer {
  /** Stops it; harmless once it has fired. */
  cancel(): void
}

/** The one source of time. Every timer of the library goes through it. */
export interface Clock {
  /** Milliseconds since the Unix epoch, as `Date.now()`. */
  now(): number
  /**
   * Calls `callback` once, `delayMs` (>= 0) from now. The timer does not keep the process alive.
   * The callback answers with a promise of all the work it starts, so that a manual clock can wait for it;
   * it never throws and its promise never rejects.
   */
  setTimer(callback: () => void | Promise<void>, delayMs: number): Timer
  /** Told of writes and syncs that calls have begun, so that a manual clock can wait for them; they never reject. */
  track?(work: Promise<void>): void
}

export interface FileStat {
  /** Size in bytes. */
  readonly size: number
  readonly isDirectory: boolean
  /** Last modification, milliseconds since the Unix epoch. */
  readonly modifiedMs: number
}

/** `read`: an existing file, read only. `write`: an existing file, read and write. `create`: a new file, read and write; `EEXIST` if there is one. */
export type OpenMode = 'read' | 'write' | 'create'

/** An exclusive advisory lock on a file, held until `release` (or until the process ends). */
export interface FileLock {
  release(): Promise<void>
}

/** What a lock attempt gave: the lock, `held` by someone else, or `unavailable` where this system offers no such lock. */
export type FileLockResult = FileLock | 'held' | 'unavailable'

/**
 * The only way to the disk. Errors are Node's: an `Error` with `code` (`ENOENT`, `ENOSPC`, `EIO`, …).
 * Nothing is durable before `FileHandle.sync` (content, size) or `syncDirectory` (names) has succeeded.
 */
export interface FileSystem {
  /** Makes a directory and its missing parents. */
  mkdir(path: string): Promise<void>
  /** Names in a directory, in no order. */
  readdir(path: string): Promise<string[]>
  /** Removes an empty directory. */
  rmdir(path: string): Promise<void>
  /** Renames a file or directory, replacing a file of that name. */
  rename(from: string, to: string): Promise<void>
  /** Gives a file a second name; `EEXIST` if the name is taken. */
  link(existing: string, path: string): Promise<void>
  unlink(path: string): Promise<void>
  /** Undefined where nothing of that name exists. */
  stat(path: string): Promise<FileStat | undefined>
  syncDirectory(path: string): Promise<void>
  /** The canonical absolute path of something that exists. */
  realpath(path: string): Promise<string>
  /** Opens a file. Synchronous, because a cold segment is opened in the middle of a read. */
  openSync(path: string, mode: OpenMode): FileHandle
  /** Takes an exclusive lock on a file (made if missing) without waiting. */
  lock(path: string): Promise<FileLockResult>
}

/** An open file. `offset` and `length` are of the buffer, `position` of the file; all in bytes. */
export interface FileHandle {
  /** Reads up to `length` bytes; gives the number read, 0 at the end. */
  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number>
  /** Writes all `length` bytes or throws; what a failed write left behind is unknown. */
  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void
  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void>
  /** Current size in bytes. */
  sizeSync(): number
  /**
   * Tells the file from every other that has, had or gets its name (a file's number alone does not: it is given again); undefined, or left
   * out, where that cannot be told. Then a log that was opened with `readOnly` beside a writer may take a compacted segment for the one that
   * it has replaced.
   */
  idSync?(): string | undefined
  truncate(size: number): Promise<void>
  /** fdatasync: content and size are on the disk when it resolves. */
  sync(): Promise<void>
  closeSync(): void
}

// ----------------------------------------------------------------------------------------- topics

/** `disk`: acknowledged after an fdatasync that covers it. `os`: once the operating system has the bytes. */
export type Durability = 'disk' | 'os'

/**
 * What readers see of transactions. `read_committed`: up to the last stable offset, which is the high watermark or the first transaction before it
 * that is not decided; what aborted ones have written is left out. `read_uncommitted`: up to the high watermark, and all that is there.
 */
export type IsolationLevel = 'read_committed' | 'read_uncommitted'

/** Kafka's `compression.type`, of a batch's records. */
export type CompressionType = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/**
 * An implementation of one codec, in place of the one that comes with the log. It makes and reads the framing that Kafka has for its
 * codec; the log reads no other. What it answers with is the log's, and must not change. A function that throws or rejects fails the
 * calls (`COMPRESSION_FAILED`), or the read (`CORRUPT_LOG`), of that batch.
 */
export interface CompressionCodec {
  /** `records` is to be read only until the answer is there. `level` undefined: the codec's own. */
  compress(records: Uint8Array, level: number | undefined): Uint8Array | PromiseLike<Uint8Array>
  /** Must not allocate more than `maxBytes` for the records: what comes to more is to be refused. */
  decompress(bytes: Uint8Array, maxBytes: number): Uint8Array | PromiseLike<Uint8Array>
}

export type CompressionCodecs = Readonly<
  Partial<Record<Exclude<CompressionType, 'none'>, CompressionCodec>>
>

/** Kafka's `message.timestamp.type`. */
export type TimestampType = 'CreateTime' | 'LogAppendTime'

/** What becomes of old records: whole segments go, only the last record of each key stays, or both. */
export type CleanupPolicy = 'delete' | 'compact' | 'compact,delete'

/** A topic's configuration, with Kafka's meaning; the unit is in the name. */
export interface TopicConfig {
  /** A segment is rolled before it would pass this size. Default 1 GiB; 1,024 to 2^31 - 1. */
  segmentBytes: number
  /** A segment is rolled when its records span more time than this. Default 7 days; at least 1. */
  segmentMs: number
  /** Bytes appended between two entries of the offset index. Default 4,096; at least 0. */
  indexIntervalBytes: number
  /** Largest size of an index file; a full index rolls the segment. Default 10 MiB; 24 to 2^31 - 1. */
  segmentIndexBytes: number
  /** Kafka's `cleanup.policy`. Default `delete`; what it deletes is said by `retentionMs` and `retentionBytes`. */
  cleanupPolicy: CleanupPolicy
  /** With `delete`: whole segments older than this go. Default -1: kept for ever. */
  retentionMs: number
  /** With `delete`: whole segments go while the rest is still at least this large. Default -1: no bound. */
  retentionBytes: number
  /** With `compact`: the part of a partition's bytes that must not have been compacted yet before it is. Default 0.5; 0 to 1. */
  minCleanableDirtyRatio: number
  /** With `compact`: a record is not compacted away before this age, counted by whole segments. Default 0. */
  minCompactionLagMs: number
  /** With `compact`: a record is compacted at the latest about this long after it was written. Default -1: never for its age; else at least 1. */
  maxCompactionLagMs: number
  /** With `compact`: how long a tombstone stays after the first pass that met it. Default 1 day. */
  deleteRetentionMs: number
  /** Largest record batch in bytes, before it is compressed. Default 1,048,588; 61 to 2^31 - 1. */
  maxMessageBytes: number
  /**
   * How batches are compressed where a call does not say otherwise: above 16 KiB (gzip), 32 KiB (snappy), 64 KiB (lz4) or 128 KiB (zstd),
   * and at levels of zstd above 5, outside of the event loop. Default: the log's (`none`).
   */
  compression: CompressionType
  /** Of `compression`: gzip 1 to 9, zstd 1 to 22, or -1, the codec's own. Default -1; what `compression` names, it names the level with. */
  compressionLevel: number
  /** Records wait so long for others to be written with them, unless they fill a batch. Default: the log's (0). */
  lingerMs: number
  /** Whose clock a record's timestamp is: the producer's or the log's. Default `CreateTime`. */
  timestampType: TimestampType
  /** What an acknowledgement means unless a call says otherwise, and when readers see a record. Default: the log's. */
  durability: Durability
  /** Unsynced bytes are synced after this long. Default: the log's (1,000); at least 1. */
  flushIntervalMs: number
}

export type KeyType = 'string' | 'bytes'

export interface TopicDescription {
  readonly name: string
  /** Kafka's topic id: a UUID, 22 characters of base64url. */
  readonly topicId: string
  readonly internal: boolean
  readonly key: KeyType
  /** The serializer's stored name. */
  readonly serializer: string
  readonly config: Readonly<TopicConfig>
  readonly partitions: readonly PartitionDescription[]
}

export interface PartitionDescription {
  readonly partition: number
  readonly logStartOffset: number
  /** Where readers stop: see `Durability`. */
  readonly highWatermark: number
  readonly logEndOffset: number
  /** Of the batches to come: it rises with each open after a crash. -1: none is known, in a reader beside a writer. */
  readonly leaderEpoch: number
  readonly segments: number
  /** Size of all segments in bytes. */
  readonly sizeBytes: number
  /** False once a failed write or sync has closed it to writes. */
  readonly writable: boolean
}

/** Where the records of a leader epoch end. */
export interface EpochEndOffset {
  readonly leaderEpoch: number
  /** The first offset that has no record of this epoch, or of one before it. */
  readonly endOffset: number
}

/** What the compaction of a partition came to. */
export interface PartitionCompaction extends TopicPartition {
  /** Bytes of the segments that could be compacted, before and after. */
  readonly bytesBefore: number
  readonly bytesAfter: number
  /** Records in them, transaction markers included. */
  readonly recordsBefore: number
  readonly recordsAfter: number
  /** How often they were gone through: more than once where the keys do not fit into `compactionMapBytes`. */
  readonly passes: number
  /** Segments that were left as they are, because they are damaged. */
  readonly damagedSegments: number
  /** Milliseconds. */
  readonly durationMs: number
}

// ---------------------------------------------------------------------------------------- records

export type HeaderValue = string | Uint8Array | null
/** An array stands for a header that repeats. */
export type RecordHeaders = Readonly<Record<string, HeaderValue | readonly HeaderValue[]>>
export type ReadHeaders = Readonly<Record<string, Buffer | null | readonly (Buffer | null)[]>>

export interface ProduceRecord<K = string, V = unknown> {
  /** Null or left out: the record has no key. */
  readonly key?: K | null
  /** Null: a tombstone. */
  readonly value: V | null
  readonly headers?: RecordHeaders
  /** Milliseconds since the Unix epoch; default now. */
  readonly timestamp?: number
  /** Default: by key, else sticky. */
  readonly partition?: number
}

/** A record as it is read. `value` is decoded when first asked for and throws `DecodeError` if it cannot be. */
export interface LogRecord<K = string, V = unknown> {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: K | null
  readonly value: V | null
  readonly headers: ReadHeaders
  /** A copy that shares no bytes with other readers. */
  detach(): LogRecord<K, V>
}

export interface Acknowledgement {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  /** The level that this acknowledgement has. */
  readonly durability: Durability
}

export interface BatchAcknowledgement {
  readonly partition: number
  readonly baseOffset: number
  readonly lastOffset: number
  /** The greatest timestamp of the records. */
  readonly timestamp: number
  readonly durability: Durability
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** Where read-committed readers of a partition stop. */
export interface StableOffset extends TopicPartition {
  readonly lastStableOffset: number
}

// --------------------------------------------------------------------------------------- recovery

/** Bytes cut off the end of a segment because nothing valid followed them. */
export interface CutTail {
  readonly file: string
  readonly position: number
  readonly bytes: number
  /** Where they were kept; undefined where they were all zeros. */
  readonly keptAs: string | undefined
}

/** A region that fails its checks and is followed by a valid batch; kept as it is. */
export interface DamagedRegion {
  readonly file: string
  readonly position: number
  readonly bytes: number
  /** `lost-write`: zeros past the recovery point, passed by readers. `damage`: readers are told. */
  readonly kind: 'damage' | 'lost-write'
}

export interface PartitionRecovery extends TopicPartition {
  /** Bytes of .log files that were read and checked. */
  readonly scannedBytes: number
  readonly cut: readonly CutTail[]
  readonly damage: readonly DamagedRegion[]
  /** Files that were built again from the data. */
  readonly rebuilt: readonly string[]
  /** Half-done rolls and deletions that were finished or undone, by file name. */
  readonly finished: readonly string[]
  /** What could not be written (the disk is full) and holds in memory until it can. */
  readonly inMemory: readonly string[]
}

/** What `open` found and did. */
export interface RecoveryReport {
  /** The last owner closed the directory. */
  readonly clean: boolean
  readonly scannedBytes: number
  /** Partitions where anything was scanned, cut, kept aside, rebuilt or finished. */
  readonly partitions: readonly PartitionRecovery[]
  readonly resetOffsets: readonly ResetOffset[]
  /** Checkpoints that could not be read: more is scanned then, and deleted records of a segment that is there are there again. */
  readonly damagedCheckpoints: readonly string[]
  /** Why `brokerless.json` was rebuilt from the directories; undefined where it was not. */
  readonly metadataRebuilt: string | undefined
  /** Topics and directories that a half-done creation or deletion left, and that open finished. */
  readonly finished: readonly string[]
  /** What could not be written (the disk is full) and holds in memory until it can. */
  readonly inMemory: readonly string[]
  /** Transactions that a process left open, and how the open ended them. */
  readonly transactions: readonly RecoveredTransaction[]
}

/** A transaction without an end that open found. */
export interface RecoveredTransaction {
  /** Null where nothing is known of the producer. */
  readonly transactionalId: string | null
  readonly producerId: number
  readonly producerEpoch: number
  /** `commit`: it had been decided. */
  readonly outcome: 'commit' | 'abort'
  /** Where its end was missing. */
  readonly partitions: readonly TopicPartition[]
  /** False: a partition has no room for its end yet, or takes no writes. Readers of committed records wait before it. */
  readonly isComplete: boolean
}

/** A committed offset that lay past the end of its partition after a crash. */
export interface ResetOffset extends TopicPartition {
  readonly group: string
  readonly from: number
  readonly to: number
}

export interface TopicPartitions {
  readonly topic: string
  readonly partitions: readonly number[]
}

/** A member of a group, as an assignor sees it. */
export interface AssignorMember {
  readonly memberId: string
  /** Of a static member; else null. */
  readonly groupInstanceId: string | null
  /** What it is subscribed to; topics that do not exist are passed over. */
  readonly topics: readonly string[]
  /** What it has now; no partition is another member's as well. */
  readonly ownedPartitions: readonly TopicPartitions[]
}

export interface AssignmentInput {
  readonly members: readonly AssignorMember[]
  /** Number of partitions of each topic that exists. */
  readonly partitionCounts: ReadonlyMap<string, number>
}

/** By member id; every member has an entry. Topics stand in the order of their names, partitions rise. */
export type Assignment = ReadonlyMap<string, readonly TopicPartitions[]>

/** Decides which member of a group reads which partitions. */
export interface Assignor {
  /** As it is stored with the group; Kafka's names for Kafka's. */
  readonly name: string
  /** Pure: the same input gives the same answer, in whatever order the members stand. */
  assign(input: AssignmentInput): Assignment
}
