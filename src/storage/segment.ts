import path from 'node:path'
import { BATCH_HEADER_BYTES, checkBatchHeader, maxTimestampAt } from '../codec/batch.ts'
import { longestSegmentMs } from '../options.ts'
import type { TopicConfig } from '../types.ts'
import type { StorageEnvironment } from './environment.ts'
import { DataFile } from './file-cache.ts'
import type { CLEANED_SUFFIX, SegmentFileKind, SWAP_SUFFIX } from './file-names.ts'
import { segmentFileName } from './file-names.ts'
import type { IndexEntrySink, IndexedBatch } from './index-builder.ts'
import { IndexBuilder } from './index-builder.ts'
import { readIndexEnd } from './index-end.ts'
import type { IndexEnd } from './index-file.ts'
import { OffsetIndex } from './offset-index.ts'
import { SegmentGoneError } from './segment-gone.ts'
import { asSyncError, syncNames } from './sync-error.ts'
import { TimeIndex } from './time-index.ts'

/** The largest relative offset and position that an index entry can hold. */
const INT32_MAX = 2 ** 31 - 1

/** What a segment's files have behind their names while compaction makes them. */
export type SegmentSuffix = '' | typeof CLEANED_SUFFIX | typeof SWAP_SUFFIX

export interface SegmentName {
  readonly directory: string
  readonly baseOffset: number
  /** Default: none. */
  readonly suffix?: SegmentSuffix
}

/**
 * One `.log` with its indexes. It alone keeps the two in step: data first, then the index, and an index never claims
 * what the data does not have. Indexes of a segment that is only read are opened when first asked for.
 */
export class Segment implements IndexEntrySink {
  readonly baseOffset: number
  /** Its offsets are below: from here on they are the next segment's, or do not fit into an index entry. */
  offsetLimit: number
  readonly file: DataFile
  /** [verifiedFrom, verifiedTo) of the file has passed its CRCs in this process. */
  verifiedFrom = 0
  verifiedTo = 0
  /** Its indexes were built from the data in this process. */
  wereIndexesRebuilt = false
  /** Bytes between two entries, also where the indexes are built again. Default Kafka's. */
  indexIntervalBytes = 4096
  /** Its last time entry was compared with the data. */
  isTimeIndexChecked = false
  /** Where regions of zeros begin that recovery found to be lost, unsynced writes; readers pass them. */
  readonly lostRegions: Set<number> = new Set()
  readonly suffix: SegmentSuffix
  readonly #environment: StorageEnvironment
  readonly #directory: string
  readonly #createdMs: number
  #sizeBytes: number | undefined
  #offsetIndex: OffsetIndex | undefined
  #timeIndex: TimeIndex | undefined
  #builder: IndexBuilder | undefined
  #firstTimestamp: number | undefined
  #isChanged = false
  /** Of index files, under way. */
  #saving: Promise<void> = Promise.resolve()

  private constructor(
    environment: StorageEnvironment,
    { directory, baseOffset, suffix = '' }: SegmentName,
    file: DataFile,
  ) {
    this.#environment = environment
    this.#directory = directory
    this.baseOffset = baseOffset
    this.offsetLimit = baseOffset + INT32_MAX + 1
    this.suffix = suffix
    this.file = file
    this.#createdMs = environment.clock.now()
  }

  static existing(environment: StorageEnvironment, name: SegmentName): Segment {
    const file = DataFile.existing(environment.files, pathOf(name, 'log'), environment.readOnly)
    return new Segment(environment, name, file)
  }

  /** Makes a new, empty segment; its name is not durable before `syncName`. */
  static async create(environment: StorageEnvironment, name: SegmentName): Promise<Segment> {
    while (!environment.files.hasRoom()) await environment.files.makeRoom()
    const file = DataFile.create(environment.files, pathOf(name, 'log'))
    const segment = new Segment(environment, name, file)
    segment.#sizeBytes = 0
    segment.#isChanged = true
    return segment
  }

  /** Makes the file of a segment that has none yet, durably. */
  async make(): Promise<void> {
    const { fileSystem } = this.#environment
    fileSystem.openSync(this.file.path, 'create').closeSync()
    await this.syncName()
    this.#isChanged = true
  }

  /**
   * Makes the name of a new, empty segment durable. Where that fails it is removed: who opened the log next would see a name
   * that a later sync does not bring to the disk, and write behind it.
   */
  async syncName(): Promise<void> {
    try {
      await syncNames(this.#environment.fileSystem, this.#directory)
    } catch (error) {
      await this.file.close()
      await this.#environment.fileSystem.unlink(this.file.path).catch(() => {})
      throw error
    }
  }

  /** For `SegmentList`. */
  limitOffsets(nextBaseOffset: number | undefined): void {
    this.offsetLimit = nextBaseOffset ?? this.baseOffset + INT32_MAX + 1
  }

  pathOf(kind: SegmentFileKind): string {
    const { baseOffset, suffix } = this
    return pathOf({ directory: this.#directory, baseOffset, suffix }, kind)
  }

  /** Size of the .log in bytes; the file must be ready where it is not known yet. */
  get sizeBytes(): number {
    this.#sizeBytes ??= this.file.sizeSync()
    return this.#sizeBytes
  }

  /** As far as it is known without asking the file. */
  get knownBytes(): number {
    return this.#sizeBytes ?? 0
  }

  /** The size is known to be this from now on: after a recovery, or as a reader in another process sees it. */
  set sizeBytes(bytes: number) {
    this.#sizeBytes = bytes
  }

  /** As `sizeBytes`, whether the file is ready or not. */
  async measure(): Promise<number> {
    while (this.#sizeBytes === undefined && !this.file.isReady()) await this.file.ready()
    return this.sizeBytes
  }

  get offsetIndex(): OffsetIndex {
    this.#offsetIndex ??= this.#openOffsetIndex(undefined)
    return this.#offsetIndex
  }

  get timeIndex(): TimeIndex {
    this.#timeIndex ??= this.#openTimeIndex(undefined)
    return this.#timeIndex
  }

  /** For recovery: the indexes go on behind so many entries of their files. */
  resumeIndexes(offsetEntries: number, timeEntries: number): void {
    this.#offsetIndex?.file.dispose()
    this.#timeIndex?.file.dispose()
    this.#offsetIndex = this.#openOffsetIndex(offsetEntries)
    this.#timeIndex = this.#openTimeIndex(timeEntries)
    this.#builder = undefined
    this.#isChanged = true
  }

  /** For a rebuild: the indexes have no entries, and replace their files when they are next synced. */
  resetIndexes(): void {
    this.offsetIndex.file.reset()
    this.timeIndex.file.reset()
    this.#builder = undefined
    this.#isChanged = true
  }

  /** For a rebuild: pairs of absolute offset and position, and of timestamp and absolute offset. */
  replaceIndexes(offsets: readonly number[], times: readonly number[]): void {
    const builder = this.#builder
    this.resetIndexes()
    for (let i = 0; i < offsets.length; i += 2) {
      this.offsetEntry(offsets[i] as number, offsets[i + 1] as number)
    }
    for (let i = 0; i < times.length; i += 2) {
      this.timeEntry(times[i] as number, times[i + 1] as number)
    }
    this.#builder = builder
    this.wereIndexesRebuilt = true
  }

  /** From here on `indexed` adds entries, as often as the topic's interval says. */
  startIndexing(indexIntervalBytes: number): void {
    this.indexIntervalBytes = indexIntervalBytes
    this.#builder = new IndexBuilder(indexIntervalBytes, this)
    const { lastTimestamp, lastRelativeOffset } = this.timeIndex
    if (this.timeIndex.count > 0) {
      this.#builder.resume(lastTimestamp, this.baseOffset + lastRelativeOffset)
    }
  }

  /** A batch stands in the .log. */
  indexed(batch: IndexedBatch): void {
    this.#builder?.batch(batch)
  }

  /** A batch was appended. */
  appended(batch: IndexedBatch): void {
    this.#isChanged = true
    this.#sizeBytes = batch.position + batch.sizeBytes
    this.#firstTimestamp ??= batch.position === 0 ? batch.maxTimestamp : undefined
    this.indexed(batch)
  }

  /** For the index builder. */
  offsetEntry(offset: number, position: number): void {
    this.offsetIndex.append(offset - this.baseOffset, position)
  }

  /** For the index builder. */
  timeEntry(timestamp: number, offset: number): void {
    this.timeIndex.maybeAppend(timestamp, offset - this.baseOffset)
  }

  /** The greatest timestamp of its batches so far; -1 where there is none. Only of a segment that is appended to. */
  get maxTimestamp(): number {
    return this.#builder?.maxTimestampSoFar ?? this.timeIndex.lastTimestamp
  }

  /** Whether it has to be rolled before a batch; the file must be ready. */
  isFullFor(
    sizeBytes: number,
    lastOffset: number,
    maxTimestamp: number,
    config: TopicConfig,
  ): boolean {
    const { segmentBytes, segmentIndexBytes } = config
    if (lastOffset - this.baseOffset > INT32_MAX) return true
    if (this.sizeBytes === 0) return false
    if (this.sizeBytes + sizeBytes > Math.min(segmentBytes, INT32_MAX)) return true
    if (this.offsetIndex.isFull(segmentIndexBytes) || this.timeIndex.isFull(segmentIndexBytes))
      return true
    const first = this.firstTimestamp
    const spanMs =
      first >= 0 ? maxTimestamp - first : this.#environment.clock.now() - this.#createdMs
    return spanMs > longestSegmentMs(config)
  }

  /** Batches that can be appended before an index is full; at least 1 where `isFullFor` is false. */
  indexRoom({ segmentIndexBytes }: TopicConfig): number {
    const offsets = Math.floor(segmentIndexBytes / OffsetIndex.entryBytes) - this.offsetIndex.count
    const times = Math.floor(segmentIndexBytes / TimeIndex.entryBytes) - 1 - this.timeIndex.count
    return Math.max(1, Math.min(offsets, times))
  }

  /** Where to look for an offset: the start of a batch at or before it, if the index is right. */
  positionFor(offset: number): number {
    const entry = this.offsetIndex.lookup(offset - this.baseOffset)
    return entry < 0 ? 0 : this.offsetIndex.positionAt(entry)
  }

  /** Writes index entries that are only in memory; not synced, since an index is rebuilt in doubt. */
  flushIndexes(): void {
    this.#offsetIndex?.file.flushSync()
    this.#timeIndex?.file.flushSync()
  }

  /** Cuts both indexes to their entries and syncs them; not once it begins to be retired. Where it throws, they hold in memory. */
  saveIndexes(): Promise<void> {
    const save = this.#inPassing(async () => {
      this.#refuseRetired()
      await this.offsetIndex.file.sync()
      await this.timeIndex.file.sync()
    })
    this.#saving = save.catch(ignore)
    return save
  }

  /** At the end of a recovery that appends go on after: the last time entry, and the index files cut to their entries. */
  async settle(): Promise<void> {
    await this.file.sync()
    if (this.sizeBytes > 0) this.#builder?.close()
    await this.#inPassing(async () => {
      await this.offsetIndex.file.cut()
      await this.timeIndex.file.cut()
    })
  }

  async #inPassing(work: () => Promise<void>): Promise<void> {
    try {
      await this.#environment.files.inPassing.run(work)
    } catch (error) {
      throw asSyncError(error)
    }
  }

  /** At a roll and at a close: the last time entry, then everything cut to its size and synced. */
  async seal(): Promise<void> {
    await this.file.sync()
    if (!this.#isChanged) return
    if (this.sizeBytes > 0) this.#builder?.close()
    await this.saveIndexes()
    this.#isChanged = false
  }

  /** Marks a range as checked; only one range is remembered, the one that grows. */
  verified(from: number, to: number): void {
    if (from > this.verifiedTo || to < this.verifiedFrom) {
      if (to - from < this.verifiedTo - this.verifiedFrom) return
      this.verifiedFrom = from
      this.verifiedTo = to
    } else {
      this.verifiedFrom = Math.min(from, this.verifiedFrom)
      this.verifiedTo = Math.max(to, this.verifiedTo)
    }
  }

  isVerified(from: number, to: number): boolean {
    return from >= this.verifiedFrom && to <= this.verifiedTo
  }

  /** Gives its handle and memory back. */
  async close(): Promise<void> {
    await this.file.close()
    this.#offsetIndex?.file.dispose()
    this.#timeIndex?.file.dispose()
    this.#offsetIndex = undefined
    this.#timeIndex = undefined
  }

  /**
   * As `close`, for good: its files are replaced or removed next, and nobody is to open or write them any more. What is asked of it
   * from now on and is not known yet throws a `SegmentGoneError`.
   */
  async retire(): Promise<void> {
    const retired = this.file.retire()
    await this.#saving
    await retired
    this.#offsetIndex?.file.retire()
    this.#timeIndex?.file.retire()
    this.#offsetIndex = undefined
    this.#timeIndex = undefined
  }

  /** See `retire`. */
  get isRetired(): boolean {
    return this.file.isRetired
  }

  /** The greatest timestamp of its first batch; -1 where it has none. The file must be ready. */
  get firstTimestamp(): number {
    if (this.#firstTimestamp === undefined) {
      const header = Buffer.allocUnsafe(BATCH_HEADER_BYTES)
      const read = this.file.readSync(header, 0, BATCH_HEADER_BYTES, 0)
      const isSound =
        read === BATCH_HEADER_BYTES && checkBatchHeader(header, 0, this.sizeBytes) === undefined
      this.#firstTimestamp = isSound ? maxTimestampAt(header, 0) : -1
    }
    return this.#firstTimestamp
  }

  #openOffsetIndex(entries: number | undefined): OffsetIndex {
    this.#refuseRetired()
    const { fileSystem, cache } = this.#environment
    const name = this.pathOf('index')
    if (entries !== undefined) return new OffsetIndex(fileSystem, name, cache, entries)
    const sane = (bytes: Buffer): number => OffsetIndex.saneEntries(bytes, this.sizeBytes)
    const end = readIndexEnd(fileSystem, name, OffsetIndex.entryBytes, sane)
    return this.#opened(new OffsetIndex(fileSystem, name, cache, end.count), end)
  }

  #openTimeIndex(entries: number | undefined): TimeIndex {
    this.#refuseRetired()
    const { fileSystem, cache } = this.#environment
    const name = this.pathOf('timeindex')
    if (entries !== undefined) return new TimeIndex(fileSystem, name, cache, entries)
    const end = readIndexEnd(fileSystem, name, TimeIndex.entryBytes, TimeIndex.saneEntries)
    return this.#opened(new TimeIndex(fileSystem, name, cache, end.count), end)
  }

  /** Beside a writer: an index that was replaced says that the .log was. */
  #opened<T extends OffsetIndex | TimeIndex>(index: T, end: IndexEnd): T {
    index.file.foundEnd(end)
    if (this.#environment.readOnly) index.file.onReplaced = () => this.file.replaced()
    return index
  }

  #refuseRetired(): void {
    if (this.isRetired) throw new SegmentGoneError(this.file.path)
  }
}

function pathOf(
  { directory, baseOffset, suffix = '' }: SegmentName,
  kind: SegmentFileKind,
): string {
  return path.join(directory, `${segmentFileName(baseOffset, kind)}${suffix}`)
}

function ignore(): void {}
