// Transactions over real partitions, in memory.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BEGIN,
  commitAll,
  committedValues,
  openScene,
  storedStates,
  writeTo,
} from '../support/transaction-scene.ts'

test('a commit over several partitions is seen in all of them, and says where its records are', async () => {
  const scene = await openScene()
  const producer = await scene.core.transactions.init('payments', 60_000)
  const logs = [scene.log(0), scene.log(1), scene.log(0, 'b')]
  const run = producer.begin(BEGIN)
  const appended = await run.commit(logs.map((log) => writeTo(log, 'v')))
  assert.deepEqual(
    appended.map(({ log, baseOffset, count }) => [log, baseOffset, count]),
    logs.map((log) => [log, 0, 1]),
  )
  assert.equal(run.state, 'committed')
  assert.deepEqual(await committedValues(scene, 0), ['v'])
  assert.deepEqual(await committedValues(scene, 1), ['v'])
  assert.deepEqual(await committedValues(scene, 0, 'b'), ['v'])
  await scene.core.close()
})

test('a transaction over one partition stores nothing in __transaction_state', async () => {
  const scene = await openScene()
  const producer = await scene.core.transactions.init('payments', 60_000)
  await commitAll(producer, [scene.log(0)], 'v')
  assert.deepEqual(await committedValues(scene, 0), ['v'])
  assert.equal((await storedStates(scene)).get('payments')?.status, 'Empty')
  await scene.core.close()
})

test('what was written early and is aborted is not seen', async () => {
  const scene = await openScene()
  const producer = await scene.core.transactions.init('payments', 60_000)
  const run = producer.begin(BEGIN)
  await run.write([writeTo(scene.log(0), 'x'), writeTo(scene.log(1), 'x')])
  assert.equal((await storedStates(scene)).get('payments')?.status, 'Ongoing')
  assert.deepEqual(await committedValues(scene, 0), [])
  await run.abort()
  await commitAll(producer, [scene.log(0), scene.log(1)], 'v')
  assert.deepEqual(await committedValues(scene, 0), ['v'])
  assert.deepEqual(await committedValues(scene, 0, 'a', 'read_uncommitted'), ['x', 'v'])
  await scene.core.close()
})
