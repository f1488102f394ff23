// One consumer: where it starts, what it hands out, what it commits, and how it ends.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { ConsumedRecord, ConsumerOptions, Log, TopicPartition } from '../../src/index.ts'
import { LogError, OffsetOutOfRangeError } from '../../src/index.ts'
import { committedBy, fill, filled, isWaiting, take } from '../support/consuming.ts'
import { eventually } from '../support/log-places.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const T0 = { topic: 't', partition: 0 }
const BY_HAND = { group: 'g', topics: ['t'], autoCommit: false } as const

const numbers = (from: number, to: number): number[] =>
  Array.from({ length: to - from }, (_, n) => from + n)

const codeOf =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LogError && error.code === code

suite('a consumer', () => {
  onDiskAndInMemory('hands out every record, in order within each partition', async (place) => {
    const log = await filled(place, 3, 20)
    const seen: unknown[][] = [[], [], []]
    let count = 0
    for await (const { partition, value } of log.consumer({ group: 'g', topics: ['t'] })) {
      seen[partition]?.push(value)
      count += 1
      if (count === 60) break
    }
    for (const values of seen) assert.deepEqual(values, numbers(0, 20))
  })

  onDiskAndInMemory('waits for more, and gives it as it comes', async (place) => {
    const log = await filled(place, 1, 1)
    const records = log.consumer({ group: 'g', topics: ['t'] })[Symbol.asyncIterator]()
    await take(records, 1)
    const next = records.next()
    assert.ok(await isWaiting(next))
    await log.produce('t', { value: 'more' })
    assert.equal((await next).value.value, 'more')
  })

  onDiskAndInMemory('joins its group when something is first asked for', async (place) => {
    const log = await filled(place, 1, 1)
    const consumer = log.consumer({ group: 'g', topics: ['t'], clientId: 'me' })
    assert.equal(consumer.memberId, '')
    await assert.rejects(log.describeGroup('g'), codeOf('UNKNOWN_GROUP'))
    await take(consumer[Symbol.asyncIterator](), 1)
    assert.match(consumer.memberId, /^me-/)
    assert.deepEqual(consumer.assignment(), [T0])
    const { members } = await log.describeGroup('g')
    assert.deepEqual(
      members.map(({ memberId }) => memberId),
      [consumer.memberId],
    )
  })

  onDiskAndInMemory('gives whole pages, each done when the next is asked for', async (place) => {
    const log = await filled(place, 1, 10)
    const consumer = log.consumer({ group: 'g', topics: ['t'], maxBytes: 200 })
    const pages = consumer.batches()[Symbol.asyncIterator]()
    const [first, second] = await take(pages, 2)
    assert.ok(first !== undefined && second !== undefined)
    assert.equal(first.nextOffset, second.records[0]?.offset)
    assert.equal(first.highWatermark, 10)
    await consumer.commit()
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': first.nextOffset })
  })

  onDiskAndInMemory('is consumed in one way at a time', async (place) => {
    const log = await filled(place, 1, 1)
    const consumer = log.consumer({ group: 'g', topics: ['t'] })
    await take(consumer[Symbol.asyncIterator](), 1)
    assert.throws(() => consumer[Symbol.asyncIterator](), TypeError)
    assert.throws(() => consumer.batches()[Symbol.asyncIterator](), TypeError)
  })

  onDiskAndInMemory('refuses what it cannot do, before anything happens', async (place) => {
    const log = await filled(place, 1, 1)
    const wrong: [Record<string, unknown>, RegExp][] = [
      [{ group: '' }, /group must not be empty/],
      [{ topics: 't' }, /topics is 't'; it must be an array/],
      [{ topics: [] }, /topics is empty/],
      [{ topics: [7] }, /one of topics is 7/],
      [{ from: 'start' }, /from is 'start'; it must be a Date/],
      [{ from: 3 }, /from is 3/],
      [{ assignor: 'fair' }, /assignor is 'fair'; it must be 'range'/],
      [{ assignor: { name: 'own' } }, /assignor.assign is undefined; it must be a function/],
      [{ instanceId: '' }, /instanceId has 0 characters/],
      [{ autoCommitIntervalMs: 0 }, /autoCommitIntervalMs is 0/],
      [{ maxPollIntervalMs: -1 }, /maxPollIntervalMs is -1/],
      [{ readAheadBytes: 0 }, /readAheadBytes is 0/],
      [{ onAssigned: 1 }, /onAssigned is 1; it must be a function/],
      [{ topic: ['t'] }, /unknown option topic; did you mean topics\?/],
      [{ topics: ['__consumer_offsets'] }, /cannot be consumed/],
    ]
    for (const [options, message] of wrong) {
      const given = { group: 'g', topics: ['t'], ...options } as ConsumerOptions
      assert.throws(
        () => log.consumer(given as ConsumerOptions & { topics: string[] }),
        (error) => {
          assert.ok(error instanceof TypeError || error instanceof RangeError, String(error))
          assert.match(error.message, message)
          return true
        },
      )
    }
    assert.throws(() => log.consumer({ group: 'g', topics: ['u'] }), codeOf('UNKNOWN_TOPIC'))
  })

  onDiskAndInMemory('is not there for a log that only reads', async (place) => {
    const log = await filled(place, 1, 1)
    await using reader = await place.open({ readOnly: true })
    assert.throws(() => reader.consumer({ group: 'g', topics: ['t'] }), codeOf('READ_ONLY'))
    await log.close()
    assert.throws(() => log.consumer({ group: 'g', topics: ['t'] }), codeOf('CLOSED'))
  })
})

suite('the records of a consumer', () => {
  onDiskAndInMemory('have the types of their topics', async (place) => {
    interface Topics {
      orders: { cents: number }
      names: string
    }
    const log = await place.open<Topics>({
      topics: { orders: { value: 'json' }, names: { value: 'string' } },
    })
    await log.produce('orders', { key: 'o', value: { cents: 5 } })
    await log.produce('names', { key: 'n', value: 'Ada' })
    const one = log.consumer({ group: 'one', topics: ['orders'] })
    for await (const { topic, key, value } of one) {
      const typed: ['orders', string | null, number | undefined] = [topic, key, value?.cents]
      assert.deepEqual(typed, ['orders', 'o', 5])
      break
    }
    const seen: (string | number | undefined)[] = []
    for await (const record of log.consumer({ group: 'all', topics: [/./] })) {
      // Its topic tells the types apart.
      if (record.topic === 'orders') seen.push(record.value?.cents)
      else seen.push(record.value?.toUpperCase())
      if (seen.length === 2) break
    }
    assert.deepEqual(seen.sort(), [5, 'ADA'])
    // @ts-expect-error: there is no such topic
    assert.throws(() => log.consumer({ group: 'none', topics: ['order'] }), codeOf('UNKNOWN_TOPIC'))
  })

  onDiskAndInMemory('show their delivery count where they come again', async (place) => {
    const log = await filled(place, 1, 2)
    const pages = log
      .consumer({ group: 'g', topics: ['t'] })
      .batches()
      [Symbol.asyncIterator]()
    const [page] = await take(pages, 1)
    assert.equal(Object.keys(page?.records[0] ?? {}).includes('deliveryCount'), false)
    await pages.return?.()
    const again = log.consumer({ group: 'g', topics: ['t'] })[Symbol.asyncIterator]()
    const [first, second] = await take(again, 2)
    assert.equal(first?.deliveryCount, 2)
    assert.equal({ ...second }.deliveryCount, 2)
    assert.equal(second?.detach().deliveryCount, 2)
    assert.match(JSON.stringify(first), /"deliveryCount":2/)
  })

  onDiskAndInMemory('may be far apart: what is no record is committed with them', async (place) => {
    const log = (await place.open({
      topics: { t: { cleanupPolicy: 'compact' } },
    })) as unknown as Log
    for (let n = 0; n < 10; n += 1) await log.produce('t', { key: n < 7 ? 'a' : 'b', value: n })
    await log.compact('t')
    const consumer = log.consumer({ group: 'g', topics: ['t'] })
    const records = consumer[Symbol.asyncIterator]()
    assert.deepEqual(
      (await take(records, 2)).map(({ offset }) => offset),
      [6, 9],
    )
    await consumer.commit()
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 9 })
    const next = records.next()
    assert.ok(await isWaiting(next))
    await consumer.commit()
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 10 })
  })

  onDiskAndInMemory('are taken in hand within readAheadBytes and a page', async (place) => {
    const log = (await place.open({ topics: { t: { value: 'bytes' } } })) as unknown as Log
    for (let n = 0; n < 20; n += 1) await log.produce('t', { value: Buffer.alloc(10_000) })
    const consumer = log.consumer({
      group: 'g',
      topics: ['t'],
      maxBytes: 10_000,
      readAheadBytes: 30_000,
    })
    const begun: (() => void)[] = []
    const eachRecord = (): Promise<void> => new Promise((resolve) => begun.push(resolve))
    const run = consumer.run({ eachRecord, concurrency: { by: 'key', max: 100 } })
    await isWaiting(run, 100)
    assert.equal(begun.length, 3)
    begun[1]?.()
    await isWaiting(run, 100)
    assert.equal(begun.length, 4)
    const closed = consumer.close()
    for (const end of begun) end()
    await closed
    await run
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 4 })
  })

  onDiskAndInMemory('that are damaged end it, or are passed over', async (place) => {
    const topics = { t: { value: 'string' } } as const
    const log = (await place.open({ topics })) as unknown as Log
    for (const value of ['one', 'two', 'three']) await log.produce('t', { value })
    await log.close()
    const name = '00000000000000000000.log'
    const bytes = place.readFile('t-0', name)
    bytes[bytes.indexOf('two')] = 0
    await place.writeFile(bytes, 't-0', name)
    const again = (await place.open({ topics })) as unknown as Log
    const records = again.consumer({ group: 'g', topics: ['t'] })[Symbol.asyncIterator]()
    assert.equal((await records.next()).value.value, 'one')
    await assert.rejects(records.next(), codeOf('CORRUPT_LOG'))
    assert.deepEqual(await committedBy(again, 'g'), { 't-0': 1 })
    const skipping = again.consumer({ group: 'g', topics: ['t'], onCorrupt: 'skip' })
    for await (const { value } of skipping) {
      assert.equal(value, 'three')
      break
    }
  })
})

suite('a hundred consumers that wait', () => {
  onDiskAndInMemory('have no timer, and of an append only its reader is told', async (place) => {
    const log = await filled(place, 100, 0)
    await place.clock.advance(60_000)
    const timers = place.clock.pendingTimers
    const consumers = Array.from({ length: 100 }, () => log.consumer({ group: 'g', topics: ['t'] }))
    const calls = consumers.map((each) => each[Symbol.asyncIterator]().next())
    await eventually(() => consumers.every((each) => each.assignment().length === 1))
    await place.clock.advance(60_000)
    assert.equal(place.clock.pendingTimers, timers)
    await log.produce('t', { value: 'x', partition: 7 })
    const first = await Promise.race(calls)
    assert.equal(first.value.partition, 7)
  })
})

suite('a consumer starts', () => {
  const firstOf = async (
    place: Parameters<Parameters<typeof onDiskAndInMemory>[1]>[0],
    options: Partial<ConsumerOptions>,
    committed?: number,
  ): Promise<number> => {
    const log = await filled(place, 1, 10)
    await log.deleteRecords('t', { partition: 0, before: 2 })
    if (committed !== undefined) await log.commitOffset('g', { ...T0, offset: committed })
    const consumer = log.consumer({ group: 'g', topics: ['t'], ...options })
    const records = consumer[Symbol.asyncIterator]()
    const next = records.next()
    if (await isWaiting(next)) await log.produce('t', { value: 'later' })
    return (await next).value.offset
  }

  onDiskAndInMemory('where its group has committed', async (place) => {
    assert.equal(await firstOf(place, { from: 'latest' }, 5), 5)
  })
  onDiskAndInMemory('at the log start, where retention has passed the commit', async (place) => {
    assert.equal(await firstOf(place, { from: 'none' }, 1), 2)
  })
  onDiskAndInMemory('at the beginning, where nothing is committed', async (place) => {
    assert.equal(await firstOf(place, {}), 2)
  })
  onDiskAndInMemory('at the end, where it is told to', async (place) => {
    assert.equal(await firstOf(place, { from: 'latest' }), 10)
  })
  onDiskAndInMemory('at a time', async (place) => {
    assert.equal(await firstOf(place, { from: new Date(1041) }), 5)
  })
  onDiskAndInMemory('at the end, where no record is of that time', async (place) => {
    assert.equal(await firstOf(place, { from: { timestamp: 5000 } }), 10)
  })
  onDiskAndInMemory('as from says, where the commit lies past the end', async (place) => {
    assert.equal(await firstOf(place, { from: 'earliest' }, 11), 2)
  })

  onDiskAndInMemory('not, where nothing is committed and from is none', async (place) => {
    const log = await filled(place, 1, 1)
    const options = { group: 'g', topics: ['t'], from: 'none' } as const
    await assert.rejects(async () => {
      for await (const _ of log.consumer(options)) assert.fail('nothing is handed out')
    }, codeOf('NO_OFFSET'))
    assert.equal((await log.describeGroup('g')).state, 'Empty')
    await log.commitOffset('g', { ...T0, offset: 9 })
    const records = log.consumer(options)[Symbol.asyncIterator]()
    await assert.rejects(records.next(), OffsetOutOfRangeError)
  })

  onDiskAndInMemory('at the latest once: what it began with is committed', async (place) => {
    const log = await filled(place, 1, 5)
    const consumer = log.consumer({ group: 'g', topics: ['t'], from: 'latest' })
    const next = consumer[Symbol.asyncIterator]().next()
    assert.ok(await isWaiting(next))
    await consumer.close()
    await next
    await log.produce('t', { value: 'between' })
    for await (const { value } of log.consumer({ group: 'g', topics: ['t'], from: 'latest' })) {
      assert.equal(value, 'between')
      break
    }
  })
})

suite('by itself a consumer commits', () => {
  onDiskAndInMemory('what came back for more, an interval later', async (place) => {
    const log = await filled(place, 2, 5)
    const consumer = log.consumer({ group: 'g', topics: ['t'], autoCommitIntervalMs: 400 })
    const records = consumer[Symbol.asyncIterator]()
    await take(records, 4)
    await place.clock.advance(399)
    assert.deepEqual(await committedBy(log, 'g'), {})
    await place.clock.advance(1)
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3 })
    await take(records, 3)
    await place.clock.advance(400)
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 5, 't-1': 1 })
  })

  onDiskAndInMemory('with no timer while it waits', async (place) => {
    const log = await filled(place, 1, 3)
    await place.clock.advance(10_000)
    const idle = place.clock.pendingTimers
    const records = log.consumer({ group: 'g', topics: ['t'] })[Symbol.asyncIterator]()
    await take(records, 3)
    const next = records.next()
    await place.clock.advance(10_000)
    assert.equal(place.clock.pendingTimers, idle)
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3 })
    await log.produce('t', { value: 3 })
    await next
  })

  onDiskAndInMemory('at its close, and not what is in hand', async (place) => {
    const log = await filled(place, 1, 5)
    for await (const { offset } of log.consumer({ group: 'g', topics: ['t'] })) {
      if (offset === 2) break
    }
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
    for await (const record of log.consumer({ group: 'g', topics: ['t'] })) {
      assert.equal(record.offset, 2)
      assert.equal(record.deliveryCount, 2)
      break
    }
  })

  onDiskAndInMemory('when the log is closed', async (place) => {
    const log = await filled(place, 1, 5)
    const records = log.consumer({ group: 'g', topics: ['t'] })[Symbol.asyncIterator]()
    await take(records, 3)
    const again = await place.reopen(log)
    assert.deepEqual(await records.next(), { value: undefined, done: true })
    assert.deepEqual(await committedBy(again, 'g'), { 't-0': 2 })
  })

  onDiskAndInMemory(
    'what a kill finds committed, and what came after is handed out again',
    async (place) => {
      const log = await filled(place, 1, 6)
      const records = log.consumer({ group: 'g', topics: ['t'] })[Symbol.asyncIterator]()
      await take(records, 3)
      await place.clock.advance(1000)
      await take(records, 2)
      const killed = await place.killed()
      const after = await killed.open({ topics: { t: {} } })
      const again = log.consumer({ group: 'h', topics: ['t'] })
      await again.close()
      const found = after.consumer({ group: 'g', topics: ['t'] })[Symbol.asyncIterator]()
      const offsets = (await take(found, 4)).map(({ offset }) => offset)
      assert.deepEqual(offsets, [2, 3, 4, 5])
    },
  )
})

suite('by hand a consumer commits', () => {
  onDiskAndInMemory('nothing that nobody asked for', async (place) => {
    const log = await filled(place, 1, 5)
    for await (const { offset } of log.consumer(BY_HAND)) if (offset === 3) break
    await place.clock.advance(5000)
    assert.deepEqual(await committedBy(log, 'g'), {})
  })

  onDiskAndInMemory('what came back for more', async (place) => {
    const log = await filled(place, 1, 5)
    const consumer = log.consumer(BY_HAND)
    const records = consumer[Symbol.asyncIterator]()
    await take(records, 3)
    await consumer.commit()
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
    await consumer.commit()
  })

  onDiskAndInMemory('up to a record, and to records of several partitions', async (place) => {
    const log = await filled(place, 2, 5)
    const consumer = log.consumer(BY_HAND)
    const records = await take(consumer[Symbol.asyncIterator](), 8)
    const [first] = records
    assert.ok(first !== undefined)
    await consumer.commit(first)
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
    await consumer.commit(records)
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 5, 't-1': 3 })
    await assert.rejects(consumer.commit({ ...T0, offset: -1 }), RangeError)
    const { MAX_SAFE_INTEGER } = Number
    for (const offset of [1000, MAX_SAFE_INTEGER]) {
      await assert.rejects(consumer.commit({ ...T0, offset }), codeOf('OFFSET_OUT_OF_RANGE'))
    }
    await consumer.commit()
    await assert.rejects(consumer.commit(null as never), TypeError)
    await assert.rejects(consumer.commit({ topic: 't', partition: 2, offset: 0 }), codeOf('FENCED'))
  })

  onDiskAndInMemory('at the durability that it was told', async (place) => {
    const log = await filled(place, 1, 2)
    await log.commitOffset('g', { ...T0, offset: 0 })
    const consumer = log.consumer({ ...BY_HAND, commitDurability: 'disk' })
    const [record] = await take(consumer[Symbol.asyncIterator](), 1)
    assert.ok(record !== undefined)
    place.fileSystem.holdSyncs()
    const commit = consumer.commit(record)
    assert.ok(await isWaiting(commit))
    place.fileSystem.releaseSyncs()
    await commit
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
  })
})

suite('in its partitions a consumer', () => {
  onDiskAndInMemory('goes elsewhere, and commits from there', async (place) => {
    const log = await filled(place, 1, 10)
    const consumer = log.consumer({ group: 'g', topics: ['t'] })
    const records = consumer[Symbol.asyncIterator]()
    await take(records, 5)
    await consumer.seek(T0, 1)
    assert.equal(consumer.position(T0), 1)
    assert.deepEqual(
      (await take(records, 2)).map(({ offset }) => offset),
      [1, 2],
    )
    await consumer.commit()
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
    await consumer.seek(T0, 'earliest')
    assert.equal((await records.next()).value.offset, 0)
    await consumer.seek(T0, new Date(1075))
    assert.equal((await records.next()).value.offset, 8)
    await consumer.seek(T0, 'latest')
    const next = records.next()
    assert.ok(await isWaiting(next))
    await log.produce('t', { value: 10 })
    assert.equal((await next).value.offset, 10)
    await assert.rejects(consumer.seek(T0, 12), OffsetOutOfRangeError)
    await assert.rejects(consumer.seek(T0, 'end' as never), RangeError)
    await assert.rejects(consumer.seek({ topic: 'u', partition: 0 }, 0), codeOf('FENCED'))
  })

  onDiskAndInMemory('goes elsewhere, whatever is committed by hand meanwhile', async (place) => {
    const log = await filled(place, 1, 5)
    const consumer = log.consumer({ group: 'g', topics: ['t'], autoCommit: false })
    const records = consumer[Symbol.asyncIterator]()
    const [, , third] = await take(records, 3)
    await consumer.seek(T0, 0)
    await consumer.commit(third as ConsumedRecord)
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3 })
    assert.equal(consumer.position(T0), 0)
    assert.equal((await take(records, 1))[0]?.offset, 0)
  })

  onDiskAndInMemory('starts where onAssigned has sent it', async (place) => {
    const log = await filled(place, 2, 5)
    const consumer = log.consumer({
      group: 'g',
      topics: ['t'],
      onAssigned: async (partitions) => {
        for (const each of partitions) await consumer.seek(each, 3)
      },
    })
    const records = await take(consumer[Symbol.asyncIterator](), 4)
    assert.deepEqual(
      records.map(({ partition, offset }) => [partition, offset]),
      [
        [0, 3],
        [0, 4],
        [1, 3],
        [1, 4],
      ],
    )
  })

  onDiskAndInMemory('pauses and resumes', async (place) => {
    const log = await filled(place, 2, 4)
    const consumer = log.consumer({ group: 'g', topics: ['t'] })
    const records = consumer[Symbol.asyncIterator]()
    await take(records, 2)
    consumer.pause(T0)
    assert.deepEqual(consumer.paused(), [T0])
    assert.deepEqual(
      (await take(records, 4)).map(({ partition }) => partition),
      [1, 1, 1, 1],
    )
    const next = records.next()
    assert.ok(await isWaiting(next))
    consumer.resume([T0])
    assert.deepEqual(consumer.paused(), [])
    const { value } = await next
    assert.deepEqual([value.partition, value.offset, value.deliveryCount], [0, 2, 1])
    assert.throws(() => consumer.pause({ topic: 't', partition: 2 }), codeOf('FENCED'))
  })

  onDiskAndInMemory('tells where it is and how far behind', async (place) => {
    const log = await filled(place, 2, 4)
    const consumer = log.consumer({ group: 'g', topics: ['t'] })
    assert.deepEqual(consumer.lag(), { partitions: [], lagRecords: 0 })
    await take(consumer[Symbol.asyncIterator](), 3)
    assert.equal(consumer.position(T0), 3)
    const lag = consumer.lag()
    assert.equal(lag.lagRecords, 5)
    assert.deepEqual(lag.partitions[0], { ...T0, position: 3, endOffset: 4, lagRecords: 1 })
    assert.throws(() => consumer.position({ topic: 'u', partition: 0 }), codeOf('FENCED'))
    assert.deepEqual(consumer.metrics().records, 4)
  })

  onDiskAndInMemory('goes on at the log start when retention overtakes it', async (place) => {
    const log = await filled(place, 1, 3)
    const consumer = log.consumer({ group: 'g', topics: ['t'] })
    const records = consumer[Symbol.asyncIterator]()
    await take(records, 3)
    consumer.pause(T0)
    const next = records.next()
    await fill(log, 't', 1, 7, 3)
    await log.deleteRecords('t', { partition: 0, before: 8 })
    consumer.resume(T0)
    assert.equal((await next).value.offset, 8)
    assert.equal(consumer.position(T0), 9)
  })
})

suite('a consumer ends', () => {
  onDiskAndInMemory('with the reason of its signal', async (place) => {
    const log = await filled(place, 1, 3)
    const controller = new AbortController()
    const consumer = log.consumer({ group: 'g', topics: ['t'], signal: controller.signal })
    const records = consumer[Symbol.asyncIterator]()
    await take(records, 2)
    controller.abort(new Error('enough'))
    await assert.rejects(records.next(), /enough/)
    assert.deepEqual(await records.next(), { value: undefined, done: true })
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
    assert.throws(() => consumer[Symbol.asyncIterator](), codeOf('CLOSED'))
    const late = log.consumer({ group: 'g', topics: ['t'], signal: controller.signal })
    await assert.rejects(late[Symbol.asyncIterator]().next(), /enough/)
  })

  onDiskAndInMemory('with nothing more of what was just being read', async (place) => {
    const log = (await place.open({
      topics: { t: { value: 'bytes', compression: 'gzip', maxMessageBytes: 16_000_000 } },
    })) as unknown as Log
    // Is decompressed by the thread pool.
    await log.produce('t', { value: Buffer.alloc(8_000_000) })
    const controller = new AbortController()
    const consumer = log.consumer({
      group: 'g',
      topics: ['t'],
      signal: controller.signal,
      // It is read when this has ended.
      onAssigned: () => void setImmediate(() => controller.abort(new Error('enough'))),
    })
    const next = consumer[Symbol.asyncIterator]().next()
    await assert.rejects(next, /enough/)
  })

  onDiskAndInMemory('a wait, when it is closed; twice is once', async (place) => {
    const log = await filled(place, 1, 0)
    const consumer = log.consumer({ group: 'g', topics: ['t'] })
    const next = consumer[Symbol.asyncIterator]().next()
    assert.ok(await isWaiting(next))
    assert.equal(consumer.close(), consumer.close())
    await consumer.close()
    assert.equal((await next).done, true)
    assert.equal((await log.describeGroup('g')).state, 'Empty')
    await assert.rejects(log.consumer(BY_HAND).close({ drainMs: -1 }), RangeError)
  })

  onDiskAndInMemory('before it begins, where its log is closed', async (place) => {
    const log = await filled(place, 1, 1)
    const [consumer, other] = [
      log.consumer({ group: 'g', topics: ['t'] }),
      log.consumer({ group: 'g', topics: ['t'] }),
    ]
    const closing = log.close()
    assert.throws(() => consumer[Symbol.asyncIterator](), codeOf('CLOSED'))
    await closing
    assert.throws(() => consumer.batches()[Symbol.asyncIterator](), codeOf('CLOSED'))
    await assert.rejects(other.run({ eachRecord: () => {} }), codeOf('CLOSED'))
  })

  onDiskAndInMemory('in its own loop, whose record is not waited for', async (place) => {
    const log = await filled(place, 1, 3)
    const consumer = log.consumer({ group: 'g', topics: ['t'] })
    const seen: number[] = []
    for await (const { offset } of consumer) {
      seen.push(offset)
      if (offset === 1) await consumer.close()
    }
    assert.deepEqual(seen, [0, 1])
    // The loop has come back for more: the record is done.
    await place.clock.advance(0)
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
    assert.equal((await log.describeGroup('g')).state, 'Empty')
  })

  onDiskAndInMemory('with what a callback has thrown', async (place) => {
    const log = await filled(place, 1, 3)
    const onAssigned = (): never => {
      throw new Error('not today')
    }
    const records = log.consumer({ group: 'g', topics: ['t'], onAssigned })[Symbol.asyncIterator]()
    await assert.rejects(records.next(), /not today/)
    const onRevoked = (partitions: readonly TopicPartition[]): never => {
      assert.deepEqual(partitions, [T0])
      throw new Error('nor then')
    }
    const consumer = log.consumer({ group: 'g', topics: ['t'], onRevoked })
    await take(consumer[Symbol.asyncIterator](), 1)
    await assert.rejects(consumer.close({ drainMs: 0 }), /nor then/)
    assert.equal((await log.describeGroup('g')).state, 'Empty')
  })

  onDiskAndInMemory('when its scope does', async (place) => {
    const log = await filled(place, 1, 3)
    {
      await using consumer = log.consumer({ group: 'g', topics: ['t'] })
      for await (const { offset } of consumer) if (offset === 1) break
    }
    assert.equal((await log.describeGroup('g')).state, 'Empty')
  })
})
