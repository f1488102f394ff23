// A page at a time from one partition: what it holds, where it ends, and how it is waited for.
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { suite, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import type { RecordToEncode } from '../../src/codec/batch-encoder.ts'
import { encodeBatch, encodeControlBatch } from '../../src/codec/batch-encoder.ts'
import { CorruptLogError, LogError, OffsetOutOfRangeError } from '../../src/errors.ts'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { bytes } from '../../src/topics/serializers.ts'
import type { Topic } from '../../src/topics/topic.ts'
import type { FileHandle, LogRecord, OpenMode } from '../../src/types.ts'
import type {
  ExpectedPartition,
  ExpectedRecord,
  FixturePartition,
  FixtureSet,
} from '../support/fixtures.ts'
import { copyFixture, loadPartitions } from '../support/fixtures.ts'
import { hidePackage } from '../support/hide-package.ts'
import { eventually } from '../support/log-places.ts'
import {
  append,
  appendAll,
  openLog,
  recordSet,
  startAppend,
} from '../support/storage-environment.ts'
import {
  fetchFrom,
  logOf,
  offsetsOf,
  openTopic,
  openWithBatches,
  topicOf,
  turnsDuring,
  valuesOf,
} from '../support/topics.ts'

const clock = new ManualClock()
const FILE = '/data/t-0/00000000000000000000.log'

function record(value: string, offset?: number): RecordToEncode {
  const plain = { key: null, value: Buffer.from(value), timestamp: 1000 }
  return offset === undefined ? plain : { ...plain, offset }
}

function batch(baseOffset: number, ...values: string[]): Buffer {
  return encodeBatch({ baseOffset, records: values.map((value) => record(value)) })
}

function gzipBatch(baseOffset: number, ...values: string[]): Buffer {
  const records = values.map((value) => record(value))
  return encodeBatch({ baseOffset, records, attributes: 1, compress: (plain) => gzipSync(plain) })
}

hidePackage('snappy')

/** The bytes are no snappy, which nobody looks at. */
function snappyBatch(baseOffset: number, ...values: string[]): Buffer {
  return encodeBatch({ baseOffset, records: values.map((value) => record(value)), attributes: 2 })
}

/** The CRC is right, the records are not. */
function malformedBatch(baseOffset: number, ...values: string[]): Buffer {
  const records = values.map((value) => record(value))
  const compress = (plain: Buffer): Buffer => Buffer.concat([plain, Buffer.of(0)])
  return encodeBatch({ baseOffset, records, compress })
}

function marker(baseOffset: number): Buffer {
  const ids = { producerId: 1, producerEpoch: 0, coordinatorEpoch: 0 }
  return encodeControlBatch({ baseOffset, type: 1, timestamp: 1000, ...ids })
}

function hasCode(code: string, message = /./): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof LogError, String(error))
    assert.equal(error.code, code)
    assert.match(error.message, message)
    return true
  }
}

function isRange(requested: number, start: number, end: number): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof OffsetOutOfRangeError, String(error))
    const { requested: asked, start: from, end: to } = error
    assert.deepEqual([asked, from, to], [requested, start, end])
    return true
  }
}

function isCorruptAt(file: string, position: number): (error: unknown) => true {
  return (error) => {
    assert.ok(error instanceof CorruptLogError, String(error))
    assert.deepEqual([error.file, error.position], [file, position])
    return true
  }
}

suite('the range of a fetch', () => {
  test('ends at the high watermark, and comes with what the partition knows of itself', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    await append(logOf(topic), recordSet({ key: 'k', value: 'a', timestamp: clock.now() + 7 }))
    await append(logOf(topic), recordSet('b'), { durability: 'os' })
    await assert.doesNotReject(logOf(topic).flush())
    const unsynced = startAppend(logOf(topic), recordSet('c'), { durability: 'os' })
    await unsynced.done
    const { records, ...rest } = await fetchFrom(topic, clock)
    assert.deepEqual(valuesOf({ records }), ['a', 'b'])
    const { key, offset, timestamp, topic: name, partition } = { ...records[0] }
    assert.deepEqual([name, partition, offset, timestamp, key], ['t', 0, 0, clock.now() + 7, 'k'])
    assert.deepEqual(rest, {
      topic: 't',
      partition: 0,
      nextOffset: 2,
      logStartOffset: 0,
      logEndOffset: 3,
      highWatermark: 2,
      lastStableOffset: 2,
    })
    for (const offset of [2, 3]) {
      const none = await fetchFrom(topic, clock, { offset })
      assert.deepEqual([none.records, none.nextOffset], [[], offset])
    }
  })

  test('is told where an offset is outside it', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    await appendAll(logOf(topic), ['a', 'b', 'c', 'd'])
    await assert.rejects(fetchFrom(topic, clock, { offset: 5 }), isRange(5, 0, 4))
    logOf(topic).moveLogStart(2)
    await assert.rejects(fetchFrom(topic, clock, { offset: 1 }), isRange(1, 2, 4))
    assert.deepEqual(valuesOf(await fetchFrom(topic, clock, { offset: 2 })), ['c', 'd'])
  })

  test('belongs to a partition that is there, of a topic that is there', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    await assert.rejects(fetchFrom(topic, clock, { partition: 1 }), hasCode('UNKNOWN_PARTITION'))
    topic.leave('deleted')
    await assert.rejects(fetchFrom(topic, clock), hasCode('UNKNOWN_TOPIC'))
    topic.leave('closed')
    await assert.rejects(fetchFrom(topic, clock), hasCode('CLOSED'))
  })
})

suite('the size of a fetch', () => {
  test('is bounded by maxBytes, but one batch comes even if it alone is larger', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    await append(logOf(topic), recordSet('x'.repeat(5000), 'y'))
    await append(logOf(topic), recordSet('a'))
    await append(logOf(topic), recordSet('b'))
    const first = await fetchFrom(topic, clock, { maxBytes: 1 })
    assert.deepEqual([offsetsOf(first), first.nextOffset], [[0, 1], 2])
    const two = await fetchFrom(topic, clock, { offset: 2, maxBytes: 200 })
    assert.deepEqual([offsetsOf(two), two.nextOffset], [[2, 3], 4])
  })

  test('is bounded by maxRecords, within a batch and over several', async () => {
    const topic = await openTopic(new MemoryFileSystem())
    await append(logOf(topic), recordSet('a', 'b', 'c'))
    await append(logOf(topic), recordSet('d', 'e'))
    const pages: unknown[] = []
    for (let offset = 0; offset < 5; ) {
      const page = await fetchFrom(topic, clock, { offset, maxRecords: 2 })
      pages.push(valuesOf(page))
      offset = page.nextOffset
    }
    assert.deepEqual(pages, [['a', 'b'], ['c', 'd'], ['e']])
  })

  test('of a look-up within a batch that was looked into before is what the record takes', async () => {
    const fileSystem = new CountingFileSystem()
    const values = Array.from({ length: 500 }, (_, index) => `value ${index}`.padEnd(100))
    const topic = await openWithBatches(fileSystem, [batch(0, ...values)])
    const lookUp = async (offset: number): Promise<unknown> =>
      valuesOf(await fetchFrom(topic, clock, { offset, maxRecords: 1 }))[0]
    assert.equal(await lookUp(123), values[123])
    fileSystem.bytesRead = 0
    assert.equal(await lookUp(321), values[321])
    assert.ok(fileSystem.bytesRead < 150, `${fileSystem.bytesRead} bytes`)
    const several = await fetchFrom(topic, clock, { offset: 497, maxRecords: 10 })
    assert.deepEqual([offsetsOf(several), several.nextOffset], [[497, 498, 499], 500])
  })
})

suite('what a fetch finds in a batch', () => {
  test('is decompressed where it is gzip', async () => {
    const batches = [batch(0, 'a'), gzipBatch(1, 'b', 'c', 'd'), batch(4, 'e')]
    const topic = await openWithBatches(new MemoryFileSystem(), batches)
    assert.deepEqual(valuesOf(await fetchFrom(topic, clock)), ['a', 'b', 'c', 'd', 'e'])
    const part = await fetchFrom(topic, clock, { offset: 2, maxRecords: 1 })
    assert.deepEqual([valuesOf(part), part.nextOffset], [['c'], 3])
  })

  test('may not decompress to more than 128 MiB', async () => {
    const bomb = gzipSync(Buffer.alloc(128 * 1024 * 1024 + 1), { level: 1 })
    const bad = encodeBatch({
      baseOffset: 1,
      records: [record('x')],
      attributes: 1,
      compress: () => bomb,
    })
    const topic = await openWithBatches(new MemoryFileSystem(), [batch(0, 'a'), bad])
    await assert.rejects(
      fetchFrom(topic, clock, { offset: 1 }),
      isCorruptAt(FILE, batch(0, 'a').length),
    )
  })

  test('is no record where it is a transaction marker or a batch that compaction has emptied', async () => {
    const emptied = encodeBatch({ baseOffset: 5, lastOffset: 9, records: [] })
    const batches = [
      marker(0),
      batch(1, 'a'),
      marker(2),
      marker(3),
      emptied,
      batch(12, 'b'),
      marker(13),
    ]
    const topic = await openWithBatches(new MemoryFileSystem(), batches)
    const small = { maxBytes: 1 }
    assert.deepEqual(valuesOf(await fetchFrom(topic, clock)), ['a', 'b'])
    const first = await fetchFrom(topic, clock, small)
    assert.deepEqual([offsetsOf(first), first.nextOffset], [[1], 2])
    const second = await fetchFrom(topic, clock, { ...small, offset: 2 })
    assert.deepEqual([offsetsOf(second), second.nextOffset], [[12], 13])
    const end = await fetchFrom(topic, clock, { ...small, offset: 13 })
    assert.deepEqual([end.records, end.nextOffset], [[], 14])
  })

  test('is the record behind a gap where the offset itself is gone', async () => {
    const records = [record('a', 0), record('d', 3)]
    const batches = [encodeBatch({ baseOffset: 0, records, lastOffset: 6 }), batch(9, 'j')]
    const topic = await openWithBatches(new MemoryFileSystem(), batches)
    const one = { maxRecords: 1 }
    for (const [offset, found, nextOffset] of [
      [0, 0, 1],
      [1, 3, 4],
      [4, 9, 10],
      [8, 9, 10],
    ] as const) {
      const page = await fetchFrom(topic, clock, { offset, ...one })
      assert.deepEqual([offsetsOf(page), page.nextOffset], [[found], nextOffset])
    }
  })
})

suite('a batch that cannot be read', () => {
  const position = batch(0, 'a', 'b').length
  for (const [what, bad, refusal] of [
    [
      'is compressed with snappy',
      snappyBatch(2, 'c', 'd'),
      hasCode('UNSUPPORTED_CODEC', new RegExp(`t-0, offsets 2 to 3: .*byte ${position} .*snappy`)),
    ],
    ['is malformed', malformedBatch(2, 'c', 'd'), isCorruptAt(FILE, position)],
    [
      'does not decompress',
      encodeBatch({
        baseOffset: 2,
        records: [record('c'), record('d')],
        attributes: 1,
        compress: () => Buffer.from('no gzip at all'),
      }),
      isCorruptAt(FILE, position),
    ],
    [
      'fails its CRC',
      Buffer.concat([batch(2, 'c', 'd').subarray(0, -1), Buffer.of(9)]),
      isCorruptAt(FILE, position),
    ],
  ] as const) {
    const batches = [batch(0, 'a', 'b'), bad, batch(4, 'e')]
    const open = (): Promise<Topic> =>
      openWithBatches(new MemoryFileSystem(), batches, { isClean: true, recoveryPoint: 5 })

    test(`as it ${what} stops the reader in front of it`, async () => {
      const topic = await open()
      const before = await fetchFrom(topic, clock)
      assert.deepEqual([valuesOf(before), before.nextOffset], [['a', 'b'], 2])
      for (const offset of [2, 3])
        await assert.rejects(fetchFrom(topic, clock, { offset }), refusal)
      assert.deepEqual(valuesOf(await fetchFrom(topic, clock, { offset: 4 })), ['e'])
    })

    test(`as it ${what} is passed where the reader wants that`, async () => {
      const topic = await open()
      const values: unknown[] = []
      for (let offset = 0; offset < 5; ) {
        const page = await fetchFrom(topic, clock, {
          offset,
          onCorrupt: 'skip',
          isolationLevel: 'read_uncommitted',
        })
        assert.notEqual(page.records.length, 0)
        values.push(...valuesOf(page))
        offset = page.nextOffset
      }
      assert.deepEqual(values, ['a', 'b', 'e'])
      const behind = await fetchFrom(topic, clock, { offset: 3, onCorrupt: 'skip' })
      assert.deepEqual([valuesOf(behind), behind.nextOffset], [['e'], 5])
    })
  }

  test('does not keep a look-up from the sound records before the bad one', async () => {
    const values = Array.from({ length: 100 }, (_, index) => `value ${index}`.padEnd(100))
    const topic = await openWithBatches(new MemoryFileSystem(), [malformedBatch(0, ...values)], {
      isClean: true,
      recoveryPoint: 100,
    })
    const found = await fetchFrom(topic, clock, { offset: 50, maxRecords: 1 })
    assert.deepEqual(valuesOf(found), [values[50]])
    await assert.rejects(fetchFrom(topic, clock, { offset: 50 }), isCorruptAt(FILE, 0))
  })
})

test('a record that cannot be decoded is found by a look-up as by a scan', async () => {
  const values = Array.from({ length: 100 }, (_, index) => `value ${index}`.padEnd(100))
  const records = values.map((value) => record(value))
  // The last record says that it has a header.
  const compress = (plain: Buffer): Buffer => Buffer.concat([plain.subarray(0, -1), Buffer.of(2)])
  const batches = [
    batch(0, 'a'),
    encodeBatch({ baseOffset: 1, records, compress }),
    batch(101, 'b'),
  ]
  const topic = await openWithBatches(new MemoryFileSystem(), batches)
  const one = { maxRecords: 1 }
  assert.deepEqual(valuesOf(await fetchFrom(topic, clock, { offset: 51, ...one })), [values[50]])
  const isCorrupt = isCorruptAt(FILE, batch(0, 'a').length)
  await assert.rejects(fetchFrom(topic, clock, { offset: 100, ...one }), isCorrupt)
  await assert.rejects(fetchFrom(topic, clock, { offset: 1 }), isCorrupt)
  const behind = await fetchFrom(topic, clock, { offset: 100, ...one, onCorrupt: 'skip' })
  assert.deepEqual(valuesOf(behind), ['b'])
})

suite('what Kafka wrote', () => {
  for (const set of ['append-time', 'compacted', 'transactions', 'transactions-v1'] as const) {
    test(`is fetched in ${set} as Kafka's consumers see it, unreadable batches apart`, async (t) => {
      const root = await copyFixture(set, t)
      for (const partition of await partitionsWithRecords(set)) {
        const { expected, directory } = partition
        const copy = directory.replace(/.*\/data/, root)
        const found = await fetchAll(await openFixture(partition, copy), expected.logStartOffset)
        const readable = expected.records.filter(({ offset }) => isReadable(expected, offset))
        assert.equal(found.length, readable.length)
        for (const [index, wanted] of readable.entries()) assertIs(found[index], wanted)
      }
    })
  }
})

suite('a fetch that waits', () => {
  test('is answered by the append, within it, and needs no timer', async () => {
    const topic = await openTopic(new MemoryFileSystem(), { config: { durability: 'os' } })
    const time = new ManualClock()
    const order: string[] = []
    const waiting = fetchFrom(topic, time, { maxWaitMs: 1000 })
    const delivered = waiting.then(() => order.push('delivered'))
    const acknowledged = append(logOf(topic), recordSet('a'), { durability: 'os' }).then(() =>
      order.push('acknowledged'),
    )
    await Promise.all([delivered, acknowledged])
    assert.deepEqual(order, ['delivered', 'acknowledged'])
    const { records, nextOffset, highWatermark } = await waiting
    assert.deepEqual([valuesOf({ records }), nextOffset, highWatermark], [['a'], 1, 1])
    assertLetGo(topic, time)
  })

  test('answers at its time-out with what there is, which may be nothing', async () => {
    const [topic, time] = await waitingTopic()
    const settled: unknown[] = []
    const note = (name: string) => (result: { records: readonly { value: unknown }[] }) =>
      settled.push([name, ...valuesOf({ records: [...result.records] as never })])
    fetchFrom(topic, time, { maxWaitMs: 100 }).then(note('any'))
    fetchFrom(topic, time, { maxWaitMs: 200, minBytes: 10_000 }).then(note('many'))
    await time.advance(99)
    assert.deepEqual(settled, [])
    await time.advance(1)
    assert.deepEqual(settled, [['any']])
    await append(logOf(topic), recordSet('a'))
    await time.advance(100)
    assert.deepEqual(settled, [['any'], ['many', 'a']])
    assertLetGo(topic, time)
  })

  test('gives all that it waited for, also of many small batches', async () => {
    const [topic, time] = await waitingTopic()
    const values = Array.from({ length: 1200 }, (_, index) => `value ${index}`)
    const waiting = fetchFrom(topic, time, { maxWaitMs: 1000, minBytes: 80_000 })
    for (const value of values) await append(logOf(topic), recordSet(value))
    const { records } = await waiting
    const batchBytes = 61 + 7 + 'value 1000'.length
    assert.ok(records.length * batchBytes >= 80_000, `${records.length} records`)
    assertLetGo(topic, time)
  })

  test('answers at once where there is something, where nothing is asked for, and where it may not wait', async () => {
    const [topic, time] = await waitingTopic()
    assert.deepEqual((await fetchFrom(topic, time)).records, [])
    assert.deepEqual((await fetchFrom(topic, time, { maxWaitMs: 9, minBytes: 0 })).records, [])
    await append(logOf(topic), recordSet('a'))
    assert.deepEqual(valuesOf(await fetchFrom(topic, time, { maxWaitMs: 9 })), ['a'])
    assertLetGo(topic, time)
  })

  test('waits for minBytes of batches, counted once each, and at most for maxBytes', async () => {
    const [topic, time] = await waitingTopic()
    const answered: string[] = []
    const wait = (name: string, minBytes: number, maxBytes: number): Promise<unknown> =>
      fetchFrom(topic, time, { maxWaitMs: 1000, minBytes, maxBytes }).then((result) => {
        answered.push(name)
        return valuesOf(result)
      })
    const small = wait('small', 250, 1_000_000)
    const large = wait('large', 500, 1_000_000)
    const capped = wait('capped', 500, 150)
    const one = 'x'.repeat(30)
    const inAll = ['capped', 'small', 'large']
    // A batch with such a record takes 99 bytes.
    for (const count of [0, 1, 2, 2, 2, 3]) {
      await append(logOf(topic), recordSet(one))
      // Where others use the processor too a page may take some turns.
      await eventually(() => answered.length >= count, `answer ${count}`)
      await new Promise<void>((resolve) => setImmediate(resolve))
      assert.deepEqual(answered, inAll.slice(0, count))
    }
    assert.deepEqual(await capped, [one])
    assert.equal(((await small) as unknown[]).length, 3)
    assert.equal(((await large) as unknown[]).length, 6)
    assertLetGo(topic, time)
  })

  test('does not miss what comes while it reads', async () => {
    const fileSystem = new CountingFileSystem()
    const time = new ManualClock()
    const value = 'x'.repeat(100_000)
    const config = { durability: 'os' } as const
    const topic = await openWithBatches(fileSystem, [batch(0, value)], { config })
    fileSystem.onRead = async () => {
      fileSystem.onRead = () => {}
      await append(logOf(topic), recordSet(value), { durability: 'os' })
    }
    const { highWatermark } = await fetchFrom(topic, time, { maxWaitMs: 1000, minBytes: 150_000 })
    assert.equal(highWatermark, 2)
    assertLetGo(topic, time)
  })

  test('goes on behind what is no record for readers', async () => {
    const time = new ManualClock()
    const batches = [marker(0)]
    const topic = await openWithBatches(new MemoryFileSystem(), batches)
    const waiting = fetchFrom(topic, time, { maxWaitMs: 10 })
    const timed = fetchFrom(topic, time, { maxWaitMs: 5 })
    await time.advance(5)
    const { records, nextOffset } = await timed
    assert.deepEqual([records, nextOffset], [[], 1])
    await append(logOf(topic), recordSet('a'))
    assert.deepEqual(offsetsOf(await waiting), [1])
    assertLetGo(topic, time)
  })

  test('is ended by its signal', async () => {
    const [topic, time] = await waitingTopic()
    const controller = new AbortController()
    const other = new AbortController()
    const { signal } = controller
    const waiting = fetchFrom(topic, time, { maxWaitMs: 1000, signal })
    const reason = new Error('enough')
    controller.abort(reason)
    await assert.rejects(waiting, reason)
    assertLetGo(topic, time)
    const answered = fetchFrom(topic, time, { maxWaitMs: 1000, signal: other.signal })
    await append(logOf(topic), recordSet('a'))
    assert.deepEqual(valuesOf(await answered), ['a'])
    await assert.rejects(fetchFrom(topic, time, { maxWaitMs: 1000, signal }), reason)
    assertLetGo(topic, time)
    for (const each of [signal, other.signal]) {
      assert.deepEqual(getEventListeners(each, 'abort'), [])
    }
  })

  test('is told when the log is closed, the topic deleted, or its offset is gone', async () => {
    for (const [end, refusal] of [
      [(topic: Topic) => topic.leave('closed'), hasCode('CLOSED')],
      [(topic: Topic) => topic.leave('deleted'), hasCode('UNKNOWN_TOPIC')],
      [(topic: Topic) => logOf(topic).moveLogStart(1), isRange(0, 1, 0)],
    ] as const) {
      const [topic, time] = await waitingTopic()
      const waiting = fetchFrom(topic, time, { maxWaitMs: 1000 })
      const refused = assert.rejects(waiting, refusal)
      end(topic)
      await refused
      assertLetGo(topic, time)
    }
  })

  test('is told of damage that it comes to', async () => {
    const time = new ManualClock()
    const topic = await openWithBatches(new MemoryFileSystem(), [malformedBatch(0, 'a')], {
      isClean: true,
      recoveryPoint: 1,
    })
    await assert.rejects(
      fetchFrom(topic, time, { maxWaitMs: 1000, minBytes: 20 }),
      isCorruptAt(FILE, 0),
    )
    assertLetGo(topic, time)
  })

  test('has nothing more to wait for in front of damage', async () => {
    const time = new ManualClock()
    const broken = Buffer.concat([batch(1, 'b').subarray(0, -1), Buffer.of(9)])
    const batches = [batch(0, 'a'), broken, batch(2, 'c')]
    const topic = await openWithBatches(new MemoryFileSystem(), batches, {
      isClean: true,
      recoveryPoint: 3,
    })
    const before = await fetchFrom(topic, time, { maxWaitMs: 1000, minBytes: 10_000 })
    assert.deepEqual(valuesOf(before), ['a'])
    assertLetGo(topic, time)
  })

  test('keeps the process alive until it is answered', async () => {
    const [topic, time] = await waitingTopic()
    const timers = (): number =>
      process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length
    const before = timers()
    const waiting = [1, 2, 3].map(() => fetchFrom(topic, time, { maxWaitMs: 1000 }))
    assert.equal(timers(), before + 1)
    await append(logOf(topic), recordSet('a'))
    await Promise.all(waiting)
    assert.equal(timers(), before)
  })
})

suite('a file that goes away under a fetch', () => {
  async function fetchWhile(interfere: (topic: Topic) => void): Promise<unknown> {
    const fileSystem = new CountingFileSystem()
    const value = 'x'.repeat(100_000)
    const topic = await openWithBatches(fileSystem, [batch(0, value), batch(1, value)])
    fileSystem.onRead = () => {
      interfere(topic)
      throw Object.assign(new Error('gone'), { code: 'EBADF' })
    }
    return fetchFrom(topic, clock)
  }

  test('was deleted by retention where the log start has passed the offset', async () => {
    const fetching = fetchWhile((topic) => logOf(topic).moveLogStart(1))
    await assert.rejects(fetching, isRange(0, 1, 2))
  })

  test('was closed with the log', async () => {
    await assert.rejects(
      fetchWhile((topic) => topic.leave('closed')),
      hasCode('CLOSED'),
    )
  })

  test('is told as it is where nobody knows why', async () => {
    await assert.rejects(
      fetchWhile(() => {}),
      { code: 'EBADF' },
    )
  })
})

for (const [what, options] of [
  ['fetches', {}],
  ['fetches that may wait', { maxWaitMs: 1000, minBytes: 2 }],
] as const) {
  test(`a loop of awaited ${what} lets others have their turn`, async () => {
    const topic = await openTopic(new MemoryFileSystem())
    await append(logOf(topic), recordSet('a'))
    let hadTurn = false
    setTimeout(() => {
      hadTurn = true
    }, 1)
    let count = 0
    for (; !hadTurn && count < 500_000; count += 1) await fetchFrom(topic, clock, options)
    assert.ok(hadTurn, `no turn within ${count} fetches`)
  })
}

test('a fetch that passes much that is no record lets others have their turn', async () => {
  const markers = Array.from({ length: 20_000 }, (_, offset) => marker(offset))
  const topic = await openWithBatches(new MemoryFileSystem(), markers)
  const turns = await turnsDuring(async () => {
    const { nextOffset } = await fetchFrom(topic, clock, { maxBytes: 200 })
    assert.equal(nextOffset, 20_000)
  })
  assert.ok(turns >= 3, `${turns} turns`)
})

test('random fetches find what random appends left', async () => {
  const calls = fc.array(fc.array(fc.string({ maxLength: 300 }), { minLength: 1, maxLength: 30 }), {
    minLength: 1,
    maxLength: 12,
  })
  const options = fc.record({
    maxBytes: fc.integer({ min: 1, max: 5000 }),
    maxRecords: fc.oneof(fc.integer({ min: 1, max: 100 }), fc.constant(Number.POSITIVE_INFINITY)),
    offset: fc.nat({ max: 400 }),
  })
  await fc.assert(
    fc.asyncProperty(
      calls,
      fc.array(options, { minLength: 1, maxLength: 10 }),
      fc.boolean(),
      async (sets, fetches, reopen) => {
        const fileSystem = new MemoryFileSystem()
        const config = { segmentBytes: 4096 }
        let topic = await openTopic(fileSystem, { config })
        for (const values of sets) await append(logOf(topic), recordSet(...values))
        const model = sets.flat()
        if (reopen) topic = await openTopic(fileSystem.clone(), { config })
        for (const { offset: wanted, ...limits } of fetches) {
          const offset = wanted % (model.length + 1)
          const page = await fetchFrom(topic, clock, { offset, ...limits })
          const count = page.records.length
          assert.deepEqual(valuesOf(page), model.slice(offset, offset + count))
          assert.deepEqual(
            offsetsOf(page),
            Array.from({ length: count }, (_, i) => offset + i),
          )
          assert.equal(page.nextOffset, offset + count)
          assert.ok(count <= limits.maxRecords)
          assert.ok(count > 0 || offset === model.length)
        }
        const all: unknown[] = []
        const limits = fetches[0] ?? { maxBytes: 1 }
        for (let offset = 0; offset < model.length; ) {
          const page = await fetchFrom(topic, clock, { ...limits, offset })
          all.push(...valuesOf(page))
          offset = page.nextOffset
        }
        assert.deepEqual(all, model)
      },
    ),
    { numRuns: 60 },
  )
})

// -------------------------------------------------------------------------------------- helpers

/** Counts what is read through its handles. */
class CountingFileSystem extends MemoryFileSystem {
  bytesRead = 0
  /** Called at each asynchronous read. */
  onRead: () => void | Promise<void> = () => {}

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode)
    const readSync = handle.readSync.bind(handle)
    const readLater = handle.read.bind(handle)
    handle.readSync = (buffer, offset, length, position) => {
      this.bytesRead += length
      return readSync(buffer, offset, length, position)
    }
    handle.read = async (buffer, offset, length, position) => {
      this.bytesRead += length
      if (path.endsWith('.log')) await this.onRead()
      return readLater(buffer, offset, length, position)
    }
    return handle
  }
}

async function waitingTopic(): Promise<[Topic, ManualClock]> {
  return [await openTopic(new MemoryFileSystem()), new ManualClock()]
}

function assertLetGo(topic: Topic, time: ManualClock): void {
  assert.equal(topic.listeners.size, 0)
  assert.equal(time.pendingTimers, 0)
}

async function partitionsWithRecords(set: FixtureSet): Promise<FixturePartition[]> {
  const partitions = await loadPartitions(set)
  return partitions.filter(
    ({ topic, expected }) => !topic.startsWith('__') && expected.records.length > 0,
  )
}

function isReadable({ batches }: ExpectedPartition, offset: number): boolean {
  const codec = batches.find((each) => offset >= each.baseOffset && offset <= each.lastOffset)
  return codec?.compresscodec !== 'snappy'
}

async function openFixture(
  { topic, expected }: FixturePartition,
  directory: string,
): Promise<Topic> {
  const { partition, logStartOffset, logEndOffset: recoveryPoint } = expected
  const place = { topic, partition, directory, isClean: true, recoveryPoint, logStartOffset }
  return topicOf([await openLog(nodeFileSystem, place)], { key: 'bytes', serializer: bytes })
}

function assertIs(found: LogRecord | undefined, wanted: ExpectedRecord): void {
  const { offset, timestamp, key, value } = wanted
  assert.deepEqual([found?.offset, found?.timestamp], [offset, timestamp])
  // Long ones are given by their hash.
  if (key !== undefined) assert.equal(base64(found?.key), key)
  if (value !== undefined) assert.equal(base64(found?.value), value)
}

async function fetchAll(topic: Topic, from: number): Promise<LogRecord[]> {
  const found: LogRecord[] = []
  for (let offset = from; offset < logOf(topic).highWatermark; ) {
    const page = await fetchFrom(topic, clock, {
      offset,
      onCorrupt: 'skip',
      isolationLevel: 'read_uncommitted',
    })
    found.push(...page.records)
    assert.ok(page.nextOffset > offset)
    offset = page.nextOffset
  }
  return found
}

function base64(field: unknown): string | null {
  return Buffer.isBuffer(field) ? field.toString('base64') : null
}
