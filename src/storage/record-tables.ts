import type { RecordTable } from '../codec/record-table.ts'
import type { MemoryCache } from './memory-cache.ts'
import { CacheEntry } from './memory-cache.ts'
import type { Segment } from './segment.ts'

/** The table of one verified batch, and where the batch lies. */
export class KnownBatch extends CacheEntry {
  readonly segment: Segment
  readonly position: number
  readonly table: RecordTable
  /** The records of a compressed batch, decompressed. */
  readonly inflated: Buffer | undefined
  readonly #owner: RecordTables

  constructor(
    owner: RecordTables,
    segment: Segment,
    position: number,
    table: RecordTable,
    inflated: Buffer | undefined,
  ) {
    super()
    this.#owner = owner
    this.segment = segment
    this.position = position
    this.table = table
    this.inflated = inflated
  }

  evicted(): void {
    this.#owner.forget(this)
  }
}

/** Where the records stand in batches that were verified before, so that a look-up reads only its records. */
export class RecordTables {
  readonly #cache: MemoryCache
  /** By rising base offset. */
  #batches: KnownBatch[] = []
  /** Of `#batches`; the search for an offset goes through these alone, and so through a few lines of the processor's cache. */
  #baseOffsets: number[] = []
  #lastOffsets: number[] = []
  #inflatedCount = 0

  constructor(cache: MemoryCache) {
    this.#cache = cache
  }

  /** Some of the batches are compressed, and their records are kept. */
  get hasInflated(): boolean {
    return this.#inflatedCount > 0
  }

  add(segment: Segment, position: number, table: RecordTable, inflated?: Buffer): void {
    const at = this.#indexOf(table.header.baseOffset) + 1
    if (this.#batches[at - 1]?.table.header.baseOffset === table.header.baseOffset) return
    const known = new KnownBatch(this, segment, position, table, inflated)
    this.#batches.splice(at, 0, known)
    this.#baseOffsets.splice(at, 0, table.header.baseOffset)
    this.#lastOffsets.splice(at, 0, table.header.lastOffset)
    if (inflated !== undefined) this.#inflatedCount += 1
    this.#cache.add(known, table.sizeBytes + (inflated?.buffer.byteLength ?? 0))
  }

  /** The batch that an offset lies in, if its table is there. */
  find(offset: number): KnownBatch | undefined {
    const at = this.#indexOf(offset)
    if (at === -1 || (this.#lastOffsets[at] as number) < offset) return undefined
    const known = this.#batches[at] as KnownBatch
    this.#cache.touch(known)
    return known
  }

  /** For `KnownBatch`. */
  forget(known: KnownBatch): void {
    const at = this.#indexOf(known.table.header.baseOffset)
    if (this.#batches[at] !== known) return
    if (known.inflated !== undefined) this.#inflatedCount -= 1
    this.#batches.splice(at, 1)
    this.#baseOffsets.splice(at, 1)
    this.#lastOffsets.splice(at, 1)
  }

  clear(): void {
    for (const known of this.#batches) this.#cache.remove(known)
    this.#batches = []
    this.#baseOffsets = []
    this.#lastOffsets = []
    this.#inflatedCount = 0
  }

  /** The last batch whose base offset is not above `offset`; -1 where there is none. */
  #indexOf(offset: number): number {
    const baseOffsets = this.#baseOffsets
    let low = 0
    let high = baseOffsets.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((baseOffsets[middle] as number) <= offset) low = middle + 1
      else high = middle
    }
    return low - 1
  }
}
