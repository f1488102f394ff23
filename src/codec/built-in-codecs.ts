import { LogError } from '../errors.ts'
import type { BatchCodec } from './batch-codec.ts'
import { CODEC_GZIP, CODEC_LZ4, CODEC_SNAPPY, CODEC_ZSTD, codecName } from './codec-names.ts'
import { gzipCodec } from './gzip.ts'
import { lz4Codec } from './lz4.ts'
import { snappyCodec } from './snappy.ts'
import { zstdCodec } from './zstd.ts'

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
