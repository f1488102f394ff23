/**
 * One record of magic 2, as in Kafka's `DefaultRecord`; every number a varint, timestampDelta a varlong:
 *
 *   | length | attributes (1 byte) | timestampDelta | offsetDelta | key | value | headerCount | headers … |
 *
 * Key and value are a length (-1: null) and bytes, a header is a UTF-8 name and a value like these.
 */
import type { HeaderValue, RecordHeaders } from '../types.ts'
import { varintSize, varlongSize, writeVarint, writeVarlong } from './varint.ts'

/** Up to this many characters a loop beats the call into native code. */
const SHORT_STRING = 48
/** Up to this many bytes a loop does. */
const SHORT_BYTES = 24
/** From here on a number takes more than two bytes, zigzag-encoded; from half of it on, before. */
const THREE_BYTES_FROM = 0x4000

/** Writes a record at `at` and answers with its end; -1 where it would pass `limit`, and nothing is written from there on. */
export function writeRecord(
  buffer: Buffer,
  at: number,
  limit: number,
  offsetDelta: number,
  timestampDelta: number,
  key: string | Uint8Array | null,
  value: Uint8Array | null,
  headers: RecordHeaders | undefined,
): number {
  if (headers === undefined && timestampDelta === (timestampDelta | 0)) {
    const end = writeCommon(buffer, at, limit, offsetDelta, timestampDelta, key, value)
    if (end !== NOT_COMMON) return end
  }
  return writeAny(buffer, at, limit, offsetDelta, timestampDelta, key, value, headers)
}

const NOT_COMMON = -2

/**
 * Writes a record as most are: without headers, well within the limit, the key bytes or short and ASCII, no number above two
 * bytes; another one is `NOT_COMMON`, and what was written of it is written over. The general way takes half as long again.
 */
function writeCommon(
  buffer: Buffer,
  at: number,
  limit: number,
  offsetDelta: number,
  timestampDelta: number,
  key: string | Uint8Array | null,
  value: Uint8Array | null,
): number {
  const keyLength = key === null ? -1 : key.length
  const valueLength = value === null ? -1 : value.length
  const timestamp = (timestampDelta << 1) ^ (timestampDelta >> 31)
  const offset = (offsetDelta << 1) ^ (offsetDelta >> 31)
  const keyNumber = (keyLength << 1) ^ (keyLength >> 31)
  const valueNumber = (valueLength << 1) ^ (valueLength >> 31)
  if ((timestamp | offset | keyNumber | valueNumber) >>> 0 >= THREE_BYTES_FROM) return NOT_COMMON
  const bodyBytes =
    2 +
    shortBytes(timestamp) +
    shortBytes(offset) +
    shortBytes(keyNumber) +
    (keyNumber >>> 1) +
    shortBytes(valueNumber) +
    (valueNumber >>> 1)
  if (bodyBytes >= THREE_BYTES_FROM / 2 || at + 2 + bodyBytes > limit) return NOT_COMMON
  let position = writeShort(buffer, at, bodyBytes << 1)
  buffer[position] = 0
  position = writeShort(buffer, position + 1, timestamp)
  position = writeShort(buffer, position, offset)
  position = writeShort(buffer, position, keyNumber)
  if (typeof key === 'string') {
    if (keyLength > SHORT_STRING || !writeAscii(buffer, position, key)) return NOT_COMMON
  } else if (key !== null) copyBytes(buffer, position, key, keyLength)
  position = writeShort(buffer, position + (keyNumber >>> 1), valueNumber)
  if (value !== null) copyBytes(buffer, position, value, valueLength)
  position += valueNumber >>> 1
  buffer[position] = 0
  return position + 1
}

function shortBytes(zigzag: number): number {
  return zigzag < 0x80 ? 1 : 2
}

/** Writes a number of at most two bytes. */
function writeShort(buffer: Buffer, at: number, zigzag: number): number {
  if (zigzag < 0x80) {
    buffer[at] = zigzag
    return at + 1
  }
  buffer[at] = (zigzag & 0x7f) | 0x80
  buffer[at + 1] = zigzag >>> 7
  return at + 2
}

function copyBytes(buffer: Buffer, at: number, bytes: Uint8Array, length: number): void {
  if (length > SHORT_BYTES) buffer.set(bytes, at)
  else for (let i = 0; i < length; i += 1) buffer[at + i] = bytes[i] as number
}

/** A short key is taken to be ASCII until a character proves otherwise: measuring it first costs another loop. */
function writeAny(
  buffer: Buffer,
  at: number,
  limit: number,
  offsetDelta: number,
  timestampDelta: number,
  key: string | Uint8Array | null,
  value: Uint8Array | null,
  headers: RecordHeaders | undefined,
): number {
  const isShort = typeof key === 'string' && key.length <= SHORT_STRING
  const keyLength = isShort ? key.length : lengthOf(key)
  const valueLength = value === null ? -1 : value.length
  const bodyBytes =
    1 +
    varlongSize(timestampDelta) +
    varintSize(offsetDelta) +
    sizeWithLength(keyLength) +
    sizeWithLength(valueLength) +
    (headers === undefined ? 1 : headersSize(headers))
  if (at + varintSize(bodyBytes) + bodyBytes > limit) return -1
  let position = writeVarint(buffer, at, bodyBytes)
  buffer[position++] = 0
  position = writeVarlong(buffer, position, timestampDelta)
  position = writeVarint(buffer, position, offsetDelta)
  if (isShort) {
    position = writeVarint(buffer, position, keyLength)
    if (!writeAscii(buffer, position, key)) {
      const encoded = Buffer.from(key, 'utf8')
      return writeAny(buffer, at, limit, offsetDelta, timestampDelta, encoded, value, headers)
    }
    position += keyLength
  } else position = writeBytes(buffer, position, key, keyLength)
  position = writeBytes(buffer, position, value, valueLength)
  if (headers === undefined) {
    buffer[position] = 0
    return position + 1
  }
  return writeHeaders(buffer, position, headers)
}

/** At least what `writeRecord` takes, without encoding anything: three bytes for each UTF-16 unit. */
export function recordSizeBound(
  key: string | Uint8Array | null,
  value: Uint8Array | null,
  headers: RecordHeaders | undefined,
): number {
  // Six varints of at most 5 bytes, the timestamp delta of at most 8, the attributes.
  let bytes = 39 + boundOf(key) + boundOf(value)
  if (headers === undefined) return bytes
  for (const name of Object.keys(headers)) {
    const given = headers[name] as HeaderValue | readonly HeaderValue[]
    for (const each of isList(given) ? given : [given]) bytes += 10 + boundOf(name) + boundOf(each)
  }
  return bytes
}

function boundOf(content: string | Uint8Array | null): number {
  if (content === null) return 0
  return typeof content === 'string' ? content.length * 3 : content.length
}

/** -1 for null. */
function lengthOf(content: string | Uint8Array | null): number {
  if (content === null) return -1
  return typeof content === 'string' ? Buffer.byteLength(content) : content.length
}

function sizeWithLength(length: number): number {
  return length > 0 ? varintSize(length) + length : 1
}

/** False at the first character that is not ASCII. */
function writeAscii(buffer: Buffer, at: number, text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i)
    if (code >= 0x80) return false
    buffer[at + i] = code
  }
  return true
}

/** The length and the bytes; `length` is what `lengthOf` gave. */
function writeBytes(
  buffer: Buffer,
  at: number,
  content: string | Uint8Array | null,
  length: number,
): number {
  const position = writeVarint(buffer, at, length)
  if (content === null) return position
  if (typeof content !== 'string') buffer.set(content, position)
  // As many bytes as UTF-16 units: it is ASCII, and latin1 is the faster way to write that.
  else if (length === content.length) buffer.write(content, position, length, 'latin1')
  else buffer.write(content, position, length, 'utf8')
  return position + length
}

function headersSize(headers: RecordHeaders): number {
  let count = 0
  let bytes = 0
  for (const name of Object.keys(headers)) {
    const given = headers[name] as HeaderValue | readonly HeaderValue[]
    const nameBytes = sizeWithLength(Buffer.byteLength(name))
    if (!isList(given)) {
      count += 1
      bytes += nameBytes + sizeWithLength(lengthOf(given))
      continue
    }
    count += given.length
    for (const each of given) bytes += nameBytes + sizeWithLength(lengthOf(each))
  }
  return varintSize(count) + bytes
}

function writeHeaders(buffer: Buffer, at: number, headers: RecordHeaders): number {
  const names = Object.keys(headers)
  let count = 0
  for (const name of names) {
    const given = headers[name] as HeaderValue | readonly HeaderValue[]
    count += isList(given) ? given.length : 1
  }
  let position = writeVarint(buffer, at, count)
  for (const name of names) {
    const given = headers[name] as HeaderValue | readonly HeaderValue[]
    for (const each of isList(given) ? given : [given]) {
      position = writeBytes(buffer, position, name, Buffer.byteLength(name))
      position = writeBytes(buffer, position, each, lengthOf(each))
    }
  }
  return position
}

/** `Array.isArray` that knows a read-only array. */
function isList(given: HeaderValue | readonly HeaderValue[]): given is readonly HeaderValue[] {
  return Array.isArray(given)
}
