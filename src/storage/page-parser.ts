import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  batchSizeAt,
  checkBatch,
  lastOffsetAt,
} from '../codec/batch.ts'
import { judgeOffsets, OFFSETS_FALSE, OFFSETS_SOUND } from './offset-order.ts'
import type { PageRequest } from './page.ts'
import type { Segment } from './segment.ts'
import type { ScanFault } from './segment-scan.ts'
import { headerFault } from './segment-scan.ts'

/** Bytes read from a segment at a position, in which an offset is looked for. */
export interface Window {
  readonly buffer: Buffer
  readonly segment: Segment
  /** Of the buffer's first byte, in the .log; a batch starts there. */
  readonly position: number
  /** No batch here has a lower base offset. */
  readonly nextOffset: number
  /** Batches before the offset are passed by their headers alone. Default true. */
  readonly trustsHeaders?: boolean
}

/** Reads a window at once; the segment's file is ready. */
export function readWindow(
  segment: Segment,
  position: number,
  bytes: number,
  nextOffset: number,
): Window {
  const buffer = Buffer.allocUnsafe(bytes)
  const read = segment.file.readSync(buffer, 0, bytes, position)
  return { buffer: buffer.subarray(0, read), segment, position, nextOffset }
}

/** What a window holds of what was asked for. */
export type Parsed =
  /** Verified batches, [start, end) of the buffer; empty where the next batch is not for readers yet. */
  | { readonly kind: 'batches'; readonly start: number; readonly end: number }
  /** Read on at `position`, at least `bytes`. */
  | {
      readonly kind: 'onward'
      readonly position: number
      readonly bytes: number
      readonly nextOffset: number
    }
  /** The batch at `position` fails its checks. */
  | {
      readonly kind: 'fault'
      readonly position: number
      readonly fault: ScanFault
      readonly nextOffset: number
    }

/** Of a page, so that many small batches do not hold the event loop longer than few large ones. */
const MAX_BATCHES = 500

function mostBatches({ allBatches }: PageRequest): number {
  return allBatches === true ? Number.POSITIVE_INFINITY : MAX_BATCHES
}

/** Walks to the batch that holds the offset, then takes what is whole and good from there on. Pure but for `segment.verified`. */
export function parseWindow(window: Window, request: PageRequest): Parsed {
  const { buffer, segment, position, trustsHeaders = true } = window
  let { nextOffset } = window
  let at = 0
  for (;;) {
    const left = segment.sizeBytes - position - at
    if (at + BATCH_HEADER_BYTES > buffer.length && left >= BATCH_HEADER_BYTES) {
      return { kind: 'onward', position: position + at, bytes: BATCH_HEADER_BYTES, nextOffset }
    }
    if (left <= 0) return { kind: 'onward', position: position + at, bytes: 0, nextOffset }
    const fault = headerFault(buffer, at, left, nextOffset, segment.offsetLimit)
    if (fault !== undefined) return { kind: 'fault', position: position + at, fault, nextOffset }
    if (lastOffsetAt(buffer, at) >= request.offset) {
      return takeFrom(window, at, left, request, nextOffset)
    }
    const obstacle = trustsHeaders ? undefined : obstacleToPass(window, at, nextOffset)
    if (obstacle !== undefined) return obstacle
    nextOffset = lastOffsetAt(buffer, at) + 1
    at += batchSizeAt(buffer, at)
  }
}

/** The batch at `at` is the first that is wanted; `left` bytes are there from it to the end of the file. */
function takeFrom(
  window: Window,
  at: number,
  left: number,
  request: PageRequest,
  nextOffset: number,
): Parsed {
  const { buffer, position } = window
  const size = batchSizeAt(buffer, at)
  if (at + size <= buffer.length) return takeBatches(window, at, request, nextOffset)
  // With the header behind it, by which its offsets are judged.
  const bytes = Math.min(size + BATCH_HEADER_BYTES, left)
  return { kind: 'onward', position: position + at, bytes, nextOffset }
}

/** Why the batch at `at`, whose header is sound, is not passed; undefined where it is. */
function obstacleToPass(window: Window, at: number, nextOffset: number): Parsed | undefined {
  const { buffer, segment } = window
  const position = window.position + at
  const size = batchSizeAt(buffer, at)
  if (segment.isVerified(position, position + size)) return undefined
  if (at + size > buffer.length) return { kind: 'onward', position, bytes: size, nextOffset }
  const bad = checkBatch(buffer, at, size)
  if (bad !== undefined) return { kind: 'fault', position, fault: bad, nextOffset }
  const judged = judgeOffsets(buffer, at, segment.sizeBytes - position, nextOffset)
  if (judged > OFFSETS_SOUND) return { kind: 'onward', position, bytes: judged, nextOffset }
  if (judged === OFFSETS_SOUND) return undefined
  return { kind: 'fault', position, fault: 'offset-order', nextOffset }
}

/** The end of the whole batches from `start` on that one request may have; they are known to be good. */
export function wholeBatches(
  buffer: Buffer,
  start: number,
  limit: number,
  request: PageRequest,
): number {
  let end = start
  const most = mostBatches(request)
  for (let count = 0; end < limit && count < most; count += 1) {
    const size = batchSizeAt(buffer, end)
    if (baseOffsetAt(buffer, end) >= request.end) break
    if (end > start && end + size - start > request.maxBytes) break
    end += size
  }
  return end
}

function takeBatches(window: Window, start: number, request: PageRequest, first: number): Parsed {
  const { buffer, segment, position } = window
  let nextOffset = first
  let end = start
  const most = mostBatches(request)
  for (let count = 0; end + BATCH_HEADER_BYTES <= buffer.length; count += 1) {
    if (count === most) break
    const obstacle = obstacleAt(window, start, end, nextOffset, request)
    if (obstacle === PAST || (obstacle !== undefined && end > start)) break
    if (obstacle !== undefined) return obstacle
    nextOffset = lastOffsetAt(buffer, end) + 1
    end += batchSizeAt(buffer, end)
  }
  if (end > start) segment.verified(position + start, position + end)
  return { kind: 'batches', start, end }
}

/** The batch is not for this page. */
const PAST: unique symbol = Symbol('past')

/** Why the batch at `at` is not taken; undefined where it is. What passed the checks before is not checked again. */
function obstacleAt(
  window: Window,
  start: number,
  at: number,
  nextOffset: number,
  request: PageRequest,
): Parsed | typeof PAST | undefined {
  const { buffer, segment, position: windowPosition } = window
  const position = windowPosition + at
  const left = segment.sizeBytes - position
  let fault = headerFault(buffer, at, left, nextOffset, segment.offsetLimit)
  if (fault === undefined) {
    const size = batchSizeAt(buffer, at)
    const isKnown = segment.isVerified(position, position + size)
    const judged = isKnown ? OFFSETS_SOUND : judgeOffsets(buffer, at, left, nextOffset)
    if (judged > OFFSETS_SOUND) return { kind: 'onward', position, bytes: judged, nextOffset }
    if (judged === OFFSETS_FALSE) fault = 'offset-order'
    else if (isPast(window, start, at, request)) return PAST
    else if (!isKnown) fault = checkBatch(buffer, at, size)
  }
  return fault === undefined ? undefined : { kind: 'fault', position, fault, nextOffset }
}

/** Readers stop before the batch at `at`, it is not whole here, or too much with what is from `start` on. */
function isPast({ buffer }: Window, start: number, at: number, request: PageRequest): boolean {
  const end = at + batchSizeAt(buffer, at)
  if (baseOffsetAt(buffer, at) >= request.end || end > buffer.length) return true
  return at > start && end - start > request.maxBytes
}

/** For people. */
export function faultText(fault: ScanFault): string {
  switch (fault) {
    case 'bad-crc':
      return 'a record batch fails its CRC'
    case 'truncated':
      return 'a record batch is longer than the file'
    case 'offset-order':
      return 'a record batch has offsets that belong to others'
    default:
      return 'the bytes are not a record batch'
  }
}

/** The bytes are the beginning of a window that needs no further read. */
export function beginsWithWholeBatch(bytes: Buffer): boolean {
  return bytes.length >= BATCH_HEADER_BYTES && batchSizeAt(bytes, 0) <= bytes.length
}

/** The offset behind the last of the whole batches in [start, end). */
export function nextOffsetOf(buffer: Buffer, start: number, end: number): number {
  let last = start
  for (let at = start; at < end; at += batchSizeAt(buffer, at)) last = at
  return lastOffsetAt(buffer, last) + 1
}
