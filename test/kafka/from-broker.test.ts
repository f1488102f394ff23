// What a real broker wrote opens here, record for record: stopped cleanly, gone on with, and killed while producers write.
import assert from 'node:assert/strict'
import { readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import type { RecoveryReport } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { CLEAN_MARKER } from './adoption.ts'
import { Broker } from './broker.ts'
import type { BrokerKind } from './broker-kinds.ts'
import { BROKER_KINDS, CODECS } from './broker-kinds.ts'
import { expectNothingRebuilt } from './expectations.ts'
import type { Settings, StormResult } from './judge.ts'
import { Judge } from './judge.ts'
import type { Dump } from './kafka-tools.ts'
import { dumpDirectories, verifyIndexes } from './kafka-tools.ts'
import type { Deleted, OurView } from './kafkas-view.ts'
import { consumeAll, expectKafkasViewIs, viewOf } from './kafkas-view.ts'
import type { ByteLog, ByteTopics, Seen, SentRecord } from './records.ts'
import { expectSameRecords, expectSameView, randomRecord, readLog, toProduce } from './records.ts'
import { SEED } from './seed.ts'
import { expectSurvivors } from './survivors.ts'

const CALLS = 12
const KINDS = Object.entries(BROKER_KINDS)
const TRANSACTIONS = 'transactions-0'
const OURS_TO_COMPACT = KINDS.filter(([, { ourCompaction }]) => ourCompaction !== undefined)
/** A producer of a topic's own, whose open transaction must outlive this test. */
const transactional = (id: string): Settings => ({
  'transactional.id': id,
  'transaction.timeout.ms': '600000',
  'compression.type': 'lz4',
})
/** Group ids by the protocol of their members. */
const GROUPS = { classic: 'classic members', consumer: 'members of KIP-848' }

const judge = new Judge()
after(() => judge.close())

const partitionsOf = (topic: string, { partitions }: BrokerKind): string[] =>
  Array.from({ length: partitions }, (_, partition) => `${topic}-${partition}`)
const NAMES = KINDS.flatMap(([topic, kind]) => partitionsOf(topic, kind))
const INTERNAL = ['__consumer_offsets-0', '__transaction_state-0']

/** Below the log start of `trimmed`, and where the broker's cleaner was, any record may have been. */
const deleted: Deleted = (name) => (/^(?:trimmed|compacted)-/.test(name) ? [{}] : [])

// ------------------------------------------------------------------------------------ the broker

/** Where we compact, the first two calls have one key: the first loses its only record, the last one of a producer that writes no more. */
const KEY_OF_TWO = Buffer.from('of two calls').toString('base64')

function recordsOf(
  { shape, fromMs, stepMs = 0, ourCompaction }: BrokerKind,
  random: () => number,
  call: number,
): SentRecord[] {
  const time = fromMs === undefined ? {} : { timestamp: fromMs + call * stepMs }
  const isOfTwo = ourCompaction !== undefined && call <= 2
  const count = isOfTwo ? 1 : 1 + randomInteger(random, 20)
  return Array.from({ length: count }, () => {
    return { ...randomRecord(random, shape), ...time, ...(isOfTwo ? { key: KEY_OF_TWO } : {}) }
  })
}

/** One call's records to a partition; a transaction is committed, aborted, or at last left open. */
async function produce(
  name: string,
  kind: BrokerKind,
  random: () => number,
  call: number,
): Promise<void> {
  const records = recordsOf(kind, random, call)
  const isFirst = call === 1
  if (kind.isTransactional === true) {
    const decided = isFirst || random() < 0.5 ? 'commit' : 'abort'
    const end = call === CALLS ? 'open' : decided
    const settings = transactional(isFirst ? `${name}, once` : name)
    await judge.ask('transaction', { partition: name, settings, records, end })
  } else {
    const own = { 'enable.idempotence': 'true', 'client.id': name }
    const settings = { ...kind.producer(random), ...(isFirst ? own : {}) }
    await judge.ask('produce', { partition: name, settings, records })
  }
}

/** Random records everywhere but in `untouched`, deleted ones, and groups that have read. */
async function useBroker(random: () => number): Promise<void> {
  const topics = KINDS.map(([name, { partitions, config }]) => {
    return { name, partitions, config: { 'retention.ms': '-1', ...config } }
  })
  await judge.ask('createTopics', { topics })
  for (const [topic, kind] of KINDS) {
    if (topic === 'untouched') continue
    for (const name of partitionsOf(topic, kind)) {
      for (let call = 1; call <= CALLS; call += 1) {
        await produce(name, kind, random, call)
      }
      if (kind.isTrimmed === true) {
        await judge.ask('deleteRecords', { partition: name, before: 1 + randomInteger(random, 60) })
      }
    }
  }
  for (const [protocol, group] of Object.entries(GROUPS)) {
    const settings = { 'group.protocol': protocol }
    await judge.ask('readAsGroup', { group, settings, topics: ['plain', 'zstd'], count: 20 })
  }
}

// ------------------------------------------------------------------------------------- our turn

/** Keys are bytes here, too: those of a topic that nobody declares are strings. */
const DECLARATIONS = Object.fromEntries(
  Object.keys(BROKER_KINDS).map((name) => [name, { key: 'bytes', value: 'bytes' }] as const),
)
const openLog = (directory: string): Promise<ByteLog> =>
  Log.open<ByteTopics>(directory, { topics: DECLARATIONS })

/** As the broker has left it: an open to write ends the transactions that are open. */
async function viewBeside(directory: string, random: () => number): Promise<OurView> {
  const log = await Log.open<ByteTopics>(directory, { topics: DECLARATIONS, readOnly: true })
  const view = await viewOf(log, random)
  await log.close()
  return view
}

/** Up to where the open transactions began; what comes behind has been decided since. */
function expectBegins(actual: Seen, expected: Seen): void {
  for (const [name, { start, end, records }] of expected) {
    const other = actual.get(name) ?? assert.fail(name)
    assert.equal(other.start, start)
    assert.ok(other.end > end, `${name}: what was open is decided`)
    const before = other.records.filter(({ offset }) => offset < end)
    expectSameRecords(name, before, records)
  }
}

/**
 * Only where producers wrote is anything read. A killed broker leaves the indexes of each newest segment preallocated, zeros behind
 * their entries: those are built again, and no others.
 */
function expectLittleRebuilt({ clean, partitions }: RecoveryReport, written: string[]): void {
  assert.equal(clean, false)
  for (const { topic, partition, scannedBytes, damage, rebuilt } of partitions) {
    const name = `${topic}-${partition}`
    assert.deepEqual(damage, [])
    assert.ok(scannedBytes === 0 || written.includes(name), `${name}: ${scannedBytes} B scanned`)
    for (const file of rebuilt) {
      const names = readdirSync(path.dirname(file)).sort()
      const newest = names.filter((each) => each.endsWith('.log')).at(-1) ?? ''
      assert.match(
        path.basename(file),
        new RegExp(`^${path.basename(newest, '.log')}\\.(time)?index$`),
      )
    }
  }
}

/** A few calls of ours to every partition, and a compaction where it is ours. The view is of what the close has left: it stores what is over of transactions. */
async function goOnAndClose(
  log: ByteLog,
  directory: string,
  random: () => number,
): Promise<OurView> {
  for (const [topic, { ourCompaction = {} }] of OURS_TO_COMPACT) {
    await log.alterTopic(topic, ourCompaction)
    await log.compact(topic)
  }
  for (const [topic, kind] of KINDS) {
    for (let partition = 0; partition < kind.partitions; partition += 1) {
      for (let call = randomInteger(random, 3); call >= 0; call -= 1) {
        const records = [randomRecord(random, kind.shape), randomRecord(random, kind.shape)]
        await log.produce(topic, records.map(toProduce), { partition })
      }
    }
  }
  await log.close()
  return await viewBeside(directory, random)
}

/** All that producers were told is written is there, and nothing that they have not sent. */
function expectStorm(seen: Seen, before: Seen, results: readonly StormResult[]): void {
  const isAnyAcknowledged = results.some(({ acknowledged }) => acknowledged.length > 0)
  assert.ok(isAnyAcknowledged, 'nothing was acknowledged')
  for (const { partition, acknowledged } of results) {
    const { end = 0 } = before.get(partition) ?? {}
    const records = (seen.get(partition)?.records ?? []).filter(({ offset }) => offset >= end)
    const there = new Map(records.map((record) => [record.offset, record]))
    for (const { key, value, offset } of records) {
      const number = Number(Buffer.from(key ?? '', 'base64').toString())
      const sent = `${number}${'x'.repeat((number * 7919) % 500)}`
      assert.equal(Buffer.from(value ?? '', 'base64').toString(), sent, `${partition} ${offset}`)
    }
    for (const [offset, number] of acknowledged) {
      const key = Buffer.from(there.get(offset)?.key ?? '', 'base64').toString()
      assert.equal(key, `${number}`, `${partition}: offset ${offset} was acknowledged`)
    }
  }
}

/** What is left for a reader of decided transactions. */
function expectCompacted(after: Seen, before: Seen): void {
  for (const [name, { records }] of before) {
    const left = after.get(name)?.records ?? []
    const { ourCompaction } = BROKER_KINDS[name.slice(0, name.lastIndexOf('-'))] ?? {}
    expectSurvivors(name, left, records, {
      mayTombstonesGo: ourCompaction?.deleteRetentionMs === 0,
    })
    const there = new Set(left.map(({ offset }) => offset))
    assert.ok(
      records.some(({ offset }) => !there.has(offset)),
      `${name}: nothing was compacted`,
    )
  }
}

/** The first batch has lost its record, and still tells the sequence of its producer. */
function expectHeaders(dump: Dump, directories: readonly string[]): void {
  for (const directory of directories) {
    const files = [...dump].filter(([file]) => path.dirname(file) === directory)
    const first = files.flatMap(([, batches]) => batches).find(({ baseOffset }) => baseOffset === 0)
    assert.deepEqual([first?.count, first?.isControl], [0, false], directory)
  }
}

/** A broker has to find out from the data what producers have sent. */
function forgetProducers(data: string, names: readonly string[]): void {
  rmSync(path.join(data, CLEAN_MARKER))
  for (const partition of names.map((name) => path.join(data, name))) {
    const snapshots = readdirSync(partition).filter((name) => name.endsWith('.snapshot'))
    for (const name of snapshots) rmSync(path.join(partition, name))
  }
}

const endOf = ({ seen }: OurView, name: string): number => seen.get(name)?.end ?? 0

test(`what a broker writes opens here, closed and killed (seed ${SEED})`, async (t) => {
  const random = seededRandom(SEED)
  const broker = await Broker.create(judge)
  t.after(() => broker.stop())
  await broker.start()
  await useBroker(random)
  await broker.untilCleaned('compacted', 0)
  // What it has cleaned stays as it is from here on.
  await judge.ask('alterTopic', { name: 'compacted', config: { 'cleanup.policy': 'delete' } })
  const kafkas = await consumeAll(judge, [...NAMES, ...INTERNAL])
  const committed = await consumeAll(judge, [TRANSACTIONS], 'read_committed')
  const toCompact = OURS_TO_COMPACT.map(([topic]) => `${topic}-0`)
  const uncompacted = await consumeAll(judge, toCompact, 'read_committed')
  const producers = await judge.ask('producers', { partitions: toCompact })
  const groups = await judge.ask('groupOffsets', {})
  assert.deepEqual(broker.complaints, [])
  await broker.stop()

  let view = await viewBeside(broker.data, random)
  expectSameView(view.seen, kafkas)
  let log = await openLog(broker.data)
  expectNothingRebuilt(log.recovery)
  assert.ok(
    log.recovery.transactions.every(({ outcome, isComplete }) => outcome === 'abort' && isComplete),
  )
  assert.ok(log.recovery.transactions.length > 0)
  assert.deepEqual(view.groups, groups)
  view = await goOnAndClose(log, broker.data, random)

  await broker.start()
  await expectKafkasViewIs(judge, view, deleted)
  assert.deepEqual([broker.complaints, broker.droppedEpochs], [[], []])
  const stillCommitted = await consumeAll(judge, [TRANSACTIONS], 'read_committed')
  expectBegins(stillCommitted, committed)
  assert.deepEqual(await judge.ask('producers', { partitions: toCompact }), producers)
  expectCompacted(await consumeAll(judge, toCompact, 'read_committed'), uncompacted)
  const writers = NAMES.filter((name) => /^(?:plain|append-time|many-segments)-/.test(name)).map(
    (partition, index) => ({
      partition,
      settings: { 'compression.type': CODECS[index % CODECS.length] ?? 'none' },
    }),
  )
  await judge.ask('startStorm', { writers, until: 500 + randomInteger(random, 4000) })
  await broker.kill()
  const results = await judge.ask('stopStorm', {})

  const before = view.seen
  log = await openLog(broker.data)
  expectLittleRebuilt(
    log.recovery,
    writers.map(({ partition }) => partition),
  )
  expectStorm(await readLog(log), before, results)
  view = await goOnAndClose(log, broker.data, random)
  // Ours are of a new epoch, above those of the broker.
  const { endOffset = 0 } = view.epochs['plain-0']?.at(-2) ?? {}
  assert.ok(endOffset > (before.get('plain-0')?.end ?? 0) && endOffset < endOf(view, 'plain-0'))
  const partitions = [...view.seen.keys()].map((name) => path.join(broker.data, name))
  const isCompacted = (file: string): boolean => file.includes('/compacted-')
  const dump = await dumpDirectories(
    partitions,
    (file) => isCompacted(file) || file.includes('/keyed'),
  )
  expectHeaders(
    dump,
    partitions.filter((each) => /\/keyed(?:-codecs)?-0$/.test(each)),
  )
  // Kafka's tool finds fault with what Kafka's cleaner makes: a time index entry for a batch that has lost all its records.
  await verifyIndexes(partitions.filter((each) => !isCompacted(each)))

  forgetProducers(broker.data, toCompact)
  await broker.start()
  assert.deepEqual(await judge.ask('producers', { partitions: toCompact }), producers)
  // It leads on with the epoch that it was killed in, for a moment: ours is above that.
  await expectKafkasViewIs(judge, { ...view, epochs: {} }, deleted)
  assert.ok(broker.droppedEpochs.includes('plain-0'))
  expectBegins(await consumeAll(judge, [TRANSACTIONS], 'read_committed'), committed)
  expectCompacted(await consumeAll(judge, toCompact, 'read_committed'), uncompacted)
  assert.deepEqual(broker.complaints, [])
})
