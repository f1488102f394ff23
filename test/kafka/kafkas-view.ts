/** What Kafka's clients find on a broker, against what a reader of ours found in the same files. */
import assert from 'node:assert/strict'
import type { EpochEndOffset, GroupOffset } from '../../src/index.ts'
import { randomInteger } from '../support/random.ts'
import type { ConsumedPartition, Isolation, Judge, JudgedOffsets } from './judge.ts'
import type { ByteLog, Seen, SeenPartition, SeenRecord, SentRecord } from './records.ts'
import { expectSameView, readLog } from './records.ts'

const TIMES = 12

/** Times that are still in a segment, though no reader is given them, as of records below the log start; one without a timestamp may have any. */
export type Deleted = (name: string) => readonly Partial<SentRecord>[]

/** Everything that a consumer is given of some partitions. */
export async function consumeAll(
  judge: Judge,
  names: Iterable<string>,
  isolation: Isolation = 'read_uncommitted',
): Promise<ReadonlyMap<string, ConsumedPartition>> {
  return new Map(Object.entries(await judge.ask('consume', { partitions: [...names], isolation })))
}

function partitionOf(name: string): { topic: string; partition: number } {
  const dash = name.lastIndexOf('-')
  return { topic: name.slice(0, dash), partition: Number(name.slice(dash + 1)) }
}

/** Times before, at, between and after those of a partition's records. */
function timesFor({ records }: SeenPartition, random: () => number): number[] {
  const times = [0]
  if (records.length === 0) return times
  let [least, greatest] = [Number.POSITIVE_INFINITY, 0]
  for (const { timestamp } of records) {
    least = Math.min(least, timestamp)
    greatest = Math.max(greatest, timestamp)
  }
  times.push(least - 1, least, greatest - 1, greatest, greatest + 1)
  while (times.length < TIMES) {
    const at = records[randomInteger(random, records.length)]?.timestamp ?? 0
    times.push(at - 1 + randomInteger(random, 3))
    times.push(least + randomInteger(random, greatest - least + 1))
  }
  // A record may be of the first millisecond, or of none.
  return times.map((time) => Math.max(0, time))
}

/** By partition, the first offset for each of some times, asked of a log. */
interface Lookups {
  readonly times: Readonly<Record<string, readonly number[]>>
  readonly offsets: Readonly<Record<string, readonly (number | null)[]>>
}

/** A transaction's end has a time as well; it may come before the first record that is as late. */
const isMarker = (
  { start, records }: SeenPartition,
  found: number,
  first: SeenRecord | undefined,
): boolean =>
  found >= start &&
  found < (first?.offset ?? Number.POSITIVE_INFINITY) &&
  records.every(({ offset }) => offset !== found)

/** Asks a log for offsets by time; each answer must be the first record that is as late. */
async function lookUpTimes(log: ByteLog, seen: Seen, random: () => number): Promise<Lookups> {
  const times: Record<string, number[]> = {}
  const offsets: Record<string, (number | null)[]> = {}
  for (const [name, partition] of seen) {
    const at = partitionOf(name)
    const asked = timesFor(partition, random)
    const answers: (number | null)[] = []
    for (const timestamp of asked) {
      const found = await log.offsetForTimestamp(at.topic, { partition: at.partition, timestamp })
      const first = partition.records.find((record) => record.timestamp >= timestamp)
      if (found === undefined || !isMarker(partition, found, first)) {
        assert.equal(found, first?.offset, `${name}: the offset at ${timestamp}`)
      }
      answers.push(found ?? null)
    }
    times[name] = asked
    offsets[name] = answers
  }
  return { times, offsets }
}

/**
 * Kafka looks for a time in one segment only. Where what is as late there lies below the log start, it answers that there is none,
 * whatever follows: so it may where `deleted` has a record that is as late.
 */
async function expectSameLookups(
  judge: Judge,
  { times, offsets }: Lookups,
  deleted: Deleted,
): Promise<void> {
  const answers = await judge.ask('offsetsForTimes', { times })
  for (const [name, asked] of Object.entries(times)) {
    for (const [index, timestamp] of asked.entries()) {
      const kafkas = answers[name]?.[index]
      const ours = offsets[name]?.[index]
      if (kafkas === ours) continue
      const isHidden = deleted(name).some((record) => (record.timestamp ?? timestamp) >= timestamp)
      assert.ok(
        kafkas === null && isHidden,
        `${name} at ${timestamp}: ${kafkas} at Kafka, ${ours} here`,
      )
    }
  }
}

/** What all groups have committed in a log, as Kafka's Admin shows it. */
export async function committedOffsets(log: ByteLog): Promise<JudgedOffsets> {
  const all: JudgedOffsets = {}
  for (const group of await log.groups()) {
    const entries = (await log.committedOffsets(group)).map(
      ({ topic, partition, offset, metadata, leaderEpoch }: GroupOffset) =>
        [`${topic}-${partition}`, { offset, metadata, leaderEpoch }] as const,
    )
    all[group] = Object.fromEntries(entries)
  }
  return all
}

/** What a reader of ours found in a log that is closed now. */
export interface OurView {
  readonly seen: Seen
  readonly lookups: Lookups
  readonly groups: JudgedOffsets
  /** By partition: where each leader epoch from 0 on ends, up to the last one that has records. */
  readonly epochs: Readonly<Record<string, readonly EpochEndOffset[]>>
}

/** Asks a log where the epochs of all its partitions end. */
async function askEpochs(log: ByteLog, seen: Seen): Promise<Record<string, EpochEndOffset[]>> {
  const epochs: Record<string, EpochEndOffset[]> = {}
  for (const name of seen.keys()) {
    const { topic, partition } = partitionOf(name)
    const ends: EpochEndOffset[] = []
    for (let leaderEpoch = 0; ; leaderEpoch += 1) {
      const end = await log.endOffsetForEpoch(topic, { partition, leaderEpoch })
      if (end === undefined) break
      ends.push(end)
    }
    // One that was begun and has no record yet gives way to the broker's own.
    const [before, last] = ends.slice(-2)
    const isEmpty = last !== undefined && before?.endOffset === last.endOffset
    epochs[name] = isEmpty && before?.leaderEpoch !== last.leaderEpoch ? ends.slice(0, -1) : ends
  }
  return epochs
}

/** Everything that a reader of ours can ask for. */
export async function viewOf(log: ByteLog, random: () => number): Promise<OurView> {
  const seen = await readLog(log)
  const lookups = await lookUpTimes(log, seen, random)
  const groups = await committedOffsets(log)
  return { seen, lookups, groups, epochs: await askEpochs(log, seen) }
}

/** The latest record, which a broker finds by its time indexes. */
async function expectLatestRecords(judge: Judge, seen: Seen, deleted: Deleted): Promise<void> {
  const partitions = [...seen.keys()].filter((name) => deleted(name).length === 0)
  const answers = await judge.ask('latestByMaxTimestamp', { partitions })
  for (const name of partitions) {
    const records = seen.get(name)?.records ?? []
    const { offset = -1, timestamp = -1 } = answers[name] ?? {}
    const found = records.find((record) => record.offset === offset)
    const greatest = records.reduce((most, record) => Math.max(most, record.timestamp), -1)
    // It may also be a transaction's end, which no reader is given.
    const isRight = found === undefined ? timestamp >= greatest : found.timestamp === greatest
    assert.ok(
      isRight,
      `${name}: the latest record is ${offset} at ${timestamp}, not at ${greatest}`,
    )
  }
}

/** Epochs never fall from record to record. */
function expectRisingEpochs(consumed: ReadonlyMap<string, ConsumedPartition>): void {
  for (const [name, { records }] of consumed) {
    for (const [index, { leaderEpoch, offset }] of records.entries()) {
      const before = records[index - 1]?.leaderEpoch ?? 0
      assert.ok(leaderEpoch >= before, `${name}: epoch ${leaderEpoch} at offset ${offset}`)
    }
  }
}

/** A broker knows the same epochs, and those of its own behind them. */
async function expectSameEpochs(judge: Judge, epochs: OurView['epochs']): Promise<void> {
  const counts = Object.entries(epochs).map(([name, ends]) => [name, ends.length] as const)
  const answers = await judge.ask('epochEnds', { epochs: Object.fromEntries(counts) })
  for (const [name, ends] of Object.entries(epochs)) {
    const ours = ends.map(({ leaderEpoch, endOffset }) => [leaderEpoch, endOffset])
    assert.deepEqual(answers[name] ?? [], ours, `${name}: ends of epochs`)
  }
}

/**
 * A broker on the same files gives out the same records at the same offsets, finds times, and knows epochs and groups.
 * Answers with what its consumer was given.
 */
export async function expectKafkasViewIs(
  judge: Judge,
  { seen, lookups, groups, epochs }: OurView,
  deleted: Deleted,
): Promise<ReadonlyMap<string, ConsumedPartition>> {
  const consumed = await consumeAll(judge, seen.keys())
  expectSameView(consumed, seen)
  expectRisingEpochs(consumed)
  await expectSameLookups(judge, lookups, deleted)
  await expectLatestRecords(judge, seen, deleted)
  await expectSameEpochs(judge, epochs)
  assert.deepEqual(await judge.ask('groupOffsets', {}), groups)
  return consumed
}
