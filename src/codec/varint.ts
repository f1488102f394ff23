/**
 * Kafka's varint (int32) and varlong (here: safe integers): zigzag-encoded, 7 bits a byte, least significant first.
 * Source: Protocol Buffers encoding, as in Kafka's `ByteUtils`.
 */
import { BatchFormatError } from './batch-format-error.ts'

const TWO_27 = 2 ** 27
const TWO_31 = 2 ** 31

/** Bytes that `writeVarint` takes for an int32. */
export function varintSize(value: number): number {
  const zigzag = ((value << 1) ^ (value >> 31)) >>> 0
  if (zigzag < 0x80) return 1
  if (zigzag < 0x4000) return 2
  if (zigzag < 0x20_0000) return 3
  return zigzag < 0x1000_0000 ? 4 : 5
}

/** Writes an int32 and answers with the position behind it. */
export function writeVarint(buffer: Uint8Array, at: number, value: number): number {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  if (rest < 0x80) {
    buffer[at] = rest
    return at + 1
  }
  let position = at
  while (rest >= 0x80) {
    buffer[position++] = rest | 0x80
    rest >>>= 7
  }
  buffer[position++] = rest
  return position
}

/** Bytes that `writeVarlong` takes; a `RangeError` for what is no safe integer. */
export function varlongSize(value: number): number {
  if ((value | 0) === value) return varintSize(value)
  const half = halfZigzag(value)
  if (half < 2 ** 34) return 5
  if (half < 2 ** 41) return 6
  return half < 2 ** 48 ? 7 : 8
}

/** Writes a safe integer (else a `RangeError`) and answers with the position behind it. */
export function writeVarlong(buffer: Uint8Array, at: number, value: number): number {
  if ((value | 0) === value) return writeVarint(buffer, at, value)
  const half = halfZigzag(value)
  let high = Math.floor(half / TWO_31)
  let low = (((half % TWO_31) << 1) | (value < 0 ? 1 : 0)) >>> 0
  let position = at
  while (high > 0 || low >= 0x80) {
    buffer[position++] = low | 0x80
    low = ((low >>> 7) | (high << 25)) >>> 0
    high >>>= 7
  }
  buffer[position++] = low
  return position
}

/** The zigzag form without its lowest bit, which is the sign: the whole would pass 2^53. */
function halfZigzag(value: number): number {
  if (!Number.isSafeInteger(value)) throw new RangeError(`${value} is not a safe integer`)
  return value < 0 ? -(value + 1) : value
}

/** Reads varints one after another without allocating; anything past `end` is a `BatchFormatError`. */
export class VarintReader {
  /** The next byte to be read. */
  position: number
  /** Nothing from here on is read. At most the buffer's length. */
  end: number
  readonly #buffer: Uint8Array

  constructor(buffer: Uint8Array, start: number, end: number) {
    if (start < 0 || end > buffer.length) throw new RangeError('the range is outside the buffer')
    this.#buffer = buffer
    this.position = start
    this.end = end
  }

  /** An int32. */
  readVarint(): number {
    const at = this.position
    if (at >= this.end) throw cutShort()
    const first = this.#buffer[at] as number
    if (first >= 0x80) return this.#readLongVarint(first)
    this.position = at + 1
    return (first >>> 1) ^ -(first & 1)
  }

  /** An int64 that must be a safe integer. */
  readVarlong(): number {
    const at = this.position
    if (at >= this.end) throw cutShort()
    const first = this.#buffer[at] as number
    if (first >= 0x80) return this.#readLongVarlong(first)
    this.position = at + 1
    return (first >>> 1) ^ -(first & 1)
  }

  /** Passes over `length` bytes. -1, a null, takes none; below that is an error. */
  skip(length: number): void {
    if (length > this.end - this.position || length < -1) throw badLength(length)
    if (length > 0) this.position += length
  }

  #readLongVarint(first: number): number {
    const buffer = this.#buffer
    const { end } = this
    let at = this.position + 1
    let zigzag = first & 0x7f
    for (let shift = 7; shift <= 28; shift += 7) {
      if (at >= end) throw cutShort()
      const byte = buffer[at++] as number
      if (shift === 28 && byte > 0x0f) break
      zigzag |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        this.position = at
        return (zigzag >>> 1) ^ -(zigzag & 1)
      }
    }
    throw new BatchFormatError('a varint is above 32 bits')
  }

  /** The lower 28 bits are gathered as integers, what lies above them by multiplication. */
  #readLongVarlong(first: number): number {
    const buffer = this.#buffer
    const { end } = this
    let at = this.position + 1
    let low = first & 0x7f
    let high = 0
    for (let shift = 7; shift <= 63; shift += 7) {
      if (at >= end) throw cutShort()
      const byte = buffer[at++] as number
      if (shift < 28) low |= (byte & 0x7f) << shift
      else high += (byte & 0x7f) * 2 ** (shift - 28)
      if (byte < 0x80) {
        this.position = at
        return unzigzag(high, low)
      }
    }
    throw new BatchFormatError('a varlong is above 64 bits')
  }
}

function unzigzag(high: number, low: number): number {
  const half = high * TWO_27 + (low >>> 1)
  const value = (low & 1) === 0 ? half : -half - 1
  if (!Number.isSafeInteger(value)) throw new BatchFormatError('a varlong is no safe integer')
  return value
}

function cutShort(): BatchFormatError {
  return new BatchFormatError('a record ends within a number')
}

function badLength(length: number): BatchFormatError {
  return new BatchFormatError(`a length of ${length} does not fit its record`)
}
