/**
 * What a Zstandard frame says about its size (RFC 8878, section 3.1). All integers are little-endian.
 *
 *   | magic 28 b5 2f fd | descriptor | [window, 1] | [dictionary id, 0-4] | [content size, 0-8] | block … | [checksum, 4] |
 *   descriptor: bits 7-6 size of the content size, 5 single segment (no window), 2 checksum, 1-0 size of the dictionary id
 *   window: bits 7-3 exponent, 2-0 mantissa
 *   block: | 3 bytes: bit 0 last, 1-2 type (0 raw, 1 one byte repeated, 2 compressed), 3-23 size | bytes |
 */
import { BatchFormatError } from './batch-format-error.ts'

const MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const CHECKSUM_BIT = 0x04
const SINGLE_SEGMENT_BIT = 0x20
const MIN_WINDOW_LOG = 10
/** Of every block, whatever the window. */
const LARGEST_BLOCK_BYTES = 128 * 1024
const RAW = 0
const REPEATED = 1
const COMPRESSED = 2
/** By the lowest two bits of the descriptor. */
const DICTIONARY_ID_BYTES = [0, 1, 2, 4]
/** By the highest two bits; without a window the first is 1. */
const CONTENT_SIZE_BYTES = [0, 2, 4, 8]

export interface ZstdFrame {
  /** [start, end) of the bytes. */
  readonly start: number
  readonly end: number
  /** What it says it decompresses to; undefined where it does not. */
  readonly contentBytes: number | undefined
  /** It cannot come to more. */
  readonly boundBytes: number
  /** What a decoder may allocate to decode it. */
  readonly windowBytes: number
}

/** Finds the frames, from block to block, without decompressing them. Throws a `BatchFormatError`. */
export function findZstdFrames(bytes: Buffer): ZstdFrame[] {
  const frames: ZstdFrame[] = []
  let at = 0
  while (at < bytes.length || frames.length === 0) {
    const magic = uintAt(bytes, at, 4)
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      at = passed(bytes, at + 8, uintAt(bytes, at + 4, 4))
      continue
    }
    if (magic !== MAGIC) throw new BatchFormatError('the bytes are no Zstandard frame')
    const frame = frameAt(bytes, at)
    frames.push(frame)
    at = frame.end
  }
  return frames
}

function frameAt(bytes: Buffer, start: number): ZstdFrame {
  let at = start + 4
  const descriptor = uintAt(bytes, at, 1)
  at += 1
  const isSingleSegment = (descriptor & SINGLE_SEGMENT_BIT) !== 0
  let windowBytes = 0
  if (!isSingleSegment) {
    windowBytes = windowOf(uintAt(bytes, at, 1))
    at += 1
  }
  at = passed(bytes, at, DICTIONARY_ID_BYTES[descriptor & 3] as number)
  const sizeCode = descriptor >>> 6
  const sizeBytes = sizeCode === 0 && isSingleSegment ? 1 : (CONTENT_SIZE_BYTES[sizeCode] as number)
  // Two bytes leave out what fits in one.
  const left = sizeBytes === 2 ? 256 : 0
  const contentBytes = sizeBytes === 0 ? undefined : left + uintAt(bytes, at, sizeBytes)
  if (isSingleSegment) windowBytes = contentBytes ?? 0
  const blockBytes = Math.min(LARGEST_BLOCK_BYTES, windowBytes)
  const blocks = measureBlocks(bytes, at + sizeBytes, blockBytes)
  const end = passed(bytes, blocks.end, (descriptor & CHECKSUM_BIT) === 0 ? 0 : 4)
  return { start, end, contentBytes, boundBytes: blocks.boundBytes, windowBytes }
}

function measureBlocks(
  bytes: Buffer,
  start: number,
  blockBytes: number,
): { readonly end: number; readonly boundBytes: number } {
  let boundBytes = 0
  let at = start
  for (let isLast = false; !isLast; ) {
    const header = uintAt(bytes, at, 3)
    const type = (header >>> 1) & 3
    const size = header >>> 3
    isLast = (header & 1) !== 0
    if (type > COMPRESSED || size > LARGEST_BLOCK_BYTES) {
      throw new BatchFormatError('a Zstandard block is not understood')
    }
    boundBytes += type === RAW || type === REPEATED ? size : blockBytes
    at = passed(bytes, at + 3, type === REPEATED ? 1 : size)
  }
  return { end: at, boundBytes }
}

function windowOf(byte: number): number {
  const base = 2 ** (MIN_WINDOW_LOG + (byte >>> 3))
  return base + (base / 8) * (byte & 7)
}

function passed(bytes: Buffer, at: number, length: number): number {
  if (length > bytes.length - at) throw new BatchFormatError('a Zstandard frame is cut off')
  return at + length
}

/** Beyond the safe integers it is rounded, and too much for any bound. */
function uintAt(bytes: Buffer, at: number, length: number): number {
  passed(bytes, at, length)
  let value = 0
  for (let i = length - 1; i >= 0; i -= 1) value = value * 256 + (bytes[at + i] as number)
  return value
}
