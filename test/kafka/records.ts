/** Records in one shape, whoever wrote or read them, and how two views of a partition are compared. */
import assert from 'node:assert/strict'
import type { Log, ProduceRecord, ReadHeaders, TopicType } from '../../src/index.ts'
import { randomInteger } from '../support/random.ts'

/** Keys and values as they are in the files. */
export interface ByteTopics {
  readonly [topic: string]: TopicType<Uint8Array, Buffer, Uint8Array>
}
export type ByteLog = Log<ByteTopics>
export type ByteRecord = ProduceRecord<Uint8Array, Uint8Array>

/** Name and base64 value. */
export type Header = readonly [name: string, value: string | null]

/** A record as it was given to a producer; bytes are base64. */
export interface SentRecord {
  /** Undefined: whoever takes it gives it one. */
  readonly timestamp?: number
  readonly key: string | null
  readonly value: string | null
  readonly headers: readonly Header[]
}

export interface SeenRecord extends SentRecord {
  readonly offset: number
  readonly timestamp: number
}

/** A partition as a reader sees it. */
export interface SeenPartition {
  readonly start: number
  readonly end: number
  readonly records: readonly SeenRecord[]
}

/** By `<topic>-<partition>`. */
export type Seen = ReadonlyMap<string, SeenPartition>

// ---------------------------------------------------------------------------------------- random

const HEADER_NAMES = ['trace', '', 'größe', 'a header with a longer name']
/** A moment in 2023, around which given timestamps lie. */
export const SOME_TIME = 1_690_000_000_000
const TIME_RANGE_MS = 1_000_000

export interface RecordShape {
  /** Greatest size of a value in bytes. */
  readonly valueLimit: number
  /** Every record has a key. */
  readonly isKeyed?: boolean
}

/** Half of them compress well. */
function randomContent(random: () => number, limit: number): Buffer {
  const content = Buffer.alloc(randomInteger(random, limit + 1), 'some text, again and again; ')
  if (random() < 0.5) return content
  for (let at = 0; at < content.length; at += 1) content[at] = randomInteger(random, 256)
  return content
}

function randomKey(random: () => number): Buffer {
  const chosen = random()
  if (chosen < 0.05) return Buffer.alloc(0)
  if (chosen < 0.15) return randomContent(random, 20)
  return Buffer.from(`key-${randomInteger(random, 30)}`)
}

const base64 = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : Buffer.from(bytes).toString('base64')

export function randomRecord(
  random: () => number,
  { valueLimit, isKeyed }: RecordShape,
): SentRecord {
  const chance = (part: number): boolean => random() < part
  const headers: Header[] = []
  for (const name of HEADER_NAMES) {
    while (chance(0.15)) {
      headers.push([name, chance(0.2) ? null : base64(randomContent(random, 40))])
    }
  }
  return {
    key: isKeyed !== true && chance(0.2) ? null : base64(randomKey(random)),
    value: chance(0.1) ? null : base64(randomContent(random, valueLimit)),
    headers,
    ...(chance(0.3) ? { timestamp: SOME_TIME + randomInteger(random, TIME_RANGE_MS) } : {}),
  }
}

// -------------------------------------------------------------------------------------- our side

const bytes = (text: string | null): Buffer | null =>
  text === null ? null : Buffer.from(text, 'base64')

/** As `produce` takes it: the values of a header that repeats are an array. */
export function toProduce({ timestamp, key, value, headers }: SentRecord): ByteRecord {
  const byName: Record<string, Buffer | null | (Buffer | null)[]> = {}
  for (const [name, each] of headers) {
    const values = headers.filter(([other]) => other === name).map(([, other]) => bytes(other))
    byName[name] = values.length === 1 ? bytes(each) : values
  }
  const record = { key: bytes(key), value: bytes(value), headers: byName }
  return timestamp === undefined ? record : { ...record, timestamp }
}

function headersOf(headers: ReadHeaders): Header[] {
  return Object.entries(headers).flatMap(([name, value]) => {
    const values: readonly (Buffer | null)[] = Array.isArray(value) ? value : [value]
    return values.map((each): Header => [name, base64(each)])
  })
}

const INTERNAL_TOPICS: readonly string[] = ['__consumer_offsets', '__transaction_state']

/** All that stands in a log, internal topics and what was aborted too. */
export async function readLog(log: ByteLog): Promise<Map<string, SeenPartition>> {
  const seen = new Map<string, SeenPartition>()
  for (const topic of [...log.topics(), ...INTERNAL_TOPICS]) {
    const partitions = await describePartitions(log, topic)
    for (const { partition, logStartOffset, logEndOffset } of partitions) {
      const records: SeenRecord[] = []
      for (let offset = logStartOffset; offset < logEndOffset; ) {
        const page = await log.fetch(topic, {
          partition,
          offset,
          isolationLevel: 'read_uncommitted',
        })
        assert.ok(page.nextOffset > offset, `${topic}-${partition} ends at ${offset}`)
        for (const record of page.records) {
          records.push({
            offset: record.offset,
            timestamp: record.timestamp,
            key: base64(record.key),
            value: base64(record.value),
            headers: headersOf(record.headers),
          })
        }
        offset = page.nextOffset
      }
      seen.set(`${topic}-${partition}`, { start: logStartOffset, end: logEndOffset, records })
    }
  }
  return seen
}

/** Each is made when it is first needed. */
async function describePartitions(log: ByteLog, topic: string) {
  try {
    return (await log.describeTopic(topic)).partitions
  } catch (error) {
    if (INTERNAL_TOPICS.includes(topic)) return []
    throw error
  }
}

// ------------------------------------------------------------------------------------ comparison

/** Headers by name: which of two names came first is not kept by a reader of ours. */
const byName = (headers: readonly Header[]): Header[] =>
  [...headers].sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0))

const plain = ({ offset, timestamp, key, value, headers }: SeenRecord): SeenRecord => ({
  offset,
  timestamp,
  key,
  value,
  headers: byName(headers),
})

/** Fails at the first record in which two views differ. */
export function expectSameRecords(
  name: string,
  actual: readonly SeenRecord[],
  expected: readonly SeenRecord[],
): void {
  const count = Math.min(actual.length, expected.length)
  for (let index = 0; index < count; index += 1) {
    const [one, other] = [actual[index], expected[index]]
    assert.ok(one !== undefined && other !== undefined)
    assert.deepEqual(plain(one), plain(other), `${name}, offset ${other.offset}`)
  }
  const offsets = (records: readonly SeenRecord[]) =>
    records.slice(count).map(({ offset }) => offset)
  assert.deepEqual(offsets(actual), offsets(expected), `${name}: records behind the common ones`)
}

/** Both have the same partitions, the same ranges of offsets and the same records. */
export function expectSameView(actual: Seen, expected: Seen): void {
  assert.deepEqual([...actual.keys()].sort(), [...expected.keys()].sort())
  for (const [name, { start, end, records }] of expected) {
    const other = actual.get(name)
    assert.ok(other)
    assert.deepEqual([other.start, other.end], [start, end], `${name}: log start and log end`)
    expectSameRecords(name, other.records, records)
  }
}
