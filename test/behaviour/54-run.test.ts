// Handlers: in which order they are given records, and what becomes of records whose handler fails.
import assert from 'node:assert/strict'
import { suite } from 'node:test'
import type { ConsumedRecord, Log } from '../../src/index.ts'
import { DEAD_LETTER_HEADERS, HandlerFailedError, LogError } from '../../src/index.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { committedBy, fill, filled, nextTurn } from '../support/consuming.ts'
import { eventually } from '../support/log-places.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { HeldHandlers, settle } from '../support/run-scene.ts'

const OPTIONS = { group: 'g', topics: ['t'] }
const boom = new Error('boom')
const NO_WAIT = { initialMs: 0 }

/** Records of these keys in one partition. */
async function keyed(place: Place, keys: readonly (string | null)[]): Promise<Log> {
  const log = (await place.open({ topics: { t: {}, graves: {} } })) as unknown as Log
  await log.produce(
    't',
    keys.map((key, value) => ({ key, value })),
  )
  return log
}

suite('run', () => {
  onDiskAndInMemory(
    'gives each record to its handler, and commits what has ended',
    async (place) => {
      const log = await filled(place, 2, 5)
      const consumer = log.consumer(OPTIONS)
      const handled: string[] = []
      const run = consumer.run({
        eachRecord: async ({ partition, offset, deliveryCount }, { signal }) => {
          await nextTurn()
          handled.push(`${partition}@${offset}`)
          assert.equal(deliveryCount, 1)
          assert.equal(signal.aborted, false)
        },
      })
      await eventually(() => handled.length === 10)
      await consumer.close()
      await run
      assert.deepEqual(
        handled.filter((each) => each.startsWith('1')),
        ['1@0', '1@1', '1@2', '1@3', '1@4'],
      )
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 5, 't-1': 5 })
    },
  )

  onDiskAndInMemory(
    'lets its handlers end what they do with a log that is being closed',
    async (place) => {
      const log = await filled(place, 1, 1)
      await log.createTopic('copies')
      const [begun, copy] = [new Deferred<void>(), new Deferred<void>()]
      const run = log.consumer(OPTIONS).run({
        eachRecord: async ({ value }) => {
          begun.resolve()
          await copy.promise
          await log.produce('copies', { value })
        },
        failurePolicy: { retries: 0, giveUp: 'skip' },
      })
      await begun.promise
      const closing = log.close()
      await assert.rejects(log.produce('copies', { value: 1 }), { code: 'CLOSED' })
      copy.resolve()
      await Promise.all([closing, run])
      const again: Log = await place.open()
      assert.equal((await again.offsets('copies', 0)).latest, 1)
      assert.deepEqual(await committedBy(again, 'g'), { 't-0': 1 })
    },
  )

  onDiskAndInMemory('waits for no handler that waits for the close of its log', async (place) => {
    const log = await filled(place, 1, 1)
    const [begun, closing] = [new Deferred<void>(), new Deferred<void>()]
    const run = log.consumer(OPTIONS).run({
      eachRecord: async () => {
        begun.resolve()
        await closing.promise
        await log.close()
      },
    })
    await begun.promise
    const closed = log.close()
    closing.resolve()
    await Promise.all([closed, run])
  })
  onDiskAndInMemory(
    'keeps the process alive while a close waits for its handlers',
    async (place) => {
      const timers = (): number =>
        process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length
      const log = await filled(place, 1, 2)
      const consumer = log.consumer(OPTIONS)
      let begun = 0
      const run = consumer.run({
        eachRecord: ({ offset }) => {
          begun += 1
          return offset === 0 ? undefined : new Promise(() => {})
        },
      })
      await eventually(() => begun === 2)
      const before = timers()
      const closing = consumer.close({ drainMs: 5000 })
      assert.equal(timers(), before + 1)
      await place.clock.advance(5000)
      await Promise.all([closing, run])
      assert.equal(timers(), before)
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1 })
    },
  )

  onDiskAndInMemory('commits by itself while it goes on', async (place) => {
    const log = await filled(place, 1, 3)
    let handled = 0
    void log.consumer(OPTIONS).run({
      eachRecord: () => {
        handled += 1
      },
    })
    await eventually(() => handled === 3)
    await place.clock.advance(1000)
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3 })
  })

  onDiskAndInMemory(
    'by partition has one handler a partition, and several partitions at once',
    async (place) => {
      const log = await filled(place, 3, 2)
      const consumer = log.consumer(OPTIONS)
      const handlers = new HeldHandlers()
      const run = consumer.run({ eachRecord: handlers.eachRecord as never, concurrency: 2 })
      await eventually(() => handlers.underWay.size === 2)
      for (let done = 0; done < 6; done += 1) {
        await eventually(() => handlers.underWay.size > 0)
        await handlers.end([...handlers.underWay.keys()][0] ?? '')
      }
      assert.equal(handlers.most, 2)
      await consumer.close()
      await run
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2, 't-1': 2, 't-2': 2 })
    },
  )

  onDiskAndInMemory(
    'by key keeps the records of a key in order, while others overtake',
    async (place) => {
      const log = await keyed(place, ['a', 'b', 'a', 'c', null])
      const consumer = log.consumer(OPTIONS)
      const handlers = new HeldHandlers()
      const concurrency = { by: 'key', max: 10 } as const
      const run = consumer.run({ eachRecord: handlers.eachRecord as never, concurrency })
      await eventually(() => handlers.underWay.size === 4)
      assert.equal(handlers.names, '0@0 0@1 0@3 0@4')
      for (const offset of [3, 4, 1]) await handlers.end(`0@${offset}`)
      await consumer.commit()
      // The commit stays at the lowest that is not finished.
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 0 })
      const closing = consumer.close()
      await handlers.end('0@0')
      await closing
      await run
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 2 })
    },
  )

  /** By key: 3,000 records are handled and committed, and the first of all is still being. */
  async function handledAboveTheFirst(place: Place, log: Log) {
    const handlers = new HeldHandlers()
    let ended = 0
    const eachRecord = (record: ConsumedRecord, context: { signal: AbortSignal }): unknown => {
      if (record.offset === 0) return handlers.eachRecord(record, context)
      ended += 1
      return undefined
    }
    const concurrency = { by: 'key', max: 2 } as const
    void log.consumer(OPTIONS).run({ eachRecord: eachRecord as never, concurrency })
    await eventually(() => ended === 3000)
    await place.clock.advance(1000)
    const [committed] = await log.committedOffsets('g')
    return { handlers, committed }
  }

  /** Another run, over what a killed process leaves. */
  async function runAfterKill(place: Place) {
    const copy = (await (await place.killed()).open()) as unknown as Log
    const again: number[] = []
    const second = copy.consumer(OPTIONS)
    const run = second.run({ eachRecord: ({ offset }) => again.push(offset) })
    return { copy, again, second, run }
  }

  onDiskAndInMemory(
    'after an end without a close hands out nothing again that was finished above the commit',
    async (place) => {
      const log = await keyed(place, ['a', ...Array.from({ length: 3000 }, (_, n) => `k${n}`)])
      const { handlers, committed } = await handledAboveTheFirst(place, log)
      assert.equal(committed?.offset, 0)
      assert.ok(Buffer.byteLength(committed?.metadata ?? '') < 100)
      const { copy, again, second, run } = await runAfterKill(place)
      await eventually(async () => again.length > 0)
      await settle()
      await second.close()
      await run
      assert.deepEqual(again, [0])
      assert.deepEqual(await committedBy(copy, 'g'), { 't-0': 3001 })
      await handlers.end('0@0')
    },
  )

  onDiskAndInMemory(
    'remembers finished records within 4 KiB of metadata, and hands out those beyond again',
    async (place) => {
      const keys = Array.from({ length: 6000 }, (_, n) => (n % 2 === 0 ? 'hot' : `k${n}`))
      const log = await keyed(place, keys)
      const { handlers, committed } = await handledAboveTheFirst(place, log)
      const bytes = Buffer.byteLength(committed?.metadata ?? '')
      assert.ok(bytes > 4000 && bytes <= 4096, `${bytes} bytes`)
      const { again, second, run } = await runAfterKill(place)
      await eventually(() => again.at(-1) === 5999)
      await second.close()
      await run
      // All that was not finished, and of what was finished that which found no room.
      const even = again.filter((offset) => offset % 2 === 0)
      const odd = again.filter((offset) => offset % 2 === 1)
      assert.equal(even.length, 3000)
      assert.ok(odd.length > 900 && odd.length < 1000, `${odd.length} again`)
      assert.ok((odd[0] ?? 0) > 4000)
      await handlers.end('0@0')
    },
  )

  onDiskAndInMemory('by eachBatch gives whole pages', async (place) => {
    const log = await filled(place, 1, 5)
    const consumer = log.consumer(OPTIONS)
    const handled: number[] = []
    const run = consumer.run({
      eachBatch: async ({ topic, partition, records }) => {
        assert.deepEqual([topic, partition], ['t', 0])
        handled.push(...records.map(({ offset }) => offset))
      },
    })
    await eventually(() => handled.length === 5)
    await consumer.close()
    await run
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 5 })
  })

  onDiskAndInMemory(
    'may be closed inside a handler, which is not waited for; others are',
    async (place) => {
      const log = await filled(place, 2, 2)
      const consumer = log.consumer(OPTIONS)
      const handlers = new HeldHandlers()
      let isClosed = false
      const run = consumer.run({
        concurrency: 2,
        eachRecord: async (record, context) => {
          if (record.partition === 0) {
            await handlers.eachRecord(record as never, context)
            return
          }
          await eventually(() => handlers.underWay.size === 1)
          const first = consumer.close()
          assert.equal(consumer.close(), first)
          await first
          isClosed = true
        },
      })
      await eventually(() => handlers.underWay.size === 1)
      await settle()
      assert.equal(isClosed, false)
      await handlers.end('0@0')
      await run
      assert.equal(isClosed, true)
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 1, 't-1': 1 })
    },
  )

  onDiskAndInMemory(
    'is not waited for longer than drainMs: the signals of its handlers are aborted',
    async (place) => {
      const log = await filled(place, 1, 2)
      const consumer = log.consumer(OPTIONS)
      const handlers = new HeldHandlers()
      const run = consumer.run({ eachRecord: handlers.eachRecord as never })
      await eventually(() => handlers.underWay.size === 1)
      const closing = consumer.close({ drainMs: 500 })
      await place.clock.advance(499)
      assert.equal(handlers.signals.get('0@0')?.aborted, false)
      await place.clock.advance(1)
      await closing
      await run
      assert.equal(handlers.signals.get('0@0')?.aborted, true)
      await handlers.end('0@0')
      assert.deepEqual(await committedBy(log, 'g'), {})
    },
  )

  onDiskAndInMemory('refuses what it cannot do, before anything is read', async (place) => {
    const log = (await place.open({
      topics: { t: {}, graves: {}, kept: { cleanupPolicy: 'compact' } },
    })) as unknown as Log
    const eachRecord = (): void => {}
    const refused = async (topics: (string | RegExp)[], deadLetterTopic: string, what: object) => {
      const consumer = log.consumer({ group: 'g', topics })
      await assert.rejects(
        consumer.run({ eachRecord, failurePolicy: { giveUp: { deadLetterTopic } } }),
        what,
      )
    }
    await refused(['t'], 'nowhere', { code: 'UNKNOWN_TOPIC' })
    await refused(['t'], 'kept', { name: 'TypeError', message: /compacted/ })
    await refused(['t', 'graves'], 'graves', {
      name: 'TypeError',
      message: /consumer itself reads/,
    })
    await refused([/./], 'graves', { name: 'TypeError', message: /consumer itself reads/ })
    await refused(['t'], '__consumer_offsets', { name: 'TypeError' })
    const consumer = log.consumer(OPTIONS)
    void consumer.run({ eachRecord })
    await assert.rejects(consumer.run({ eachRecord }), TypeError)
  })
})

suite('a handler that fails', () => {
  onDiskAndInMemory('is tried again after waits that grow, by the clock', async (place) => {
    const log = await filled(place, 1, 2)
    const consumer = log.consumer(OPTIONS)
    const handled: string[] = []
    const run = consumer.run({
      eachRecord: ({ offset, deliveryCount }) => {
        handled.push(`${offset}/${deliveryCount}`)
        if (deliveryCount < 3) throw boom
      },
      failurePolicy: { backoff: { initialMs: 1000, factor: 4, jitter: 0 } },
    })
    await eventually(() => handled.length === 1)
    await place.clock.advance(999)
    assert.equal(handled.length, 1)
    await place.clock.advance(1)
    assert.equal(handled.length, 2)
    await place.clock.advance(3999)
    assert.equal(handled.length, 2)
    await place.clock.advance(1)
    assert.deepEqual(handled, ['0/1', '0/2', '0/3', '1/1'])
    await consumer.close()
    await run.catch(() => {})
  })

  onDiskAndInMemory(
    'stops the run, by default: what came before is committed, and the consumer has left',
    async (place) => {
      const log = await filled(place, 1, 5)
      const consumer = log.consumer(OPTIONS)
      const run = consumer.run({
        eachRecord: ({ offset }) => {
          if (offset === 3) throw boom
        },
        failurePolicy: { retries: 0 },
      })
      await assert.rejects(run, (error) => {
        assert.ok(error instanceof HandlerFailedError && error instanceof LogError)
        assert.deepEqual([error.code, error.cause, error.offset], ['HANDLER_FAILED', boom, 3])
        return true
      })
      assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3 })
      assert.equal((await log.describeGroup('g')).members.length, 0)
      // The next one is handed it again, and its deliveries count on.
      const next = log.consumer(OPTIONS)
      const counts: string[] = []
      const again = next.run({
        eachRecord: ({ offset, deliveryCount }) => counts.push(`${offset}/${deliveryCount}`),
      })
      await eventually(() => counts.length === 2)
      await next.close()
      await again
      assert.deepEqual(counts, ['3/2', '4/1'])
    },
  )

  onDiskAndInMemory('may be skipped', async (place) => {
    const log = await filled(place, 1, 3)
    const consumer = log.consumer(OPTIONS)
    const handled: number[] = []
    const run = consumer.run({
      eachRecord: ({ offset }) => {
        handled.push(offset)
        if (offset === 1) throw boom
      },
      failurePolicy: { retries: 0, giveUp: 'skip' },
    })
    await eventually(() => handled.length === 3)
    await consumer.close()
    await run
    assert.deepEqual(await committedBy(log, 'g'), { 't-0': 3 })
    assert.deepEqual(consumer.metrics().skipped, 1)
  })
})

suite('dead letters', () => {
  async function buried(place: Place): Promise<Log> {
    const log = (await place.open({
      topics: { t: { partitions: 3, value: 'json' }, graves: { value: 'json' } },
    })) as unknown as Log
    const headers = { trace: 'x', twice: ['1', null] }
    await log.produce('t', { key: 'k', value: { n: 1 }, headers, timestamp: 5, partition: 2 })
    await log.produce('t', { key: null, value: null, timestamp: 6, partition: 2 })
    await log.produce('t', { key: 'k', value: { n: 3 }, timestamp: 7, partition: 2 })
    const consumer = log.consumer(OPTIONS)
    let ended = 0
    const run = consumer.run({
      eachRecord: ({ offset }) => {
        if (offset < 2) throw Object.assign(new RangeError('boom'), { code: 'E_BOOM' })
        ended += 1
      },
      failurePolicy: { retries: 1, backoff: NO_WAIT, giveUp: { deadLetterTopic: 'graves' } },
    })
    while (ended === 0) await place.clock.advance(0)
    await consumer.close()
    await run
    assert.deepEqual(await committedBy(log, 'g'), { 't-2': 3 })
    return log
  }

  async function all(log: Log, topic: string): Promise<ConsumedRecord[]> {
    const records: ConsumedRecord[] = []
    for await (const record of log.read(topic, { until: 'end' })) {
      records.push(record as ConsumedRecord)
    }
    return records
  }

  onDiskAndInMemory(
    'are the records as they are, with headers that say what became of them',
    async (place) => {
      const log = await buried(place)
      const [first, second] = await all(log, 'graves')
      assert.deepEqual([first?.key, first?.value], ['k', { n: 1 }])
      assert.deepEqual([second?.key, second?.value], [null, null])
      const texts = Object.entries(first?.headers ?? {}).map(([name, value]) => [name, `${value}`])
      assert.deepEqual(Object.fromEntries(texts), {
        trace: 'x',
        twice: '1,',
        'dlq.topic': 't',
        'dlq.partition': '2',
        'dlq.offset': '0',
        'dlq.timestamp': '5',
        'dlq.group': 'g',
        'dlq.delivery-count': '2',
        'dlq.error-name': 'RangeError',
        'dlq.error-code': 'E_BOOM',
        'dlq.error-message': 'boom',
      })
    },
  )

  onDiskAndInMemory('of values that cannot be decoded keep their bytes', async (place) => {
    const at = { topics: { t: { value: 'bytes' }, graves: { value: 'bytes' } } } as const
    const log = (await place.open(at)) as unknown as Log
    const bytes = Buffer.from([0xff, 0, 0x7b])
    await log.produce('t', { value: bytes })
    const consumer = log.consumer(OPTIONS)
    const run = consumer.run({
      eachRecord: () => {
        throw boom
      },
      failurePolicy: { retries: 0, giveUp: { deadLetterTopic: 'graves' } },
    })
    await eventually(async () => (await all(log, 'graves')).length === 1)
    await consumer.close()
    await run
    assert.deepEqual((await all(log, 'graves'))[0]?.value, bytes)
  })

  onDiskAndInMemory(
    'have the bytes of a key that is no UTF-8, and of a record that has gone from the log',
    async (place) => {
      const key = Buffer.from([0xff, 0xfe])
      const topics = { t: {}, graves: {} }
      const first = await place.open({ topics })
      await first.close()
      const raw = (await place.open({ raw: true })) as unknown as Log
      for (let n = 0; n < 2; n += 1)
        await raw.produce('t', { key: key as never, value: Buffer.from([0xc1]) })
      const log = (await place.reopen(raw, { topics })) as unknown as Log
      const consumer = log.consumer(OPTIONS)
      const handlers = new HeldHandlers()
      const run = consumer.run({
        eachRecord: handlers.eachRecord as never,
        failurePolicy: { retries: 0, giveUp: { deadLetterTopic: 'graves' } },
      })
      await eventually(() => handlers.underWay.has('0@0'))
      await handlers.fail('0@0')
      await eventually(() => handlers.underWay.has('0@1'))
      await log.deleteRecords('t', { partition: 0, before: 2 })
      await handlers.fail('0@1')
      await eventually(async () => (await log.offsets('graves', 0)).latest === 2)
      await consumer.close()
      await run
      const bytes = (await place.reopen(log, { raw: true })) as unknown as Log
      const letters = (await all(bytes, 'graves')) as unknown as { key: Buffer; value: Buffer }[]
      assert.deepEqual(letters[0]?.key, key)
      assert.deepEqual(letters[0]?.value, Buffer.from([0xc1]))
      assert.deepEqual(letters[1]?.value, Buffer.from([0xc1]))
    },
  )

  onDiskAndInMemory('are replayed to where they come from, each once', async (place) => {
    const log = await buried(place)
    await log.produce('graves', { value: 'no dead letter' })
    assert.deepEqual(await log.replayDeadLetters('graves'), { replayed: 2, passed: 1 })
    const back = (await all(log, 't')).filter(({ offset }) => offset >= 3)
    assert.deepEqual(
      back.map(({ partition, key, value, timestamp }) => ({ partition, key, value, timestamp })),
      [
        { partition: 2, key: 'k', value: { n: 1 }, timestamp: 5 },
        { partition: 2, key: null, value: null, timestamp: 6 },
      ],
    )
    assert.deepEqual(back[0]?.headers, {
      trace: Buffer.from('x'),
      twice: [Buffer.from('1'), null],
    })
    assert.deepEqual(back[1]?.headers, {})
    assert.deepEqual(await committedBy(log, 'graves.replay'), { 'graves-0': 3 })
    const both = await Promise.all([
      log.replayDeadLetters('graves'),
      log.replayDeadLetters('graves'),
    ])
    assert.deepEqual(both, [
      { replayed: 0, passed: 0 },
      { replayed: 0, passed: 0 },
    ])
    const twice = ['one', 'two'].map((group) => log.replayDeadLetters('graves', { group }))
    assert.deepEqual(await Promise.all(twice), [
      { replayed: 2, passed: 1 },
      { replayed: 2, passed: 1 },
    ])
  })

  onDiskAndInMemory(
    'whose origin is gone end a replay, with all before them replayed',
    async (place) => {
      const log = await buried(place)
      const headers = Object.fromEntries(
        Object.values(DEAD_LETTER_HEADERS).map((name) => [name, '7']),
      )
      await log.produce('graves', { value: 1, headers })
      await assert.rejects(log.replayDeadLetters('graves'), { code: 'UNKNOWN_TOPIC' })
      assert.deepEqual(await committedBy(log, 'graves.replay'), { 'graves-0': 2 })
      assert.equal((await all(log, 't')).length, 5)
      await assert.rejects(log.replayDeadLetters('nowhere'), { code: 'UNKNOWN_TOPIC' })
      await assert.rejects(log.replayDeadLetters('graves', { groop: 'x' } as never), TypeError)
      const signal = AbortSignal.abort(boom)
      await assert.rejects(log.replayDeadLetters('graves', { signal }), (error) => error === boom)
    },
  )

  onDiskAndInMemory(
    'that die once more are dead letters of both, and come back one step at a time',
    async (place) => {
      const log = await buried(place)
      await log.createTopic('deeper', { value: 'json' })
      const consumer = log.consumer({ group: 'undertaker', topics: ['graves'] })
      const run = consumer.run({
        eachRecord: () => {
          throw boom
        },
        failurePolicy: { retries: 0, giveUp: { deadLetterTopic: 'deeper' } },
      })
      await eventually(async () => (await all(log, 'deeper')).length === 2)
      await consumer.close()
      await run
      assert.deepEqual(await log.replayDeadLetters('deeper'), { replayed: 2, passed: 0 })
      const [first, , back] = await all(log, 'graves')
      assert.deepEqual(back?.headers, first?.headers)
      assert.deepEqual(await log.replayDeadLetters('graves'), { replayed: 4, passed: 0 })
      await fill(log, 't', 1, 1)
    },
  )
})
