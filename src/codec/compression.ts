/**
 * The compression of a batch's records: one block behind the header, in the framing that Kafka writes.
 * What takes up to about 0.2 ms is done in the call, the rest in the thread pool, or in slices of the event loop.
 */
import { LogError } from '../errors.ts'
import { asError } from '../util/error-code.ts'
import type { BatchCodec } from './batch-codec.ts'
import { BatchFormatError } from './batch-format-error.ts'
import {
  CODEC_GZIP,
  CODEC_LZ4,
  CODEC_NONE,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  codecName,
} from './codec-names.ts'
import { gzipCodec } from './gzip.ts'
import { lz4Codec } from './lz4.ts'
import { snappyCodec } from './snappy.ts'
import { zstdCodec } from './zstd.ts'

export {
  CODEC_GZIP,
  CODEC_LZ4,
  CODEC_NAMES,
  CODEC_NONE,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  codecName,
} from './codec-names.ts'

const BUILT_IN: ReadonlyMap<number, BatchCodec> = new Map([
  [CODEC_GZIP, gzipCodec],
  [CODEC_SNAPPY, snappyCodec],
  [CODEC_LZ4, lz4Codec],
  [CODEC_ZSTD, zstdCodec],
])

/** The implementation that comes with the log. Throws `LogError` `UNSUPPORTED_CODEC` for a number that is none. */
export function builtInCodec(codec: number): BatchCodec {
  const found = BUILT_IN.get(codec)
  if (found !== undefined) return found
  throw new LogError('UNSUPPORTED_CODEC', `the codec ${codecName(codec)} is not known`)
}

/**
 * The record bytes of a batch, compressed; with codec 0 the same bytes. `level`: gzip 1 to 9, zstd 1 to 22, undefined for
 * the codec's own. Throws or rejects with `LogError` `UNSUPPORTED_CODEC` where the package for it is missing.
 */
export function compress(
  codec: number,
  records: Buffer,
  level: number | undefined,
): Buffer | Promise<Buffer> {
  return codec === CODEC_NONE ? records : builtInCodec(codec).compress(records, level)
}

/**
 * The record bytes of a batch; with codec 0 the same bytes. Throws or rejects with `LogError` `UNSUPPORTED_CODEC` for a codec
 * that cannot be read here, with `BatchFormatError` for bytes that do not decompress or come, or claim to come, to more than
 * `maxBytes`; nothing larger is allocated.
 */
export function decompress(
  codec: number,
  bytes: Buffer,
  maxBytes: number,
): Buffer | Promise<Buffer> {
  return codec === CODEC_NONE ? bytes : decompressWith(builtInCodec(codec), bytes, maxBytes)
}

/** As `decompress`, by one implementation. */
export function decompressWith(
  codec: BatchCodec,
  bytes: Buffer,
  maxBytes: number,
): Buffer | Promise<Buffer> {
  try {
    const records = codec.decompress(bytes, maxBytes)
    return records instanceof Promise ? records.catch(rethrow) : records
  } catch (error) {
    return rethrow(error)
  }
}

/** What a package says of bytes that it cannot decompress is told as damage. */
function rethrow(error: unknown): never {
  if (error instanceof BatchFormatError || error instanceof LogError) throw error
  const reason = `the records do not decompress: ${asError(error).message}`
  throw new BatchFormatError(reason, { cause: error })
}
