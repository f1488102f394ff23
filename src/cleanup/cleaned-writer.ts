import type { BatchHeader } from '../codec/batch.ts'
import { BATCH_HEADER_BYTES, writeBatchHeader } from '../codec/batch.ts'
import type { AbortedTransaction } from '../storage/aborted-index.ts'
import { AbortedIndex } from '../storage/aborted-index.ts'
import type { ReadPace } from '../storage/batch-cursor.ts'
import { BatchCursor } from '../storage/batch-cursor.ts'
import { indexedBatchAt } from '../storage/index-builder.ts'
import { ReusedMemory } from '../storage/reused-memory.ts'
import type { Segment } from '../storage/segment.ts'
import type { FileSystem } from '../types.ts'
import type { RewrittenBatch } from './batch-rewriter.ts'
import { sizeOf } from './batch-rewriter.ts'

/** As much is written at once. */
const BUFFER_BYTES = 1024 * 1024

/** Writes the batches that stay into the segment that takes the place of theirs, with its indexes. */
export class CleanedWriter {
  readonly segment: Segment
  readonly #fileSystem: FileSystem
  readonly #pace: ReadPace
  readonly #memory: ReusedMemory
  #buffer: Buffer
  #filled = 0
  /** Of the buffer's first byte, in the .log. */
  #position = 0

  /**
   * @param segment new and empty; its indexing has begun.
   * @param memory for what is written at once, by this writer and by those before it.
   */
  constructor(
    segment: Segment,
    fileSystem: FileSystem,
    pace: ReadPace,
    memory: ReusedMemory = new ReusedMemory(),
  ) {
    this.segment = segment
    this.#fileSystem = fileSystem
    this.#pace = pace
    this.#memory = memory
    this.#buffer = memory.take(BUFFER_BYTES)
  }

  /** Takes a batch as it is; at once where there is room for it. */
  copy(page: Buffer, at: number, size: number): void | Promise<void> {
    if (this.#filled + size > this.#buffer.length) return this.#copyLater(page, at, size)
    page.copy(this.#buffer, this.#filled, at, at + size)
    this.#took(size)
  }

  /** Takes what a batch has become. */
  async put(header: BatchHeader, batch: RewrittenBatch): Promise<void> {
    const sizeBytes = sizeOf(batch)
    await this.#makeRoom(sizeBytes)
    batch.records.copy(this.#buffer, this.#filled + BATCH_HEADER_BYTES)
    const { attributes, baseTimestamp, maxTimestamp, count } = batch
    const changed = { attributes, baseTimestamp, maxTimestamp, count, sizeBytes }
    writeBatchHeader(this.#buffer, this.#filled, { ...header, ...changed })
    this.#took(sizeBytes)
  }

  /** Takes the batches of another segment before `end`, as they are; answers with where they end that could be read. */
  async copyFrom(segment: Segment, end: number): Promise<number> {
    const cursor = new BatchCursor(segment, 0, this.#pace)
    while (cursor.end < end && (await cursor.next())) {
      await this.copy(cursor.buffer, cursor.at, cursor.size)
    }
    return cursor.end
  }

  /** All has been taken: makes it durable, save for the names. */
  async finish(aborted: readonly AbortedTransaction[]): Promise<void> {
    await this.#flush()
    if (aborted.length > 0) {
      const file = this.segment.pathOf('txnindex')
      await new AbortedIndex(this.#fileSystem, file).replace(aborted)
    }
    await this.segment.seal()
  }

  async #copyLater(page: Buffer, at: number, size: number): Promise<void> {
    await this.#makeRoom(size)
    page.copy(this.#buffer, this.#filled, at, at + size)
    this.#took(size)
  }

  #took(sizeBytes: number): void {
    const at = this.#filled
    const buffer = this.#buffer
    const position = this.#position + at
    this.segment.appended(indexedBatchAt(buffer, at, position))
    this.#filled = at + sizeBytes
  }

  async #makeRoom(bytes: number): Promise<void> {
    if (this.#filled + bytes <= this.#buffer.length) return
    await this.#flush()
    if (bytes > this.#buffer.length) this.#buffer = this.#memory.take(bytes)
  }

  async #flush(): Promise<void> {
    if (this.#filled === 0) return
    await this.#pace(this.#filled)
    await this.segment.file.write(this.#buffer, 0, this.#filled, this.#position)
    this.#position += this.#filled
    this.#filled = 0
  }
}
