import type { IsolationLevel } from '../types.ts'
import {
  checkChoice,
  checkInteger,
  checkNames,
  checkObject,
  checkSignal,
  MAX_INT32,
  optionalInteger,
  wrongType,
  wrongValue,
} from '../util/check.ts'
import type { OnCorrupt } from './shared.ts'
import { ISOLATION_DEFAULT, ISOLATION_LEVELS, ON_CORRUPT, partitionNumber } from './shared.ts'

const MIB = 1024 * 1024

/**
 * Where a read starts: an offset, one for each partition (by its number; a partition that is not named is read from its
 * beginning), the first record at or after a time, or an end of the log.
 */
export type ReadFrom =
  | number
  | ReadonlyMap<number, number>
  | Date
  | { readonly timestamp: number }
  | 'earliest'
  | 'latest'

export interface ReadOptions {
  /** Default: all partitions. */
  readonly partition?: number
  /** Instead of `partition`: several, each once. */
  readonly partitions?: readonly number[]
  /** A single offset needs a single partition. Default `'earliest'`. */
  readonly from?: ReadFrom
  /** `'end'`: ends at what is the end when the read begins. Default: live, waits for more. */
  readonly until?: 'end'
  /** Bytes of a page, of at most 500 batches, for each partition; of compressed ones also as they decompress. Default 1 MiB; 1 to 2^31 - 1. */
  readonly maxBytes?: number
  /** Ends the read. */
  readonly signal?: AbortSignal | undefined
  /** At batches that are damaged, or whose codec cannot be read. Default `'throw'`. */
  readonly onCorrupt?: OnCorrupt
  /** See `IsolationLevel`. Default `'read_committed'`. */
  readonly isolationLevel?: IsolationLevel
}

export type ResolvedReadFrom =
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'offsets'; readonly offsets: ReadonlyMap<number, number> }
  | { readonly kind: 'timestamp'; readonly timestamp: number }
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }

export interface ResolvedReadOptions {
  /** Undefined: all. */
  readonly partitions: readonly number[] | undefined
  readonly from: ResolvedReadFrom
  readonly until: 'end' | undefined
  readonly maxBytes: number
  readonly signal: AbortSignal | undefined
  readonly onCorrupt: OnCorrupt
  readonly isolationLevel: IsolationLevel
}

const READ_OPTIONS: ReadonlySet<string> = new Set<keyof ReadOptions>([
  'partition',
  'partitions',
  'from',
  'until',
  'maxBytes',
  'signal',
  'onCorrupt',
  'isolationLevel',
])

/** Checks the options of `read`. That a topic read whole from an offset has one partition is for the caller to see. */
export function resolveReadOptions(given: ReadOptions = {}): ResolvedReadOptions {
  checkObject('the options of read', given)
  checkNames('read', given, READ_OPTIONS)
  const partitions = readPartitions(given)
  const from = readFrom(given.from)
  if (from.kind === 'offset' && partitions !== undefined && partitions.length > 1) {
    throw new TypeError(`from is the offset ${from.offset}; an offset needs a single partition`)
  }
  if (from.kind === 'offsets' && partitions !== undefined) {
    const other = [...from.offsets.keys()].find((each) => !partitions.includes(each))
    if (other !== undefined) {
      throw new RangeError(`from names partition ${other}, which is not among those to be read`)
    }
  }
  return {
    partitions,
    from,
    until: checkChoice<'end', undefined>('until', given.until, undefined, ['end']),
    maxBytes: optionalInteger('maxBytes', given.maxBytes, MIB, 1, MAX_INT32),
    signal: checkSignal('signal', given.signal),
    onCorrupt: checkChoice('onCorrupt', given.onCorrupt, 'throw', ON_CORRUPT),
    isolationLevel: checkChoice(
      'isolationLevel',
      given.isolationLevel,
      ISOLATION_DEFAULT,
      ISOLATION_LEVELS,
    ),
  }
}

function readPartitions({ partition, partitions }: ReadOptions): readonly number[] | undefined {
  if (partition !== undefined && partitions !== undefined) {
    throw new TypeError('partition and partitions are both given; one of them is allowed')
  }
  if (partition !== undefined) return [partitionNumber(partition)]
  if (partitions === undefined) return undefined
  if (!Array.isArray(partitions)) {
    throw wrongType('partitions', partitions, 'an array of partition numbers')
  }
  const distinct = new Set(partitions.map(partitionNumber))
  if (distinct.size === partitions.length && distinct.size > 0) return [...distinct]
  throw new RangeError(`partitions is [${partitions}]; it must name at least one, each once`)
}

function readFrom(from: unknown): ResolvedReadFrom {
  if (from === undefined || from === 'earliest') return { kind: 'earliest' }
  if (from === 'latest') return { kind: 'latest' }
  if (typeof from === 'number') return { kind: 'offset', offset: checkInteger('from', from, 0) }
  if (from instanceof Map) return { kind: 'offsets', offsets: offsetsByPartition(from) }
  if (from instanceof Date) return startingAt('from', from.getTime())
  if (typeof from === 'object' && from !== null && 'timestamp' in from) {
    return startingAt('from.timestamp', from.timestamp)
  }
  throw wrongValue(
    'from',
    from,
    'string',
    "an offset, a Map of offsets by partition, a Date, { timestamp }, 'earliest' or 'latest'",
  )
}

function offsetsByPartition(given: ReadonlyMap<unknown, unknown>): Map<number, number> {
  const offsets = new Map<number, number>()
  for (const [partition, offset] of given) {
    offsets.set(partitionNumber(partition), checkInteger('an offset of from', offset, 0))
  }
  return offsets
}

function startingAt(name: string, timestamp: unknown): ResolvedReadFrom {
  return { kind: 'timestamp', timestamp: checkInteger(name, timestamp, 0) }
}
