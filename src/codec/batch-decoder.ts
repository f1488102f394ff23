/** From the record bytes of a batch to records, without an object a record. */
import type { ReadHeaders } from '../types.ts'
import type { BatchHeader } from './batch.ts'
import { MIN_RECORD_BYTES } from './batch.ts'
import { BatchFormatError } from './batch-format-error.ts'
import { VarintReader } from './varint.ts'

export { BatchFormatError } from './batch-format-error.ts'
export { RecordTable, recordPositions } from './record-table.ts'

/** Takes records as they are found. Starts are positions in `page`, a length of -1 is a null. */
export interface RecordSink {
  record(
    offset: number,
    timestamp: number,
    page: Buffer,
    keyStart: number,
    keyLength: number,
    valueStart: number,
    valueLength: number,
    headersStart: number,
    headerCount: number,
  ): void
}

/**
 * Hands out the records of a batch from `fromOffset` on, at most `maxRecords`, and answers with their number.
 * [start, end) of `page` are the record bytes, decompressed. Every record passed over is checked as well; when the
 * last one is reached, nothing may be left over. With an infinite `fromOffset` the batch is only checked.
 * Throws a `BatchFormatError`; records handed out before it are sound.
 */
export function decodeRecords(
  page: Buffer,
  start: number,
  end: number,
  header: BatchHeader,
  fromOffset: number,
  maxRecords: number,
  sink: RecordSink,
): number {
  return walk(page, start, end, header, header.count, fromOffset, maxRecords, sink)
}

/** As `decodeRecords`, for [start, end) being `count` whole records from within a batch (see `RecordTable`). */
export function decodeRecordRun(
  page: Buffer,
  start: number,
  end: number,
  header: BatchHeader,
  count: number,
  sink: RecordSink,
): number {
  return walk(page, start, end, header, count, 0, count, sink)
}

function walk(
  page: Buffer,
  start: number,
  end: number,
  header: BatchHeader,
  count: number,
  fromOffset: number,
  maxRecords: number,
  sink: RecordSink,
): number {
  const { baseOffset, lastOffset, baseTimestamp, maxTimestamp, isLogAppendTime } = header
  const reader = new VarintReader(page, start, end)
  let handedOut = 0
  let previous = baseOffset - 1
  for (let i = 0; i < count; i += 1) {
    if (handedOut >= maxRecords) return handedOut
    const recordEnd = enterRecord(reader)
    const timestampDelta = reader.readVarlong()
    const offset = baseOffset + reader.readVarint()
    if (offset <= previous || offset > lastOffset) throw badOffset(offset, previous, lastOffset)
    previous = offset
    const keyLength = reader.readVarint()
    const keyStart = reader.position
    reader.skip(keyLength)
    const valueLength = reader.readVarint()
    const valueStart = reader.position
    reader.skip(valueLength)
    const headerCount = reader.readVarint()
    const headersStart = reader.position
    if (headerCount !== 0) skipHeaders(reader, headerCount)
    if (reader.position !== recordEnd) throw leftOver('record', recordEnd - reader.position)
    reader.end = end
    if (offset < fromOffset) continue
    const timestamp = isLogAppendTime ? maxTimestamp : baseTimestamp + timestampDelta
    sink.record(
      offset,
      timestamp,
      page,
      keyStart,
      keyLength,
      valueStart,
      valueLength,
      headersStart,
      headerCount,
    )
    handedOut += 1
  }
  if (reader.position !== end) throw leftOver('batch', end - reader.position)
  return handedOut
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

/** Shared by all records without headers. */
const NO_HEADERS: ReadHeaders = Object.freeze({})

/** The headers of a record that `decodeRecords` handed out; values are views on the page. */
export function readHeaders(page: Buffer, headersStart: number, headerCount: number): ReadHeaders {
  if (headerCount === 0) return NO_HEADERS
  const headers: Record<string, Buffer | null | (Buffer | null)[]> = {}
  const reader = new VarintReader(page, headersStart, page.length)
  for (let i = 0; i < headerCount; i += 1) {
    const nameBytes = readBytes(page, reader)
    if (nameBytes === null) throw new BatchFormatError('a header has no name')
    const name = nameBytes.toString('utf8')
    const value = readBytes(page, reader)
    const before = Object.hasOwn(headers, name) ? headers[name] : undefined
    if (Array.isArray(before)) before.push(value)
    else setHeader(headers, name, before === undefined ? value : [before, value])
  }
  return headers
}

function readBytes(page: Buffer, reader: VarintReader): Buffer | null {
  const length = reader.readVarint()
  const start = reader.position
  reader.skip(length)
  return length < 0 ? null : page.subarray(start, start + length)
}

/** A plain assignment would take the name `__proto__` for the prototype. */
function setHeader(headers: object, name: string, value: unknown): void {
  Object.defineProperty(headers, name, {
    value,
    enumerable: true,
    configurable: true,
    writable: true,
  })
}

function badOffset(offset: number, previous: number, lastOffset: number): BatchFormatError {
  return new BatchFormatError(`offset ${offset} is not within ${previous + 1} to ${lastOffset}`)
}

function leftOver(what: string, bytes: number): BatchFormatError {
  return new BatchFormatError(`${bytes} bytes are left over at the end of a ${what}`)
}
