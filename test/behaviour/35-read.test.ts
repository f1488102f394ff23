// Reading with an iterator: one or all partitions, bounded or live.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { Log, LogRecord, ReadOptions, RecordBatch } from '../../src/index.ts'
import { OffsetOutOfRangeError } from '../../src/index.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

async function valuesOf(records: AsyncIterable<LogRecord>): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const { value } of records) values.push(value)
  return values
}

async function isWaiting(call: Promise<unknown>): Promise<boolean> {
  let settled = false
  const done = (): void => {
    settled = true
  }
  call.then(done, done)
  for (let turn = 0; turn < 10; turn += 1) await nextTurn()
  return !settled
}

/** A log with the topic t: in each partition records 0 to count - 1, a batch each, with their number as value and 1000 + 10 times it as timestamp. */
async function filled(place: Place, partitions: number, count: number): Promise<Log> {
  const log = (await place.open({ topics: { t: { partitions } } })) as unknown as Log
  for (let n = 0; n < count; n += 1) {
    for (let partition = 0; partition < partitions; partition += 1) {
      await log.produce('t', { value: n, partition, timestamp: 1000 + 10 * n })
    }
  }
  return log
}

suite('a bounded read', () => {
  onDiskAndInMemory('gives every record of a partition, in order, and ends', async (place) => {
    const log = await filled(place, 1, 20)
    assert.deepEqual(
      await valuesOf(log.read('t', { until: 'end' })),
      Array.from({ length: 20 }, (_, n) => n),
    )
  })

  onDiskAndInMemory('of an empty topic ends at once', async (place) => {
    const log = await filled(place, 3, 0)
    assert.deepEqual(await valuesOf(log.read('t', { until: 'end' })), [])
  })

  onDiskAndInMemory(
    'ends at what was the end when it began, whatever is appended meanwhile',
    async (place) => {
      const log = await filled(place, 1, 5)
      const seen: unknown[] = []
      for await (const { value } of log.read('t', { until: 'end' })) {
        seen.push(value)
        await log.produce('t', { value: 'later' })
      }
      assert.deepEqual(seen, [0, 1, 2, 3, 4])
    },
  )

  onDiskAndInMemory(
    'over all partitions gives every record, in order within each',
    async (place) => {
      const log = await filled(place, 3, 10)
      const seen: unknown[][] = [[], [], []]
      for await (const { partition, value } of log.read('t', { until: 'end' }))
        seen[partition]?.push(value)
      const each = Array.from({ length: 10 }, (_, n) => n)
      assert.deepEqual(seen, [each, each, each])
    },
  )

  onDiskAndInMemory('takes a page of each partition in turn', async (place) => {
    const log = await filled(place, 3, 4)
    const pages: number[] = []
    for await (const page of log.read('t', { until: 'end', maxBytes: 1 }).batches())
      pages.push(page.partition)
    assert.deepEqual(pages, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2])
  })

  onDiskAndInMemory('of some partitions leaves the others out', async (place) => {
    const log = await filled(place, 4, 3)
    const partitionsOf = async (options: ReadOptions): Promise<number[]> => {
      const seen = new Set<number>()
      for await (const { partition } of log.read('t', { until: 'end', ...options }))
        seen.add(partition)
      return [...seen].sort()
    }
    assert.deepEqual(await partitionsOf({ partition: 2 }), [2])
    assert.deepEqual(await partitionsOf({ partitions: [3, 1] }), [1, 3])
    assert.deepEqual(await partitionsOf({}), [0, 1, 2, 3])
  })
})

suite('where a read begins', () => {
  const CASES: readonly (readonly [string, ReadOptions, readonly number[]])[] = [
    ["'earliest'", { from: 'earliest' }, [2, 3, 4, 5]],
    ['nothing', {}, [2, 3, 4, 5]],
    ["'latest'", { from: 'latest' }, []],
    ['an offset', { from: 4 }, [4, 5]],
    ['the log end offset', { from: 6 }, []],
    ['a time', { from: { timestamp: 1031 } }, [4, 5]],
    ['a time before all', { from: { timestamp: 0 } }, [2, 3, 4, 5]],
    ['a time after all', { from: { timestamp: 9999 } }, []],
    ['a Date', { from: new Date(1050) }, [5]],
  ]
  for (const [what, options, expected] of CASES) {
    onDiskAndInMemory(`is told by ${what}`, async (place) => {
      const log = await filled(place, 1, 6)
      await log.deleteRecords('t', { partition: 0, before: 2 })
      assert.deepEqual(await valuesOf(log.read('t', { ...options, until: 'end' })), expected)
    })
  }

  onDiskAndInMemory(
    'is told for each partition by a Map; those it leaves out are read whole, also new ones',
    async (place) => {
      const log = await filled(place, 3, 4)
      const from = new Map([
        [1, 3],
        [2, 4],
      ])
      assert.deepEqual(await valuesOf(log.read('t', { from, until: 'end' })), [0, 1, 2, 3, 3])
      const reading = log.read('t', { from })
      from.set(0, 4)
      const seen: string[] = []
      for await (const { partition, offset } of reading) {
        seen.push(`${partition}:${offset}`)
        if (seen.length === 5) await log.addPartitions('t', 4)
        if (seen.length === 5) await log.produce('t', { value: 9, partition: 3 })
        if (seen.length === 6) break
      }
      assert.deepEqual(seen, ['0:0', '0:1', '0:2', '0:3', '1:3', '3:0'])
    },
  )

  onDiskAndInMemory('by a Map is held to each partition', async (place) => {
    const log = await filled(place, 2, 3)
    await log.deleteRecords('t', { partition: 1, before: 1 })
    for (const offset of [0, 4]) {
      const reading = log.read('t', { from: new Map([[1, offset]]) })[Symbol.asyncIterator]()
      await assert.rejects(reading.next(), { code: 'OFFSET_OUT_OF_RANGE', requested: offset })
    }
    assert.throws(() => log.read('t', { from: new Map([[2, 0]]) }), { code: 'UNKNOWN_PARTITION' })
  })

  onDiskAndInMemory(
    'is found for each partition by itself where a time is given',
    async (place) => {
      const log = await place.open({ topics: { t: { partitions: 2 } } })
      await log.produce(
        't',
        [1, 2, 3].map((n) => ({ value: n, timestamp: n * 10, partition: 0 })),
      )
      await log.produce(
        't',
        [4, 5, 6].map((n) => ({ value: n, timestamp: (n - 3) * 15, partition: 1 })),
      )
      const values = await valuesOf(
        log.read('t', { from: { timestamp: 25 }, until: 'end' }) as AsyncIterable<LogRecord>,
      )
      assert.deepEqual(values, [3, 5, 6])
    },
  )

  onDiskAndInMemory('outside the log is an OffsetOutOfRangeError, told once', async (place) => {
    const log = await filled(place, 1, 3)
    await log.deleteRecords('t', { partition: 0, before: 1 })
    for (const from of [0, 4]) {
      const reading = log.read('t', { from })[Symbol.asyncIterator]()
      await assert.rejects(reading.next(), (error: unknown) => {
        assert.ok(error instanceof OffsetOutOfRangeError)
        assert.deepEqual([error.requested, error.start, error.end], [from, 1, 3])
        return true
      })
      assert.deepEqual(await reading.next(), { value: undefined, done: true })
    }
  })

  onDiskAndInMemory('is decided by each iterator anew', async (place) => {
    const log = await filled(place, 1, 2)
    const records = log.read('t', { until: 'end' })
    assert.deepEqual(await valuesOf(records), [0, 1])
    await log.produce('t', { value: 2 })
    assert.deepEqual(await valuesOf(records), [0, 1, 2])
  })
})

suite('a live read', () => {
  onDiskAndInMemory('goes on with what is appended, with no timer', async (place) => {
    const log = await filled(place, 2, 1)
    const seen: unknown[] = []
    for await (const { value, partition } of log.read('t')) {
      seen.push(value)
      if (seen.length === 6) break
      if (seen.length >= 2) void log.produce('t', { value: seen.length, partition: 1 - partition })
    }
    assert.deepEqual(seen, [0, 0, 2, 3, 4, 5])
    assert.equal(place.clock.now(), Date.UTC(2026, 0, 1))
  })

  onDiskAndInMemory("from 'latest' gives what comes after it began", async (place) => {
    const log = await filled(place, 1, 3)
    const reading = log.read('t', { from: 'latest' })[Symbol.asyncIterator]()
    const next = reading.next()
    await log.produce('t', { value: 'new' })
    assert.equal((await next).value.value, 'new')
    await reading.return?.()
  })

  onDiskAndInMemory("of a 'disk' topic gives no record before it is synced", async (place) => {
    const log = await filled(place, 1, 1)
    const reading = log.read('t', { from: 'latest' })[Symbol.asyncIterator]()
    const next = reading.next()
    await log.produce('t', { value: 'os' }, { durability: 'os' })
    assert.ok(await isWaiting(next))
    await log.flush()
    assert.equal((await next).value.value, 'os')
    await reading.return?.()
  })

  onDiskAndInMemory('takes in partitions that are added', async (place) => {
    const log = await filled(place, 1, 1)
    const reading = log.read('t')[Symbol.asyncIterator]()
    assert.equal((await reading.next()).value.partition, 0)
    const next = reading.next()
    await log.addPartitions('t', 3)
    await log.produce('t', { value: 'added', partition: 2 })
    const { value: record } = await next
    assert.deepEqual([record.partition, record.offset, record.value], [2, 0, 'added'])
    await reading.return?.()
  })

  onDiskAndInMemory(
    'goes on at the log start where records were deleted before it came to them',
    async (place) => {
      const log = await filled(place, 1, 10)
      const seen: unknown[] = []
      for await (const { value } of log.read('t', { until: 'end', maxBytes: 1 })) {
        seen.push(value)
        if (seen.length === 2) await log.deleteRecords('t', { partition: 0, before: 7 })
      }
      assert.deepEqual(seen, [0, 1, 7, 8, 9])
    },
  )

  onDiskAndInMemory('that waits is ended by return, as break calls it', async (place) => {
    const log = await filled(place, 1, 0)
    const reading = log.read('t')[Symbol.asyncIterator]()
    const next = reading.next()
    assert.ok(await isWaiting(next))
    assert.deepEqual(await reading.return?.(), { value: undefined, done: true })
    assert.deepEqual(await next, { value: undefined, done: true })
    assert.deepEqual(await reading.next(), { value: undefined, done: true })
  })

  onDiskAndInMemory("rejects with its signal's reason, and has ended then", async (place) => {
    const log = await filled(place, 1, 1)
    const aborting = new AbortController()
    const reading = log.read('t', { signal: aborting.signal })[Symbol.asyncIterator]()
    await reading.next()
    const outcome = assert.rejects(reading.next(), { name: 'AbortError' })
    aborting.abort()
    await outcome
    assert.equal((await reading.next()).done, true)
    const reason = new Error('enough')
    await assert.rejects(valuesOf(log.read('t', { signal: AbortSignal.abort(reason) })), reason)
  })

  onDiskAndInMemory('rejects with UNKNOWN_TOPIC where its topic is deleted', async (place) => {
    const log = await filled(place, 1, 1)
    const reading = log.read('t')[Symbol.asyncIterator]()
    await reading.next()
    const outcome = assert.rejects(reading.next(), { code: 'UNKNOWN_TOPIC' })
    await log.deleteTopic('t')
    await outcome
    assert.equal((await reading.next()).done, true)
  })

  onDiskAndInMemory('asked several times at once answers in order', async (place) => {
    const log = await filled(place, 1, 3)
    const reading = log.read('t')[Symbol.asyncIterator]()
    const calls = Array.from({ length: 5 }, () => reading.next())
    await log.produce('t', [{ value: 3 }, { value: 4 }])
    const values = (await Promise.all(calls)).map(({ value }) => value.value)
    assert.deepEqual(values, [0, 1, 2, 3, 4])
    await reading.return?.()
  })

  onDiskAndInMemory('of one that is slow holds up no other', async (place) => {
    const log = await filled(place, 1, 10)
    const slow = log.read('t')[Symbol.asyncIterator]()
    await slow.next()
    assert.equal((await valuesOf(log.read('t', { until: 'end' }))).length, 10)
    await log.produce('t', { value: 'next' })
    await slow.return?.()
  })
})

suite('batches', () => {
  onDiskAndInMemory(
    'are the pages of a read, each of one partition, with the offset behind it',
    async (place) => {
      const log = await filled(place, 2, 5)
      const pages: RecordBatch[] = []
      for await (const page of log.read('t', { until: 'end', maxBytes: 200 }).batches())
        pages.push(page)
      assert.ok(pages.length >= 4)
      for (const { topic, partition, records, nextOffset, highWatermark } of pages) {
        assert.ok(records.length > 0)
        assert.ok(
          records.every((record) => record.topic === topic && record.partition === partition),
        )
        assert.equal(nextOffset, (records.at(-1)?.offset ?? 0) + 1)
        assert.equal(highWatermark, 5)
      }
      assert.equal(pages.flatMap(({ records }) => records).length, 10)
    },
  )

  onDiskAndInMemory('serve to commit what has been done, and to go on there', async (place) => {
    const log = await filled(place, 1, 6)
    for await (const { topic, partition, nextOffset } of log.read('t', { maxBytes: 1 }).batches()) {
      await log.commitOffset('g', { topic, partition, offset: nextOffset })
      if (nextOffset === 4) break
    }
    const again = (await place.reopen(log, {})) as Log
    const [committed] = await again.committedOffsets('g')
    const from = committed?.offset ?? 0
    assert.equal(from, 4)
    assert.deepEqual(await valuesOf(again.read('t', { partition: 0, from, until: 'end' })), [4, 5])
  })
})

suite('read with misuse', () => {
  const MISUSES: readonly unknown[] = [
    7,
    { partition: -1 },
    { partition: '0' },
    { partitions: [] },
    { partitions: [0, 0] },
    { partitions: 0 },
    { partition: 0, partitions: [1] },
    { from: -1 },
    { from: 'first' },
    { from: {} },
    { from: new Map([[0, -1]]) },
    { from: new Map([[1, 0]]), partition: 0 },
    { from: new Date(Number.NaN) },
    { from: 0 },
    { from: 0, partitions: [0, 1] },
    { until: 'now' },
    { maxBytes: 0 },
    { signal: 'stop' },
    { onCorrupt: 'ignore' },
  ]
  onDiskAndInMemory('is a TypeError or RangeError', async (place) => {
    const log = await filled(place, 2, 1)
    for (const misuse of MISUSES) {
      const call = (): unknown => log.read('t', misuse as ReadOptions)
      assert.throws(call, (error: unknown) => {
        assert.ok(
          error instanceof TypeError || error instanceof RangeError,
          `${JSON.stringify(misuse)}: ${error}`,
        )
        return true
      })
    }
    assert.throws(
      () => log.read('t', { form: 0 } as ReadOptions),
      /read: unknown option form; did you mean from\?/,
    )
  })

  onDiskAndInMemory('of a topic or partition that is not there says so', async (place) => {
    const log = await filled(place, 2, 1)
    assert.throws(() => log.read('u'), { code: 'UNKNOWN_TOPIC' })
    assert.throws(() => log.read('t', { partition: 2 }), { code: 'UNKNOWN_PARTITION' })
    await log.close()
    assert.throws(() => log.read('t'), { code: 'CLOSED' })
  })
})
