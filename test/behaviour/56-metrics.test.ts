// What a log tells of its topics and groups in figures, and of its consumers as it happens.
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { TestContext } from 'node:test'
import type { DiagnosticMessages, GroupMetrics, Log, TopicMetrics } from '../../src/index.ts'
import { filled, take } from '../support/consuming.ts'
import { eventually } from '../support/log-places.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const topics = { orders: { value: 'json', partitions: 2 }, others: { value: 'bytes' } } as const

const values = (count: number): { value: number; partition: number }[] =>
  Array.from({ length: count }, (_, value) => ({ value, partition: value % 2 }))

type Metered = Pick<Log, 'metrics' | 'describeTopic'>

const figuresOf = (log: Metered, topic: string): TopicMetrics | undefined =>
  log.metrics().topics[topic]

async function storedBytes(log: Metered, topic: string): Promise<number> {
  const { partitions } = await log.describeTopic(topic)
  return partitions.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
}

const NOTHING = { records: 0, bytes: 0 }

onDiskAndInMemory(
  'what was written and read of a topic is counted since the open',
  async (place) => {
    let log = await place.open({ topics })
    assert.deepEqual(log.metrics(), {
      topics: {
        orders: { produced: NOTHING, fetched: NOTHING },
        others: { produced: NOTHING, fetched: NOTHING },
      },
      groups: {},
    })

    await log.produce('orders', values(10))
    const bytes = await storedBytes(log, 'orders')
    const produced = { records: 10, bytes }
    assert.deepEqual(figuresOf(log, 'orders'), { produced, fetched: NOTHING })

    await log.fetch('orders', { partition: 0, offset: 0 })
    assert.equal(figuresOf(log, 'orders')?.fetched.records, 5)
    for await (const _ of log.read('orders', { until: 'end' }).batches()) {
      // Read, and counted.
    }
    const { fetched } = figuresOf(log, 'orders') ?? {}
    assert.equal(fetched?.records, 15)
    assert.ok(fetched.bytes > bytes, `${fetched.bytes} bytes of pages, ${bytes} are stored`)
    assert.deepEqual(figuresOf(log, 'others'), { produced: NOTHING, fetched: NOTHING })

    log = await place.reopen(log, { topics })
    await log.produce('orders', values(1))
    const since = figuresOf(log, 'orders')?.produced
    assert.deepEqual(since, {
      records: 1,
      bytes: (await storedBytes(log, 'orders')) - bytes,
    })
  },
)

onDiskAndInMemory('records that could not be written are not counted', async (place) => {
  const log = await place.open({ topics })
  await log.produce('orders', values(2))
  const before = figuresOf(log, 'orders')
  await assert.rejects(log.produce('orders', { value: 1, partition: 0 }, { expectedOffset: 7 }), {
    code: 'OFFSET_CONFLICT',
  })
  assert.deepEqual(figuresOf(log, 'orders'), before)
})

onDiskAndInMemory('a topic that is deleted takes its figures with it', async (place) => {
  const log = await place.open({ topics })
  await log.produce('orders', values(2))
  await log.deleteTopic('orders')
  assert.deepEqual(Object.keys(log.metrics().topics), ['others'])
  await log.createTopic('orders', { value: 'json' })
  assert.deepEqual(figuresOf(log, 'orders'), { produced: NOTHING, fetched: NOTHING })
})

onDiskAndInMemory('the lag of a group is told as log.lag tells it', async (place) => {
  const log = await place.open({ topics })
  await log.produce('orders', values(10))
  await log.commitOffset('billing', [
    { topic: 'orders', partition: 0, offset: 2 },
    { topic: 'orders', partition: 1, offset: 5 },
  ])
  const { lagRecords } = await log.lag('billing')
  assert.equal(lagRecords, 3)
  assert.deepEqual(log.metrics().groups, {
    billing: {
      ...NOTHING,
      commits: 0,
      retries: 0,
      deadLetters: 0,
      skipped: 0,
      rebalances: 0,
      members: 0,
      generation: -1,
      lagRecords,
    },
  })
  await log.deleteGroup('billing')
  assert.deepEqual(log.metrics().groups, {})
})

onDiskAndInMemory(
  'figures that were answered do not change, and a closed log has none',
  async (place) => {
    const log = await place.open({ topics })
    const before = log.metrics()
    const copy = structuredClone(before)
    await log.produce('orders', values(2))
    await log.fetch('orders', { partition: 0, offset: 0 })
    assert.deepEqual(before, copy)
    await log.close()
    assert.throws(() => log.metrics(), { code: 'CLOSED' })
  },
)

// ----------------------------------------------------------------------------------- consumers

const CHANNELS = [
  'brokerless:consumer:assigned',
  'brokerless:consumer:revoked',
  'brokerless:consumer:lost',
  'brokerless:consumer:committed',
  'brokerless:consumer:retried',
  'brokerless:consumer:skipped',
  'brokerless:consumer:dead-lettered',
  'brokerless:group:rebalanced',
  'brokerless:loop-blocked',
] as const satisfies readonly (keyof DiagnosticMessages)[]

/** What is told of the logs of a place until the test ends: the end of the channel's name, and the message without its origin. */
function listen({ directory }: Place, t: TestContext): [string, Record<string, unknown>][] {
  const told: [string, Record<string, unknown>][] = []
  for (const channel of CHANNELS) {
    const listener = (message: unknown): void => {
      const { directory: from, group, ...rest } = message as DiagnosticMessages[typeof channel]
      if (from !== directory) return
      assert.equal(group, 'g')
      told.push([channel.slice(channel.lastIndexOf(':') + 1), { ...rest }])
    }
    subscribe(channel, listener)
    t.after(() => unsubscribe(channel, listener))
  }
  return told
}

const figuresOfG = (log: Metered): GroupMetrics | undefined => {
  const { g } = log.metrics().groups
  return g
}

const T0 = { topic: 't', partition: 0 }

onDiskAndInMemory('what a consumer does is told as it happens', async (place, t) => {
  const log = await filled(place, 1, 3)
  const told = listen(place, t)
  const consumer = log.consumer({ group: 'g', topics: ['t'] })
  const records = consumer[Symbol.asyncIterator]()
  await take(records, 2)
  const { memberId } = consumer
  assert.notEqual(memberId, '')
  await records.next()
  const waiting = records.next()
  await place.clock.advance(1000)
  await consumer.close()
  await waiting
  await eventually(() => figuresOfG(log)?.members === 0)
  assert.deepEqual(told, [
    ['rebalanced', { generation: 1, members: 1 }],
    ['assigned', { memberId, partitions: [T0] }],
    ['committed', { memberId, offsets: [{ ...T0, offset: 3 }] }],
    ['revoked', { memberId, partitions: [T0] }],
    ['rebalanced', { generation: 2, members: 0 }],
  ])
})

onDiskAndInMemory(
  'a consumer that is taken for dead is told, and joins again under another id',
  async (place, t) => {
    const log = await filled(place, 1, 3)
    const told = listen(place, t)
    const consumer = log.consumer({ group: 'g', topics: ['t'], maxPollIntervalMs: 10_000 })
    const records = consumer[Symbol.asyncIterator]()
    await take(records, 1)
    const { memberId } = consumer
    await place.clock.advance(11_000)
    const lost = told.filter(([name]) => name === 'lost')
    assert.deepEqual(lost, [['lost', { memberId, partitions: [T0], reason: 'expired' }]])
    await take(records, 1)
    assert.notEqual(consumer.memberId, memberId)
    assert.equal(figuresOfG(log)?.members, 1)
    assert.equal(figuresOfG(log)?.rebalances, 3)
    // The record that it had in hand was handed out again.
    assert.equal(figuresOfG(log)?.records, 6)
  },
)

onDiskAndInMemory('a loop that stood still is told', async (place, t) => {
  const log = await filled(place, 1, 3)
  const told = listen(place, t)
  await take(log.consumer({ group: 'g', topics: ['t'] })[Symbol.asyncIterator](), 1)
  place.clock.setTime(place.clock.now() + 20_000)
  await place.clock.advance(1000)
  const blocked = told.filter(([name]) => name === 'loop-blocked')
  assert.deepEqual(blocked, [['loop-blocked', { durationMs: 20_000 }]])
})

onDiskAndInMemory('what a group reads, commits and lags behind is counted', async (place) => {
  const log = await filled(place, 2, 5)
  const [a, b] = [1, 2].map(() => log.consumer({ group: 'g', topics: ['t'] }))
  assert.ok(a !== undefined && b !== undefined)
  const [ofA, ofB] = [a[Symbol.asyncIterator](), b[Symbol.asyncIterator]()]
  await Promise.all([take(ofA, 5), take(ofB, 5)])
  const { bytes, ...counts } = figuresOfG(log) ?? {}
  assert.equal(bytes, figuresOf(log, 't')?.fetched.bytes)
  const nothing = { retries: 0, deadLetters: 0, skipped: 0 }
  const expected = {
    records: 10,
    commits: 0,
    members: 2,
    generation: 1,
    rebalances: 1,
    lagRecords: 0,
  }
  assert.deepEqual(counts, { ...nothing, ...expected })
  assert.deepEqual([a.metrics().records, b.metrics().records], [5, 5])

  await b.close({ drainMs: 0 })
  const { lagRecords } = await log.lag('g')
  assert.equal(figuresOfG(log)?.lagRecords, lagRecords)
  assert.equal(b.metrics().commits, 1)
  await a.close({ drainMs: 0 })
  await eventually(() => figuresOfG(log)?.members === 0)
  assert.equal(figuresOfG(log)?.commits, 2)
  await log.deleteGroup('g')
  assert.equal(figuresOfG(log), undefined)
})

onDiskAndInMemory('a group that has no consumer yet is where it was left', async (place) => {
  let log = await filled(place, 1, 3)
  const consumer = log.consumer({ group: 'g', topics: ['t'] })
  await take(consumer[Symbol.asyncIterator](), 2)
  await log.close()
  log = (await place.open({ topics: { t: {} } })) as unknown as Log
  const { generation, records, lagRecords } = figuresOfG(log) ?? {}
  assert.ok(generation !== undefined && generation > 0)
  assert.deepEqual([records, lagRecords], [0, 2])
  log.consumer({ group: 'g', topics: ['t'] })
  assert.equal(figuresOfG(log)?.generation, generation)
})

onDiskAndInMemory(
  'what becomes of a record whose handler fails is told and counted',
  async (place, t) => {
    const log = await filled(place, 1, 4)
    await log.createTopic('dead', {})
    const told = listen(place, t)
    const failures = [new Error('the first'), new Error('the second')]
    const failing = async (
      giveUp: 'skip' | { readonly deadLetterTopic: string },
      failsAt: number,
    ): Promise<string> => {
      const consumer = log.consumer({ group: 'g', topics: ['t'] })
      const left = [...failures]
      const run = consumer.run({
        failurePolicy: { retries: 1, backoff: { type: 'fixed', initialMs: 0 }, giveUp },
        eachRecord: ({ offset }) => {
          if (offset === failsAt && left.length > 0) throw left.shift()
          if (offset === failsAt + 1) void consumer.close()
        },
      })
      let hasEnded = false
      const ended = run.finally(() => {
        hasEnded = true
      })
      // A retry waits for the clock, even if only to be called.
      while (!hasEnded) await place.clock.advance(0)
      await ended
      return consumer.memberId
    }
    const [first, second] = [
      await failing('skip', 0),
      await failing({ deadLetterTopic: 'dead' }, 2),
    ].map((memberId, run) => ({ memberId, ...T0, offset: 2 * run }))
    const failed = told.filter(([, { error }]) => error !== undefined)
    assert.deepEqual(failed, [
      ['retried', { ...first, error: failures[0], attempt: 1 }],
      ['skipped', { ...first, error: failures[1] }],
      ['retried', { ...second, error: failures[0], attempt: 1 }],
      ['dead-lettered', { ...second, error: failures[1], deadLetterTopic: 'dead' }],
    ])
    const { retries, skipped, deadLetters } = figuresOfG(log) ?? {}
    assert.deepEqual({ retries, skipped, deadLetters }, { retries: 2, skipped: 1, deadLetters: 1 })
  },
)
