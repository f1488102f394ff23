// Transactional ids that nobody uses any more.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogError } from '../../src/errors.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { Scene } from '../support/transaction-scene.ts'
import {
  BEGIN,
  commitAll,
  committedValues,
  openScene,
  storedStates,
  writeTo,
} from '../support/transaction-scene.ts'

const EXPIRY = { transactionalIdExpirationMs: 60_000, retentionCheckIntervalMs: 10_000 }

const isForgotten = (error: unknown): boolean =>
  error instanceof LogError && error.code === 'PRODUCER_FENCED' && /forgotten/.test(error.message)

function open(fileSystem = new MemoryFileSystem()): Promise<Scene> {
  return openScene({ fileSystem, options: EXPIRY })
}

test('a producer that is idle for long is forgotten, and who takes its name again gets a new id', async () => {
  const fileSystem = new MemoryFileSystem()
  const scene = await open(fileSystem)
  const { transactions } = scene.core
  const producer = await transactions.init('payments', 60_000)
  await commitAll(producer, [scene.log(0), scene.log(1)], 'v')
  await scene.clock.advance(50_000)
  assert.ok((await storedStates(scene)).has('payments'))
  await scene.clock.advance(30_000)
  assert.ok(!(await storedStates(scene)).has('payments'))
  assert.throws(() => producer.begin(BEGIN), isForgotten)
  const next = await transactions.init('payments', 60_000)
  assert.ok(next.producerId > producer.producerId)
  assert.equal(next.producerEpoch, 0)
  assert.throws(() => producer.begin(BEGIN), isForgotten)
  await commitAll(next, [scene.log(0)], 'w')
  assert.deepEqual(await committedValues(scene, 0), ['v', 'w'])
  await scene.core.close()
  const again = await openScene({ fileSystem, clock: scene.clock })
  assert.equal((await storedStates(again)).get('payments')?.producerId, next.producerId)
  await again.core.close()
})

test('a producer that is used is not forgotten, also where nothing is stored of its transactions', async () => {
  const scene = await open()
  const producer = await scene.core.transactions.init('payments', 60_000)
  for (let n = 0; n < 4; n += 1) {
    await scene.clock.advance(40_000)
    await commitAll(producer, [scene.log(0)], `${n}`)
  }
  assert.deepEqual(await committedValues(scene, 0), ['0', '1', '2', '3'])
  const run = producer.begin({ ...BEGIN, timeoutMs: 500_000 })
  await scene.clock.advance(100_000)
  await run.commit([writeTo(scene.log(0), '4')])
  assert.deepEqual(await committedValues(scene, 0), ['0', '1', '2', '3', '4'])
  await scene.core.close()
})

test('a producer without a name that was forgotten is given to nobody', async () => {
  const scene = await open()
  const { transactions } = scene.core
  const producer = await transactions.take()
  await commitAll(producer, [scene.log(0)], 'v')
  transactions.giveBack(producer)
  await scene.clock.advance(80_000)
  assert.equal((await storedStates(scene)).size, 0)
  const next = await transactions.take()
  assert.notEqual(next, producer)
  await commitAll(next, [scene.log(0)], 'w')
  transactions.giveBack(next)
  // One that has just been taken is in use.
  await scene.clock.advance(59_000)
  const same = await transactions.take()
  assert.equal(same, next)
  await scene.clock.advance(30_000)
  await commitAll(same, [scene.log(0)], 'x')
  assert.deepEqual(await committedValues(scene, 0), ['v', 'w', 'x'])
  await scene.core.close()
})
