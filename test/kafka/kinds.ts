/**
 * Everything that this library writes, a topic each. A new kind of data is one entry here: it is then written at random, killed,
 * dumped by Kafka's tool, and adopted by a broker.
 */
import assert from 'node:assert/strict'
import type { CompressionType, ProduceOptions, TopicDeclaration } from '../../src/index.ts'
import { randomInteger } from '../support/random.ts'
import type { ByteLog, RecordShape } from './records.ts'

export interface Kind {
  readonly declaration: TopicDeclaration
  readonly shape: RecordShape
  /** Most records of one call; a call's batch must fit in a segment. */
  readonly callLimit: number
  /** What a call asks for besides its durability. */
  readonly callOptions?: (random: () => number) => ProduceOptions
  /** What batches are compressed with, if at all. */
  readonly codecs?: readonly CompressionType[]
  /** Of each key the last record stays; others may go, and leave gaps. */
  readonly isCompacted?: boolean
  /** Settings that a broker needs so as to treat the topic as we do. */
  readonly brokerConfig?: Readonly<Record<string, string>>
  /** Takes records away after a term of writing. */
  readonly shorten?: (log: ByteLog, topic: string, random: () => number) => Promise<void>
}

export const PARTITIONS = 3

/** Segments and index intervals so small that much happens. */
const SMALL = {
  key: 'bytes',
  value: 'bytes',
  partitions: PARTITIONS,
  segmentBytes: 4096,
  indexIntervalBytes: 256,
} as const
const ONE = { ...SMALL, partitions: 1 } as const
const USUAL = { shape: { valueLimit: 200 }, callLimit: 8 } as const
const CODECS = ['gzip', 'snappy', 'lz4', 'zstd'] as const
const APPEND_TIME = { 'message.timestamp.type': 'LogAppendTime' }

async function eachPartition(
  log: ByteLog,
  topic: string,
  work: (partition: number, start: number, end: number) => Promise<unknown>,
): Promise<void> {
  for (const each of (await log.describeTopic(topic)).partitions) {
    await work(each.partition, each.logStartOffset, each.logEndOffset)
  }
}

const compressed = (compression: CompressionType, more: TopicDeclaration = {}): Kind => ({
  ...USUAL,
  declaration: { ...ONE, durability: 'os', compression, ...more },
  codecs: [compression],
})

/** The log start is mostly inside a segment and a batch. */
const deleteSomeRecords = (log: ByteLog, topic: string, random: () => number): Promise<void> =>
  eachPartition(log, topic, (partition, start, end) =>
    log.deleteRecords(topic, {
      partition,
      before: start + randomInteger(random, Math.ceil((end - start) / 2)),
    }),
  )

const compacted = (more: TopicDeclaration): Kind => ({
  shape: { ...USUAL.shape, isKeyed: true },
  callLimit: USUAL.callLimit,
  declaration: { ...ONE, durability: 'os', cleanupPolicy: 'compact', ...more },
  codecs: more.compression === undefined ? [] : [more.compression],
  isCompacted: true,
})

/** Any codec, or none, call by call. */
const anyCodec = (random: () => number): ProduceOptions => {
  const compression = CODECS[randomInteger(random, CODECS.length + 1)]
  return compression === undefined ? {} : { compression }
}

export const KINDS: Readonly<Record<string, Kind>> = {
  'created.disk': { ...USUAL, declaration: { ...SMALL, durability: 'disk' } },
  'created.os': { ...USUAL, declaration: { ...SMALL, durability: 'os' } },
  'appended.disk': {
    ...USUAL,
    declaration: { ...SMALL, timestampType: 'LogAppendTime', durability: 'disk' },
    brokerConfig: APPEND_TIME,
  },
  'appended.os': {
    ...USUAL,
    declaration: {
      ...SMALL,
      timestampType: 'LogAppendTime',
      durability: 'os',
      segmentIndexBytes: 96,
    },
    brokerConfig: APPEND_TIME,
  },
  large: {
    declaration: { key: 'bytes', value: 'bytes', durability: 'os' },
    shape: { valueLimit: 20_000 },
    callLimit: 40,
  },
  'rolled-by-time': {
    ...USUAL,
    declaration: { ...ONE, segmentBytes: 1 << 20, segmentMs: 100_000, durability: 'os' },
  },
  'codec.gzip': compressed('gzip', { compressionLevel: 9 }),
  'codec.snappy': compressed('snappy', { durability: 'disk' }),
  'codec.lz4': {
    ...compressed('lz4', { timestampType: 'LogAppendTime' }),
    brokerConfig: APPEND_TIME,
  },
  'codec.zstd': compressed('zstd', { compressionLevel: 6, lingerMs: 2 }),
  'codec.any': {
    ...USUAL,
    declaration: { ...SMALL, durability: 'os' },
    callOptions: anyCodec,
    codecs: CODECS,
  },
  /** Batches of up to 800 KB, which are compressed off the event loop. */
  'codec.large': {
    declaration: { key: 'bytes', value: 'bytes', durability: 'os' },
    shape: { valueLimit: 20_000 },
    callLimit: 40,
    callOptions: anyCodec,
    codecs: CODECS,
  },
  compacted: compacted({}),
  /** Tombstones go as well; segments are merged over the many that go. */
  'compacted.gone': compacted({ deleteRetentionMs: 0, compression: 'lz4' }),
  'compacted.any': { ...compacted({}), callOptions: anyCodec, codecs: CODECS },
  'compacted.deleted': {
    ...compacted({ cleanupPolicy: 'compact,delete', timestampType: 'LogAppendTime' }),
    brokerConfig: APPEND_TIME,
    shorten: deleteSomeRecords,
  },
  /** Every batch but the first has an entry in both indexes. */
  indexed: {
    ...USUAL,
    declaration: { ...ONE, segmentBytes: 1 << 20, indexIntervalBytes: 0, durability: 'os' },
  },
  'deleted-records': {
    ...USUAL,
    declaration: { ...SMALL, durability: 'os' },
    shorten: deleteSomeRecords,
  },
  emptied: {
    ...USUAL,
    declaration: { ...ONE, durability: 'os' },
    shorten: (log, topic) =>
      eachPartition(log, topic, (partition, _, before) =>
        log.deleteRecords(topic, { partition, before }),
      ),
  },
  retained: {
    ...USUAL,
    declaration: { ...ONE, durability: 'os', retentionBytes: 2048 },
    shorten: async (log) => {
      assert.ok((await log.applyRetention()) > 0, 'there was nothing for retention to do')
    },
  },
}

/** A topic that nothing is ever written to. */
export const UNTOUCHED = { untouched: { ...SMALL } } as const

export const DECLARATIONS: Readonly<Record<string, TopicDeclaration>> = {
  ...Object.fromEntries(
    Object.entries(KINDS).map(([topic, { declaration }]) => [topic, declaration]),
  ),
  ...UNTOUCHED,
}

/**
 * The settings with which a broker appends to a topic, and builds its indexes, as this library does. Not with indexes so small that they
 * fill: a log counts bytes anew when it is opened, and a broker that builds such an index from the data, where it counts on, finds
 * it full and does not start. So it does not on files of its own.
 */
export function brokerConfigOf(topic: string): Record<string, string> {
  const { indexIntervalBytes } = DECLARATIONS[topic] ?? {}
  return {
    ...(indexIntervalBytes === undefined
      ? {}
      : { 'index.interval.bytes': `${indexIntervalBytes}` }),
    ...KINDS[topic]?.brokerConfig,
  }
}

/** Of a partition, `<topic>-<number>`. */
export const topicOf = (name: string): string => name.slice(0, name.lastIndexOf('-'))

/** Offsets that were committed are compacted as well. */
export const isCompacted = (name: string): boolean =>
  name.startsWith('__consumer_offsets-') || KINDS[topicOf(name)]?.isCompacted === true
