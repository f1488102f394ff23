import type { KeyMap } from './key-map.ts'
import type { BatchRange } from './record-chunk.ts'
import { CHUNK_RECORDS, RecordChunk, RecordReader } from './record-chunk.ts'

const NOTHING = Buffer.alloc(0)

/**
 * Sifts the records of batches, one after another, by the last offsets of their keys. The records of a batch lie without compression in a
 * page: `begin`, then `advance` until it answers true. What stays is
 * copied together as soon as anything does not; where all stays, nothing is copied.
 */
export class RecordSieve {
  /** Records that stay. */
  kept = 0
  /** Records that do not. */
  removed = 0
  /** One of those that stay is a tombstone. */
  hasTombstone = false
  /** The greatest of those that stay, less the batch's base timestamp. */
  maxTimestampDelta: number = Number.NEGATIVE_INFINITY
  readonly #reader = new RecordReader()
  readonly #chunk = new RecordChunk()
  readonly #found = new Float64Array(CHUNK_RECORDS)
  readonly #keys: KeyMap
  readonly #latestOffset: number
  #keepsTombstones = false
  #page: Buffer = NOTHING
  #end = 0
  #baseOffset = 0
  /** Where the records begin that stay and are not copied yet; -1: there are none. */
  #runStart = -1
  #copied: Buffer = NOTHING
  #copiedBytes = 0

  /** @param latestOffset records behind it are not in the map, and stay. */
  constructor(keys: KeyMap, latestOffset: number) {
    this.#keys = keys
    this.#latestOffset = latestOffset
  }

  /** [start, end) of the page are the record bytes of a batch that begins with this offset. */
  begin(
    page: Buffer,
    start: number,
    end: number,
    baseOffset: number,
    range: BatchRange,
    keepsTombstones: boolean,
  ): void {
    this.kept = 0
    this.removed = 0
    this.hasTombstone = false
    this.maxTimestampDelta = Number.NEGATIVE_INFINITY
    this.#reader.begin(page, start, end, range)
    this.#keepsTombstones = keepsTombstones
    this.#page = page
    this.#end = end
    this.#baseOffset = baseOffset
    this.#runStart = -1
    this.#copiedBytes = 0
    if (this.#copied.length < end - start) this.#copied = Buffer.allocUnsafeSlow(end - start)
  }

  /** Goes on by a chunk; true at the end of the batch. Throws a `BatchFormatError`. */
  advance(): boolean {
    const chunk = this.#chunk
    this.#reader.read(chunk)
    this.#keys.find(this.#page, chunk, this.#found)
    this.#sift(chunk)
    if (chunk.count === CHUNK_RECORDS) return false
    if (this.removed > 0) this.#copyRun(this.#end)
    return true
  }

  /** The records that stay, back to back. */
  get records(): Buffer {
    return this.#copied.subarray(0, this.#copiedBytes)
  }

  #sift(chunk: RecordChunk): void {
    const { count, starts, offsetDeltas, keyLengths, valueLengths } = chunk
    const found = this.#found
    const latestOffset = this.#latestOffset
    const keepsTombstones = this.#keepsTombstones
    for (let index = 0; index < count; index += 1) {
      const offset = this.#baseOffset + (offsetDeltas[index] as number)
      const isTombstone = (valueLengths[index] as number) < 0
      const isLast = (keyLengths[index] as number) >= 0 && offset >= (found[index] as number)
      if (offset > latestOffset || (isLast && (keepsTombstones || !isTombstone))) {
        this.#keep(chunk, index)
      } else {
        this.removed += 1
        this.#copyRun(starts[index] as number)
      }
    }
  }

  #keep({ starts, timestampDeltas, valueLengths }: RecordChunk, index: number): void {
    const timestampDelta = timestampDeltas[index] as number
    this.kept += 1
    if ((valueLengths[index] as number) < 0) this.hasTombstone = true
    if (timestampDelta > this.maxTimestampDelta) this.maxTimestampDelta = timestampDelta
    if (this.#runStart === -1) this.#runStart = starts[index] as number
  }

  #copyRun(end: number): void {
    if (this.#runStart === -1) return
    this.#copiedBytes += this.#page.copy(this.#copied, this.#copiedBytes, this.#runStart, end)
    this.#runStart = -1
  }
}
