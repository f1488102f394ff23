import { COMPRESSION_TYPES, OWN_LEVEL } from '../options.ts'
import type { CompressionType } from '../types.ts'
import { CODEC_NONE } from './codec-names.ts'

/** How a batch is compressed. There is one object for each choice, so that two can be compared as such. */
export interface Compression {
  readonly codec: number
  /** Undefined: the codec's own. */
  readonly level: number | undefined
}

export const NO_COMPRESSION: Compression = Object.freeze({ codec: CODEC_NONE, level: undefined })

/** By codec, then by level. */
const choices = COMPRESSION_TYPES.map(() => new Map<number, Compression>())
choices[CODEC_NONE]?.set(OWN_LEVEL, NO_COMPRESSION)

/** What was given has been checked. */
export function compressionOf(type: CompressionType, level: number = OWN_LEVEL): Compression {
  const codec = COMPRESSION_TYPES.indexOf(type)
  const known = choices[codec]?.get(level)
  if (known !== undefined) return known
  const choice = Object.freeze({ codec, level: level === OWN_LEVEL ? undefined : level })
  choices[codec]?.set(level, choice)
  return choice
}
