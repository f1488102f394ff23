/**
 * The compression of a batch's records: one block behind the header, in the framing that Kafka writes.
 * What takes up to about 0.2 ms is done in the call, the rest in the thread pool, or in slices of the event loop.
 * Here with the implementations that come with the log; `Codecs` has also those that its opener brought.
 */
import { decompressBy } from './batch-codec.ts'
import { builtInCodec } from './built-in-codecs.ts'
import { CODEC_NONE } from './codec-names.ts'

export {
  CODEC_GZIP,
  CODEC_LZ4,
  CODEC_NAMES,
  CODEC_NONE,
  CODEC_SNAPPY,
  CODEC_ZSTD,
  codecName,
} from './codec-names.ts'

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
 * `maxBytes`; nothing larger is allocated, but for a factor of two by packages that know no bound.
 */
export function decompress(
  codec: number,
  bytes: Buffer,
  maxBytes: number,
): Buffer | Promise<Buffer> {
  return codec === CODEC_NONE ? bytes : decompressBy(builtInCodec(codec), bytes, maxBytes)
}
