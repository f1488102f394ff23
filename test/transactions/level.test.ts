// What all of a transaction is acknowledged with.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BEGIN, openScene, writeTo } from '../support/transaction-scene.ts'

test('is that of a topic whose records were still on the way when the commit was called', async () => {
  const topics = {
    a: { value: 'string', partitions: 3 },
    b: { value: 'string', durability: 'disk' },
  } as const
  const scene = await openScene({ options: { durability: 'os', topics } })
  const producer = await scene.core.transactions.init('payments', 60_000)
  const run = producer.begin(BEGIN)
  const early = run.write([writeTo(scene.log(0, 'b'), 'v')])
  await run.commit([writeTo(scene.log(0), 'v')])
  await early
  assert.equal(run.durability, 'disk')
  const decided = scene.log(0, '__transaction_state')
  assert.equal(decided.syncedOffset, decided.logEndOffset)
  assert.deepEqual([scene.log(0).syncedOffset, scene.log(0, 'b').syncedOffset], [1, 1])
  await scene.core.close()
})
