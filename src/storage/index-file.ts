/**
 * Fixed-size entries, rising, in one file; read in pages within the memory cache, as if the file were mapped.
 *
 *   | entry 0 | entry 1 | …            | entry persisted … count-1 |
 *   |<-- in the file, read by pages -->|<-- in memory: the tail -->|
 *
 * No handle stays open: a page miss opens, reads and closes. Entries are not checksummed; whoever opens the file says how many of
 * them are good, and rebuilds the rest from the .log.
 *
 * Crash argument: nothing waits for an index. Killed after any write, the file has a prefix of the entries, perhaps half of one,
 * or zeros and older entries behind them: a prefix finds what it should, only slower, and the rest is dropped when the segment is
 * recovered. `sync` at a roll and at a close cuts the file to its entries, so what lies below the recovery point or behind the clean
 * marker is exact. A rebuilt index replaces its file by rename: a kill leaves the old file or the new one, never a mixture.
 */
import { readInt64 } from '../codec/int64.ts'
import { CorruptLogError } from '../errors.ts'
import type { FileHandle, FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import { replaceFile } from './checkpoint.ts'
import type { MemoryCache } from './memory-cache.ts'
import { CacheEntry } from './memory-cache.ts'
import { SegmentGoneError } from './segment-gone.ts'

/** The most that one page holds; a page is a whole number of entries. */
const PAGE_BYTES = 4096
const FIRST_TAIL_BYTES = 512
/** What a page weighs in the cache besides its bytes. */
const PAGE_OVERHEAD_BYTES = 200
const EMPTY = Buffer.alloc(0)

export function entriesPerPage(entryBytes: number): number {
  return Math.floor(PAGE_BYTES / entryBytes)
}

/** The end of an index file, as it was found. */
export interface IndexEnd {
  /** How many entries of the file to go by. */
  readonly count: number
  /** Those of its last page, from this one on; empty where they were not read as one. */
  readonly firstEntry: number
  readonly bytes: Buffer
  /** Of the file; undefined where there is none. */
  readonly id: string | undefined
}

class IndexPage extends CacheEntry {
  readonly bytes: Buffer
  readonly #pages: Map<number, IndexPage>
  readonly #number: number

  constructor(pages: Map<number, IndexPage>, number: number, bytes: Buffer) {
    super()
    this.bytes = bytes
    this.#pages = pages
    this.#number = number
  }

  override evicted(): void {
    this.#pages.delete(this.#number)
  }
}

/** An entry begins with the field it is looked up by: int32 in 8-byte entries, int64 in 12-byte ones. */
export type IndexEntryBytes = 8 | 12

export class IndexFile {
  readonly #fileSystem: FileSystem
  readonly #cache: MemoryCache
  readonly #entryBytes: IndexEntryBytes
  readonly #entriesPerPage: number
  readonly #pages = new Map<number, IndexPage>()
  #path: string
  #persisted: number
  #tail: Buffer = EMPTY
  #tailEntries = 0
  /** The file's own entries are void: `sync` replaces it. */
  #replacing = false
  /** While the file is being cut or replaced, what is added waits in the tail. */
  #held = false
  #isRetired = false
  /** Of the file that its entries are of; undefined where that cannot be told. */
  #id: string | undefined
  /** Beside a writer: told that the name has another file now, or none. What is not in memory cannot be had then. */
  onReplaced: (() => void) | undefined = undefined

  /** @param persistedEntries how many entries of the file are good; 0 where there is none yet. */
  constructor(
    fileSystem: FileSystem,
    path: string,
    entryBytes: IndexEntryBytes,
    cache: MemoryCache,
    persistedEntries: number,
  ) {
    this.#fileSystem = fileSystem
    this.#path = path
    this.#entryBytes = entryBytes
    this.#entriesPerPage = entriesPerPage(entryBytes)
    this.#cache = cache
    this.#persisted = persistedEntries
  }

  get path(): string {
    return this.#path
  }

  get count(): number {
    return this.#persisted + this.#tailEntries
  }

  get sizeBytes(): number {
    return this.count * this.#entryBytes
  }

  /** The file has this name from now on. */
  renamed(path: string): void {
    this.#path = path
  }

  /** The entry whose looked-up field is the greatest one <= `value`; -1 where all are above it. */
  lookup(value: number): number {
    let low = 0
    let high = this.count
    // The end is looked up most, and a search through a large index reads a page for each step.
    if (high > 0 && this.#key(high - 1) <= value) return high - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#key(middle) <= value) low = middle + 1
      else high = middle
    }
    return low - 1
  }

  /** The int32 `fieldAt` bytes into entry `index`. */
  int32At(index: number, fieldAt: number): number {
    return this.#bytesOf(index).readInt32BE(this.#placeOf(index) + fieldAt)
  }

  /** The int64 `fieldAt` bytes into entry `index`. */
  int64At(index: number, fieldAt: number): number {
    return readInt64(this.#bytesOf(index), this.#placeOf(index) + fieldAt)
  }

  /** Makes room for one entry behind the last; the caller fills it in at once, at `at` of `bytes`. */
  extend(): { readonly bytes: Buffer; readonly at: number } {
    const at = this.#tailEntries * this.#entryBytes
    if (at + this.#entryBytes > this.#tail.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(FIRST_TAIL_BYTES, this.#tail.length * 2))
      this.#tail.copy(larger, 0, 0, at)
      this.#tail = larger
    }
    this.#tailEntries += 1
    return { bytes: this.#tail, at }
  }

  /**
   * Writes the entries that are only in memory. Where it throws they stay there, and the next call writes them again.
   * Does nothing while the file is being synced, and from `reset` up to the next `sync`.
   */
  flushSync(): void {
    if (this.#tailEntries === 0 || this.#held || this.#replacing) return
    const handle = this.#openToWrite()
    try {
      const length = this.#tailEntries * this.#entryBytes
      handle.writeSync(this.#tail, 0, length, this.#persisted * this.#entryBytes)
    } finally {
      handle.closeSync()
    }
    this.#tailIsPersisted(this.#tailEntries)
  }

  /**
   * Makes the file exactly its entries so far (0 bytes where there are none) and syncs it. The name is the caller's to sync, save after `reset`.
   * One at a time; entries may be added meanwhile, and are written by the next flush, but none dropped.
   */
  async sync(): Promise<void> {
    this.flushSync()
    this.#held = true
    try {
      if (this.#replacing) await this.#replace()
      else await this.#trim(true)
    } finally {
      this.#held = false
    }
  }

  /** As `sync`, but durable only after `reset`: for the segment that is active, which the next recovery looks at in any case. */
  async cut(): Promise<void> {
    if (this.#replacing) return await this.sync()
    this.flushSync()
    this.#held = true
    try {
      await this.#trim(false)
    } finally {
      this.#held = false
    }
  }

  /** Drops all entries from `count` on. The file is cut by the next `sync`. */
  truncateTo(count: number): void {
    if (count >= this.#persisted) {
      this.#tailEntries = Math.min(this.#tailEntries, count - this.#persisted)
      return
    }
    this.#tailEntries = 0
    this.#persisted = count
  }

  /** Drops all entries, to build them again: they stay in memory until `sync` replaces the file with them. */
  reset(): void {
    this.truncateTo(0)
    this.#replacing = true
  }

  /** The end of the file as it was just read. */
  foundEnd({ firstEntry, bytes, id }: IndexEnd): void {
    this.#id = id
    if (bytes.length > 0) this.#keepPage(Math.floor(firstEntry / this.#entriesPerPage), bytes)
  }

  /** Gives all memory back; what was not written is lost. */
  dispose(): void {
    this.#dropPagesFrom(0)
    this.#tail = EMPTY
    this.#tailEntries = 0
  }

  /** As `dispose`, for good: its name is given to another file. */
  retire(): void {
    this.#isRetired = true
    this.dispose()
  }

  #key(index: number): number {
    return this.#entryBytes === 8 ? this.int32At(index, 0) : this.int64At(index, 0)
  }

  #bytesOf(index: number): Buffer {
    if (index >= this.#persisted) return this.#tail
    const number = Math.floor(index / this.#entriesPerPage)
    const page = this.#pages.get(number)
    if (page === undefined) return this.#readPage(number)
    this.#cache.touch(page)
    return page.bytes
  }

  #placeOf(index: number): number {
    const first =
      index >= this.#persisted
        ? this.#persisted
        : Math.floor(index / this.#entriesPerPage) * this.#entriesPerPage
    return (index - first) * this.#entryBytes
  }

  #readPage(number: number): Buffer {
    const first = number * this.#entriesPerPage
    const length = Math.min(this.#entriesPerPage, this.#persisted - first) * this.#entryBytes
    // Its own allocation: a slice of Node's pool would keep 8 KiB alive that the cache does not count.
    const bytes = Buffer.allocUnsafeSlow(length)
    const position = first * this.#entryBytes
    const handle = this.#openToRead()
    try {
      if (handle.readSync(bytes, 0, length, position) < length) {
        throw new CorruptLogError(this.#path, position, 'the index is shorter than its entries')
      }
    } finally {
      handle.closeSync()
    }
    this.#keepPage(number, bytes)
    return bytes
  }

  #keepPage(number: number, bytes: Buffer): void {
    const page = new IndexPage(this.#pages, number, bytes)
    this.#pages.set(number, page)
    this.#cache.add(page, bytes.length + PAGE_OVERHEAD_BYTES)
  }

  #dropPagesFrom(number: number): void {
    for (const [each, page] of this.#pages) {
      if (each < number) continue
      this.#cache.remove(page)
      this.#pages.delete(each)
    }
  }

  #openToRead(): FileHandle {
    if (this.#isRetired) throw new SegmentGoneError(this.#path)
    if (this.onReplaced === undefined) return this.#fileSystem.openSync(this.#path, 'read')
    const handle = this.#openIfThere()
    if (handle !== undefined && handle.idSync?.() === this.#id) return handle
    handle?.closeSync()
    this.onReplaced()
    throw new SegmentGoneError(this.#path)
  }

  #openIfThere(): FileHandle | undefined {
    try {
      return this.#fileSystem.openSync(this.#path, 'read')
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error
      return undefined
    }
  }

  #openToWrite(): FileHandle {
    try {
      return this.#fileSystem.openSync(this.#path, 'write')
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw error
      return this.#fileSystem.openSync(this.#path, 'create')
    }
  }

  async #trim(syncs: boolean): Promise<void> {
    const handle = this.#openToWrite()
    try {
      const size = this.#persisted * this.#entryBytes
      if (handle.sizeSync() > size) await handle.truncate(size)
      if (syncs) await handle.sync()
    } finally {
      handle.closeSync()
    }
  }

  async #replace(): Promise<void> {
    const entries = this.#tailEntries
    const bytes = this.#tail.subarray(0, entries * this.#entryBytes)
    await replaceFile(this.#fileSystem, this.#path, bytes)
    this.#replacing = false
    this.#tailIsPersisted(entries)
  }

  /** The first `entries` of the tail are in the file now; what came behind them meanwhile moves up. */
  #tailIsPersisted(entries: number): void {
    // Pages from here on end where the file ended, or are of entries that were cut off since.
    this.#dropPagesFrom(Math.floor(this.#persisted / this.#entriesPerPage))
    const rest = this.#tail.subarray(
      entries * this.#entryBytes,
      this.#tailEntries * this.#entryBytes,
    )
    this.#tail =
      rest.length === 0 && this.#tail.length <= PAGE_BYTES ? this.#tail : Buffer.from(rest)
    this.#persisted += entries
    this.#tailEntries -= entries
  }
}
