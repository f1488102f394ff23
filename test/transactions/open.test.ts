// What an open makes of the transactions that it finds, also of those that a broker has left.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { offsetsPartitionFor } from '../../src/groups/offset-format.ts'
import { TRANSACTIONS_DECLARATION } from '../../src/log/transactions.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { stateLogFor } from '../../src/transactions/state-log.ts'
import type { TransactionState } from '../../src/transactions/transaction-state-format.ts'
import {
  encodeTransactionKey,
  encodeTransactionValue,
} from '../../src/transactions/transaction-state-format.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { removeLock } from '../support/log-places.ts'
import { IN_TRANSACTION, produce } from '../support/producer-calls.ts'
import { append } from '../support/storage-environment.ts'
import type { Scene } from '../support/transaction-scene.ts'
import {
  commitAll,
  committedValues,
  openScene,
  storedStates,
} from '../support/transaction-scene.ts'

interface Killable extends Scene {
  readonly memory: MemoryFileSystem
}

async function killable(): Promise<Killable> {
  const memory = new MemoryFileSystem()
  return { ...(await openScene({ fileSystem: memory })), memory }
}

async function killed({ memory, clock }: Killable): Promise<Killable> {
  const copy = memory.clone()
  await removeLock(copy, '/data')
  return { ...(await openScene({ fileSystem: copy, clock })), memory: copy }
}

/** As a broker would write it. */
const BROKER_STATE: TransactionState = {
  producerId: 5,
  previousProducerId: 5,
  nextProducerId: -1,
  producerEpoch: 3,
  transactionTimeoutMs: 60_000,
  status: 'PrepareCommit',
  partitions: [{ topic: 'a', partitions: [0, 1] }],
  lastUpdateTimestamp: 1000,
  startTimestamp: 900,
  clientTransactionVersion: 0,
}

/** Of version 0: the flexible parts as arrays and strings of fixed lengths. */
function versionZero(state: TransactionState): Buffer {
  const head = encodeTransactionValue({ ...state, status: 'Empty', partitions: [] })
  const fixed = Buffer.from(head.subarray(0, 17))
  fixed.writeInt16BE(0, 0)
  fixed.writeInt8(2, 16)
  const topics = Buffer.from('00000001000161000000020000000000000001', 'hex')
  const times = Buffer.alloc(16)
  times.writeBigInt64BE(BigInt(state.lastUpdateTimestamp), 0)
  times.writeBigInt64BE(BigInt(state.startTimestamp), 8)
  return Buffer.concat([fixed, topics, times])
}

/** `__transaction_state` with 50 partitions, and in it one value. */
async function brokersState(scene: Scene, id: string, value: Buffer): Promise<void> {
  const { topics } = scene.core
  await topics.create({ ...TRANSACTIONS_DECLARATION, partitions: 50 })
  const log = stateLogFor(id, topics.get('__transaction_state').partitions)
  assert.equal(log.partition, offsetsPartitionFor(id, 50))
  const set = { keys: [encodeTransactionKey(id)], values: [value], headers: undefined }
  await append(log, { ...set, timestamps: undefined })
}

for (const [version, value] of [
  ['0', versionZero(BROKER_STATE)],
  ['1', encodeTransactionValue(BROKER_STATE)],
] as const) {
  test(`what a broker has decided is completed, by a value of version ${version} in one of 50 partitions`, async () => {
    const first = await killable()
    const producer = { ...IN_TRANSACTION, producerId: 5, producerEpoch: 3 }
    // The marker stands in one of the three; partition 2 is not of the transaction.
    await produce(first.log(0), { ...producer, baseSequence: 0 }, ['v'])
    const ending = { outcome: 'commit', coordinatorEpoch: 9 } as const
    await produce(first.log(1), { ...producer, baseSequence: 0, ending }, ['v'])
    await produce(first.log(2), { ...producer, baseSequence: 0 }, ['x'])
    await brokersState(first, 'payments', value)
    const scene = await killed(first)
    const found = scene.recovery.transactions.map(({ outcome, partitions }) => [
      outcome,
      partitions,
    ])
    assert.deepEqual(found, [
      ['commit', [{ topic: 'a', partition: 0 }]],
      ['abort', [{ topic: 'a', partition: 2 }]],
    ])
    assert.deepEqual(await committedValues(scene, 0), ['v'])
    assert.deepEqual(await committedValues(scene, 1), ['v'])
    assert.deepEqual(await committedValues(scene, 2), [])
    await scene.clock.advance(3000)
    assert.equal((await storedStates(scene)).get('payments')?.status, 'CompleteCommit')
    // The next instance goes on with the broker's producer id.
    const next = await scene.core.transactions.init('payments', 60_000)
    assert.deepEqual([next.producerId, next.producerEpoch], [5, 4])
    await commitAll(next, [scene.log(0), scene.log(1)], 'w')
    assert.deepEqual(await committedValues(scene, 0), ['v', 'w'])
    await scene.core.close()
  })
}

test('with version 2 of transactions the decision has the next epoch, and so have the markers', async () => {
  const first = await killable()
  await produce(first.log(0), { ...IN_TRANSACTION, producerId: 5, producerEpoch: 2 }, ['v'])
  const state = { ...BROKER_STATE, clientTransactionVersion: 2 }
  await brokersState(first, 'payments', encodeTransactionValue(state))
  const scene = await killed(first)
  assert.deepEqual(await committedValues(scene, 0), ['v'])
  assert.equal(scene.log(0).producers.get(5)?.producerEpoch, 3)
  await scene.core.close()
})

test('what came after a decided transaction, under the same producer and epoch, is not taken for it', async () => {
  const disk = new FaultFileSystem()
  const first = await openScene({ fileSystem: disk })
  const producer = await first.core.transactions.init('payments', 60_000)
  const logs = [first.log(0), first.log(1)]
  await commitAll(producer, logs, 'v')
  // The decision of the second does not come to the file: there stands that of the first, which nobody has called complete yet.
  disk.failWhen(({ name, path }) =>
    name === 'write' && path.includes('__transaction_state') ? 'EIO' : undefined,
  )
  await assert.rejects(commitAll(producer, logs, 'x'))
  const fileSystem = disk.processKill()
  await removeLock(fileSystem, '/data')
  const scene = await openScene({ fileSystem, clock: first.clock })
  const found = scene.recovery.transactions.map(({ outcome, transactionalId, partitions }) => [
    outcome,
    transactionalId,
    partitions.length,
  ])
  assert.deepEqual(found, [['abort', 'payments', 2]])
  assert.deepEqual(await committedValues(scene, 0), ['v'])
  assert.deepEqual(await committedValues(scene, 1), ['v'])
  await scene.core.close()
})

test('what nothing is known of is aborted, and a transaction in a topic that is gone hurts nobody', async () => {
  const first = await killable()
  await produce(first.log(0), { ...IN_TRANSACTION, producerId: 77 }, ['x'])
  const state = { ...BROKER_STATE, partitions: [{ topic: 'gone', partitions: [4] }] }
  await brokersState(first, 'payments', encodeTransactionValue(state))
  const scene = await killed(first)
  assert.deepEqual(
    scene.recovery.transactions.map(({ outcome, transactionalId, producerId }) => [
      outcome,
      transactionalId,
      producerId,
    ]),
    [['abort', null, 77]],
  )
  await scene.clock.advance(3000)
  assert.equal((await storedStates(scene)).get('payments')?.status, 'CompleteCommit')
  await scene.core.close()
})

test('a reader beside a writer ends nothing', async () => {
  const first = await killable()
  await produce(first.log(0), { ...IN_TRANSACTION, producerId: 77 }, ['x'])
  const { memory, clock } = first
  const reader = await openScene({ fileSystem: memory, clock, options: { readOnly: true } })
  assert.deepEqual(reader.recovery.transactions, [])
  assert.deepEqual(await committedValues(reader, 0), [])
  assert.equal(first.log(0).logEndOffset, 1)
  await reader.core.close()
  await first.core.close()
})

test('of an open that has failed no timer goes on', async () => {
  const scene = await killable()
  const producer = await scene.core.transactions.init('payments', 60_000)
  await commitAll(producer, [scene.log(0), scene.log(1)], 'v')
  // What is to be said to be complete waits for its time.
  const timers = scene.clock.pendingTimers
  await scene.core.abandon()
  assert.ok(timers > 0)
  assert.equal(scene.clock.pendingTimers, 0)
})
