import type { BatchHeader } from '../codec/batch.ts'
import { BATCH_HEADER_BYTES } from '../codec/batch.ts'
import type { RecordSink } from '../codec/batch-decoder.ts'
import { BatchFormatError, decodeRecords } from '../codec/batch-decoder.ts'
import { CODEC_NONE, decompress } from '../codec/compression.ts'
import { LogError } from '../errors.ts'
import { asError } from '../util/error-code.ts'

/** What one batch may grow to when it is decompressed, in bytes. */
export const MAX_DECOMPRESSED_BYTES: number = 256 * 1024 * 1024

/** As `decompress` of the codecs. */
export type Decompress = (
  codec: number,
  bytes: Buffer,
  maxBytes: number,
) => Buffer | Promise<Buffer>

/** Why the records of a batch whose CRC holds cannot be read. */
export interface UnreadableRecords {
  /** `codec`: its package is missing. `format`: they do not decode. */
  readonly why: 'codec' | 'format'
  readonly message: string
}

/**
 * The record bytes of the batch at `at`; with codec none a view on the buffer, at once.
 * @throws what `unreadable` explains.
 */
export function recordBytes(
  buffer: Buffer,
  at: number,
  header: BatchHeader,
  decompressor: Decompress = decompress,
): Buffer | Promise<Buffer> {
  const bytes = buffer.subarray(at + BATCH_HEADER_BYTES, at + header.sizeBytes)
  if (header.codec === CODEC_NONE || header.count === 0) return bytes
  return decompressor(header.codec, bytes, MAX_DECOMPRESSED_BYTES)
}

/** Says what an error of `recordBytes` or of a decoder means; any other is thrown on. */
export function unreadable(error: unknown): UnreadableRecords {
  if (error instanceof LogError && error.code === 'UNSUPPORTED_CODEC') {
    return { why: 'codec', message: error.message }
  }
  if (error instanceof BatchFormatError) return { why: 'format', message: error.message }
  throw asError(error)
}

/** Goes over the records of a batch, and keeps what is asked of all of them. One object serves many batches. */
export class RecordSurvey implements RecordSink {
  count = 0
  /** -Infinity where there is no record. */
  greatestTimestamp: number = Number.NEGATIVE_INFINITY

  /** @throws BatchFormatError where the records do not decode, or are not those that the header speaks of. */
  of(bytes: Buffer, header: BatchHeader): void {
    this.count = 0
    this.greatestTimestamp = Number.NEGATIVE_INFINITY
    decodeRecords(bytes, 0, bytes.length, header, 0, Number.POSITIVE_INFINITY, this)
  }

  record(_offset: number, timestamp: number): void {
    this.count += 1
    if (timestamp > this.greatestTimestamp) this.greatestTimestamp = timestamp
  }
}
