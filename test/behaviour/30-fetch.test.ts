// Fetching pages of records, waiting for them, and looking offsets up.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { FetchOptions, FetchResult, Log } from '../../src/index.ts'
import { CorruptLogError, OffsetOutOfRangeError } from '../../src/index.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const LOG_FILE = '00000000000000000000.log'
const START = { partition: 0, offset: 0 } as const

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

function offsetsOf({ records }: FetchResult): number[] {
  return records.map(({ offset }) => offset)
}

function valuesOf({ records }: FetchResult): unknown[] {
  return records.map(({ value }) => value)
}

/** Whether a call is still waiting, after some turns of the event loop. */
async function isWaiting(call: Promise<unknown>): Promise<boolean> {
  let settled = false
  const done = (): void => {
    settled = true
  }
  call.then(done, done)
  for (let turn = 0; turn < 10; turn += 1) await nextTurn()
  return !settled
}

/** A log with one topic, t, whose records 0 to count - 1 lie in a batch each. */
async function filled(place: Place, count: number, options: object = {}): Promise<Log> {
  const log = (await place.open({ topics: { t: {} }, ...options })) as unknown as Log
  for (let value = 0; value < count; value += 1) await log.produce('t', { value })
  return log
}

suite('a fetch', () => {
  onDiskAndInMemory(
    'gives records with all their fields, and where the log and the next fetch begin and end',
    async (place) => {
      const log = await place.open({ topics: { t: { partitions: 2 } } })
      const headers = { trace: 'x' }
      await log.produce('t', { key: 'k', value: { a: 1 }, headers, timestamp: 77, partition: 1 })
      const { records, ...rest } = await log.fetch('t', { partition: 1, offset: 0 })
      assert.deepEqual(rest, {
        topic: 't',
        partition: 1,
        nextOffset: 1,
        logStartOffset: 0,
        logEndOffset: 1,
        highWatermark: 1,
        lastStableOffset: 1,
      })
      assert.deepEqual(
        records.map((record) => ({ ...record })),
        [
          {
            topic: 't',
            partition: 1,
            offset: 0,
            timestamp: 77,
            key: 'k',
            value: { a: 1 },
            headers: { trace: Buffer.from('x') },
          },
        ],
      )
    },
  )

  onDiskAndInMemory('at the end is empty, and stays where it is', async (place) => {
    const log = await filled(place, 3)
    const page = await log.fetch('t', { partition: 0, offset: 3 })
    assert.deepEqual([page.records, page.nextOffset, page.logEndOffset], [[], 3, 3])
  })

  onDiskAndInMemory('from each offset begins there, also within a batch', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    await log.produce(
      't',
      Array.from({ length: 50 }, (_, value) => ({ value })),
    )
    for (const offset of [0, 1, 25, 49]) {
      const { records, nextOffset } = await log.fetch('t', { partition: 0, offset })
      assert.equal(records[0]?.offset, offset)
      assert.equal(records[0]?.value, offset)
      assert.equal(nextOffset, (records.at(-1)?.offset ?? 0) + 1)
    }
  })

  onDiskAndInMemory('followed by its nextOffset comes past every record once', async (place) => {
    const log = (await place.open({ topics: { t: { segmentBytes: 2048 } } })) as unknown as Log
    for (let n = 0; n < 40; n += 1) {
      await log.produce(
        't',
        Array.from({ length: (n % 5) + 1 }, () => ({ value: 'x'.repeat(50) })),
      )
    }
    for (const options of [{}, { maxBytes: 1 }, { maxBytes: 300 }, { maxRecords: 3 }]) {
      const seen: number[] = []
      for (let offset = 0; ; ) {
        const page = await log.fetch('t', { partition: 0, offset, ...options })
        if (page.records.length === 0) break
        seen.push(...offsetsOf(page))
        offset = page.nextOffset
      }
      assert.deepEqual(
        seen,
        Array.from({ length: 120 }, (_, offset) => offset),
        JSON.stringify(options),
      )
    }
  })

  onDiskAndInMemory('gives at most maxRecords', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    await log.produce(
      't',
      Array.from({ length: 10 }, (_, value) => ({ value })),
    )
    for (const maxRecords of [1, 3, 10, 100, Number.POSITIVE_INFINITY]) {
      const page = await log.fetch('t', { ...START, maxRecords })
      assert.equal(page.records.length, Math.min(10, maxRecords))
      assert.equal(page.nextOffset, page.records.length)
    }
  })

  onDiskAndInMemory(
    'gives no more bytes of batches than maxBytes, but one record at least',
    async (place) => {
      const log = await place.open({ topics: { t: { value: 'bytes' } } })
      for (let n = 0; n < 10; n += 1) await log.produce('t', { value: Buffer.alloc(1000) })
      assert.deepEqual(
        offsetsOf((await log.fetch('t', { ...START, maxBytes: 1 })) as FetchResult),
        [0],
      )
      assert.deepEqual(
        offsetsOf((await log.fetch('t', { ...START, maxBytes: 3500 })) as FetchResult),
        [0, 1, 2],
      )
      assert.deepEqual(
        offsetsOf((await log.fetch('t', { partition: 0, offset: 7, maxBytes: 1 })) as FetchResult),
        [7],
      )
    },
  )

  onDiskAndInMemory(
    'gives the same from a log whose tail is in memory and from one that was just opened',
    async (place) => {
      const log = await filled(place, 200)
      const inMemory = valuesOf(await log.fetch('t', { ...START, maxRecords: 50 }))
      const cold = (await place.reopen(log, { cacheBytes: 0 })) as Log
      assert.deepEqual(valuesOf(await cold.fetch('t', { ...START, maxRecords: 50 })), inMemory)
      assert.deepEqual(
        inMemory,
        Array.from({ length: 50 }, (_, n) => n),
      )
    },
  )

  onDiskAndInMemory(
    'between the high watermark and the log end is empty, and no error',
    async (place) => {
      const log = await filled(place, 1)
      await log.produce('t', { value: 1 }, { durability: 'os' })
      for (const offset of [1, 2]) {
        const page = await log.fetch('t', { partition: 0, offset })
        assert.deepEqual(
          [page.records, page.nextOffset, page.highWatermark, page.logEndOffset],
          [[], offset, 1, 2],
        )
      }
    },
  )

  onDiskAndInMemory('below the start or past the end rejects with the range', async (place) => {
    const log = await filled(place, 5)
    await log.deleteRecords('t', { partition: 0, before: 2 })
    for (const offset of [0, 1, 6, Number.MAX_SAFE_INTEGER]) {
      await assert.rejects(
        log.fetch('t', { partition: 0, offset, maxWaitMs: 1000 }),
        (error: unknown) => {
          assert.ok(error instanceof OffsetOutOfRangeError)
          const { code, requested, start, end, message } = error
          assert.deepEqual([code, requested, start, end], ['OFFSET_OUT_OF_RANGE', offset, 2, 5])
          assert.match(message, new RegExp(`t-0.*${offset}.*2 to 5`))
          return true
        },
      )
    }
    assert.deepEqual(valuesOf(await log.fetch('t', { partition: 0, offset: 2 })), [2, 3, 4])
  })

  onDiskAndInMemory(
    'with misuse rejects with a TypeError or RangeError, and does not throw',
    async (place) => {
      const log = await filled(place, 1)
      const misuses: readonly unknown[] = [
        undefined,
        null,
        7,
        {},
        { partition: 0 },
        { offset: 0 },
        { partition: -1, offset: 0 },
        { partition: '0', offset: 0 },
        { ...START, offset: -1 },
        { ...START, offset: 1.5 },
        { ...START, offset: 1n },
        { ...START, maxBytes: 0 },
        { ...START, maxRecords: 0 },
        { ...START, minBytes: -1 },
        { ...START, maxWaitMs: Number.NaN },
        { ...START, maxWaitMs: '5' },
        { ...START, signal: 5 },
        { ...START, onCorrupt: 'ignore' },
        { ...START, max: 5 },
      ]
      for (const misuse of misuses) {
        let call: Promise<unknown> | undefined
        assert.doesNotThrow(() => {
          call = log.fetch('t', misuse as FetchOptions)
        })
        await assert.rejects(call ?? Promise.resolve(), (error: unknown) => {
          assert.ok(
            error instanceof TypeError || error instanceof RangeError,
            `${JSON.stringify(String(misuse))}: ${error}`,
          )
          return true
        })
      }
      await assert.rejects(
        log.fetch('t', { ...START, maxWaitMS: 5 } as FetchOptions),
        /did you mean maxWaitMs/,
      )
    },
  )
})

suite('a waiting fetch', () => {
  onDiskAndInMemory('is woken by an append, with no timer', async (place) => {
    const log = await filled(place, 0)
    const waiting = log.fetch('t', { ...START, maxWaitMs: 60_000 })
    assert.ok(await isWaiting(waiting))
    await log.produce('t', { value: 'news' })
    assert.deepEqual(valuesOf(await waiting), ['news'])
    assert.equal(place.clock.now(), Date.UTC(2026, 0, 1), 'time has stood still')
  })

  onDiskAndInMemory('of many is woken as well, each at its own offset', async (place) => {
    const log = await filled(place, 2)
    const waiting = Array.from({ length: 20 }, () =>
      log.fetch('t', { partition: 0, offset: 2, maxWaitMs: 60_000 }),
    )
    const other = log.fetch('t', { partition: 0, offset: 2, maxWaitMs: 60_000, maxRecords: 1 })
    await log.produce('t', [{ value: 'a' }, { value: 'b' }])
    for (const page of await Promise.all(waiting)) assert.deepEqual(valuesOf(page), ['a', 'b'])
    assert.deepEqual(valuesOf(await other), ['a'])
  })

  onDiskAndInMemory('is not woken by another partition', async (place) => {
    const log = await place.open({ topics: { t: { partitions: 2 } } })
    const waiting = log.fetch('t', { ...START, maxWaitMs: 1000 })
    await log.produce('t', { value: 1, partition: 1 })
    assert.ok(await isWaiting(waiting))
    await place.clock.advance(1000)
    assert.deepEqual((await waiting).records, [])
  })

  onDiskAndInMemory("of a 'disk' topic is woken by the sync, not by the write", async (place) => {
    const log = await filled(place, 1)
    place.fileSystem.holdSyncs()
    const waiting = log.fetch('t', { partition: 0, offset: 1, maxWaitMs: 60_000 })
    const early = await log.produce('t', { value: 'os' }, { durability: 'os' })
    assert.equal(early.durability, 'os')
    const late = log.produce('t', { value: 'disk' })
    assert.ok(await isWaiting(waiting))
    place.fileSystem.releaseSyncs()
    assert.equal(valuesOf(await waiting)[0], 'os')
    await late
  })

  onDiskAndInMemory('is answered at once where there is something already', async (place) => {
    const log = await filled(place, 1)
    assert.deepEqual(valuesOf(await log.fetch('t', { ...START, maxWaitMs: 60_000 })), [0])
    assert.equal(place.clock.pendingTimers > 0, true)
  })

  onDiskAndInMemory(
    'is answered with what there is when its time is up, by the clock',
    async (place) => {
      const log = await filled(place, 1)
      const waiting = log.fetch('t', { partition: 0, offset: 1, maxWaitMs: 500 })
      await place.clock.advance(499)
      assert.ok(await isWaiting(waiting))
      await place.clock.advance(1)
      const page = await waiting
      assert.deepEqual([page.records, page.nextOffset], [[], 1])
    },
  )

  onDiskAndInMemory('waits until there are minBytes, or its time is up', async (place) => {
    const log = await place.open({ topics: { t: { value: 'bytes' } } })
    const value = Buffer.alloc(400)
    await log.produce('t', { value })
    const enough = log.fetch('t', { ...START, minBytes: 1000, maxWaitMs: 60_000 })
    const tooMuch = log.fetch('t', { ...START, minBytes: 1_000_000, maxWaitMs: 500 })
    assert.ok(await isWaiting(enough))
    await log.produce('t', { value })
    assert.ok(await isWaiting(enough))
    await log.produce('t', { value })
    assert.equal((await enough).records.length, 3)
    assert.ok(await isWaiting(tooMuch))
    await place.clock.advance(500)
    assert.equal((await tooMuch).records.length, 3)
  })

  onDiskAndInMemory('does not wait for minBytes where it has no time', async (place) => {
    const log = await filled(place, 1)
    assert.deepEqual(valuesOf(await log.fetch('t', { ...START, minBytes: 1_000_000 })), [0])
  })

  onDiskAndInMemory(
    "rejects with its signal's reason, and leaves nothing behind",
    async (place) => {
      const log = await filled(place, 0)
      const timers = place.clock.pendingTimers
      const aborting = new AbortController()
      const waiting = log.fetch('t', { ...START, maxWaitMs: 60_000, signal: aborting.signal })
      const outcome = assert.rejects(waiting, { name: 'AbortError' })
      assert.equal(place.clock.pendingTimers, timers + 1)
      aborting.abort()
      await outcome
      assert.equal(place.clock.pendingTimers, timers)
      const reason = new Error('enough')
      await assert.rejects(log.fetch('t', { ...START, signal: AbortSignal.abort(reason) }), reason)
    },
  )

  onDiskAndInMemory('is woken by flush for what was written at os', async (place) => {
    const log = await filled(place, 0)
    await log.produce('t', { value: 1 }, { durability: 'os' })
    const waiting = log.fetch('t', { ...START, maxWaitMs: 60_000 })
    assert.ok(await isWaiting(waiting))
    await log.flush()
    assert.deepEqual(valuesOf(await waiting), [1])
  })

  onDiskAndInMemory('in a loop with produces sees every record once, in order', async (place) => {
    const log = await filled(place, 0)
    const seen: unknown[] = []
    const reading = (async () => {
      for (let offset = 0; seen.length < 500; ) {
        const page = await log.fetch('t', { partition: 0, offset, maxWaitMs: 60_000 })
        seen.push(...valuesOf(page))
        offset = page.nextOffset
      }
    })()
    for (let value = 0; value < 500; value += 1) {
      const call = log.produce('t', { value })
      if (value % 7 === 0) await call
    }
    await reading
    assert.deepEqual(
      seen,
      Array.from({ length: 500 }, (_, value) => value),
    )
  })
})

suite('damage', () => {
  /** Three batches, the second of which has a byte changed while the log was closed. */
  async function damaged(place: Place): Promise<{ log: Log; position: number }> {
    const before = await filled(place, 1)
    const position = place.readFile('t-0', LOG_FILE).length
    await before.produce('t', { value: 'damaged' })
    await before.produce('t', { value: 'behind' })
    await before.close()
    const content = place.readFile('t-0', LOG_FILE)
    content.writeUInt8(content.readUInt8(position + 70) ^ 1, position + 70)
    await place.writeFile(content, 't-0', LOG_FILE)
    return { log: await place.open(), position }
  }

  onDiskAndInMemory(
    'is a CorruptLogError with file and position, and what lies before it is read',
    async (place) => {
      const { log, position } = await damaged(place)
      assert.deepEqual(valuesOf(await log.fetch('t', { ...START, maxRecords: 1 })), [0])
      await assert.rejects(log.fetch('t', { partition: 0, offset: 1 }), (error: unknown) => {
        assert.ok(error instanceof CorruptLogError)
        assert.equal(error.code, 'CORRUPT_LOG')
        assert.equal(error.position, position)
        assert.equal(error.file, place.path('t-0', LOG_FILE))
        return true
      })
      assert.deepEqual(valuesOf(await log.fetch('t', { partition: 0, offset: 2 })), ['behind'])
    },
  )

  onDiskAndInMemory("is passed with onCorrupt 'skip'", async (place) => {
    const { log } = await damaged(place)
    const page = await log.fetch('t', { partition: 0, offset: 1, onCorrupt: 'skip' })
    assert.deepEqual(valuesOf(page), ['behind'])
    assert.equal(page.nextOffset, 3)
    const seen: unknown[] = []
    for await (const { value } of log.read('t', { until: 'end', onCorrupt: 'skip' }))
      seen.push(value)
    assert.deepEqual(seen, [0, 'behind'])
  })

  onDiskAndInMemory('rejects a read where it comes to it, once', async (place) => {
    const { log } = await damaged(place)
    const reading = log.read('t', { until: 'end' })[Symbol.asyncIterator]()
    assert.equal((await reading.next()).value.value, 0)
    await assert.rejects(reading.next(), CorruptLogError)
    assert.equal((await reading.next()).done, true)
  })
})

suite('an offset by time', () => {
  onDiskAndInMemory(
    'is the first whose timestamp is at or after it, or undefined where there is none',
    async (place) => {
      const log = await place.open({
        topics: { t: { segmentBytes: 1024, indexIntervalBytes: 100 } },
      })
      for (let n = 0; n < 100; n += 1)
        await log.produce('t', { value: 'x'.repeat(40), timestamp: 1000 + 10 * n })
      const expected = (timestamp: number): number | undefined => {
        const offset = Math.max(0, Math.ceil((timestamp - 1000) / 10))
        return offset < 100 ? offset : undefined
      }
      const times = [0, 999, 1000, 1001, 1010, 1405, 1500, 1989, 1990, 1991, 5000]
      const again = await place.reopen(log, {})
      for (const timestamp of times) {
        const found = await again.offsetForTimestamp('t', { partition: 0, timestamp })
        assert.equal(found, expected(timestamp), String(timestamp))
      }
    },
  )

  onDiskAndInMemory('within a batch is that of the record', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    await log.produce(
      't',
      [5, 1, 9, 7].map((timestamp) => ({ value: 0, timestamp })),
    )
    const found = [0, 5, 6, 8, 9, 10].map((timestamp) =>
      log.offsetForTimestamp('t', { partition: 0, timestamp }),
    )
    assert.deepEqual(await Promise.all(found), [0, 0, 2, 2, 2, undefined])
  })

  onDiskAndInMemory('is not below the log start', async (place) => {
    const log = await filled(place, 5)
    await log.deleteRecords('t', { partition: 0, before: 3 })
    assert.equal(await log.offsetForTimestamp('t', { partition: 0, timestamp: 0 }), 3)
  })

  onDiskAndInMemory('of the beginning and the end is earliest and latest', async (place) => {
    const log = await filled(place, 5)
    assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 5, lastStable: 5 })
    await log.deleteRecords('t', { partition: 0, before: 2 })
    assert.deepEqual(await log.offsets('t', 0), { earliest: 2, latest: 5, lastStable: 5 })
  })

  onDiskAndInMemory('with misuse rejects', async (place) => {
    const log = await filled(place, 1)
    for (const timestamp of [-1, 1.5, '5', undefined, new Date()]) {
      await assert.rejects(
        log.offsetForTimestamp('t', { partition: 0, timestamp: timestamp as number }),
        (error: unknown) => {
          assert.ok(error instanceof TypeError || error instanceof RangeError)
          return true
        },
      )
    }
    await assert.rejects(
      log.offsetForTimestamp('t', undefined as unknown as { partition: number; timestamp: number }),
      TypeError,
    )
  })
})

suite('deleteRecords', () => {
  onDiskAndInMemory('lets readers begin at an offset, for good', async (place) => {
    const log = await filled(place, 5)
    assert.deepEqual(await log.deleteRecords('t', { partition: 0, before: 3 }), {
      logStartOffset: 3,
    })
    const again = (await place.reopen(log, {})) as Log
    assert.deepEqual(await again.offsets('t', 0), { earliest: 3, latest: 5, lastStable: 5 })
    assert.deepEqual(valuesOf(await again.fetch('t', { partition: 0, offset: 3 })), [3, 4])
    assert.deepEqual(await again.deleteRecords('t', { partition: 0, before: 1 }), {
      logStartOffset: 3,
    })
  })

  onDiskAndInMemory('past the high watermark is refused', async (place) => {
    const log = await filled(place, 2)
    await assert.rejects(log.deleteRecords('t', { partition: 0, before: 3 }), {
      name: 'OffsetOutOfRangeError',
      requested: 3,
      start: 0,
      end: 2,
    })
    assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 2, lastStable: 2 })
  })
})
