/** Everything that a broker writes, a topic each: a new kind of data is one entry here. */
import { randomInteger } from '../support/random.ts'
import type { Settings } from './judge.ts'
import type { RecordShape } from './records.ts'

export interface BrokerKind {
  readonly partitions: number
  readonly config: Settings
  readonly shape: RecordShape
  /** The records' time goes on by so much from call to call; left out: any time, or none. */
  readonly stepMs?: number
  /** Settings of the producer of one call. */
  readonly producer: (random: () => number) => Settings
  /** In transactions, of which some are aborted and one stays open. */
  readonly isTransactional?: boolean
  /** The cleaner removes records of keys that come again. */
  readonly isCompacted?: boolean
  /** Records are deleted up to some offset. */
  readonly isTrimmed?: boolean
}

export const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

const USUAL = { partitions: 1, config: {}, shape: { valueLimit: 400 } } as const
/** A segment for about two calls, with an index entry for almost every batch. */
const MANY_SEGMENTS = {
  ...USUAL,
  stepMs: 60_000,
  config: { 'segment.ms': '100000', 'index.interval.bytes': '0', 'segment.index.bytes': '4096' },
} as const

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
    shape: { valueLimit: 400, isKeyed: true },
    producer: anyCodec,
    isCompacted: true,
  },
  transactions: {
    ...MANY_SEGMENTS,
    producer: anyCodec,
    isTransactional: true,
  },
  untouched: { ...USUAL, producer: idempotent },
}
