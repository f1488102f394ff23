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
    const identity = { isBusy: false, cannotRest: false, mustRest: () => true }
    return { fenced: undefined, identity } as unknown as Producer
  })
  for (let attempt = 0; attempt < 20; attempt += 1) await assert.rejects(async () => pool.take())
  isFull = false
  pool.giveBack(await pool.take())
  // Nobody waits for one whose markers are not on the disk while there are few.
  await pool.take()
  assert.deepEqual(names.slice(-2), ['brokerless-21', 'brokerless-22'])
})

test('one whose abort waits for room is given to nobody before it has ended', async () => {
  let made = 0
  const pool = new ProducerPool(async (name) => {
    made += 1
    const identity = { isBusy: false, cannotRest: false, mustRest: () => false }
    return { transactionalId: name, fenced: undefined, identity } as unknown as Producer
  })
  const stalled = await pool.take()
  const other = await pool.take()
  Object.assign(stalled.identity, { isBusy: true })
  pool.giveBack(stalled)
  pool.giveBack(other)
  assert.equal(await pool.take(), other)
  assert.notEqual(await pool.take(), stalled)
  assert.equal(made, 3)
  Object.assign(stalled.identity, { isBusy: false })
  assert.equal(await pool.take(), stalled)
})

test('nor where there are so many that one need not rest', async () => {
  const pool = new ProducerPool(async (name) => {
    const identity = { isBusy: false, cannotRest: false, mustRest: () => true }
    return { transactionalId: name, fenced: undefined, identity } as unknown as Producer
  })
  const producers: Producer[] = []
  for (let n = 0; n < 4; n += 1) {
    const producer = await pool.take()
    producers.push(producer)
    pool.giveBack(producer)
  }
  Object.assign((producers[0] as Producer).identity, { isBusy: true })
  assert.equal(await pool.take(), producers[1])
})
