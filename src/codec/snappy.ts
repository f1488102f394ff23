/** snappy, by the package `snappy`: prebuilt, so that neither a compiler nor a download is needed to install it. */
import { createRequire } from 'node:module'
import type { BatchCodec } from './batch-codec.ts'
import { BatchFormatError } from './batch-format-error.ts'
import { blockOf, blocksInPool, blocksNow, tooLarge } from './blocks.ts'
import { OptionalPackage } from './optional-package.ts'
import type { SnappyBlock } from './snappy-frame.ts'
import { findSnappyBlocks, frameSnappyBlocks, SNAPPY_BLOCK_BYTES } from './snappy-frame.ts'

interface Snappy {
  compress(bytes: Buffer): Promise<Buffer>
  compressSync(bytes: Buffer): Buffer
  uncompress(bytes: Buffer, options: { asBuffer: true }): Promise<Buffer>
  uncompressSync(bytes: Buffer, options: { asBuffer: true }): Buffer
}

/** Up to this size records are compressed in the call: 0.1 ms. */
const COMPRESS_NOW_BYTES = SNAPPY_BLOCK_BYTES
/** And up to this size they are decompressed in it: 0.15 ms. */
const DECOMPRESS_NOW_BYTES = 64 * 1024
/** Three bytes make at most 64 (a copy of a length up to that). */
const LARGEST_RATIO = 22

const require = createRequire(import.meta.url)
const snappy = new OptionalPackage<Snappy>('snappy', 'snappy', () => require('snappy'))
const AS_BUFFER = { asBuffer: true } as const

export const snappyCodec: BatchCodec = {
  check() {
    snappy.get()
  },

  compress(records) {
    const { compress, compressSync } = snappy.get()
    const count = Math.ceil(records.length / SNAPPY_BLOCK_BYTES)
    const block = (index: number): Buffer => blockOf(records, index, SNAPPY_BLOCK_BYTES)
    if (records.length <= COMPRESS_NOW_BYTES) {
      return frameSnappyBlocks(blocksNow(count, (index) => compressSync(block(index))))
    }
    return blocksInPool(count, (index) => compress(block(index))).then(frameSnappyBlocks)
  },

  decompress(bytes, maxBytes) {
    const { uncompress, uncompressSync } = snappy.get()
    const blocks = findSnappyBlocks(bytes)
    const claimed = blocks.reduce((sum, block) => sum + checkedClaim(block), 0)
    if (claimed > maxBytes) throw tooLarge(maxBytes)
    const block = (index: number): Buffer => {
      const { start, end } = blocks[index] as SnappyBlock
      return bytes.subarray(start, end)
    }
    if (claimed <= DECOMPRESS_NOW_BYTES) {
      return joined(blocksNow(blocks.length, (index) => uncompressSync(block(index), AS_BUFFER)))
    }
    return blocksInPool(blocks.length, (index) => uncompress(block(index), AS_BUFFER)).then(joined)
  },
}

/** What the package would allocate: a claim that the bytes cannot come to is refused before it does. */
function checkedClaim({ start, end, claimedBytes }: SnappyBlock): number {
  if (claimedBytes <= (end - start) * LARGEST_RATIO) return claimedBytes
  throw new BatchFormatError(`${end - start} bytes of snappy claim to be ${claimedBytes}`)
}

function joined(blocks: readonly Buffer[]): Buffer {
  return blocks.length === 1 ? (blocks[0] as Buffer) : Buffer.concat(blocks)
}
