// Random work on a log, and what Kafka's tools must find in its files afterwards.
import assert from 'node:assert/strict'
import path from 'node:path'
import { Log } from '../../src/index.ts'
import type { ProduceRecord } from '../../src/types.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import type { Dump, DumpedRecord } from './kafka-tools.ts'

const PARTITIONS = 3
const SMALL = {
  key: 'string',
  value: 'bytes',
  partitions: PARTITIONS,
  segmentBytes: 4096,
  indexIntervalBytes: 256,
} as const

/** Every timestamp type with every durability, in segments and index intervals so small that much happens. */
const TOPICS = {
  'created.disk': { ...SMALL, timestampType: 'CreateTime', durability: 'disk' },
  'created.os': { ...SMALL, timestampType: 'CreateTime', durability: 'os' },
  'appended.disk': { ...SMALL, timestampType: 'LogAppendTime', durability: 'disk' },
  'appended.os': {
    ...SMALL,
    timestampType: 'LogAppendTime',
    durability: 'os',
    segmentIndexBytes: 96,
  },
} as const

type TopicName = keyof typeof TOPICS
const TOPIC_NAMES: readonly TopicName[] = [
  'created.disk',
  'created.os',
  'appended.disk',
  'appended.os',
]
const HEADER_NAMES = ['trace', '', 'größe', 'a header with a longer name']
/** A moment in 2023, around which given timestamps lie. */
const SOME_TIME = 1_690_000_000_000

export type RandomLog = Awaited<ReturnType<typeof openRandomLog>>

export const openRandomLog = (directory: string) => Log.open(directory, { topics: TOPICS })

/** A record that was acknowledged, as Kafka's tool should show it. */
export interface ExpectedRecord extends Omit<DumpedRecord, 'timestamp'> {
  /** Name of the partition's directory. */
  readonly partition: string
  /** Undefined where the log gave it. */
  readonly timestamp: number | undefined
}

type Record = ProduceRecord<string, Uint8Array>

/** `valueLimit` in bytes: the records of one call must make a batch that fits in a segment. */
function randomRecord(random: () => number, valueLimit: number): Record {
  const chance = (part: number): boolean => random() < part
  const bytes = (limit: number): Buffer => Buffer.alloc(randomInteger(random, limit), 0x61)
  const headers = HEADER_NAMES.filter(() => chance(0.2)).map(
    (name) => [name, chance(0.2) ? null : bytes(40)] as const,
  )
  return {
    key: chance(0.2) ? null : `key-${randomInteger(random, 50)}`,
    value: chance(0.1) ? null : bytes(valueLimit),
    headers: Object.fromEntries(headers),
    ...(chance(0.3) ? { timestamp: SOME_TIME + randomInteger(random, 1_000_000) } : {}),
  }
}

function expected(
  topic: TopicName,
  partition: number,
  offset: number,
  record: Record,
): ExpectedRecord {
  return {
    partition: `${topic}-${partition}`,
    offset,
    timestamp: topic.startsWith('created') ? record.timestamp : undefined,
    keySize: typeof record.key === 'string' ? Buffer.byteLength(record.key) : -1,
    valueSize: record.value?.length ?? -1,
    headerKeys: Object.keys(record.headers ?? {}).join(','),
  }
}

/** A commit of some offset, with some metadata, for some partition. */
async function commitOnce(log: RandomLog, random: () => number): Promise<void> {
  const topic = TOPIC_NAMES[randomInteger(random, TOPIC_NAMES.length)] ?? 'created.os'
  const partition = randomInteger(random, PARTITIONS)
  const metadata = 'm'.repeat(randomInteger(random, 50))
  const commit = { topic, partition, offset: randomInteger(random, 1000), metadata }
  await log.commitOffset(`group-${randomInteger(random, 5)}`, commit)
}

/** One call to `produce`, of one record or of several, at the topic's durability or another. */
async function produceOnce(log: RandomLog, random: () => number): Promise<ExpectedRecord[]> {
  const topic = TOPIC_NAMES[randomInteger(random, TOPIC_NAMES.length)] ?? 'created.os'
  const options = random() < 0.2 ? ({ durability: random() < 0.5 ? 'os' : 'disk' } as const) : {}
  if (random() < 0.5) {
    const record = randomRecord(random, random() < 0.05 ? 3000 : 200)
    const { partition, offset } = await log.produce(topic, record, options)
    return [expected(topic, partition, offset, record)]
  }
  const partition = randomInteger(random, PARTITIONS)
  const records = Array.from({ length: 1 + randomInteger(random, 8) }, () =>
    randomRecord(random, 200),
  )
  const [acknowledgement] = await log.produce(topic, records, { ...options, partition })
  assert.ok(acknowledgement)
  const { baseOffset } = acknowledgement
  return records.map((record, at) => expected(topic, partition, baseOffset + at, record))
}

/** Bursts of concurrent calls, commits of offsets among them; `tell` is given what each acknowledged, as soon as it did. */
export async function produceRandomly(
  log: RandomLog,
  seed: number,
  bursts: number,
  tell: (records: readonly ExpectedRecord[]) => void,
): Promise<void> {
  const random = seededRandom(seed)
  await commitOnce(log, random)
  for (let burst = 0; burst < bursts; burst += 1) {
    const calls = Array.from({ length: 1 + randomInteger(random, 12) }, async () => {
      if (random() < 0.1) await commitOnce(log, random)
      else tell(await produceOnce(log, random))
    })
    await Promise.all(calls)
  }
}

/** Moves the log start of every partition to some offset in its first half, mostly inside a segment and a batch. */
export async function deleteSomeRecords(log: RandomLog, seed: number): Promise<void> {
  const random = seededRandom(seed)
  for (const topic of TOPIC_NAMES) {
    for (const { partition, logEndOffset } of (await log.describeTopic(topic)).partitions) {
      await log.deleteRecords(topic, {
        partition,
        before: randomInteger(random, Math.ceil(logEndOffset / 2)),
      })
    }
  }
}

const PARTITION_NAMES = [
  ...TOPIC_NAMES.flatMap((topic) => Array.from({ length: PARTITIONS }, (_, n) => `${topic}-${n}`)),
  '__consumer_offsets-0',
]

export const partitionDirectories = (directory: string): string[] =>
  PARTITION_NAMES.map((name) => path.join(directory, name))

/** The records of one partition by offset: whose offsets must have no gap, and the timestamp type that of the topic. */
function recordsOf(dump: Dump, directory: string): Map<number, DumpedRecord> {
  const name = path.basename(directory)
  const type = name.startsWith('appended') ? 'LogAppendTime' : 'CreateTime'
  const files = [...dump].filter(([file]) => path.dirname(file) === directory)
  const batches = files.sort(([a], [b]) => (a < b ? -1 : 1)).flatMap(([, each]) => each)
  const records = new Map<number, DumpedRecord>()
  let next = batches[0]?.baseOffset ?? 0
  for (const batch of batches) {
    assert.equal(batch.baseOffset, next, `${name}: the offsets have a gap`)
    assert.equal(batch.records.length, batch.count)
    assert.equal(batch.timestampType, type)
    for (const record of batch.records) records.set(record.offset, record)
    next = batch.lastOffset + 1
  }
  return records
}

/** Everything that was acknowledged, save what stood in segments that are deleted, must be there as it was. */
export function checkDump(
  dump: Dump,
  directory: string,
  acknowledged: readonly ExpectedRecord[],
): void {
  for (const each of partitionDirectories(directory)) {
    const found = recordsOf(dump, each)
    const [first = 0] = found.keys()
    for (const { partition, ...record } of acknowledged) {
      if (partition !== path.basename(each) || record.offset < first) continue
      const there = found.get(record.offset)
      assert.ok(there, `${partition}: offset ${record.offset} was acknowledged and is not there`)
      assert.deepEqual({ ...record, timestamp: record.timestamp ?? there.timestamp }, there)
    }
  }
}
