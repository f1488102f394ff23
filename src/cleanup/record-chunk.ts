import { BatchFormatError } from '../codec/batch-format-error.ts'
import { leftOver, RecordLayout } from '../codec/record-layout.ts'

/** About 0.1 ms of work: between two of them the event loop may get its turn. */
export const CHUNK_RECORDS = 256

/**
 * Some records of one batch, in columns instead of objects: what is done with one column in one loop is done several times as fast,
 * as the memory that a look-up waits for is then waited for by several at once.
 */
export class RecordChunk {
  count = 0
  /** Where each record begins in the page; behind the last one, where it ends. */
  readonly starts: Uint32Array = new Uint32Array(CHUNK_RECORDS + 1)
  readonly offsetDeltas: Uint32Array = new Uint32Array(CHUNK_RECORDS)
  readonly timestampDeltas: Float64Array = new Float64Array(CHUNK_RECORDS)
  readonly keyStarts: Uint32Array = new Uint32Array(CHUNK_RECORDS)
  /** -1: a null; that of the value as well. */
  readonly keyLengths: Int32Array = new Int32Array(CHUNK_RECORDS)
  readonly valueLengths: Int32Array = new Int32Array(CHUNK_RECORDS)
}

/** What of a batch's header its records are read by. */
export interface BatchRange {
  readonly count: number
  readonly lastOffsetDelta: number
}

/** Reads the records of a batch without compression, chunk by chunk, and checks them on the way. */
export class RecordReader {
  readonly #layout = new RecordLayout()
  #page: Uint8Array = new Uint8Array(0)
  #position = 0
  #end = 0
  #left = 0
  #previous = -1
  #lastOffsetDelta = 0

  /** [start, end) of the page are the record bytes of a batch. */
  begin(page: Uint8Array, start: number, end: number, range: BatchRange): void {
    this.#page = page
    this.#position = start
    this.#end = end
    this.#left = range.count
    this.#previous = -1
    this.#lastOffsetDelta = range.lastOffsetDelta
  }

  /** Fills the chunk with the next records; none are left where its count is 0. Throws a `BatchFormatError`. */
  read(chunk: RecordChunk): void {
    const layout = this.#layout
    const page = this.#page
    const end = this.#end
    const count = Math.min(this.#left, CHUNK_RECORDS)
    let position = this.#position
    for (let index = 0; index < count; index += 1) {
      chunk.starts[index] = position
      position = layout.read(page, position, end)
      const { offsetDelta } = layout
      if (offsetDelta <= this.#previous || offsetDelta > this.#lastOffsetDelta) {
        throw new BatchFormatError(`a record has the offset delta ${offsetDelta}`)
      }
      this.#previous = offsetDelta
      chunk.offsetDeltas[index] = offsetDelta
      chunk.timestampDeltas[index] = layout.timestampDelta
      chunk.keyStarts[index] = layout.keyStart
      chunk.keyLengths[index] = layout.keyLength
      chunk.valueLengths[index] = layout.valueLength
    }
    chunk.starts[count] = position
    chunk.count = count
    this.#position = position
    this.#left -= count
    if (this.#left === 0 && position !== end) throw leftOver('batch', end - position)
  }
}
