/** The compressions of a record batch, by the number in its attributes. */
import { COMPRESSION_TYPES } from '../options.ts'

export const CODEC_NONE = 0
export const CODEC_GZIP = 1
export const CODEC_SNAPPY = 2
export const CODEC_LZ4 = 3
export const CODEC_ZSTD = 4

/** Kafka's names, by number. */
export const CODEC_NAMES: readonly string[] = COMPRESSION_TYPES

/** As messages name it. */
export function codecName(codec: number): string {
  return CODEC_NAMES[codec] ?? `number ${codec}`
}
