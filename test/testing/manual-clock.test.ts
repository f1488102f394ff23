import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { Deferred } from '../../src/util/deferred.ts'

test('time stands still until it is moved', async () => {
  const clock = new ManualClock(1_000)
  assert.equal(clock.now(), 1_000)
  await clock.advance(250)
  assert.equal(clock.now(), 1_250)
  assert.equal(new ManualClock().now(), Date.UTC(2026, 0, 1))
})

test('timers fire at their own time, earliest first, ties in the order of setting', async () => {
  const clock = new ManualClock(0)
  const fired: string[] = []
  const note = (name: string) => () => {
    fired.push(`${name}@${clock.now()}`)
  }
  clock.setTimer(note('c'), 30)
  clock.setTimer(note('a'), 10)
  clock.setTimer(note('b1'), 20)
  clock.setTimer(note('b2'), 20)
  clock.setTimer(note('later'), 31)
  await clock.advance(30)
  assert.deepEqual(fired, ['a@10', 'b1@20', 'b2@20', 'c@30'])
  assert.equal(clock.now(), 30)
  assert.equal(clock.pendingTimers, 1)
})

test('timers set by callbacks fire too where they fall due within the span', async () => {
  const clock = new ManualClock(0)
  const fired: number[] = []
  const again = () => {
    fired.push(clock.now())
    clock.setTimer(again, 10)
  }
  clock.setTimer(again, 10)
  await clock.advance(35)
  assert.deepEqual(fired, [10, 20, 30])
  await clock.advance(5)
  assert.deepEqual(fired, [10, 20, 30, 40])
})

test('a timer without delay fires at the next move, even one of no time', async () => {
  const clock = new ManualClock()
  let fired = 0
  clock.setTimer(() => {
    fired += 1
  }, 0)
  clock.setTimer(() => {
    fired += 1
  }, -5)
  assert.equal(fired, 0)
  await clock.advance(0)
  assert.equal(fired, 2)
})

test('advance waits for the work that a callback answers with, before time goes on', async () => {
  const clock = new ManualClock(0)
  const work = new Deferred<void>()
  const events: string[] = []
  clock.setTimer(async () => {
    await work.promise
    events.push(`work done@${clock.now()}`)
  }, 10)
  clock.setTimer(() => {
    events.push(`second@${clock.now()}`)
  }, 20)
  const moved = clock.advance(20).then(() => events.push('advanced'))
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  assert.deepEqual(events, [])
  work.resolve()
  await moved
  assert.deepEqual(events, ['work done@10', 'second@20', 'advanced'])
})

test('advance waits for what the work woke', async () => {
  const clock = new ManualClock()
  const wake = new Deferred<void>()
  const events: string[] = []
  const waiting = (async () => {
    await wake.promise
    for (let step = 0; step < 20; step += 1) await Promise.resolve()
    await new Promise((resolve) => setImmediate(resolve))
    events.push('woken')
  })()
  clock.setTimer(() => wake.resolve(), 10)
  await clock.advance(10)
  events.push('advanced')
  await waiting
  assert.deepEqual(events, ['woken', 'advanced'])
})

test('a timer that was about to be set when advance was called counts from before', async () => {
  const clock = new ManualClock(0)
  let firedAt = -1
  const waiting = (async () => {
    await new Promise((resolve) => setImmediate(resolve))
    clock.setTimer(() => {
      firedAt = clock.now()
    }, 10)
  })()
  await clock.advance(10)
  await waiting
  assert.equal(firedAt, 10)
})

test('a cancelled timer does not fire, and cancelling one that fired is harmless', async () => {
  const clock = new ManualClock()
  let fired = 0
  const count = () => {
    fired += 1
  }
  const first = clock.setTimer(count, 10)
  const second = clock.setTimer(count, 10)
  second.cancel()
  assert.equal(clock.pendingTimers, 1)
  await clock.advance(10)
  first.cancel()
  second.cancel()
  assert.equal(fired, 1)
  assert.equal(clock.pendingTimers, 0)
})

test('moves called together take place one after another', async () => {
  const clock = new ManualClock(0)
  const fired: number[] = []
  clock.setTimer(async () => {
    await new Promise((resolve) => setImmediate(resolve))
    clock.setTimer(() => {
      fired.push(clock.now())
    }, 10)
  }, 10)
  const reached: number[] = []
  const note = () => reached.push(clock.now())
  await Promise.all([clock.advance(10).then(note), clock.advance(10).then(note)])
  assert.deepEqual(fired, [20])
  assert.deepEqual(reached, [10, 20])
})

test('what a callback throws rejects the move, and the clock goes on', async () => {
  const clock = new ManualClock(0)
  clock.setTimer(async () => {
    throw new Error('broken')
  }, 10)
  await assert.rejects(clock.advance(20), /broken/)
  await clock.advance(20)
  assert.equal(clock.now(), 30)
})

test('setting the time fires nothing and leaves each timer the delay it had', async () => {
  const clock = new ManualClock(1_000)
  const fired: number[] = []
  clock.setTimer(() => {
    fired.push(clock.now())
  }, 10)
  clock.setTime(500)
  assert.equal(clock.now(), 500)
  await clock.advance(9)
  assert.deepEqual(fired, [])
  await clock.advance(1)
  assert.deepEqual(fired, [510])
  clock.setTime(99_999)
  assert.equal(clock.now(), 99_999)
})

test('times that are no times are refused', async () => {
  const clock = new ManualClock()
  for (const ms of [-1, Number.NaN, Number.POSITIVE_INFINITY]) {
    await assert.rejects(clock.advance(ms), RangeError)
  }
  assert.throws(() => clock.setTimer(() => {}, Number.NaN), RangeError)
  assert.throws(() => clock.setTime(Number.NaN), RangeError)
  assert.throws(() => new ManualClock(Number.NaN), RangeError)
})
