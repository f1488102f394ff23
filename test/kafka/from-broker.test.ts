// What a real broker wrote opens here, record for record: stopped cleanly, gone on with, and killed while producers write.
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import type { RecoveryReport } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import { Broker } from './broker.ts'
import type { BrokerKind } from './broker-kinds.ts'
import { BROKER_KINDS, CODECS } from './broker-kinds.ts'
import type { StormResult } from './judge.ts'
import { Judge } from './judge.ts'
import { dumpDirectories, verifyIndexes } from './kafka-tools.ts'
import type { Deleted, OurView } from './kafkas-view.ts'
import { consumeAll, expectKafkasViewIs, viewOf } from './kafkas-view.ts'
import type { ByteLog, ByteTopics, Seen } from './records.ts'
import { expectSameView, randomRecord, readLog, SOME_TIME, toProduce } from './records.ts'
import { SEED } from './seed.ts'

const CALLS = 12
const CLEANED_WITHIN_MS = 30_000
const KINDS = Object.entries(BROKER_KINDS)
const TRANSACTIONS = 'transactions-0'
/** Its producer's open transaction must outlive this test. */
const TRANSACTIONAL = {
  'transactional.id': 'of the judge',
  'transaction.timeout.ms': '600000',
  'compression.type': 'lz4',
}
/** Group ids by the protocol of their members. */
const GROUPS = { classic: 'classic members', consumer: 'members of KIP-848' }

const judge = new Judge()
after(() => judge.close())

const partitionsOf = (topic: string, { partitions }: BrokerKind): string[] =>
  Array.from({ length: partitions }, (_, partition) => `${topic}-${partition}`)
const NAMES = KINDS.flatMap(([topic, kind]) => partitionsOf(topic, kind))
const INTERNAL = ['__consumer_offsets-0', '__transaction_state-0']

/** Below the log start of `trimmed`, and where the cleaner was, any record may have been. */
const deleted: Deleted = (name) => (/^(?:trimmed|compacted)-/.test(name) ? [{}] : [])

// ------------------------------------------------------------------------------------ the broker

/** One call's records to a partition; a transaction is committed, aborted, or at last left open. */
async function produce(
  name: string,
  kind: BrokerKind,
  random: () => number,
  call: number,
): Promise<void> {
  const { shape, stepMs } = kind
  const time = stepMs === undefined ? {} : { timestamp: SOME_TIME + call * stepMs }
  const records = Array.from({ length: 1 + randomInteger(random, 20) }, () => {
    return { ...randomRecord(random, shape), ...time }
  })
  if (kind.isTransactional === true) {
    const end = call === CALLS ? 'open' : random() < 0.5 ? 'commit' : 'abort'
    await judge.ask('transaction', { partition: name, settings: TRANSACTIONAL, records, end })
  } else {
    await judge.ask('produce', { partition: name, settings: kind.producer(random), records })
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

/** The cleaner's checkpoint says how far it has come: it never cleans a partition's newest segment. */
async function untilCleaned(data: string): Promise<void> {
  for (let waited = 0; waited < CLEANED_WITHIN_MS; waited += 100) {
    const newest = readdirSync(path.join(data, 'compacted-0'))
      .filter((name) => name.endsWith('.log'))
      .sort()
      .at(-1)
    const checkpoint = readFileSync(path.join(data, 'cleaner-offset-checkpoint'), 'utf8')
    if (checkpoint.includes(`compacted 0 ${Number.parseInt(newest ?? '', 10)}\n`)) return
    await pause(100)
  }
  assert.fail('the broker has not cleaned its compacted topic')
}

// ------------------------------------------------------------------------------------- our turn

/** Keys are bytes here, too: those of a topic that nobody declares are strings. */
const DECLARATIONS = Object.fromEntries(
  [...Object.keys(BROKER_KINDS), '__transaction_state'].map(
    (name) => [name, { key: 'bytes', value: 'bytes' }] as const,
  ),
)
const openLog = (directory: string): Promise<ByteLog> =>
  Log.open<ByteTopics>(directory, { topics: DECLARATIONS })

/** Files that the broker was about to unlink are unlinked; that is all. */
function expectNothingRebuilt({ clean, scannedBytes, partitions }: RecoveryReport): void {
  assert.deepEqual([clean, scannedBytes], [true, 0])
  for (const { cut, damage, rebuilt, finished } of partitions) {
    assert.deepEqual([cut, damage, rebuilt], [[], [], []])
    assert.ok(finished.every((name) => name.endsWith('.deleted')))
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

/** A few calls of ours to every partition. */
async function goOn(log: ByteLog, random: () => number): Promise<OurView> {
  for (const [topic, kind] of KINDS) {
    for (let partition = 0; partition < kind.partitions; partition += 1) {
      for (let call = randomInteger(random, 3); call >= 0; call -= 1) {
        const records = [randomRecord(random, kind.shape), randomRecord(random, kind.shape)]
        await log.produce(topic, records.map(toProduce), { partition })
      }
    }
  }
  return viewOf(log, random)
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

const endOf = ({ seen }: OurView, name: string): number => seen.get(name)?.end ?? 0

test(`what a broker writes opens here, closed and killed (seed ${SEED})`, async (t) => {
  const random = seededRandom(SEED)
  const broker = await Broker.create(judge)
  t.after(() => broker.stop())
  await broker.start()
  await useBroker(random)
  await untilCleaned(broker.data)
  // What it has cleaned stays as it is from here on.
  await judge.ask('alterTopic', { name: 'compacted', config: { 'cleanup.policy': 'delete' } })
  const kafkas = await consumeAll(judge, [...NAMES, ...INTERNAL])
  const committed = await consumeAll(judge, [TRANSACTIONS], 'read_committed')
  const groups = await judge.ask('groupOffsets', {})
  assert.deepEqual(broker.complaints, [])
  await broker.stop()

  let log = await openLog(broker.data)
  expectNothingRebuilt(log.recovery)
  let view = await viewOf(log, random)
  expectSameView(view.seen, kafkas)
  assert.deepEqual(view.groups, groups)
  view = await goOn(log, random)
  await log.close()

  await broker.start()
  await expectKafkasViewIs(judge, view, deleted)
  assert.deepEqual([broker.complaints, broker.droppedEpochs], [[], []])
  const stillCommitted = await consumeAll(judge, [TRANSACTIONS], 'read_committed')
  expectSameView(stillCommitted, committed)
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
  view = await goOn(log, random)
  // Ours are of a new epoch, above those of the broker.
  const { endOffset = 0 } = view.epochs['plain-0']?.at(-2) ?? {}
  assert.ok(endOffset > (before.get('plain-0')?.end ?? 0) && endOffset < endOf(view, 'plain-0'))
  await log.close()
  const partitions = [...view.seen.keys()].map((name) => path.join(broker.data, name))
  const isCompacted = (file: string): boolean => file.includes('/compacted-')
  await dumpDirectories(partitions, isCompacted)
  // Kafka's tool finds fault with what Kafka's cleaner makes: a time index entry for a batch that has lost all its records.
  await verifyIndexes(partitions.filter((each) => !isCompacted(each)))

  await broker.start()
  // It leads on with the epoch that it was killed in, for a moment: ours is above that.
  await expectKafkasViewIs(judge, { ...view, epochs: {} }, deleted)
  assert.ok(broker.droppedEpochs.includes('plain-0'))
  expectSameView(await consumeAll(judge, [TRANSACTIONS], 'read_committed'), committed)
  assert.deepEqual(broker.complaints, [])
})
