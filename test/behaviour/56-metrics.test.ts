// What a log tells of its topics and groups in figures.
import assert from 'node:assert/strict'
import type { Log, TopicMetrics } from '../../src/index.ts'
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
