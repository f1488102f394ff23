/** What a test needs to know of the batches in a segment's file. */
import { readBatchHeader, writeBatchHeader } from '../../src/codec/batch.ts'
import { CODEC_NAMES } from '../../src/codec/codec-names.ts'

export interface SeenBatch {
  readonly position: number
  readonly baseOffset: number
  readonly count: number
  readonly sizeBytes: number
  readonly compression: string
}

export function batchesIn(file: Buffer): SeenBatch[] {
  const batches: SeenBatch[] = []
  for (let position = 0; position < file.length; ) {
    const { baseOffset, count, sizeBytes, codec } = readBatchHeader(file, position)
    const compression = CODEC_NAMES[codec] ?? `${codec}`
    batches.push({ position, baseOffset, count, sizeBytes, compression })
    position += sizeBytes
  }
  return batches
}

/** The file with the batch at `position` in another codec or with another body, and a CRC that is right. */
export function withBody(file: Buffer, position: number, body: Buffer, codec?: number): Buffer {
  const header = readBatchHeader(file, position)
  const batch = Buffer.concat([file.subarray(position, position + 61), body])
  const attributes = codec === undefined ? header.attributes : (header.attributes & ~7) | codec
  writeBatchHeader(batch, 0, { ...header, attributes, sizeBytes: batch.length })
  const rest = file.subarray(position + header.sizeBytes)
  return Buffer.concat([file.subarray(0, position), batch, rest])
}

/** Text that compresses as records do, different for each number. */
export function line(n: number, bytes = 100): string {
  const text = JSON.stringify({ id: n, city: `city-${n % 97}`, delay: (n * 7919) % 431 })
  return text.repeat(Math.ceil(bytes / text.length)).slice(0, bytes)
}
