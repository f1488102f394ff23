import path from 'node:path'
import { readBatchHeader } from '../codec/batch.ts'
import { CorruptLogError } from '../errors.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import {
  AbortedIndex,
  decodeAbortedTransactions,
  encodeAbortedTransactions,
} from './aborted-index.ts'
import { readFileIfThere, replaceUnsynced } from './checkpoint.ts'
import type { StorageEnvironment } from './environment.ts'
import { segmentFileName } from './file-names.ts'
import type { PartitionListing } from './partition-directory.ts'
import { ProducerStates } from './producer-state.ts'
import { indexStart } from './recovery-start.ts'
import type { RecoverySteps } from './recovery-steps.ts'
import type { Segment } from './segment.ts'
import { SegmentGoneError } from './segment-gone.ts'
import type { SegmentList } from './segment-list.ts'
import type { BatchVisitor } from './segment-scan.ts'
import { controlRecordAt, walkAborted, walkSegment } from './transaction-walk.ts'

/** The producer state of a partition, from its newest good snapshot and the batches behind that; and with it the aborted transactions. */
export class RecoveredProducers {
  readonly states: ProducerStates = new ProducerStates()
  readonly #environment: StorageEnvironment
  readonly #directory: string
  readonly #steps: RecoverySteps
  #offset = 0
  #aborted: AbortedTransaction[] = []
  #abortedFrom = 0
  /** What the `.txnindex` of each segment is known to hold; undefined: it is damaged. */
  readonly #stored = new Map<Segment, AbortedTransaction[] | undefined>()
  /** The files hold what they should. */
  #areStored = true

  constructor(environment: StorageEnvironment, directory: string, steps: RecoverySteps) {
    this.#environment = environment
    this.#directory = directory
    this.#steps = steps
  }

  /** Batches below are counted. */
  get offset(): number {
    return this.#offset
  }

  /** Loads the newest snapshot, at most as of `limit`, that the data can go on from; a damaged one gives way to the one before it. */
  async load(listing: PartitionListing, segments: SegmentList, limit: number): Promise<void> {
    if (this.#stored.size === 0) await this.#readStored(listing, segments)
    const start = segments.first.baseOffset
    this.#offset = start
    this.states.clear()
    for (const offset of listing.snapshots.toReversed()) {
      if (offset > limit || offset < start) continue
      if (!this.#canGoOnFrom(segments.find(offset), offset)) continue
      if (await this.#loadSnapshot(offset)) return
    }
  }

  async #loadSnapshot(offset: number): Promise<boolean> {
    const { fileSystem, clock, producerIdExpirationMs } = this.#environment
    const file = this.#snapshotName(offset)
    const bytes = await readFileIfThere(fileSystem, file)
    if (bytes === undefined) return false
    try {
      this.states.load(bytes, clock.now(), producerIdExpirationMs, file)
    } catch (error) {
      if (!(error instanceof CorruptLogError)) throw error
      this.#steps.report.rebuilt.push(file)
      return false
    }
    this.#offset = offset
    return true
  }

  /** Behind a snapshot from the middle of a segment, the aborted transactions of its first part are known from their file alone. */
  #canGoOnFrom(segment: Segment, offset: number): boolean {
    return segment.baseOffset >= offset || this.#stored.get(segment) !== undefined
  }

  /** A segment is walked from now on. */
  begin(): void {
    this.#aborted = []
    this.#abortedFrom = this.#offset
  }

  /** Takes the next batch of the log. */
  count(buffer: Buffer, at: number): void {
    const header = readBatchHeader(buffer, at)
    if (header.producerId < 0 || header.baseOffset < this.#offset) return
    // Below the recovery point no CRC vouches for a marker.
    const marker = header.isControl ? controlRecordAt(buffer, at) : undefined
    const aborted = this.states.update(header, marker)
    if (aborted !== undefined) this.#aborted.push(aborted)
    this.#offset = header.lastOffset + 1
  }

  /** The state goes on with the batches behind it. */
  async replay(
    segments: SegmentList,
    logEndOffset: number,
    place: 'disk' | 'anywhere',
  ): Promise<void> {
    for (const segment of segments.all) {
      const next = segments.after(segment)?.baseOffset ?? logEndOffset
      if (next <= this.#offset) continue
      const { position } = await indexStart(segment, this.#offset)
      const count: BatchVisitor = (buffer, at) => this.count(buffer, at)
      this.begin()
      await walkSegment(segment, position, count, Number.POSITIVE_INFINITY)
      await this.end(segment, place)
    }
  }

  /** Whether a batch is a marker that ends no transaction of those counted. */
  endsNothing(buffer: Buffer, at: number): boolean {
    const { isControl, producerId } = readBatchHeader(buffer, at)
    return isControl && this.states.get(producerId)?.currentTxnFirstOffset === undefined
  }

  /**
   * The segment has been walked: its `.txnindex` gets what the walk found, behind what was known from before it. Where nobody says that it is on the
   * `disk`, it is written again as it is: a snapshot that lies behind it is to be.
   */
  async end(segment: Segment, place: 'disk' | 'anywhere'): Promise<void> {
    const stored = this.#stored.get(segment)
    const known = stored?.filter((each) => each.lastOffset < this.#abortedFrom) ?? []
    const all = [...known, ...this.#aborted]
    await this.#become(segment, all, place === 'anywhere' && this.#aborted.length > 0)
  }

  /**
   * All aborted transactions whose markers are there, in the order of the log. Where a file of them is damaged, they are taken from the batches, of
   * all segments: who hides what was aborted must know all of it.
   */
  async aborted(segments: SegmentList): Promise<AbortedTransaction[]> {
    const isDamaged = segments.all.some((segment) => this.#stored.get(segment) === undefined)
    if (isDamaged) {
      for (const [segment, found] of await walkAborted(segments.all)) {
        await this.#become(segment, found)
      }
    }
    return segments.all.flatMap((segment) => this.#stored.get(segment) ?? [])
  }

  /** Who only reads knows it, and writes nothing. */
  async #become(
    segment: Segment,
    all: AbortedTransaction[],
    isWrittenAgain = false,
  ): Promise<void> {
    const stored = this.#stored.get(segment)
    this.#stored.set(segment, all)
    const isRight = stored !== undefined && areEqual(stored, all)
    if (this.#environment.readOnly || (isRight && !isWrittenAgain)) return
    const index = this.#abortedIndexOf(segment)
    if (!isRight) this.#steps.report.rebuilt.push(index.path)
    const isDone = await this.#steps.attempt(index.path, () => index.replace(all))
    if (!isDone) this.#areStored = false
  }

  /**
   * Before any data is read: beside a writer, which compacts, what is known of aborted transactions is then never newer than the data. A file that
   * was there and is not any more has been replaced: the look is made again.
   */
  async #readStored({ indexes }: PartitionListing, segments: SegmentList): Promise<void> {
    for (const segment of segments.all) {
      const isThere = indexes.txnindex.has(segment.baseOffset) || segment.suffix !== ''
      this.#stored.set(segment, isThere ? await this.#readAborted(segment) : [])
    }
  }

  /** Writes the state as of an offset; answers whether it could. As of offset 0 there is none, and Kafka writes no file. The name is the caller's to sync. */
  async saveSnapshot(offset: number): Promise<boolean> {
    if (offset === 0) return true
    // It would lie behind entries that are not there.
    if (!this.#areStored) return false
    const { fileSystem } = this.#environment
    const file = this.#snapshotName(offset)
    const bytes = this.states.snapshot()
    return this.#steps.attempt(file, () => replaceUnsynced(fileSystem, file, bytes))
  }

  /** Removes the snapshots that are neither as of the beginning of a segment nor of the end: some may be of data that is gone. */
  async dropSnapshots(segments: SegmentList, logEndOffset: number): Promise<void> {
    const { fileSystem } = this.#environment
    const kept = new Set(segments.all.map((each) => this.#snapshotName(each.baseOffset)))
    kept.add(this.#snapshotName(logEndOffset))
    for (const name of await fileSystem.readdir(this.#directory)) {
      const file = path.join(this.#directory, name)
      if (!name.endsWith('.snapshot') || kept.has(file)) continue
      await this.#steps.attempt(`${file}, to be removed`, () => fileSystem.unlink(file))
    }
  }

  /** Undefined where the file is damaged. */
  async #readAborted(segment: Segment): Promise<AbortedTransaction[] | undefined> {
    const file = segment.pathOf('txnindex')
    const bytes = await readFileIfThere(this.#environment.fileSystem, file)
    if (bytes === undefined) {
      if (this.#environment.readOnly && segment.suffix === '') throw new SegmentGoneError(file)
      return []
    }
    try {
      return decodeAbortedTransactions(bytes, file)
    } catch (error) {
      if (error instanceof CorruptLogError) return undefined
      throw error
    }
  }

  #abortedIndexOf(segment: Segment): AbortedIndex {
    return new AbortedIndex(this.#environment.fileSystem, segment.pathOf('txnindex'))
  }

  #snapshotName(offset: number): string {
    return path.join(this.#directory, segmentFileName(offset, 'snapshot'))
  }
}

function areEqual(a: readonly AbortedTransaction[], b: readonly AbortedTransaction[]): boolean {
  return encodeAbortedTransactions(a).equals(encodeAbortedTransactions(b))
}
