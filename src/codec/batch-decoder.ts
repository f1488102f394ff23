/** From the record bytes of a batch to records, without an object a record. */
import type { ReadHeaders } from '../types.ts'
import type { BatchHeader } from './batch.ts'
import { BatchFormatError } from './batch-format-error.ts'
import { leftOver, RecordLayout } from './record-layout.ts'
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
  if (start < 0 || end > page.length) throw new RangeError('the range is outside the page')
  const layout = new RecordLayout()
  let position = start
  let handedOut = 0
  let previous = baseOffset - 1
  for (let i = 0; i < count; i += 1) {
    if (handedOut >= maxRecords) return handedOut
    position = layout.read(page, position, end)
    const offset = baseOffset + layout.offsetDelta
    if (offset <= previous || offset > lastOffset) throw badOffset(offset, previous, lastOffset)
    previous = offset
    if (offset < fromOffset) continue
    sink.record(
      offset,
      isLogAppendTime ? maxTimestamp : baseTimestamp + layout.timestampDelta,
      page,
      layout.keyStart,
      layout.keyLength,
      layout.valueStart,
      layout.valueLength,
      layout.headersStart,
      layout.headerCount,
    )
    handedOut += 1
  }
  if (position !== end) throw leftOver('batch', end - position)
  return handedOut
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
