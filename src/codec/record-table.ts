/** Where each record of a batch stands, so that a look-up reads only the records it wants. */
import type { BatchHeader } from './batch.ts'
import { BATCH_HEADER_BYTES, MIN_RECORD_BYTES } from './batch.ts'
import { BatchFormatError } from './batch-format-error.ts'
import { VarintReader } from './varint.ts'

/** An object, a header and two array views, as V8 lays them out: an estimate. */
const FIXED_BYTES = 400

/**
 * The table of one batch. Positions count from the first byte of the batch, its records decompressed; records are numbered
 * from 0. For a run of records: read [positionAt(i), positionAt(i + n)) and give it to `decodeRecordRun`.
 */
export class RecordTable {
  readonly header: BatchHeader
  readonly #positions: Uint32Array
  /** Undefined where offsets have no gaps. */
  readonly #offsetDeltas: Uint32Array | undefined

  /** `positions` has one more entry than there are records: the end of the batch. */
  constructor(header: BatchHeader, positions: Uint32Array, offsetDeltas: Uint32Array | undefined) {
    this.header = header
    this.#positions = positions
    this.#offsetDeltas = offsetDeltas
  }

  /** Number of records. */
  get count(): number {
    return this.#positions.length - 1
  }

  /** Memory that the table takes. */
  get sizeBytes(): number {
    return FIXED_BYTES + this.#positions.byteLength + (this.#offsetDeltas?.byteLength ?? 0)
  }

  /** The first record with this offset or one above it; `count` where there is none. */
  indexOf(offset: number): number {
    const delta = Math.max(0, offset - this.header.baseOffset)
    const deltas = this.#offsetDeltas
    if (deltas === undefined) return Math.min(delta, this.count)
    let low = 0
    let high = deltas.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((deltas[middle] as number) < delta) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Where the record `index` starts, 0 to `count`; for `count` the end of the batch. */
  positionAt(index: number): number {
    const position = this.#positions[index]
    if (position === undefined) throw new RangeError(`the batch has no record ${index}`)
    return position
  }

  /** Where the first record with this offset or one above it starts; the end of the batch where there is none. */
  positionOf(offset: number): number {
    return this.positionAt(this.indexOf(offset))
  }

  /** How many records from `index` on, of at most `wanted`, have at most `maxBytes`; at least 1 where any is wanted. */
  countWithin(index: number, wanted: number, maxBytes: number): number {
    const most = Math.min(wanted, this.count - index)
    const limit = this.positionAt(index) + maxBytes
    let low = Math.min(1, most)
    let high = most
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if (this.positionAt(index + middle) <= limit) low = middle
      else high = middle - 1
    }
    return low
  }

  /** The offset of the record `index`, 0 to `count` - 1. */
  offsetAt(index: number): number {
    const { baseOffset } = this.header
    if (this.#offsetDeltas === undefined) return baseOffset + index
    return baseOffset + (this.#offsetDeltas[index] ?? Number.NaN)
  }
}

/**
 * Builds the table from the decompressed record bytes [start, end) of a batch. Lengths, count and offsets are
 * checked (a `BatchFormatError`), what is within a record is not: `decodeRecordRun` does that.
 */
export function recordPositions(
  page: Buffer,
  start: number,
  end: number,
  header: BatchHeader,
): RecordTable {
  const { count } = header
  if (count * MIN_RECORD_BYTES > end - start) {
    throw new BatchFormatError(`${count} records do not fit ${end - start} bytes`)
  }
  const positions = new Uint32Array(count + 1)
  const offsetDeltas = new Uint32Array(count)
  const reader = new VarintReader(page, start, end)
  const lastOffsetDelta = header.lastOffset - header.baseOffset
  const toBatchStart = BATCH_HEADER_BYTES - start
  let previous = -1
  for (let i = 0; i < count; i += 1) {
    positions[i] = reader.position + toBatchStart
    const recordEnd = lengthOfRecord(reader) + reader.position
    reader.skip(1)
    reader.readVarlong()
    const offsetDelta = reader.readVarint()
    if (offsetDelta <= previous || offsetDelta > lastOffsetDelta) {
      throw new BatchFormatError(`a record has the offset delta ${offsetDelta}`)
    }
    offsetDeltas[i] = offsetDelta
    previous = offsetDelta
    reader.position = recordEnd
  }
  if (reader.position !== end) {
    throw new BatchFormatError(`${end - reader.position} bytes are left over at the end of a batch`)
  }
  positions[count] = end + toBatchStart
  // Rising from 0 or above, the last one can be count - 1 only where there is no gap before it.
  return new RecordTable(header, positions, previous === count - 1 ? undefined : offsetDeltas)
}

function lengthOfRecord(reader: VarintReader): number {
  const length = reader.readVarint()
  if (length < MIN_RECORD_BYTES - 1 || length > reader.end - reader.position) {
    throw new BatchFormatError(`a record has a length of ${length}`)
  }
  return length
}
