/** What becomes of a record whose handler fails: decided purely, from the options, how often it has failed, and a random number. */
import { DecodeError } from '../../../errors.ts'
import {
  checkChoice,
  checkInteger,
  checkNames,
  checkNumber,
  checkObject,
  MAX_SAFE,
  optionalInteger,
  shown,
  wrongType,
} from '../../../util/check.ts'
import type { ConsumedRecord } from '../page-source.ts'

/** How long a retry waits. */
export interface Backoff {
  /** `'exponential'`: `initialMs`, then each time `factor` as long. `'fixed'`: always `initialMs`. Default `'exponential'`. */
  readonly type?: 'fixed' | 'exponential'
  /** Milliseconds before the first retry. Default 100; at least 0. */
  readonly initialMs?: number
  /** Of `'exponential'`: no wait is longer. Default 30,000; at least 0. */
  readonly maxMs?: number
  /** Of `'exponential'`. Default 2; at least 1. */
  readonly factor?: number
  /** The part of each wait that is left to chance, so that what failed together is not retried together. Default 0.2; 0 (none) to 1 (all of it). */
  readonly jitter?: number
}

/** What becomes of a record whose handler throws or rejects. */
export interface FailurePolicy<R = ConsumedRecord> {
  /**
   * How often it is handed out again before it is given up. Default 3; at least 0; `Infinity`: its key (or partition) waits until its handler
   * succeeds.
   */
  readonly retries?: number
  readonly backoff?: Backoff
  /**
   * What becomes of it then. `'stop'` (default) ends the run, which rejects with `HandlerFailedError`; the record is not finished, and the first thing that is handed
   * out the next time. `'skip'` counts it as finished. `{ deadLetterTopic }` appends it there, with the headers of `DEAD_LETTER_HEADERS`, and
   * counts it as finished once that is acknowledged; an append that fails is tried again, with the same waits, as long as it may succeed, and
   * else ends the run.
   */
  readonly giveUp?: 'stop' | 'skip' | { readonly deadLetterTopic: string }
  /** Whether to retry at all after this error. Default: unless the record cannot be decoded (`DECODE_FAILED`), which it never will. */
  readonly shouldRetry?: (error: unknown, record: R) => boolean
}

export interface ResolvedPolicy<K, V> {
  readonly retries: number
  readonly backoff: Required<Backoff>
  readonly giveUp: 'stop' | 'skip' | 'dead-letter'
  readonly deadLetterTopic: string | undefined
  readonly shouldRetry: (error: unknown, record: ConsumedRecord<K, V>) => boolean
}

const POLICY: ReadonlySet<string> = new Set<keyof FailurePolicy>([
  'retries',
  'backoff',
  'giveUp',
  'shouldRetry',
])
const BACKOFF: ReadonlySet<string> = new Set<keyof Backoff>([
  'type',
  'initialMs',
  'maxMs',
  'factor',
  'jitter',
])

export function resolveFailurePolicy<K, V>(given: unknown = {}): ResolvedPolicy<K, V> {
  const policy = (checkObject('failurePolicy', given) ?? {}) as FailurePolicy<ConsumedRecord<K, V>>
  checkNames('failurePolicy', policy, POLICY)
  const { retries = 3, shouldRetry = canSucceed } = policy
  if (retries !== Number.POSITIVE_INFINITY) checkInteger('failurePolicy.retries', retries, 0)
  if (typeof shouldRetry !== 'function') {
    throw wrongType('failurePolicy.shouldRetry', shouldRetry, 'a function')
  }
  const { giveUp, deadLetterTopic } = resolveGiveUp(policy.giveUp)
  return { retries, backoff: resolveBackoff(policy.backoff), giveUp, deadLetterTopic, shouldRetry }
}

function resolveBackoff(given: unknown = {}): Required<Backoff> {
  const backoff = (checkObject('failurePolicy.backoff', given) ?? {}) as Backoff
  checkNames('failurePolicy.backoff', backoff, BACKOFF)
  const { factor = 2, jitter = 0.2 } = backoff
  return {
    type: checkChoice('backoff.type', backoff.type, 'exponential', ['fixed', 'exponential']),
    initialMs: optionalInteger('backoff.initialMs', backoff.initialMs, 100, 0),
    maxMs: optionalInteger('backoff.maxMs', backoff.maxMs, 30_000, 0),
    factor: checkNumber('backoff.factor', factor, 1, MAX_SAFE),
    jitter: checkNumber('backoff.jitter', jitter, 0, 1),
  }
}

function resolveGiveUp(
  giveUp: unknown = 'stop',
): Pick<ResolvedPolicy<unknown, unknown>, 'giveUp' | 'deadLetterTopic'> {
  if (giveUp === 'stop' || giveUp === 'skip') return { giveUp, deadLetterTopic: undefined }
  if (typeof giveUp === 'object' && giveUp !== null && 'deadLetterTopic' in giveUp) {
    const { deadLetterTopic } = giveUp
    checkNames('failurePolicy.giveUp', giveUp, new Set(['deadLetterTopic']))
    if (typeof deadLetterTopic === 'string') return { giveUp: 'dead-letter', deadLetterTopic }
    throw wrongType('deadLetterTopic', deadLetterTopic, 'the name of a topic')
  }
  const allowed = `'stop', 'skip' or { deadLetterTopic }`
  if (typeof giveUp !== 'string') throw wrongType('failurePolicy.giveUp', giveUp, allowed)
  throw new RangeError(`failurePolicy.giveUp is ${shown(giveUp)}; it must be ${allowed}`)
}

function canSucceed(error: unknown): boolean {
  return !(error instanceof DecodeError)
}

/** Milliseconds to wait before a retry; 1 is the first. `random`: in [0, 1). */
export function backoffMs(backoff: Required<Backoff>, retry: number, random: number): number {
  const { type, initialMs, maxMs, factor, jitter } = backoff
  // Without a first wait there is none, however large the power has become.
  const isFixed = type === 'fixed' || initialMs === 0
  const fullMs = isFixed ? initialMs : Math.min(maxMs, initialMs * factor ** (retry - 1))
  return Math.round(fullMs * (1 - jitter * random))
}
