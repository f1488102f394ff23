// Compaction keeps `__consumer_offsets` small, and takes nothing from a group.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compactPartition, describeCleanable } from '../../src/cleanup/compactor.ts'
import { CONTROL_ABORT, CONTROL_COMMIT, TRANSACTIONAL_BIT } from '../../src/codec/batch.ts'
import { encodeBatch, encodeControlBatch } from '../../src/codec/batch-encoder.ts'
import {
  encodeGroupKey,
  encodeOffsetKey,
  encodeOffsetValue,
} from '../../src/groups/offset-format.ts'
import { OffsetStore } from '../../src/groups/offset-store.ts'
import { OffsetsLog } from '../../src/groups/offsets-log.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ManualClock, MemoryFileSystem, openMemoryLog } from '../../src/testing/index.ts'
import { formatTopicStore, parseTopicStore } from '../../src/topics/topic-store-format.ts'
import {
  openLog,
  readFileBytes,
  storageEnvironment,
  writeFileBytes,
} from '../support/storage-environment.ts'

const OFFSETS = '__consumer_offsets'
const DIRECTORY = '/data/o-0'
const CONFIG = { cleanupPolicy: 'compact', deleteRetentionMs: 1000 } as const
const PRODUCERS = [
  { producerId: 7, producerEpoch: 2 },
  { producerId: 8, producerEpoch: 0 },
] as const
const UNKNOWN_KEY = Buffer.from([0, 5, 0, 1, 0x67])
const MALFORMED_KEY = Buffer.from([0, 1, 0x7f])

interface RawRecord {
  readonly key: Buffer
  readonly value: Buffer | null
}

function stored(group: string, partition: number, offset: number): RawRecord {
  const committed = { offset, metadata: '', leaderEpoch: -1, commitTimestamp: 1 }
  return { key: encodeOffsetKey(group, 't', partition), value: encodeOffsetValue(committed) }
}

function deleted(group: string, partition: number): RawRecord {
  return { key: encodeOffsetKey(group, 't', partition), value: null }
}

/** As the oldest brokers wrote it. */
function asVersion0({ key, value }: RawRecord): RawRecord {
  const old = Buffer.from(key)
  old.writeInt16BE(0, 0)
  return { key: old, value }
}

/** Batches one behind the other, in segments. */
class Story {
  #segments: { baseOffset: number; batches: Buffer[] }[] = [{ baseOffset: 0, batches: [] }]
  #nextOffset = 0

  write(records: readonly RawRecord[], producer?: (typeof PRODUCERS)[number]): this {
    const attributes = producer === undefined ? 0 : TRANSACTIONAL_BIT
    const sequence = producer === undefined ? {} : { ...producer, baseSequence: 0 }
    const timed = records.map((record) => ({ ...record, timestamp: 1 }))
    const batch = { baseOffset: this.#nextOffset, records: timed, attributes, ...sequence }
    return this.#add(encodeBatch(batch), records.length)
  }

  end(producer: (typeof PRODUCERS)[number], type: number): this {
    const marker = { baseOffset: this.#nextOffset, type, coordinatorEpoch: 0, timestamp: 1 }
    return this.#add(encodeControlBatch({ ...marker, ...producer }), 1)
  }

  startSegment(): this {
    this.#segments.push({ baseOffset: this.#nextOffset, batches: [] })
    return this
  }

  async save(fileSystem: MemoryFileSystem): Promise<void> {
    await fileSystem.mkdir(DIRECTORY)
    for (const { baseOffset, batches } of this.#segments) {
      const name = `${DIRECTORY}/${String(baseOffset).padStart(20, '0')}.log`
      await writeFileBytes(fileSystem, name, Buffer.concat(batches))
    }
  }

  #add(batch: Buffer, count: number): this {
    this.#segments.at(-1)?.batches.push(batch)
    this.#nextOffset += count
    return this
  }
}

/** Several segments with everything in them that a compaction must carry over or leave out. */
function everything(): Story {
  return new Story()
    .write([stored('live', 0, 1), stored('live', 1, 1), stored('gone', 0, 1), stored('gone', 1, 1)])
    .write([{ key: encodeGroupKey('meta'), value: Buffer.from([0, 3, 9, 9]) }])
    .write([{ key: UNKNOWN_KEY, value: Buffer.from('old') }])
    .write([stored('decided', 0, 1), stored('decided', 1, 1), stored('regained', 0, 1)])
    .startSegment()
    .write([{ key: MALFORMED_KEY, value: Buffer.from('kept') }, stored('live', 0, 2)])
    .write([deleted('regained', 0)])
    .write([stored('decided', 0, 50), stored('only-decided', 0, 51)], PRODUCERS[0])
    .write([stored('regained', 0, 52), stored('decided', 1, 53)], PRODUCERS[0])
    .write([deleted('live', 1), stored('live', 2, 54)], PRODUCERS[1])
    .startSegment()
    .write([{ key: UNKNOWN_KEY, value: Buffer.from('new') }])
    .write([stored('decided', 1, 2)])
    .write([deleted('gone', 0), deleted('gone', 1)])
}

const clock = new ManualClock()

async function openOffsets(fileSystem: MemoryFileSystem): Promise<PartitionLog> {
  const environment = storageEnvironment(fileSystem, { clock })
  return await openLog(fileSystem, {
    directory: DIRECTORY,
    topic: 'o',
    config: CONFIG,
    environment,
  })
}

/** What groups are told, and what is kept for others. */
async function view(fileSystem: MemoryFileSystem) {
  const log = await openOffsets(fileSystem)
  const store = await OffsetStore.load({ partitions: [new OffsetsLog(log)], clock })
  const latest = new Map<string | undefined, string | undefined>()
  for await (const { key, value } of new OffsetsLog(log).scan()) {
    latest.set(key?.toString('hex'), value?.toString('hex'))
  }
  await log.close()
  return {
    groups: store.groups().map((group) => [group, store.offsetsOf(group)]),
    malformed: store.countMalformed(),
    kept: [UNKNOWN_KEY, MALFORMED_KEY, encodeGroupKey('meta')].map((key) =>
      latest.get(key.toString('hex')),
    ),
  }
}

/** As often as it takes for tombstones and markers to be met, marked and removed; answers with what is left of records. */
async function compact(fileSystem: MemoryFileSystem, times = 3): Promise<number> {
  let left = 0
  for (let time = 0; time < times; time += 1) {
    const log = await openOffsets(fileSystem)
    await log.rollNow()
    const environment = { clock, fileSystem }
    const range = await describeCleanable(log, environment, undefined)
    const request = { range, mapBytes: 4096, pace: async () => {}, passed: async () => {} }
    const counts = await compactPartition(log, environment, request)
    left = counts.recordsAfter
    await clock.advance(1000)
    await log.close()
  }
  return left
}

describe('compaction of committed offsets', () => {
  for (const outcome of ['undecided', 'committed', 'aborted'] as const) {
    test(`changes nothing that a group is told, transactions ${outcome}`, async () => {
      const story = everything()
      if (outcome !== 'undecided') {
        const type = outcome === 'committed' ? CONTROL_COMMIT : CONTROL_ABORT
        story.startSegment()
        for (const producer of PRODUCERS) story.end(producer, type)
      }
      const fileSystem = new MemoryFileSystem()
      await story.save(fileSystem)
      const before = await view(fileSystem)
      const left = await compact(fileSystem)
      assert.deepEqual(await view(fileSystem), before)
      assert.equal(before.malformed, 1)
      // Of 9 live keys at most the records are left, and what is not below the first undecided transaction.
      if (outcome !== 'undecided') assert.ok(left <= 12, `${left} records`)
    })
  }

  test('leaves undecided what is decided later, however it is', async () => {
    for (const type of [CONTROL_COMMIT, CONTROL_ABORT]) {
      const [compacted, untouched] = [new MemoryFileSystem(), new MemoryFileSystem()]
      await everything().save(compacted)
      await compact(compacted)
      const log = await openOffsets(compacted)
      const file = log.active.file.path
      let nextOffset = log.logEndOffset
      await log.close()
      const markers = PRODUCERS.map((producer) => {
        const marker = { baseOffset: nextOffset, type, coordinatorEpoch: 0, timestamp: 1 }
        nextOffset += 1
        return encodeControlBatch({ ...marker, ...producer })
      })
      await writeFileBytes(compacted, file, Buffer.concat(markers))
      const story = everything().startSegment()
      for (const producer of PRODUCERS) story.end(producer, type)
      await story.save(untouched)
      const expected = await view(untouched)
      assert.deepEqual(await view(compacted), expected)
      await compact(compacted)
      assert.deepEqual(await view(compacted), expected)
    }
  })

  test('does not bring back what was committed under a key of another version', async () => {
    const fileSystem = new MemoryFileSystem()
    const log = await openOffsets(fileSystem)
    await log.close()
    const story = new Story()
    story.write([asVersion0(stored('a', 0, 1)), asVersion0(stored('b', 0, 1))])
    story
      .startSegment()
      .write([stored('a', 0, 2)])
      .startSegment()
    const old = new MemoryFileSystem()
    await story.save(old)
    const opened = await openOffsets(old)
    const store = await OffsetStore.load({ partitions: [new OffsetsLog(opened)], clock })
    assert.equal(store.committed('a', 't', 0)?.offset, 2)
    await store.deleteGroup('a')
    await opened.close()
    await compact(old, 4)
    assert.deepEqual(
      (await view(old)).groups.map(([group]) => group),
      ['b'],
    )
  })
})

async function sizeOfOffsets(fileSystem: MemoryFileSystem): Promise<number> {
  const directory = `/log/${OFFSETS}-0`
  let bytes = 0
  for (const name of await fileSystem.readdir(directory)) {
    if (!name.endsWith('.log')) continue
    bytes += (await fileSystem.stat(`${directory}/${name}`))?.size ?? 0
  }
  return bytes
}

test('a log of many commits stays small, and says what was committed last', async () => {
  const fileSystem = new MemoryFileSystem()
  const manual = new ManualClock()
  const topics = { orders: { partitions: 3, value: 'string' } } as const
  const log = await openMemoryLog({ fileSystem, clock: manual, topics })
  for (const partition of [0, 1, 2]) {
    const records = Array.from({ length: 400 }, () => ({ value: 'x' }))
    await log.produce('orders', records, { partition })
  }
  const metadata = 'm'.repeat(4000)
  let largest = 0
  for (let offset = 0; offset < 400; offset += 1) {
    const commits = [0, 1, 2].map((partition) => ({ topic: 'orders', partition, offset, metadata }))
    await log.commitOffset('billing', commits)
    if (offset % 50 !== 49) continue
    await manual.advance(15_000)
    largest = Math.max(largest, await sizeOfOffsets(fileSystem))
  }
  // 4.8 MB were written: one segment of 1 MiB is active, and one may be waiting.
  assert.ok(largest < 2.5 * 1024 * 1024, `${largest}`)
  const offsets = (await log.committedOffsets('billing')).map(({ offset }) => offset)
  assert.deepEqual(offsets, [399, 399, 399])
  const [done] = await log.compact(OFFSETS)
  assert.equal(done?.recordsAfter, 3)
  await log.close()
  await using again = await openMemoryLog({ fileSystem, clock: manual })
  assert.deepEqual(
    (await again.committedOffsets('billing')).map(({ offset }) => offset),
    [399, 399, 399],
  )
})

test('a deleted group does not come back when its tombstones are gone', async () => {
  const fileSystem = new MemoryFileSystem()
  const manual = new ManualClock()
  const log = await openMemoryLog({ fileSystem, clock: manual, topics: { orders: {} } })
  await log.produce('orders', { value: 1 })
  for (const group of ['gone', 'live']) {
    await log.commitOffset(group, { topic: 'orders', partition: 0, offset: 1 })
  }
  await log.deleteGroup('gone')
  await log.compact(OFFSETS)
  await manual.advance(24 * 60 * 60 * 1000)
  const [done] = await log.compact(OFFSETS)
  assert.equal(done?.recordsAfter, 1)
  await log.close()
  await using again = await openMemoryLog({ fileSystem, clock: manual })
  assert.deepEqual(await again.groups(), ['live'])
})

test('a directory in which an earlier version made the topic is compacted too', async () => {
  const fileSystem = new MemoryFileSystem()
  const log = await openMemoryLog({ fileSystem, topics: { orders: {} } })
  await log.commitOffset('a', { topic: 'orders', partition: 0, offset: 0 })
  await log.close()
  const file = '/log/brokerless.json'
  const content = parseTopicStore(await readFileBytes(fileSystem, file))
  assert.ok('topics' in content)
  const topics = content.topics.map((topic) =>
    topic.name === OFFSETS ? { ...topic, config: { durability: 'os' } as const } : topic,
  )
  await writeFileBytes(fileSystem, file, formatTopicStore({ ...content, topics }))
  const again = await openMemoryLog({ fileSystem })
  const { config } = await again.describeTopic(OFFSETS)
  assert.deepEqual([config.cleanupPolicy, config.segmentBytes], ['compact', 1024 * 1024])
  await again.close()
})
