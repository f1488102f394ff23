import type { CompressionCodec, CompressionCodecs, CompressionType } from '../types.ts'
import { checkChoice, checkInteger, checkNames, isFieldsObject, wrongType } from '../util/check.ts'

/** Kafka's names, by their number in a batch's attributes. */
export const COMPRESSION_TYPES: readonly CompressionType[] = Object.freeze([
  'none',
  'gzip',
  'snappy',
  'lz4',
  'zstd',
])
const BRINGABLE: ReadonlySet<string> = new Set(COMPRESSION_TYPES.filter((type) => type !== 'none'))
/** The codec's own level. */
export const OWN_LEVEL = -1
/** From 1 on, where there are levels. */
const HIGHEST_LEVEL: Readonly<Partial<Record<CompressionType, number>>> = { gzip: 9, zstd: 22 }

export interface CompressionChoice {
  readonly compression?: CompressionType | undefined
  readonly compressionLevel?: number | undefined
}

/** Checks a codec and its level, which goes with the codec beside it and with no other. `where` stands before the names. */
export function checkCompression(
  { compression, compressionLevel }: CompressionChoice,
  where = '',
): void {
  checkChoice(`${where}compression`, compression, undefined, COMPRESSION_TYPES)
  if (compressionLevel === undefined || compressionLevel === OWN_LEVEL) return
  const name = `${where}compressionLevel`
  if (compression === undefined) {
    checkInteger(name, compressionLevel, OWN_LEVEL)
    throw new TypeError(`${name} is ${compressionLevel}; it needs compression beside it`)
  }
  const highest = HIGHEST_LEVEL[compression]
  if (highest !== undefined) checkInteger(name, compressionLevel, 1, highest)
  else {
    checkInteger(name, compressionLevel, OWN_LEVEL)
    throw new RangeError(`${name} is ${compressionLevel}; ${compression} has no levels`)
  }
}

/** The implementations that a caller brings. */
export function resolveCodecs(given: unknown): CompressionCodecs | undefined {
  if (given === undefined) return undefined
  if (!isFieldsObject(given)) throw wrongType('codecs', given, 'an object with codecs by name')
  checkNames('codecs', given, BRINGABLE)
  for (const [name, codec] of Object.entries(given)) checkCodec(`codecs.${name}`, codec)
  return given
}

function checkCodec(name: string, codec: unknown): void {
  if (codec === undefined) return
  const { compress, decompress } = (codec ?? {}) as Partial<CompressionCodec>
  if (typeof compress === 'function' && typeof decompress === 'function') return
  throw wrongType(name, codec, 'an object with the functions compress and decompress')
}
