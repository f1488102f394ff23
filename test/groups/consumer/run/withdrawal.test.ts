import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FakeRecord } from '../../../support/fake-page-source.ts'
import { FakePageSource } from '../../../support/fake-page-source.ts'
import { HeldHandlers, RunScene, settle } from '../../../support/run-scene.ts'

const count = (n: number): FakeRecord[] => Array.from({ length: n }, () => ({}))
const BY_KEY = { by: 'key', max: 10 } as const

test('what is asked back is not begun; what is begun ends, and is committed before it is put down', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  new RunScene(source, { eachRecord: handlers.eachRecord, concurrency: { by: 'key', max: 2 } })
  source.add(0, [{ key: 'a' }, { key: 'b' }, { key: 'b' }, { key: 'c' }])
  await settle()
  source.withdraw()
  assert.equal(source.pagesInHand().length, 1)
  assert.equal(handlers.signals.get('0@0')?.aborted, false)
  await handlers.end('0@1')
  assert.equal(handlers.names, '0@0')
  assert.deepEqual(source.finishedOffsets(), [1])
  // With the last of what was begun it is put down, and comes again without what is finished.
  await handlers.end('0@0')
  assert.deepEqual(handlers.begun, ['0@0', '0@1', '0@2', '0@3'])
})

test('pages that are asked back together hold the commit until the last unfinished record of the first', async () => {
  const source = new FakePageSource(2)
  const handlers = new HeldHandlers()
  new RunScene(source, { eachRecord: handlers.eachRecord, concurrency: { by: 'key', max: 3 } })
  source.add(0, [{ key: 'a' }, { key: 'a' }, { key: 'b' }, { key: 'c' }])
  await settle()
  assert.equal(handlers.names, '0@0 0@2 0@3')
  source.withdraw()
  await handlers.end('0@0')
  // The first page is put down with its second record unfinished; what ends of the second must not carry the commit past it.
  assert.equal(source.pagesInHand().length, 1)
  await handlers.end('0@2')
  assert.deepEqual(source.finishedOffsets(), [0, 2])
  await handlers.end('0@3')
  assert.deepEqual(source.finishedOffsets(), [0, 2, 3])
  assert.deepEqual(handlers.begun.slice(3), ['0@1'])
})

test('a retry that waits does not hold up what is asked back: it is handed back unfinished, and its deliveries count on', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  const scene = new RunScene(source, { eachRecord: handlers.eachRecord, concurrency: BY_KEY })
  source.add(0, [{ key: 'a' }, { key: 'b' }, { key: 'a' }])
  await settle()
  await handlers.end('0@1')
  await handlers.fail('0@0')
  await scene.clock.advance(100)
  await handlers.fail('0@0')
  assert.equal(scene.clock.pendingTimers, 1)
  source.withdraw()
  assert.deepEqual(source.pagesInHand(), [])
  assert.equal(scene.clock.pendingTimers, 0)
  await settle()
  // The next owner begins at the commit; what is finished above it is not handed out again.
  assert.deepEqual(handlers.begun, ['0@0', '0@1', '0@0 2', '0@0 3'])
  await handlers.end('0@0')
  await handlers.end('0@2')
  assert.deepEqual(source.committed(), { offset: 3, metadata: undefined })
})

test('a handler that fails while its page is asked back leaves its record unfinished, without a wait', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  const scene = new RunScene(source, { eachRecord: handlers.eachRecord })
  source.add(0, count(2))
  await settle()
  source.withdraw()
  await handlers.fail('0@0')
  assert.deepEqual(handlers.begun, ['0@0', '0@0 2'])
  assert.equal(scene.clock.pendingTimers, 0)
  assert.deepEqual(scene.told, [])
})

test('what is lost is put down at once; its handlers are told by their signal, and what they come to is for nothing', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  const scene = new RunScene(source, {
    eachRecord: handlers.eachRecord,
    concurrency: 2,
    failurePolicy: { retries: 0 },
  })
  source.add(0, count(2))
  source.add(1, count(1))
  await settle()
  source.lose()
  assert.equal(handlers.signals.get('0@0')?.aborted, true)
  assert.equal(handlers.signals.get('1@0')?.aborted, false)
  assert.deepEqual(source.pagesInHand(), [])
  // Its failure is no failure of the run: another one has the record.
  await handlers.fail('0@0')
  assert.equal(source.committed().offset, 0)
  assert.equal(scene.outcome, 'running')
  source.assign()
  await settle()
  assert.deepEqual(handlers.begun, ['0@0', '1@0', '0@0 2'])
  assert.equal(handlers.signals.get('0@0')?.aborted, false)
})

test('a handler that answers at once may have its own page withdrawn or lost under it', async () => {
  for (const [what, offsets] of [
    ['withdraw', [0, 1, 2]],
    ['lose', [0, 0, 1, 2]],
  ] as const) {
    const source = new FakePageSource()
    source.add(0, count(3))
    const handled: number[] = []
    new RunScene(source, {
      eachRecord: ({ offset }) => {
        handled.push(offset)
        if (handled.length === 1) source[what]()
      },
    })
    await settle()
    source.assign()
    await settle()
    assert.deepEqual(handled, offsets)
    assert.equal(source.committed().offset, 3)
  }
})

test('a run ends when its source is closed and what was begun has ended', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  const scene = new RunScene(source, { eachRecord: handlers.eachRecord })
  source.add(0, count(2))
  await settle()
  source.close()
  const drained = scene.runner.drained()
  await settle()
  assert.equal(scene.outcome, 'running')
  await handlers.end('0@0')
  await drained
  assert.equal(scene.outcome, 'ended')
  assert.equal(source.committed().offset, 1)
  assert.deepEqual(handlers.begun, ['0@0'])
})

test('a close that has waited long enough does not wait for its handlers, nor does the run', async () => {
  const source = new FakePageSource()
  const handlers = new HeldHandlers()
  const scene = new RunScene(source, { eachRecord: handlers.eachRecord })
  source.add(0, count(2))
  await settle()
  source.close()
  const drained = scene.runner.drained()
  source.loseAll()
  await drained
  await scene.ended
  assert.equal(handlers.signals.get('0@0')?.aborted, true)
})

test('a close inside a handler waits for the other handlers, and not for that one, which may end after it', async () => {
  for (const isLate of [false, true]) {
    const source = new FakePageSource()
    const handlers = new HeldHandlers()
    const steps: string[] = []
    const scene = new RunScene(source, {
      concurrency: 2,
      eachRecord: async (record, context) => {
        if (record.partition === 1) return handlers.eachRecord(record, context)
        if (isLate) await settle()
        source.close()
        await scene.runner.drained()
        steps.push('drained')
        // It is still its own, and finished when it ends.
        assert.equal(source.pagesInHand(0).length, 1)
        await settle()
        steps.push('ended')
      },
    })
    source.add(1, count(1))
    source.add(0, count(1))
    await settle()
    await settle()
    assert.deepEqual(steps, [])
    await handlers.end('1@0')
    assert.equal(steps[0], 'drained')
    await scene.ended
    assert.deepEqual(steps, ['drained', 'ended'])
    assert.equal(source.committed(0).offset, 1)
    assert.equal(source.committed(1).offset, 1)
  }
})

test('a close inside a handler that answers at once, and one from a timer of a handler that has ended', async () => {
  const source = new FakePageSource()
  source.add(0, count(3))
  let drained: Promise<void> | undefined
  const scene = new RunScene(source, {
    eachRecord: ({ offset }) => {
      if (offset !== 1) return
      source.close()
      drained = scene.runner.drained()
    },
  })
  await scene.ended
  await drained
  assert.equal(source.committed().offset, 2)

  const other = new FakePageSource()
  other.add(0, count(2))
  const handlers = new HeldHandlers()
  let isDrained = false
  const second = new RunScene(other, {
    eachRecord: async (record, context) => {
      if (record.offset === 1) return handlers.eachRecord(record, context)
      setImmediate(async () => {
        other.close()
        await second.runner.drained()
        isDrained = true
      })
    },
  })
  await settle()
  assert.equal(handlers.names, '0@1')
  assert.equal(isDrained, false)
  await handlers.end('0@1')
  assert.equal(isDrained, true)
  await second.ended
})
