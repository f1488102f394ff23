import type { Durability } from '../types.ts'
import { checkChoice, checkInteger, checkNames, checkObject, checkSignal } from '../util/check.ts'
import { DURABILITIES, partitionNumber } from './shared.ts'

export interface ProduceOptions {
  /** Level of the acknowledgement. Default: the topic's. */
  readonly durability?: Durability
  /** For records that name none. Default: by key, else sticky. */
  readonly partition?: number
  /** Append only if this is the log end offset, judged in call order. The partition must be given. */
  readonly expectedOffset?: number
  /** Takes the call back while it waits for room. */
  readonly signal?: AbortSignal | undefined
}

export interface ResolvedProduceOptions {
  readonly durability: Durability | undefined
  readonly partition: number | undefined
  readonly expectedOffset: number | undefined
  readonly signal: AbortSignal | undefined
}

const PRODUCE_OPTIONS: ReadonlySet<string> = new Set<keyof ProduceOptions>([
  'durability',
  'partition',
  'expectedOffset',
  'signal',
])
const DEFAULT_PRODUCE: ResolvedProduceOptions = Object.freeze({
  durability: undefined,
  partition: undefined,
  expectedOffset: undefined,
  signal: undefined,
})

/** Checks the options of `produce`. That `expectedOffset` has its partition is for the caller to see, as records may name it. */
export function resolveProduceOptions(given?: ProduceOptions): ResolvedProduceOptions {
  if (given === undefined) return DEFAULT_PRODUCE
  checkObject('the options of produce', given)
  checkNames('produce', given, PRODUCE_OPTIONS)
  const { durability, partition, expectedOffset } = given
  return {
    durability: checkChoice('durability', durability, undefined, DURABILITIES),
    partition: partition === undefined ? undefined : partitionNumber(partition),
    expectedOffset:
      expectedOffset === undefined ? undefined : checkInteger('expectedOffset', expectedOffset, 0),
    signal: checkSignal('signal', given.signal),
  }
}
