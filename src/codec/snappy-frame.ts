/**
 * The block framing of snappy-java (`SnappyOutputStream`), which Kafka writes.
 *
 *   | 82 53 4e 41 50 50 59 00 | int32 version | int32 compatible version | block … |
 *   block: | int32 length | raw snappy: varint length of what it decompresses to, … |
 *
 * Streams may follow one another. Bytes that do not begin with the magic are one raw block, as other clients write them.
 */
import { BatchFormatError } from './batch-format-error.ts'
import { putInt32, readInt32 } from './int64.ts'

const MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const HEADER_BYTES = 16
const VERSION = 1
/** Of input, for each block: what `SnappyOutputStream` takes unless it is told otherwise. */
export const SNAPPY_BLOCK_BYTES: number = 32 * 1024

export interface SnappyBlock {
  /** [start, end) of the bytes is raw snappy. */
  readonly start: number
  readonly end: number
  /** What it says it decompresses to. */
  readonly claimedBytes: number
}

/** Finds the blocks without decompressing them. Throws a `BatchFormatError`. */
export function findSnappyBlocks(bytes: Buffer): SnappyBlock[] {
  if (!hasMagic(bytes, 0)) return [blockAt(bytes, 0, bytes.length)]
  const blocks: SnappyBlock[] = []
  let at = 0
  while (at < bytes.length) {
    if (hasMagic(bytes, at)) {
      at = passHeader(bytes, at)
      continue
    }
    if (at + 4 > bytes.length) throw new BatchFormatError('a snappy block has no whole length')
    const length = readInt32(bytes, at)
    const start = at + 4
    if (length <= 0 || length > bytes.length - start) {
      throw new BatchFormatError(`a snappy block has a length of ${length}`)
    }
    at = start + length
    blocks.push(blockAt(bytes, start, at))
  }
  return blocks
}

/** Frames blocks of raw snappy. */
export function frameSnappyBlocks(blocks: readonly Buffer[]): Buffer {
  const bytes = blocks.reduce((sum, block) => sum + 4 + block.length, HEADER_BYTES)
  const framed = Buffer.allocUnsafe(bytes)
  MAGIC.copy(framed)
  putInt32(framed, MAGIC.length, VERSION)
  putInt32(framed, MAGIC.length + 4, VERSION)
  let at = HEADER_BYTES
  for (const block of blocks) {
    putInt32(framed, at, block.length)
    block.copy(framed, at + 4)
    at += 4 + block.length
  }
  return framed
}

function hasMagic(bytes: Buffer, at: number): boolean {
  const end = at + MAGIC.length
  return end <= bytes.length && MAGIC.compare(bytes, at, end) === 0
}

function passHeader(bytes: Buffer, at: number): number {
  if (at + HEADER_BYTES > bytes.length) throw new BatchFormatError('a snappy header is cut off')
  const compatibleVersion = readInt32(bytes, at + MAGIC.length + 4)
  if (compatibleVersion !== VERSION) {
    throw new BatchFormatError(`snappy framing of version ${compatibleVersion}`)
  }
  return at + HEADER_BYTES
}

function blockAt(bytes: Buffer, start: number, end: number): SnappyBlock {
  let claimedBytes = 0
  let at = start
  for (let shift = 0; ; shift += 7) {
    const byte = at < end ? bytes[at] : undefined
    if (byte === undefined || shift > 28) {
      throw new BatchFormatError('a snappy block does not say its size')
    }
    at += 1
    claimedBytes += (byte & 0x7f) * 2 ** shift
    if (byte < 0x80) return { start, end, claimedBytes }
  }
}
