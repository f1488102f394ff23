import type { BatchHeader } from '../codec/batch.ts'
import {
  attributesAt,
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  countAt,
  DELETE_HORIZON_BIT,
  lastOffsetAt,
  readBatchHeader,
} from '../codec/batch.ts'
import { BatchFormatError } from '../codec/batch-format-error.ts'
import { shiftedBytes } from '../codec/timestamp-shift.ts'
import type { AbortedTransaction } from '../storage/aborted-index.ts'
import { BatchCursor } from '../storage/batch-cursor.ts'
import type { Segment } from '../storage/segment.ts'
import { turnIsLongForBackground } from '../util/turn.ts'
import type { FilterRound } from './batch-filter.ts'
import { BatchFilter } from './batch-filter.ts'
import type { KeptRecords } from './batch-rewriter.ts'
import { emptyBatch, rewriteBatch } from './batch-rewriter.ts'
import type { CleanedWriter } from './cleaned-writer.ts'
import type { PassContext, RecordBytes } from './pass-context.ts'
import { recordBytes } from './pass-context.ts'
import type { RecordSieve } from './record-sieve.ts'

/** The largest position that an index entry can hold. */
const MAX_SEGMENT_BYTES = 2 ** 31 - 1
/** In the year 144,000: any timestamp can be told relative to it. */
const LATEST_HORIZON_MS = 2 ** 52

export interface GroupRound extends FilterRound {
  readonly deleteRetentionMs: number
}

/** What the cleaning of a group came to. */
export interface GroupCounts {
  /** Records, markers included. */
  read: number
  kept: number
}

/** The second phase of a pass, for one group: its segments are written anew, with what stays of them. */
export class GroupCleaner {
  readonly counts: GroupCounts = { read: 0, kept: 0 }
  /** Undefined as long as all that was met of the group stays as it is. */
  writer: CleanedWriter | undefined
  readonly #context: PassContext
  readonly #round: GroupRound
  readonly #group: readonly Segment[]
  readonly #filter: BatchFilter
  readonly #sieve: RecordSieve
  readonly #aborted: AbortedTransaction[] = []
  readonly #createWriter: () => Promise<CleanedWriter>
  /** Bytes of the group that are still to be read. */
  #bytesLeft = 0

  constructor(
    context: PassContext,
    round: GroupRound,
    group: readonly Segment[],
    sieve: RecordSieve,
    createWriter: () => Promise<CleanedWriter>,
  ) {
    this.#context = context
    this.#round = round
    this.#group = group
    this.#sieve = sieve
    this.#createWriter = createWriter
    this.#filter = new BatchFilter(round, (transaction) => this.#aborted.push(transaction))
  }

  /** The aborted transactions whose marker lies in the group, and of which batches are left. */
  get aborted(): readonly AbortedTransaction[] {
    return this.#aborted
  }

  /**
   * Goes through the group. Afterwards `writer` has what takes its place, all of it on the disk; a segment by itself of which all stays is
   * left as it is, without one. Rejects with a `DamageFoundError` at damage.
   */
  async clean(): Promise<void> {
    for (const segment of this.#group) this.#bytesLeft += await segment.measure()
    if (this.#group.length > 1) this.writer = await this.#createWriter()
    for (const segment of this.#group) await this.#cleanSegment(segment)
    await this.writer?.finish(this.#aborted)
  }

  async #cleanSegment(segment: Segment): Promise<void> {
    const { damage, pace, windowMemory } = this.#context
    const cursor = new BatchCursor(segment, 0, pace, windowMemory)
    for (;;) {
      const step = cursor.next()
      const isThere: boolean = typeof step === 'boolean' ? step : await step
      if (!isThere) break
      this.#bytesLeft -= cursor.size
      try {
        const taken = this.#take(cursor, segment)
        if (taken !== undefined) await taken
      } catch (error) {
        const isDamage = error instanceof BatchFormatError
        throw isDamage ? damage.foundBatch(segment, cursor.position, error) : error
      }
      if (turnIsLongForBackground()) await pace(0)
    }
    if (cursor.fault !== undefined) throw damage.found(segment, cursor.end)
  }

  #take(cursor: BatchCursor, segment: Segment): void | Promise<void> {
    const { buffer, at } = cursor
    this.counts.read += countAt(buffer, at)
    switch (this.#filter.judge(buffer, at)) {
      case 'kept':
        return this.#keep(cursor)
      case 'dropped':
        return this.writer === undefined ? this.#begin(cursor, segment) : undefined
      case 'emptied':
        return this.#empty(cursor, segment)
      case 'marked':
        return this.#mark(cursor, segment)
      default:
        return this.#siftNow(cursor, segment)
    }
  }

  #keep({ buffer, at, size }: BatchCursor): void | Promise<void> {
    this.counts.kept += countAt(buffer, at)
    return this.writer?.copy(buffer, at, size)
  }

  /** From here on the group is written anew: what was met so far stays as it was. */
  async #begin(cursor: BatchCursor, segment: Segment): Promise<void> {
    this.writer = await this.#createWriter()
    const end = await this.writer.copyFrom(segment, cursor.position)
    // They could be read before: a disk that reads otherwise the second time must not cost a batch.
    if (end < cursor.position) throw this.#context.damage.found(segment, end)
  }

  async #empty(cursor: BatchCursor, segment: Segment): Promise<void> {
    if (this.writer === undefined) await this.#begin(cursor, segment)
    const header = readBatchHeader(cursor.buffer, cursor.at)
    await this.writer?.put(header, emptyBatch(header))
  }

  /** A marker gets its delete horizon. */
  async #mark(cursor: BatchCursor, segment: Segment): Promise<void> {
    const bytes = await recordBytes(this.#context.codecs, cursor)
    const header = readBatchHeader(cursor.buffer, cursor.at)
    const { count, maxTimestamp } = header
    const records = bytes.page.subarray(bytes.start, bytes.end)
    if (!this.#mayGrow(cursor, records.length, count)) return await this.#keep(cursor)
    await this.#rewrite(cursor, segment, { records, count, maxTimestamp }, this.#newHorizon())
  }

  /** At once where the batch is neither compressed nor large, and all of it stays or goes. */
  #siftNow(cursor: BatchCursor, segment: Segment): void | Promise<void> {
    const bytes = recordBytes(this.#context.codecs, cursor)
    if (bytes instanceof Promise) return this.#siftLater(bytes, cursor, segment)
    this.#beginSieve(bytes, cursor)
    return this.#sieve.advance()
      ? this.#sifted(bytes, cursor, segment)
      : this.#siftRest(bytes, cursor, segment)
  }

  async #siftLater(
    reading: Promise<RecordBytes>,
    cursor: BatchCursor,
    segment: Segment,
  ): Promise<void> {
    const bytes = await reading
    this.#beginSieve(bytes, cursor)
    await this.#siftRest(bytes, cursor, segment)
  }

  /** A chunk of records takes some 0.1 ms: behind each it may give way. */
  async #siftRest(bytes: RecordBytes, cursor: BatchCursor, segment: Segment): Promise<void> {
    do await this.#context.pace(0)
    while (!this.#sieve.advance())
    await this.#sifted(bytes, cursor, segment)
  }

  #beginSieve({ page, start, end }: RecordBytes, { buffer, at }: BatchCursor): void {
    const baseOffset = baseOffsetAt(buffer, at)
    const range = {
      count: countAt(buffer, at),
      lastOffsetDelta: lastOffsetAt(buffer, at) - baseOffset,
    }
    const keepsTombstones = this.#filter.keepsTombstones(buffer, at)
    this.#sieve.begin(page, start, end, baseOffset, range, keepsTombstones)
  }

  #sifted(bytes: RecordBytes, cursor: BatchCursor, segment: Segment): void | Promise<void> {
    const { buffer, at } = cursor
    const { kept, removed, hasTombstone } = this.#sieve
    if (kept === 0) {
      if (this.#filter.mustLeaveHeader(buffer, at)) return this.#empty(cursor, segment)
      return this.writer === undefined ? this.#begin(cursor, segment) : undefined
    }
    const hasHorizon = (attributesAt(buffer, at) & DELETE_HORIZON_BIT) !== 0
    const recordsLength = bytes.end - bytes.start
    const isDue = hasTombstone && !hasHorizon && this.#mayGrow(cursor, recordsLength, kept)
    if (removed === 0 && !isDue) return this.#keep(cursor)
    const records =
      removed === 0 ? bytes.page.subarray(bytes.start, bytes.end) : this.#sieve.records
    const header = readBatchHeader(buffer, at)
    const maxTimestamp = header.isLogAppendTime
      ? header.maxTimestamp
      : header.baseTimestamp + this.#sieve.maxTimestampDelta
    const keptRecords = { records, count: kept, maxTimestamp }
    return this.#rewrite(cursor, segment, keptRecords, isDue ? this.#newHorizon() : undefined)
  }

  async #rewrite(
    cursor: BatchCursor,
    segment: Segment,
    kept: KeptRecords,
    horizon: number | undefined,
  ): Promise<void> {
    if (this.writer === undefined) await this.#begin(cursor, segment)
    const header: BatchHeader = readBatchHeader(cursor.buffer, cursor.at)
    this.counts.kept += kept.count
    await this.writer?.put(header, await rewriteBatch(header, kept, horizon, this.#context.codecs))
  }

  #newHorizon(): number {
    return Math.min(this.#round.nowMs + this.#round.deleteRetentionMs, LATEST_HORIZON_MS)
  }

  /** With a horizon a batch may get longer. Where positions would no longer fit an index it gets none, and its tombstones stay. */
  #mayGrow({ position }: BatchCursor, recordsLength: number, count: number): boolean {
    const written = this.writer?.segment.sizeBytes ?? position
    const grown = BATCH_HEADER_BYTES + shiftedBytes(recordsLength, count)
    return written + grown + this.#bytesLeft <= MAX_SEGMENT_BYTES
  }
}
