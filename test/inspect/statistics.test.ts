// Statistics of topics that brokers wrote, against what Kafka's consumers read in them; and the counting of keys.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeyCounter } from '../../src/inspect/key-counter.ts'
import type { StatisticsOptions, TopicStatistics } from '../../src/inspect/topic-statistics.ts'
import { topicStatistics } from '../../src/inspect/topic-statistics.ts'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import type { FixtureSet } from '../support/fixtures.ts'
import { fixtureDirectory, loadExpected } from '../support/fixtures.ts'
import { inspectedFixture } from '../support/inspected.ts'
import { randomInteger, seededRandom } from '../support/random.ts'

function statisticsOf(
  set: FixtureSet,
  topic: string,
  partitions: readonly number[],
  options: Partial<StatisticsOptions> = {},
): Promise<TopicStatistics> {
  const directory = fixtureDirectory(set)
  return topicStatistics({ fileSystem: nodeFileSystem, directory, topic, partitions, ...options })
}

/** In these nothing was deleted, so a consumer reads all that stands in the files. */
for (const set of ['plain', 'segments', 'compressed', 'append-time', 'transactions-v1'] as const) {
  test(`what is counted in the set ${set} is what Kafka's consumers read`, async () => {
    const { topics } = await loadExpected(set)
    for (const [topic, { partitions }] of Object.entries(topics)) {
      if (partitions.some(({ logStartOffset }) => logStartOffset > 0)) continue
      const numbers = partitions.map(({ partition }) => partition)
      const found = await statisticsOf(set, topic, numbers)
      const records = partitions.flatMap((each) => each.records)
      const batches = partitions.flatMap((each) => each.batches)
      const keys = records.map(({ key, keySha256 }) => keySha256 ?? key)
      const timestamps = records.map(({ timestamp }) => timestamp).filter((each) => each >= 0)
      assert.equal(found.records, records.length)
      assert.equal(found.batches, batches.length)
      assert.equal(found.controlBatches, batches.filter(({ isControl }) => isControl).length)
      assert.equal(found.tombstones, records.filter(({ value }) => value === null).length)
      assert.equal(found.keyless, keys.filter((key) => key === null).length)
      const different = new Set(keys.filter((key) => key !== null)).size
      assert.deepEqual(found.keys, { count: different, isExact: true })
      assert.equal(found.firstTimestamp, timestamps.length === 0 ? null : Math.min(...timestamps))
      assert.equal(found.lastTimestamp, timestamps.length === 0 ? null : Math.max(...timestamps))
      assert.equal(found.unreadBytes, 0)
      const sizes = partitions.map(({ segments }) =>
        segments.reduce((sum, { logBytes }) => sum + logBytes, 0),
      )
      assert.deepEqual(
        found.partitions.map(({ dataBytes }) => dataBytes),
        sizes,
      )
      const codecs = new Set(batches.filter(({ isControl }) => !isControl).map(codecOf))
      assert.deepEqual(new Set(found.codecs.map(({ codec }) => codec)), codecs)
    }
  })
}

function codecOf({ compresscodec }: { compresscodec: string }): string {
  return compresscodec
}

test('compression is told by codec: bytes stored, and what they come to', async () => {
  const { codecs } = await statisticsOf('compressed', 'mixed', [0])
  assert.deepEqual(
    codecs.map(({ codec }) => codec),
    ['none', 'gzip', 'snappy', 'lz4', 'zstd'],
  )
  for (const { codec, storedBytes, recordBytes, records } of codecs) {
    assert.ok(codec === 'none' ? recordBytes === storedBytes : recordBytes > storedBytes)
    assert.ok(records > 0)
  }
})

test('the greatest records are told, the greatest first', async () => {
  const { partitions } = (await loadExpected('plain')).topics['orders'] ?? { partitions: [] }
  const { largest } = await statisticsOf('plain', 'orders', [0, 1, 2])
  assert.equal(largest.length, 5)
  const sizes = largest.map(({ bytes }) => bytes)
  assert.deepEqual(
    sizes,
    [...sizes].sort((a, b) => b - a),
  )
  const [first] = largest
  const records = partitions.find(({ partition }) => partition === first?.partition)?.records
  const greatest = records?.find(({ offset }) => offset === first?.offset)
  assert.ok((greatest?.valueSize ?? 0) > 20_000)
})

test('what is damaged is left out and counted in bytes', async () => {
  const { records, unreadBytes } = await statisticsOf('flipped-old', 'journal', [0])
  assert.deepEqual([records, unreadBytes], [135, 232])
  const whole = await statisticsOf('flipped-old', 'journal', [1])
  assert.equal(whole.unreadBytes, 0)
})

test('files that go meanwhile are left out', async () => {
  const log = await inspectedFixture('plain')
  const { fileSystem, directory } = log
  await log.remove('orders-1/00000000000000000000.log')
  const found = await topicStatistics({
    fileSystem,
    directory,
    topic: 'orders',
    partitions: [0, 1, 7],
  })
  assert.deepEqual(
    found.partitions.map(({ records }) => records),
    [104, 0, 0],
  )
})

// ---------------------------------------------------------------------------------------- keys

function counted(keys: Iterable<string>, mostKeys?: number): KeyCounter {
  const counter = new KeyCounter(mostKeys)
  const page = Buffer.alloc(1000)
  for (const key of keys) {
    const length = page.write(key, 3)
    counter.add(page, 3, length)
  }
  return counter
}

function* numbered(count: number, prefix: string): Generator<string> {
  for (let index = 0; index < count; index += 1) yield prefix + index
}

test('keys are counted exactly up to a bound', () => {
  const counter = counted([...numbered(500, 'k'), ...numbered(700, 'k'), ''], 701)
  assert.deepEqual([counter.count, counter.isExact], [701, true])
})

test('beyond the bound keys are estimated, within 3 % and whatever they look like', () => {
  const random = seededRandom(4711)
  for (const count of [1000, 20_000, 60_000, 300_000]) {
    for (const prefix of ['', 'order-', 'a key that is rather long, as some are: ']) {
      const counter = counted(numbered(count, prefix), 100)
      assert.equal(counter.isExact, false)
      const error = Math.abs(counter.count / count - 1)
      assert.ok(error < 0.03, `${counter.count} for ${count}`)
    }
  }
  const few = Array.from({ length: 50_000 }, () => `k${randomInteger(random, 3000)}`)
  const error = Math.abs(counted(few, 100).count / new Set(few).size - 1)
  assert.ok(error < 0.03)
})

test('keys that are few and large are not kept beyond a bound of bytes', () => {
  const counter = new KeyCounter()
  const page = Buffer.alloc(1024 * 1024, 'k')
  for (let index = 0; index < 20; index += 1) {
    page.writeInt32BE(index, 0)
    counter.add(page, 0, page.length)
  }
  assert.deepEqual([counter.count, counter.isExact], [20, false])
})
