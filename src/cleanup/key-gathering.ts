import {
  attributesAt,
  baseOffsetAt,
  CONTROL_BIT,
  countAt,
  lastOffsetAt,
  producerIdAt,
  readControlRecord,
  TRANSACTIONAL_BIT,
} from '../codec/batch.ts'
import { BatchFormatError } from '../codec/batch-format-error.ts'
import { BatchCursor } from '../storage/batch-cursor.ts'
import { seek } from '../storage/index-rebuild.ts'
import type { Segment } from '../storage/segment.ts'
import { turnIsLongForBackground } from '../util/turn.ts'
import type { CleanedTransactions } from './cleaned-transactions.ts'
import type { KeyMap } from './key-map.ts'
import type { PassContext, RecordBytes } from './pass-context.ts'
import { recordBytes } from './pass-context.ts'
import { CHUNK_RECORDS, RecordChunk, RecordReader } from './record-chunk.ts'

export interface DirtySegment {
  readonly segment: Segment
  readonly nextOffset: number
}

/** The first phase of a pass: the keys of the dirty part of a log go into the map, as far as there is room for them. */
export class KeyGathering {
  /** All up to here is in the map. */
  latestOffset: number
  readonly #context: PassContext
  readonly #keys: KeyMap
  readonly #transactions: CleanedTransactions
  readonly #firstDirtyOffset: number
  readonly #reader = new RecordReader()
  readonly #chunk = new RecordChunk()

  /** @param transactions those that end at the first dirty offset or behind it. */
  constructor(
    context: PassContext,
    keys: KeyMap,
    transactions: CleanedTransactions,
    firstDirtyOffset: number,
  ) {
    this.#context = context
    this.#keys = keys
    this.#transactions = transactions
    this.#firstDirtyOffset = firstDirtyOffset
    this.latestOffset = firstDirtyOffset - 1
  }

  /**
   * Takes the segments that hold the first dirty offset and those behind it, in their order; answers whether the map is full. Damage is
   * passed, and noted. Rejects with a `DamageFoundError` where some of a batch was taken that then could not be read.
   */
  async take(segments: readonly DirtySegment[]): Promise<boolean> {
    for (const { segment, nextOffset } of segments) {
      const isFull = await this.#takeSegment(segment)
      if (isFull) return true
      // Behind its last batch compaction has left a gap.
      this.latestOffset = nextOffset - 1
    }
    return false
  }

  async #takeSegment(segment: Segment): Promise<boolean> {
    const { damage, pace, windowMemory } = this.#context
    const position = await seek(segment, this.#firstDirtyOffset)
    const cursor = new BatchCursor(segment, position, pace, windowMemory)
    for (;;) {
      const step = cursor.next()
      let isThere: boolean = typeof step === 'boolean' ? step : await step
      while (!isThere && cursor.fault !== undefined) {
        damage.add(segment)
        isThere = await cursor.skip()
      }
      if (!isThere) return false
      const taken = this.#takeBatch(cursor, segment)
      const isFull: boolean = typeof taken === 'boolean' ? taken : await taken
      if (isFull) return true
      this.latestOffset = Math.max(this.latestOffset, lastOffsetAt(cursor.buffer, cursor.at))
      if (turnIsLongForBackground()) await pace(0)
    }
  }

  /** Answers whether the map is full. */
  #takeBatch(cursor: BatchCursor, segment: Segment): boolean | Promise<boolean> {
    const { buffer, at, position } = cursor
    if (lastOffsetAt(buffer, at) < this.#firstDirtyOffset) return false
    if (this.#context.damage.hasBatch(segment, position)) return false
    try {
      if (!this.#hasKeys(buffer, at)) return false
      const bytes = recordBytes(this.#context.codecs, cursor)
      if (!(bytes instanceof Promise)) {
        const isFull = this.#begin(bytes, cursor)
        if (isFull !== undefined) return isFull
      }
      return this.#takeSlowly(bytes, cursor, segment)
    } catch (error) {
      throw this.#found(error, cursor, segment)
    }
  }

  /** Markers have none that matters, nor has what was aborted. */
  #hasKeys(buffer: Buffer, at: number): boolean {
    const attributes = attributesAt(buffer, at)
    const producerId = producerIdAt(buffer, at)
    const lastOffset = lastOffsetAt(buffer, at)
    if ((attributes & CONTROL_BIT) !== 0) {
      const type = readControlRecord(buffer, at)?.type
      this.#transactions.marker(producerId, lastOffset, type, () => {})
      return false
    }
    const isTransactional = (attributes & TRANSACTIONAL_BIT) !== 0
    const isAborted = this.#transactions.data(producerId, lastOffset, isTransactional)
    return !isAborted && countAt(buffer, at) > 0
  }

  /** What was compressed, or is so much that the event loop gets its turn in between. */
  async #takeSlowly(
    bytes: RecordBytes | Promise<RecordBytes>,
    cursor: BatchCursor,
    segment: Segment,
  ): Promise<boolean> {
    try {
      const baseOffset = baseOffsetAt(cursor.buffer, cursor.at)
      const isCompressed = bytes instanceof Promise
      const { page, start, end } = await bytes
      await this.#context.pace(0)
      let isFull = isCompressed ? this.#begin({ page, start, end }, cursor) : undefined
      while (isFull === undefined) {
        await this.#context.pace(0)
        isFull = this.#takeChunk(page, baseOffset)
      }
      return isFull
    } catch (error) {
      throw this.#found(error, cursor, segment)
    }
  }

  /** The first chunk of a batch; undefined where there are more. */
  #begin({ page, start, end }: RecordBytes, { buffer, at }: BatchCursor): boolean | undefined {
    const baseOffset = baseOffsetAt(buffer, at)
    const lastOffsetDelta = lastOffsetAt(buffer, at) - baseOffset
    this.#reader.begin(page, start, end, { count: countAt(buffer, at), lastOffsetDelta })
    return this.#takeChunk(page, baseOffset)
  }

  /** The next chunk, in some 0.1 ms; undefined where there are more, else whether the map is full. */
  #takeChunk(page: Buffer, baseOffset: number): boolean | undefined {
    const chunk = this.#chunk
    this.#reader.read(chunk)
    const { count, offsetDeltas } = chunk
    const taken = this.#keys.put(page, chunk, baseOffset, this.#firstDirtyOffset)
    if (taken < count) {
      const offset = baseOffset + (offsetDeltas[taken] as number)
      this.latestOffset = Math.max(this.latestOffset, offset - 1)
      return true
    }
    return count < CHUNK_RECORDS ? false : undefined
  }

  #found(error: unknown, { position }: BatchCursor, segment: Segment): unknown {
    if (!(error instanceof BatchFormatError)) return error
    return this.#context.damage.foundBatch(segment, position, error)
  }
}
