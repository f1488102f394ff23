// What transactions leave in a log, as `fetch`, `read` and consumers of both levels of isolation are given it: directories that Kafka wrote.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { IsolationLevel, Log, ReadOptions } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import type { Expected, FixtureSet } from '../support/fixtures.ts'
import { copyFixture, fixtureDirectory, loadExpected } from '../support/fixtures.ts'
import { BROKER_TIME_MS, open } from '../support/kafka-view.ts'

const SETS: readonly FixtureSet[] = ['transactions', 'transactions-v1']
const LEVELS: readonly IsolationLevel[] = ['read_committed', 'read_uncommitted']
const OFFSETS_TOPIC = '__consumer_offsets'

/** Offsets by partition, `topic-partition`; those without any are left out. */
type Offsets = Record<string, number[]>

/** What Kafka's consumers of the level were given. */
function expectedOffsets({ topics }: Expected, level: IsolationLevel): Offsets {
  const offsets: Offsets = {}
  for (const [topic, { partitions }] of Object.entries(topics)) {
    if (topic === OFFSETS_TOPIC) continue
    for (const { partition, records, readCommittedOffsets } of partitions) {
      const all = records.map(({ offset }) => offset)
      const given = level === 'read_committed' ? [...readCommittedOffsets] : all
      if (given.length > 0) offsets[`${topic}-${partition}`] = given
    }
  }
  return offsets
}

class Given {
  readonly offsets: Offsets = {}

  add(records: Iterable<{ topic: string; partition: number; offset: number }>): void {
    for (const { topic, partition, offset } of records) {
      const name = `${topic}-${partition}`
      this.offsets[name] = [...(this.offsets[name] ?? []), offset]
    }
  }
}

async function readToEnd(log: Log, options: ReadOptions): Promise<Given> {
  const given = new Given()
  for (const topic of log.topics()) {
    for await (const page of log.read(topic, { until: 'end', ...options }).batches()) {
      given.add(page.records)
    }
  }
  return given
}

for (const set of SETS) {
  suite(`the directory ${set}`, () => {
    for (const isolationLevel of LEVELS) {
      test(`is read under ${isolationLevel} as Kafka's consumers read it`, async () => {
        const expected = await loadExpected(set)
        const options = { readOnly: true }
        await using log = await open(fixtureDirectory(set), expected, BROKER_TIME_MS, options)
        for (const maxBytes of [1, 1000, 1024 * 1024]) {
          const given = await readToEnd(log, { maxBytes, isolationLevel })
          assert.deepEqual(given.offsets, expectedOffsets(expected, isolationLevel))
        }
      })

      test(`is consumed so under ${isolationLevel}, to its end`, async (t) => {
        const expected = await loadExpected(set)
        await using log = await open(await copyFixture(set, t), expected)
        const topics = log.topics()
        const consumer = log.consumer({
          group: 'of-the-test',
          topics,
          isolationLevel,
          maxBytes: 500,
        })
        // What was undecided was aborted by the open: what is not part of it is stable now.
        const wanted = (await readToEnd(log, { isolationLevel })).offsets
        for (const [name, offsets] of Object.entries(expectedOffsets(expected, isolationLevel))) {
          assert.deepEqual(wanted[name]?.slice(0, offsets.length), offsets, name)
        }
        let left = Object.values(wanted).reduce((sum, { length }) => sum + length, 0)
        const given = new Given()
        for await (const record of consumer) {
          given.add([record])
          left -= 1
          if (left === 0) break
        }
        assert.deepEqual(given.offsets, wanted)
      })
    }

    test('tells its last stable offsets in one call, those of some topics, and of each partition', async () => {
      const expected = await loadExpected(set)
      await using log = await open(fixtureDirectory(set), expected, BROKER_TIME_MS, {
        readOnly: true,
      })
      const wanted = log.topics().flatMap((topic) =>
        (expected.topics[topic]?.partitions ?? []).map(({ partition, lastStableOffset }) => ({
          topic,
          partition,
          lastStableOffset,
        })),
      )
      assert.deepEqual(log.stableOffsets(), wanted)
      assert.ok(wanted.length > 1)
      for (const { topic, partition, lastStableOffset } of wanted) {
        const { lastStable, latest } = await log.offsets(topic, partition)
        assert.equal(lastStable, lastStableOffset)
        const { nextOffset, ...page } = await log.fetch(topic, { partition, offset: latest })
        assert.deepEqual([nextOffset, page.lastStableOffset], [latest, lastStable])
      }
      const [first = ''] = log.topics()
      assert.deepEqual(
        log.stableOffsets([first]),
        wanted.filter(({ topic }) => topic === first),
      )
      assert.deepEqual(log.stableOffsets([]), [])
    })
  })
}

test('an undecided transaction bounds nothing but who waits for it', async () => {
  const expected = await loadExpected('transactions')
  const options = { readOnly: true }
  await using log = await open(fixtureDirectory('transactions'), expected, BROKER_TIME_MS, options)
  const { lastStable, latest } = await log.offsets('ledger', 0)
  assert.ok(lastStable < latest)
  // Offsets above the last stable one are in the log's range, and a time is looked up among all records.
  const at = { partition: 0, offset: latest - 1 }
  assert.deepEqual((await log.fetch('ledger', at)).records, [])
  const { records } = await log.fetch('ledger', { ...at, isolationLevel: 'read_uncommitted' })
  assert.deepEqual(
    records.map(({ offset }) => offset),
    [latest - 1],
  )
  const timestamp = records[0]?.timestamp ?? 0
  const found = await log.offsetForTimestamp('ledger', { partition: 0, timestamp })
  assert.ok(found !== undefined)
})

test('what is no isolation level is refused, and stable offsets of what is not there', async () => {
  const expected = await loadExpected('transactions')
  const log = await open(fixtureDirectory('transactions'), expected, BROKER_TIME_MS, {
    readOnly: true,
  })
  const isolationLevel = 'serializable' as IsolationLevel
  const refused = /isolationLevel.*read_committed.*read_uncommitted/
  await assert.rejects(log.fetch('ledger', { partition: 0, offset: 0, isolationLevel }), refused)
  assert.throws(() => log.read('ledger', { isolationLevel }), refused)
  assert.throws(
    () => log.stableOffsets(['nothing']),
    (error) => error instanceof LogError && error.code === 'UNKNOWN_TOPIC',
  )
  assert.throws(() => log.stableOffsets('ledger' as unknown as string[]), TypeError)
  await log.close()
  assert.throws(
    () => log.stableOffsets(),
    (error) => error instanceof LogError && error.code === 'CLOSED',
  )
})
