export {
  CorruptLogError,
  DecodeError,
  DirectoryLockedError,
  ERROR_CODES,
  type FailedPartition,
  type LockHolder,
  LogError,
  type LogErrorCode,
  type LogErrorOptions,
  MessageTooLargeError,
  OffsetConflictError,
  OffsetOutOfRangeError,
  PartialProduceError,
  ValidationError,
} from './errors.ts'
export {
  type BackgroundFailure,
  type CommitAcknowledgement,
  type CommittedOffset,
  type GroupDescription,
  type GroupLag,
  type GroupMember,
  type GroupOffset,
  type GroupState,
  Log,
  type LogEvents,
  type OffsetCommit,
  type PartitionLag,
  type ResetTo,
  type TopicAlteration,
} from './log.ts'
export type {
  CommitOptions,
  FetchOptions,
  LogOptions,
  OnCorrupt,
  ProduceOptions,
  ReadFrom,
  ReadOptions,
} from './options.ts'
export { nodeFileSystem } from './storage/file-system.ts'
export type { FetchResult } from './topics/fetcher.ts'
export type { Partitioner } from './topics/partitioner.ts'
export type { RecordBatch, RecordStream } from './topics/record-stream.ts'
export { bytes, json, msgpack, type Serializer, string } from './topics/serializers.ts'
export type { StandardSchemaV1 } from './topics/standard-schema.ts'
export type { TopicDeclaration, TopicDeclarations } from './topics/topic-definition.ts'
export type {
  AnyTopics,
  KeyOf,
  ProducedOf,
  ReadKeyOf,
  TopicName,
  TopicsOf,
  TopicType,
  ValueOf,
} from './topics/topic-types.ts'
export type {
  Acknowledgement,
  BatchAcknowledgement,
  CleanupPolicy,
  Clock,
  CompressionCodec,
  CompressionCodecs,
  CompressionType,
  CutTail,
  DamagedRegion,
  Durability,
  EpochEndOffset,
  FileHandle,
  FileLock,
  FileLockResult,
  FileStat,
  FileSystem,
  HeaderValue,
  KeyType,
  LogRecord,
  OpenMode,
  PartitionDescription,
  PartitionRecovery,
  ProduceRecord,
  ReadHeaders,
  RecordHeaders,
  RecoveryReport,
  ResetOffset,
  Timer,
  TimestampType,
  TopicConfig,
  TopicDescription,
  TopicPartition,
} from './types.ts'
export { systemClock } from './util/clock.ts'
