import type { Assignor, Durability, IsolationLevel, TopicPartition } from '../types.ts'
import {
  checkBoolean,
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
import { DURABILITIES, ISOLATION_DEFAULT, ISOLATION_LEVELS, ON_CORRUPT } from './shared.ts'

const MIB = 1024 * 1024
const DEFAULT_DRAIN_MS = 30_000

/** Where a consumer starts in a partition for which its group has committed nothing. */
export type ConsumerFrom = 'earliest' | 'latest' | 'none' | Date | { readonly timestamp: number }

/** Who of a group reads what: as Kafka's assignors of these names. */
export type AssignorName = 'range' | 'round-robin' | 'sticky' | 'cooperative-sticky'

/** Told of partitions that come or go; what it answers with is waited for. One that throws ends the consumer with what it threw. */
export type PartitionsCallback = (partitions: readonly TopicPartition[]) => void | Promise<void>

export interface ConsumerOptions<N extends string = string> {
  readonly group: string
  /** Names, which must be there, and patterns, which also find topics that are made later; internal topics they never find. */
  readonly topics: readonly (N | RegExp)[]
  /**
   * Where the group has committed nothing, or what it has committed lies past the end. A time: the first record at or after it. `'none'`: rejects with
   * `NO_OFFSET`. Default `'earliest'`. With `'latest'` a partition that comes while the group is at work is read from its beginning.
   */
  readonly from?: ConsumerFrom
  /** Commits by itself what was handed out and came back for more. Default true; else `commit` is the caller's. */
  readonly autoCommit?: boolean
  /** What is done is committed at the latest so long after. Default 1,000; 1 to 2^31 - 1. */
  readonly autoCommitIntervalMs?: number
  /** Of commits. Default `'os'`, the level of `__consumer_offsets`. */
  readonly commitDurability?: Durability
  /** The same for all members of a group. Default `'cooperative-sticky'`. */
  readonly assignor?: AssignorName | Assignor
  /** Makes it a static member: its partitions are kept for it for `sessionTimeoutMs` when it leaves. */
  readonly instanceId?: string
  /** Shown by `describeGroup`. Default `'brokerless'`. */
  readonly clientId?: string
  /** How long the place of a static member is kept. Default 45,000; 1 to 2^31 - 1. */
  readonly sessionTimeoutMs?: number
  /** A consumer that has records in hand and gives no sign for so long loses its partitions. Default 300,000; 0: never. */
  readonly maxPollIntervalMs?: number
  /** Bytes of a page, of at most 500 batches; of compressed ones also as they decompress. Default 1 MiB; 1 to 2^31 - 1. */
  readonly maxBytes?: number
  /** No page is read while those in hand have as many bytes: with one page more it bounds what is held. Default 8 MiB. */
  readonly readAheadBytes?: number
  /** At batches that are damaged, or whose codec cannot be read. Default `'throw'`. */
  readonly onCorrupt?: OnCorrupt
  /** See `IsolationLevel`. Default `'read_committed'`. */
  readonly isolationLevel?: IsolationLevel
  /** Ends the consumer: what waits for records rejects with its reason. */
  readonly signal?: AbortSignal | undefined
  /** These are the consumer's own from now on; they are read when it has ended. A `seek` in it decides where. */
  readonly onAssigned?: PartitionsCallback
  /** These are handed back, when what was in hand of them is done and committed; they are the consumer's own until it has ended. */
  readonly onRevoked?: PartitionsCallback
  /** These are others' by now: what was not committed is handed out again. */
  readonly onLost?: PartitionsCallback
}

export type ResolvedConsumerFrom =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'none' }
  | { readonly kind: 'timestamp'; readonly timestamp: number }

export interface ResolvedConsumerOptions {
  readonly group: string
  readonly topics: readonly (string | RegExp)[]
  readonly from: ResolvedConsumerFrom
  readonly autoCommit: boolean
  readonly autoCommitIntervalMs: number
  readonly commitDurability: Durability | undefined
  readonly assignor: AssignorName | Assignor
  readonly instanceId: string | undefined
  readonly clientId: string
  readonly sessionTimeoutMs: number
  readonly maxPollIntervalMs: number
  readonly maxBytes: number
  readonly readAheadBytes: number
  readonly onCorrupt: OnCorrupt
  readonly isolationLevel: IsolationLevel
  readonly signal: AbortSignal | undefined
  readonly onAssigned: PartitionsCallback | undefined
  readonly onRevoked: PartitionsCallback | undefined
  readonly onLost: PartitionsCallback | undefined
}

const CONSUMER_OPTIONS: ReadonlySet<string> = new Set<keyof ConsumerOptions>([
  'group',
  'topics',
  'from',
  'autoCommit',
  'autoCommitIntervalMs',
  'commitDurability',
  'assignor',
  'instanceId',
  'clientId',
  'sessionTimeoutMs',
  'maxPollIntervalMs',
  'maxBytes',
  'readAheadBytes',
  'onCorrupt',
  'isolationLevel',
  'signal',
  'onAssigned',
  'onRevoked',
  'onLost',
])
const ASSIGNORS: readonly AssignorName[] = ['range', 'round-robin', 'sticky', 'cooperative-sticky']

/** Checks the options of `consumer`. Whether its topics are there, and the group's name, are for the caller to see. */
export function resolveConsumerOptions(given: ConsumerOptions): ResolvedConsumerOptions {
  if (checkObject('the options of consumer', given) === undefined) {
    throw new TypeError('consumer needs options with group and topics')
  }
  checkNames('consumer', given, CONSUMER_OPTIONS)
  return {
    group: checkString('group', given.group),
    topics: topicsOf(given.topics),
    from: resolveConsumerFrom('from', given.from),
    autoCommit: checkBoolean('autoCommit', given.autoCommit, true),
    autoCommitIntervalMs: milliseconds('autoCommitIntervalMs', given, 1000, 1),
    commitDurability: checkChoice(
      'commitDurability',
      given.commitDurability,
      undefined,
      DURABILITIES,
    ),
    assignor: assignorOf(given.assignor),
    instanceId: given.instanceId === undefined ? undefined : name('instanceId', given.instanceId),
    clientId: given.clientId === undefined ? 'brokerless' : name('clientId', given.clientId),
    sessionTimeoutMs: milliseconds('sessionTimeoutMs', given, 45_000, 1),
    maxPollIntervalMs: milliseconds('maxPollIntervalMs', given, 300_000, 0),
    maxBytes: optionalInteger('maxBytes', given.maxBytes, MIB, 1, MAX_INT32),
    readAheadBytes: optionalInteger('readAheadBytes', given.readAheadBytes, 8 * MIB, 1),
    onCorrupt: checkChoice('onCorrupt', given.onCorrupt, 'throw', ON_CORRUPT),
    isolationLevel: checkChoice(
      'isolationLevel',
      given.isolationLevel,
      ISOLATION_DEFAULT,
      ISOLATION_LEVELS,
    ),
    signal: checkSignal('signal', given.signal),
    onAssigned: callback('onAssigned', given.onAssigned),
    onRevoked: callback('onRevoked', given.onRevoked),
    onLost: callback('onLost', given.onLost),
  }
}

export interface ConsumerCloseOptions {
  /** How long what is in hand may take to be done. Default 30,000; 0: nothing is waited for. */
  readonly drainMs?: number
}

const CLOSE_OPTIONS: ReadonlySet<string> = new Set<keyof ConsumerCloseOptions>(['drainMs'])

/** Checks the options of a consumer's `close`; answers with `drainMs`. */
export function resolveDrainMs(given: ConsumerCloseOptions = {}): number {
  checkObject('the options of close', given)
  checkNames('close', given, CLOSE_OPTIONS)
  return optionalInteger('drainMs', given.drainMs, DEFAULT_DRAIN_MS, 0, MAX_INT32)
}

/** Where `seek` goes: an offset, the first record at or after a time (or the end), or an end of the partition. */
export type SeekTo = number | 'earliest' | 'latest' | Date | { readonly timestamp: number }

export type ResolvedSeekTo =
  | { readonly kind: 'offset'; readonly offset: number }
  | Exclude<ResolvedConsumerFrom, { readonly kind: 'none' }>

export function resolveSeekTo(to: unknown): ResolvedSeekTo {
  if (typeof to === 'number') return { kind: 'offset', offset: checkInteger('to', to, 0) }
  const found = endOrTime('to', to)
  if (found !== undefined) return found
  throw wrongValue('to', to, 'string', "an offset, a Date, { timestamp }, 'earliest' or 'latest'")
}

/** @param option its name. */
export function resolveConsumerFrom(option: string, from: unknown): ResolvedConsumerFrom {
  if (from === undefined) return { kind: 'earliest' }
  if (from === 'none') return { kind: 'none' }
  const found = endOrTime(option, from)
  if (found !== undefined) return found
  const allowed = "a Date, { timestamp }, 'earliest', 'latest' or 'none'"
  throw wrongValue(option, from, 'string', allowed)
}

function endOrTime(
  option: string,
  value: unknown,
): Exclude<ResolvedConsumerFrom, { readonly kind: 'none' }> | undefined {
  if (value === 'earliest' || value === 'latest') return { kind: value }
  if (value instanceof Date) return timeOf(option, value.getTime())
  if (typeof value === 'object' && value !== null && 'timestamp' in value) {
    return timeOf(`${option}.timestamp`, value.timestamp)
  }
  return undefined
}

function timeOf(
  option: string,
  timestamp: unknown,
): { readonly kind: 'timestamp'; readonly timestamp: number } {
  return { kind: 'timestamp', timestamp: checkInteger(option, timestamp, 0) }
}

function topicsOf(topics: unknown): readonly (string | RegExp)[] {
  if (!Array.isArray(topics)) throw wrongType('topics', topics, 'an array of names and patterns')
  if (topics.length === 0) throw new RangeError('topics is empty; it must name at least one topic')
  return topics.map((each: unknown) => {
    if (typeof each === 'string') return each
    // Without the flags by which a pattern remembers where it was.
    if (each instanceof RegExp) return new RegExp(each.source, each.flags.replace(/[gy]/g, ''))
    throw wrongType('one of topics', each, 'a name or a RegExp')
  })
}

function assignorOf(assignor: unknown): AssignorName | Assignor {
  if (typeof assignor !== 'object' || assignor === null) {
    return checkChoice('assignor', assignor, 'cooperative-sticky', ASSIGNORS)
  }
  const own = assignor as Partial<Assignor>
  name('assignor.name', own.name)
  if (typeof own.assign === 'function') return own as Assignor
  throw wrongType('assignor.assign', own.assign, 'a function')
}

function milliseconds(
  option: 'autoCommitIntervalMs' | 'sessionTimeoutMs' | 'maxPollIntervalMs',
  given: ConsumerOptions,
  fallback: number,
  minimum: number,
): number {
  return optionalInteger(option, given[option], fallback, minimum, MAX_INT32)
}

function callback(option: string, given: unknown): PartitionsCallback | undefined {
  if (given === undefined || typeof given === 'function') {
    return given as PartitionsCallback | undefined
  }
  throw wrongType(option, given, 'a function')
}

function name(option: string, value: unknown): string {
  const text = checkString(option, value)
  if (text.length > 0 && text.length <= 255) return text
  throw new RangeError(`${option} has ${text.length} characters; it must have 1 to 255`)
}

function checkString(option: string, value: unknown): string {
  if (typeof value === 'string') return value
  throw wrongType(option, value, 'a string')
}
