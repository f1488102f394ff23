import { checkBoolean, checkNames, checkObject, checkSignal, wrongType } from '../util/check.ts'
import { partitionNumber } from './shared.ts'

export interface CompactOptions {
  /** Default: all. */
  readonly partitions?: readonly number[]
  /** Rolls the active segments first, so that all records are compacted. Default true. */
  readonly roll?: boolean
  /** Ends it; what is compacted by then stays so. */
  readonly signal?: AbortSignal | undefined
}

export interface ResolvedCompactOptions {
  readonly partitions: readonly number[] | undefined
  readonly roll: boolean
  readonly signal: AbortSignal | undefined
}

const COMPACT_OPTIONS: ReadonlySet<string> = new Set<keyof CompactOptions>([
  'partitions',
  'roll',
  'signal',
])

/** Checks the options of `compact`. */
export function resolveCompactOptions(given: CompactOptions = {}): ResolvedCompactOptions {
  checkObject('the options of compact', given)
  checkNames('compact', given, COMPACT_OPTIONS)
  return {
    partitions: numbers(given.partitions),
    roll: checkBoolean('roll', given.roll, true),
    signal: checkSignal('signal', given.signal),
  }
}

function numbers(given: unknown): readonly number[] | undefined {
  if (given === undefined) return undefined
  if (!Array.isArray(given)) throw wrongType('partitions', given, 'an array of partition numbers')
  return [...new Set(given.map(partitionNumber))]
}
