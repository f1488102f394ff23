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
import { judgeOffsets, OFFSETS_FALSE, OFFSETS_SOUND } from './offset-order.ts'

/** Of offsets, where nothing is known of other segments. */
export const NO_LIMIT: number = Number.POSITIVE_INFINITY
/** A window's worth of bytes is checked at a time, so that the event loop gets its turn in between. */
const WINDOW_BYTES = 1024 * 1024
/** Windows grow up to that, as many a walk is short. */
const FIRST_WINDOW_BYTES = 64 * 1024
/** Of batches from this size on that need no check only the beginning is read, one after another. */
const LARGE_BATCH_BYTES = 16 * 1024
const HEAD_BYTES = 4 * 1024
const EMPTY = Buffer.alloc(0)

export type ScanFault = BatchFault | 'offset-order'

export interface ScanEnd {
  /** End of the last good batch; where `to` was reached, `to`. */
  readonly position: number
  /** The offset after the last good batch. */
  readonly nextOffset: number
  /** The offset before it: between the two may be a gap. */
  readonly precedingOffset: number
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
  /** Offsets from here on belong to other segments. Default none. */
  readonly offsetLimit?: number
}

/**
 * Told of each good batch: it lies at `at` in `buffer`, until it has answered, and at `position` in the file. Answers `STOP` to go no
 * further.
 */
export type BatchVisitor = (buffer: Buffer, at: number, position: number) => unknown

export const STOP: unique symbol = Symbol('stop')

/** How far a walk has come. */
interface Walk {
  position: number
  nextOffset: number
  /** Bytes that the next window must have at least. */
  needed: number
  fault: ScanFault | undefined
  isStopped: boolean
  /** The last batch was large, and not checked. */
  isHopping: boolean
  /** The offset before the last batch. */
  precedingOffset: number
  /** Where the last batch stands, if only its header was looked at; else -1. */
  trusted: number
}

/**
 * Walks over the batches of a file, up to the first that fails; `visit` may have been told of that one, where its header alone looked
 * good. Batches that are checked by their header alone are not read whole, so `buffer` may hold only their first `BATCH_HEADER_BYTES`; control batches are always whole in it.
 */
export async function scanBatches(
  file: DataFile,
  range: ScanRange,
  visit: BatchVisitor,
): Promise<ScanEnd> {
  const { from: position, nextOffset, to } = range
  const walk: Walk = {
    position,
    nextOffset,
    needed: BATCH_HEADER_BYTES,
    fault: undefined,
    isStopped: false,
    isHopping: false,
    precedingOffset: nextOffset,
    trusted: -1,
  }
  let windowBytes = FIRST_WINDOW_BYTES
  let buffer: Buffer = EMPTY
  while (walk.position < to && walk.fault === undefined && !walk.isStopped) {
    if (turnIsLong()) await nextTurn()
    const bytes = walk.isHopping ? HEAD_BYTES : windowBytes
    const wanted = Math.min(Math.max(bytes, walk.needed), to - walk.position)
    if (!walk.isHopping) windowBytes = Math.min(4 * windowBytes, WINDOW_BYTES)
    // One buffer for all windows: fresh memory is slow to touch.
    if (buffer.length < wanted) buffer = Buffer.allocUnsafeSlow(wanted)
    const read = await readInto(file, buffer, walk.position, wanted)
    // The file is shorter than it was said to be.
    if (read < wanted) walk.fault = 'truncated'
    else walkWindow(buffer.subarray(0, read), range, walk, visit)
  }
  if (walk.fault !== undefined && walk.trusted !== -1) await blameTrusted(file, range, walk)
  return walk
}

/**
 * A fault behind a batch of which only the header was looked at may be that batch's: with a damaged length it leads into those
 * that it hides. It is, where it fails its CRC and a whole one follows; else its offsets count as given.
 */
async function blameTrusted(file: DataFile, range: ScanRange, walk: Walk): Promise<void> {
  const { trusted: position, precedingOffset: nextOffset } = walk
  const header = await readRange(file, position, BATCH_HEADER_BYTES)
  if (header.length < BATCH_HEADER_BYTES || (await isValidBatch(file, header, 0, position))) return
  const faulty = { position, to: range.to, nextOffset }
  if ((await findNextBatch(file, faulty, range.offsetLimit ?? NO_LIMIT)) === -1) return
  walk.position = position
  walk.nextOffset = nextOffset
  walk.fault = 'bad-crc'
}

/** Walks on over a window that begins at `walk.position`, as far as what has to be seen of its batches is in it. */
function walkWindow(window: Buffer, range: ScanRange, walk: Walk, visit: BatchVisitor): void {
  const start = walk.position
  walk.needed = BATCH_HEADER_BYTES
  while (walk.position < range.to && !walk.isStopped) {
    const at = walk.position - start
    if (!isGood(window, at, range, walk)) return
    const size = batchSizeAt(window, at)
    walk.isStopped = visit(window, at, walk.position) === STOP
    const isTrusted = walk.position < range.crcFrom
    walk.isHopping = isTrusted && size >= LARGE_BATCH_BYTES
    walk.trusted = isTrusted ? walk.position : -1
    walk.precedingOffset = walk.nextOffset
    walk.nextOffset = lastOffsetAt(window, at) + 1
    walk.position += size
  }
}

/** Whether the batch at `walk.position`, `at` in the window, is as it should be; if not, the walk knows its fault, or what is needed to tell. */
function isGood(window: Buffer, at: number, range: ScanRange, walk: Walk): boolean {
  const { position, nextOffset } = walk
  const available = range.to - position
  if (at + Math.min(BATCH_HEADER_BYTES, available) > window.length) return false
  walk.fault = headerFault(window, at, available, nextOffset, range.offsetLimit ?? NO_LIMIT)
  if (walk.fault !== undefined) return false
  const size = batchSizeAt(window, at)
  const isChecked = position >= range.crcFrom
  const isWanted = isChecked || (attributesAt(window, at) & CONTROL_BIT) !== 0
  if (isWanted && at + size > window.length) {
    walk.needed = size
    return false
  }
  if (isChecked) walk.fault = checkBatch(window, at, size)
  if (walk.fault !== undefined) return false
  const judged = judgeOffsets(window, at, available, nextOffset)
  if (judged === OFFSETS_FALSE) walk.fault = 'offset-order'
  else if (judged !== OFFSETS_SOUND) walk.needed = judged
  return judged === OFFSETS_SOUND
}

/** As `scanBatches`, going on behind the lost writes that a recovery has marked, by their positions. */
export async function scanPassingLost(
  file: DataFile,
  range: ScanRange,
  lost: ReadonlySet<number>,
  visit: BatchVisitor,
): Promise<ScanEnd> {
  let end = await scanBatches(file, range, visit)
  while (end.fault !== undefined && lost.has(end.position)) {
    const { position, nextOffset } = end
    const faulty = { position, to: range.to, nextOffset }
    const from = await findNextBatch(file, faulty, range.offsetLimit ?? NO_LIMIT)
    if (from === -1) return end
    end = await scanBatches(file, { ...range, from, nextOffset }, visit)
  }
  return end
}

/** Why no batch that can come next begins at `at`, as far as its header tells; `available` bytes are there from it to the end. */
export function headerFault(
  buffer: Buffer,
  at: number,
  available: number,
  nextOffset: number,
  offsetLimit: number,
): ScanFault | undefined {
  const fault = checkBatchHeader(buffer, at, available)
  if (fault !== undefined) return fault
  const isInOrder = baseOffsetAt(buffer, at) >= nextOffset && lastOffsetAt(buffer, at) < offsetLimit
  return isInOrder ? undefined : 'offset-order'
}

/** A batch that fails, in a file. */
export interface FaultyBatch {
  readonly position: number
  /** End of the file, or of what is looked at. */
  readonly to: number
  /** No batch behind it has a lower base offset. */
  readonly nextOffset: number
}

/**
 * The first position behind a batch that fails where a whole valid batch lies (CRC checked) that could come next: its offsets
 * are not below `nextOffset`, and below `offsetLimit`. -1 where there is none. One that nothing valid follows, and that claims
 * offsets of a later one, is passed: it came there from elsewhere, and would hide the later ones.
 */
export async function findNextBatch(
  file: DataFile,
  faulty: FaultyBatch,
  offsetLimit: number,
): Promise<number> {
  const claimed = await claimedNext(file, faulty, offsetLimit)
  if (claimed !== -1) return claimed
  let found = await searchBatch(file, faulty, offsetLimit)
  while (found !== -1) {
    const header = await readRange(file, found, BATCH_HEADER_BYTES)
    const end = found + batchSizeAt(header, 0)
    const lastOffset = lastOffsetAt(header, 0)
    if (await beginsAt(file, end, faulty.to, lastOffset + 1, offsetLimit)) return found
    const later = await searchBatch(file, { ...faulty, position: end - 1 }, offsetLimit)
    if (later === -1) return found
    const laterHeader = await readRange(file, later, BATCH_HEADER_BYTES)
    if (baseOffsetAt(laterHeader, 0) > lastOffset) return found
    found = later
  }
  return -1
}

/** Whether a whole batch of this offset or one above it begins at a position, or the file ends there. */
async function beginsAt(
  file: DataFile,
  position: number,
  to: number,
  offset: number,
  offsetLimit: number,
): Promise<boolean> {
  const header = await readRange(file, position, Math.min(BATCH_HEADER_BYTES, to - position))
  if (header.length < BATCH_HEADER_BYTES) return position >= to
  const fault = headerFault(header, 0, to - position, offset, offsetLimit)
  return fault === undefined && (await isValidBatch(file, header, 0, position))
}

/** Where the batch that fails says that it ends, if its successor is there: then the damage is within it, and so is all that looks like a batch. */
async function claimedNext(
  file: DataFile,
  { position, to, nextOffset }: FaultyBatch,
  offsetLimit: number,
): Promise<number> {
  const header = await readRange(file, position, Math.min(BATCH_HEADER_BYTES, to - position))
  if (header.length < BATCH_HEADER_BYTES) return -1
  if (headerFault(header, 0, to - position, nextOffset, offsetLimit) !== undefined) return -1
  const end = position + batchSizeAt(header, 0)
  const offset = lastOffsetAt(header, 0) + 1
  const next = await readRange(file, end, Math.min(BATCH_HEADER_BYTES, to - end))
  if (next.length < BATCH_HEADER_BYTES || baseOffsetAt(next, 0) !== offset) return -1
  if (headerFault(next, 0, to - end, offset, offsetLimit) !== undefined) return -1
  return (await isValidBatch(file, next, 0, end)) ? end : -1
}

async function searchBatch(
  file: DataFile,
  faulty: FaultyBatch,
  offsetLimit: number,
): Promise<number> {
  const { to } = faulty
  for (let position = faulty.position + 1; position + BATCH_HEADER_BYTES <= to; ) {
    const window = await readRange(file, position, Math.min(SEARCH_BYTES, to - position))
    if (window.length < BATCH_HEADER_BYTES) return -1
    const found = await searchWindow(file, window, position, faulty, offsetLimit)
    if (found !== -1) return found
    position += window.length - BATCH_HEADER_BYTES + 1
  }
  return -1
}

async function searchWindow(
  file: DataFile,
  window: Buffer,
  position: number,
  { to, nextOffset }: FaultyBatch,
  offsetLimit: number,
): Promise<number> {
  for (let at = nextCandidate(window, 0); at !== -1; at = nextCandidate(window, at + 1)) {
    if (turnIsLong()) await nextTurn()
    const left = to - position - at
    if (headerFault(window, at, left, nextOffset, offsetLimit) !== undefined) continue
    if (await isValidBatch(file, window, at, position + at)) return position + at
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

/** Up to this size a range is read at once: 64 KiB take 5 to 15 us, the way through the thread pool 40 to 80. */
const READ_AT_ONCE_BYTES = 64 * 1024

/** Reads a range, or what there is of it. */
export async function readRange(file: DataFile, position: number, bytes: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(bytes)
  const read = await readInto(file, buffer, position, bytes)
  return read === bytes ? buffer : buffer.subarray(0, read)
}

async function readInto(
  file: DataFile,
  buffer: Buffer,
  position: number,
  bytes: number,
): Promise<number> {
  if (bytes > READ_AT_ONCE_BYTES) return await file.read(buffer, 0, bytes, position)
  while (!file.isReady()) await file.ready()
  return file.readSync(buffer, 0, bytes, position)
}

/** Bytes that are searched at a time for the beginning of a batch. */
const SEARCH_BYTES = 256 * 1024
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
