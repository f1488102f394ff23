/** All that a reader can ask an open log for, in bounded steps. */
import assert from 'node:assert/strict'
import { crc32c } from '../../src/codec/crc32c.ts'
import type { Log, LogRecord } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import { FuzzRandom } from './fuzz-random.ts'

const OFFSETS_TOPIC = '__consumer_offsets'
/** What a reader may be told of a batch. */
const TOLD_OF_BATCHES: readonly string[] = ['CORRUPT_LOG', 'UNSUPPORTED_CODEC', 'UNSUPPORTED_MAGIC']
/** No base has half as many batches. */
const MOST_STEPS = 20_000
const LOOKUPS = 5

export interface PartitionView {
  readonly earliest: number
  readonly latest: number
  /** By offset, what its record holds: a checksum of it. */
  readonly records: ReadonlyMap<number, number>
  readonly timestamps: ReadonlyMap<number, number>
  /** The answers to look-ups by time: what was asked, and the offset or the error's code. */
  /** Look-ups that did not find what a scan did. */
  readonly otherwise: readonly string[]
  readonly byTime: readonly (readonly [timestamp: number, answer: number | string | undefined])[]
}

export interface LogView {
  /** By `topic-partition`. */
  readonly partitions: ReadonlyMap<string, PartitionView>
  /** By group. */
  readonly committed: ReadonlyMap<string, unknown>
}

export async function viewOf(log: Log): Promise<LogView> {
  const partitions = new Map<string, PartitionView>()
  for (const topic of [...log.topics(), OFFSETS_TOPIC]) {
    const description = await describe(log, topic)
    for (const { partition } of description?.partitions ?? []) {
      partitions.set(`${topic}-${partition}`, await partitionView(log, topic, partition))
    }
  }
  const committed = new Map<string, unknown>()
  for (const group of await log.groups()) {
    committed.set(group, await log.committedOffsets(group))
  }
  return { partitions, committed }
}

/** There is no internal topic before the first commit. */
async function describe(log: Log, topic: string) {
  try {
    return await log.describeTopic(topic)
  } catch (error) {
    if (topic === OFFSETS_TOPIC && isTold(error, ['UNKNOWN_TOPIC'])) return undefined
    throw error
  }
}

export function isTold(error: unknown, codes: readonly string[]): boolean {
  return error instanceof LogError && codes.includes(error.code)
}

async function partitionView(log: Log, topic: string, partition: number): Promise<PartitionView> {
  const random = new FuzzRandom(topic, partition)
  const { earliest, latest } = await log.offsets(topic, partition)
  const records = await readSkipping(log, topic, partition, earliest, latest)
  const told = await readTold(log, topic, partition, earliest, latest)
  assert.deepEqual(told, records, 'what is read around damage that is told, and skipping it')
  const offsets = records.map(({ offset }) => offset)
  const otherwise: string[] = []
  for (let count = 0; count < LOOKUPS; count += 1) {
    const offset = earliest + random.below(latest - earliest)
    const expected = records.find((record) => record.offset >= offset)
    const found = await lookUp(log, topic, partition, offset)
    if (found?.digest === expected?.digest) continue
    otherwise.push(`from ${offset} on ${found?.offset} is found, not ${expected?.offset}`)
  }
  const timestamps = records.map(({ timestamp }) => timestamp)
  const byTime = await lookUpTimes(log, topic, partition, askedTimes(random, timestamps))
  return {
    earliest,
    latest,
    records: new Map(records.map(({ offset, digest }) => [offset, digest])),
    timestamps: new Map(offsets.map((offset, index) => [offset, timestamps[index] ?? -1])),
    byTime,
    otherwise,
  }
}

interface SeenRecord {
  readonly offset: number
  readonly timestamp: number
  readonly digest: number
}

async function readSkipping(
  log: Log,
  topic: string,
  partition: number,
  earliest: number,
  latest: number,
): Promise<SeenRecord[]> {
  const records: SeenRecord[] = []
  let steps = 0
  for (let offset = earliest; offset < latest; steps += 1) {
    assert.ok(steps < MOST_STEPS, `no end after ${steps} fetches`)
    const page = await log.fetch(topic, { partition, offset, maxBytes: 3000, onCorrupt: 'skip' })
    assert.ok(page.nextOffset > offset, `${offset} is followed by ${page.nextOffset}`)
    addSeen(records, page.records, offset, page.nextOffset)
    offset = page.nextOffset
  }
  return records
}

function addSeen(
  records: SeenRecord[],
  found: readonly LogRecord[],
  from: number,
  to: number,
): void {
  let previous = Math.max(from - 1, records.at(-1)?.offset ?? -1)
  for (const record of found) {
    const { offset, timestamp } = record
    assert.ok(offset > previous && offset < to, `offset ${offset} behind ${previous}, up to ${to}`)
    previous = offset
    records.push({ offset, timestamp, digest: digestOf(record) })
  }
}

/** Goes on behind damage only after it was told. */
async function readTold(
  log: Log,
  topic: string,
  partition: number,
  earliest: number,
  latest: number,
): Promise<SeenRecord[]> {
  const records: SeenRecord[] = []
  let steps = 0
  for (let offset = earliest; offset < latest; steps += 1) {
    assert.ok(steps < MOST_STEPS, `no end after ${steps} fetches`)
    const page = await fetchOrPass(log, topic, partition, offset)
    assert.ok(page.nextOffset > offset, `${offset} is followed by ${page.nextOffset}`)
    addSeen(records, page.records, offset, page.nextOffset)
    offset = page.nextOffset
  }
  return records
}

async function fetchOrPass(log: Log, topic: string, partition: number, offset: number) {
  const options = { partition, offset, maxBytes: 10_000 }
  try {
    return await log.fetch(topic, options)
  } catch (error) {
    if (!isTold(error, TOLD_OF_BATCHES)) throw error
    return await log.fetch(topic, { ...options, maxBytes: 1, onCorrupt: 'skip' })
  }
}

/** The first record from an offset on. */
async function lookUp(
  log: Log,
  topic: string,
  partition: number,
  offset: number,
): Promise<SeenRecord | undefined> {
  for (let at = offset, steps = 0; ; steps += 1) {
    const options = { partition, offset: at, maxRecords: 1, onCorrupt: 'skip' } as const
    const page = await log.fetch(topic, options)
    const [found] = page.records
    if (found !== undefined) {
      return { offset: found.offset, timestamp: found.timestamp, digest: digestOf(found) }
    }
    if (page.nextOffset >= page.highWatermark) return undefined
    assert.ok(page.nextOffset > at && steps < MOST_STEPS, `${at} is followed by ${page.nextOffset}`)
    at = page.nextOffset
  }
}

// ---------------------------------------------------------------------------------------- by time

function askedTimes(random: FuzzRandom, timestamps: readonly number[]): number[] {
  const times = [0, Number.MAX_SAFE_INTEGER]
  if (timestamps.length === 0) return times
  for (let count = 0; count < LOOKUPS; count += 1) {
    times.push(Math.max(0, random.pick(timestamps) + random.below(3) - 1))
  }
  return times.filter((time) => Number.isSafeInteger(time))
}

export async function lookUpTimes(
  log: Log,
  topic: string,
  partition: number,
  times: readonly number[],
): Promise<PartitionView['byTime']> {
  const answers: [number, number | string | undefined][] = []
  for (const timestamp of times) {
    try {
      answers.push([timestamp, await log.offsetForTimestamp(topic, { partition, timestamp })])
    } catch (error) {
      if (!isTold(error, TOLD_OF_BATCHES)) throw error
      answers.push([timestamp, (error as LogError).code])
    }
  }
  return answers
}

/** No record that can be read and reaches the time comes before the answer. */
export function checkByTime({ byTime, timestamps, earliest, latest }: PartitionView): void {
  for (const [timestamp, answer] of byTime) {
    if (typeof answer === 'string') continue
    if (answer !== undefined) assert.ok(answer >= earliest && answer < latest)
    const [first] = [...timestamps].find(([, each]) => each >= timestamp) ?? []
    const isFound = first === undefined || (answer !== undefined && answer <= first)
    assert.ok(isFound, `at ${timestamp} comes ${first}, and ${answer} was answered`)
  }
}

// ---------------------------------------------------------------------------------------- records

function digestOf({ offset, timestamp, key, value, headers }: LogRecord): number {
  const parts = [`${offset} ${timestamp}`, textOf(key), textOf(value)]
  for (const [name, content] of Object.entries(headers)) {
    parts.push(name, ...[content].flat().map(textOf))
  }
  const bytes = Buffer.from(parts.join('\n'), 'latin1')
  return crc32c(bytes, 0, bytes.length)
}

function textOf(content: unknown): string {
  if (content === null) return '-'
  return `+${Buffer.isBuffer(content) ? content.toString('latin1') : String(content)}`
}
