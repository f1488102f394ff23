// Directories that brokers wrote, and those of writers of ours that were killed, are opened here, gone on with and closed: a broker
// adopts them, gaps, codecs, epochs and all.
import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import type { FixtureSet } from '../support/fixtures.ts'
import { fixtureDirectory, loadExpected, loadPartitions } from '../support/fixtures.ts'
import { open } from '../support/kafka-view.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import type { AdoptedTopic } from './adoption.ts'
import { adopt, adoptedTopics, offsetsTopic } from './adoption.ts'
import { Broker } from './broker.ts'
import { Judge } from './judge.ts'
import type { Deleted, OurView } from './kafkas-view.ts'
import { expectKafkasViewIs, viewOf } from './kafkas-view.ts'
import { writeAndKill } from './killed-writer.ts'
import { isCompacted } from './kinds.ts'
import { nobodysTimes } from './nobodys-times.ts'
import { Acknowledgements, openRandomLog } from './random-run.ts'
import type { ByteLog } from './records.ts'
import { randomRecord, toProduce } from './records.ts'
import { scratchDirectory } from './scratch.ts'
import { SEED } from './seed.ts'

/** No two have a topic of the same name; `offsets` is the only one whose groups come along. */
const SETS: readonly FixtureSet[] = [
  'append-time',
  'compacted',
  'compressed',
  'delete-records',
  'offsets',
  'plain',
  'restarted',
  'segments',
  'transactions',
]
/** With what a topic's second leader begins: the broker was started twice. */
const KAFKAS_EPOCH = 2
/** The last one's epoch is above that. */
const KILLS = 4
/** It has epochs 0, 2 and 4. */
const RESTARTED = 'reopened'
const OFFSETS_TOPIC = '__consumer_offsets'
const OFFSETS_PARTITIONS = 4

/** What 4.3 says of a member of a group that 4.1 wrote. */
const OLDER_GROUP = /Size of assignment epochs 0 is not equal to partitions/

const judge = new Judge()
after(() => judge.close())

interface Continued {
  /** Partitions that hold batches below their log start. */
  readonly trimmed: readonly string[]
  readonly topics: AdoptedTopic[]
  readonly view: OurView
}

interface Killed extends Continued {
  /** Partitions with epochs above the broker's. */
  readonly above: readonly string[]
}

/** A copy of a set, with a few batches of ours behind those of each partition. */
async function goOnWith(set: FixtureSet, random: () => number): Promise<Continued> {
  const expected = await loadExpected(set)
  const from = scratchDirectory(set)
  cpSync(fixtureDirectory(set), from, { recursive: true })
  const log = (await open(from, expected)) as object as ByteLog
  const topics = Object.entries(expected.topics)
    .filter(([name]) => name !== OFFSETS_TOPIC)
    .map(([name, { partitions }]): AdoptedTopic => {
      return { name, partitions: partitions.length, config: {}, from }
    })
  for (const { name, partitions } of topics) {
    for (let partition = 0; partition < partitions; partition += 1) {
      for (let call = randomInteger(random, 4); call >= 0; call -= 1) {
        const records = [randomRecord(random, { valueLimit: 200, isKeyed: true })]
        await log.produce(name, records.map(toProduce), { partition })
      }
    }
  }
  const view = await viewOf(log, random)
  await log.close()
  if (set === 'offsets') topics.push(offsetsTopic(from, OFFSETS_PARTITIONS))
  const trimmed = (await loadPartitions(set)).filter(
    ({ expected }) => (expected.batches[0]?.baseOffset ?? 0) < expected.logStartOffset,
  )
  return {
    trimmed: trimmed.map(({ topic, expected }) => `${topic}-${expected.partition}`),
    topics,
    view: onlyOf(topics, view),
  }
}

/** Each open behind a kill begins a leader epoch. */
async function killWriters(random: () => number): Promise<Killed> {
  const from = scratchDirectory('killed')
  const acknowledged = new Acknowledgements()
  for (let kill = 0; kill < KILLS; kill += 1) await writeAndKill(from, SEED + kill, acknowledged)
  const log = await openRandomLog(from)
  const view = await viewOf(log, random)
  acknowledged.expectIn(view.seen, { wasKilled: true })
  await log.close()
  const topics = adoptedTopics(from)
  const above = Object.keys(view.epochs).filter(
    (name) => (view.epochs[name]?.at(-1)?.leaderEpoch ?? 0) > KAFKAS_EPOCH,
  )
  return { topics, trimmed: [], above, view: { ...onlyOf(topics, view), epochs: {} } }
}

/** What of a view is about some topics; groups only where their offsets are among these. */
function onlyOf(topics: readonly AdoptedTopic[], view: OurView): OurView {
  const { seen, lookups, groups, epochs } = view
  const names = new Set(topics.map(({ name }) => name))
  const isTaken = ([name]: readonly [string, unknown]) =>
    names.has(name.slice(0, name.lastIndexOf('-')))
  const take = <T>(all: Readonly<Record<string, T>>): Record<string, T> =>
    Object.fromEntries(Object.entries(all).filter(isTaken))
  return {
    seen: new Map([...seen].filter(isTaken)),
    lookups: { times: take(lookups.times), offsets: take(lookups.offsets) },
    groups: names.has(OFFSETS_TOPIC) ? groups : {},
    // Higher ones than the cluster's own are forgotten, as is shown below.
    epochs: names.has(RESTARTED) ? {} : take(epochs),
  }
}

function merged(views: readonly OurView[]): OurView {
  const [seen, times, offsets, groups, epochs] = [new Map(), {}, {}, {}, {}]
  for (const view of views) {
    for (const [name, partition] of view.seen) seen.set(name, partition)
    Object.assign(times, view.lookups.times)
    Object.assign(offsets, view.lookups.offsets)
    Object.assign(groups, view.groups)
    Object.assign(epochs, view.epochs)
  }
  return { seen, lookups: { times, offsets }, groups, epochs }
}

test(`a broker adopts what others wrote or were killed at, and we went on with (seed ${SEED})`, async (t) => {
  const random = seededRandom(SEED)
  const continued: Continued[] = []
  for (const set of SETS) continued.push(await goOnWith(set, random))
  const killed = await killWriters(random)
  continued.push(killed)
  const broker = await Broker.create(judge, {
    'offsets.topic.num.partitions': `${OFFSETS_PARTITIONS}`,
  })
  t.after(() => broker.stop())
  await adopt(
    broker,
    judge,
    continued.flatMap(({ topics }) => topics),
    'trusting',
  )
  const trimmed = new Set(continued.flatMap((each) => [...each.trimmed]))
  const view = merged(continued.map((each) => each.view))
  const deleted: Deleted = (name) => {
    if (trimmed.has(name)) return [{}]
    return isCompacted(name) ? nobodysTimes(path.join(broker.data, name)) : []
  }
  const consumed = await expectKafkasViewIs(judge, view, deleted)
  // Epochs that are higher than the cluster's: it says so, forgets them, and serves every record, as `consumed` has shown.
  const restarted = [`${RESTARTED}-0`, `${RESTARTED}-1`]
  const ofKilled = killed.above.filter((name) => !name.startsWith(OFFSETS_TOPIC))
  assert.deepEqual(broker.droppedEpochs, [...restarted, ...ofKilled].sort())
  for (const name of restarted) assert.equal(consumed.get(name)?.records.at(-1)?.leaderEpoch, 4)
  const epochs = ofKilled.flatMap((name) => consumed.get(name)?.records ?? [])
  assert.equal(Math.max(...epochs.map(({ leaderEpoch }) => leaderEpoch)), KILLS - 1)
  assert.deepEqual(
    broker.complaints.filter((line) => !OLDER_GROUP.test(line)),
    [],
  )
})
