import path from 'node:path'
import type { ControlRecord } from '../codec/batch.ts'
import { readBatchHeader, readControlRecord } from '../codec/batch.ts'
import { BatchFormatError } from '../codec/batch-format-error.ts'
import { CorruptLogError } from '../errors.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { AbortedIndex, encodeAbortedTransactions } from './aborted-index.ts'
import { readFileIfThere, replaceUnsynced } from './checkpoint.ts'
import type { StorageEnvironment } from './environment.ts'
import { segmentFileName } from './file-names.ts'
import type { PartitionListing } from './partition-directory.ts'
import { ProducerStates } from './producer-state.ts'
import type { RecoverySteps } from './recovery-steps.ts'
import type { Segment } from './segment.ts'
import type { SegmentList } from './segment-list.ts'

/** The producer state of a partition, from its newest good snapshot and the batches behind that; and with it the aborted transactions. */
export class RecoveredProducers {
  readonly states: ProducerStates = new ProducerStates()
  readonly #environment: StorageEnvironment
  readonly #directory: string
  readonly #steps: RecoverySteps
  #offset = 0
  #aborted: AbortedTransaction[] = []
  #abortedFrom = 0

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
    const start = segments.first.baseOffset
    this.#offset = start
    this.states.clear()
    for (const offset of listing.snapshots.toReversed()) {
      if (offset > limit || offset < start) continue
      const segment = segments.find(offset)
      const mayHaveAborted = listing.indexes.txnindex.has(segment.baseOffset)
      if (mayHaveAborted && !(await this.#canGoOnFrom(segment, offset))) continue
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
  async #canGoOnFrom(segment: Segment, offset: number): Promise<boolean> {
    if (segment.baseOffset >= offset) return true
    return (await this.#readAborted(segment)) !== undefined
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
    const marker = header.isControl ? controlRecordAt(buffer, at) : undefined
    const aborted = this.states.update(header, marker)
    if (aborted !== undefined) this.#aborted.push(aborted)
    this.#offset = header.lastOffset + 1
  }

  /** The segment has been walked: its `.txnindex` gets what the walk found, behind what was known from before it. */
  async end(segment: Segment): Promise<void> {
    const stored = await this.#readAborted(segment)
    const known = stored?.filter((each) => each.lastOffset < this.#abortedFrom) ?? []
    const all = [...known, ...this.#aborted]
    if (stored !== undefined && areEqual(stored, all)) return
    const index = this.#abortedIndexOf(segment)
    this.#steps.report.rebuilt.push(index.path)
    await this.#steps.attempt(index.path, () => index.replace(all))
  }

  /** Writes the state as of an offset; answers whether it could. As of offset 0 there is none, and Kafka writes no file. The name is the caller's to sync. */
  async saveSnapshot(offset: number): Promise<boolean> {
    if (offset === 0) return true
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
    try {
      return await this.#abortedIndexOf(segment).read()
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

/** Below the recovery point no CRC vouches for a marker: one that cannot be read is none. */
function controlRecordAt(buffer: Buffer, at: number): ControlRecord | undefined {
  try {
    return readControlRecord(buffer, at)
  } catch (error) {
    if (error instanceof BatchFormatError || error instanceof RangeError) return undefined
    throw error
  }
}

function areEqual(a: readonly AbortedTransaction[], b: readonly AbortedTransaction[]): boolean {
  return encodeAbortedTransactions(a).equals(encodeAbortedTransactions(b))
}
