// Readers of a partition in which transactions are under way: where they stop, when they wake, and what they are never given.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { OffsetOutOfRangeError } from '../../src/errors.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { Topic } from '../../src/topics/topic.ts'
import {
  ABORT,
  COMMIT,
  FIRST_ID,
  IN_TRANSACTION,
  startProducing,
} from '../support/producer-calls.ts'
import { appendAll, until } from '../support/storage-environment.ts'
import { fetchFrom, logOf, offsetsOf, openTopic, read, valuesOf } from '../support/topics.ts'

const clock = new ManualClock()
const OTHER = { producerId: FIRST_ID + 1 }
const UNCOMMITTED = { isolationLevel: 'read_uncommitted' } as const

async function produce(
  log: PartitionLog,
  by: Parameters<typeof startProducing>[1],
  ...values: string[]
): Promise<void> {
  await startProducing(log, by, values).done
}

/** As a coordinator does, when the markers stand in all partitions. */
function show(log: PartitionLog, producerId: number = FIRST_ID): void {
  log.visible.release(producerId)
  log.stabilized()
}

/** At offset 0: plain; 1: undecided, of one producer; 2: plain; 3: undecided, of another; 4: plain. */
async function undecided(): Promise<[Topic, PartitionLog]> {
  const topic = await openTopic(new MemoryFileSystem())
  const log = logOf(topic)
  await appendAll(log, ['a'])
  await produce(log, IN_TRANSACTION, 'b')
  await appendAll(log, ['c'])
  await produce(log, { ...IN_TRANSACTION, ...OTHER }, 'd')
  await appendAll(log, ['e'])
  return [topic, log]
}

suite('a fetch', () => {
  test('ends before the first transaction that is not decided, and tells where; read_uncommitted does not', async () => {
    const [topic, log] = await undecided()
    const committed = await fetchFrom(topic, clock)
    assert.deepEqual(valuesOf(committed), ['a'])
    const { nextOffset, lastStableOffset, highWatermark } = committed
    assert.deepEqual([nextOffset, lastStableOffset, highWatermark], [1, 1, 5])
    const all = await fetchFrom(topic, clock, UNCOMMITTED)
    assert.deepEqual(valuesOf(all), ['a', 'b', 'c', 'd', 'e'])
    assert.deepEqual([all.nextOffset, all.lastStableOffset, all.highWatermark], [5, 1, 5])
    // Between the two ends there is nothing yet, and nothing wrong.
    for (const offset of [1, 3, 5]) {
      const none = await fetchFrom(topic, clock, { offset })
      assert.deepEqual([none.records, none.nextOffset], [[], offset])
    }
    await log.close()
  })

  test('goes on to the next undecided one when the first is shown, in whatever order they end', async () => {
    const [topic, log] = await undecided()
    await produce(log, { ...COMMIT, ...OTHER })
    show(log, OTHER.producerId)
    assert.deepEqual(valuesOf(await fetchFrom(topic, clock)), ['a'])
    await produce(log, ABORT)
    // The marker alone shows nothing.
    assert.deepEqual(valuesOf(await fetchFrom(topic, clock)), ['a'])
    show(log)
    const after = await fetchFrom(topic, clock)
    assert.deepEqual(valuesOf(after), ['a', 'c', 'd', 'e'])
    assert.deepEqual([after.nextOffset, after.lastStableOffset], [7, 7])
    assert.deepEqual(valuesOf(await fetchFrom(topic, clock, UNCOMMITTED)), [...'abcde'])
    await log.close()
  })

  test('passes over what was aborted, however small its pages, and never answers with nothing before the end', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    const log = logOf(topic)
    await appendAll(log, ['a'])
    for (let round = 0; round < 600; round += 1) {
      await startProducing(log, ABORT, [`no ${round}`], { durability: 'os' }).done
      show(log)
    }
    await appendAll(log, ['z'])
    await produce(log, ABORT, 'no')
    show(log)
    for (const options of [{ maxBytes: 1 }, { maxRecords: 1 }, { maxBytes: 1, maxRecords: 1 }]) {
      const first = await fetchFrom(topic, clock, options)
      assert.deepEqual(offsetsOf(first), [0])
      const second = await fetchFrom(topic, clock, { ...options, offset: first.nextOffset })
      assert.deepEqual(valuesOf(second), ['z'])
      const last = await fetchFrom(topic, clock, { ...options, offset: second.nextOffset })
      assert.deepEqual([last.records, last.nextOffset], [[], log.highWatermark])
    }
    await log.close()
  })
})

suite('who waits', () => {
  test('wakes when the last stable offset moves, not at the records nor at the marker', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    const log = logOf(topic)
    const time = new ManualClock()
    const settled: string[] = []
    const committed = fetchFrom(topic, time, { maxWaitMs: 1000 })
    const uncommitted = fetchFrom(topic, time, { maxWaitMs: 1000, ...UNCOMMITTED })
    void committed.then(() => settled.push('committed'))
    void uncommitted.then(() => settled.push('uncommitted'))
    await produce(log, IN_TRANSACTION, 'a')
    await until(() => settled.length === 1)
    await produce(log, COMMIT, 'b')
    await log.flush()
    assert.deepEqual(settled, ['uncommitted'])
    assert.deepEqual(valuesOf(await uncommitted), ['a'])
    show(log)
    assert.deepEqual(valuesOf(await committed), ['a', 'b'])
    await log.close()
  })

  test('for so many bytes counts those that are stable', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    const log = logOf(topic)
    const time = new ManualClock()
    const waiting = fetchFrom(topic, time, { maxWaitMs: 1000, minBytes: 500 })
    let isSettled = false
    void waiting.then(() => {
      isSettled = true
    })
    await produce(log, IN_TRANSACTION, 'x'.repeat(1000))
    await time.advance(999)
    assert.equal(isSettled, false)
    await produce(log, COMMIT)
    show(log)
    assert.equal(valuesOf(await waiting).length, 1)
    await log.close()
  })

  test('is not woken for what was aborted, and is answered behind it', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    const log = logOf(topic)
    const time = new ManualClock()
    const waiting = fetchFrom(topic, time, { maxWaitMs: 1000 })
    await produce(log, ABORT, 'no', 'no')
    show(log)
    await time.advance(1000)
    const { records, nextOffset } = await waiting
    assert.deepEqual([records, nextOffset], [[], 3])
    await log.close()
  })

  test('in a read of both levels is given each record when it is for it', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    const log = logOf(topic)
    const seen: string[] = []
    const iterators = [read(topic), read(topic, UNCOMMITTED)].map((each) =>
      each[Symbol.asyncIterator](),
    )
    const ended = iterators.map(async (each, index) => {
      for await (const { value } of each) seen.push(`${'cu'[index]} ${value}`)
    })
    await produce(log, IN_TRANSACTION, '1')
    await until(() => seen.length === 1)
    await appendAll(log, ['2'])
    await until(() => seen.length === 2)
    await produce(log, ABORT, '3')
    await until(() => seen.length === 3)
    assert.deepEqual(seen, ['u 1', 'u 2', 'u 3'])
    show(log)
    await until(() => seen.length === 4)
    assert.deepEqual(seen.slice(3), ['c 2'])
    await appendAll(log, ['4'])
    await until(() => seen.length === 6)
    assert.deepEqual(seen.slice(4).sort(), ['c 4', 'u 4'])
    for (const each of iterators) await each.return?.()
    await Promise.all(ended)
    await log.close()
  })
})

suite('a read', () => {
  test("until: 'end' ends at the end of its level, and 'latest' begins there", async () => {
    const [topic, log] = await undecided()
    const upTo = async (options: object): Promise<unknown[]> => {
      const values: unknown[] = []
      for await (const { value } of read(topic, { until: 'end', ...options })) values.push(value)
      return values
    }
    assert.deepEqual(await upTo({}), ['a'])
    assert.deepEqual(await upTo(UNCOMMITTED), ['a', 'b', 'c', 'd', 'e'])
    // What is undecided now is new to who begins at the end.
    const latest = read(topic, { from: 'latest' })[Symbol.asyncIterator]()
    const next = latest.next()
    await produce(log, COMMIT)
    show(log)
    assert.equal((await next).value.value, 'b')
    await latest.return?.()
    await log.close()
  })

  test('from a time begins at its first record, which need not be stable yet', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    const log = logOf(topic)
    await produce(log, IN_TRANSACTION, 'a')
    const from = { timestamp: 0 }
    const records = read(topic, { from })[Symbol.asyncIterator]()
    const next = records.next()
    await produce(log, COMMIT)
    show(log)
    assert.equal((await next).value.value, 'a')
    await records.return?.()
    await log.close()
  })
})

suite('records of an aborted transaction', () => {
  const LARGE = 'x'.repeat(300)

  /** One large batch that was aborted, between two that were not. */
  async function around(compression: 'none' | 'gzip'): Promise<[Topic, PartitionLog]> {
    const topic = await openTopic(new MemoryFileSystem(), { config: { compression } })
    const log = logOf(topic)
    const values = (name: string): string[] =>
      Array.from({ length: 40 }, (_, at) => name + at + LARGE)
    await produce(log, { ...COMMIT, ...OTHER }, ...values('a'))
    await produce(log, ABORT, ...values('no'))
    await produce(log, { ...COMMIT, ...OTHER }, ...values('b'))
    show(log)
    show(log, OTHER.producerId)
    return [topic, log]
  }

  for (const compression of ['none', 'gzip'] as const) {
    test(`are not given by way of what is remembered of their batch, compression ${compression}`, async () => {
      const [topic, log] = await around(compression)
      const at = { offset: 55, maxRecords: 2 }
      for (let round = 0; round < 3; round += 1) {
        const look = await fetchFrom(topic, clock, { ...at, ...UNCOMMITTED })
        assert.deepEqual(offsetsOf(look), [55, 56])
        const committed = await fetchFrom(topic, clock, at)
        assert.deepEqual(offsetsOf(committed), [82, 83])
      }
      const offsets: number[] = []
      for await (const { offset } of read(topic, { until: 'end' })) offsets.push(offset)
      assert.deepEqual([offsets.length, offsets[39], offsets[40]], [80, 39, 82])
      await log.close()
    })
  }

  test('are not given where the log start passes them while they are read', async () => {
    const fileSystem = new MemoryFileSystem()
    const writer = await openTopic(fileSystem)
    const log = logOf(writer)
    const values = Array.from({ length: 300 }, (_, at) => `no ${at}${LARGE}`)
    await produce(log, ABORT, ...values)
    await appendAll(log, ['z'])
    await log.close()
    const topic = await openTopic(fileSystem)
    const again = logOf(topic)
    const reading = fetchFrom(topic, clock)
    again.moveLogStart(301)
    assert.equal(again.visible.hasAborted, false)
    await assert.rejects(reading, OffsetOutOfRangeError)
    assert.deepEqual(valuesOf(await fetchFrom(topic, clock, { offset: 301 })), ['z'])
    await again.close()
  })
})
