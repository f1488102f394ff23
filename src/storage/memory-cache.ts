/**
 * One bound for all that is kept in memory to save a read: tails, index pages, record tables, read-ahead.
 * What was not used lately goes first: an entry that was used since it came, or since it was last looked at, gets a second chance, so that
 * a use costs one write to memory. What is in it must be there to be read again elsewhere.
 */

/** Something that occupies memory and can be dropped at any time. */
export abstract class CacheEntry {
  /** Owned by the cache. */
  previous: CacheEntry | undefined = undefined
  /** Owned by the cache. */
  next: CacheEntry | undefined = undefined
  /** Owned by the cache; 0 while the entry is not in it. */
  sizeBytes = 0
  /** Owned by the cache. */
  isUsed = false

  /** The cache has dropped this entry; called once, never by `remove`. Must not call the cache. */
  abstract evicted(): void
}

class Ends extends CacheEntry {
  evicted(): void {}
}

export class MemoryCache {
  readonly limitBytes: number
  /** Of all partitions; `ReadAhead` counts it, and bounds it. */
  readAheadBytes = 0
  /** Ring: `next` of the ends is the youngest entry, `previous` the one that goes next. */
  readonly #ends: CacheEntry = new Ends()
  #usedBytes = 0

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
    this.#ends.next = this.#ends
    this.#ends.previous = this.#ends
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Adds an entry as the youngest, then drops others (or, if it alone is too large, itself) to keep the bound. */
  add(entry: CacheEntry, sizeBytes: number): void {
    if (entry.sizeBytes > 0) this.remove(entry)
    entry.sizeBytes = sizeBytes
    entry.isUsed = false
    this.#usedBytes += sizeBytes
    this.#linkFirst(entry)
    this.#trim()
  }

  /** Marks an entry as used just now. */
  touch(entry: CacheEntry): void {
    entry.isUsed = true
  }

  /** Takes an entry out without `evicted`; nothing happens if it is not in the cache. */
  remove(entry: CacheEntry): void {
    if (entry.next === undefined) return
    this.#unlink(entry)
    this.#usedBytes -= entry.sizeBytes
    entry.sizeBytes = 0
  }

  #trim(): void {
    while (this.#usedBytes > this.limitBytes) {
      const oldest = this.#ends.previous
      if (oldest === undefined || oldest === this.#ends) return
      if (oldest.isUsed) {
        oldest.isUsed = false
        this.#unlink(oldest)
        this.#linkFirst(oldest)
        continue
      }
      this.remove(oldest)
      oldest.evicted()
    }
  }

  #linkFirst(entry: CacheEntry): void {
    const first = this.#ends.next as CacheEntry
    entry.next = first
    entry.previous = this.#ends
    first.previous = entry
    this.#ends.next = entry
  }

  #unlink(entry: CacheEntry): void {
    const { previous, next } = entry
    if (previous !== undefined) previous.next = next
    if (next !== undefined) next.previous = previous
    entry.previous = undefined
    entry.next = undefined
  }
}
