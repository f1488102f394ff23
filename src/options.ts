/** Every option: type, default, range, unit. What is resolved here is trusted everywhere else. */

export type { CommitOptions, ResolvedCommitOptions } from './options/commit-options.ts'
export { resolveCommitOptions } from './options/commit-options.ts'
export type { CompactOptions, ResolvedCompactOptions } from './options/compact-options.ts'
export { resolveCompactOptions } from './options/compact-options.ts'
export { COMPRESSION_TYPES, OWN_LEVEL } from './options/compression-options.ts'
export type {
  AssignorName,
  ConsumerCloseOptions,
  ConsumerFrom,
  ConsumerOptions,
  PartitionsCallback,
  ResolvedConsumerFrom,
  ResolvedConsumerOptions,
  ResolvedSeekTo,
  SeekTo,
} from './options/consumer-options.ts'
export {
  resolveConsumerFrom,
  resolveConsumerOptions,
  resolveDrainMs,
  resolveSeekTo,
} from './options/consumer-options.ts'
export type { FetchOptions, ResolvedFetchOptions } from './options/fetch-options.ts'
export { resolveFetchOptions } from './options/fetch-options.ts'
export type { LogOptions, ResolvedLogOptions } from './options/log-options.ts'
export { resolveLogOptions } from './options/log-options.ts'
export type { ProduceOptions, ResolvedProduceOptions } from './options/produce-options.ts'
export { resolveProduceOptions } from './options/produce-options.ts'
export type {
  IdempotentProduceOptions,
  ProducerOptions,
  ResolvedIdempotentOptions,
  ResolvedProducerOptions,
} from './options/producer-options.ts'
export { resolveIdempotentOptions, resolveProducerOptions } from './options/producer-options.ts'
export type {
  ReadFrom,
  ReadOptions,
  ResolvedReadFrom,
  ResolvedReadOptions,
} from './options/read-options.ts'
export { resolveReadOptions } from './options/read-options.ts'
export type { OnCorrupt } from './options/shared.ts'
export { DURABILITIES } from './options/shared.ts'
export type { LogConfig } from './options/topic-config.ts'
export {
  checkTopicConfig,
  givenConfig,
  isCompacted,
  isRetentionBound,
  LOG_CONFIG_NAMES,
  longestSegmentMs,
  resolveTopicConfig,
  TOPIC_CONFIG_DEFAULTS,
  TOPIC_CONFIG_NAMES,
} from './options/topic-config.ts'
export type {
  ResolvedTransactionOptions,
  TransactionOptions,
  TransactionProduceOptions,
} from './options/transaction-options.ts'
export {
  resolveTransactionOptions,
  resolveTransactionProduceOptions,
} from './options/transaction-options.ts'
