/**
 * `.timeindex`: up to which offset all timestamps are at most a given one.
 *
 *   | timestamp int64 | relativeOffset int32 |   12 bytes an entry, big-endian
 *
 * `timestamp` (milliseconds) is the greatest of the segment up to the entry, `relativeOffset` the last offset of the batch that has it,
 * less the segment's base offset. Timestamps strictly rise, offsets never fall. Source: Kafka's `TimeIndex`.
 */
import { readInt64, writeInt64 } from '../codec/int64.ts'
import type { FileSystem } from '../types.ts'
import { IndexFile } from './index-file.ts'
import type { MemoryCache } from './memory-cache.ts'

const ENTRY_BYTES = 12
const OFFSET_AT = 8

export class TimeIndex {
  static readonly entryBytes: number = ENTRY_BYTES
  /** Writes, syncs, cuts and renames. */
  readonly file: IndexFile

  /** @param persistedEntries how many entries of the file are good; see `saneEntries`. */
  constructor(fileSystem: FileSystem, path: string, cache: MemoryCache, persistedEntries: number) {
    this.file = new IndexFile(fileSystem, path, ENTRY_BYTES, cache, persistedEntries)
  }

  /**
   * How many entries at the beginning of an index file are plausible. Zeros end them, save that timestamp 0 at relative
   * offset 0 is a first entry where it is the only one or a plausible one follows.
   */
  static saneEntries(bytes: Buffer): number {
    const slots = Math.floor(bytes.length / ENTRY_BYTES)
    let lastTimestamp = -1
    let lastOffset = 0
    let count = 0
    for (; count < slots; count += 1) {
      const timestamp = readInt64(bytes, count * ENTRY_BYTES)
      const offset = bytes.readInt32BE(count * ENTRY_BYTES + OFFSET_AT)
      if (timestamp <= lastTimestamp || offset < lastOffset) break
      if (!Number.isSafeInteger(timestamp)) break
      lastTimestamp = timestamp
      lastOffset = offset
    }
    const onlyZeros = count === 1 && lastTimestamp === 0 && lastOffset === 0
    return onlyZeros && bytes.length !== ENTRY_BYTES ? 0 : count
  }

  get count(): number {
    return this.file.count
  }

  /** The last entry's timestamp, the greatest of all; -1 where there is none. */
  get lastTimestamp(): number {
    return this.count === 0 ? -1 : this.timestampAt(this.count - 1)
  }

  /** The last entry's relative offset; -1 where there is none. */
  get lastRelativeOffset(): number {
    return this.count === 0 ? -1 : this.relativeOffsetAt(this.count - 1)
  }

  /** One entry at most fits into an index of `maxBytes`, and that is kept for the roll: the segment is to be rolled. */
  isFull(maxBytes: number): boolean {
    return this.count >= Math.floor(maxBytes / ENTRY_BYTES) - 1
  }

  /** The greatest entry whose timestamp is <= `timestamp`; -1 where there is none: begin at position 0. */
  lookup(timestamp: number): number {
    return this.file.lookup(timestamp)
  }

  timestampAt(index: number): number {
    return this.file.int64At(index, 0)
  }

  relativeOffsetAt(index: number): number {
    return this.file.int32At(index, OFFSET_AT)
  }

  /** Adds an entry if its timestamp is above the last one's, and above -1 ("none"); tells whether it did. */
  maybeAppend(timestamp: number, relativeOffset: number): boolean {
    if (timestamp <= this.lastTimestamp) return false
    const { bytes, at } = this.file.extend()
    writeInt64(bytes, at, timestamp)
    bytes.writeInt32BE(relativeOffset, at + OFFSET_AT)
    return true
  }
}
