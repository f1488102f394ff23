import { applyRetention } from '../cleanup/cleaner.ts'
import { LogError } from '../errors.ts'
import { LogSignals } from '../groups/consumer/signals.ts'
import type { ResolvedLogOptions } from '../options.ts'
import type { StorageEnvironment } from '../storage/environment.ts'
import { Codecs } from '../storage/environment.ts'
import { FileCache } from '../storage/file-cache.ts'
import { Flusher } from '../storage/flusher.ts'
import type { LimitedSyncs } from '../storage/limited-syncs.ts'
import { MemoryCache } from '../storage/memory-cache.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { PendingRoom } from '../storage/pending-room.ts'
import { ChunkPool } from '../storage/tail.ts'
import type { StoredTopic } from '../topics/stored-topic.ts'
import type { ResolvedDeclaration } from '../topics/topic-definition.ts'
import type { TopicStore } from '../topics/topic-store.ts'
import type { TransactionCoordinator } from '../transactions/coordinator.ts'
import type { Clock, RecoveredTransaction, ResetOffset } from '../types.ts'
import { isDiskFull } from '../util/error-code.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import { Background } from './background.ts'
import { closeError, failureOf } from './close-failure.ts'
import { Compaction } from './compaction.ts'
import { ConsumerGroups } from './consumer-groups.ts'
import type { DataDirectory } from './data-directory.ts'
import { DeadLetterReplays } from './dead-letter-replay.ts'
import { GroupOffsets } from './group-offsets.ts'
import { LogStarts } from './log-starts.ts'
import type { TopicFiles } from './topic-files.ts'
import { metadataError, TopicRegistry } from './topic-registry.ts'
import { transactionsOf } from './transactions.ts'
import { WriterFollowing } from './writer-following.ts'

export interface CoreOptions {
  readonly data: DataDirectory
  readonly fileSystem: LimitedSyncs
  readonly clock: Clock
  readonly options: ResolvedLogOptions
  readonly declared: ReadonlyMap<string, ResolvedDeclaration>
  readonly store: TopicStore
  readonly files: TopicFiles
}

export interface StartReport {
  readonly resetOffsets: readonly ResetOffset[]
  readonly transactions: readonly RecoveredTransaction[]
  readonly inMemory: readonly string[]
}

/** What fails in the background. */
export interface BackgroundFailure {
  /** The partition that was closed to writes; undefined: the whole log was, or nothing that concerns the data. */
  readonly topic: string | undefined
  readonly partition: number | undefined
  readonly error: Error
}

/** The parts of an open log, wired: topics, groups, and the work that goes on behind the calls. */
export class LogCore {
  readonly clock: Clock
  readonly topics: TopicRegistry
  readonly groups: GroupOffsets
  readonly transactions: TransactionCoordinator
  readonly consumers: ConsumerGroups
  readonly replays: DeadLetterReplays
  readonly compaction: Compaction
  readonly signals: LogSignals
  readonly environment: StorageEnvironment
  onFailure: ((failure: BackgroundFailure) => void) | undefined
  readonly #data: DataDirectory
  readonly #options: ResolvedLogOptions
  readonly #flusher: Flusher
  readonly #background: Background
  readonly #following: WriterFollowing
  readonly #logStarts: LogStarts
  #isClosing = false
  /** Every partition that was there has been opened. */
  #areOpen = false
  #failure: LogError | undefined
  /** The last attempt to write the recovery points found no room. */
  #isCheckpointDue = false

  constructor({ data, fileSystem, clock, options, declared, store, files }: CoreOptions) {
    this.clock = clock
    this.signals = new LogSignals(data.path)
    this.#data = data
    this.#options = options
    this.#flusher = new Flusher({
      clock,
      flushBytes: options.flushBytes,
      checkpoint: () => this.#checkpoint(),
    })
    this.environment = {
      fileSystem,
      clock,
      files: new FileCache(fileSystem.inner, fileSystem.syncs, options.maxOpenFiles),
      cache: new MemoryCache(options.cacheBytes),
      chunks: new ChunkPool(),
      room: new PendingRoom(options.maxPendingBytes),
      codecs: new Codecs(options.codecs ?? {}, options.maxDecompressedBytes),
      readOnly: options.readOnly,
      producerIdExpirationMs: options.producerIdExpirationMs,
      unsynced: this.#flusher,
      onPartitionFailure: (topic, partition, error) =>
        this.#partitionFailed(topic, partition, error),
    }
    const { durability, flushIntervalMs, compression, compressionLevel, lingerMs } = options
    this.topics = new TopicRegistry({
      environment: this.environment,
      files,
      store,
      defaults: { durability, flushIntervalMs, compression, compressionLevel, lingerMs },
      raw: options.raw,
      declared,
      forget: async (topic, names) => {
        await this.groups.removeTopic(topic)
        this.compaction.forget(names)
        await data.forget(names)
      },
    })
    this.#following = new WriterFollowing({
      data,
      fileSystem,
      topics: this.topics,
      isClosing: () => this.#isClosing,
    })
    this.#logStarts = new LogStarts({
      topics: this.topics,
      write: (starts) =>
        data.writeLogStarts(starts).catch((error: unknown) => {
          throw this.#refused('log-start-offset-checkpoint', error)
        }),
    })
    this.groups = new GroupOffsets({
      topics: this.topics,
      clock,
      readOnly: options.readOnly,
      failed: (error) => this.#failedBehind(error),
    })
    this.transactions = transactionsOf({
      topics: this.topics,
      groups: this.groups,
      clock,
      options,
    })
    this.consumers = new ConsumerGroups({
      topics: this.topics,
      offsets: this.groups,
      signals: this.signals,
      clock,
      codecs: this.environment.codecs,
      failed: (error) => this.#failedBehind(error),
    })
    this.replays = new DeadLetterReplays(this.topics, this.groups, this.environment.codecs)
    this.compaction = new Compaction({
      environment: this.environment,
      options,
      partitions: () => this.topics.partitions(),
      writeCheckpoint: (offsets) => data.writeCleanerOffsets(offsets),
      failed: (error) => this.#failedBehind(error),
    })
    this.#background = new Background(clock, (error) => this.#failedBehind(error))
  }

  /** Why the log takes no more writes; undefined while it does. A partition may have a failure of its own. */
  get failure(): LogError | undefined {
    return this.#failure
  }

  get autoCreateTopics(): boolean {
    return this.#options.autoCreateTopics
  }

  get maxTransactionBytes(): number {
    return this.#options.maxTransactionBytes
  }

  /** Opens the partitions and what stands on them, then starts the background work. */
  async start(topics: readonly StoredTopic[]): Promise<StartReport> {
    const recoveryPoints = await this.#data.readRecoveryPoints()
    const logStarts = await this.#data.readLogStarts()
    await this.topics.open(topics, { isClean: this.#data.isClean, recoveryPoints, logStarts })
    this.#areOpen = true
    this.compaction.begin(await this.#data.readCleanerOffsets())
    // Before the groups are loaded: a transaction may have committed for them.
    const transactions = this.#options.readOnly ? [] : await this.#endTransactions()
    await this.groups.load()
    const report: { resetOffsets: readonly ResetOffset[]; inMemory: readonly string[] } =
      this.#data.isClean || this.#options.readOnly
        ? { resetOffsets: [], inMemory: [] }
        : await this.groups.clamp()
    // Also where it would say the same: it syncs the directory, out of which a killed open may have taken the clean marker.
    const isDue = !this.#data.isClean || this.#isAhead(recoveryPoints)
    if (isDue && !this.#options.readOnly) await this.#checkpoint()
    this.#startTimers()
    return { ...report, transactions }
  }

  async #endTransactions(): Promise<readonly RecoveredTransaction[]> {
    await this.transactions.load()
    return await this.transactions.completeAtOpen()
  }

  /** Partitions that recovery could not make durable, and that take no writes. */
  failedPartitions(): BackgroundFailure[] {
    return this.topics
      .partitions()
      .flatMap(({ topic, partition, failure }) =>
        failure === undefined ? [] : [{ topic, partition, error: failure }],
      )
  }

  /** See `LogStarts.deleteBelow`. */
  deleteRecords(log: PartitionLog, before: number): Promise<void> {
    return this.#logStarts.deleteBelow(log, before)
  }

  /** Syncs all that is written, and writes the recovery points. */
  async flush(): Promise<void> {
    const partitions = this.topics.partitions()
    await Promise.all(partitions.map((partition) => partition.written()))
    await Promise.all(partitions.map((partition) => partition.flush()))
    await this.#flusher.flush()
    if (this.#failure !== undefined) throw this.#failure
    if (!this.#isCheckpointDue) return
    try {
      await this.#data.writeRecoveryPoints(() => this.#recoveryPoints())
      this.#isCheckpointDue = false
    } catch (error) {
      throw this.#refused('recovery-point-offset-checkpoint', error)
    }
  }

  /** Deletes what retention no longer keeps; answers with the number of segments. What one partition refuses does not keep the others from it. */
  async applyRetention(): Promise<number> {
    let deleted = 0
    const failures: unknown[] = []
    for (const partition of this.topics.partitions()) {
      if (this.#isClosing || partition.failure !== undefined) continue
      try {
        deleted += await applyRetention(partition, this.environment)
      } catch (error) {
        // Of a topic that was deleted meanwhile there is nothing to keep.
        if (this.topics.isThere(partition)) failures.push(metadataError(partition.name, error))
      }
    }
    if (failures.length > 0) throw failures[0]
    return deleted
  }

  /** See `DataDirectory` for the order. Rejects, after all is closed, where anything could not be kept. */
  async close(): Promise<void> {
    this.#isClosing = true
    this.#background.stop()
    const transactions = await failureOf(this.transactions.close())
    await this.topics.close()
    await this.compaction.close()
    await this.#background.idle()
    const failures: (Error | undefined)[] = [
      this.#failure,
      transactions,
      await failureOf(this.groups.close()),
      await this.#closePartitions(),
    ]
    if (!this.#options.readOnly && !failures.some((each) => each !== undefined)) {
      failures.push(await failureOf(this.#markClean()))
    }
    failures.push(await failureOf(this.#data.release()))
    const failure = failures.find((each) => each !== undefined)
    if (failure !== undefined) throw closeError(failure)
  }

  /**
   * After an open that failed half-way: closes what is open, as cleanly as can be. The lock is the caller's. A partition that could not
   * be opened may have been changed all the same, and be no longer what the clean marker would say of it.
   */
  async abandon(): Promise<void> {
    this.#background.stop()
    this.#isClosing = true
    this.transactions.beginClose()
    const failure = await this.#closePartitions()
    const isWhole = this.#areOpen && failure === undefined
    // Without the marker the next open recovers: nothing is lost.
    if (isWhole && this.#data.isClean && !this.#options.readOnly) {
      await failureOf(this.#data.writeMarker())
    }
  }

  /** Closes all partitions, and answers with the first failure. */
  async #closePartitions(): Promise<Error | undefined> {
    await this.#flusher.close()
    const closing = this.topics.partitions().map((each) => failureOf(each.close()))
    const failures = await Promise.all(closing)
    failures.push(await failureOf(this.environment.files.close()))
    return failures.find((each) => each !== undefined)
  }

  async #markClean(): Promise<void> {
    await this.#data.writeRecoveryPoints(() => this.#recoveryPoints())
    await this.#data.writeLogStarts(() => this.#logStarts.all())
    await this.#data.writeMarker()
  }

  // -------------------------------------------------------------------------------- checkpoints

  /** Writes the recovery points. For want of room it waits for the next time; any other failure closes the log to writes. */
  async #checkpoint(): Promise<void> {
    try {
      await this.#data.writeRecoveryPoints(() => this.#recoveryPoints())
      this.#isCheckpointDue = false
    } catch (error) {
      this.#isCheckpointDue = true
      if (!isDiskFull(error)) this.#fail(error)
    }
  }

  /** More is known to be on the disk than the checkpoint says: it was lost, and the clean marker that made up for it is gone as well. */
  #isAhead(recoveryPoints: ReadonlyMap<string, number>): boolean {
    return [...this.#recoveryPoints()].some(
      ([name, point]) => point > (recoveryPoints.get(name) ?? 0),
    )
  }

  #recoveryPoints(): Map<string, number> {
    return new Map(this.topics.partitions().map((each) => [each.name, each.syncedOffset]))
  }

  #refused(what: string, error: unknown): LogError {
    if (isDiskFull(error)) {
      const message = `${what}: there is no room on the disk`
      return new LogError('DISK_FULL', message, { cause: error, retryable: true })
    }
    return this.#fail(error)
  }

  /** The log takes no more writes. */
  #fail(cause: unknown): LogError {
    if (this.#failure !== undefined) return this.#failure
    const message =
      'a checkpoint or the metadata could not be written; writes have stopped until the log is opened again'
    const error = new LogError('STORAGE_FAILED', message, { cause })
    this.#failure = error
    for (const partition of this.topics.partitions()) partition.fail(cause)
    this.onFailure?.({ topic: undefined, partition: undefined, error })
    return error
  }

  #partitionFailed(topic: string, partition: number, error: Error): void {
    if (this.topics.isDeleting(`${topic}-${partition}`)) return
    this.onFailure?.({ topic, partition, error })
  }

  #failedBehind(error: Error): void {
    this.onFailure?.({ topic: undefined, partition: undefined, error })
  }

  // --------------------------------------------------------------------------- background work

  #startTimers(): void {
    const { readOnly, readOnlyPollMs } = this.#options
    const { retentionCheckIntervalMs, compactionCheckIntervalMs } = this.#options
    const { offsetsRetentionMs, offsetsRetentionCheckIntervalMs } = this.#options
    if (readOnly) {
      this.#background.every(readOnlyPollMs, () => this.#following.poll())
      return
    }
    this.transactions.opened()
    const applyRetention = async (): Promise<void> => void (await this.applyRetention())
    this.#background.every(retentionCheckIntervalMs, applyRetention)
    this.#background.every(retentionCheckIntervalMs, () => this.transactions.expire())
    this.#background.every(retentionCheckIntervalMs, () => this.#expireProducers())
    this.#background.every(compactionCheckIntervalMs, () => this.compaction.runInBackground())
    if (offsetsRetentionMs < 0) return
    const expire = (): Promise<void> => this.groups.expire(offsetsRetentionMs)
    this.#background.every(offsetsRetentionCheckIntervalMs, expire)
  }

  async #expireProducers(): Promise<void> {
    for (const partition of this.topics.partitions()) {
      if (turnIsLong()) await nextTurn()
      partition.expireProducers()
    }
  }
}
