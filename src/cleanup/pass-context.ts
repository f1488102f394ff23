import { attributesAt, BATCH_HEADER_BYTES, CODEC_MASK } from '../codec/batch.ts'
import type { Codecs } from '../codec/codecs.ts'
import { CODEC_NONE } from '../codec/compression.ts'
import type { BatchCursor, ReadPace } from '../storage/batch-cursor.ts'
import type { ReusedMemory } from '../storage/reused-memory.ts'
import type { KnownDamage } from './known-damage.ts'

/** What the steps of one pass share. */
export interface PassContext {
  readonly damage: KnownDamage
  readonly codecs: Codecs
  /** Awaited before so many bytes are read or written, and with 0 in between, where a step has taken long; rejects where the pass is to end. */
  readonly pace: ReadPace
  /** Of the cursor that goes through the segments, and of the writer of what stays: there is one of each at a time. */
  readonly windowMemory: ReusedMemory
  readonly writeMemory: ReusedMemory
}

/** The record bytes of a batch, without compression. */
export interface RecordBytes {
  readonly page: Buffer
  readonly start: number
  readonly end: number
}

/** Where the records of the cursor's batch are; decompressed where they have to be. Throws or rejects as `Codecs.decompress`. */
export function recordBytes(
  codecs: Codecs,
  { buffer, at, size }: BatchCursor,
): RecordBytes | Promise<RecordBytes> {
  const codec = attributesAt(buffer, at) & CODEC_MASK
  const start = at + BATCH_HEADER_BYTES
  const end = at + size
  if (codec === CODEC_NONE) return { page: buffer, start, end }
  return decompressed(codecs, codec, buffer.subarray(start, end))
}

async function decompressed(codecs: Codecs, codec: number, bytes: Buffer): Promise<RecordBytes> {
  const page = await codecs.decompress(codec, bytes)
  return { page, start: 0, end: page.length }
}
