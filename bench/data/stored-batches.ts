// What a closed log has in its files: the batches as it formed them.
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { decompress } from '../../src/codec/compression.ts'
import { HEADER_BYTES } from './kafka-batch.ts'

export interface StoredBatch {
  readonly recordCount: number
  /** Of the batch in the file. */
  readonly bytes: number
  /** Its records, without compression. */
  readonly plain: Buffer
}

const CODEC_MASK = 0b111
const MOST_BYTES = 2 ** 27

/** Of a partition's directory, in their order. */
export async function* storedBatches(partition: string): AsyncGenerator<StoredBatch> {
  const files = readdirSync(partition).filter((name) => name.endsWith('.log'))
  for (const name of files.sort()) {
    const file = readFileSync(path.join(partition, name))
    for (let at = 0; at + HEADER_BYTES <= file.length; ) {
      const bytes = 12 + file.readInt32BE(at + 8)
      const codec = file.readInt16BE(at + 21) & CODEC_MASK
      const packed = file.subarray(at + HEADER_BYTES, at + bytes)
      const plain = await decompress(codec, packed, MOST_BYTES)
      yield { recordCount: file.readInt32BE(at + 57), bytes, plain }
      at += bytes
    }
  }
}
