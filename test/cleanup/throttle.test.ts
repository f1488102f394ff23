import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Throttle } from '../../src/cleanup/throttle.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
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
