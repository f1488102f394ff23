import type { RecordSet } from '../codec/record-set.ts'
import { LogError } from '../errors.ts'
import type { TopicConfig } from '../types.ts'
import { isDiskFull } from '../util/error-code.ts'
import type { AppendCall } from './append-call.ts'
import type { AppendTarget, RecordCount } from './append-target.ts'
import { Appender } from './appender.ts'
import type { Codecs, StorageEnvironment } from './environment.ts'
import { FollowedTransactions } from './followed-transactions.ts'
import type { KnownBatches } from './known-batches.ts'
import type { Page, PageRequest } from './page.ts'
import { PageReader } from './page-reader.ts'
import type { PartitionEpochs } from './partition-epochs.ts'
import { PartitionProducers } from './partition-producers.ts'
import { PartitionRepairs } from './partition-repairs.ts'
import type { ProducerStates } from './producer-state.ts'
import type { MutableReport, RecoveredPartition } from './recovery.ts'
import { openPartition } from './recovery.ts'
import type { Segment } from './segment.ts'
import { SegmentChanges } from './segment-changes.ts'
import type { SegmentList } from './segment-list.ts'
import { SegmentRoller } from './segment-roller.ts'
import type { ReadPartition } from './steady-reads.ts'
import { SteadyReads } from './steady-reads.ts'
import { Tail } from './tail.ts'
import { TailFollower } from './tail-follower.ts'
import type { VisibleTransactions } from './visible-transactions.ts'
import { diskFullError } from './write-failure.ts'

export interface PartitionOptions {
  readonly environment: StorageEnvironment
  readonly topic: string
  readonly partition: number
  /** `<data-dir>/<topic>-<partition>`; it exists. */
  readonly directory: string
  readonly config: TopicConfig
  readonly isClean: boolean
  readonly recoveryPoint: number
  readonly logStartOffset: number
}

/** One partition: it alone knows that there is more than one segment. */
export class PartitionLog implements AppendTarget, ReadPartition {
  readonly topic: string
  readonly partition: number
  readonly name: string
  readonly directory: string
  /** What opening it found and did. */
  readonly report: MutableReport
  readonly appended: RecordCount = { records: 0, bytes: 0 }
  /** Deletions and replacements of its segments. */
  readonly changes: SegmentChanges
  /** Told when the high watermark or the log start has moved, or the partition was closed to writes. */
  onChange: (() => void) | undefined = undefined
  readonly #environment: StorageEnvironment
  readonly #segments: SegmentList
  readonly #producers: PartitionProducers
  readonly #tail: Tail
  readonly #reader: PageReader
  readonly #appender: Appender
  readonly #follower: TailFollower | undefined
  readonly #epochs: PartitionEpochs
  readonly #reads: SteadyReads
  readonly #roller: SegmentRoller
  /** Where the log ended when it was opened. */
  readonly #openedAt: number
  #config: TopicConfig
  #logStartOffset: number
  readonly #repairs: PartitionRepairs
  #closing: Promise<void> | undefined

  private constructor(options: PartitionOptions, recovered: RecoveredPartition) {
    const { environment, topic, partition, directory, config } = options
    this.topic = topic
    this.partition = partition
    this.name = `${topic}-${partition}`
    this.directory = directory
    this.report = recovered.report
    this.#environment = environment
    this.#config = config
    this.#segments = recovered.segments
    this.#producers = new PartitionProducers(this.name, directory, environment, recovered.producers)
    for (const each of recovered.aborted) this.visible.addAborted(each)
    this.#logStartOffset = recovered.logStartOffset
    this.#tail = new Tail(environment.cache, environment.chunks)
    this.#reader = new PageReader(this.name, this.#segments, this.#tail, environment)
    this.#reader.onIndexRebuilt = (file) => this.report.rebuilt.push(file)
    this.#reads = new SteadyReads(this, this.#reader, this.#segments)
    this.changes = new SegmentChanges(environment, directory, this.#segments, {
      removed: (segments) => {
        this.#tail.forget(segments)
        this.#reader.forget()
      },
      moveLogStart: (offset) => this.moveLogStart(offset),
      deleted: () => this.#epochs.moveStart(this.#logStartOffset),
      inDoubt: (error) => this.fail(error),
    })
    this.#openedAt = recovered.logEndOffset
    this.#appender = new Appender(this, environment, this.#tail, this.#producers, config, recovered)
    this.#epochs = recovered.epochs
    this.#repairs = new PartitionRepairs(this.report, recovered.repairs, (error) =>
      this.#refusal(error),
    )
    const hooks = {
      syncedUpTo: (offset: number) => this.#appender.syncedUpTo(offset),
      syncFailed: (error: unknown) => void this.#appender.fail(error),
    }
    this.#roller = new SegmentRoller(environment, directory, this.#segments, this.#producers, hooks)
    this.#follower = environment.readOnly
      ? new TailFollower({
          environment,
          directory,
          segments: this.#segments,
          logEndOffset: recovered.logEndOffset,
          transactions: new FollowedTransactions({
            states: recovered.producers,
            visible: this.visible,
            offset: Math.max(recovered.producersOffset, recovered.logEndOffset),
          }),
          removed: () => this.#reader.forget(),
        })
      : undefined
    if (recovered.failure !== undefined) this.#appender.fail(recovered.failure)
  }

  static async open(options: PartitionOptions): Promise<PartitionLog> {
    const { indexIntervalBytes } = options.config
    return new PartitionLog(options, await openPartition({ ...options, indexIntervalBytes }))
  }

  get logStartOffset(): number {
    return this.#logStartOffset
  }

  /** The next offset to be written. */
  get logEndOffset(): number {
    return this.#follower?.logEndOffset ?? this.#appender.offsets.logEndOffset
  }

  /** Where readers stop. In another process than the writer's: the log end. */
  get highWatermark(): number {
    return this.#follower?.logEndOffset ?? this.#appender.offsets.highWatermark
  }

  /** Everything below is on the disk. */
  get syncedOffset(): number {
    return this.#appender.offsets.syncedOffset
  }

  /** Why the partition takes no more writes; undefined while it does. */
  get failure(): LogError | undefined {
    return this.#appender.failure
  }

  get config(): TopicConfig {
    return this.#config
  }

  get active(): Segment {
    return this.#segments.active
  }

  get segments(): readonly Segment[] {
    return this.#segments.all
  }

  /** Its producers as of the log end offset. Not to be changed. */
  get producers(): ProducerStates {
    return this.#producers.states
  }

  get visible(): VisibleTransactions {
    return this.#producers.visible
  }

  /** Where the first transaction begins that the log says is undecided; undefined: none is. */
  get firstUnstableOffset(): number | undefined {
    return this.producers.firstUnstableOffset
  }

  /** Where read-committed readers stop: the high watermark, or the first transaction before it that they may not see yet. */
  get lastStableOffset(): number {
    const { highWatermark } = this
    const first = this.visible.firstUnstableOffset
    // Retention does not wait for transactions.
    return first === undefined
      ? highWatermark
      : Math.max(this.#logStartOffset, Math.min(highWatermark, first))
  }

  /** Below, all is decided and has its place in the files: what the cleaner may work on. */
  get settledOffset(): number {
    return Math.min(this.highWatermark, this.#producers.firstUnsettledOffset ?? this.highWatermark)
  }

  /** Forgets producers that have written nothing for `producerIdExpirationMs`. */
  expireProducers(): void {
    this.#producers.expire()
  }

  /** Told when the last stable offset has moved, after `visible.release` of all partitions that a transaction has touched. */
  stabilized(): void {
    this.onChange?.()
  }

  /** The leader epochs; beside a writer, whose file is looked at again, as far as the log end is known. */
  async epochs(): Promise<PartitionEpochs> {
    if (this.#follower !== undefined) await this.#epochs.refresh(this.#logStartOffset)
    return this.#epochs
  }

  configure(config: TopicConfig): void {
    this.#config = config
    this.#appender.configure(config)
  }

  /** Takes a call's records; tells the call how it went, once. */
  append(set: RecordSet, call: AppendCall): void {
    this.#appender.append(set, call)
  }

  /**
   * Reads from an offset within the log and below `request.end`.
   * Rejects with `OffsetOutOfRangeError` where the segment was deleted meanwhile.
   */
  read(request: PageRequest): Page | Promise<Page> {
    return this.#reads.read(request)
  }

  /** Batches whose records can be given one by one. */
  get known(): KnownBatches {
    return this.#reader.known
  }

  get codecs(): Codecs {
    return this.#environment.codecs
  }

  /** See `PageReader.keepRest`. */
  keepRest(page: Page, at: number): void {
    this.#reader.keepRest(page, at)
  }

  /** The first offset whose record has a timestamp >= `timestamp`, below the high watermark; undefined where there is none. */
  offsetForTime(timestamp: number): Promise<number | undefined> {
    const request = { timestamp, from: this.#logStartOffset, end: this.highWatermark }
    return this.#reads.offsetForTime(request, this.codecs)
  }

  /** Makes everything written so far durable; answers with the offset below which all is on the disk. */
  async flush(): Promise<number> {
    // What recovery kept and could not write again is not on the disk, though a sync of the file would succeed.
    const isOwed = !this.#repairs.isDone && this.syncedOffset < this.logEndOffset
    if (isOwed && this.failure === undefined) await this.prepare()
    // Of the offset where it is taken; what is written during the sync lies behind it.
    const snapshot = this.#producers.takeIfDue(this.active, this.#appender.offsets.logEndOffset)
    const synced = await this.#appender.sync()
    const { active } = this
    try {
      active.flushIndexes()
      if (snapshot !== undefined && snapshot.offset > active.baseOffset) {
        await this.#producers.save(snapshot, this.segments)
      }
    } catch (error) {
      // Without room both wait for the next time; the data is on the disk.
      if (!isDiskFull(error)) throw this.#appender.fail(error)
    }
    return synced
  }

  /** The log takes no more writes: a checkpoint or its metadata could not be kept. */
  fail(cause: unknown): void {
    this.#appender.fail(cause)
  }

  /** Resolves when nothing waits to be written. */
  written(): Promise<void> {
    return this.#appender.written()
  }

  /** For a reader in another process than the writer's: looks for what has come; tells whether anything has. */
  async poll(logStartOffset: number): Promise<boolean> {
    if (this.#follower === undefined) return false
    const hasGrown = await this.#follower.poll()
    const start = Math.max(logStartOffset, this.#segments.first.baseOffset)
    const moved = start > this.#logStartOffset
    if (hasGrown && !moved) this.onChange?.()
    this.moveLogStart(start)
    return moved || hasGrown
  }

  /** For readers: see `ReadPartition`. */
  async settled(): Promise<void> {
    await this.changes.idle()
    await this.poll(this.#logStartOffset)
  }

  // ---------------------------------------------------------------------------------- segments

  /** Rolls the active segment unless it is empty; answers with the base offset of the one that is active then. */
  rollNow(): Promise<number> {
    return this.#appender.exclusively(async () => {
      if (!this.isPrepared) await this.prepare()
      if (this.active.sizeBytes > 0) await this.roll(this.#appender.offsets.logEndOffset)
      return this.active.baseOffset
    })
  }

  /** For the appender; see `SegmentRoller.roll`. */
  async roll(baseOffset: number): Promise<void> {
    try {
      await this.#roller.roll(baseOffset, this.#config.indexIntervalBytes)
    } catch (error) {
      throw this.#refusal(error)
    }
  }

  /** Readers begin here from now on; the checkpoint that says so has been written. */
  moveLogStart(offset: number): void {
    if (offset <= this.#logStartOffset) return
    this.#logStartOffset = offset
    this.visible.forgetBelow(offset)
    this.onChange?.()
  }

  /** See `SegmentChanges.deleteBelow`. */
  deleteSegmentsBelow(offset: number): Promise<number> {
    return this.changes.deleteBelow(offset)
  }

  /** As `sizeBytes`, of the segments whose size was asked for before, or that were written here. */
  get knownBytes(): number {
    return this.#segments.knownBytes
  }

  /** Size of all segments in bytes. */
  sizeBytes(): Promise<number> {
    return this.#segments.measure()
  }

  /**
   * Waits for what is under way, then cuts and syncs every file. The caller writes the checkpoints and the clean marker
   * only if this resolves. Called again it answers the same.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    try {
      if (!this.#environment.readOnly) await this.#appender.close(() => this.#seal())
    } finally {
      await this.changes.close()
      await this.#follower?.close()
      this.#tail.clear()
      this.#reader.close()
      for (const segment of this.#segments.all) await segment.close()
    }
  }

  async #seal(): Promise<void> {
    if (!this.isPrepared) await this.prepare()
    try {
      await this.#roller.seal(this.#appender.offsets.logEndOffset)
    } catch (error) {
      throw this.#refusal(error)
    }
  }

  // ---------------------------------------------------------------------------------- appender

  /** Nothing has to be repaired before the next write. */
  get isPrepared(): boolean {
    return this.#repairs.isDone && this.#producers.isComplete
  }

  /** For the appender: does what a full disk kept from being done. */
  async prepare(): Promise<void> {
    if (!this.#repairs.isDone) {
      await this.#repairs.run()
      this.#appender.syncedUpTo(this.#openedAt)
    }
    try {
      this.#producers.complete()
    } catch (error) {
      throw this.#refusal(error)
    }
  }

  advanced(): void {
    this.onChange?.()
  }

  failed(error: Error): void {
    this.#environment.onPartitionFailure(this.topic, this.partition, error)
    this.onChange?.()
  }

  /** `DISK_FULL` where there is merely no room; after anything else the partition is closed to writes. */
  #refusal(error: unknown): LogError {
    if (error instanceof LogError && error.retryable) return error
    return isDiskFull(error) ? diskFullError(this.name, error) : this.#appender.fail(error)
  }
}
