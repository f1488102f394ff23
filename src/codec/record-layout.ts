import { MIN_RECORD_BYTES } from './batch.ts'
import { BatchFormatError } from './batch-format-error.ts'
import { VarintReader } from './varint.ts'

/** A number from here on takes more than two bytes. */
const THREE_BYTES_FROM = 0x4000

/** Where the parts of a record lie in its page. One object serves a whole batch. */
export class RecordLayout {
  timestampDelta = 0
  offsetDelta = 0
  keyStart = 0
  /** -1: a null; that of the value as well. */
  keyLength = 0
  valueStart = 0
  valueLength = 0
  headersStart = 0
  headerCount = 0

  /** Reads the record at `start`; answers with its end, at most `end`. Throws a `BatchFormatError`. */
  read(page: Uint8Array, start: number, end: number): number {
    const recordEnd = this.#readCommon(page, start, end)
    return recordEnd === -1 ? this.#readAny(page, start, end) : recordEnd
  }

  /**
   * Reads a record that is as most are: sound, without headers, no number longer than two bytes. Answers with -1 where
   * it is not, `#readAny` then says what is wrong, or reads it. Numbers are read in place: through `VarintReader` a
   * record takes twice as long.
   *
   * The bytes b0 and b1 stand for b0 - 0x80 + b1 * 0x80. What lies past the page reads as undefined, and is found out by the
   * last check: all positions stand below a record's end that is not above `end`.
   */
  #readCommon(page: Uint8Array, start: number, end: number): number {
    let at = start
    let length = page[at++] as number
    if (length >= 0x80) length += ((page[at++] as number) - 1) * 0x80
    const recordEnd = at + (length >>> 1)
    at += 1
    let timestamp = page[at++] as number
    if (timestamp >= 0x80) timestamp += ((page[at++] as number) - 1) * 0x80
    let offset = page[at++] as number
    if (offset >= 0x80) offset += ((page[at++] as number) - 1) * 0x80
    let key = page[at++] as number
    if (key >= 0x80) key += ((page[at++] as number) - 1) * 0x80
    this.keyStart = at
    at += key >>> 1
    let value = page[at++] as number
    if (value >= 0x80) value += ((page[at++] as number) - 1) * 0x80
    this.valueStart = at
    at += value >>> 1
    const headers = page[at++]
    if (at !== recordEnd || recordEnd > end || headers !== 0) return -1
    if ((length | timestamp | offset | key | value) >= THREE_BYTES_FROM) return -1
    if (((length | offset) & 1) !== 0 || !isLength(key) || !isLength(value)) return -1
    this.timestampDelta = unzigzag(timestamp)
    this.offsetDelta = offset >>> 1
    this.keyLength = unzigzag(key)
    this.valueLength = unzigzag(value)
    this.headersStart = at
    this.headerCount = 0
    return recordEnd
  }

  #readAny(page: Uint8Array, start: number, end: number): number {
    const reader = new VarintReader(page, start, end)
    const recordEnd = enterRecord(reader)
    this.timestampDelta = reader.readVarlong()
    this.offsetDelta = reader.readVarint()
    this.keyLength = reader.readVarint()
    this.keyStart = reader.position
    reader.skip(this.keyLength)
    this.valueLength = reader.readVarint()
    this.valueStart = reader.position
    reader.skip(this.valueLength)
    this.headerCount = reader.readVarint()
    this.headersStart = reader.position
    if (this.headerCount !== 0) skipHeaders(reader, this.headerCount)
    if (reader.position !== recordEnd) throw leftOver('record', recordEnd - reader.position)
    return recordEnd
  }
}

/** Zigzag 1 is -1, a null. */
function isLength(zigzag: number): boolean {
  return (zigzag & 1) === 0 || zigzag === 1
}

function unzigzag(zigzag: number): number {
  return (zigzag >>> 1) ^ -(zigzag & 1)
}

/** Reads length and attributes and confines the reader to the record; answers with its end. */
function enterRecord(reader: VarintReader): number {
  const length = reader.readVarint()
  const recordEnd = reader.position + length
  if (length < MIN_RECORD_BYTES - 1 || recordEnd > reader.end) {
    throw new BatchFormatError(`a record has a length of ${length}`)
  }
  reader.end = recordEnd
  reader.position += 1
  return recordEnd
}

function skipHeaders(reader: VarintReader, count: number): void {
  if (count < 0) throw new BatchFormatError(`a record has ${count} headers`)
  for (let i = 0; i < count; i += 1) {
    const nameLength = reader.readVarint()
    if (nameLength < 0) throw new BatchFormatError('a header has no name')
    reader.skip(nameLength)
    reader.skip(reader.readVarint())
  }
}

export function leftOver(what: string, bytes: number): BatchFormatError {
  return new BatchFormatError(`${bytes} bytes are left over at the end of a ${what}`)
}
