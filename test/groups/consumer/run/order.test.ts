import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Concurrency } from '../../../../src/groups/consumer/run/run-options.ts'
import type { FakeRecord } from '../../../support/fake-page-source.ts'
import { FakePageSource } from '../../../support/fake-page-source.ts'
import { randomInteger, seededRandom } from '../../../support/random.ts'
import { HeldHandlers, RunScene, settle } from '../../../support/run-scene.ts'

const keyed = (...keys: (string | null)[]): FakeRecord[] => keys.map((key) => ({ key }))
const count = (n: number): FakeRecord[] => Array.from({ length: n }, () => ({}))

test('by default one handler at a time is under way, and the records of a partition come in their order', async () => {
  const source = new FakePageSource(2)
  const handlers = new HeldHandlers()
  const scene = new RunScene(source, { eachRecord: handlers.eachRecord })
  source.add(0, count(3))
  source.add(1, count(3))
  for (let done = 0; done < 6; done += 1) {
    await settle()
    assert.equal(handlers.underWay.size, 1)
    await handlers.end(handlers.names)
  }
  assert.deepEqual(handlers.begun, ['0@0', '0@1', '1@0', '1@1', '0@2', '1@2'])
  assert.deepEqual(source.committed(0), { offset: 3, metadata: undefined })
  source.close()
  await scene.ended
})

test('a number is that many partitions at once, each with one handler', async () => {
  const source = new FakePageSource(2)
  const handlers = new HeldHandlers()
  const scene = new RunScene(source, { eachRecord: handlers.eachRecord, concurrency: 2 })
  for (const partition of [0, 1, 2]) source.add(partition, count(3))
  await settle()
  assert.equal(handlers.names, '0@0 1@0')
  await handlers.end('1@0')
  await handlers.end('1@1')
  assert.equal(handlers.names, '0@0 2@0')
  // Of a partition one page is in hand, so that the others are not read by it alone.
  assert.equal(source.pagesInHand(0).length, 1)
  assert.equal(handlers.most, 2)
  source.close()
  await handlers.end('0@0')
  await handlers.end('2@0')
  await scene.ended
})

test('by key the records of a key wait for one another, and others overtake, across pages', async () => {
  const source = new FakePageSource(3)
  const handlers = new HeldHandlers()
  const concurrency = { by: 'key', max: 10 } as const
  const scene = new RunScene(source, { eachRecord: handlers.eachRecord, concurrency })
  source.add(0, keyed('a', 'b', 'a', 'a', 'c', 'b'))
  await settle()
  assert.equal(handlers.names, '0@0 0@1 0@4')
  await handlers.end('0@4')
  assert.deepEqual(source.finishedOffsets(), [4])
  await handlers.end('0@0')
  assert.equal(handlers.names, '0@1 0@2')
  await handlers.end('0@2')
  await handlers.end('0@3')
  assert.deepEqual(source.finishedOffsets(), [0, 2, 3, 4])
  assert.equal(source.committed().offset, 1)
  await handlers.end('0@1')
  await handlers.end('0@5')
  assert.deepEqual(source.committed(), { offset: 6, metadata: undefined })
  assert.deepEqual(source.pagesInHand(), [])
  source.close()
  await scene.ended
})

test('by key a record without a key waits for nobody', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  const concurrency = { by: 'key', max: 10 } as const
  new RunScene(source, { eachRecord: handlers.eachRecord, concurrency })
  source.add(0, keyed(null, null, 'a', 'a', null))
  await settle()
  assert.equal(handlers.names, '0@0 0@1 0@2 0@4')
})

test('by key equal keys of two partitions have nothing to do with one another, and max counts over all', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  const concurrency = { by: 'key', max: 3 } as const
  new RunScene(source, { eachRecord: handlers.eachRecord, concurrency })
  source.add(0, keyed('a', 'a'))
  source.add(1, keyed('a', 'b', 'c'))
  await settle()
  assert.equal(handlers.names, '0@0 1@0 1@1')
  await handlers.end('0@0')
  assert.equal(handlers.names, '1@0 1@1 0@1')
})

test('a key that holds its records up does not take the memory for all others', async () => {
  const source = new FakePageSource(1000)
  const handlers = new HeldHandlers()
  const concurrency = { by: 'key', max: 4 } as const
  new RunScene(source, { eachRecord: handlers.eachRecord, concurrency })
  source.add(0, keyed(...Array.from({ length: 30_000 }, () => 'hot')))
  source.add(1, keyed('a'))
  await settle()
  assert.equal(handlers.names, '0@0 1@0')
  const inHand = source.pagesInHand(0).reduce((sum, page) => sum + page.records.length, 0)
  assert.ok(inHand > 8192 && inHand <= 8192 + 1000, `${inHand} records in hand`)
  // Once there is room, it is read on.
  for (let offset = 0; offset < 1000; offset += 1) await handlers.end(`0@${offset}`)
  assert.ok((source.pagesInHand(0).at(-1)?.nextOffset ?? 0) > inHand)
})

test('handlers that answer at once leave others their turns', async () => {
  const source = new FakePageSource(500)
  let handled = 0
  let turns = 0
  const eachRecord = (): void => {
    handled += 1
    const until = performance.now() + 0.05
    while (performance.now() < until);
  }
  const scene = new RunScene(source, { eachRecord })
  source.add(0, count(2000))
  while (handled < 2000) {
    turns += 1
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.ok(turns > 5, `${turns} turns of the event loop`)
  source.close()
  await scene.ended
})

// ---------------------------------------------------------------------------------- at random

const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)

async function storm(seed: number, concurrency: Concurrency): Promise<void> {
  const random = seededRandom(seed)
  const keys = 1 + randomInteger(random, 20)
  const source = new FakePageSource(1 + randomInteger(random, 30))
  const underWay = new Map<string, number>()
  const finished = new Map<string, number[]>()
  const failing = new Set<string>()
  let running = 0
  const scene = new RunScene(source, {
    concurrency,
    failurePolicy: { retries: 5, backoff: { initialMs: 10 }, giveUp: 'skip' },
    eachRecord: async ({ partition, offset, key }) => {
      const lane = concurrency.by === 'key' ? `${partition} ${key ?? `@${offset}`}` : `${partition}`
      assert.equal(underWay.get(lane), undefined, `${lane} twice at once`)
      running += 1
      assert.ok(running <= concurrency.max)
      underWay.set(lane, offset)
      for (let wait = randomInteger(random, 4); wait > 0; wait -= 1) await settle()
      underWay.delete(lane)
      running -= 1
      const name = `${partition}@${offset}`
      if (random() < 0.1 && !failing.has(name)) {
        failing.add(name)
        throw new Error('fails at first')
      }
      const list = finished.get(lane) ?? []
      assert.ok((list.at(-1) ?? -1) < offset, `${lane}: ${offset} behind ${list.at(-1)}`)
      list.push(offset)
      finished.set(lane, list)
      assert.ok(!source.finishedOffsets(partition).includes(offset), 'committed before it ended')
    },
  })
  const total = 300
  for (let added = 0; added < total; added += 10) {
    const gap = random() < 0.2 ? 5 : 0
    const partition = randomInteger(random, 3)
    const from = (source.lastOffset(partition) ?? -1) + 1 + gap
    const records = Array.from({ length: 10 }, (_, index) => ({
      offset: from + index,
      key: random() < 0.1 ? null : `k${randomInteger(random, keys)}`,
    }))
    source.add(partition, records)
    if (random() < 0.3) await scene.clock.advance(5)
  }
  const isAllDone = (): boolean => [...finished.values()].flat().length === total
  for (let step = 0; step < 2000 && !isAllDone(); step += 1) await scene.clock.advance(10)
  assert.ok(isAllDone(), 'all records are handled')
  for (const partition of [0, 1, 2]) {
    const last = source.lastOffset(partition)
    if (last === undefined) continue
    assert.deepEqual(source.committed(partition), { offset: last + 1, metadata: undefined })
    assert.deepEqual(source.pagesInHand(partition), [])
  }
  source.close()
  await scene.ended
}

for (const concurrency of [
  { by: 'partition', max: 2 },
  { by: 'key', max: 1 },
  { by: 'key', max: 7 },
] as const) {
  test(`at random, by ${concurrency.by}, ${concurrency.max} at once: each record ends once, in its order, and is committed after that`, async (t) => {
    t.diagnostic(`BROKERLESS_SEED=${SEED}`)
    for (let round = 0; round < 8; round += 1) {
      try {
        await storm(SEED + round, concurrency)
      } catch (error) {
        if (error instanceof Error)
          error.message = `BROKERLESS_SEED=${SEED + round}: ${error.message}`
        throw error
      }
    }
  })
}
