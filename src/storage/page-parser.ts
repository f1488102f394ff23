import type { BatchFault } from '../codec/batch.ts'
import {
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  batchSizeAt,
  checkBatch,
  lastOffsetAt,
} from '../codec/batch.ts'
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
  const { buffer, segment, position } = window
  let { nextOffset } = window
  let at = 0
  for (;;) {
    const left = segment.sizeBytes - position - at
    if (at + BATCH_HEADER_BYTES > buffer.length && left >= BATCH_HEADER_BYTES) {
      return { kind: 'onward', position: position + at, bytes: BATCH_HEADER_BYTES, nextOffset }
    }
    if (left <= 0) return { kind: 'onward', position: position + at, bytes: 0, nextOffset }
    const fault = headerFault(buffer, at, left, nextOffset)
    if (fault !== undefined) return { kind: 'fault', position: position + at, fault, nextOffset }
    const size = batchSizeAt(buffer, at)
    if (lastOffsetAt(buffer, at) >= request.offset) {
      if (at + size <= buffer.length) return takeBatches(window, at, request, nextOffset)
      return { kind: 'onward', position: position + at, bytes: size, nextOffset }
    }
    nextOffset = lastOffsetAt(buffer, at) + 1
    at += size
  }
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
    let fault = headerFault(buffer, end, segment.sizeBytes - position - end, nextOffset)
    if (fault === undefined) {
      if (isPast(window, start, end, request)) break
      fault = crcFault(window, end)
    }
    if (fault !== undefined) {
      if (end > start) break
      return { kind: 'fault', position: position + end, fault, nextOffset }
    }
    nextOffset = lastOffsetAt(buffer, end) + 1
    end += batchSizeAt(buffer, end)
  }
  if (end > start) segment.verified(position + start, position + end)
  return { kind: 'batches', start, end }
}

/** The batch at `at` is not for this page: readers stop before it, it is not whole here, or too much with it. */
function isPast({ buffer }: Window, start: number, at: number, request: PageRequest): boolean {
  const end = at + batchSizeAt(buffer, at)
  if (baseOffsetAt(buffer, at) >= request.end || end > buffer.length) return true
  return at > start && end - start > request.maxBytes
}

function crcFault({ buffer, segment, position }: Window, at: number): BatchFault | undefined {
  const size = batchSizeAt(buffer, at)
  const isKnown = segment.isVerified(position + at, position + at + size)
  return isKnown ? undefined : checkBatch(buffer, at, size)
}
