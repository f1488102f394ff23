import type { OFFSETS_TOPIC } from './groups/offset-store.ts'
import { describeTopic } from './log/descriptions.ts'
import { refuseInternal } from './log/group-offsets.ts'
import type { BackgroundFailure, LogCore } from './log/log-core.ts'
import type { LogMetrics } from './log/metrics.ts'
import { logMetrics } from './log/metrics.ts'
import {
  checkDeletion,
  endOffsetForEpoch,
  offsetForTimestamp,
  stableOffsets,
} from './log/offset-queries.ts'
import type { OpenedLog } from './log/open-log.ts'
import { openLog } from './log/open-log.ts'
import { ProcessCalls } from './log/process-calls.ts'
import { Producing } from './log/producing.ts'
import { closedError } from './log/refusals.ts'
import { Session } from './log/session.ts'
import type {
  CompactOptions,
  FetchOptions,
  LogOptions,
  ProduceOptions,
  ReadOptions,
} from './options.ts'
import { resolveCompactOptions, resolveFetchOptions, resolveReadOptions } from './options.ts'
import type { FetchResult } from './topics/fetcher.ts'
import { fetch } from './topics/fetcher.ts'
import { isInternalTopic } from './topics/internal-topics.ts'
import type { RecordStream } from './topics/record-stream.ts'
import { readStream } from './topics/record-stream.ts'
import type { TopicDeclaration, TopicDeclarations } from './topics/topic-definition.ts'
import { resolveDeclaration } from './topics/topic-definition.ts'
import type {
  AnyTopics,
  KeyOf,
  ProducedOf,
  ReadKeyOf,
  TopicName,
  TopicsOf,
  ValueOf,
} from './topics/topic-types.ts'
import type {
  Acknowledgement,
  BatchAcknowledgement,
  EpochEndOffset,
  PartitionCompaction,
  ProduceRecord,
  RecoveryReport,
  StableOffset,
  TopicConfig,
  TopicDescription,
} from './types.ts'

export type {
  CommittableRecord,
  Consumer,
  ConsumerLag,
  ConsumerPartitionLag,
} from './groups/consumer/consumer.ts'
export type { ConsumedPage } from './groups/consumer/iterators.ts'
export type { ConsumedRecord } from './groups/consumer/page-source.ts'
export { DEAD_LETTER_HEADERS } from './groups/consumer/run/dead-letters.ts'
export type { Backoff, FailurePolicy } from './groups/consumer/run/failure-policy.ts'
export type {
  Concurrency,
  ConsumedBatch,
  HandlerContext,
  RunOptions,
} from './groups/consumer/run/run-options.ts'
export type {
  CommittedSignal,
  ConsumerSignal,
  DeadLetteredSignal,
  DiagnosticMessages,
  FailedRecordSignal,
  GroupSignal,
  LoopBlockedSignal,
  LostSignal,
  PartitionsSignal,
  RebalancedSignal,
  RetriedSignal,
} from './groups/consumer/signal-messages.ts'
export type { ConsumerMetrics, GroupCounts } from './groups/consumer/signals.ts'
export type {
  CommitAcknowledgement,
  CommittedOffset,
  DescribedPartition,
  GroupDescription,
  GroupLag,
  GroupMember,
  GroupOffset,
  GroupState,
  OffsetCommit,
  PartitionLag,
  ResetTo,
} from './groups/types.ts'
export type { DeadLetterReplay, ReplayOptions } from './log/dead-letter-replay.ts'
export type { ConsumedOf, SubscribedTo } from './log/group-calls.ts'
export type { BackgroundFailure } from './log/log-core.ts'
export type { LogEvents } from './log/log-events.ts'
export type { GroupMetrics, LogMetrics, TopicMetrics } from './log/metrics.ts'
export type { TopicAlteration } from './log/open-log.ts'
export type { OutputFor, ProcessedOf } from './log/process-calls.ts'
export type { Processing } from './log/processing.ts'
export type { Producer } from './transactions/log-producer.ts'
export type {
  BatchProcessor,
  ProcessContext,
  ProcessHandler,
  ProcessOptions,
  ProcessOutput,
  ProcessProduceOptions,
  ProcessTransaction,
  RecordProcessor,
} from './transactions/process/process-options.ts'
export type {
  CommittedPartition,
  Transaction,
  TransactionAcknowledgement,
} from './transactions/transaction.ts'
export type { TransactionPhase } from './transactions/types.ts'

/**
 * Kafka's log in this process: topics, partitions, durable segments, and the committed offsets of consumer groups.
 * One writer a data directory. Misuse rejects with `TypeError` or `RangeError`, trouble with `LogError` and its `code`;
 * after `close` every call rejects with `CLOSED`, save those of handlers that the close waits for.
 */
export class Log<T extends object = AnyTopics> extends ProcessCalls<T> {
  /** What `open` found and did. */
  readonly recovery: RecoveryReport
  readonly #core: LogCore
  readonly #producing: Producing
  readonly #session: Session

  private constructor({ core, recovery, alterations }: OpenedLog) {
    const session = new Session(core)
    super(session)
    this.#session = session
    this.recovery = recovery
    this.#core = core
    this.#producing = new Producing(core)
    core.onFailure = (failure) => this.#tell(failure)
    const failures = core.failedPartitions()
    if (alterations.length + failures.length === 0) return
    setImmediate(() => {
      for (const alteration of alterations) this.emit('topicAltered', alteration)
      for (const failure of failures) this.emit('failure', failure)
    })
  }

  /** What a listener throws is the program's to deal with, as everywhere; the log goes on with what it was doing. */
  #tell(failure: BackgroundFailure): void {
    try {
      this.emit('failure', failure)
    } catch (error) {
      process.nextTick(() => {
        throw error
      })
    }
  }

  /**
   * Opens a data directory, which is made where it is missing, and recovers what a crash left.
   * Topics of `options.topics` are created, or altered where the declaration differs from what is stored.
   * Rejects with `DirectoryLockedError` where another owner holds the directory, and with `TOPIC_MISMATCH` where a
   * declaration does not fit; nothing is changed then.
   */
  static async open<const D extends TopicDeclarations, _Inferred extends true>(
    directory: string,
    options: LogOptions<D> & { readonly topics: D },
  ): Promise<Log<TopicsOf<D>>>
  static async open<T extends object = AnyTopics>(
    directory: string,
    options?: LogOptions<{ readonly [N in keyof T]?: TopicDeclarations[string] }>,
  ): Promise<Log<T>>
  static async open(directory: string, options?: LogOptions): Promise<unknown> {
    return new Log(await openLog(directory, options))
  }

  // ------------------------------------------------------------------------------------ records

  /**
   * Appends one record, or several: those of one partition are one batch, all of them or none, with adjacent offsets.
   * Calls made one after another land in that order in a partition. All values are serialized before this returns.
   * Rejects with `PartialProduceError` where some partitions took their records and others did not.
   */
  produce<N extends TopicName<T>>(
    topic: N,
    record: ProduceRecord<KeyOf<T, N>, ProducedOf<T, N>>,
    options?: ProduceOptions,
  ): Promise<Acknowledgement>
  produce<N extends TopicName<T>>(
    topic: N,
    records: readonly ProduceRecord<KeyOf<T, N>, ProducedOf<T, N>>[],
    options?: ProduceOptions,
  ): Promise<BatchAcknowledgement[]>
  produce(
    topic: string,
    records: ProduceRecord<unknown, unknown> | readonly ProduceRecord<unknown, unknown>[],
    options?: ProduceOptions,
  ): Promise<Acknowledgement | BatchAcknowledgement[]> {
    if (this.#session.isClosing) return Promise.reject(closedError())
    return this.#producing.produce(topic, records, options)
  }

  /**
   * Reads a page of records from an offset, up to where readers of its `isolationLevel` stop; with `maxWaitMs` it waits for some.
   * Rejects with `OffsetOutOfRangeError` outside the log, with `CorruptLogError` at damage unless `onCorrupt` is `'skip'`.
   */
  fetch<N extends TopicName<T>>(
    topic: N,
    options: FetchOptions,
  ): Promise<FetchResult<ReadKeyOf<T, N>, ValueOf<T, N>>> {
    try {
      this.#session.requireOpen()
      const found = this.#core.topics.get(topic)
      const resolved = resolveFetchOptions(options)
      return fetch<ReadKeyOf<T, N>, ValueOf<T, N>>(found, resolved, this.#core.clock)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Iterates over the records of one or all partitions, live or up to the end; `batches()` of it gives whole pages. */
  read<N extends TopicName<T>>(
    topic: N,
    options?: ReadOptions,
  ): RecordStream<ReadKeyOf<T, N>, ValueOf<T, N>> {
    this.#session.requireOpen()
    const found = this.#core.topics.get(topic)
    return readStream<ReadKeyOf<T, N>, ValueOf<T, N>>(found, resolveReadOptions(options))
  }

  /** The first offset whose record has a timestamp (milliseconds) >= `timestamp`; undefined where there is none. */
  async offsetForTimestamp(
    topic: TopicName<T>,
    at: { readonly partition: number; readonly timestamp: number },
  ): Promise<number | undefined> {
    this.#session.requireOpen()
    return await this.#session.track(offsetForTimestamp(this.#core.topics, topic, at))
  }

  /**
   * Where the records of a leader epoch (-1 to 2^31 - 1) end, as Kafka's OffsetsForLeaderEpoch answers: the greatest epoch that is not
   * above the one asked for, and the offset at which the next one begins, or the log end offset. Below the first epoch that is known:
   * the epoch asked for, and where the first one begins. Undefined above the last one, and for -1.
   */
  async endOffsetForEpoch(
    topic: TopicName<T>,
    at: { readonly partition: number; readonly leaderEpoch: number },
  ): Promise<EpochEndOffset | undefined> {
    this.#session.requireOpen()
    return await this.#session.track(endOffsetForEpoch(this.#core.topics, topic, at))
  }

  /**
   * The range of a partition: `earliest` is the log start offset, `latest` the high watermark, `lastStable` the last stable offset, where
   * read-committed readers stop.
   */
  async offsets(
    topic: TopicName<T>,
    partition: number,
  ): Promise<{ readonly earliest: number; readonly latest: number; readonly lastStable: number }> {
    this.#session.requireOpen()
    const log = this.#core.topics.get(topic).partition(partition)
    return {
      earliest: log.logStartOffset,
      latest: log.highWatermark,
      lastStable: log.lastStableOffset,
    }
  }

  /**
   * The last stable offsets of all partitions of these topics (default: all, internal ones left out), as they are in this turn of the event loop:
   * those that one transaction moves have all moved, or none of them has. Throws `UNKNOWN_TOPIC`.
   */
  stableOffsets(topics?: readonly TopicName<T>[]): StableOffset[] {
    this.#session.requireOpen()
    return stableOffsets(this.#core.topics, topics ?? this.topics())
  }

  /** Deletes the records below an offset (at most the high watermark): readers begin there, whole segments go. */
  async deleteRecords(
    topic: TopicName<T>,
    records: { readonly partition: number; readonly before: number },
  ): Promise<{ readonly logStartOffset: number }> {
    this.#session.requireWritable()
    const { log, before } = checkDeletion(this.#core.topics, topic, records)
    await this.#session.track(this.#core.deleteRecords(log, before))
    return { logStartOffset: log.logStartOffset }
  }

  // ------------------------------------------------------------------------------------- topics

  /**
   * Creates a topic. One that is there with the same declaration is fine; with another, `TOPIC_EXISTS` names what differs.
   */
  async createTopic(name: string, declaration?: TopicDeclaration): Promise<void> {
    this.#session.requireWritable()
    refuseInternal(name, 'created')
    await this.#session.track(this.#core.topics.create(resolveDeclaration(name, declaration)))
  }

  /** Names of the topics, `__consumer_offsets` left out. */
  topics(): string[] {
    this.#session.requireOpen()
    const names = this.#core.topics.list().map((topic) => topic.name)
    return names.filter((name) => !isInternalTopic(name)).sort()
  }

  async describeTopic(name: string): Promise<TopicDescription> {
    this.#session.requireOpen()
    return await describeTopic(this.#core.topics, name, this.#core.environment.readOnly)
  }

  /** Changes what is given of a topic's configuration; the rest stays. */
  async alterTopic(name: TopicName<T>, config: Partial<TopicConfig>): Promise<void> {
    this.#session.requireWritable()
    refuseInternal(name, 'altered')
    await this.#session.track(this.#core.topics.alter(name, config))
  }

  /** Raises the number of partitions to `partitions`. Keys may then go to other partitions than before. */
  async addPartitions(name: TopicName<T>, partitions: number): Promise<void> {
    this.#session.requireWritable()
    refuseInternal(name, 'given more partitions')
    await this.#session.track(this.#core.topics.addPartitions(name, partitions))
  }

  /** Deletes a topic with its records and the offsets that groups have committed for it. */
  async deleteTopic(name: TopicName<T>): Promise<void> {
    this.#session.requireWritable()
    refuseInternal(name, 'deleted')
    await this.#session.track(this.#core.topics.delete(name))
  }

  // ---------------------------------------------------------------------------------------- log

  /**
   * What the log and its groups have done since it was opened, and where they are; see `DiagnosticMessages` for single events. Of a log that
   * was opened with `readOnly`, groups are as they were last looked at.
   */
  metrics(): LogMetrics {
    this.#session.requireOpen()
    const { topics, groups, signals } = this.#core
    return logMetrics({ topics: topics.list(), offsets: groups.loaded, signals })
  }

  /** Resolves when all that was produced before is on the disk, and the recovery points say so. */
  async flush(): Promise<void> {
    this.#session.requireWritable()
    await this.#session.track(this.#core.flush())
  }

  /** Deletes now what retention no longer keeps; otherwise done every `retentionCheckIntervalMs`. Answers with the number of segments. */
  async applyRetention(): Promise<number> {
    this.#session.requireWritable()
    return await this.#session.track(this.#core.applyRetention())
  }

  /**
   * Compacts a topic now; otherwise done in the background where it is worth it. Answers with what was done, a partition at a time. Rejects
   * with a `TypeError` where its `cleanupPolicy` is `'delete'`, with `DISK_FULL`, `UNSUPPORTED_CODEC` or `COMPACTION_FAILED`, after all
   * partitions have been tried; a close ends it with `CLOSED`.
   */
  async compact(
    topic: TopicName<T> | typeof OFFSETS_TOPIC,
    options?: CompactOptions,
  ): Promise<PartitionCompaction[]> {
    this.#session.requireWritable()
    const resolved = resolveCompactOptions(options)
    // A close does not wait for it to come to its end.
    return await this.#core.compaction.compact(this.#core.topics.get(topic), resolved)
  }

  /**
   * Waits for what is under way, then syncs and closes everything. Iterators end, waiting fetches reject with `CLOSED`.
   * Further calls answer with the first one's promise. Rejects where a partition had failed: what was not acknowledged at
   * `'disk'` may not be there.
   */
  close(): Promise<void> {
    return this.#session.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }
}
