/** Random work on a log of all kinds, and what of it must be there afterwards. */
import assert from 'node:assert/strict'
import type { ProduceOptions } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { DECLARATIONS, isCompacted, KINDS, topicOf } from './kinds.ts'
import type { ByteLog, ByteTopics, Seen, SeenPartition, SeenRecord, SentRecord } from './records.ts'
import { expectSameRecords, randomRecord, toProduce } from './records.ts'

const TOPICS = Object.keys(KINDS)
const GROUPS = 5
const MAX_OFFSET = 1000

export const openRandomLog = (directory: string): Promise<ByteLog> =>
  Log.open<ByteTopics>(directory, { topics: DECLARATIONS })

/** Records that were acknowledged, the first at `baseOffset`. */
export interface Acknowledged {
  /** `<topic>-<partition>`. */
  readonly name: string
  readonly baseOffset: number
  readonly records: readonly SentRecord[]
}

type Tell = (acknowledged: Acknowledged) => void

function oneOf(random: () => number, topics: readonly string[]): string {
  const topic = topics[randomInteger(random, topics.length)]
  assert.ok(topic !== undefined)
  return topic
}

/** A commit of some offset, with some metadata, for some partition. */
async function commitOnce(log: ByteLog, random: () => number): Promise<void> {
  const topic = oneOf(random, TOPICS)
  const partition = randomInteger(random, KINDS[topic]?.declaration.partitions ?? 1)
  const metadata = 'mé'.repeat(randomInteger(random, 25))
  const leaderEpoch = random() < 0.5 ? -1 : 0
  const commit = {
    topic,
    partition,
    offset: randomInteger(random, MAX_OFFSET),
    metadata,
    leaderEpoch,
  }
  await log.commitOffset(`group-${randomInteger(random, GROUPS)}`, commit)
}

/** One call to `produce`, of one record or of several, at the topic's durability or another. */
async function produceOnce(
  log: ByteLog,
  topic: string,
  random: () => number,
): Promise<Acknowledged> {
  const kind = KINDS[topic]
  assert.ok(kind)
  const { declaration, shape, callLimit } = kind
  const { partitions = 1 } = declaration
  const options: ProduceOptions = {
    ...kind.callOptions?.(random),
    ...(random() < 0.2 ? { durability: random() < 0.5 ? 'os' : 'disk' } : {}),
  }
  if (random() < 0.5) {
    const record = randomRecord(random, random() < 0.05 ? { ...shape, valueLimit: 3000 } : shape)
    // A key chooses the partition; without one it would be chosen by chance, which no seed repeats.
    const to = record.key === null ? { partition: randomInteger(random, partitions) } : {}
    const told = await log.produce(topic, toProduce(record), { ...options, ...to })
    const { partition, offset, timestamp } = told
    const stamped = { ...record, timestamp }
    return { name: `${topic}-${partition}`, baseOffset: offset, records: [stamped] }
  }
  const partition = randomInteger(random, partitions)
  const count = 1 + randomInteger(random, callLimit)
  const records = Array.from({ length: count }, () => randomRecord(random, shape))
  const [acknowledgement] = await log.produce(topic, records.map(toProduce), {
    ...options,
    partition,
  })
  assert.ok(acknowledgement)
  const isGiven = declaration.timestampType !== 'LogAppendTime'
  return {
    name: `${topic}-${partition}`,
    baseOffset: acknowledgement.baseOffset,
    records: records.map(({ timestamp, ...rest }) =>
      isGiven && timestamp !== undefined ? { ...rest, timestamp } : rest,
    ),
  }
}

/** Bursts of concurrent calls, commits of offsets among them; `tell` is given what each acknowledged, as soon as it did. */
export async function produceRandomly(
  log: ByteLog,
  random: () => number,
  bursts: number,
  tell: Tell,
): Promise<void> {
  await commitOnce(log, random)
  for (let burst = 0; burst < bursts; burst += 1) {
    const calls = Array.from({ length: 1 + randomInteger(random, 12) }, async () => {
      if (random() < 0.1) await commitOnce(log, random)
      else tell(await produceOnce(log, oneOf(random, TOPICS), random))
    })
    await Promise.all(calls)
  }
}

/** Compacts what is compacted; answers with how many records of committed offsets have gone. */
export async function compactAll(log: ByteLog): Promise<number> {
  for (const topic of TOPICS) {
    if (KINDS[topic]?.isCompacted === true) await log.compact(topic)
  }
  const [{ recordsBefore, recordsAfter } = assert.fail()] = await log.compact('__consumer_offsets')
  return recordsBefore - recordsAfter
}

/** A term of a writer, without its close: every kind has something, and what shortens a log has been at work. */
export async function writeTerm(
  log: ByteLog,
  seed: number,
  bursts: number,
  tell: Tell,
): Promise<void> {
  const random = seededRandom(seed)
  for (const topic of TOPICS) tell(await produceOnce(log, topic, random))
  await produceRandomly(log, random, bursts, tell)
  await log.commitOffset('deleted-group', { topic: oneOf(random, TOPICS), partition: 0, offset: 1 })
  await log.deleteGroup('deleted-group')
  for (const [topic, { shorten }] of Object.entries(KINDS)) await shorten?.(log, topic, random)
  assert.ok((await compactAll(log)) > 0, 'no committed offset has gone')
}

/** What was acknowledged, by partition and offset. */
export class Acknowledgements {
  readonly #records = new Map<string, Map<number, SentRecord>>()

  readonly add = ({ name, baseOffset, records }: Acknowledged): void => {
    const known = this.#records.get(name) ?? new Map<number, SentRecord>()
    this.#records.set(name, known)
    for (const [index, record] of records.entries()) {
      const offset = baseOffset + index
      assert.ok(!known.has(offset), `${name}: offset ${offset} was given twice`)
      known.set(offset, record)
    }
  }

  /** Records below the log start, which readers are not given. */
  deleted(name: string, start: number): SentRecord[] {
    return [...(this.#records.get(name) ?? [])].filter(([at]) => at < start).map(([, each]) => each)
  }

  /**
   * Every record from the log start on must be there as it was, save in a compacted topic those that another one of their key comes
   * after, and tombstones whose time is over. What was not acknowledged may be there only where the writer was killed.
   */
  expectIn(seen: Seen, { wasKilled }: { readonly wasKilled: boolean }): void {
    for (const [name, partition] of seen) {
      if (name.startsWith('__')) continue
      const known = this.#records.get(name) ?? new Map<number, SentRecord>()
      expectPartition(name, partition, known, wasKilled)
    }
  }
}

function expectPartition(
  name: string,
  { start, end, records }: SeenPartition,
  known: ReadonlyMap<number, SentRecord>,
  wasKilled: boolean,
): void {
  const mayHaveGaps = isCompacted(name)
  const { deleteRetentionMs } = KINDS[topicOf(name)]?.declaration ?? {}
  const there = new Map(records.map((record) => [record.offset, record]))
  const last = new Map<string | null, number>()
  const keys = [...known].map(([offset, { key }]) => ({ offset, key }))
  for (const { key, offset } of [...records, ...keys]) {
    last.set(key, Math.max(offset, last.get(key) ?? -1))
  }
  const mayGo = (offset: number, { key, value }: SentRecord): boolean =>
    (last.get(key) ?? -1) > offset || (value === null && deleteRetentionMs === 0)
  const expected: SeenRecord[] = []
  for (const [offset, record] of [...known].sort(([one], [other]) => one - other)) {
    const isGone = mayHaveGaps && !there.has(offset) && mayGo(offset, record)
    if (offset < start || isGone) continue
    const timestamp = record.timestamp ?? there.get(offset)?.timestamp ?? Number.NaN
    expected.push({ ...record, offset, timestamp })
  }
  const promised = wasKilled ? records.filter(({ offset }) => known.has(offset)) : records
  expectSameRecords(name, promised, expected)
  const next = Math.max(-1, ...known.keys()) + 1
  assert.ok(wasKilled ? end >= next : end === next, `${name} ends at ${end}, not at ${next}`)
  if (!mayHaveGaps) assert.equal(records.length, end - start, `${name}: the offsets have a gap`)
}
