/** Framings that compress their bytes block by block. */
import { BatchFormatError } from './batch-format-error.ts'

/** So many at a time, so that a batch of thousands of blocks leaves the thread pool to others now and then. */
const BLOCKS_AT_ONCE = 16

/** The blocks in their order, each made in the call. */
export function blocksNow(count: number, make: (index: number) => Buffer): Buffer[] {
  const blocks: Buffer[] = []
  for (let index = 0; index < count; index += 1) blocks.push(make(index))
  return blocks
}

/** The blocks in their order, each made in the thread pool. */
export async function blocksInPool(
  count: number,
  make: (index: number) => Promise<Buffer>,
): Promise<Buffer[]> {
  const blocks: Buffer[] = []
  for (let first = 0; first < count; first += BLOCKS_AT_ONCE) {
    const wave: Promise<Buffer>[] = []
    const end = Math.min(count, first + BLOCKS_AT_ONCE)
    for (let index = first; index < end; index += 1) wave.push(make(index))
    blocks.push(...(await Promise.all(wave)))
  }
  return blocks
}

/** The part of `bytes` that the block `index` holds, where each but the last holds `blockBytes`. */
export function blockOf(bytes: Buffer, index: number, blockBytes: number): Buffer {
  return bytes.subarray(index * blockBytes, (index + 1) * blockBytes)
}

/** Tells that more comes out than is allowed. */
export function tooLarge(maxBytes: number): BatchFormatError {
  return new BatchFormatError(`the records decompress to more than ${maxBytes} bytes`)
}
