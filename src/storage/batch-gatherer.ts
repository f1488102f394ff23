import { BATCH_HEADER_BYTES, CONTROL_ABORT, CONTROL_COMMIT } from '../codec/batch.ts'
import type { HeaderProducer } from '../codec/batch-encoder.ts'
import {
  BatchEncoder,
  CONTROL_BATCH_BYTES,
  encodeControlBatch,
  encodedSizeBound,
} from '../codec/batch-encoder.ts'
import type { Codecs } from '../codec/codecs.ts'
import type { Compression } from '../codec/compression-choice.ts'
import { compressionOf, NO_COMPRESSION } from '../codec/compression-choice.ts'
import type { RecordSet } from '../codec/record-set.ts'
import type { TopicConfig } from '../types.ts'
import type { AppendCall, BatchProducer, TransactionEnd } from './append-call.ts'
import { largestBatchBytes, requireFits } from './batch-limit.ts'
import { Packing } from './packing.ts'
import { PendingBatch } from './pending-batch.ts'
import type { Chunk, Tail } from './tail.ts'
import { LARGEST_CHUNK_BYTES } from './tail.ts'

const NO_BATCHES: PendingBatch[] = []

/**
 * Encodes the records of calls, in the order of the calls, into batches at the end of the tail. A call's records are
 * within one batch; calls that come before the batch is taken share it while it stays within the largest size, and while
 * they want the same compression. Those to be compressed are encoded elsewhere, and placed there when they are: see `Packing`.
 */
export class BatchGatherer {
  readonly #where: string
  readonly #tail: Tail
  readonly #codecs: Codecs
  readonly #encoder = new BatchEncoder()
  #open: PendingBatch | undefined
  #closed: PendingBatch[] = NO_BATCHES
  #config: TopicConfig
  /** Of calls that ask for none. */
  #compression: Compression
  /** Of the open batch, or the last one. */
  #current: Compression
  #nextOffset: number
  /** Of the batches to come. */
  leaderEpoch = 0

  constructor(where: string, tail: Tail, codecs: Codecs, config: TopicConfig, nextOffset: number) {
    this.#where = where
    this.#tail = tail
    this.#codecs = codecs
    this.#config = config
    this.#compression = compressionOf(config.compression, config.compressionLevel)
    this.#current = this.#compression
    this.#nextOffset = nextOffset
  }

  /** The log end offset once all that waits is written. */
  get nextOffset(): number {
    return this.#nextOffset
  }

  get isEmpty(): boolean {
    return this.#open === undefined && this.#closed.length === 0
  }

  /** A batch waits that takes no more. */
  get hasFull(): boolean {
    return this.#closed.length > 0
  }

  /** A change of configuration holds from the next batch on. */
  configure(config: TopicConfig): void {
    this.#closeBatch()
    this.#config = config
    this.#compression = compressionOf(config.compression, config.compressionLevel)
  }

  /** The last batch that waits; what is judged after it can be attached to it. */
  get last(): PendingBatch | undefined {
    return this.#open ?? this.#closed.at(-1)
  }

  /**
   * Adds a call's records; `roomBytes` of room were taken for them.
   * Throws with nothing changed: `MessageTooLargeError` where they do not fit in one batch.
   */
  add(set: RecordSet, call: AppendCall, now: number, roomBytes: number): void {
    if (roomBytes + BATCH_HEADER_BYTES > this.#largestBatchBytes) this.#refuseTooLarge(set, now)
    const compression = call.compression ?? this.#compression
    if (compression !== this.#current) this.#turnTo(compression)
    try {
      if (!this.#addTo(this.#batchFor(roomBytes), set, now)) {
        this.#closeBatch()
        this.#addTo(this.#batchFor(roomBytes), set, now)
      }
    } catch (error) {
      if (this.#open?.calls.length === 0) this.#dropBatch(this.#open)
      throw error
    }
    const batch = this.#open as PendingBatch
    const count = set.values.length
    call.baseOffset = this.#nextOffset
    call.count = count
    call.timestamp = greatestTimestamp(set, now)
    this.#nextOffset += count
    batch.nextOffset = this.#nextOffset
    batch.roomBytes += roomBytes
    batch.add(call)
  }

  /**
   * Adds a call's records as a batch of their own, with the producer in its header, and behind them the marker that ends their transaction
   * where the call has one; or that alone. The two are one from here on: they lie back to back, in one segment and in one write. Throws as `add`.
   */
  addOwn(
    set: RecordSet,
    call: AppendCall,
    now: number,
    roomBytes: number,
    producer: HeaderProducer & Pick<BatchProducer, 'ending'>,
  ): PendingBatch {
    const count = set.values.length
    const { ending } = producer
    const nextOffset = this.#nextOffset + count + (ending === undefined ? 0 : 1)
    if (roomBytes + BATCH_HEADER_BYTES > this.#largestBatchBytes) {
      this.#refuseTooLarge(set, now, ending === undefined ? 0 : CONTROL_BATCH_BYTES)
    }
    this.#closeBatch()
    const batch =
      count === 0 ? this.#markerBatch() : this.#recordBatch(set, call, now, roomBytes, producer)
    call.baseOffset = batch.baseOffset
    call.count = count
    call.timestamp = greatestTimestamp(set, now)
    batch.producer = producer
    batch.ending = ending
    batch.nextOffset = nextOffset
    batch.roomBytes = roomBytes
    batch.add(call)
    this.#nextOffset = nextOffset
    const marker =
      ending && this.#marker({ baseOffset: nextOffset - 1, timestamp: now, producer, ending })
    if (count > 0) this.#closeBatch(marker)
    else if (marker !== undefined) this.#closeMarker(batch, marker, now)
    return batch
  }

  /** Closes the open batch and gives all batches that wait, in order. */
  take(): readonly PendingBatch[] {
    this.#closeBatch()
    const taken = this.#closed
    this.#closed = NO_BATCHES
    return taken
  }

  /** As `take`, for who writes none of them. */
  drop(): readonly PendingBatch[] {
    const open = this.#open
    // It would be compressed.
    if (open === undefined || !this.#isLoose) return this.take()
    this.#open = undefined
    return [...this.take(), open]
  }

  /**
   * Puts a batch that is compressed behind what is in memory; false while it is not compressed yet. Called in the order of the
   * offsets. Throws `LogError` `COMPRESSION_FAILED`.
   */
  place(batch: PendingBatch): boolean {
    const { packing, chunk: loose } = batch
    if (packing === undefined) return true
    const { sizeBytes } = packing
    if (sizeBytes === undefined) return false
    let chunk = this.#tail.chunkFor(sizeBytes)
    if (this.#open?.chunk === chunk) {
      // The open batch lies where this one would go.
      this.#closeBatch()
      chunk = this.#tail.chunkFor(sizeBytes)
    }
    packing.writeTo(chunk.buffer, chunk.end)
    batch.packing = undefined
    batch.chunk = chunk
    batch.start = chunk.end
    batch.end = chunk.end + sizeBytes
    chunk.end = batch.end
    chunk.unwritten += 1
    loose.unwritten -= 1
    this.#tail.giveBack(loose)
    return true
  }

  /** After a failed write: the next batch gets this offset. Only when nothing waits. */
  resetTo(nextOffset: number): void {
    this.#nextOffset = nextOffset
  }

  get #largestBatchBytes(): number {
    return largestBatchBytes(this.#config)
  }

  /** Batches are compressed, and lie in chunks of their own until they are. */
  get #isLoose(): boolean {
    return this.#current !== NO_COMPRESSION
  }

  #turnTo(compression: Compression): void {
    this.#closeBatch()
    this.#current = compression
  }

  /** Encodes a call alone, to learn its size, where the bound of it is above the largest batch. */
  #refuseTooLarge(set: RecordSet, now: number, markerBytes = 0): void {
    if (set.values.length === 0) return
    const bytes = encodedSizeBound(set)
    requireFits(this.#where, set, bytes, now, this.#config, markerBytes)
  }

  /** False, with nothing added, where the batch has calls and would become too large. */
  #addTo(batch: PendingBatch, set: RecordSet, now: number): boolean {
    const encoder = this.#encoder
    encoder.mark()
    if (!encoder.add(set, now, this.#config.timestampType, batch.chunk.buffer.length)) {
      throw new Error('records outgrew the bound of their size')
    }
    const isWithin = encoder.end - encoder.start <= this.#largestBatchBytes
    if (isWithin || batch.calls.length === 0) return true
    encoder.rollback()
    return false
  }

  /** The open batch, with room for `bytes` more; it moves to a larger chunk where its own is full. */
  #batchFor(bytes: number): PendingBatch {
    const encoder = this.#encoder
    const open = this.#open
    if (open === undefined) return this.#openBatch(bytes)
    if (open.chunk.buffer.length - encoder.end >= bytes) return open
    const size = encoder.end - encoder.start + bytes
    if (this.#isLoose && size > this.#looseBytes) {
      this.#closeBatch()
      return this.#openBatch(bytes)
    }
    const chunk = this.#chunkFor(size)
    encoder.moveTo(chunk.buffer, chunk.end)
    open.chunk.unwritten -= 1
    chunk.unwritten += 1
    if (this.#isLoose) this.#tail.giveBack(open.chunk)
    open.chunk = chunk
    open.start = chunk.end
    return open
  }

  #openBatch(bytes: number, producer?: HeaderProducer): PendingBatch {
    const chunk = this.#chunkFor(bytes + BATCH_HEADER_BYTES)
    chunk.unwritten += 1
    this.#encoder.begin(chunk.buffer, chunk.end, producer)
    this.#open = new PendingBatch(chunk, this.#nextOffset)
    return this.#open
  }

  #chunkFor(bytes: number): Chunk {
    return this.#isLoose ? this.#tail.looseChunk(bytes) : this.#tail.chunkFor(bytes)
  }

  /** What calls may share: a batch that grows by a few bytes past a chunk of common size would cost one of its own. */
  get #looseBytes(): number {
    const largest = this.#largestBatchBytes
    return largest < 2 * LARGEST_CHUNK_BYTES ? Math.min(largest, LARGEST_CHUNK_BYTES) : largest
  }

  /** The batch and its trailer are one; there is room for both in the chunk. */
  #closeBatch(trailer?: Buffer): void {
    const batch = this.#open
    if (batch === undefined) return
    this.#open = undefined
    const { timestampType } = this.#config
    batch.maxTimestamp = this.#encoder.maxTimestamp
    if (this.#isLoose) this.#pack(batch, trailer)
    else {
      batch.end = this.#encoder.finish(batch.baseOffset, this.leaderEpoch, timestampType)
      if (trailer !== undefined) batch.end += trailer.copy(batch.chunk.buffer, batch.end)
      batch.chunk.end = batch.end
    }
    this.#closedOne(batch)
    if (timestampType !== 'LogAppendTime') return
    // All records of the batch have its time, also those of calls that came a little earlier.
    for (const call of batch.calls) call.timestamp = batch.maxTimestamp
  }

  #closedOne(batch: PendingBatch): void {
    if (this.#closed.length === 0) this.#closed = [batch]
    else this.#closed.push(batch)
  }

  // ---------------------------------------------------------------------------- batches of producers

  /** Open, with the call's records in it, and room for a marker behind them. */
  #recordBatch(
    set: RecordSet,
    call: AppendCall,
    now: number,
    roomBytes: number,
    producer: HeaderProducer,
  ): PendingBatch {
    this.#current = call.compression ?? this.#compression
    const batch = this.#openBatch(roomBytes, producer)
    try {
      this.#addTo(batch, set, now)
      return batch
    } catch (error) {
      this.#dropBatch(batch)
      throw error
    }
  }

  /** For a marker alone, which is never compressed. */
  #markerBatch(): PendingBatch {
    const chunk = this.#tail.chunkFor(CONTROL_BATCH_BYTES)
    chunk.unwritten += 1
    return new PendingBatch(chunk, this.#nextOffset)
  }

  #closeMarker(batch: PendingBatch, marker: Buffer, now: number): void {
    batch.end += marker.copy(batch.chunk.buffer, batch.end)
    batch.chunk.end = batch.end
    batch.maxTimestamp = now
    this.#closedOne(batch)
  }

  #marker(of: {
    readonly baseOffset: number
    readonly timestamp: number
    readonly producer: HeaderProducer
    readonly ending: TransactionEnd
  }): Buffer {
    const { baseOffset, timestamp, producer, ending } = of
    return encodeControlBatch({
      baseOffset,
      timestamp,
      type: ending.outcome === 'commit' ? CONTROL_COMMIT : CONTROL_ABORT,
      producerId: producer.producerId,
      producerEpoch: producer.producerEpoch,
      coordinatorEpoch: ending.coordinatorEpoch,
      partitionLeaderEpoch: this.leaderEpoch,
    })
  }

  #pack(batch: PendingBatch, trailer: Buffer | undefined): void {
    const { baseOffset, start, chunk } = batch
    const { timestampType } = this.#config
    batch.end = this.#encoder.end
    const fields = this.#encoder.finishWithoutHeader(baseOffset, this.leaderEpoch, timestampType)
    const records = chunk.buffer.subarray(start + BATCH_HEADER_BYTES, batch.end)
    batch.packing = new Packing(this.#where, this.#codecs, this.#current, records, fields, trailer)
  }

  #dropBatch(batch: PendingBatch): void {
    batch.chunk.unwritten -= 1
    if (this.#isLoose) this.#tail.giveBack(batch.chunk)
    this.#open = undefined
  }

  /** The room that a call needs, in bytes; an upper bound. */
  static bound(set: RecordSet, { producer }: AppendCall): number {
    const bytes = encodedSizeBound(set)
    return producer?.ending === undefined ? bytes : bytes + CONTROL_BATCH_BYTES
  }
}

function greatestTimestamp(set: RecordSet, now: number): number {
  if (set.timestamps === undefined || set.timestamps.length === 0) return now
  let greatest = Number.NEGATIVE_INFINITY
  for (const timestamp of set.timestamps) greatest = Math.max(greatest, timestamp ?? now)
  return greatest
}
