// Transactions and idempotent producers of this library: Kafka's tools read what they leave without one complaint, and a broker that adopts it,
// states of transactions included, shows readers the same, goes on with the same transactional ids, and we after it.
import assert from 'node:assert/strict'
import { cpSync, existsSync, readdirSync, statSync } from 'node:fs'
import path from 'node:path'
import { after, test } from 'node:test'
import type { CompressionType, LogOptions } from '../../src/index.ts'
import { Log, nodeFileSystem } from '../../src/index.ts'
import { verifyDirectory } from '../../src/inspect/directory-check.ts'
import type { Finding } from '../../src/inspect/finding.ts'
import { partitionProducers } from '../../src/inspect/producer-survey.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import type { AdoptedTopic, Trust } from './adoption.ts'
import { adopt, offsetsTopic } from './adoption.ts'
import { Broker } from './broker.ts'
import type { Isolation, JudgedOffsets, Settings } from './judge.ts'
import { Judge } from './judge.ts'
import { dumpDirectories, dumpTransactions, verifyIndexes } from './kafka-tools.ts'
import { committedOffsets, consumeAll } from './kafkas-view.ts'
import type { ByteRecord, ByteTopics } from './records.ts'
import { scratchDirectory } from './scratch.ts'
import { SEED } from './seed.ts'

const ROUNDS = 120
const STATES = '__transaction_state'
const OFFSETS = '__consumer_offsets'
const CODECS = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
const SMALL = { key: 'bytes', value: 'bytes', segmentBytes: 8192, indexIntervalBytes: 256 } as const
const TOPICS = {
  ledger: { ...SMALL, partitions: 3 },
  audit: { ...SMALL, partitions: 1, compression: 'zstd', durability: 'os' },
} as const
const PARTITIONS: readonly (readonly [topic: string, partition: number])[] = [
  ...[0, 1, 2].map((partition) => ['ledger', partition] as const),
  ['audit', 0],
]
const NAMES = PARTITIONS.map(([topic, partition]) => `${topic}-${partition}`)
const OPTIONS = { topics: TOPICS, maxTransactionBytes: 4096 } as const satisfies LogOptions

const judge = new Judge()
after(() => judge.close())

type OurLog = Log<ByteTopics>

const openLog = (directory: string): Promise<OurLog> => Log.open<ByteTopics>(directory, OPTIONS)

// ---------------------------------------------------------------------------------------- writing

let written = 0

/** Every value is another one. */
function someRecords(random: () => number): ByteRecord[] {
  return Array.from({ length: 1 + randomInteger(random, 5) }, () => {
    written += 1
    const value = Buffer.from(`record ${written} ${'x'.repeat(randomInteger(random, 400))}`)
    return { key: Buffer.from(`key ${randomInteger(random, 20)}`), value }
  })
}

function somewhere(random: () => number): readonly [topic: string, partition: number] {
  return PARTITIONS[randomInteger(random, PARTITIONS.length)] ?? assert.fail()
}

type Begun = Awaited<ReturnType<OurLog['beginTransaction']>>

/** Some calls in a transaction, which is committed or aborted. */
async function writeTransaction(
  tx: Begun,
  calls: number,
  compression: CompressionType,
  random: () => number,
): Promise<void> {
  for (let call = 0; call < calls; call += 1) {
    const [topic, partition] = somewhere(random)
    await tx.produce(topic, someRecords(random), { partition, compression })
  }
  if (random() < 0.3) {
    const [topic, partition] = somewhere(random)
    await tx.commitOffset('group', { topic, partition, offset: randomInteger(random, 5) })
  }
  await (random() < 0.35 ? tx.abort() : tx.commit())
}

/** Transactions with and without a name, committed and aborted, large ones that are written early, and producers between them. */
async function writeTerm(log: OurLog, random: () => number): Promise<void> {
  const named = [
    await log.producer({ transactionalId: 'payments' }),
    await log.producer({ transactionalId: 'refunds' }),
  ]
  const idempotent = await log.producer({ idempotent: true })
  for (let round = 0; round < ROUNDS; round += 1) {
    const compression = CODECS[randomInteger(random, CODECS.length)] ?? 'none'
    const [topic, partition] = somewhere(random)
    const chosen = random()
    if (chosen < 0.35) {
      const records = someRecords(random)
      const options = { partition, compression }
      if (chosen < 0.15) await log.produce(topic, records, options)
      else await idempotent.produce(topic, records, options)
      continue
    }
    const producer = named[randomInteger(random, 4)]
    const tx = await (producer?.begin() ?? log.beginTransaction())
    const calls = 1 + randomInteger(random, chosen > 0.95 ? 30 : 4)
    await writeTransaction(tx, calls, compression, random)
  }
}

// ---------------------------------------------------------------------------------------- reading

type View = Record<string, readonly (readonly [offset: number, value: string])[]>

async function ourView(log: OurLog, isolationLevel: Isolation): Promise<View> {
  const view: Record<string, (readonly [number, string])[]> = {}
  for (const [topic, partition] of PARTITIONS) {
    const records: (readonly [number, string])[] = []
    const { latest } = await log.offsets(topic, partition)
    for (let offset = 0; offset < latest; ) {
      const page = await log.fetch(topic, { partition, offset, isolationLevel })
      for (const record of page.records) {
        records.push([record.offset, Buffer.from(record.value ?? []).toString()])
      }
      if (page.nextOffset === offset) break
      offset = page.nextOffset
    }
    view[`${topic}-${partition}`] = records
  }
  return view
}

async function kafkasView(isolation: Isolation): Promise<View> {
  const view: View = {}
  for (const [name, { records }] of await consumeAll(judge, NAMES, isolation)) {
    view[name] = records.map(({ offset, value }) => [
      offset,
      Buffer.from(value ?? '', 'base64').toString(),
    ])
  }
  return view
}

interface Views {
  readonly committed: View
  readonly all: View
  readonly groups: JudgedOffsets
}

async function bothViews(log: OurLog): Promise<Views> {
  const committed = await ourView(log, 'read_committed')
  const all = await ourView(log, 'read_uncommitted')
  return { committed, all, groups: await committedOffsets(log) }
}

async function expectKafkasViews({ committed, all, groups }: Views): Promise<void> {
  assert.deepEqual(await kafkasView('read_uncommitted'), all)
  assert.deepEqual(await kafkasView('read_committed'), committed)
  assert.deepEqual(await judge.ask('groupOffsets', {}), groups)
}

async function soundness(directory: string): Promise<readonly Finding[]> {
  const findings: Finding[] = []
  await verifyDirectory({
    fileSystem: nodeFileSystem,
    directory,
    onFinding: (finding) => findings.push(finding),
  })
  return findings.filter(({ severity }) => severity !== 'information')
}

/** What is known of producers, as Kafka's Admin tells it. */
async function ourProducers(directory: string): Promise<Record<string, number[][]>> {
  const known: Record<string, number[][]> = {}
  for (const [topic, partition] of PARTITIONS) {
    const fileSystem = nodeFileSystem
    const { producers } = await partitionProducers({ fileSystem, directory }, { topic, partition })
    known[`${topic}-${partition}`] = producers.map((each) => [
      each.producerId,
      each.producerEpoch,
      each.batches.at(-1)?.lastSequence ?? -1,
    ])
  }
  return known
}

const allPartitions = (directory: string): string[] =>
  readdirSync(directory)
    .filter((name) => /-\d+$/.test(name))
    .map((name) => path.join(directory, name))

const adopted = (from: string): AdoptedTopic[] => [
  ...Object.entries(TOPICS).map(([name, { partitions }]) => ({
    name,
    partitions,
    config: { 'index.interval.bytes': '256', 'segment.bytes': '1048576' },
    from,
  })),
  offsetsTopic(from, 1),
  { name: STATES, partitions: 1, config: { 'cleanup.policy': 'compact' }, from },
]

async function writtenLog(): Promise<{ directory: string; views: Views }> {
  const random = seededRandom(SEED)
  const directory = scratchDirectory('transactions')
  for (let term = 0; term < 2; term += 1) {
    const log = await openLog(directory)
    await writeTerm(log, random)
    await log.close()
  }
  const log = await openLog(directory)
  const views = await bothViews(log)
  await log.close()
  return { directory, views }
}

// ------------------------------------------------------------------------------------------ tests

test(`what transactions leave is sound to Kafka's tools (seed ${SEED})`, async () => {
  const { directory, views } = await writtenLog()
  assert.deepEqual(await soundness(directory), [])
  const partitions = allPartitions(directory)
  const dump = await dumpDirectories(partitions, (file) => /__/.test(file))
  await verifyIndexes(partitions)
  const files = partitions.flatMap((each) => readdirSync(each).map((name) => path.join(each, name)))
  const txnindexes = files.filter((name) => name.endsWith('.txnindex'))
  assert.ok(txnindexes.length > 0 && txnindexes.every((name) => statSync(name).size > 0))
  for (const name of NAMES) {
    const batches = [...dump].filter(([file]) => path.basename(path.dirname(file)) === name)
    const all = batches.flatMap(([, each]) => each)
    assert.ok(
      all.some(({ isControl }) => isControl),
      `${name} has markers`,
    )
    const records = all.filter(({ isControl }) => !isControl).flatMap((each) => each.records)
    assert.equal(records.length, views.all[name]?.length)
    assert.ok(records.length > (views.committed[name]?.length ?? 0), `${name} has aborted records`)
  }
  const states = new Map(
    (await dumpTransactions([path.join(directory, `${STATES}-0`)])).map((each) => [
      `${each.key.data['transactionalId']}`,
      each.payload?.data,
    ]),
  )
  assert.ok(states.has('payments') && states.has('refunds'))
  // 0 empty, 4 and 5 complete.
  for (const [id, state] of states) {
    assert.ok([0, 4, 5].includes(Number(state?.['transactionStatus'])), `${id} is decided`)
  }
})

/** Transactions of an id of ours and of a new one, and a new idempotent producer. Answers with what was committed. */
async function useBroker(transactionalId: string): Promise<readonly string[]> {
  const committed: string[] = []
  const send = async (name: string, settings: Settings, end?: 'commit' | 'abort') => {
    const values = Array.from({ length: 3 }, () => {
      written += 1
      return `record ${written} of Kafka`
    })
    const records = values.map((value) => {
      return { key: null, value: Buffer.from(value).toString('base64'), headers: [] }
    })
    const request = { partition: name, settings, records }
    const answers =
      end === undefined
        ? await judge.ask('produce', request)
        : await judge.ask('transaction', { ...request, end })
    assert.equal(answers.length, values.length)
    if (end !== 'abort') committed.push(...values)
  }
  for (const name of NAMES) {
    await send(name, { 'enable.idempotence': 'true' })
    for (const id of [transactionalId, 'of Kafka']) {
      await send(name, { 'transactional.id': id }, 'commit')
      await send(name, { 'transactional.id': id }, 'abort')
      await send(name, { 'transactional.id': id }, 'commit')
    }
  }
  return committed
}

const valuesOf = (view: View): string[] =>
  Object.values(view)
    .flat()
    .map(([, value]) => value)

for (const trust of ['trusting', 'recovering'] as const satisfies Trust[]) {
  test(`a broker adopts our transactions, ${trust} them, and goes on, and we after it (seed ${SEED})`, async (t) => {
    const { directory, views } = await writtenLog()
    const producers = await ourProducers(directory)
    const broker = await Broker.create(judge)
    t.after(() => broker.stop())
    await adopt(broker, judge, adopted(directory), trust)
    await expectKafkasViews(views)
    assert.deepEqual(await judge.ask('producers', { partitions: NAMES }), producers)
    const committed = await useBroker('payments')
    const now = await kafkasView('read_committed')
    const values = valuesOf(now).sort()
    assert.deepEqual(values, [...valuesOf(views.committed), ...committed].sort())
    await broker.stop()
    assert.deepEqual(broker.complaints, [])

    const log = await openLog(broker.data)
    assert.deepEqual((await bothViews(log)).committed, now)
    await writeTerm(log, seededRandom(SEED + 1))
    await log.close()
    const again = await openLog(broker.data)
    const after = await bothViews(again)
    await again.close()
    assert.deepEqual(await soundness(broker.data), [])
    await broker.start()
    await expectKafkasViews(after)
    await useBroker('refunds')
    assert.deepEqual(broker.complaints, [])
  })
}

test(`what a killed process left open in a transaction, its transactional id ends on a broker (seed ${SEED})`, async (t) => {
  const random = seededRandom(SEED)
  const directory = scratchDirectory('transactions')
  const log = await openLog(directory)
  await writeTerm(log, random)
  const payments = await log.producer({ transactionalId: 'payments' })
  const tx = await payments.begin()
  // So many that they are written early.
  for (let call = 0; call < 40; call += 1) {
    for (const [topic, partition] of PARTITIONS) {
      await tx.produce(topic, someRecords(random), { partition })
    }
  }
  await log.flush()
  const views = await bothViews(log)
  const killed = scratchDirectory('killed-transaction')
  cpSync(directory, killed, { recursive: true })
  await log.close()
  assert.ok(existsSync(path.join(killed, `${OFFSETS}-0`)))

  const broker = await Broker.create(judge)
  t.after(() => broker.stop())
  await adopt(broker, judge, adopted(killed), 'recovering')
  await expectKafkasViews(views)
  const committed = await useBroker('payments')
  const values = valuesOf(await kafkasView('read_committed')).sort()
  assert.deepEqual(values, [...valuesOf(views.committed), ...committed].sort())
  await broker.stop()
  assert.deepEqual(broker.complaints, [])
})
