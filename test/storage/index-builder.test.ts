// Index entries are made by Kafka's rule: the same batches give the entries that its brokers wrote.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { IndexEntrySink, IndexedBatch } from '../../src/storage/index-builder.ts'
import { IndexBuilder } from '../../src/storage/index-builder.ts'
import type { ExpectedBatch, FixturePartition, FixtureSet } from '../support/fixtures.ts'
import { loadPartitions } from '../support/fixtures.ts'

class Entries implements IndexEntrySink {
  readonly offsetIndex: [number, number][] = []
  readonly timeIndex: [number, number][] = []

  offsetEntry(offset: number, position: number): void {
    this.offsetIndex.push([offset, position])
  }

  timeEntry(timestamp: number, offset: number): void {
    this.timeIndex.push([timestamp, offset])
  }
}

const intervalOf = ({ config }: FixturePartition): number =>
  Number(config['index.interval.bytes'] ?? 4096)

const toIndexed = (batch: ExpectedBatch): IndexedBatch => ({
  position: batch.position,
  sizeBytes: batch.size,
  lastOffset: batch.lastOffset,
  maxTimestamp: batch.createTime,
})

const batchesIn = ({ expected }: FixturePartition, baseOffset: number): ExpectedBatch[] =>
  expected.batches.filter((each) => each.segment === baseOffset)

function build(
  intervalBytes: number,
  batches: readonly ExpectedBatch[],
  isClosed: boolean,
): Entries {
  const entries = new Entries()
  const builder = new IndexBuilder(intervalBytes, entries)
  for (const batch of batches) builder.batch(toIndexed(batch))
  if (isClosed) builder.close()
  return entries
}

/** Sets whose segments were all written in one go and closed, the segments in each. */
const CLOSED: [set: FixtureSet, segments: number][] = [
  ['append-time', 3],
  ['delete-records', 11],
  ['flipped-old', 6],
  ['offsets', 9],
  ['plain', 3],
  ['segments', 72],
  ['transactions', 18],
  ['transactions-v1', 26],
  ['zero-tail', 6],
]

suite('index builder, on what Kafka wrote', () => {
  for (const [set, count] of CLOSED) {
    test(`${set}: gives all entries of ${count} segments`, async () => {
      let compared = 0
      for (const partition of await loadPartitions(set)) {
        for (const { baseOffset, offsetIndex, timeIndex } of partition.expected.segments) {
          const built = build(intervalOf(partition), batchesIn(partition, baseOffset), true)
          assert.deepEqual(
            { ...built },
            { offsetIndex, timeIndex },
            `${partition.topic} ${baseOffset}`,
          )
          compared += 1
        }
      }
      assert.equal(compared, count)
    })
  }

  test('unclean: a killed segment lacks the last time entry, and recovery adds it', async () => {
    let compared = 0
    for (const partition of await loadPartitions('unclean')) {
      const { segments, recovered } = partition.expected
      for (const [index, { baseOffset, offsetIndex, timeIndex }] of segments.entries()) {
        const batches = batchesIn(partition, baseOffset)
        const isClosed = index < segments.length - 1
        const built = build(intervalOf(partition), batches, isClosed)
        assert.deepEqual({ ...built }, { offsetIndex, timeIndex })
        const after = recovered?.segments[index]
        const rebuilt = build(intervalOf(partition), batches, true)
        assert.deepEqual(rebuilt.offsetIndex, after?.offsetIndex)
        assert.deepEqual(rebuilt.timeIndex, after?.timeIndex)
        compared += 1
      }
    }
    assert.equal(compared, 6)
  })

  test('restarted: recovery rebuilds in one go, and the count of bytes starts anew behind it', async () => {
    // The second session was killed, so the third found everything rebuilt: its leader epoch is 4.
    for (const partition of await loadPartitions('restarted')) {
      const [segment] = partition.expected.segments
      const batches = batchesIn(partition, 0)
      const entries = new Entries()
      const builder = new IndexBuilder(intervalOf(partition), entries)
      const third = batches.findIndex((each) => each.partitionLeaderEpoch === 4)
      for (const batch of batches.slice(0, third)) builder.batch(toIndexed(batch))
      builder.close()
      builder.resume(builder.maxTimestampSoFar, builder.offsetOfMaxTimestamp)
      for (const batch of batches.slice(third)) builder.batch(toIndexed(batch))
      builder.close()
      assert.deepEqual(entries.offsetIndex, segment?.offsetIndex)
      assert.deepEqual(entries.timeIndex, segment?.timeIndex)
    }
  })
})

suite('index builder', () => {
  const batch = (position: number, maxTimestamp: number): IndexedBatch => ({
    position,
    sizeBytes: 100,
    lastOffset: position / 100,
    maxTimestamp,
  })

  test('a time that no record can have is not the greatest one', () => {
    const entries = new Entries()
    const builder = new IndexBuilder(0, entries)
    const times = [5, 2 ** 63, 7, -(2 ** 63), 6]
    for (const [index, time] of times.entries()) builder.batch(batch(100 * index, time))
    builder.close()
    assert.deepEqual(entries.timeIndex, [
      [5, 0],
      [7, 2],
    ])
  })

  test('an entry comes when more than the interval was appended, not when just as much was', () => {
    const entries = new Entries()
    const builder = new IndexBuilder(200, entries)
    for (const position of [0, 100, 200, 300, 400]) builder.batch(batch(position, 7))
    assert.deepEqual(entries.offsetIndex, [[3, 300]])
    assert.equal(builder.bytesSinceLastEntry, 200)
  })

  test('a time entry includes the batch before which it is made, and names the first batch of its timestamp', () => {
    const entries = new Entries()
    const builder = new IndexBuilder(150, entries)
    builder.batch(batch(0, 5))
    builder.batch(batch(100, 9))
    builder.batch(batch(200, 9))
    assert.deepEqual(entries.timeIndex, [[9, 1]])
    assert.equal(builder.maxTimestampSoFar, 9)
    assert.equal(builder.offsetOfMaxTimestamp, 1)
  })

  test('time entries strictly rise: an older batch and a second close add none', () => {
    const entries = new Entries()
    const builder = new IndexBuilder(0, entries)
    for (const [index, timestamp] of [9, 8, 9, 10].entries()) {
      builder.batch(batch(index * 100, timestamp))
    }
    builder.close()
    builder.close()
    assert.deepEqual(entries.timeIndex, [
      [9, 0],
      [10, 3],
    ])
  })

  test('batches without timestamps give no time entry, timestamp 0 gives one', () => {
    const entries = new Entries()
    const builder = new IndexBuilder(0, entries)
    builder.batch(batch(0, -1))
    builder.close()
    assert.deepEqual(entries.timeIndex, [])
    builder.batch(batch(100, 0))
    assert.deepEqual(entries.timeIndex, [[0, 1]])
  })
})
