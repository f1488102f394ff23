/** lz4, by the package `lz4-napi`: prebuilt, so that neither a compiler nor a download is needed to install it. */
import { createRequire } from 'node:module'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { BatchCodec } from './batch-codec.ts'
import { BatchFormatError } from './batch-format-error.ts'
import { blockOf, blocksInPool, blocksNow, tooLarge } from './blocks.ts'
import type { Lz4Block, Lz4Frame } from './lz4-frame.ts'
import { findLz4Frames, frameLz4Blocks, LZ4_BLOCK_BYTES } from './lz4-frame.ts'
import { OptionalPackage } from './optional-package.ts'
import { xxh32 } from './xxh32.ts'

/** A block stands behind its decompressed size, int32 little-endian. */
interface Lz4 {
  compress(bytes: Buffer): Promise<Buffer>
  compressSync(bytes: Buffer): Buffer
  uncompressSync(bytes: Buffer, dictionary?: Buffer): Buffer
}

const SIZE_BYTES = 4
/** Up to this size records are compressed in the call: 0.1 ms. */
const COMPRESS_NOW_BYTES = LZ4_BLOCK_BYTES
/** What is decompressed before it is asked whether others should have their turn: 0.4 ms. */
const SLICE_BYTES = 512 * 1024
/** Or so many blocks, however small they are. */
const SLICE_BLOCKS = 256
/** What a linked block can refer to. */
const HISTORY_BYTES = 64 * 1024
/** One byte makes at most 255. */
const LARGEST_RATIO = 255

const require = createRequire(import.meta.url)
const lz4 = new OptionalPackage<Lz4>('lz4', 'lz4-napi', () => require('lz4-napi'))

export const lz4Codec: BatchCodec = {
  check() {
    lz4.get()
  },

  compress(records) {
    const { compress, compressSync } = lz4.get()
    const count = Math.ceil(records.length / LZ4_BLOCK_BYTES)
    const block = (index: number): Buffer => blockOf(records, index, LZ4_BLOCK_BYTES)
    if (records.length <= COMPRESS_NOW_BYTES) {
      const now = blocksNow(count, (index) => compressSync(block(index)).subarray(SIZE_BYTES))
      return frameLz4Blocks(records, now)
    }
    return blocksInPool(count, async (index) =>
      (await compress(block(index))).subarray(SIZE_BYTES),
    ).then((blocks) => frameLz4Blocks(records, blocks))
  },

  decompress(bytes, maxBytes) {
    lz4.get()
    const frames = findLz4Frames(bytes)
    const claimed = frames.reduce((sum, { contentBytes = 0 }) => sum + contentBytes, 0)
    if (claimed > maxBytes) throw tooLarge(maxBytes)
    const inflation = new Inflation(bytes, frames, maxBytes)
    return inflation.advance() ? inflation.result() : inflateInSlices(inflation)
  },
}

/** At 1.5 GB/s blocks take less than their way through the thread pool: they are decompressed here, in slices. */
async function inflateInSlices(inflation: Inflation): Promise<Buffer> {
  do await nextTurn()
  while (!inflation.advance())
  return inflation.result()
}

class Inflation {
  readonly #bytes: Buffer
  readonly #frames: readonly Lz4Frame[]
  readonly #maxBytes: number
  readonly #parts: Buffer[] = []
  #frameParts: Buffer[] = []
  #size = 0
  #frame = 0
  #block = 0
  #history = new History()

  constructor(bytes: Buffer, frames: readonly Lz4Frame[], maxBytes: number) {
    this.#bytes = bytes
    this.#frames = frames
    this.#maxBytes = maxBytes
  }

  /** Goes on until a slice is done and the turn is long; answers whether all is done. */
  advance(): boolean {
    const sliceEnd = this.#size + SLICE_BYTES
    for (let frame = this.#frames[this.#frame]; frame !== undefined; ) {
      const block = frame.blocks[this.#block]
      if (block === undefined) {
        this.#endFrame(frame)
        frame = this.#frames[this.#frame]
        continue
      }
      this.#add(this.#inflate(frame, block))
      this.#block += 1
      const isSlice = this.#size >= sliceEnd || this.#block % SLICE_BLOCKS === 0
      if (isSlice && turnIsLong()) return false
    }
    return true
  }

  result(): Buffer {
    return this.#parts.length === 1 ? (this.#parts[0] as Buffer) : Buffer.concat(this.#parts)
  }

  #inflate(frame: Lz4Frame, { start, end, isStored }: Lz4Block): Buffer {
    const bytes = this.#bytes.subarray(start, end)
    const plain = isStored ? bytes : this.#decode(frame, bytes)
    if (frame.isLinked) this.#history.add(plain)
    return plain
  }

  #decode({ maxBlockBytes, isLinked }: Lz4Frame, bytes: Buffer): Buffer {
    const { uncompressSync } = lz4.get()
    const block = Buffer.allocUnsafe(SIZE_BYTES + bytes.length)
    // It allocates what the size says, and gives as much as there is.
    block.writeUInt32LE(Math.min(maxBlockBytes, bytes.length * LARGEST_RATIO))
    bytes.copy(block, SIZE_BYTES)
    const { bytes: history } = this.#history
    const needsHistory = isLinked && history.length > 0
    return needsHistory ? uncompressSync(block, history) : uncompressSync(block)
  }

  #add(part: Buffer): void {
    this.#size += part.length
    if (this.#size > this.#maxBytes) throw tooLarge(this.#maxBytes)
    this.#parts.push(part)
    this.#frameParts.push(part)
  }

  #endFrame({ contentBytes, contentChecksum }: Lz4Frame): void {
    const parts = this.#frameParts
    const size = parts.reduce((sum, part) => sum + part.length, 0)
    if (contentBytes !== undefined && contentBytes !== size) {
      throw new BatchFormatError(`an LZ4 frame of ${contentBytes} bytes has ${size}`)
    }
    if (contentChecksum !== undefined && xxh32(Buffer.concat(parts)) !== contentChecksum) {
      throw new BatchFormatError('an LZ4 frame fails its checksum')
    }
    this.#frameParts = []
    this.#history = new History()
    this.#frame += 1
    this.#block = 0
  }
}

/** What linked blocks may refer to. Its window is renewed when it is full, not with each block: there may be one a byte. */
class History {
  #window: Buffer = Buffer.alloc(0)
  #end = 0

  get bytes(): Buffer {
    return this.#window.subarray(Math.max(0, this.#end - HISTORY_BYTES), this.#end)
  }

  add(part: Buffer): void {
    if (this.#end + part.length > this.#window.length) {
      const kept = this.bytes
      this.#window = Buffer.allocUnsafe(4 * HISTORY_BYTES + part.length)
      this.#end = kept.copy(this.#window)
    }
    this.#end += part.copy(this.#window, this.#end)
  }
}
