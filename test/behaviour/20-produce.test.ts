// Producing records.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { Log, LogRecord, ProduceRecord, StandardSchemaV1 } from '../../src/index.ts'
import {
  LogError,
  MessageTooLargeError,
  OffsetConflictError,
  PartialProduceError,
  ValidationError,
} from '../../src/index.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { systemError } from '../support/scripted-file-system.ts'

/** All records that a reader of a partition sees. */
async function readAll(log: unknown, partition = 0, topic = 't'): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  const stream = (log as Log).read(topic, { partition, until: 'end' })
  for await (const record of stream) records.push(record)
  return records
}

async function valuesIn(log: unknown, partition = 0): Promise<unknown[]> {
  return (await readAll(log, partition)).map(({ value }) => value)
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Calls `produce` with anything; that it answers with a promise is part of what is tested. */
function produceAnything(log: unknown, record: unknown, options?: unknown): Promise<unknown> {
  let answer: unknown
  assert.doesNotThrow(() => {
    answer = (log as Log).produce('t', record as ProduceRecord, options as object)
  })
  assert.ok(answer instanceof Promise)
  return answer
}

suite('an acknowledgement', () => {
  onDiskAndInMemory('of one record says partition, offset, timestamp and level', async (place) => {
    const log = await place.open({ topics: { t: { partitions: 2 } } })
    const timestamp = place.clock.now()
    assert.deepEqual(await log.produce('t', { value: 'a', partition: 1 }), {
      partition: 1,
      offset: 0,
      timestamp,
      durability: 'disk',
    })
    assert.deepEqual(await log.produce('t', { value: 'b', partition: 1 }), {
      partition: 1,
      offset: 1,
      timestamp,
      durability: 'disk',
    })
  })

  onDiskAndInMemory(
    'of several says for each partition that was touched its first and last offset',
    async (place) => {
      const log = await place.open({ topics: { t: { partitions: 3 } } })
      const records = [2, 0, 2, 2].map((partition, n) => ({
        value: n,
        partition,
        timestamp: 100 * (4 - n),
      }))
      assert.deepEqual(await log.produce('t', records), [
        { partition: 0, baseOffset: 0, lastOffset: 0, timestamp: 300, durability: 'disk' },
        { partition: 2, baseOffset: 0, lastOffset: 2, timestamp: 400, durability: 'disk' },
      ])
      assert.deepEqual(await valuesIn(log, 2), [0, 2, 3], 'input order is kept within each')
      assert.deepEqual(await log.produce('t', [{ value: 4 }], { partition: 2 }), [
        {
          partition: 2,
          baseOffset: 3,
          lastOffset: 3,
          timestamp: place.clock.now(),
          durability: 'disk',
        },
      ])
    },
  )

  onDiskAndInMemory('of no records is empty', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    assert.deepEqual(await log.produce('t', []), [])
  })

  onDiskAndInMemory("at 'disk' comes after a sync that covers the record", async (place) => {
    const log = await place.open({ topics: { t: {} } })
    place.fileSystem.holdSyncs()
    let acknowledged = 0
    const calls = [1, 2, 3].map((value) =>
      log.produce('t', { value }).then(() => {
        acknowledged += 1
      }),
    )
    const file = place.path('t-0', `${'0'.repeat(20)}.log`)
    while ((await place.fileSystem.stat(file))?.size === 0) await nextTurn()
    for (let turn = 0; turn < 20; turn += 1) await nextTurn()
    assert.equal(acknowledged, 0)
    assert.deepEqual(
      await valuesIn(await (await place.killed()).open()),
      [1, 2, 3],
      'it was written',
    )
    place.fileSystem.releaseSyncs()
    await Promise.all(calls)
    assert.equal(acknowledged, 3)
  })

  onDiskAndInMemory(
    "at 'os' comes once the operating system has the bytes, without a sync",
    async (place) => {
      const log = await place.open({ topics: { t: {} }, durability: 'os' })
      const before = place.fileSystem.syncs
      assert.equal((await log.produce('t', { value: 1 })).durability, 'os')
      assert.equal(place.fileSystem.syncs, before)
      assert.deepEqual(await valuesIn(await (await place.killed()).open()), [1])
    },
  )

  onDiskAndInMemory(
    'has the level of the log, of the topic, or of the call, the nearest first',
    async (place) => {
      const topics = { t: {}, disk: { durability: 'disk' } } as const
      const log = await place.open({ topics, durability: 'os' })
      assert.equal((await log.produce('t', { value: 1 })).durability, 'os')
      assert.equal((await log.produce('disk', { value: 1 })).durability, 'disk')
      assert.equal(
        (await log.produce('t', { value: 1 }, { durability: 'disk' })).durability,
        'disk',
      )
      assert.equal(
        (await log.produce('disk', [{ value: 1 }], { durability: 'os' }))[0]?.durability,
        'os',
      )
    },
  )
})

suite('what readers see', () => {
  onDiskAndInMemory(
    "of a 'disk' topic ends at the high watermark: a call at 'os' is answered early and seen at the next sync",
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      assert.equal((await log.produce('t', { value: 'early' }, { durability: 'os' })).offset, 0)
      const page = await log.fetch('t', { partition: 0, offset: 0 })
      assert.deepEqual([page.records.length, page.highWatermark, page.logEndOffset], [0, 0, 1])
      assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 0, lastStable: 0 })
      for await (const _ of log.read('t', { until: 'end' })) assert.fail('a reader saw it')
      assert.equal(await log.offsetForTimestamp('t', { partition: 0, timestamp: 0 }), undefined)
      await place.clock.advance(1000)
      assert.deepEqual(await valuesIn(log), ['early'])
      assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 1, lastStable: 1 })
    },
  )

  onDiskAndInMemory(
    "of a 'disk' topic moves with flush, and with the sync of another call",
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 1 }, { durability: 'os' })
      await log.flush()
      assert.deepEqual(await valuesIn(log), [1])
      await log.produce('t', { value: 2 }, { durability: 'os' })
      await log.produce('t', { value: 3 })
      assert.deepEqual(await valuesIn(log), [1, 2, 3])
    },
  )

  onDiskAndInMemory(
    "of an 'os' topic is all that is written, before a call at 'disk' is acknowledged",
    async (place) => {
      const log = await place.open({ topics: { t: { durability: 'os' } } })
      place.fileSystem.holdSyncs()
      const call = log.produce('t', { value: 'late' }, { durability: 'disk' })
      const seen = await log.fetch('t', { partition: 0, offset: 0, maxWaitMs: 1000 })
      assert.deepEqual(
        seen.records.map(({ value }) => value),
        ['late'],
      )
      place.fileSystem.releaseSyncs()
      assert.equal((await call).durability, 'disk')
    },
  )

  onDiskAndInMemory(
    "of a 'disk' topic stays where it was after a failed sync, and the partition takes no more",
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 'kept' })
      place.fileSystem.rule = ({ name }) => (name === 'sync' ? systemError('EIO') : undefined)
      await assert.rejects(log.produce('t', { value: 'lost' }), {
        code: 'STORAGE_FAILED',
        retryable: false,
      })
      place.fileSystem.rule = undefined
      await assert.rejects(log.produce('t', { value: 'late' }), {
        code: 'STORAGE_FAILED',
        retryable: false,
      })
      const page = await log.fetch('t', { partition: 0, offset: 0 })
      assert.deepEqual(
        page.records.map(({ value }) => value),
        ['kept'],
      )
      assert.equal(page.highWatermark, 1)
      assert.equal((await log.describeTopic('t')).partitions[0]?.writable, false)
    },
  )

  onDiskAndInMemory(
    'is unchanged by a write for which there is no room, and writing works again once there is',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 1 })
      place.fileSystem.rule = ({ name, path }) =>
        name === 'write' && path.endsWith('.log') ? systemError('ENOSPC') : undefined
      await assert.rejects(log.produce('t', { value: 2 }), { code: 'DISK_FULL', retryable: true })
      place.fileSystem.rule = undefined
      assert.equal((await log.produce('t', { value: 3 })).offset, 1)
      assert.deepEqual(await valuesIn(log), [1, 3])
    },
  )
})

suite('the partition of a record', () => {
  const MURMUR2: readonly (readonly [string, number])[] = [
    ['21', -973932308],
    ['foobar', -790332482],
    ['a-little-bit-long-string', -985981536],
    ['a-little-bit-longer-string', -1486304829],
    ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ['abc', 479470107],
  ]
  onDiskAndInMemory("is murmur2 of its key, as Kafka's clients choose it", async (place) => {
    const log = await place.open({
      topics: { t: { partitions: 7 }, b: { partitions: 7, key: 'bytes' } },
    })
    for (const [key, hash] of MURMUR2) {
      const expected = (hash & 0x7fffffff) % 7
      assert.equal((await log.produce('t', { key, value: 0 })).partition, expected, key)
      assert.equal(
        (await log.produce('b', { key: Buffer.from(key), value: 0 })).partition,
        expected,
      )
    }
  })

  onDiskAndInMemory(
    'is the one that the record names, else the one of the call, whatever its key',
    async (place) => {
      const log = await place.open({ topics: { t: { partitions: 5 } } })
      const acks = await log.produce(
        't',
        [
          { key: 'k', value: 0, partition: 4 },
          { key: 'k', value: 1 },
        ],
        { partition: 3 },
      )
      assert.deepEqual(
        acks.map(({ partition }) => partition),
        [3, 4],
      )
    },
  )

  onDiskAndInMemory(
    'without a key stays until 16 KiB went there, then moves to another',
    async (place) => {
      const log = await place.open({
        topics: { t: { partitions: 3, value: 'bytes', durability: 'os' } },
      })
      const value = Buffer.alloc(1000)
      const chosen: number[] = []
      for (let n = 0; n < 100; n += 1) chosen.push((await log.produce('t', { value })).partition)
      const runs: number[] = []
      for (const [index, partition] of chosen.entries()) {
        if (partition === chosen[index - 1]) runs[runs.length - 1] = (runs.at(-1) ?? 0) + 1
        else runs.push(1)
      }
      assert.ok(runs.length >= 6, `runs ${runs}`)
      for (const run of runs.slice(0, -1)) assert.ok(run >= 16 && run <= 17, `runs ${runs}`)
    },
  )

  onDiskAndInMemory(
    "is what the topic's own partitioner makes of key, value and partition count",
    async (place) => {
      const asked: unknown[] = []
      const partitioner = (key: string | null, value: unknown, count: number): number => {
        asked.push([key, value, count])
        return count - 1
      }
      const log = await place.open({ topics: { t: { partitions: 4, partitioner } } })
      assert.equal((await log.produce('t', { key: 'k', value: { a: 1 } })).partition, 3)
      assert.equal((await log.produce('t', { value: null })).partition, 3)
      assert.equal((await log.produce('t', { value: 1, partition: 0 })).partition, 0)
      assert.deepEqual(asked, [
        ['k', { a: 1 }, 4],
        [null, null, 4],
      ])
    },
  )

  for (const answer of [4, -1, 1.5, Number.NaN, '1', undefined]) {
    onDiskAndInMemory(
      `is refused where the partitioner answers with ${JSON.stringify(answer) ?? 'nothing'}`,
      async (place) => {
        const partitioner = (): number => answer as number
        const log = await place.open({ topics: { t: { partitions: 4, partitioner } } })
        await assert.rejects(log.produce('t', { value: 1 }), /partitioner/)
      },
    )
  }
})

suite('the records of one call', () => {
  onDiskAndInMemory('to one partition are adjacent, also among concurrent calls', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const calls = Array.from({ length: 30 }, (_, n) =>
      log.produce(
        't',
        [0, 1, 2].map((index) => ({ value: [n, index] })),
      ),
    )
    const acks = (await Promise.all(calls)).flat()
    assert.deepEqual(
      acks.map(({ baseOffset, lastOffset }) => [baseOffset, lastOffset]),
      acks.map((_, n) => [3 * n, 3 * n + 2]),
    )
    assert.deepEqual(
      await valuesIn(log),
      acks.flatMap((_, n) => [
        [n, 0],
        [n, 1],
        [n, 2],
      ]),
    )
  })

  onDiskAndInMemory('are all refused where one of them is', async (place) => {
    const log = await place.open({ topics: { t: { partitions: 2 } } })
    const good = { value: 1, partition: 0 }
    for (const bad of [
      { value: undefined },
      { value: () => 1 },
      { value: 1, key: 7 },
      { value: 1, partition: 9 },
      7,
    ]) {
      await assert.rejects(produceAnything(log, [good, bad]))
    }
    assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 0, lastStable: 0 })
    assert.equal((await log.produce('t', good)).offset, 0)
  })

  onDiskAndInMemory(
    'are one batch: what would pass maxMessageBytes is refused with both sizes',
    async (place) => {
      const log = await place.open({ topics: { t: { value: 'bytes', maxMessageBytes: 1000 } } })
      const record = { value: Buffer.alloc(300) }
      await log.produce('t', [record, record, record])
      await assert.rejects(log.produce('t', [record, record, record, record]), (error: unknown) => {
        assert.ok(error instanceof MessageTooLargeError)
        assert.equal(error.code, 'MESSAGE_TOO_LARGE')
        assert.equal(error.limit, 1000)
        assert.ok(error.size > 1200 && error.size < 1400, String(error.size))
        assert.match(error.message, new RegExp(`${error.size}.*1000`))
        return true
      })
      await assert.rejects(log.produce('t', { value: Buffer.alloc(950) }), MessageTooLargeError)
      assert.equal((await log.produce('t', record)).offset, 3)
    },
  )

  onDiskAndInMemory('must fit into a segment as well', async (place) => {
    const log = await place.open({ topics: { t: { value: 'bytes', segmentBytes: 1024 } } })
    await assert.rejects(log.produce('t', { value: Buffer.alloc(1024) }), (error: unknown) => {
      assert.ok(error instanceof MessageTooLargeError)
      assert.equal(error.limit, 1024)
      assert.match(error.message, /segmentBytes/)
      return true
    })
  })

  onDiskAndInMemory(
    'that go to several partitions may fail in some, and the error says which took theirs',
    async (place) => {
      const log = await place.open({
        topics: { t: { partitions: 3, value: 'bytes', maxMessageBytes: 500 } },
      })
      const small = Buffer.alloc(10)
      const call = log.produce('t', [
        { value: small, partition: 2 },
        { value: Buffer.alloc(600), partition: 1 },
        { value: small, partition: 0 },
      ])
      await assert.rejects(call, (error: unknown) => {
        assert.ok(error instanceof PartialProduceError)
        assert.equal(error.code, 'PARTIAL_PRODUCE')
        const timestamp = place.clock.now()
        assert.deepEqual(error.acknowledged, [
          { partition: 0, baseOffset: 0, lastOffset: 0, timestamp, durability: 'disk' },
          { partition: 2, baseOffset: 0, lastOffset: 0, timestamp, durability: 'disk' },
        ])
        assert.deepEqual(
          error.failed.map(({ partition }) => partition),
          [1],
        )
        assert.ok(error.failed[0]?.error instanceof MessageTooLargeError)
        return true
      })
      assert.deepEqual(await log.offsets('t', 1), { earliest: 0, latest: 0, lastStable: 0 })
      assert.deepEqual(await log.offsets('t', 2), { earliest: 0, latest: 1, lastStable: 1 })
    },
  )
})

suite('concurrent calls', () => {
  onDiskAndInMemory('share a sync', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const before = place.fileSystem.syncs
    await Promise.all(Array.from({ length: 200 }, (_, value) => log.produce('t', { value })))
    const syncs = place.fileSystem.syncs - before
    assert.ok(syncs >= 1 && syncs <= 10, `${syncs} syncs`)
  })

  onDiskAndInMemory('share batches', async (place) => {
    const log = await place.open({ topics: { t: {}, u: {} } })
    for (let value = 0; value < 100; value += 1) await log.produce('t', { value })
    await Promise.all(Array.from({ length: 100 }, (_, value) => log.produce('u', { value })))
    const bytesOf = async (topic: string): Promise<number> =>
      (await log.describeTopic(topic)).partitions[0]?.sizeBytes ?? Number.NaN
    assert.ok((await bytesOf('u')) < (await bytesOf('t')) / 3)
  })

  onDiskAndInMemory('share batches within maxMessageBytes alone', async (place) => {
    const topics = { t: { value: 'bytes', maxMessageBytes: 1000 } } as const
    const log = await place.open({ topics })
    const value = Buffer.alloc(400)
    const acks = await Promise.all(Array.from({ length: 50 }, () => log.produce('t', { value })))
    assert.deepEqual(
      acks.map(({ offset }) => offset),
      acks.map((_, n) => n),
    )
    const page = await log.fetch('t', { partition: 0, offset: 0, maxBytes: 1000 })
    assert.equal(page.records.length, 2, 'a batch of two')
    assert.equal((await valuesIn(log)).length, 50)
  })

  onDiskAndInMemory(
    'land in the order in which they were made, awaited or not, at any level',
    async (place) => {
      const log = await place.open({ topics: { t: { segmentBytes: 4096 } } })
      const calls = Array.from({ length: 300 }, (_, n) =>
        log.produce('t', { value: `${n}`.padEnd(50) }, { durability: n % 3 === 0 ? 'os' : 'disk' }),
      )
      const acks = await Promise.all(calls)
      await log.flush()
      assert.deepEqual(
        acks.map(({ offset }) => offset),
        calls.map((_, n) => n),
      )
      assert.deepEqual(
        await valuesIn(log),
        calls.map((_, n) => `${n}`.padEnd(50)),
      )
      assert.ok(((await log.describeTopic('t')).partitions[0]?.segments ?? 0) > 3)
    },
  )
})

suite('a conditional append', () => {
  onDiskAndInMemory('is taken where the log ends where the caller saw it end', async (place) => {
    const log = await place.open({ topics: { t: { partitions: 2 } } })
    const options = { partition: 1, expectedOffset: 0 }
    assert.equal((await log.produce('t', { value: 'a' }, options)).offset, 0)
    await assert.rejects(log.produce('t', { value: 'b' }, options), (error: unknown) => {
      assert.ok(error instanceof OffsetConflictError)
      assert.deepEqual(
        [error.code, error.expected, error.actual, error.retryable],
        ['OFFSET_CONFLICT', 0, 1, false],
      )
      return true
    })
    const [ack] = await log.produce('t', [{ value: 'c' }, { value: 'd' }], {
      partition: 1,
      expectedOffset: 1,
    })
    assert.deepEqual([ack?.baseOffset, ack?.lastOffset], [1, 2])
    assert.deepEqual(await valuesIn(log, 1), ['a', 'c', 'd'])
    await assert.rejects(log.produce('t', { value: 'e' }, { partition: 1, expectedOffset: 9 }), {
      expected: 9,
      actual: 3,
    })
  })

  onDiskAndInMemory(
    'is judged in call order, after all calls before it that are still under way',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      const at = (expectedOffset: number): object => ({ partition: 0, expectedOffset })
      const outcomes = await Promise.allSettled([
        log.produce('t', { value: 'a' }, at(0)),
        log.produce('t', { value: 'b' }, at(1)),
        log.produce('t', { value: 'conflict' }, at(1)),
        log.produce('t', { value: 'c' }),
        log.produce('t', { value: 'd' }, at(3)),
      ])
      assert.deepEqual(
        outcomes.map(({ status }) => status),
        ['fulfilled', 'fulfilled', 'rejected', 'fulfilled', 'fulfilled'],
      )
      assert.deepEqual(await valuesIn(log), ['a', 'b', 'c', 'd'])
    },
  )

  for (const [code, told] of [
    ['ENOSPC', 'DISK_FULL'],
    ['EIO', 'STORAGE_FAILED'],
  ] as const) {
    onDiskAndInMemory(`fails where a call before it fails with ${told}`, async (place) => {
      const log = await place.open({ topics: { t: {} } })
      place.fileSystem.rule = ({ name, path }) =>
        name === 'write' && path.endsWith('.log') ? systemError(code) : undefined
      const outcomes = await Promise.allSettled([
        log.produce('t', { value: 'before' }),
        log.produce('t', { value: 'fits' }, { partition: 0, expectedOffset: 1 }),
        log.produce('t', { value: 'does not' }, { partition: 0, expectedOffset: 0 }),
      ])
      place.fileSystem.rule = undefined
      for (const outcome of outcomes) {
        assert.ok(outcome.status === 'rejected')
        assert.equal((outcome.reason as LogError).code, told)
      }
    })
  }

  onDiskAndInMemory('is not put off by a call before it that was refused', async (place) => {
    const log = await place.open({ topics: { t: { maxMessageBytes: 200 } } })
    const refused = assert.rejects(
      log.produce('t', { value: 'x'.repeat(500) }),
      MessageTooLargeError,
    )
    assert.equal(
      (await log.produce('t', { value: 'a' }, { partition: 0, expectedOffset: 0 })).offset,
      0,
    )
    await refused
  })

  onDiskAndInMemory('lets one of many win who saw the same end', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 20 }, (_, value) =>
        log.produce('t', { value }, { partition: 0, expectedOffset: 0 }),
      ),
    )
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', ...new Array<string>(19).fill('rejected')],
    )
    assert.deepEqual(await valuesIn(log), [0])
  })

  onDiskAndInMemory('keeps its place while it waits for room', async (place) => {
    const log = await place.open({ topics: { t: {} }, maxPendingBytes: 1000 })
    const value = 'x'.repeat(400)
    const calls = Array.from({ length: 12 }, (_, n) =>
      log.produce('t', { value }, { partition: 0, expectedOffset: n }),
    )
    assert.deepEqual(
      (await Promise.all(calls)).map(({ offset }) => offset),
      calls.map((_, n) => n),
    )
  })

  onDiskAndInMemory('needs a partition, which all its records may name as well', async (place) => {
    const log = await place.open({ topics: { t: { partitions: 2 } } })
    await assert.rejects(log.produce('t', { value: 1, key: 'k' }, { expectedOffset: 0 }), TypeError)
    await assert.rejects(
      log.produce(
        't',
        [
          { value: 1, partition: 0 },
          { value: 1, partition: 1 },
        ],
        { expectedOffset: 0 },
      ),
      TypeError,
    )
    assert.equal(
      (await log.produce('t', { value: 1, partition: 1 }, { expectedOffset: 0 })).offset,
      0,
    )
  })
})

suite('back-pressure', () => {
  onDiskAndInMemory(
    'makes callers wait beyond maxPendingBytes, and drops nothing',
    async (place) => {
      const log = await place.open({ topics: { t: { partitions: 2 } }, maxPendingBytes: 2000 })
      const value = 'x'.repeat(300)
      const calls = Array.from({ length: 100 }, (_, n) =>
        log.produce('t', { value: `${n}${value}`, partition: n % 2 }),
      )
      const offsets = (await Promise.all(calls)).map(({ offset }) => offset)
      assert.deepEqual(
        offsets,
        calls.map((_, n) => Math.floor(n / 2)),
      )
      assert.equal((await valuesIn(log, 0)).length, 50)
    },
  )

  onDiskAndInMemory('lets one call through that alone is larger', async (place) => {
    const log = await place.open({ topics: { t: {} }, maxPendingBytes: 100 })
    const calls = [1, 2, 3].map(() => log.produce('t', { value: 'x'.repeat(5000) }))
    assert.deepEqual(
      (await Promise.all(calls)).map(({ offset }) => offset),
      [0, 1, 2],
    )
  })

  /** A sync is held, so what comes after the first call waits to be written: the second has room, the others have not. */
  async function crowded(place: Place) {
    const log = await place.open({ topics: { t: { value: 'bytes' } }, maxPendingBytes: 1000 })
    const value = Buffer.alloc(700, 'x')
    await log.produce('t', { value })
    place.fileSystem.holdSyncs()
    const first = log.produce('t', { value })
    // Its room is free again when it is written, which a long turn puts off.
    const read = () => log.fetch('t', { partition: 0, offset: 0, maxRecords: 1 })
    while ((await read()).logEndOffset < 2) await nextTurn()
    return { log, value, first }
  }

  onDiskAndInMemory('is not even entered by a call that was aborted before', async (place) => {
    const log = await place.open({ topics: { t: { value: 'bytes' } } })
    const signal = AbortSignal.abort()
    await assert.rejects(log.produce('t', { value: Buffer.from('a') }, { signal }), {
      name: 'AbortError',
    })
    await assert.rejects(log.produce('t', [{ value: Buffer.from('a') }], { signal }), {
      name: 'AbortError',
    })
    assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 0, lastStable: 0 })
  })

  onDiskAndInMemory('is what an abort signal takes a call back from', async (place) => {
    const { log, value, first } = await crowded(place)
    const second = log.produce('t', { value })
    const aborting = new AbortController()
    const third = log.produce('t', { value }, { signal: aborting.signal })
    const fourth = log.produce('t', { value })
    const outcome = assert.rejects(third, { name: 'AbortError' })
    aborting.abort()
    await outcome
    place.fileSystem.releaseSyncs()
    const offsets = (await Promise.all([first, second, fourth])).map(({ offset }) => offset)
    assert.deepEqual(offsets, [1, 2, 3])
  })

  onDiskAndInMemory('a call that has its room is not taken back by its signal', async (place) => {
    const { log, value, first } = await crowded(place)
    const aborting = new AbortController()
    const second = log.produce('t', { value }, { signal: aborting.signal })
    aborting.abort()
    place.fileSystem.releaseSyncs()
    assert.deepEqual([(await first).offset, (await second).offset], [1, 2])
  })

  onDiskAndInMemory(
    'holds what was given, not what the caller makes of it meanwhile',
    async (place) => {
      const { log, value, first } = await crowded(place)
      const second = log.produce('t', { value })
      const own = Buffer.alloc(700, 'y')
      const header = Buffer.from('header')
      const waiting = log.produce('t', { value: own, headers: { header } })
      own.fill('z')
      header.fill('z')
      place.fileSystem.releaseSyncs()
      await Promise.all([first, second, waiting])
      const last = (await readAll(log)).at(-1)
      assert.deepEqual(last?.value, Buffer.alloc(700, 'y'))
      assert.deepEqual(last?.headers['header'], Buffer.from('header'))
    },
  )
})

suite('produce has taken what it was given before it returns', () => {
  onDiskAndInMemory('so an object may be changed at once', async (place) => {
    const log = await place.open({ topics: { t: {}, j: { value: 'json' } } })
    for (const topic of ['t', 'j'] as const) {
      const value = { amount: 1, list: [1] }
      const record = {
        key: 'k',
        value,
        headers: { h: 'given' } as Record<string, string>,
        timestamp: 5,
      }
      const records = [record]
      const call = log.produce(topic, records)
      value.amount = 2
      value.list.push(2)
      record.key = 'other'
      record.timestamp = 6
      record.headers['h'] = 'changed'
      records.push(record)
      await call
      const [read, more] = await readAll(log, 0, topic)
      assert.equal(more, undefined)
      assert.deepEqual(
        [read?.key, read?.value, read?.timestamp],
        ['k', { amount: 1, list: [1] }, 5],
      )
      assert.deepEqual(read?.headers['h'], Buffer.from('given'))
    }
  })

  onDiskAndInMemory(
    'so a buffer may be used again at once, as value, key or header',
    async (place) => {
      const log = await place.open({ topics: { t: { key: 'bytes', value: 'bytes' } } })
      const [key, value, header] = [Buffer.from('key'), Buffer.from('value'), Buffer.from('header')]
      const call = log.produce('t', { key, value, headers: { header } })
      for (const buffer of [key, value, header]) buffer.fill('!')
      await call
      const [record] = await readAll(log)
      assert.deepEqual([record?.key, record?.value, record?.headers['header']].map(String), [
        'key',
        'value',
        'header',
      ])
    },
  )

  onDiskAndInMemory('also where the topic has to be created first', async (place) => {
    const log = await place.open({ autoCreateTopics: true })
    const value = { a: 1 }
    const bytes = Buffer.from('value')
    const header = Buffer.from('header')
    const call = log.produce('t', [{ value }, { value: bytes, headers: { header } }])
    value.a = 2
    bytes.fill('!')
    header.fill('!')
    await call
    const [first, second] = await readAll(log)
    assert.deepEqual(first?.value, { a: 1 })
    assert.deepEqual([second?.value, second?.headers['header']].map(String), ['value', 'header'])
  })
})

suite('a schema', () => {
  type Result = ReturnType<StandardSchemaV1['~standard']['validate']>
  const schema = (validate: (value: unknown) => Result): StandardSchemaV1 => ({
    '~standard': { version: 1, vendor: 'test', validate },
  })
  const upper = schema((value) =>
    typeof value === 'string'
      ? { value: value.toUpperCase() }
      : { issues: [{ message: 'no text' }] },
  )

  onDiskAndInMemory(
    'stores what it makes of a value, and does not see tombstones',
    async (place) => {
      const log = await place.open({
        topics: { t: { value: upper }, j: { value: 'json', schema: upper } },
      })
      await log.produce('t', [{ value: 'abc' }, { value: null }])
      await log.produce('j', { value: 'abc' })
      assert.deepEqual(await valuesIn(log), ['ABC', null])
      assert.deepEqual(
        (await readAll(log, 0, 'j')).map(({ value }) => value),
        ['ABC'],
      )
      assert.equal((await log.describeTopic('t')).serializer, 'msgpack')
    },
  )

  onDiskAndInMemory(
    'refuses a value with a ValidationError that has its issues, and nothing of the call is appended',
    async (place) => {
      const log = await place.open({ topics: { t: { value: upper } } })
      await assert.rejects(log.produce('t', [{ value: 'a' }, { value: 7 }]), (error: unknown) => {
        assert.ok(error instanceof ValidationError)
        assert.deepEqual([error.code, error.topic, error.index], ['VALIDATION_FAILED', 't', 1])
        assert.deepEqual(error.issues, [{ message: 'no text' }])
        assert.match(error.message, /no text/)
        return true
      })
      assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 0, lastStable: 0 })
    },
  )

  onDiskAndInMemory('that answers with a promise is refused with a TypeError', async (place) => {
    const kept = schema(async (value) => ({ value }))
    const broken = schema(() => Promise.reject(new Error('later')))
    const log = await place.open({ topics: { t: { value: kept }, u: { value: broken } } })
    await assert.rejects(log.produce('t', { value: 1 }), TypeError)
    await assert.rejects(log.produce('u', { value: 1 }), TypeError)
    assert.deepEqual(await log.offsets('t', 0), { earliest: 0, latest: 0, lastStable: 0 })
  })

  onDiskAndInMemory('is not asked when a value is read', async (place) => {
    let asked = 0
    const counting = schema((value) => {
      asked += 1
      return { value }
    })
    const log = await place.open({ topics: { t: { value: counting } } })
    await log.produce('t', { value: 1 })
    assert.deepEqual(await valuesIn(log), [1])
    assert.equal(asked, 1)
  })
})

suite('produce with misuse', () => {
  const RECORDS: readonly (readonly [string, unknown, unknown?])[] = [
    ['a record that is none', 'text'],
    ['a record that is null', null],
    ['no record', undefined],
    ['a key of another type', { value: 1, key: 5 }],
    ['a key with a lone surrogate', { value: 1, key: '\ud800' }],
    ['headers that are none', { value: 1, headers: 'h' }],
    ['a header of another type', { value: 1, headers: { h: 5 } }],
    ['headers in a Map', { value: 1, headers: new Map([['h', 'a']]) }],
    ['a header with a lone surrogate', { value: 1, headers: { h: ['a', '\ud800'] } }],
    ['a header whose name has a lone surrogate', { value: 1, headers: { '\ud800': 'a' } }],
    ['a timestamp below 0', { value: 1, timestamp: -1 }],
    ['a timestamp that is a Date', { value: 1, timestamp: new Date() }],
    ['a partition below 0', { value: 1, partition: -1 }],
    ['a partition that is text', { value: 1, partition: '0' }],
    ['a value that is undefined', { value: undefined }],
    ['a value that is a function', { value: () => 1 }],
    ['an option that is unknown', { value: 1 }, { expectedOffsets: 0 }],
    ['options that are none', { value: 1 }, 'disk'],
    ['another level', { value: 1 }, { durability: 'all' }],
    ['an expected offset below 0', { value: 1 }, { partition: 0, expectedOffset: -1 }],
    ['a signal that is none', { value: 1 }, { signal: {} }],
  ]
  for (const [what, record, options] of RECORDS) {
    onDiskAndInMemory(
      `(${what}) rejects with a TypeError or RangeError, and appends nothing`,
      async (place) => {
        const log = await place.open({ topics: { t: {} } })
        for (const records of [record, [{ value: 'good' }, record]]) {
          await assert.rejects(produceAnything(log, records, options), (error: unknown) => {
            assert.ok(error instanceof TypeError || error instanceof RangeError, String(error))
            return true
          })
        }
        assert.equal((await log.produce('t', { value: 'next' })).offset, 0)
      },
    )
  }

  onDiskAndInMemory('says which option was meant', async (place) => {
    const log = await place.open({ topics: { t: {} } })
    await assert.rejects(
      produceAnything(log, { value: 1 }, { expectedOffsets: 0 }),
      /produce: unknown option expectedOffsets; did you mean expectedOffset\?/,
    )
  })

  onDiskAndInMemory(
    'in a log that was opened with readOnly rejects with READ_ONLY',
    async (place) => {
      const log = await place.open({ topics: { t: {} } })
      await log.produce('t', { value: 1 })
      const reader = await place.reopen(log, { readOnly: true })
      await assert.rejects(reader.produce('t', { value: 1 }), (error: unknown) => {
        assert.ok(error instanceof LogError)
        assert.equal(error.code, 'READ_ONLY')
        return true
      })
    },
  )
})
