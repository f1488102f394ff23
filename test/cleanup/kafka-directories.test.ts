// Directories of real brokers, some of which have compacted them before, compacted on by this library.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Log, LogRecord } from '../../src/index.ts'
import { verifyDirectory } from '../../src/inspect/directory-check.ts'
import type { Finding } from '../../src/inspect/finding.ts'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import type { ExpectedPartition, FixturePartition, FixtureSet } from '../support/fixtures.ts'
import { copyFixture, loadExpected, loadPartitions } from '../support/fixtures.ts'
import { BROKER_TIME_MS, open, readAll } from '../support/kafka-view.ts'

const SETS: readonly FixtureSet[] = [
  'compacted',
  'offsets',
  'transactions',
  'transactions-v1',
  'segments',
  'compressed',
  'append-time',
  'restarted',
  'delete-records',
]
const WEEK_MS = 7 * 24 * 60 * 60 * 1000
const OFFSETS_TOPIC = '__consumer_offsets'

type Found = LogRecord<unknown, unknown>

const keyOf = ({ key }: Found): string | undefined =>
  Buffer.isBuffer(key) ? key.toString('hex') : undefined

async function committedOffsets(log: Log): Promise<unknown[]> {
  const all: unknown[] = []
  for (const group of await log.groups()) all.push([group, await log.committedOffsets(group)])
  return all
}

interface Before {
  readonly records: readonly Found[]
  /** The open has ended what the broker had left open. */
  readonly committed: ReadonlySet<number>
}

const NOTHING: Before = { records: [], committed: new Set() }

/** Compacts all of a set's partitions, as the broker's configuration or this library's default says; answers with what was there before. */
async function compactAll(
  log: Log,
  partitions: readonly FixturePartition[],
): Promise<Map<FixturePartition, Before>> {
  const before = new Map<FixturePartition, Before>()
  for (const each of partitions) {
    const { records } = await readAll(log, each.topic, each.expected)
    const committed = await readAll(log, each.topic, each.expected, 'read_committed')
    const offsets = committed.records.map(({ offset }) => offset)
    before.set(each, { records, committed: new Set(offsets) })
  }
  for (const topic of new Set(partitions.map((each) => each.topic))) {
    if (topic !== OFFSETS_TOPIC) await log.alterTopic(topic, { cleanupPolicy: 'compact' })
    await log.compact(topic)
  }
  return before
}

/** The last record of each key that is committed. */
function wantedOf({ records, committed }: Before): Found[] {
  const last = new Map<string, Found>()
  for (const record of records) {
    const key = keyOf(record)
    if (key !== undefined && committed.has(record.offset)) last.set(key, record)
  }
  return [...last.values()]
}

/** Each key has its last record, at its old offset and as it was, and nothing else is there. */
function expectCompacted(
  found: readonly Found[],
  before: Before,
  expected: ExpectedPartition,
  mayTombstonesGo: boolean,
): void {
  const there = new Map(found.map((record) => [record.offset, record]))
  for (const record of found) {
    const was = before.records.find(({ offset }) => offset === record.offset)
    assert.deepEqual({ ...record }, { ...was }, `offset ${record.offset}`)
  }
  const wanted = wantedOf(before)
  for (const { offset, value, ...record } of wanted) {
    const isDue = mayTombstonesGo || hadHorizon(offset, expected)
    const mayGo = value === null && isDue
    if (!mayGo) assert.ok(there.has(offset), `offset ${offset} is gone`)
    else if (!there.has(offset)) {
      const key = keyOf({ offset, value, ...record } as Found)
      assert.ok(!found.some((each) => keyOf(each) === key), `offset ${offset} is back`)
    }
  }
  const offsets = new Set(wanted.map(({ offset }) => offset))
  for (const offset of there.keys()) assert.ok(offsets.has(offset), `offset ${offset} is there`)
}

/** A broker's pass had met it, and its horizon has passed. */
function hadHorizon(offset: number, { batches }: ExpectedPartition): boolean {
  const batch = batches.find(({ lastOffset }) => lastOffset >= offset)
  return batch?.deleteHorizonMs !== undefined && batch.deleteHorizonMs <= BROKER_TIME_MS
}

for (const set of SETS) {
  test(`the directory ${set}, compacted here, has of each key the last record, at its old offset, and the groups what they have committed`, async (t) => {
    const [expected, partitions] = [await loadExpected(set), await loadPartitions(set)]
    const directory = await copyFixture(set, t)
    const log = await open(directory, expected)
    const groups = await committedOffsets(log)
    const before = await compactAll(log, partitions)
    const check = async (opened: Log, mayTombstonesGo: boolean): Promise<void> => {
      for (const each of partitions) {
        const range = await opened.offsets(each.topic, each.expected.partition)
        const { logStartOffset: earliest, logEndOffset: latest } = each.expected
        // The open has ended what was not decided there, with markers.
        const ended = { earliest, latest: range.latest, lastStable: range.latest }
        assert.deepEqual(range, ended)
        assert.ok(range.latest >= latest)
        const { records } = await readAll(opened, each.topic, each.expected)
        expectCompacted(records, before.get(each) ?? NOTHING, each.expected, mayTombstonesGo)
      }
      assert.deepEqual(await committedOffsets(opened), groups)
    }
    await check(log, false)
    await log.close()
    const later = await open(directory, expected, BROKER_TIME_MS + WEEK_MS)
    await check(later, false)
    await compactAll(later, partitions)
    await check(later, true)
    await later.close()
    await expectSound(directory)
  })
}

async function expectSound(directory: string): Promise<void> {
  const findings: Finding[] = []
  const onFinding = (finding: Finding): void => void findings.push(finding)
  await verifyDirectory({ fileSystem: nodeFileSystem, directory, onFinding })
  assert.deepEqual(
    findings.filter(({ severity }) => severity !== 'information'),
    [],
  )
}
