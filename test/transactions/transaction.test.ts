// A transaction whose time was up while its commit waited for something, without a log.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LogError } from '../../src/errors.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { commitHeld } from '../../src/transactions/transaction-offsets.ts'
import type { OpenTransaction } from '../../src/transactions/types.ts'

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
