// Producers for transactions without a name.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Producer } from '../../src/transactions/producer.ts'
import { ProducerPool } from '../../src/transactions/producer-pool.ts'

test('those that could not be made do not count as ones that there are', async () => {
  const names: string[] = []
  let isFull = true
  const pool = new ProducerPool(async (name) => {
    names.push(name)
    if (isFull) throw new Error('there is no room')
    const identity = { cannotRest: false, mustRest: () => true }
    return { fenced: undefined, identity } as unknown as Producer
  })
  for (let attempt = 0; attempt < 20; attempt += 1) await assert.rejects(async () => pool.take())
  isFull = false
  pool.giveBack(await pool.take())
  // Nobody waits for one whose markers are not on the disk while there are few.
  await pool.take()
  assert.deepEqual(names.slice(-2), ['brokerless-21', 'brokerless-22'])
})
