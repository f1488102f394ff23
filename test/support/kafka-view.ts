/** What Kafka's clients find in the directories of brokers, asked of the public face. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { IsolationLevel, LogOptions, LogRecord, TopicDeclaration } from '../../src/index.ts'
import { CorruptLogError, Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import type { Expected, ExpectedPartition, ExpectedRecord } from './fixtures.ts'
import {
  expectedSnapshots,
  namesEndingWith,
  readAborted,
  readIndexes,
  readSnapshots,
} from './kafka-files.ts'

/** The day on which the brokers ran; the records of some are years older. */
export const BROKER_TIME_MS = Date.UTC(2026, 10, 21)
const MAX_INT32 = 2 ** 31 - 1
const OFFSETS_TOPIC = '__consumer_offsets'
/** All that can be built from the data again, by its suffixes. */
export const SIDE_FILES = ['.index', '.timeindex', '.txnindex', '.snapshot']

/** A broker's configuration in our names; values that Kafka allows and this library does not are left out. */
function declarationOf(config: Readonly<Record<string, string>>): TopicDeclaration {
  const given = (name: string): number => Number(config[name] ?? Number.NaN)
  const within = (value: number, maximum: number) => (value <= maximum ? value : undefined)
  const numbers = {
    indexIntervalBytes: within(given('index.interval.bytes'), MAX_INT32),
    segmentIndexBytes: within(given('segment.index.bytes'), MAX_INT32),
    segmentBytes: within(given('segment.bytes'), MAX_INT32),
    segmentMs: within(given('segment.ms'), Number.MAX_SAFE_INTEGER),
    maxMessageBytes: within(given('max.message.bytes'), MAX_INT32),
  }
  const known = Object.entries(numbers).filter(([, value]) => value !== undefined)
  const isAppendTime = config['message.timestamp.type'] === 'LogAppendTime'
  return {
    key: 'bytes',
    value: 'bytes',
    timestampType: isAppendTime ? 'LogAppendTime' : 'CreateTime',
    ...Object.fromEntries(known),
  }
}

/** Opens a directory with all its topics declared as the broker had them, their keys and values as bytes. */
export function open(
  directory: string,
  { topics }: Expected,
  now: number = BROKER_TIME_MS,
  options: Pick<LogOptions, 'readOnly'> = {},
): Promise<Log> {
  const names = Object.keys(topics).filter((name) => name !== OFFSETS_TOPIC)
  const declared = names.map((name) => [name, declarationOf(topics[name]?.config ?? {})] as const)
  const clock = new ManualClock(now)
  return Log.open(directory, {
    ...options,
    clock,
    topics: Object.fromEntries(declared),
  }) as Promise<Log>
}

export async function removeFiles(directory: string, suffixes: readonly string[]): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!/-\d+$/.test(name)) continue
    for (const file of await namesEndingWith(join(directory, name), ...suffixes)) {
      await unlink(join(directory, name, file))
    }
  }
}

export interface Read {
  readonly records: LogRecord<unknown, unknown>[]
  /** Where damage was told: file and position. */
  readonly damaged: [string, number][]
}

/** Reads a partition by fetches; a damaged batch is passed, once that has been told. */
export async function readAll(
  log: Log,
  topic: string,
  expected: ExpectedPartition,
  isolationLevel: IsolationLevel = 'read_uncommitted',
): Promise<Read> {
  const { partition, batches } = expected
  const { earliest, latest, lastStable } = await log.offsets(topic, partition)
  const end = isolationLevel === 'read_committed' ? lastStable : latest
  const read: Read = { records: [], damaged: [] }
  for (let offset = earliest; offset < end; ) {
    try {
      const page = await log.fetch(topic, { partition, offset, maxBytes: 3000, isolationLevel })
      assert.ok(page.nextOffset > offset)
      read.records.push(...page.records)
      offset = page.nextOffset
    } catch (error) {
      const batch = batches.find(({ lastOffset }) => lastOffset >= offset)
      assert.ok(batch !== undefined && batch.baseOffset <= offset, `offset ${offset}`)
      if (!(error instanceof CorruptLogError)) throw error
      read.damaged.push([error.file, error.position])
      offset = batch.lastOffset + 1
    }
  }
  return read
}

/** A reader is given Kafka's records: the segments' order is that of the offsets. */
export function expectRead(read: Read, { records }: ExpectedPartition): void {
  assert.deepEqual(
    read.records.map(({ offset }) => offset),
    records.map(({ offset }) => offset),
  )
  for (const [index, record] of read.records.entries()) {
    const kafka = records[index]
    assert.ok(kafka)
    assert.deepEqual(shown(record, kafka), shownByKafka(kafka), `offset ${record.offset}`)
  }
}

/** Content as the description gives it: base64, or size and SHA-256 where it is large. */
function content(bytes: unknown, sha256: string | undefined): unknown {
  if (!Buffer.isBuffer(bytes)) return bytes
  if (sha256 === undefined) return bytes.toString('base64')
  return [bytes.length, createHash('sha256').update(bytes).digest('hex')]
}

function shown(record: LogRecord<unknown, unknown>, kafka: ExpectedRecord): object {
  const headers = Object.entries(record.headers).map(([name, value]) => {
    const values = Array.isArray(value) ? value : [value]
    return [name, values.map((each) => content(each, undefined))]
  })
  return {
    offset: record.offset,
    timestamp: record.timestamp,
    key: content(record.key, kafka.keySha256),
    value: content(record.value, kafka.valueSha256),
    headers: Object.fromEntries(headers),
  }
}

function shownByKafka(kafka: ExpectedRecord): object {
  const { offset, timestamp, key, keySize, keySha256, value, valueSize, valueSha256 } = kafka
  const headers: Record<string, (string | null)[]> = {}
  for (const [name, each] of kafka.headers ?? []) {
    headers[name] ??= []
    headers[name].push(each)
  }
  return {
    offset,
    timestamp,
    key: keySha256 === undefined ? key : [keySize, keySha256],
    value: valueSha256 === undefined ? value : [valueSize, valueSha256],
    headers,
  }
}

/**
 * The first offset at or after a time. Kafka looks in one segment only: where what reaches the time there was deleted, it
 * answers that there is none, whatever follows.
 */
async function expectLookups(log: Log, topic: string, expected: ExpectedPartition): Promise<void> {
  const { partition, records, offsetsForTimes } = expected
  for (const { timestamp, offset } of offsetsForTimes) {
    const wanted = offset ?? records.find((record) => record.timestamp >= timestamp)?.offset
    const answer = log.offsetForTimestamp(topic, { partition, timestamp })
    assert.equal(await answer, wanted, `at ${timestamp}`)
  }
}

async function expectGroups(
  log: Log,
  { groups = {}, deletedGroups = [] }: Expected,
): Promise<void> {
  assert.deepEqual(await log.groups(), Object.keys(groups).sort())
  for (const [group, { offsets }] of Object.entries(groups)) {
    const committed = await log.committedOffsets(group)
    const entries = committed.map(({ topic, partition, offset, metadata, leaderEpoch }) => {
      const epoch = leaderEpoch === -1 ? {} : { leaderEpoch }
      return [`${topic}-${partition}`, { offset, metadata, ...epoch }]
    })
    assert.deepEqual(Object.fromEntries(entries), offsets, group)
  }
  for (const group of deletedGroups) assert.deepEqual(await log.committedOffsets(group), [])
}

/** Everything that a reader can ask for is as Kafka's clients were answered. */
export async function expectKafkasView(log: Log, expected: Expected): Promise<void> {
  const names = Object.keys(expected.topics).filter((name) => name !== OFFSETS_TOPIC)
  assert.deepEqual(log.topics(), names.sort())
  for (const [topic, { partitions }] of Object.entries(expected.topics)) {
    const description = await log.describeTopic(topic)
    assert.equal(description.partitions.length, partitions.length)
    for (const each of partitions) {
      const { logStartOffset, logEndOffset, lastStableOffset } = each
      const range = await log.offsets(topic, each.partition)
      assert.deepEqual(range, {
        earliest: logStartOffset,
        latest: logEndOffset,
        lastStable: lastStableOffset,
      })
      expectRead(await readAll(log, topic, each), each)
      const committed = new Set(each.readCommittedOffsets)
      const records = each.records.filter(({ offset }) => committed.has(offset))
      expectRead(await readAll(log, topic, each, 'read_committed'), { ...each, records })
      await expectLookups(log, topic, each)
    }
  }
  await expectGroups(log, expected)
}

/** Indexes, aborted transactions and producers on the disk are those that Kafka's tools printed. */
export async function expectSideFiles(
  directory: string,
  { segments, producerSnapshots }: Pick<ExpectedPartition, 'segments' | 'producerSnapshots'>,
): Promise<void> {
  for (const { baseOffset, offsetIndex, timeIndex, abortedTransactions } of segments) {
    const indexes = await readIndexes(directory, baseOffset)
    assert.deepEqual(indexes, { offsetIndex, timeIndex }, `segment ${baseOffset}`)
    assert.deepEqual(await readAborted(directory, baseOffset), abortedTransactions)
  }
  assert.deepEqual(await readSnapshots(directory), expectedSnapshots(segments, producerSnapshots))
}
