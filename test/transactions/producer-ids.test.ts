import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OffsetOutOfRangeError } from '../../src/errors.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { FIRST_PRODUCER_ID } from '../../src/topics/topic-store-format.ts'
import { ProducerIds } from '../../src/transactions/producer-ids.ts'
import { readFile, writeFile } from '../support/log-places.ts'
import { recordSet, TestCall } from '../support/storage-environment.ts'
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

test('where brokerless.json was lost, ids that stand in batches count as given', async () => {
  const fileSystem = new MemoryFileSystem()
  const first = await openScene({ fileSystem })
  const ids = [1, 2, 3].map(() => first.core.transactions.nextProducerId())
  const [, producerId = -1, later = -1] = await Promise.all(ids)
  const batch = new TestCall()
  batch.producer = { producerId, producerEpoch: 0, baseSequence: -1, isTransactional: false }
  first.log(0).append(recordSet('v'), batch)
  await batch.done
  await first.core.close()
  await fileSystem.unlink(STORE)
  // Its partition has forgotten it by now.
  await first.clock.advance(10 * 24 * 60 * 60 * 1000)
  const second = await openScene({ fileSystem, clock: first.clock })
  const { transactions } = second.core
  await transactions.requireIdempotent(producerId)
  // Nobody can tell that it was given.
  await assert.rejects(transactions.requireIdempotent(later), RangeError)
  assert.equal(await transactions.nextProducerId(), later)
  await transactions.requireIdempotent(later)
  await assert.rejects(transactions.requireIdempotent(later + 1), RangeError)
  await second.core.close()
})

test('what retention takes while batches are looked at is passed', async () => {
  const scene = await openScene()
  const producer = await scene.core.transactions.take()
  await producer.begin(BEGIN).commit([writeTo(scene.log(0), 'v')])
  await producer.begin(BEGIN).commit([writeTo(scene.log(0), 'w')])
  const read = scene.log(0).read.bind(scene.log(0))
  const of = scene.log(0)
  let isDeleted = false
  of.read = async (request) => {
    if (isDeleted) return await read(request)
    isDeleted = true
    await scene.core.deleteRecords(of, 2)
    throw new OffsetOutOfRangeError(of.name, request.offset, of.logStartOffset, of.logEndOffset)
  }
  const ids = new ProducerIds({
    nextProducerId: () => 0,
    takeProducerIds: async (_, atLeast) => atLeast,
    partitions: () => [of],
    knownProducerIds: () => [],
  })
  assert.equal(await ids.next(), producer.producerId + 1)
  await scene.core.close()
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
