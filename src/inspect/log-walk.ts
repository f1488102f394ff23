import type { BatchFault } from '../codec/batch.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  batchSizeAt,
  checkBatch,
  checkBatchHeader,
  lastOffsetAt,
  readBatchHeader,
} from '../codec/batch.ts'
import { extendCrc32c } from '../codec/crc32c.ts'
import type { DataFile } from '../storage/file-cache.ts'
import { findNextBatch, isZero, readRange } from '../storage/segment-scan.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'

/** A window's worth of bytes is checked at a time, so that the event loop gets its turn in between. */
const WINDOW_BYTES = 1024 * 1024
/** Of a batch above that only the CRC is checked, piece by piece. */
export const LARGE_BATCH_BYTES: number = 128 * 1024 * 1024
const CRC_START = 21

/** Bytes of a .log that are no intact batch. */
export interface FaultyRegion {
  readonly position: number
  readonly bytes: number
  readonly fault: BatchFault
  /** All of its bytes are zero. */
  readonly isZero: boolean
  /** The offset behind the last sound batch before it. */
  readonly nextOffset: number
  /** Base offset of the sound batch that follows it; undefined where none does. */
  readonly resumeOffset: number | undefined
}

export interface LogVisitor {
  /** A batch that passes its checks, its CRC included. It lies at `at` in `buffer` until this has answered, and at `position` in the file. */
  batch(buffer: Buffer, at: number, position: number): void | Promise<void>
  /** As `batch`, but only the header of a batch above `largeBatchBytes` is in the buffer. */
  largeBatch(header: Buffer, position: number): void | Promise<void>
  region(region: FaultyRegion): void | Promise<void>
  /** So many more bytes have been looked at. */
  progress(bytes: number): void
}

export interface LogRange {
  /** Start of a batch. */
  readonly from: number
  readonly to: number
  /** A batch behind a region that fails has no lower base offset. */
  readonly nextOffset: number
  /** No batch behind a region that fails begins at or above it. */
  readonly offsetLimit?: number | undefined
  readonly signal?: AbortSignal | undefined
  /** A batch above that is not held in memory. Default `LARGE_BATCH_BYTES`. */
  readonly largeBatchBytes?: number | undefined
}

/**
 * Walks over a .log, or any file of batches. Where bytes are no intact batch it goes on with the next one that is. The order of offsets is
 * the visitor's to judge. Memory is bounded by a window and `largeBatchBytes`.
 * @returns the position that was reached: `to`, or the end of a file that has become shorter.
 */
export function walkLog(file: DataFile, range: LogRange, visitor: LogVisitor): Promise<number> {
  return new LogWalk(file, range, visitor).run()
}

class LogWalk {
  readonly #file: DataFile
  readonly #range: LogRange
  readonly #visitor: LogVisitor
  readonly #largeBatchBytes: number
  #position: number
  #to: number
  #nextOffset: number
  /** Bytes of the batch at the position, where they did not fit the window. */
  #needed = 0
  #buffer: Buffer = Buffer.alloc(0)

  constructor(file: DataFile, range: LogRange, visitor: LogVisitor) {
    this.#file = file
    this.#range = range
    this.#visitor = visitor
    this.#largeBatchBytes = range.largeBatchBytes ?? LARGE_BATCH_BYTES
    this.#position = range.from
    this.#to = range.to
    this.#nextOffset = range.nextOffset
  }

  async run(): Promise<number> {
    while (this.#position < this.#to) {
      this.#range.signal?.throwIfAborted()
      if (turnIsLong()) await nextTurn()
      const from = this.#position
      let fault: BatchFault | undefined
      if (this.#needed > this.#largeBatchBytes) fault = await this.#largeBatch()
      else {
        const window = await this.#readWindow()
        // The file is shorter than it was said to be.
        if (window.length === 0) break
        this.#needed = 0
        fault = await this.#window(window)
      }
      if (fault !== undefined) await this.#region(fault)
      this.#visitor.progress(this.#position - from)
    }
    return this.#position
  }

  async #readWindow(): Promise<Buffer> {
    const wanted = Math.min(Math.max(WINDOW_BYTES, this.#needed), this.#to - this.#position)
    // One buffer for all windows: fresh memory is slow to touch.
    if (this.#buffer.length < wanted) this.#buffer = Buffer.allocUnsafeSlow(wanted)
    const read = await this.#file.read(this.#buffer, 0, wanted, this.#position)
    if (read < wanted) this.#to = this.#position + read
    return this.#buffer.subarray(0, read)
  }

  /** Goes over the batches that lie whole in a window which begins at the position. */
  async #window(window: Buffer): Promise<BatchFault | undefined> {
    const start = this.#position
    while (this.#position < this.#to) {
      const at = this.#position - start
      const available = this.#to - this.#position
      if (at + Math.min(BATCH_HEADER_BYTES, available) > window.length) return undefined
      const fault = checkBatchHeader(window, at, available)
      if (fault !== undefined) return fault
      const size = batchSizeAt(window, at)
      if (at + size > window.length) {
        this.#needed = size
        return undefined
      }
      if (checkBatch(window, at, size) !== undefined) return 'bad-crc'
      const visited = this.#visitor.batch(window, at, this.#position)
      if (visited !== undefined) await visited
      this.#passed(window, at)
    }
    return undefined
  }

  /** Checks the CRC of a batch whose header is sound, a piece at a time. */
  async #largeBatch(): Promise<BatchFault | undefined> {
    const from = this.#position
    const header = Buffer.from(await readRange(this.#file, from, BATCH_HEADER_BYTES))
    this.#needed = 0
    const size = batchSizeAt(header, 0)
    let crc = 0
    for (let at = CRC_START; at < size; ) {
      const piece = await readRange(this.#file, from + at, Math.min(WINDOW_BYTES, size - at))
      if (piece.length === 0) return 'truncated'
      crc = extendCrc32c(crc, piece, 0, piece.length)
      at += piece.length
      this.#range.signal?.throwIfAborted()
      if (turnIsLong()) await nextTurn()
    }
    if (crc !== readBatchHeader(header, 0).crc) return 'bad-crc'
    await this.#visitor.largeBatch(header, from)
    this.#passed(header, 0)
    return undefined
  }

  #passed(buffer: Buffer, at: number): void {
    this.#nextOffset = lastOffsetAt(buffer, at) + 1
    this.#position += batchSizeAt(buffer, at)
  }

  async #region(fault: BatchFault): Promise<void> {
    const { offsetLimit = Number.MAX_SAFE_INTEGER } = this.#range
    const position = this.#position
    const nextOffset = this.#nextOffset
    const faulty = { position, to: this.#to, nextOffset }
    const next = await findNextBatch(this.#file, faulty, offsetLimit)
    const end = next === -1 ? this.#to : next
    await this.#visitor.region({
      position,
      bytes: end - position,
      fault,
      isZero: await isZero(this.#file, position, end),
      nextOffset,
      resumeOffset: next === -1 ? undefined : await this.#baseOffsetOf(next),
    })
    this.#position = end
  }

  async #baseOffsetOf(position: number): Promise<number> {
    return baseOffsetAt(await readRange(this.#file, position, BATCH_HEADER_BYTES), 0)
  }
}
