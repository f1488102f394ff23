// A transaction whose time was up while its commit waited for something, without a log.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogError } from '../../src/errors.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import type { TransactionContext } from '../../src/transactions/transaction.ts'
import { Transaction } from '../../src/transactions/transaction.ts'
import { commitHeld } from '../../src/transactions/transaction-offsets.ts'
import type { OpenTransaction } from '../../src/transactions/types.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { nextTurn } from '../support/consuming.ts'

const late = new LogError('TRANSACTION_ABORTED', 'late')

/** Its markers are being written, or wait for room. */
function aborting(abort: Promise<void>): OpenTransaction {
  return {
    state: 'aborting',
    durability: 'os',
    failure: late,
    onDecided: () => {},
    write: () => Promise.reject(late),
    commit: () => Promise.reject(late),
    abort: () => abort,
  }
}

test('its producer is given back when the markers of the abort stand', async () => {
  const aborted = new Deferred<void>()
  const run = { ...aborting(aborted.promise), state: 'open' as OpenTransaction['state'] }
  const context = {
    offsets: { isOffsets: () => false },
    requireWritable: () => {},
    track: <R>(work: Promise<R>) => work,
  } as unknown as TransactionContext
  let hasEnded = false
  const tx = new Transaction(context, run, () => {
    hasEnded = true
  })
  run.commit = () => {
    run.state = 'aborting'
    return Promise.reject(late)
  }
  const committing = assert.rejects(tx.commit(), late)
  await nextTurn()
  assert.equal(hasEnded, false)
  aborted.resolve()
  await committing
  assert.equal(hasEnded, true)
})

test('offsets that it was about to commit are held no more, though its markers wait for room', async () => {
  const decided: unknown[] = []
  const held = {
    partition: 0,
    set: { keys: [], values: [], headers: undefined, timestamps: undefined },
    decided: (...given: unknown[]) => decided.push(given),
  }
  const committing = commitHeld(
    aborting(Promise.resolve()),
    [],
    [{ log: {} as PartitionLog, held }],
  )
  await assert.rejects(committing, late)
  assert.deepEqual(decided, [['abort', -1]])
})
