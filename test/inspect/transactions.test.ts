// What the files say of producers and transactions, without opening them as a log.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listDirectory } from '../../src/inspect/directory-listing.ts'
import { abortedTransactions, partitionProducers } from '../../src/inspect/producer-survey.ts'
import { surveyTransactions } from '../../src/inspect/transaction-survey.ts'
import { FIXTURE_SETS, loadExpected } from '../support/fixtures.ts'
import type { Inspected } from '../support/inspected.ts'
import { inspectedFixture } from '../support/inspected.ts'
import { WrittenPartition, writtenDirectory } from '../support/transaction-files.ts'

const A = { producerId: 1000 }
const B = { producerId: 2000, producerEpoch: 3 }
const NEXT_DAY = 24 * 60 * 60 * 1000

async function producersOf(log: Inspected, topic = 'orders', partition = 0) {
  const { producers } = await partitionProducers(log, { topic, partition })
  return producers.map(({ producerId, producerEpoch, currentTxnFirstOffset, batches }) => {
    const last = batches.at(-1)
    return [producerId, producerEpoch, last?.lastSequence, last?.lastOffset, currentTxnFirstOffset]
  })
}

test('the producers of a partition are those of its batches, where there is no snapshot', async () => {
  const orders = new WrittenPartition().plain(2).idempotent(A, 3).transactional(B, 2).plain()
  const log = await writtenDirectory({ 'orders-0': orders })
  assert.deepEqual(await producersOf(log), [
    [1000, 0, 2, 4, undefined],
    [2000, 3, 1, 6, 5],
  ])
  assert.deepEqual(await producersOf(log, 'orders', 1), [])
})

for (const set of FIXTURE_SETS) {
  test(`the producers of ${set} are those that its last snapshots name`, async () => {
    const log = await inspectedFixture(set)
    const { topics } = await loadExpected(set)
    const { partitions } = await listDirectory(log.fileSystem, log.directory)
    for (const { topic, partition } of partitions) {
      const told = topics[topic]?.partitions.find((each) => each.partition === partition)
      const [file, said] = Object.entries(told?.producerSnapshots ?? {}).at(-1) ?? []
      // Behind the snapshot of a log that was not closed there may be more.
      if (file === undefined || Number.parseInt(file, 10) !== told?.logEndOffset) continue
      const { producers } = await partitionProducers(log, { topic, partition })
      assert.deepEqual(
        producers.map((each) => [each.producerId, each.producerEpoch, each.currentTxnFirstOffset]),
        said
          ?.toSorted((a, b) => a.producerId - b.producerId)
          .map((each) => [each.producerId, each.producerEpoch, each.currentTxnFirstOffset]),
      )
    }
  })
}

test('without its snapshots a broker’s partition has the same open transaction', async () => {
  for (const set of ['transactions', 'transactions-v1'] as const) {
    const log = await inspectedFixture(set)
    const before = await producersOf(log, 'ledger', 0)
    for (const name of await log.names('ledger-0')) {
      if (name.endsWith('.snapshot')) await log.remove(`ledger-0/${name}`)
    }
    const open = (all: typeof before) => all.filter((each) => each[4] !== undefined)
    assert.equal(open(before).length, 1)
    assert.deepEqual(open(await producersOf(log, 'ledger', 0)), open(before))
  }
})

test('a snapshot past the end is passed over, and a damaged one', async () => {
  const orders = new WrittenPartition().idempotent(A, 3)
  const log = await writtenDirectory({ 'orders-0': orders })
  const sound = await inspectedFixture('transactions')
  const snapshot = sound.read('ledger-0/00000000000000000076.snapshot')
  await log.write('orders-0/00000000000000000076.snapshot', snapshot)
  await log.write('orders-0/00000000000000000002.snapshot', 'no snapshot at all')
  assert.deepEqual(await producersOf(log), [[1000, 0, 2, 2, undefined]])
})

test('aborted transactions are those of all .txnindex files', async () => {
  const log = await inspectedFixture('transactions-v1')
  const { topics } = await loadExpected('transactions-v1')
  const aborted = topics['ledger']?.partitions[0]?.segments.flatMap(
    (each) => each.abortedTransactions ?? [],
  )
  const found = await abortedTransactions(log, { topic: 'ledger', partition: 0 })
  assert.ok(found.length > 0)
  assert.deepEqual(
    found,
    aborted?.map(({ version: _, ...rest }) => rest),
  )
})

// ---------------------------------------------------------------------------------- transactions

const state = (status: 'Ongoing' | 'Empty' | 'PrepareCommit' | 'CompleteCommit') => ({
  transactionalId: 'payments',
  status,
  ...A,
  partitions: [['orders', 0, 1] as const],
})

async function survey(log: Inspected, nowMs = NEXT_DAY) {
  const { fileSystem, directory } = log
  return surveyTransactions({ fileSystem, directory }, nowMs)
}

test('what is open and will be decided does not hang; all else does', async () => {
  const log = await writtenDirectory({
    'orders-0': new WrittenPartition().transactional(A, 2).transactional(B, 1),
    'orders-1': new WrittenPartition().transactional(A, 1).commit(A),
    '__transaction_state-0': new WrittenPartition()
      .state({ ...state('Ongoing'), startTimestamp: 1000, timestamp: 2000 })
      .state({ ...state('PrepareCommit'), startTimestamp: 1000, timestamp: 3000 }),
  })
  const { state: directory, stored, open, unread } = await survey(log)
  assert.equal(directory, 'crashed')
  assert.equal(unread, 0)
  assert.deepEqual(
    stored.map((each) => [each.transactionalId, each.state.status, each.partition, each.offset]),
    [['payments', 'PrepareCommit', 0, 1]],
  )
  assert.deepEqual(
    open.map((each) => [each.producerId, each.firstOffset, each.transactionalId, each.isHanging]),
    [
      [1000, 0, 'payments', false],
      [2000, 2, null, true],
    ],
  )
})

test('what is open hangs where the last state is of another transaction, epoch or partition', async () => {
  const cases = [
    { ...state('CompleteCommit') },
    { ...state('Empty'), partitions: [] },
    { ...state('Ongoing'), producerId: 999 },
    { ...state('Ongoing'), partitions: [['orders', 1] as const] },
    // One that is decided and of which there are markers.
    { ...state('PrepareCommit'), firstOffsets: [7, 0] },
  ]
  for (const record of cases) {
    const log = await writtenDirectory({
      'orders-0': new WrittenPartition().transactional(A, 2),
      '__transaction_state-0': new WrittenPartition().state(record),
    })
    const { open } = await survey(log)
    assert.deepEqual(
      open.map(({ isHanging }) => isHanging),
      [true],
      JSON.stringify(record),
    )
  }
})

test('a record of states that is no such record is counted', async () => {
  const log = await writtenDirectory({
    '__transaction_state-0': new WrittenPartition().plain().state(state('Empty')),
  })
  const { stored, unread } = await survey(log)
  assert.deepEqual([stored.length, unread], [1, 1])
})
