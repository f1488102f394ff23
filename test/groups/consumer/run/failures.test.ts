import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError, HandlerFailedError, LogError } from '../../../../src/errors.ts'
import type { FakeRecord } from '../../../support/fake-page-source.ts'
import { FakePageSource } from '../../../support/fake-page-source.ts'
import { HeldHandlers, RunScene, settle } from '../../../support/run-scene.ts'

const count = (n: number): FakeRecord[] => Array.from({ length: n }, () => ({}))
const boom = new Error('boom')

/** Three records of one partition, of which that at offset 1 always fails. */
function poisoned(): {
  source: FakePageSource
  handled: string[]
  eachRecord: (record: { offset: number; deliveryCount: number }) => void
} {
  const source = new FakePageSource()
  source.add(0, count(3))
  const handled: string[] = []
  const eachRecord = ({
    offset,
    deliveryCount,
  }: {
    offset: number
    deliveryCount: number
  }): void => {
    handled.push(`${offset}/${deliveryCount}`)
    if (offset === 1) throw boom
  }
  return { source, handled, eachRecord }
}

test('a record that fails is retried after waits that grow, and then the run stops with what its handler threw', async () => {
  const { source, handled, eachRecord } = poisoned()
  const scene = new RunScene(source, {
    eachRecord,
    failurePolicy: { retries: 3, backoff: { initialMs: 100, factor: 3, maxMs: 500, jitter: 0 } },
  })
  await settle()
  assert.deepEqual(handled, ['0/1', '1/1'])
  for (const [waitMs, deliveries] of [
    [100, 2],
    [300, 3],
    [500, 4],
  ] as const) {
    await scene.clock.advance(waitMs - 1)
    assert.equal(handled.length, deliveries)
    await scene.clock.advance(1)
    assert.equal(handled.at(-1), `1/${deliveries}`)
  }
  await assert.rejects(scene.ended, (error) => {
    assert.ok(error instanceof HandlerFailedError)
    const { code, topic, partition, offset, deliveryCount, cause } = error
    assert.deepEqual(
      { code, topic, partition, offset, deliveryCount },
      { code: 'HANDLER_FAILED', topic: 'orders', partition: 0, offset: 1, deliveryCount: 4 },
    )
    assert.equal(cause, boom)
    assert.match(error.message, /^orders-0, offset 1: its handler failed \(delivery 4\): boom$/)
    return true
  })
  // What came before is committed, and nothing of what comes after was begun.
  assert.equal(source.committed().offset, 1)
  assert.deepEqual(source.pagesInHand(), [])
  assert.equal(scene.clock.pendingTimers, 0)
  assert.deepEqual(scene.told, ['retried 0@1 1', 'retried 0@1 2', 'retried 0@1 3'])
})

test('without a policy there are three retries, and then it stops', async () => {
  const { source, handled, eachRecord } = poisoned()
  const scene = new RunScene(source, { eachRecord })
  for (const ms of [100, 200, 400]) await scene.clock.advance(ms)
  await assert.rejects(scene.ended, HandlerFailedError)
  assert.deepEqual(handled, ['0/1', '1/1', '1/2', '1/3', '1/4'])
})

test('a fixed wait is always the same, and jitter takes from it', async () => {
  const { source, handled, eachRecord } = poisoned()
  const scene = new RunScene(source, {
    eachRecord,
    failurePolicy: { backoff: { type: 'fixed', initialMs: 1000, jitter: 0.5 } },
  })
  await settle()
  scene.random = 0.5
  // The first was drawn with 0: the whole.
  await scene.clock.advance(1000)
  assert.equal(handled.at(-1), '1/2')
  await scene.clock.advance(749)
  assert.equal(handled.at(-1), '1/2')
  await scene.clock.advance(1)
  assert.equal(handled.at(-1), '1/3')
  source.close()
  await scene.ended
})

test('while a record waits for its retry, its partition is held up and others go on', async () => {
  const source = new FakePageSource(2)
  const handlers = new HeldHandlers()
  const scene = new RunScene(source, { eachRecord: handlers.eachRecord })
  source.add(0, count(4))
  source.add(1, count(4))
  await settle()
  await handlers.fail('0@0')
  for (const offset of [0, 1, 2, 3]) await handlers.end(`1@${offset}`)
  assert.deepEqual(source.committed(1), { offset: 4, metadata: undefined })
  assert.equal(handlers.names, '')
  await scene.clock.advance(100)
  await handlers.end('0@0')
  assert.deepEqual(handlers.begun, ['0@0', '1@0', '1@1', '1@2', '1@3', '0@0 2', '0@1'])
})

test('by key a retry holds up its key alone, and the commit with it', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  const concurrency = { by: 'key', max: 2 } as const
  const scene = new RunScene(source, { eachRecord: handlers.eachRecord, concurrency })
  source.add(0, [{ key: 'a' }, { key: 'b' }, { key: 'a' }, { key: 'c' }, { key: 'd' }])
  await settle()
  await handlers.fail('0@0')
  // It waits, and takes no place.
  assert.equal(handlers.names, '0@1 0@3')
  for (const offset of [1, 3, 4]) await handlers.end(`0@${offset}`)
  assert.deepEqual(source.finishedOffsets(), [1, 3, 4])
  assert.equal(source.committed().offset, 0)
  await scene.clock.advance(100)
  await handlers.end('0@0')
  await handlers.end('0@2')
  assert.deepEqual(source.committed(), { offset: 5, metadata: undefined })
})

test('skip: the record counts as finished, and the partition goes on', async () => {
  const { source, handled, eachRecord } = poisoned()
  const scene = new RunScene(source, { eachRecord, failurePolicy: { retries: 0, giveUp: 'skip' } })
  await settle()
  assert.deepEqual(handled, ['0/1', '1/1', '2/1'])
  assert.deepEqual(source.committed(), { offset: 3, metadata: undefined })
  assert.deepEqual(scene.told, ['skipped 0@1'])
  source.close()
  await scene.ended
})

test('a dead letter is acknowledged before its record counts as finished', async () => {
  const { source, handled, eachRecord } = poisoned()
  const scene = new RunScene(source, {
    eachRecord,
    failurePolicy: { retries: 1, giveUp: { deadLetterTopic: 'graves' } },
  })
  const full = new LogError('DISK_FULL', 'full', { retryable: true })
  scene.appendErrors.push(full, full)
  await scene.clock.advance(100)
  assert.deepEqual(handled, ['0/1', '1/1', '1/2'])
  // The append failed; it is tried again as the record is, and is not skipped.
  assert.equal(source.committed().offset, 1)
  await scene.clock.advance(100)
  assert.equal(source.committed().offset, 1)
  await scene.clock.advance(199)
  assert.deepEqual(scene.deadLetters, [])
  await scene.clock.advance(1)
  assert.deepEqual(
    scene.deadLetters.map(({ offset, deliveryCount }) => ({ offset, deliveryCount })),
    [{ offset: 1, deliveryCount: 2 }],
  )
  assert.deepEqual(handled, ['0/1', '1/1', '1/2', '2/1'])
  assert.deepEqual(scene.told, ['retried 0@1 1', 'dead 0@1 graves'])
  assert.deepEqual(source.committed(), { offset: 3, metadata: undefined })
  source.close()
  await scene.ended
})

test('a dead letter that never can be appended stops the run; its record is not finished', async () => {
  const { source, eachRecord } = poisoned()
  const scene = new RunScene(source, {
    eachRecord,
    failurePolicy: { retries: 0, giveUp: { deadLetterTopic: 'graves' } },
  })
  scene.appendErrors.push(new LogError('STORAGE_FAILED', 'broken'))
  await assert.rejects(scene.ended, { code: 'HANDLER_FAILED', message: /broken/ })
  assert.equal(source.committed().offset, 1)
})

test('an error that says so is not retried, and by default one that cannot be decoded is not', async () => {
  for (const given of [undefined, (error: unknown): boolean => error !== boom]) {
    const source = new FakePageSource()
    source.add(0, count(1))
    const error = given === undefined ? new DecodeError('orders', 0, 0, boom) : boom
    const shouldRetry = given === undefined ? {} : { shouldRetry: given }
    const scene = new RunScene(source, {
      eachRecord: () => {
        throw error
      },
      failurePolicy: { giveUp: 'skip', ...shouldRetry },
    })
    await settle()
    assert.deepEqual(scene.told, ['skipped 0@0'])
    source.close()
    await scene.ended
  }
})

test('a shouldRetry that throws stops the run', async () => {
  const { source, eachRecord } = poisoned()
  const shouldRetry = (): boolean => {
    throw new Error('no idea')
  }
  const scene = new RunScene(source, { eachRecord, failurePolicy: { shouldRetry } })
  await assert.rejects(scene.ended, { code: 'HANDLER_FAILED', message: /no idea/ })
})

test('a run that stops waits for other handlers, whose records are finished, and for 30 s at the most', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  const scene = new RunScene(source, {
    eachRecord: handlers.eachRecord,
    concurrency: 3,
    failurePolicy: { retries: 0 },
  })
  for (const partition of [0, 1, 2]) source.add(partition, count(2))
  await settle()
  await handlers.fail('0@0')
  await handlers.end('1@0')
  assert.equal(handlers.names, '2@0')
  assert.equal(source.committed(1).offset, 1)
  assert.equal(scene.outcome, 'running')
  await scene.clock.advance(29_999)
  assert.equal(scene.outcome, 'running')
  assert.equal(handlers.signals.get('2@0')?.aborted, false)
  await scene.clock.advance(1)
  await assert.rejects(scene.ended, HandlerFailedError)
  assert.equal(handlers.signals.get('2@0')?.aborted, true)
  assert.equal(source.committed(2).offset, 0)
})

test('what the source fails with ends the run as it is', async () => {
  const source = new FakePageSource()
  source.add(0, count(1))
  const failure = new LogError('CORRUPT_LOG', 'damaged')
  const scene = new RunScene(source, {
    eachRecord: () => {
      source.failure = failure
    },
  })
  await assert.rejects(scene.ended, (error) => error === failure)
  assert.equal(source.committed().offset, 1)
})

test('a wait that is longer than maxPollIntervalMs gives signs of life', async () => {
  const source = new FakePageSource()
  source.add(0, count(2))
  const scene = new RunScene(
    source,
    {
      eachRecord: () => {
        throw boom
      },
      failurePolicy: { backoff: { type: 'fixed', initialMs: 60_000, jitter: 0 } },
    },
    10_000,
  )
  await settle()
  const [page] = source.pagesInHand()
  for (let step = 0; step < 11; step += 1) {
    const before = page?.signs ?? 0
    await scene.clock.advance(5000)
    assert.ok((page?.signs ?? 0) > before, `no sign in step ${step}`)
  }
  assert.equal(scene.told.length, 1)
  await scene.clock.advance(5000)
  assert.equal(scene.told.length, 2)
  source.close()
  await scene.ended
})

// -------------------------------------------------------------------------------------- batches

test('a batch is a page; one that fails is retried whole, and given up it is handed out record by record', async () => {
  const source = new FakePageSource(4)
  source.add(0, count(6))
  const handled: string[] = []
  const scene = new RunScene(source, {
    eachBatch: ({ topic, partition, records }) => {
      assert.deepEqual([topic, partition], ['orders', 0])
      handled.push(records.map((each) => `${each.offset}/${each.deliveryCount}`).join(' '))
      if (records.some(({ offset }) => offset === 2)) throw boom
    },
    failurePolicy: { retries: 1, giveUp: { deadLetterTopic: 'graves' } },
  })
  await scene.clock.advance(100)
  assert.deepEqual(handled, [
    '0/1 1/1 2/1 3/1',
    '0/2 1/2 2/2 3/2',
    '0/3',
    '1/3',
    '2/3',
    '3/3',
    '4/1 5/1',
  ])
  assert.deepEqual(
    scene.deadLetters.map(({ offset }) => offset),
    [2],
  )
  assert.deepEqual(source.committed(), { offset: 6, metadata: undefined })
  source.close()
  await scene.ended
})

test('a batch that fails for good stops the run where that is the policy, with its first offset', async () => {
  const source = new FakePageSource(4)
  source.add(0, count(6))
  const scene = new RunScene(source, {
    eachBatch: async ({ records }) => {
      if (records[0]?.offset === 4) throw boom
    },
    failurePolicy: { retries: 0 },
  })
  await assert.rejects(scene.ended, { code: 'HANDLER_FAILED', offset: 4, cause: boom })
  assert.equal(source.committed().offset, 4)
})
