import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Throttle } from '../../src/cleanup/throttle.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { Clock } from '../../src/types.ts'
import { turnIsLong } from '../../src/util/turn.ts'

function spendUntilTurnIsLong(): void {
  turnIsLong()
  const startMs = performance.now()
  while (performance.now() - startMs < 20) turnIsLong()
}

test('work that waits for its next turn ends when it is to end meanwhile, and does not sleep first', async () => {
  const throttle = new Throttle(new ManualClock(), 1)
  const controller = new AbortController()
  spendUntilTurnIsLong()
  const spending = throttle.spend(1_000_000, controller.signal)
  controller.abort(new Error('enough'))
  await assert.rejects(spending, { message: 'enough' })
})

test('work that sleeps for its bytes ends when it is to end', async () => {
  const throttle = new Throttle(new ManualClock(), 1)
  const controller = new AbortController()
  const { ended, paused } = throttle.begin(() => throttle.spend(1_000_000, controller.signal))
  await paused
  controller.abort(new Error('enough'))
  await assert.rejects(ended, { message: 'enough' })
})

test('what is too short to be slept for is put on account, and slept for together', async () => {
  const clock = new ManualClock()
  const throttle = new Throttle(clock, 1000)
  const { signal } = new AbortController()
  const startMs = clock.now()
  let spent = 0
  const { ended, paused } = throttle.begin(async () => {
    for (; spent < 30; spent += 5) await throttle.spend(5, signal)
  })
  await paused
  assert.equal(spent, 15)
  while (spent < 30) await clock.advance(1)
  await ended
  assert.ok(clock.now() - startMs >= 20)
})

test('a clock that was set back makes work wait no longer than it would have', async () => {
  const clock = new ManualClock()
  let backMs = 0
  const setBack: Clock = {
    now: () => clock.now() - backMs,
    setTimer: (task, ms) => clock.setTimer(task, ms),
  }
  const throttle = new Throttle(setBack, 1000)
  const { signal } = new AbortController()
  await throttle.spend(15, signal)
  backMs = 1_000_000
  const { ended, paused } = throttle.begin(() => throttle.spend(15, signal))
  await paused
  await clock.advance(40)
  await ended
})

test('work that is begun while other work sleeps, and waits for it, does not hold up the clock that ends the sleep', async () => {
  const clock = new ManualClock()
  const throttle = new Throttle(clock, 1000)
  const { signal } = new AbortController()
  const first = throttle.begin(() => throttle.spend(2000, signal))
  await first.paused
  clock.setTimer(() => throttle.begin(() => first.ended).paused, 1000)
  await clock.advance(2000)
  await first.ended
})
