import type { CompressionType, Durability } from '../types.ts'
import { checkChoice, checkInteger, checkNames, checkObject, checkSignal } from '../util/check.ts'
import { checkCompression } from './compression-options.ts'
import { DURABILITIES, partitionNumber } from './shared.ts'

export interface ProduceOptions {
  /** Level of the acknowledgement. Default: the topic's. */
  readonly durability?: Durability
  /** How the records are compressed. Default: as the topic says. One batch has one codec: calls with several share none. */
  readonly compression?: CompressionType
  /** Of `compression`: gzip 1 to 9, zstd 1 to 22. Default -1: the codec's own. */
  readonly compressionLevel?: number
  /** For records that name none. Default: by key, else sticky. */
  readonly partition?: number
  /** Append only if this is the log end offset, judged in call order. The partition must be given. */
  readonly expectedOffset?: number
  /** Takes the call back while it waits for room. */
  readonly signal?: AbortSignal | undefined
}

export interface ResolvedProduceOptions {
  readonly durability: Durability | undefined
  readonly compression: CompressionType | undefined
  readonly compressionLevel: number | undefined
  readonly partition: number | undefined
  readonly expectedOffset: number | undefined
  readonly signal: AbortSignal | undefined
}

const PRODUCE_OPTIONS: ReadonlySet<string> = new Set<keyof ProduceOptions>([
  'durability',
  'compression',
  'compressionLevel',
  'partition',
  'expectedOffset',
  'signal',
])
const DEFAULT_PRODUCE: ResolvedProduceOptions = Object.freeze({
  durability: undefined,
  compression: undefined,
  compressionLevel: undefined,
  partition: undefined,
  expectedOffset: undefined,
  signal: undefined,
})

/** Checks the options of `produce`. That `expectedOffset` has its partition is for the caller to see, as records may name it. */
export function resolveProduceOptions(given?: ProduceOptions): ResolvedProduceOptions {
  if (given === undefined) return DEFAULT_PRODUCE
  checkObject('the options of produce', given)
  checkNames('produce', given, PRODUCE_OPTIONS)
  const { durability, compression, compressionLevel, partition, expectedOffset } = given
  checkCompression(given)
  return {
    durability: checkChoice('durability', durability, undefined, DURABILITIES),
    compression,
    compressionLevel,
    partition: partition === undefined ? undefined : partitionNumber(partition),
    expectedOffset:
      expectedOffset === undefined ? undefined : checkInteger('expectedOffset', expectedOffset, 0),
    signal: checkSignal('signal', given.signal),
  }
}
