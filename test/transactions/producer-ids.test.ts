import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { FIRST_PRODUCER_ID } from '../../src/topics/topic-store-format.ts'
import { readFile, writeFile } from '../support/log-places.ts'
import { BEGIN, openScene, storedStates, writeTo } from '../support/transaction-scene.ts'

const STORE = '/data/brokerless.json'
const HEAD = FIRST_PRODUCER_ID

test('ids begin at 2^40, and those of a block that was not used up are lost', async () => {
  const fileSystem = new MemoryFileSystem()
  const first = await openScene({ fileSystem })
  const ids = [await first.core.transactions.nextProducerId()]
  ids.push(...(await Promise.all([1, 2].map(() => first.core.transactions.nextProducerId()))))
  assert.deepEqual(ids, [HEAD, HEAD + 1, HEAD + 2])
  await first.core.close()
  const second = await openScene({ fileSystem })
  assert.equal(await second.core.transactions.nextProducerId(), HEAD + 1000)
  await second.core.close()
})

test('many that ask at once get one each, over the end of a block', async () => {
  const scene = await openScene()
  const asked = Array.from({ length: 2500 }, () => scene.core.transactions.nextProducerId())
  assert.equal(new Set(await Promise.all(asked)).size, 2500)
  await scene.core.close()
})

test('where brokerless.json was lost, ids are above all that stand in batches, those of forgotten producers too', async () => {
  const fileSystem = new MemoryFileSystem()
  const first = await openScene({ fileSystem })
  await first.core.transactions.nextProducerId()
  const { core, clock, log } = first
  const producer = await core.transactions.take()
  assert.equal(producer.producerId, HEAD + 1)
  await producer.begin(BEGIN).commit([writeTo(log(0), 'v')])
  await core.close()
  await fileSystem.unlink(STORE)
  // The state of the id has gone as well, and the producer's own by now.
  await clock.advance(10 * 24 * 60 * 60 * 1000)
  for (const name of await fileSystem.readdir('/data/__transaction_state-0')) {
    await fileSystem.unlink(`/data/__transaction_state-0/${name}`)
  }
  const second = await openScene({ fileSystem, clock })
  assert.equal(second.log(0).producers.get(HEAD + 1), undefined)
  assert.equal(await second.core.transactions.nextProducerId(), HEAD + 2)
  await second.core.close()
})

test('an older brokerless.json does not bring ids back', async () => {
  const fileSystem = new MemoryFileSystem()
  const first = await openScene({ fileSystem })
  const old = readFile(fileSystem, STORE)
  await first.core.transactions.init('payments', 60_000)
  await first.core.close()
  await writeFile(fileSystem, STORE, old)
  const second = await openScene({ fileSystem })
  assert.equal((await storedStates(second)).get('payments')?.producerId, HEAD)
  assert.equal(await second.core.transactions.nextProducerId(), HEAD + 1)
  await second.core.close()
})
