// Compaction goes over directories that brokers wrote, twice: markers of transactions, batches that were aborted, producers' last
// sequences, epochs. What it leaves is sound to Kafka.
import assert from 'node:assert/strict'
import { cpSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { Expected, ExpectedPartition, FixtureSet } from '../support/fixtures.ts'
import { fixtureDirectory, loadExpected } from '../support/fixtures.ts'
import { open } from '../support/kafka-view.ts'
import type { Dump, DumpedBatch } from './kafka-tools.ts'
import { dumpDirectories, verifyIndexes } from './kafka-tools.ts'
import type { ByteLog, Seen } from './records.ts'
import { readLog } from './records.ts'
import { scratchDirectory } from './scratch.ts'
import { expectSurvivors } from './survivors.ts'

const OFFSETS_TOPIC = '__consumer_offsets'
const SETS: readonly FixtureSet[] = [
  'append-time',
  'compacted',
  'compressed',
  'delete-records',
  'plain',
  'restarted',
  'segments',
  'transactions',
  'transactions-v1',
  'unclean',
]
const DAY_MS = 24 * 60 * 60 * 1000
/** An index entry before every batch; tombstones and markers go in the second pass. */
const COMPACTED = { cleanupPolicy: 'compact', deleteRetentionMs: 0, indexIntervalBytes: 0 } as const

/** A stage of a set's compaction: a directory that is closed, and what a reader was given of it. */
interface Stage {
  readonly directory: string
  readonly expected: Expected
  readonly seen: Seen
}

const topicsOf = ({ topics }: Expected): string[] =>
  Object.keys(topics).filter((name) => name !== OFFSETS_TOPIC)

/** Compacts a copy of a directory at a time at which no producer is forgotten, or which is later than any delete horizon. */
async function compact(from: string, expected: Expected, nowMs: number): Promise<Stage> {
  const directory = scratchDirectory('compacted')
  cpSync(from, directory, { recursive: true })
  const log = (await open(directory, expected, nowMs)) as object as ByteLog
  for (const topic of topicsOf(expected)) {
    await log.alterTopic(topic, COMPACTED)
    await log.compact(topic)
  }
  const seen = await readLog(log)
  await log.close()
  return { directory, expected, seen }
}

/** What readers of committed records are given once the transactions that were left open are aborted, as an open does. */
function committedIn(partition: ExpectedPartition): Set<number> {
  const { readCommittedOffsets, batches, lastStableOffset } = partition
  const committed = new Set(readCommittedOffsets)
  for (const { baseOffset, lastOffset, isTransactional = false } of batches) {
    if (isTransactional || baseOffset < lastStableOffset) continue
    for (let offset = baseOffset; offset <= lastOffset; offset += 1) committed.add(offset)
  }
  return committed
}

/** Records of transactions that were aborted or never ended count for nothing. */
function expectAllSurvived({ seen, expected }: Stage, before: Seen): void {
  for (const topic of topicsOf(expected)) {
    for (const each of expected.topics[topic]?.partitions ?? []) {
      const { partition, lastStableOffset, logEndOffset } = each
      const name = `${topic}-${partition}`
      const committed = committedIn(each)
      const [after, all] = [seen, before].map((each) =>
        (each.get(name)?.records ?? []).filter(({ offset }) => committed.has(offset)),
      )
      assert.ok(after !== undefined && all !== undefined)
      expectSurvivors(name, after, all, { mayTombstonesGo: true })
      // The marker of what was open.
      const markers = lastStableOffset < logEndOffset ? 1 : 0
      assert.equal(seen.get(name)?.end, (before.get(name)?.end ?? 0) + markers)
    }
  }
}

const partitionsOf = ({ directory, seen }: Stage): string[] =>
  [...seen.keys()].map((name) => path.join(directory, name))

function batchesIn(dump: Dump, stages: readonly Stage[]): DumpedBatch[] {
  const directories = new Set(stages.flatMap(partitionsOf))
  return [...dump]
    .filter(([file]) => directories.has(path.dirname(file)))
    .flatMap(([, each]) => each)
}

/** Partitions of which segments were joined: they have fewer now, the new active one included. */
function joinedIn(dump: Dump, { directory, expected }: Stage): string[] {
  const files = [...dump.keys()]
  return topicsOf(expected).flatMap((topic) =>
    (expected.topics[topic]?.partitions ?? []).flatMap(({ partition, segments }) => {
      const name = `${topic}-${partition}`
      const now = files.filter((file) => path.dirname(file) === path.join(directory, name))
      return now.length < segments.length ? [name] : []
    }),
  )
}

test('what two compactions leave of what brokers wrote is sound to Kafka', async () => {
  const first: Stage[] = []
  const second: Stage[] = []
  for (const set of SETS) {
    const expected = await loadExpected(set)
    const log = (await open(fixtureDirectory(set), expected, 0, { readOnly: true })) as object
    const before = await readLog(log as ByteLog)
    await (log as ByteLog).close()
    const once = await compact(fixtureDirectory(set), expected, 0)
    const twice = await compact(once.directory, expected, DAY_MS)
    for (const stage of [once, twice]) expectAllSurvived(stage, before)
    first.push(once)
    second.push(twice)
  }
  const partitions = [...first, ...second].flatMap(partitionsOf)
  const dump = await dumpDirectories(partitions, () => true)
  const joined = first.flatMap((stage) => joinedIn(dump, stage))
  assert.ok(joined.includes('by-time-0') && joined.includes('ledger-0'), joined.join(', '))
  const [ofFirst, ofSecond] = [batchesIn(dump, first), batchesIn(dump, second)]
  for (const batches of [ofFirst, ofSecond]) {
    assert.ok(batches.some(({ count, isControl }) => count === 0 && !isControl))
    assert.ok(batches.some(({ isControl }) => isControl))
    const codecs = new Set(batches.map(({ codec }) => codec))
    assert.deepEqual([...codecs].sort(), ['gzip', 'lz4', 'none', 'snappy', 'zstd'])
  }
  const mayGo = ofFirst.filter((each) => each.hasDeleteHorizon)
  assert.ok(mayGo.some(({ isControl }) => isControl) && mayGo.some(({ isControl }) => !isControl))
  assert.ok(ofSecond.length < ofFirst.length)
  await verifyIndexes(partitions)
})
