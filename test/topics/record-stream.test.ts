// Iterating over a topic: from where, in which order, up to where, and what ends it.
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { suite, test } from 'node:test'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import { LogError, OffsetOutOfRangeError } from '../../src/errors.ts'
import { PartitionLog } from '../../src/storage/partition-log.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { RecordBatch, RecordStream } from '../../src/topics/record-stream.ts'
import type { Topic } from '../../src/topics/topic.ts'
import type { LogRecord } from '../../src/types.ts'
import { hidePackage } from '../support/hide-package.ts'
import {
  append,
  appendAll,
  openLog,
  recordSet,
  startAppend,
  until,
} from '../support/storage-environment.ts'
import type { TestTopicOptions } from '../support/topics.ts'
import {
  logOf,
  openTopic,
  openWithBatches,
  read,
  turnsDuring,
  valuesOf,
} from '../support/topics.ts'

const END = { until: 'end' } as const
/** Each page is one batch. */
const BATCHWISE = { maxBytes: 1 } as const

function newTopic(options: TestTopicOptions = {}): Promise<Topic> {
  return openTopic(new MemoryFileSystem(), options)
}

async function topicWith(...values: string[]): Promise<Topic> {
  const topic = await newTopic()
  await appendAll(logOf(topic), values)
  return topic
}

async function collect(stream: RecordStream): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const record of stream) values.push(record.value)
  return values
}

async function collectBatches(stream: RecordStream): Promise<RecordBatch[]> {
  const batches: RecordBatch[] = []
  for await (const batch of stream.batches()) batches.push(batch)
  return batches
}

function start(stream: RecordStream): AsyncIterator<LogRecord> {
  return stream[Symbol.asyncIterator]()
}

async function nextValue(next: Promise<IteratorResult<LogRecord>>): Promise<unknown> {
  const { value, done } = await next
  assert.notEqual(done, true, 'the iterator has ended')
  return value.value
}

/** Counts from now on how often a partition is asked where it ends. */
function countLooks(topic: Topic): (partition: number) => number {
  const counts = topic.partitions.map(() => 0)
  for (const [number, log] of topic.partitions.entries()) {
    const { get } = Object.getOwnPropertyDescriptor(PartitionLog.prototype, 'highWatermark') ?? {}
    Object.defineProperty(log, 'highWatermark', {
      get: () => {
        counts[number] = (counts[number] ?? 0) + 1
        return get?.call(log)
      },
    })
  }
  return (partition) => counts[partition] ?? 0
}

async function assertEnded(iterator: AsyncIterator<unknown>): Promise<void> {
  assert.deepEqual(await iterator.next(), { value: undefined, done: true })
}

function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof LogError && error.code === code
}

/** Resolves when somebody waits for the topic. */
function isWaitedFor(topic: Topic): Promise<void> {
  return until(() => topic.listeners.size > 0)
}

suite('where reading starts', () => {
  test('is the log start, unless it is said otherwise', async () => {
    const topic = await topicWith('a', 'b', 'c', 'd')
    assert.deepEqual(await collect(read(topic, END)), ['a', 'b', 'c', 'd'])
    logOf(topic).moveLogStart(1)
    assert.deepEqual(await collect(read(topic, { ...END, from: 'earliest' })), ['b', 'c', 'd'])
    assert.deepEqual(await collect(read(topic, { ...END, from: 2 })), ['c', 'd'])
    assert.deepEqual(await collect(read(topic, { ...END, from: 4 })), [])
    assert.deepEqual(await collect(read(topic, { ...END, from: 'latest' })), [])
  })

  test('can be within a batch', async () => {
    const topic = await newTopic()
    await append(logOf(topic), recordSet('a', 'b', 'c', 'd'))
    assert.deepEqual(await collect(read(topic, { ...END, from: 2 })), ['c', 'd'])
  })

  test('can be a time, in each partition its own offset', async () => {
    const topic = await newTopic({ partitions: 3 })
    const [first, second] = topic.partitions
    if (first === undefined || second === undefined) throw new Error('no partitions')
    const now = Date.UTC(2026, 0, 1)
    for (const [log, timestamps] of [
      [first, [1, 5, 9]],
      [second, [4, 6]],
    ] as const) {
      for (const each of timestamps) {
        await append(log, recordSet({ value: `${log.partition}: ${each}`, timestamp: now + each }))
      }
    }
    const at = (ms: number): Promise<unknown[]> =>
      collect(read(topic, { ...END, from: new Date(now + ms) }))
    assert.deepEqual((await at(5)).sort(), ['0: 5', '0: 9', '1: 6'])
    assert.deepEqual((await at(7)).sort(), ['0: 9'])
    assert.deepEqual(await at(10), [])
  })

  test('is decided by the first next(), for each iterator', async () => {
    const topic = await topicWith('a')
    const stream = read(topic, { from: 'latest' })
    const early = start(stream)
    const next = early.next()
    await append(logOf(topic), recordSet('b'))
    const late = start(stream)
    const lateNext = late.next()
    await append(logOf(topic), recordSet('c'))
    assert.equal(await nextValue(next), 'b')
    assert.equal(await nextValue(early.next()), 'c')
    assert.equal(await nextValue(lateNext), 'c')
  })

  test('must be within the partition', async () => {
    const topic = await topicWith('a', 'b', 'c')
    logOf(topic).moveLogStart(1)
    for (const from of [0, 4]) {
      const iterator = start(read(topic, { from }))
      await assert.rejects(iterator.next(), (error) => {
        assert.ok(error instanceof OffsetOutOfRangeError)
        assert.deepEqual([error.requested, error.start, error.end], [from, 1, 3])
        return true
      })
      await assertEnded(iterator)
    }
  })

  test('as an offset needs a partition, and that one must be there', async () => {
    const topic = await newTopic({ partitions: 2 })
    assert.throws(() => read(topic, { from: 0 }), TypeError)
    assert.throws(() => read(topic, { partition: 2 }), hasCode('UNKNOWN_PARTITION'))
    await append(topic.partition(1), recordSet('a', 'b'))
    assert.deepEqual(await collect(read(topic, { ...END, from: 1, partition: 1 })), ['b'])
  })
})

suite('the order of reading', () => {
  test('takes a page of each partition in turn, and none starves', async () => {
    const topic = await newTopic({ partitions: 3 })
    const [first, second, third] = topic.partitions
    if (first === undefined || second === undefined || third === undefined) throw new Error('none')
    await appendAll(first, ['a0', 'a1', 'a2', 'a3'])
    await append(second, recordSet('b0', 'b1'))
    await appendAll(third, ['c0', 'c1'])
    const seen: unknown[] = []
    for await (const record of read(topic, BATCHWISE)) {
      seen.push(record.value)
      if (seen.length === 1) await appendAll(first, ['a4', 'a5'])
      if (seen.length === 10) break
    }
    const turns = ['a0', 'b0', 'b1', 'c0', 'a1', 'c1', 'a2', 'a3', 'a4', 'a5']
    assert.deepEqual(seen, turns)
  })

  test('takes in only the partitions asked for', async () => {
    const topic = await newTopic({ partitions: 3 })
    for (const log of topic.partitions) await append(log, recordSet(log.name))
    assert.deepEqual(await collect(read(topic, { ...END, partitions: [2, 0] })), ['t-2', 't-0'])
    assert.deepEqual(await collect(read(topic, { ...END, partition: 1 })), ['t-1'])
  })

  test('comes in whole pages from batches()', async () => {
    const topic = await newTopic({ partitions: 2 })
    await append(topic.partition(0), recordSet('a', 'b'))
    await append(topic.partition(1), recordSet('c'))
    await append(topic.partition(0), recordSet('d'))
    const pages = await collectBatches(read(topic, { ...END, ...BATCHWISE }))
    assert.deepEqual(
      pages.map(({ records, ...rest }) => ({ ...rest, values: valuesOf({ records }) })),
      [
        { topic: 't', partition: 0, nextOffset: 2, highWatermark: 3, values: ['a', 'b'] },
        { topic: 't', partition: 1, nextOffset: 1, highWatermark: 1, values: ['c'] },
        { topic: 't', partition: 0, nextOffset: 3, highWatermark: 3, values: ['d'] },
      ],
    )
    const [whole] = await collectBatches(read(topic, { ...END, partition: 0 }))
    assert.deepEqual(valuesOf(whole ?? { records: [] }), ['a', 'b', 'd'])
  })

  test('answers calls of next() in their order, also those that do not wait for one another', async () => {
    const topic = await newTopic()
    await append(logOf(topic), recordSet('a', 'b', 'c'))
    await append(logOf(topic), recordSet('d', 'e'))
    const iterator = start(read(topic, { ...END, ...BATCHWISE }))
    const settled: unknown[] = []
    const calls = Array.from({ length: 7 }, async () => {
      const { value } = await iterator.next()
      settled.push(value?.value)
    })
    await Promise.all(calls)
    assert.deepEqual(settled, ['a', 'b', 'c', 'd', 'e', undefined, undefined])
  })

  test('holds for a call made while others wait', async () => {
    const topic = await newTopic()
    await append(logOf(topic), recordSet('a', 'b', 'c'))
    const iterator = start(read(topic))
    const seen: unknown[] = []
    const first = iterator.next().then(async ({ value }) => {
      seen.push(value.value, await nextValue(iterator.next()))
    })
    const second = nextValue(iterator.next())
    await first
    assert.deepEqual([...seen, await second], ['a', 'c', 'b'])
  })

  test('is its own in each iterator', async () => {
    const stream = read(await topicWith('a', 'b', 'c'), END)
    const first = start(stream)
    assert.equal(await nextValue(first.next()), 'a')
    assert.deepEqual(await collect(stream), ['a', 'b', 'c'])
    assert.equal(await nextValue(first.next()), 'b')
  })
})

suite('a bounded reading', () => {
  test('ends at what was the end when it began', async () => {
    const topic = await newTopic({ partitions: 2 })
    await appendAll(topic.partition(0), ['a', 'b'])
    const seen: unknown[] = []
    for await (const record of read(topic, { ...END, ...BATCHWISE })) {
      seen.push(record.value)
      for (const log of topic.partitions) await append(log, recordSet('later'))
    }
    assert.deepEqual(seen, ['a', 'b'])
    assert.equal(topic.listeners.size, 0)
  })

  test('takes in no partitions that are added', async () => {
    const fileSystem = new MemoryFileSystem()
    const topic = await openTopic(fileSystem)
    await appendAll(logOf(topic), ['a', 'b'])
    const added = await openLog(fileSystem, { partition: 1 })
    await append(added, recordSet('added'))
    const seen: unknown[] = []
    for await (const { value } of read(topic, END)) {
      if (seen.length === 0) topic.add([added])
      seen.push(value)
    }
    assert.deepEqual(seen, ['a', 'b'])
  })

  test('of nothing ends at once', async () => {
    const iterator = start(read(await newTopic(), END))
    await assertEnded(iterator)
    await assertEnded(iterator)
  })

  test('passes what is no record for readers', async () => {
    const records = [{ key: null, value: Buffer.from('a'), timestamp: 1 }]
    const batches = [
      encodeBatch({ baseOffset: 0, lastOffset: 4, records: [] }),
      encodeBatch({ baseOffset: 5, records }),
      encodeBatch({ baseOffset: 6, lastOffset: 9, records: [] }),
    ]
    const topic = await openWithBatches(new MemoryFileSystem(), batches)
    assert.deepEqual(await collect(read(topic, { ...END, ...BATCHWISE })), ['a'])
  })
})

suite('a live reading', () => {
  test('waits for more, and keeps the process alive only while it does', async () => {
    const topic = await newTopic()
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length
    const before = timers()
    const iterator = start(read(topic))
    for (const value of ['a', 'b', 'c']) {
      const next = iterator.next()
      await isWaitedFor(topic)
      assert.equal(timers(), before + 1)
      await append(logOf(topic), recordSet(value))
      assert.equal(await nextValue(next), value)
      assert.equal(topic.listeners.size, 0)
      assert.equal(timers(), before)
    }
  })

  test('is not stirred by what does not concern it', async () => {
    const topic = await newTopic({ partitions: 2 })
    const next = start(read(topic, { partition: 0 })).next()
    await append(topic.partition(1), recordSet('b'))
    await append(topic.partition(0), recordSet('a'))
    assert.equal(await nextValue(next), 'a')
  })

  test('looks at the partition that has grown, not at all the others', async () => {
    const topic = await newTopic({ partitions: 20 })
    const iterator = start(read(topic))
    const next = iterator.next()
    await isWaitedFor(topic)
    const looks = countLooks(topic)
    await append(topic.partition(7), recordSet('a'))
    assert.equal(await nextValue(next), 'a')
    const further = iterator.next()
    await isWaitedFor(topic)
    await append(topic.partition(3), recordSet('b'))
    assert.equal(await nextValue(further), 'b')
    assert.equal(looks(0), 0)
    assert.ok(looks(3) > 0)
  })

  test('leaves nothing where several partitions grow before it has looked', async () => {
    const topic = await newTopic({ partitions: 4, config: { durability: 'os' } })
    const found: unknown[] = []
    const stop = new AbortController()
    const reading = (async () => {
      for await (const { value } of read(topic, { signal: stop.signal })) found.push(value)
    })()
    for (const round of ['1', '2']) {
      await isWaitedFor(topic)
      const values = [3, 1, 2].map((partition) => `${round}: ${partition}`)
      for (const [index, value] of values.entries()) {
        startAppend(topic.partition([3, 1, 2][index] ?? 0), recordSet(value), { durability: 'os' })
      }
      await until(() => found.length >= values.length)
      assert.deepEqual(found.splice(0).sort(), values.sort())
    }
    stop.abort(new Error('enough'))
    await assert.rejects(reading, /enough/)
  })

  test('takes in partitions that are added, from their beginning', async () => {
    const fileSystem = new MemoryFileSystem()
    const topic = await openTopic(fileSystem)
    await append(logOf(topic), recordSet('before'))
    const iterator = start(read(topic, { from: 'latest' }))
    const next = iterator.next()
    await isWaitedFor(topic)
    const added = await openLog(fileSystem, { partition: 1 })
    await append(added, recordSet('first', 'second'))
    topic.add([added])
    assert.equal(await nextValue(next), 'first')
    assert.equal(await nextValue(iterator.next()), 'second')
    const single = start(read(topic, { partition: 0 }))
    assert.equal(await nextValue(single.next()), 'before')
    const waiting = single.next()
    await append(added, recordSet('third'))
    await append(logOf(topic), recordSet('fourth'))
    assert.equal(await nextValue(waiting), 'fourth')
  })

  test('goes on at the log start where retention has overtaken it', async () => {
    for (const options of [{}, END]) {
      const topic = await topicWith('a', 'b', 'c', 'd')
      const iterator = start(read(topic, { ...BATCHWISE, ...options }))
      assert.equal(await nextValue(iterator.next()), 'a')
      logOf(topic).moveLogStart(2)
      assert.equal(await nextValue(iterator.next()), 'c')
      assert.equal(await nextValue(iterator.next()), 'd')
    }
  })

  test('reads a page when the one before is used up, not earlier', async () => {
    const topic = await newTopic()
    await append(logOf(topic), recordSet('a', 'b'))
    await append(logOf(topic), recordSet('c'))
    const reads: number[] = []
    const log = logOf(topic)
    const original = log.read.bind(log)
    log.read = (request) => {
      reads.push(request.offset)
      return original(request)
    }
    const iterator = start(read(topic, BATCHWISE))
    const readsSoFar: number[][] = []
    for (let count = 0; count < 3; count += 1) {
      await iterator.next()
      await new Promise<void>((resolve) => setImmediate(resolve))
      readsSoFar.push([...reads])
    }
    assert.deepEqual(readsSoFar, [[0], [0], [0, 2]])
  })
})

suite('a file that goes away under a reading', () => {
  async function readWhile(interfere: (topic: Topic) => void): Promise<AsyncIterator<LogRecord>> {
    const topic = await topicWith('a', 'b')
    const log = logOf(topic)
    const original = log.read.bind(log)
    log.read = async () => {
      log.read = original
      interfere(topic)
      throw Object.assign(new Error('gone'), { code: 'EBADF' })
    }
    return start(read(topic))
  }

  test('leads to the log start that retention has moved', async () => {
    const iterator = await readWhile((topic) => logOf(topic).moveLogStart(1))
    assert.equal(await nextValue(iterator.next()), 'b')
  })

  test('ends it where the log was closed', async () => {
    await assertEnded(await readWhile((topic) => topic.leave('closed')))
  })

  test('is told as it is where nobody knows why', async () => {
    const iterator = await readWhile(() => {})
    await assert.rejects(iterator.next(), { code: 'EBADF' })
    await assertEnded(iterator)
  })
})

suite('the end of a reading', () => {
  test('comes with break, which releases everything', async () => {
    const topic = await topicWith('a', 'b')
    for await (const record of read(topic)) if (record.value === 'b') break
    for await (const batch of read(topic).batches()) if (batch.records.length > 0) break
    assert.equal(topic.listeners.size, 0)
  })

  test('comes with return(), also for a next() that waits', async () => {
    const topic = await topicWith('a', 'b')
    const iterator = start(read(topic))
    assert.equal(await nextValue(iterator.next()), 'a')
    assert.deepEqual(await iterator.return?.(), { value: undefined, done: true })
    await assertEnded(iterator)
    for (const waiting of [
      start(read(topic, { from: 'latest' })),
      read(topic, { from: 'latest' }).batches()[Symbol.asyncIterator](),
    ]) {
      const calls = [waiting.next(), waiting.next()]
      await isWaitedFor(topic)
      await waiting.return?.()
      for (const call of calls) assert.deepEqual(await call, { value: undefined, done: true })
      assert.equal(topic.listeners.size, 0)
    }
  })

  test('comes with the signal, as a rejection, once', async () => {
    const topic = await topicWith('a', 'b')
    const reason = new Error('enough')
    for (const isWaiting of [true, false]) {
      const controller = new AbortController()
      const iterator = start(read(topic, { signal: controller.signal }))
      assert.equal(await nextValue(iterator.next()), 'a')
      if (isWaiting) {
        await iterator.next()
        const next = iterator.next()
        await isWaitedFor(topic)
        controller.abort(reason)
        await assert.rejects(next, reason)
      } else {
        controller.abort(reason)
        await assert.rejects(iterator.next(), reason)
      }
      await assertEnded(iterator)
      assert.equal(topic.listeners.size, 0)
    }
    const controller = new AbortController()
    logOf(topic).offsetForTime = async () => {
      await new Promise<void>((resolve) => setImmediate(resolve))
      controller.abort(reason)
      return undefined
    }
    const looking = start(read(topic, { from: new Date(0), signal: controller.signal }))
    await assert.rejects(looking.next(), reason)
    assert.deepEqual(getEventListeners(controller.signal, 'abort'), [])
    const aborted = read(topic, { signal: AbortSignal.abort(reason) })
    await assert.rejects(collect(aborted), reason)
    await assert.rejects(collectBatches(aborted), reason)
  })

  test('comes quietly where the log is closed, and at once', async () => {
    for (const options of [{}, { from: 'latest' }, { from: new Date(0) }, END] as const) {
      const topic = await topicWith('a', 'b')
      const iterator = start(read(topic, options))
      const next = iterator.next()
      if (options === END) assert.equal(await nextValue(next), 'a')
      topic.leave('closed')
      if (options !== END) assert.deepEqual(await next, { value: undefined, done: true })
      await assertEnded(iterator)
      assert.equal(topic.listeners.size, 0)
    }
  })

  test('comes as UNKNOWN_TOPIC where the topic is deleted', async () => {
    const topic = await topicWith('a', 'b')
    const handed = start(read(topic))
    assert.equal(await nextValue(handed.next()), 'a')
    const waiting = start(read(topic, { from: 'latest' }))
    const next = waiting.next()
    await isWaitedFor(topic)
    topic.leave('deleted')
    await assert.rejects(next, hasCode('UNKNOWN_TOPIC'))
    await assert.rejects(handed.next(), hasCode('UNKNOWN_TOPIC'))
    await assertEnded(waiting)
    await assertEnded(handed)
  })

  test('comes with what cannot be read, behind the records before it, or it is passed', async () => {
    hidePackage('lz4-napi')
    const record = (value: string) => ({ key: null, value: Buffer.from(value), timestamp: 1 })
    const batches = [
      encodeBatch({ baseOffset: 0, records: [record('a')] }),
      encodeBatch({ baseOffset: 1, records: [record('b')], attributes: 3 }),
      encodeBatch({ baseOffset: 2, records: [record('c')] }),
    ]
    const topic = await openWithBatches(new MemoryFileSystem(), batches)
    const iterator = start(read(topic))
    assert.equal(await nextValue(iterator.next()), 'a')
    await assert.rejects(iterator.next(), hasCode('UNSUPPORTED_CODEC'))
    await assertEnded(iterator)
    assert.deepEqual(await collect(read(topic, { ...END, onCorrupt: 'skip' })), ['a', 'c'])
  })
})

for (const [how, slownessMs, records, leastTurns] of [
  ['quick', 0, 100_000, 1],
  ['slow', 0.2, 300, 3],
] as const) {
  test(`a ${how} loop over records lets others have their turn`, async () => {
    const topic = await newTopic()
    await append(logOf(topic), recordSet(...Array.from({ length: records }, () => 'x')))
    const turns = await turnsDuring(async () => {
      for await (const _ of read(topic, END)) work(slownessMs)
    })
    assert.ok(turns >= leastTurns, `${turns} turns`)
  })
}

test('a slow loop over batches lets others have their turn', async () => {
  const topic = await topicWith(...Array.from({ length: 300 }, () => 'x'))
  const turns = await turnsDuring(async () => {
    for await (const _ of read(topic, { ...END, ...BATCHWISE }).batches()) work(0.2)
  })
  assert.ok(turns >= 3, `${turns} turns`)
})

function work(ms: number): void {
  const end = performance.now() + ms
  while (performance.now() < end);
}
