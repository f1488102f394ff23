import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import { systemClock as clock } from '../../src/util/clock.ts'
import { Deferred } from '../../src/util/deferred.ts'

test('the system clock shows the time of the computer', () => {
  const before = Date.now()
  const now = clock.now()
  assert.ok(now >= before && now <= Date.now())
})

test('a timer fires once, and not when cancelled', async () => {
  const fired = new Deferred<void>()
  let count = 0
  const cancelled = clock.setTimer(() => {
    count += 100
  }, 1)
  cancelled.cancel()
  const timer = clock.setTimer(() => {
    count += 1
    fired.resolve()
  }, 1)
  const keepAlive = setTimeout(() => {}, 60_000)
  await fired.promise
  clearTimeout(keepAlive)
  timer.cancel()
  assert.equal(count, 1)
})

test('a timer does not keep the process alive', () => {
  const timersHeld = () =>
    process.getActiveResourcesInfo().filter((each) => each === 'Timeout').length
  const before = timersHeld()
  const timer = clock.setTimer(() => {}, 60_000)
  assert.equal(timersHeld(), before)
  timer.cancel()
})

test('a delay longer than Node can wait is waited for in steps', () => {
  const delays: number[] = []
  const steps: (() => void)[] = []
  const patched = mock.method(globalThis, 'setTimeout', (step: () => void, delayMs: number) => {
    delays.push(delayMs)
    steps.push(step)
    return { unref() {} }
  })
  let fired = 0
  try {
    clock.setTimer(() => {
      fired += 1
    }, 2 ** 32)
    for (const step of steps) {
      assert.equal(fired, 0)
      step()
    }
  } finally {
    patched.mock.restore()
  }
  assert.deepEqual(delays, [2 ** 31 - 1, 2 ** 31 - 1, 2])
  assert.equal(fired, 1)
})

test('a callback that breaks its promise does not end the process', async () => {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => unhandled.push(reason)
  process.on('unhandledRejection', note)
  const fired = new Deferred<void>()
  clock.setTimer(async () => {
    fired.resolve()
    throw new Error('broken')
  }, 0)
  const keepAlive = setTimeout(() => {}, 60_000)
  await fired.promise
  clearTimeout(keepAlive)
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  process.off('unhandledRejection', note)
  assert.deepEqual(unhandled, [])
})
