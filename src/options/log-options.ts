import type { Clock, CompressionCodecs, CompressionType, Durability, FileSystem } from '../types.ts'
import {
  checkBoolean,
  checkChoice,
  checkHasMethod,
  checkInteger,
  checkNames,
  checkObject,
  isFieldsObject,
  MAX_INT32,
  optionalInteger,
  wrongType,
  wrongValue,
} from '../util/check.ts'
import { checkCompression, OWN_LEVEL, resolveCodecs } from './compression-options.ts'
import { DURABILITIES } from './shared.ts'

const MIB = 1024 * 1024

export interface LogOptions<Topics extends object = object> {
  /** Declarations by topic name. */
  readonly topics?: Topics
  /** Level of topics that set none. Default `'disk'`. */
  readonly durability?: Durability
  /** How batches of topics that set nothing of it are compressed. Default `'none'`. */
  readonly compression?: CompressionType
  /** Of `compression`: gzip 1 to 9, zstd 1 to 22. Default -1: the codec's own. */
  readonly compressionLevel?: number
  /** Milliseconds that records of topics that set none wait for others. Default 0. */
  readonly lingerMs?: number
  /** What the records of one batch may decompress to, in bytes. Default 128 MiB; 1 to 2^31 - 1. */
  readonly maxDecompressedBytes?: number
  /** Implementations of codecs in place of the log's own. */
  readonly codecs?: CompressionCodecs
  /** An unknown topic is created when it is first produced to. Default false. */
  readonly autoCreateTopics?: boolean
  /** Bytes that may wait to be written before callers wait. Default 32 MiB; at least 1. */
  readonly maxPendingBytes?: number
  /** Files kept open. Default 256; at least 8. */
  readonly maxOpenFiles?: number
  /** Memory for tails, indexes and read-ahead, in bytes. Default 64 MiB; at least 0. */
  readonly cacheBytes?: number
  /** Syncs in flight at once. Default 3; 1 to 1,024. */
  readonly maxConcurrentSyncs?: number
  /** Unsynced bytes, over all partitions, that start a sync in the background. Default 16 MiB; at least 1. */
  readonly flushBytes?: number
  /** Milliseconds after which unsynced bytes are synced, for topics that set none. Default 1,000; at least 1. */
  readonly flushIntervalMs?: number
  /** Opens beside a writer and changes nothing. Default false. */
  readonly readOnly?: boolean
  /** Milliseconds between two looks for growth with `readOnly`. Default 100; at least 1. */
  readonly readOnlyPollMs?: number
  /** Keys and values of all topics are the stored bytes: serializers, schemas and partitioners are left aside. Default false. */
  readonly raw?: boolean
  /** The token of a lock (from `DirectoryLockedError`) whose holder is known to be gone. */
  readonly breakLock?: string
  /** Milliseconds between two runs of retention. Default 300,000; at least 1. */
  readonly retentionCheckIntervalMs?: number
  /**
   * Milliseconds after which a partition forgets a producer that writes nothing to it, by the timestamps of its last records and by when they were
   * written; what it repeats after that is written again. One with an open transaction is never forgotten. Looked for every `retentionCheckIntervalMs`.
   * Default 86,400,000 (a day); at least 1.
   */
  readonly producerIdExpirationMs?: number
  /**
   * Milliseconds for which a group's committed offsets are kept: since it has had no members, or since the commit where it never had any.
   * Default -1: for ever; at least 0.
   */
  readonly offsetsRetentionMs?: number
  /** Milliseconds between two looks for offsets that have had their time. Default 600,000; at least 1. */
  readonly offsetsRetentionCheckIntervalMs?: number
  /** Milliseconds between two looks for what is worth compacting. Default 15,000; at least 1. */
  readonly compactionCheckIntervalMs?: number
  /** Bytes a second that compaction reads and writes at the most. Default: no bound; at least 1. */
  readonly compactionBytesPerSecond?: number
  /** Memory for the keys of the partition that is being compacted, in bytes: 20 a key, of which three quarters are filled. Default 32 MiB; at least 1,024. */
  readonly compactionMapBytes?: number
  /** Bytes of a transaction's records above which they are written before it is committed, and memory is given back. Default 8 MiB; at least 1. */
  readonly maxTransactionBytes?: number
  /** Milliseconds after which a transactional id that nobody has used is forgotten; its producer is fenced. Default 604,800,000: 7 days; at least 1. */
  readonly transactionalIdExpirationMs?: number
  /** Default: the disk. */
  readonly fileSystem?: FileSystem
  /** Default: the system's. */
  readonly clock?: Clock
}

type WithoutDefault = ('codecs' | 'breakLock' | 'fileSystem' | 'clock') | 'compactionBytesPerSecond'

export interface ResolvedLogOptions extends Required<Omit<LogOptions, 'topics' | WithoutDefault>> {
  /** Declarations as they were given; `resolveDeclaration` checks each. */
  readonly topics: Readonly<Record<string, unknown>>
  readonly codecs: CompressionCodecs | undefined
  readonly breakLock: string | undefined
  readonly compactionBytesPerSecond: number | undefined
  readonly fileSystem: FileSystem | undefined
  readonly clock: Clock | undefined
}

const LOG_OPTIONS: ReadonlySet<string> = new Set<keyof LogOptions>([
  'topics',
  'durability',
  'compression',
  'compressionLevel',
  'lingerMs',
  'maxDecompressedBytes',
  'codecs',
  'autoCreateTopics',
  'maxPendingBytes',
  'maxOpenFiles',
  'cacheBytes',
  'maxConcurrentSyncs',
  'flushBytes',
  'flushIntervalMs',
  'readOnly',
  'readOnlyPollMs',
  'raw',
  'breakLock',
  'retentionCheckIntervalMs',
  'producerIdExpirationMs',
  'offsetsRetentionMs',
  'offsetsRetentionCheckIntervalMs',
  'compactionCheckIntervalMs',
  'compactionBytesPerSecond',
  'compactionMapBytes',
  'maxTransactionBytes',
  'transactionalIdExpirationMs',
  'fileSystem',
  'clock',
])

/** Checks the options of `Log.open` and fills in the defaults, save those of `fileSystem` and `clock`. */
export function resolveLogOptions(input?: LogOptions): ResolvedLogOptions {
  checkObject('the options of the log', input)
  const given = input ?? {}
  checkNames('the log', given, LOG_OPTIONS)
  checkHasMethod('fileSystem', given.fileSystem, 'openSync', 'a FileSystem')
  checkHasMethod('clock', given.clock, 'setTimer', 'a Clock')
  checkCompression(given)
  return {
    topics: declarations(given.topics),
    durability: checkChoice('durability', given.durability, 'disk', DURABILITIES),
    compression: given.compression ?? 'none',
    compressionLevel: given.compressionLevel ?? OWN_LEVEL,
    lingerMs: optionalInteger('lingerMs', given.lingerMs, 0, 0),
    maxDecompressedBytes: optionalInteger(
      'maxDecompressedBytes',
      given.maxDecompressedBytes,
      128 * MIB,
      1,
      MAX_INT32,
    ),
    codecs: resolveCodecs(given.codecs),
    autoCreateTopics: checkBoolean('autoCreateTopics', given.autoCreateTopics, false),
    maxPendingBytes: optionalInteger('maxPendingBytes', given.maxPendingBytes, 32 * MIB, 1),
    maxOpenFiles: optionalInteger('maxOpenFiles', given.maxOpenFiles, 256, 8),
    cacheBytes: optionalInteger('cacheBytes', given.cacheBytes, 64 * MIB, 0),
    maxConcurrentSyncs: optionalInteger('maxConcurrentSyncs', given.maxConcurrentSyncs, 3, 1, 1024),
    flushBytes: optionalInteger('flushBytes', given.flushBytes, 16 * MIB, 1),
    flushIntervalMs: delayMs('flushIntervalMs', given.flushIntervalMs, 1000),
    readOnly: checkBoolean('readOnly', given.readOnly, false),
    readOnlyPollMs: delayMs('readOnlyPollMs', given.readOnlyPollMs, 100),
    raw: checkBoolean('raw', given.raw, false),
    breakLock: lockToken(given.breakLock),
    retentionCheckIntervalMs: delayMs(
      'retentionCheckIntervalMs',
      given.retentionCheckIntervalMs,
      300_000,
    ),
    producerIdExpirationMs: delayMs(
      'producerIdExpirationMs',
      given.producerIdExpirationMs,
      86_400_000,
    ),
    offsetsRetentionMs: optionalInteger('offsetsRetentionMs', given.offsetsRetentionMs, -1, -1),
    offsetsRetentionCheckIntervalMs: delayMs(
      'offsetsRetentionCheckIntervalMs',
      given.offsetsRetentionCheckIntervalMs,
      600_000,
    ),
    compactionCheckIntervalMs: delayMs(
      'compactionCheckIntervalMs',
      given.compactionCheckIntervalMs,
      15_000,
    ),
    compactionBytesPerSecond: bytesPerSecond(given.compactionBytesPerSecond),
    compactionMapBytes: optionalInteger(
      'compactionMapBytes',
      given.compactionMapBytes,
      32 * MIB,
      1024,
    ),
    ...transactionOptions(given),
    fileSystem: given.fileSystem,
    clock: given.clock,
  }
}

type TransactionOptionNames = 'transactionalIdExpirationMs' | 'maxTransactionBytes'

function transactionOptions(given: LogOptions): Pick<ResolvedLogOptions, TransactionOptionNames> {
  return {
    transactionalIdExpirationMs: optionalInteger(
      'transactionalIdExpirationMs',
      given.transactionalIdExpirationMs,
      7 * 24 * 60 * 60 * 1000,
      1,
    ),
    maxTransactionBytes: optionalInteger(
      'maxTransactionBytes',
      given.maxTransactionBytes,
      8 * MIB,
      1,
    ),
  }
}

function declarations(given: unknown): Readonly<Record<string, unknown>> {
  if (given === undefined) return {}
  if (isFieldsObject(given)) return given as Readonly<Record<string, unknown>>
  throw wrongType('topics', given, 'an object with declarations by topic name')
}

function delayMs(name: string, value: unknown, fallback: number): number {
  return optionalInteger(name, value, fallback, 1)
}

function bytesPerSecond(value: unknown): number | undefined {
  return value === undefined ? undefined : checkInteger('compactionBytesPerSecond', value, 1)
}

function lockToken(value: unknown): string | undefined {
  if (value === undefined || (typeof value === 'string' && value !== '')) return value
  throw wrongValue('breakLock', value, 'string', 'the token of a lock')
}
