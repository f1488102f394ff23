/** Everything that a broker writes, a topic each: a new kind of data is one entry here. */
import type { TopicConfig } from '../../src/index.ts'
import { randomInteger } from '../support/random.ts'
import type { Settings } from './judge.ts'
import type { RecordShape } from './records.ts'
import { SOME_TIME } from './records.ts'

export interface BrokerKind {
  readonly partitions: number
  readonly config: Settings
  readonly shape: RecordShape
  /** The time of the first call's records, and how far it goes on from call to call; left out: any time, or none. */
  readonly fromMs?: number
  readonly stepMs?: number
  /** Settings of the producer of one call. */
  readonly producer: (random: () => number) => Settings
  /** In transactions, of which some are aborted and one stays open. */
  readonly isTransactional?: boolean
  /** The cleaner removes records of keys that come again. */
  readonly isCompacted?: boolean
  /** How it is compacted when it is opened here; left out: not at all. */
  readonly ourCompaction?: Partial<TopicConfig>
  /** Records are deleted up to some offset. */
  readonly isTrimmed?: boolean
}

export const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

const USUAL = { partitions: 1, config: {}, shape: { valueLimit: 400 } } as const
const KEYED = { shape: { valueLimit: 400, isKeyed: true } } as const
/** A segment for about two calls, with an index entry for almost every batch. */
const MANY_SEGMENTS = {
  ...USUAL,
  fromMs: SOME_TIME,
  stepMs: 60_000,
  config: { 'segment.ms': '100000', 'index.interval.bytes': '0', 'segment.index.bytes': '4096' },
} as const

/**
 * Of years to come: a producer that has been idle for a day is forgotten, and the end of a transaction has the broker's time, which must
 * not be so late that everything behind it is in one segment.
 */
const LATER = {
  ...MANY_SEGMENTS,
  fromMs: Date.UTC(2050, 0),
  config: { ...MANY_SEGMENTS.config, 'message.timestamp.after.max.ms': '9223372036854775807' },
} as const
const TRANSACTIONAL = { ...LATER, isTransactional: true } as const
/** Every batch has index entries, which compaction makes anew. */
const OURS = {
  ...KEYED,
  ourCompaction: { cleanupPolicy: 'compact', indexIntervalBytes: 0 },
} as const
/** Tombstones, and markers that nothing refers to any more, go with the second compaction. */
const SOON_GONE = { ourCompaction: { ...OURS.ourCompaction, deleteRetentionMs: 0 } } as const

const idempotent = (random: () => number): Settings => ({
  'enable.idempotence': random() < 0.5 ? 'true' : 'false',
})
const codec = (name: string): Settings => ({ 'compression.type': name })
const anyCodec = (random: () => number): Settings =>
  codec(CODECS[randomInteger(random, CODECS.length)] ?? 'none')

const compressed = (name: string): BrokerKind => ({
  ...USUAL,
  producer: (random) => ({ ...idempotent(random), ...codec(name) }),
})

export const BROKER_KINDS: Readonly<Record<string, BrokerKind>> = {
  plain: { ...USUAL, partitions: 3, producer: idempotent },
  gzip: compressed('gzip'),
  snappy: compressed('snappy'),
  lz4: compressed('lz4'),
  zstd: compressed('zstd'),
  'mixed-codecs': { ...MANY_SEGMENTS, producer: anyCodec },
  recompressed: { ...USUAL, config: { 'compression.type': 'lz4' }, producer: anyCodec },
  'append-time': {
    ...USUAL,
    config: { 'message.timestamp.type': 'LogAppendTime', 'index.interval.bytes': '100' },
    producer: anyCodec,
  },
  'many-segments': { ...MANY_SEGMENTS, producer: idempotent },
  trimmed: { ...MANY_SEGMENTS, producer: idempotent, isTrimmed: true },
  compacted: {
    ...MANY_SEGMENTS,
    config: {
      ...MANY_SEGMENTS.config,
      'cleanup.policy': 'compact',
      'min.cleanable.dirty.ratio': '0.01',
      'delete.retention.ms': '0',
    },
    ...KEYED,
    producer: anyCodec,
    isCompacted: true,
  },
  transactions: { ...TRANSACTIONAL, producer: anyCodec },
  /** Batches that lose all their records, some of which are their producer's last. */
  keyed: { ...LATER, ...OURS, producer: idempotent },
  'keyed-codecs': { ...LATER, ...OURS, ...SOON_GONE, producer: anyCodec },
  'keyed-transactions': { ...TRANSACTIONAL, ...OURS, producer: anyCodec },
  'keyed-aborts': { ...TRANSACTIONAL, ...OURS, ...SOON_GONE, producer: anyCodec },
  untouched: { ...USUAL, producer: idempotent },
}
