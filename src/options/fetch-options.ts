import type { IsolationLevel } from '../types.ts'
import {
  checkChoice,
  checkInteger,
  checkNames,
  checkSignal,
  MAX_INT32,
  optionalInteger,
  wrongType,
} from '../util/check.ts'
import type { OnCorrupt } from './shared.ts'
import { ISOLATION_DEFAULT, ISOLATION_LEVELS, ON_CORRUPT, partitionNumber } from './shared.ts'

const MIB = 1024 * 1024

export interface FetchOptions {
  readonly partition: number
  /** Where to start, log start offset to log end offset. */
  readonly offset: number
  /**
   * Bytes of batches, and with a `minBytes` of 0 or 1 also at most 500 batches, so that none holds the event loop; the first
   * record comes even if it alone is larger. Then compressed batches also count as what they decompress to: with the one that comes
   * to it the page ends. Default 1 MiB; 1 to 2^31 - 1.
   */
  readonly maxBytes?: number
  /** Default no bound; at least 1. */
  readonly maxRecords?: number
  /** Bytes that must be there before a waiting fetch is answered. Default 1; 0 to 2^31 - 1. */
  readonly minBytes?: number
  /** Milliseconds to wait for `minBytes`. Default 0. */
  readonly maxWaitMs?: number
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined
  /** At batches that are damaged, or whose codec cannot be read. Default `'throw'`. */
  readonly onCorrupt?: OnCorrupt
  /** See `IsolationLevel`. Default `'read_committed'`. */
  readonly isolationLevel?: IsolationLevel
}

export interface ResolvedFetchOptions extends Required<Omit<FetchOptions, 'signal'>> {
  readonly signal: AbortSignal | undefined
}

const FETCH_OPTIONS: ReadonlySet<string> = new Set<keyof FetchOptions>([
  'partition',
  'offset',
  'maxBytes',
  'maxRecords',
  'minBytes',
  'maxWaitMs',
  'signal',
  'onCorrupt',
  'isolationLevel',
])

/** Checks the options of `fetch`; `partition` and `offset` must be there. */
export function resolveFetchOptions(given: FetchOptions): ResolvedFetchOptions {
  if (typeof given !== 'object' || given === null) {
    throw wrongType('the options of fetch', given, 'an object with partition and offset')
  }
  checkNames('fetch', given, FETCH_OPTIONS)
  return {
    partition: partitionNumber(given.partition),
    offset: checkInteger('offset', given.offset, 0),
    maxBytes: optionalInteger('maxBytes', given.maxBytes, MIB, 1, MAX_INT32),
    maxRecords: recordCount(given.maxRecords),
    minBytes: optionalInteger('minBytes', given.minBytes, 1, 0, MAX_INT32),
    maxWaitMs: optionalInteger('maxWaitMs', given.maxWaitMs, 0, 0),
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

function recordCount(value: number | undefined): number {
  return value === Number.POSITIVE_INFINITY
    ? value
    : optionalInteger('maxRecords', value, Number.POSITIVE_INFINITY, 1)
}
