import type { BatchFault } from '../codec/batch.ts'
import {
  attributesAt,
  BATCH_HEADER_BYTES,
  baseOffsetAt,
  batchSizeAt,
  CONTROL_BIT,
  checkBatch,
  checkBatchHeader,
  lastOffsetAt,
} from '../codec/batch.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { DataFile } from './file-cache.ts'

/** A window's worth of bytes is checked at a time, so that the event loop gets its turn in between. */
const WINDOW_BYTES = 1024 * 1024

export type ScanFault = BatchFault | 'offset-order'

export interface ScanEnd {
  /** End of the last good batch; where `to` was reached, `to`. */
  readonly position: number
  /** The offset after the last good batch. */
  readonly nextOffset: number
  /** Why the scan went no further; undefined at the end. */
  readonly fault: ScanFault | undefined
}

export interface ScanRange {
  /** Start of a batch. */
  readonly from: number
  readonly to: number
  /** No batch from here on has a lower base offset. */
  readonly nextOffset: number
  /** From this position on the CRC is checked; before it the header alone. */
  readonly crcFrom: number
}

/** Told of each good batch: it lies at `at` in `buffer` and at `position` in the file. */
export type BatchVisitor = (buffer: Buffer, at: number, position: number) => void

/**
 * Walks over the batches of a file, up to the first that fails. Batches that are checked by their header alone are not
 * read whole, so `buffer` may hold only their first `BATCH_HEADER_BYTES`; control batches are always whole in it.
 */
export async function scanBatches(
  file: DataFile,
  range: ScanRange,
  visit: BatchVisitor,
): Promise<ScanEnd> {
  const { to, crcFrom } = range
  let { from: position, nextOffset } = range
  let needed = BATCH_HEADER_BYTES
  while (position < to) {
    if (turnIsLong()) await nextTurn()
    const wanted = Math.min(Math.max(WINDOW_BYTES, needed), to - position)
    const window = await readRange(file, position, wanted)
    // The file is shorter than it was said to be.
    if (window.length < wanted) return { position, nextOffset, fault: 'truncated' }
    const start = position
    needed = BATCH_HEADER_BYTES
    for (;;) {
      const at = position - start
      if (at + BATCH_HEADER_BYTES > window.length) {
        if (position + BATCH_HEADER_BYTES > to && position < to)
          return { position, nextOffset, fault: 'truncated' }
        break
      }
      const fault = checkBatchHeader(window, at, to - position)
      if (fault !== undefined) return { position, nextOffset, fault }
      if (baseOffsetAt(window, at) < nextOffset)
        return { position, nextOffset, fault: 'offset-order' }
      const size = batchSizeAt(window, at)
      const isControl = (attributesAt(window, at) & CONTROL_BIT) !== 0
      if ((position >= crcFrom || isControl) && at + size > window.length) {
        needed = size
        break
      }
      if (position >= crcFrom) {
        if (checkBatch(window, at, size) !== undefined)
          return { position, nextOffset, fault: 'bad-crc' }
      }
      visit(window, at, position)
      nextOffset = lastOffsetAt(window, at) + 1
      position += size
      if (position >= to) break
    }
  }
  return { position, nextOffset, fault: undefined }
}

/**
 * The first position at or after `from` where a whole valid batch lies (CRC checked) that could come next: its base
 * offset is not below `nextOffset`, and below `offsetLimit`. -1 where there is none.
 */
export async function findValidBatch(
  file: DataFile,
  range: Pick<ScanRange, 'from' | 'to' | 'nextOffset'>,
  offsetLimit: number,
): Promise<number> {
  const { to, nextOffset } = range
  let position = range.from
  while (position + BATCH_HEADER_BYTES <= to) {
    if (turnIsLong()) await nextTurn()
    const window = await readRange(file, position, Math.min(WINDOW_BYTES, to - position))
    if (window.length < BATCH_HEADER_BYTES) return -1
    let at = nextCandidate(window, 0)
    for (; at !== -1; at = nextCandidate(window, at + 1)) {
      if (checkBatchHeader(window, at, to - position - at) !== undefined) continue
      const baseOffset = baseOffsetAt(window, at)
      if (baseOffset < nextOffset || baseOffset >= offsetLimit) continue
      if (await isValidBatch(file, window, at, position + at)) return position + at
    }
    position += window.length - BATCH_HEADER_BYTES + 1
  }
  return -1
}

/** True where all bytes of a range are zero. */
export async function isZero(file: DataFile, from: number, to: number): Promise<boolean> {
  const zeros = Buffer.alloc(Math.min(WINDOW_BYTES, Math.max(to - from, 0)))
  for (let position = from; position < to; ) {
    const window = await readRange(file, position, Math.min(WINDOW_BYTES, to - position))
    if (window.length === 0) return true
    if (!window.equals(zeros.subarray(0, window.length))) return false
    position += window.length
    if (turnIsLong()) await nextTurn()
  }
  return true
}

/** Reads a range, or what there is of it. */
export async function readRange(file: DataFile, position: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes)
  const read = await file.read(buffer, 0, bytes, position)
  return read === bytes ? buffer : buffer.subarray(0, read)
}

const MAGIC_POSITION = 16
const MAGIC = 2

/** The next place at which a header has the right magic and lies whole in the window. */
function nextCandidate(window: Buffer, from: number): number {
  const magicAt = window.indexOf(MAGIC, from + MAGIC_POSITION)
  if (magicAt === -1) return -1
  const at = magicAt - MAGIC_POSITION
  return at + BATCH_HEADER_BYTES <= window.length ? at : -1
}

async function isValidBatch(
  file: DataFile,
  window: Buffer,
  at: number,
  position: number,
): Promise<boolean> {
  const size = batchSizeAt(window, at)
  if (at + size <= window.length) return checkBatch(window, at, size) === undefined
  const whole = await readRange(file, position, size)
  return whole.length === size && checkBatch(whole, 0, size) === undefined
}
