/**
 * The LZ4 frame format, version 1.6.1 (lz4/doc/lz4_Frame_format.md). All integers are little-endian.
 *
 *   | magic 04 22 4d 18 | FLG | BD | [content size, 8] | HC | block … | 00 00 00 00 | [content checksum, 4] |
 *   FLG: bits 7-6 version 01, 5 independent blocks, 4 block checksums, 3 content size, 2 content checksum, 0 dictionary id
 *   BD:  bits 6-4 the most that a block decompresses to: 4 64 KiB, 5 256 KiB, 6 1 MiB, 7 4 MiB
 *   HC:  second byte of the XXH32 of FLG up to before itself
 *   block: | int32 length, highest bit: stored as it is | bytes | [XXH32 of the bytes, 4] |
 *
 * Written is what Kafka's `Lz4BlockOutputStream` writes: independent blocks of 64 KiB without checksums and sizes. Read
 * is every frame without a dictionary; frames may follow one another, skippable ones are passed.
 */
import { BatchFormatError } from './batch-format-error.ts'
import { xxh32 } from './xxh32.ts'

const MAGIC = 0x184d2204
const SKIPPABLE_MAGIC = 0x184d2a50
const VERSION_BITS = 0x40
const INDEPENDENT_BIT = 0x20
const BLOCK_CHECKSUM_BIT = 0x10
const CONTENT_SIZE_BIT = 0x08
const CONTENT_CHECKSUM_BIT = 0x04
const DICTIONARY_BIT = 0x01
/** Bits that must be 0, and the version's. */
const FLG_FIXED_BITS = 0xc2
const BD_FIXED_BITS = 0x8f
const STORED_BIT = 0x80000000
/** Kafka's: 64 KiB. */
const BLOCK_SIZE_CODE = 4
export const LZ4_BLOCK_BYTES: number = 64 * 1024
const HEADER_BYTES = 7

export interface Lz4Block {
  /** [start, end) of the bytes. */
  readonly start: number
  readonly end: number
  readonly isStored: boolean
}

export interface Lz4Frame {
  readonly blocks: readonly Lz4Block[]
  /** The most that a block may decompress to. */
  readonly maxBlockBytes: number
  /** A block may refer to the 64 KiB before it. */
  readonly isLinked: boolean
  readonly contentBytes: number | undefined
  readonly contentChecksum: number | undefined
}

/** Finds frames and their blocks, and checks the checksums of headers and blocks. Throws a `BatchFormatError`. */
export function findLz4Frames(bytes: Buffer): Lz4Frame[] {
  const frames: Lz4Frame[] = []
  const reader = new Reader(bytes)
  while (reader.at < bytes.length || frames.length === 0) {
    const magic = reader.word()
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) reader.skip(reader.word())
    else if (magic === MAGIC) frames.push(readFrame(reader))
    else throw new BatchFormatError('the bytes are no LZ4 frame')
  }
  return frames
}

function readFrame(reader: Reader): Lz4Frame {
  const { bytes } = reader
  const headerStart = reader.at
  const flg = reader.byte()
  const bd = reader.byte()
  const sizeCode = bd >>> 4
  const isSound = (flg & FLG_FIXED_BITS) === VERSION_BITS && (bd & BD_FIXED_BITS) === 0
  if (!isSound || sizeCode < BLOCK_SIZE_CODE) {
    throw new BatchFormatError('the header of an LZ4 frame is not understood')
  }
  if ((flg & DICTIONARY_BIT) !== 0) throw new BatchFormatError('an LZ4 frame needs a dictionary')
  const contentBytes = (flg & CONTENT_SIZE_BIT) === 0 ? undefined : reader.long()
  const checksum = (xxh32(bytes, headerStart, reader.at) >>> 8) & 0xff
  if (reader.byte() !== checksum) {
    throw new BatchFormatError('the header of an LZ4 frame fails its checksum')
  }
  const maxBlockBytes = 2 ** (8 + 2 * sizeCode)
  const blocks = readBlocks(reader, maxBlockBytes, (flg & BLOCK_CHECKSUM_BIT) !== 0)
  const contentChecksum = (flg & CONTENT_CHECKSUM_BIT) === 0 ? undefined : reader.word()
  const isLinked = (flg & INDEPENDENT_BIT) === 0
  return { blocks, maxBlockBytes, isLinked, contentBytes, contentChecksum }
}

function readBlocks(reader: Reader, maxBlockBytes: number, hasChecksums: boolean): Lz4Block[] {
  const blocks: Lz4Block[] = []
  for (;;) {
    const word = reader.word()
    if (word === 0) return blocks
    const isStored = word >= STORED_BIT
    const length = isStored ? word - STORED_BIT : word
    if (length > maxBlockBytes) throw new BatchFormatError(`an LZ4 block has ${length} bytes`)
    const start = reader.at
    reader.skip(length)
    const end = reader.at
    if (hasChecksums && reader.word() !== xxh32(reader.bytes, start, end)) {
      throw new BatchFormatError('an LZ4 block fails its checksum')
    }
    blocks.push({ start, end, isStored })
  }
}

class Reader {
  readonly bytes: Buffer
  at = 0

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  byte(): number {
    this.skip(1)
    return this.bytes.readUInt8(this.at - 1)
  }

  word(): number {
    this.skip(4)
    return this.bytes.readUInt32LE(this.at - 4)
  }

  /** Beyond the safe integers it is rounded, and too much for any bound. */
  long(): number {
    const low = this.word()
    return low + this.word() * 2 ** 32
  }

  skip(length: number): void {
    if (length > this.bytes.length - this.at) throw new BatchFormatError('an LZ4 frame is cut off')
    this.at += length
  }
}

/** Frames `records`, of which `compressed` are the blocks of 64 KiB; one that did not shrink is stored as it is. */
export function frameLz4Blocks(records: Buffer, compressed: readonly Buffer[]): Buffer {
  const blocks = compressed.map((block, index) => {
    const start = index * LZ4_BLOCK_BYTES
    const plain = records.subarray(start, start + LZ4_BLOCK_BYTES)
    return block.length < plain.length ? block : plain
  })
  const size = blocks.reduce((sum, block) => sum + 4 + block.length, HEADER_BYTES + 4)
  const framed = Buffer.allocUnsafe(size)
  framed.writeUInt32LE(MAGIC, 0)
  framed[4] = VERSION_BITS | INDEPENDENT_BIT
  framed[5] = BLOCK_SIZE_CODE << 4
  framed[6] = (xxh32(framed, 4, 6) >>> 8) & 0xff
  let at = HEADER_BYTES
  for (const [index, block] of blocks.entries()) {
    const isStored = block !== compressed[index]
    framed.writeUInt32LE(isStored ? block.length + STORED_BIT : block.length, at)
    block.copy(framed, at + 4)
    at += 4 + block.length
  }
  framed.writeUInt32LE(0, at)
  return framed
}
