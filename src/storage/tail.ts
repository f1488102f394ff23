import { batchSizeAt, lastOffsetAt } from '../codec/batch.ts'
import type { MemoryCache } from './memory-cache.ts'
import { CacheEntry } from './memory-cache.ts'
import type { Segment } from './segment.ts'

/** Chunks grow by doubling from the first size to the largest, so that an idle partition costs little. */
const FIRST_CHUNK_BYTES = 8 * 1024
export const LARGEST_CHUNK_BYTES: number = 1024 * 1024
/** Written chunks that a partition keeps beside the one it writes into. */
const KEPT_CHUNKS = 2
/** Of each size. */
const FREE_CHUNKS = 4
/** Of all sizes together. */
const MOST_FREE_BYTES = FREE_CHUNKS * LARGEST_CHUNK_BYTES
const SMALLEST_FREE_BYTES = 64 * 1024
/** Distance of the places that a run remembers for its look-ups. */
const PLACE_BYTES = 4096

/** A buffer in which batches are encoded, from which they are written, and from which the tail is then read. */
export class Chunk extends CacheEntry {
  readonly buffer: Buffer
  readonly #tail: Tail
  /** Where the next batch goes. */
  end = 0
  /** Batches not yet written; the buffer must not be given to others before they are. */
  unwritten = 0
  /** Readers hold views on it: it is left to the garbage collector instead of being used again. */
  isShared = false

  constructor(tail: Tail, buffer: Buffer) {
    super()
    this.#tail = tail
    this.buffer = buffer
  }

  evicted(): void {
    this.#tail.evicted(this)
  }
}

/** Chunks that nobody has views on, to be used again: fresh memory is slow to touch. */
export class ChunkPool {
  readonly #free = new Map<number, Buffer[]>()
  #freeBytes = 0

  take(bytes: number): Buffer {
    const free = this.#free.get(bytes)?.pop()
    if (free === undefined) return Buffer.allocUnsafeSlow(bytes)
    this.#freeBytes -= bytes
    return free
  }

  give({ buffer, isShared, unwritten }: Chunk): void {
    const { length } = buffer
    if (isShared || unwritten > 0) return
    // One for a single large batch has a size of its own.
    const isCommonSize = (length & (length - 1)) === 0
    if (!isCommonSize || length < SMALLEST_FREE_BYTES || length > LARGEST_CHUNK_BYTES) return
    if (this.#freeBytes + length > MOST_FREE_BYTES) return
    const free = this.#free.get(length)
    if (free === undefined) this.#free.set(length, [buffer])
    else if (free.length < FREE_CHUNKS) free.push(buffer)
    else return
    this.#freeBytes += length
  }
}

/** Written batches that lie back to back in a chunk and in a segment. */
export class TailRun {
  readonly chunk: Chunk
  readonly segment: Segment
  /** Where the run starts in the chunk, and in the segment's file. */
  readonly start: number
  readonly filePosition: number
  readonly firstOffset: number
  end: number
  nextOffset: number
  /** Pairs of base offset and place in the chunk, about every `PLACE_BYTES`. */
  readonly #places: number[]

  constructor(chunk: Chunk, segment: Segment, start: number, filePosition: number, offset: number) {
    this.chunk = chunk
    this.segment = segment
    this.start = start
    this.end = start
    this.filePosition = filePosition
    this.firstOffset = offset
    this.nextOffset = offset
    this.#places = [offset, start]
  }

  wrote(baseOffset: number, start: number, end: number, nextOffset: number): void {
    const places = this.#places
    if (start - (places.at(-1) ?? 0) >= PLACE_BYTES) places.push(baseOffset, start)
    this.end = end
    this.nextOffset = nextOffset
  }

  /** Where in the chunk the batch starts that holds an offset within the run. */
  placeOf(offset: number): number {
    const places = this.#places
    let low = 0
    let high = places.length / 2 - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((places[2 * middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    let at = places[2 * low + 1] ?? this.start
    while (at < this.end && lastOffsetAt(this.chunk.buffer, at) < offset) {
      at += batchSizeAt(this.chunk.buffer, at)
    }
    return at
  }
}

/** The batches lately written to one partition, as far as they are still in memory. */
export class Tail {
  readonly #cache: MemoryCache
  readonly #pool: ChunkPool
  #active: Chunk | undefined
  /** In the order of their making; the active one is last. */
  #chunks: Chunk[] = []
  #runs: TailRun[] = []
  #nextChunkBytes = FIRST_CHUNK_BYTES
  readonly #largestChunkBytes: number

  constructor(cache: MemoryCache, pool: ChunkPool) {
    this.#cache = cache
    this.#pool = pool
    // A chunk that the cache has no place for is good for one write: it should not cost more than that.
    const share = Math.max(FIRST_CHUNK_BYTES, cache.limitBytes / (2 * (KEPT_CHUNKS + 1)))
    this.#largestChunkBytes = Math.min(LARGEST_CHUNK_BYTES, 2 ** Math.floor(Math.log2(share)))
  }

  /** The chunk that new batches go into, with room for at least `bytes` behind its end. */
  chunkFor(bytes: number): Chunk {
    const active = this.#active
    if (active !== undefined && active.buffer.length - active.end >= bytes) return active
    let size = this.#nextChunkBytes
    while (size < bytes && size < this.#largestChunkBytes) size *= 2
    this.#nextChunkBytes = Math.min(size * 2, this.#largestChunkBytes)
    const chunk = new Chunk(this, this.#pool.take(Math.max(size, bytes)))
    this.#active = chunk
    this.#chunks.push(chunk)
    this.#cache.add(chunk, chunk.buffer.length)
    return chunk
  }

  /** A chunk that is read from nowhere, for a batch before it is compressed; `giveBack` ends its use. */
  looseChunk(bytes: number): Chunk {
    let size = SMALLEST_FREE_BYTES
    while (size < bytes && size < LARGEST_CHUNK_BYTES) size *= 2
    return new Chunk(this, this.#pool.take(Math.max(size, bytes)))
  }

  giveBack(loose: Chunk): void {
    this.#pool.give(loose)
  }

  /** A batch in a chunk was written at `filePosition` of a segment; called in the order of the offsets. */
  wrote(chunk: Chunk, segment: Segment, filePosition: number, batch: WrittenBatch): void {
    if (chunk.sizeBytes === 0) return
    let run = this.#runs.at(-1)
    if (run?.chunk !== chunk || run.segment !== segment || run.end !== batch.start) {
      run = new TailRun(chunk, segment, batch.start, filePosition, batch.baseOffset)
      this.#runs.push(run)
    }
    run.wrote(batch.baseOffset, batch.start, batch.end, batch.nextOffset)
  }

  /** Gives back the chunks that are no longer kept; called when a write has ended. */
  trim(): void {
    const surplus = this.#chunks.length - KEPT_CHUNKS - 1
    if (surplus <= 0) return
    for (const chunk of this.#chunks.slice(0, surplus)) {
      if (chunk.unwritten > 0) continue
      this.#cache.remove(chunk)
      this.#drop(chunk)
      this.#pool.give(chunk)
    }
  }

  /** For `Chunk`: the cache wants the memory back. Who still has to write from it holds it himself. */
  evicted(chunk: Chunk): void {
    this.#drop(chunk)
    // One with nothing in it is just being made, and found too large for the cache: a batch is about to be encoded in it.
    if (chunk.end > 0) this.#pool.give(chunk)
  }

  /** The run that holds an offset; undefined if it is not in memory. */
  find(offset: number): TailRun | undefined {
    for (let index = this.#runs.length - 1; index >= 0; index -= 1) {
      const run = this.#runs[index]
      if (run === undefined || offset >= run.nextOffset) return undefined
      if (offset >= run.firstOffset) {
        this.#cache.touch(run.chunk)
        return run
      }
    }
    return undefined
  }

  /** Segments were deleted or replaced: what is in memory of them is no longer what readers are to see. */
  forget(segments: ReadonlySet<Segment>): void {
    this.#runs = this.#runs.filter((run) => !segments.has(run.segment))
  }

  /** Forgets everything that is written; for deletions and for the end. */
  clear(): void {
    for (const chunk of this.#chunks) this.#cache.remove(chunk)
    this.#chunks = []
    this.#runs = []
    this.#active = undefined
  }

  #drop(chunk: Chunk): void {
    this.#chunks = this.#chunks.filter((each) => each !== chunk)
    this.#runs = this.#runs.filter((run) => run.chunk !== chunk)
    if (this.#active === chunk) this.#active = undefined
  }
}

export interface WrittenBatch {
  readonly start: number
  readonly end: number
  readonly baseOffset: number
  readonly nextOffset: number
}
