/**
 * `.index`: where in the .log an offset lies, roughly.
 *
 *   | relativeOffset int32 | position int32 |   8 bytes an entry, big-endian
 *
 * `relativeOffset` is the LAST offset of a batch less the segment's base offset, `position` the byte where that batch STARTS.
 * Both strictly rise, and no entry is at position 0 (the first batch never gets one), so an entry of zeros is padding.
 * To find an offset: the greatest entry whose offset is <= it, then batch by batch. Source: Kafka's `OffsetIndex`.
 */
import { CorruptLogError } from '../errors.ts'
import type { FileSystem } from '../types.ts'
import { IndexFile } from './index-file.ts'
import type { MemoryCache } from './memory-cache.ts'

const ENTRY_BYTES = 8
const POSITION_AT = 4

export class OffsetIndex {
  static readonly entryBytes: number = ENTRY_BYTES
  /** Writes, syncs, cuts and renames. */
  readonly file: IndexFile

  /** @param persistedEntries how many entries of the file are good; see `saneEntries`. */
  constructor(fileSystem: FileSystem, path: string, cache: MemoryCache, persistedEntries: number) {
    this.file = new IndexFile(fileSystem, path, ENTRY_BYTES, cache, persistedEntries)
  }

  /** How many entries at the beginning of an index file are plausible for a .log of `logBytes`. Zeros end them. */
  static saneEntries(bytes: Buffer, logBytes: number): number {
    let lastOffset = -1
    let lastPosition = 0
    let count = 0
    for (let at = 0; at + ENTRY_BYTES <= bytes.length; at += ENTRY_BYTES) {
      const offset = bytes.readInt32BE(at)
      const position = bytes.readInt32BE(at + POSITION_AT)
      if (offset <= lastOffset || position <= lastPosition || position >= logBytes) break
      lastOffset = offset
      lastPosition = position
      count += 1
    }
    return count
  }

  get count(): number {
    return this.file.count
  }

  /** The last entry's relative offset; -1 where there is none. */
  get lastOffset(): number {
    return this.count === 0 ? -1 : this.offsetAt(this.count - 1)
  }

  /** No entry fits into an index of `maxBytes` any more: the segment is to be rolled. */
  isFull(maxBytes: number): boolean {
    return this.count >= Math.floor(maxBytes / ENTRY_BYTES)
  }

  /** The greatest entry whose relative offset is <= `relativeOffset`; -1 where there is none: begin at position 0. */
  lookup(relativeOffset: number): number {
    return this.file.lookup(relativeOffset)
  }

  offsetAt(index: number): number {
    return this.file.int32At(index, 0)
  }

  /** @throws CorruptLogError for one before the file: only the last entry is looked at when an index is opened. */
  positionAt(index: number): number {
    const position = this.file.int32At(index, POSITION_AT)
    if (position >= 0) return position
    const entryAt = index * ENTRY_BYTES
    throw new CorruptLogError(this.file.path, entryAt, `an entry leads to byte ${position}`)
  }

  /** Both are above the last entry's. */
  append(relativeOffset: number, position: number): void {
    const { bytes, at } = this.file.extend()
    bytes.writeInt32BE(relativeOffset, at)
    bytes.writeInt32BE(position, at + POSITION_AT)
  }
}
