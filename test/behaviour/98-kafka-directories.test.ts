// Kafka's own view: directories that real brokers wrote, opened through the public face, against what Kafka's clients and
// tools find in them; and the other way round, what a directory of ours looks like to a broker.
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, unlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import type { TestContext } from 'node:test'
import { describe, test } from 'node:test'
import type { DamagedRegion, LogRecord, TopicPartition } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import type { ExpectedPartition, FixtureSet } from '../support/fixtures.ts'
import {
  copyFixture,
  fixtureDirectory,
  loadExpected,
  loadPartitions,
  removeAfter,
} from '../support/fixtures.ts'
import { namesEndingWith, readBatches, segmentFile } from '../support/kafka-files.ts'
import {
  expectKafkasView,
  expectRead,
  expectSideFiles,
  open,
  readAll,
  removeFiles,
  SIDE_FILES,
} from '../support/kafka-view.ts'

const CLOSED_SETS: readonly FixtureSet[] = [
  'plain',
  'compressed',
  'segments',
  'restarted',
  'delete-records',
  'offsets',
  'append-time',
  'compacted',
  'transactions',
  'transactions-v1',
]

/** Those where a broker was stopped while transactions were open: an open to write ends them. */
const UNDECIDED_SETS: ReadonlySet<FixtureSet> = new Set<FixtureSet>([
  'offsets',
  'transactions',
  'transactions-v1',
])

/** Every file's bytes, by its path. */
async function contentOf(directory: string): Promise<Map<string, string>> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile())
  const paths = files.map((file) => relative(directory, join(file.parentPath, file.name))).sort()
  const read = async (file: string) => [file, await readFile(join(directory, file), 'hex')] as const
  return new Map(await Promise.all(paths.map(read)))
}

for (const set of CLOSED_SETS) {
  const readOnly = UNDECIDED_SETS.has(set)
  describe(`the directory ${set}, which a broker closed`, () => {
    test('is read as Kafka reads it', async (t) => {
      const expected = await loadExpected(set)
      await using log = await open(await copyFixture(set, t), expected, undefined, { readOnly })
      assert.deepEqual([log.recovery.clean, log.recovery.scannedBytes], [true, 0])
      await expectKafkasView(log, expected)
    })

    test('is read so by who only reads, and stays as it is', async (t) => {
      const expected = await loadExpected(set)
      const directory = await copyFixture(set, t)
      {
        await using log = await open(directory, expected, undefined, { readOnly: true })
        await expectKafkasView(log, expected)
      }
      assert.deepEqual(await contentOf(directory), await contentOf(fixtureDirectory(set)))
    })

    test('is read so without its indexes and snapshots, and once more when they are built', async (t) => {
      const expected = await loadExpected(set)
      const directory = await copyFixture(set, t)
      await removeFiles(directory, SIDE_FILES)
      {
        await using log = await open(directory, expected, undefined, { readOnly })
        await expectKafkasView(log, expected)
      }
      await using again = await open(directory, expected, undefined, { readOnly })
      await expectKafkasView(again, expected)
    })

    if (readOnly) {
      test('has what is open there aborted by an open to write, and is else left as it was', async (t) => {
        const expected = await loadExpected(set)
        const directory = await copyFixture(set, t)
        await using log = await open(directory, expected, 0)
        const { transactions } = log.recovery
        assert.ok(transactions.length > 0)
        for (const each of transactions) {
          assert.deepEqual([each.outcome, each.isComplete], ['abort', true])
        }
        await expectEnded(log, set, directory)
      })
      return
    }

    test('is left as it was by an open and a close, save for what is ours', async (t) => {
      const expected = await loadExpected(set)
      const directory = await copyFixture(set, t)
      // At a time when no producer is forgotten for its age.
      await (await open(directory, expected, 0)).close()
      for (const partition of await loadPartitions(set)) {
        const name = `${partition.topic}-${partition.expected.partition}`
        const own = join(directory, name)
        for (const file of await namesEndingWith(partition.directory, '.log', '.metadata')) {
          const [now, before] = [join(own, file), join(partition.directory, file)]
          assert.ok((await readFile(now)).equals(await readFile(before)), `${name}/${file}`)
        }
        await expectSideFiles(own, partition.expected)
      }
      const meta = 'meta.properties'
      const kafkas = await readFile(join(fixtureDirectory(set), meta), 'utf8')
      assert.equal(await readFile(join(directory, meta), 'utf8'), kafkas)
    })
  })
}

/** Nothing is open any more; markers came behind Kafka's records, which are as they were, and no reader of committed ones has lost any. */
async function expectEnded(log: Log, set: FixtureSet, directory: string): Promise<void> {
  for (const { topic, expected, directory: before } of await loadPartitions(set)) {
    const name = `${topic}-${expected.partition}`
    const range = await log.offsets(topic, expected.partition)
    assert.equal(range.lastStable, range.latest, name)
    for (const file of await namesEndingWith(before, '.log')) {
      const kafkas = await readFile(join(before, file))
      const now = await readFile(join(directory, name, file))
      assert.ok(now.subarray(0, kafkas.length).equals(kafkas), `${name}/${file}`)
    }
    const { records } = await readAll(log, topic, expected, 'read_committed')
    const committed = records.map(({ offset }) => offset)
    const known = expected.readCommittedOffsets
    assert.deepEqual(committed.slice(0, known.length), known, name)
  }
}

/** The damaged sets' one topic; its partition 1 is sound. */
const JOURNAL = 'journal'

async function partitionsOf(set: FixtureSet): Promise<[ExpectedPartition, ExpectedPartition]> {
  const [damaged, sound] = (await loadExpected(set)).topics[JOURNAL]?.partitions ?? []
  assert.ok(damaged && sound)
  return [damaged, sound]
}

/** After an open and a close a set's directory is as a broker leaves it that was started there and stopped. */
async function expectRecovered(
  directory: string,
  set: FixtureSet,
  ended: readonly TopicPartition[] = [],
): Promise<void> {
  for (const { topic, expected } of await loadPartitions(set)) {
    const { recovered, partition } = expected
    assert.ok(recovered)
    // Markers have come behind what the broker has.
    if (ended.some((each) => each.topic === topic && each.partition === partition)) continue
    const own = join(directory, `${topic}-${partition}`)
    for (const { baseOffset, logBytes } of recovered.segments) {
      assert.equal((await readFile(join(own, segmentFile(baseOffset)))).length, logBytes)
    }
    await expectSideFiles(own, recovered)
  }
}

describe('the directory unclean, which a killed broker left', () => {
  for (const [state, without] of [
    ['as it is', []],
    ['without its indexes and snapshots', SIDE_FILES],
  ] as const) {
    test(`has all that was acknowledged, ${state}, and is left as Kafka recovers it`, async (t) => {
      const expected = await loadExpected('unclean')
      const directory = await copyFixture('unclean', t)
      await removeFiles(directory, without)
      {
        await using log = await open(directory, expected, undefined, { readOnly: true })
        await expectKafkasView(log, expected)
      }
      // At a time when no producer is forgotten for its age.
      const log = await open(directory, expected, 0)
      assert.equal(log.recovery.clean, false)
      assert.equal(log.recovery.scannedBytes, await sizeOfLogs('unclean'))
      await expectAcknowledged(log)
      await expectEnded(log, 'unclean', directory)
      await log.close()
      const ended = log.recovery.transactions.flatMap(({ partitions }) => partitions)
      await expectRecovered(directory, 'unclean', ended)
    })
  }

  async function expectAcknowledged(log: Log): Promise<void> {
    for (const { topic, expected } of await loadPartitions('unclean')) {
      const { records } = await readAll(log, topic, expected)
      const there = new Set(records.map(({ offset }) => offset))
      const { acknowledgedOffsets = [] } = expected
      assert.ok(acknowledgedOffsets.length > 0)
      assert.deepEqual(
        acknowledgedOffsets.filter((offset) => !there.has(offset)),
        [],
      )
    }
  }
})

async function sizeOfLogs(set: FixtureSet): Promise<number> {
  const segments = (await loadPartitions(set)).flatMap(({ expected }) => expected.segments)
  return segments.reduce((sum, { logBytes }) => sum + logBytes, 0)
}

describe('a directory with a bad end, which a killed broker left', () => {
  test('loses a torn batch, which is kept aside and told, and nothing else', async (t) => {
    const expected = await loadExpected('torn-tail')
    const directory = await copyFixture('torn-tail', t)
    const file = join(directory, `${JOURNAL}-0`, segmentFile(87))
    const torn = (await readFile(file)).subarray(6993)
    {
      await using log = await open(directory, expected, 0)
      const [told] = log.recovery.partitions.filter(({ cut }) => cut.length > 0)
      const keptAs = `${file}.6993.torn`
      assert.deepEqual([told?.topic, told?.partition, told?.damage], [JOURNAL, 0, []])
      assert.deepEqual(told?.cut, [{ file, position: 6993, bytes: torn.length, keptAs }])
      assert.deepEqual(await readFile(keptAs), torn)
      await expectKafkasView(log, expected)
    }
    await expectRecovered(directory, 'torn-tail')
    await using again = await open(directory, expected)
    assert.deepEqual([again.recovery.clean, again.recovery.partitions], [true, []])
    await expectKafkasView(again, expected)
  })

  test('loses nothing but zeros, which are told', async (t) => {
    const expected = await loadExpected('zero-tail')
    const directory = await copyFixture('zero-tail', t)
    {
      await using log = await open(directory, expected, 0)
      const file = join(directory, `${JOURNAL}-0`, segmentFile(87))
      const cuts = log.recovery.partitions.flatMap(({ cut }) => cut)
      assert.deepEqual(cuts, [{ file, position: 7459, bytes: 8236 - 7459, keptAs: undefined }])
      await expectKafkasView(log, expected)
      assert.deepEqual(await namesEndingWith(join(directory, `${JOURNAL}-0`), '.torn'), [])
    }
    await expectRecovered(directory, 'zero-tail')
  })
})

for (const set of ['flipped-byte', 'flipped-old'] as const) {
  describe(`the directory ${set}, in which a bit is flipped`, () => {
    for (const [state, isTold] of [
      ['below the recovery point', false],
      ['past the recovery point', true],
    ] as const) {
      test(`keeps the damage ${state} and all that follows it`, async (t) => {
        const directory = await copyFixture(set, t)
        if (isTold) await unlink(join(directory, 'recovery-point-offset-checkpoint'))
        const [damaged, sound] = await partitionsOf(set)
        const bad = damaged.batches.find(({ isvalid }) => isvalid === false)
        assert.ok(bad)
        const file = join(directory, `${JOURNAL}-0`, segmentFile(bad.segment))
        const before = await readFile(file)
        for (const isFirst of [true, false]) {
          await using log = await open(directory, await loadExpected(set))
          const region: DamagedRegion = {
            file,
            position: bad.position,
            bytes: bad.size,
            kind: 'damage',
          }
          const told = log.recovery.partitions.flatMap(({ damage }) => damage)
          assert.deepEqual(told, isTold && isFirst ? [region] : [])
          expectRead(await readAll(log, JOURNAL, sound), sound)
          await expectAllButDamage(log, damaged, [file, bad.position])
        }
        assert.deepEqual(await readFile(file), before)
      })
    }
  })
}

/** A reader is told of the damage, and is given all that is intact: going on behind it, or with `skip`. */
async function expectAllButDamage(
  log: Log,
  damaged: ExpectedPartition,
  where: [string, number],
): Promise<void> {
  const { partition, batches, logEndOffset: kafkasEnd } = damaged
  const range = await log.offsets(JOURNAL, partition)
  const latest = (batches.at(-1)?.lastOffset ?? 0) + 1
  assert.deepEqual(range, { earliest: 0, latest, lastStable: latest })
  const read = await readAll(log, JOURNAL, damaged)
  assert.deepEqual(read.damaged, [where])
  const intact = batches.filter(({ isvalid }) => isvalid !== false)
  assert.deepEqual(
    read.records.map(({ offset }) => offset),
    intact.flatMap(({ baseOffset, count }) =>
      Array.from({ length: count }, (_, delta) => baseOffset + delta),
    ),
  )
  // What a broker serves, which cuts the log at damage past its recovery point.
  const isKafkas = (offset: number) => offset < kafkasEnd
  const kafkas = {
    records: read.records.filter(({ offset }) => isKafkas(offset)),
    damaged: [],
  }
  expectRead(kafkas, damaged)
  const skipped: LogRecord[] = []
  const options = { partition, from: 'earliest', until: 'end', onCorrupt: 'skip' } as const
  for await (const record of log.read(JOURNAL, options)) skipped.push(record)
  assert.deepEqual(skipped, read.records)
}

test('what is appended to a broker’s partition carries its latest leader epoch', async (t) => {
  const directory = await copyFixture('restarted', t)
  const expected = await loadExpected('restarted')
  const own = join(directory, 'reopened-0')
  const epochs = await readFile(join(own, 'leader-epoch-checkpoint'), 'utf8')
  assert.match(epochs, /^0\n3\n0 0\n2 \d+\n4 \d+\n$/)
  {
    await using log = await open(directory, expected)
    await log.produce('reopened', { value: Buffer.from('ours'), partition: 0 })
  }
  const [newest = ''] = (await namesEndingWith(own, '.log')).slice(-1)
  const batches = readBatches(await readFile(join(own, newest)))
  assert.equal(batches.at(-1)?.leaderEpoch, 4)
  assert.equal(await readFile(join(own, 'leader-epoch-checkpoint'), 'utf8'), epochs)
})

describe('a directory of ours', () => {
  async function written(t: TestContext): Promise<string> {
    const directory = await mkdtemp(join(tmpdir(), 'brokerless-layout-'))
    removeAfter(t, directory)
    const topics = { events: { value: 'string', partitions: 2, segmentBytes: 1024 } } as const
    await using log = await Log.open(directory, { topics })
    for (const text of ['a', 'b', 'c']) {
      await log.produce('events', { value: text.repeat(600), partition: 0 })
    }
    await log.commitOffset('readers', { topic: 'events', partition: 0, offset: 1 })
    return directory
  }

  const read = (...names: string[]) => readFile(join(...names), 'utf8')
  const lines = (text: string) => text.split('\n').sort()

  test('has the files that a broker expects, and no other directory', async (t) => {
    const directory = await written(t)
    const names = (await readdir(directory, { withFileTypes: true })).filter(
      ({ name }) => name !== '.lock' && !name.startsWith('brokerless.'),
    )
    const withSlash = names.map((each) => `${each.name}${each.isDirectory() ? '/' : ''}`)
    assert.deepEqual(withSlash.sort(), [
      '.kafka_cleanshutdown',
      '__consumer_offsets-0/',
      'events-0/',
      'events-1/',
      'log-start-offset-checkpoint',
      'recovery-point-offset-checkpoint',
    ])
    const segments = [0, 1, 2].flatMap((offset) =>
      ['.index', '.log', '.timeindex'].map((suffix) => segmentFile(offset, suffix)),
    )
    // One as of each segment's beginning, save the first, and one as of the end.
    const snapshots = [1, 2, 3].map((offset) => segmentFile(offset, '.snapshot'))
    assert.deepEqual(
      (await readdir(join(directory, 'events-0'))).sort(),
      [...segments, ...snapshots, 'leader-epoch-checkpoint', 'partition.metadata'].sort(),
    )
  })

  test('has checkpoints, epochs, ids and a marker of a broker’s spelling', async (t) => {
    const directory = await written(t)
    assert.equal(await read(directory, '.kafka_cleanshutdown'), '{"version":0,"brokerEpoch":-1}')
    assert.match(await read(directory, 'log-start-offset-checkpoint'), /^0\n0\n$/)
    assert.deepEqual(
      lines(await read(directory, 'recovery-point-offset-checkpoint')),
      lines('0\n3\nevents 0 3\nevents 1 0\n__consumer_offsets 0 1\n'),
    )
    assert.equal(await read(directory, 'events-0', 'leader-epoch-checkpoint'), '0\n1\n0 0\n')
    const metadata = await read(directory, 'events-0', 'partition.metadata')
    assert.match(metadata, /^version: 0\ntopic_id: [\w-]{22}$/)
    assert.equal(await read(directory, 'events-1', 'partition.metadata'), metadata)
  })
})
