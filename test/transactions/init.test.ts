// Who takes over a producer's name, and what goes on meanwhile.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { SteppedFileSystem } from '../support/stepped-file-system.ts'
import { until } from '../support/storage-environment.ts'
import { commitAll, openScene, storedStates } from '../support/transaction-scene.ts'

/** Goes on while a sync is held back. */
class HastyClock extends ManualClock {
  override track(): void {}
}

test('that the last transaction is complete is not said behind a new epoch that is being stored', async () => {
  const clock = new HastyClock()
  const fileSystem = new SteppedFileSystem(new MemoryFileSystem({ clock }))
  const scene = await openScene({ fileSystem, clock, options: { flushIntervalMs: 60_000 } })
  const producer = await scene.core.transactions.init('payments', 60_000)
  await commitAll(producer, [scene.log(0), scene.log(1)], 'v')
  const synced = new Deferred<void>()
  let isHeld = false
  fileSystem.before = async (what) => {
    if (!what.includes('__transaction_state')) return
    isHeld = true
    await synced.promise
  }
  const taking = scene.core.transactions.init('payments', 60_000)
  await until(() => isHeld)
  // What is over is looked for once a second.
  const ticking = clock.advance(1000)
  const before = clock.now()
  await until(() => clock.now() > before)
  for (let turn = 0; turn < 20; turn += 1) await nextTurn()
  synced.resolve()
  await ticking
  const successor = await taking
  assert.equal(successor.producerEpoch, producer.producerEpoch + 1)
  await clock.advance(1000)
  const stored = (await storedStates(scene)).get('payments')
  assert.equal(stored?.producerEpoch, successor.producerEpoch)
  assert.equal(stored?.status, 'Empty')
  await scene.core.close()
})
