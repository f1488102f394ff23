import type { MemoryCache } from './memory-cache.ts'
import { CacheEntry } from './memory-cache.ts'
import type { ReadHint } from './read-hints.ts'
import type { Segment } from './segment.ts'
import { readRange } from './segment-scan.ts'

/** Of the memory for all, at most one part in so many is taken for one range. */
const LARGEST_SHARE = 4
/** And for all ranges of all partitions: with more of them than there is room for, each would be dropped before it is wanted. */
const WHOLE_SHARE = 2

/** The range of a file that a reader is expected to ask for next. */
export class AheadRange extends CacheEntry {
  /** Of the reader's next request. */
  readonly offset: number
  readonly segment: Segment
  readonly position: number
  /** What it counts for in memory. */
  readonly bytes: number
  /** Undefined before it is read; empty where that failed. Whoever asks then reads for himself, and is told. */
  buffer: Buffer | undefined
  /** Never rejects. */
  reading: Promise<void> = Promise.resolve()
  readonly #owner: ReadAhead

  constructor(owner: ReadAhead, { offset, segment, position }: ReadHint, bytes: number) {
    super()
    this.#owner = owner
    this.offset = offset
    this.segment = segment
    this.position = position
    this.bytes = bytes
  }

  evicted(): void {
    this.#owner.forget(this)
  }
}

/**
 * What sequential readers of one partition will ask for next, read while they are at work on what they have. It
 * is kept within the bound of the memory for all, and is of use to one reader, once.
 */
export class ReadAhead {
  readonly #cache: MemoryCache
  readonly #ranges = new Map<number, AheadRange>()
  #isClosed = false

  constructor(cache: MemoryCache) {
    this.#cache = cache
  }

  /** The range that begins with the batch of this offset; it is not kept any longer. */
  take(offset: number): AheadRange | undefined {
    const range = this.#ranges.get(offset)
    if (range === undefined) return undefined
    this.forget(range)
    this.#cache.remove(range)
    return range
  }

  /** Begins to read up to `bytes` at a place, in the background. */
  begin(place: ReadHint, bytes: number): void {
    const range = this.#add(place, undefined, bytes)
    if (range !== undefined) range.reading = load(range)
  }

  /** Keeps what was read beyond the page that was taken from it. */
  keep(place: ReadHint, buffer: Buffer): void {
    this.#add(place, buffer, buffer.buffer.byteLength)
  }

  clear(): void {
    for (const range of [...this.#ranges.values()]) this.take(range.offset)
  }

  /** Nothing is read ahead any more: a file that was closed would be opened again. */
  close(): void {
    this.#isClosed = true
    this.clear()
  }

  /** For `AheadRange`, which the cache has dropped. */
  forget(range: AheadRange): void {
    if (this.#ranges.get(range.offset) !== range) return
    this.#ranges.delete(range.offset)
    this.#cache.readAheadBytes -= range.bytes
  }

  /** Undefined where there is no room for it. */
  #add(place: ReadHint, buffer: Buffer | undefined, bytes: number): AheadRange | undefined {
    const { limitBytes, readAheadBytes } = this.#cache
    if (this.#isClosed || this.#ranges.has(place.offset)) return undefined
    if (bytes > limitBytes / LARGEST_SHARE) return undefined
    if (readAheadBytes + bytes > limitBytes / WHOLE_SHARE) return undefined
    const range = new AheadRange(this, place, bytes)
    range.buffer = buffer
    this.#ranges.set(place.offset, range)
    this.#cache.readAheadBytes += bytes
    this.#cache.add(range, bytes)
    return this.#ranges.has(place.offset) ? range : undefined
  }
}

async function load(range: AheadRange): Promise<void> {
  const { segment, position } = range
  try {
    const bytes = Math.min(range.bytes, (await segment.measure()) - position)
    range.buffer = bytes > 0 ? await readRange(segment.file, position, bytes) : NOTHING
  } catch {
    range.buffer = NOTHING
  }
}

const NOTHING = Buffer.alloc(0)
