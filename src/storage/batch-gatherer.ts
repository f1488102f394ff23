import { BATCH_HEADER_BYTES } from '../codec/batch.ts'
import { BatchEncoder, encodedSizeBound } from '../codec/batch-encoder.ts'
import type { RecordSet } from '../codec/record-set.ts'
import { MessageTooLargeError } from '../errors.ts'
import type { TopicConfig } from '../types.ts'
import type { AppendCall } from './append-call.ts'
import type { Chunk, Tail } from './tail.ts'

/** An encoded batch that waits to be written, and the calls that wait for it. */
export class PendingBatch {
  readonly chunk: Chunk
  readonly baseOffset: number
  readonly calls: AppendCall[] = []
  start: number
  end = 0
  nextOffset: number
  maxTimestamp = 0
  /** What it holds of `PendingRoom`. */
  roomBytes = 0

  constructor(chunk: Chunk, start: number, baseOffset: number) {
    this.chunk = chunk
    this.start = start
    this.baseOffset = baseOffset
    this.nextOffset = baseOffset
  }

  get sizeBytes(): number {
    return this.end - this.start
  }
}

/**
 * Encodes the records of calls, in the order of the calls, into batches at the end of the tail. A call's records are
 * within one batch; calls that come before the batch is taken share it while it stays within the largest size.
 */
export class BatchGatherer {
  readonly #where: string
  readonly #tail: Tail
  readonly #encoder = new BatchEncoder()
  #open: PendingBatch | undefined
  #closed: PendingBatch[] = []
  #config: TopicConfig
  #nextOffset: number
  /** Of the batches to come. */
  leaderEpoch = 0

  constructor(where: string, tail: Tail, config: TopicConfig, nextOffset: number) {
    this.#where = where
    this.#tail = tail
    this.#config = config
    this.#nextOffset = nextOffset
  }

  /** The log end offset once all that waits is written. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  get isEmpty(): boolean {
    return this.#open === undefined && this.#closed.length === 0
  }

  /** A change of configuration holds from the next batch on. */
  configure(config: TopicConfig): void {
    this.#closeBatch()
    this.#config = config
  }

  /** The last batch that waits; what is judged after it can be attached to it. */
  get last(): PendingBatch | undefined {
    return this.#open ?? this.#closed.at(-1)
  }

  /**
   * Adds a call's records; `roomBytes` of room were taken for them.
   * Throws `MessageTooLargeError`, with nothing changed, where they do not fit in one batch.
   */
  add(set: RecordSet, call: AppendCall, now: number, roomBytes: number): void {
    const count = set.values.length
    if (!this.#addTo(this.#batchFor(roomBytes), set, now)) {
      this.#closeBatch()
      if (!this.#addTo(this.#batchFor(roomBytes), set, now)) {
        const size = this.#refusedBytes
        this.#dropBatch()
        throw this.#tooLarge(size)
      }
    }
    const batch = this.#open as PendingBatch
    call.baseOffset = this.#nextOffset
    call.count = count
    call.timestamp = greatestTimestamp(set, now, this.#config)
    this.#nextOffset += count
    batch.nextOffset = this.#nextOffset
    batch.roomBytes += roomBytes
    batch.calls.push(call)
  }

  /** Closes the open batch and gives all batches that wait, in order. */
  take(): PendingBatch[] {
    this.#closeBatch()
    const taken = this.#closed
    this.#closed = []
    return taken
  }

  /** After a failed write: the next batch gets this offset. Only when nothing waits. */
  resetTo(nextOffset: number): void {
    this.#nextOffset = nextOffset
  }

  #refusedBytes = 0

  #addTo(batch: PendingBatch, set: RecordSet, now: number): boolean {
    const encoder = this.#encoder
    encoder.mark()
    const buffer = batch.chunk.buffer
    if (!encoder.add(set, now, this.#config.timestampType, buffer.length)) {
      throw new Error('a batch outgrew the bound of its records')
    }
    const size = encoder.end - encoder.start
    if (size <= this.#config.maxMessageBytes && size <= this.#config.segmentBytes) return true
    this.#refusedBytes = size
    encoder.rollback()
    return false
  }

  /** The open batch, with room for `bytes` more; it moves to a larger chunk where its own is full. */
  #batchFor(bytes: number): PendingBatch {
    const encoder = this.#encoder
    const open = this.#open
    if (open === undefined) return this.#openBatch(bytes)
    if (open.chunk.buffer.length - encoder.end >= bytes) return open
    const used = encoder.end - encoder.start
    const chunk = this.#tail.chunkFor(used + bytes)
    const moved = new PendingBatch(chunk, chunk.end, open.baseOffset)
    encoder.moveTo(chunk.buffer, chunk.end)
    moved.nextOffset = open.nextOffset
    moved.roomBytes = open.roomBytes
    moved.calls.push(...open.calls)
    open.chunk.unwritten -= 1
    chunk.unwritten += 1
    this.#open = moved
    return moved
  }

  #openBatch(bytes: number): PendingBatch {
    const chunk = this.#tail.chunkFor(bytes + BATCH_HEADER_BYTES)
    chunk.unwritten += 1
    this.#encoder.begin(chunk.buffer, chunk.end)
    this.#open = new PendingBatch(chunk, chunk.end, this.#nextOffset)
    return this.#open
  }

  #closeBatch(): void {
    const batch = this.#open
    if (batch === undefined) return
    this.#open = undefined
    if (batch.calls.length === 0) {
      batch.chunk.unwritten -= 1
      return
    }
    batch.maxTimestamp = this.#encoder.maxTimestamp
    batch.end = this.#encoder.finish(batch.baseOffset, this.leaderEpoch, this.#config.timestampType)
    batch.chunk.end = batch.end
    this.#closed.push(batch)
  }

  #dropBatch(): void {
    const batch = this.#open
    if (batch === undefined) return
    batch.chunk.unwritten -= 1
    this.#open = undefined
  }

  #tooLarge(size: number): MessageTooLargeError {
    const { maxMessageBytes, segmentBytes } = this.#config
    return size > maxMessageBytes
      ? new MessageTooLargeError(this.#where, size, 'maxMessageBytes', maxMessageBytes)
      : new MessageTooLargeError(this.#where, size, 'segmentBytes', segmentBytes)
  }

  /** The room that a call needs, in bytes; an upper bound. */
  static bound(set: RecordSet): number {
    return encodedSizeBound(set)
  }
}

function greatestTimestamp(set: RecordSet, now: number, config: TopicConfig): number {
  if (set.timestamps === undefined || config.timestampType === 'LogAppendTime') return now
  let greatest = Number.NEGATIVE_INFINITY
  for (const timestamp of set.timestamps) greatest = Math.max(greatest, timestamp ?? now)
  return greatest
}
