// What a transaction keeps in memory until its end.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { OpenTransaction } from '../../src/transactions/types.ts'
import { until } from '../support/storage-environment.ts'
import type { Scene } from '../support/transaction-scene.ts'
import { BEGIN, openScene, writeTo } from '../support/transaction-scene.ts'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** Tells whether the records of a write are still in memory, in the caller's form. */
async function written(run: OpenTransaction, { log }: Scene): Promise<WeakRef<object>> {
  const write = writeTo(log(0), 'v')
  await run.write([write])
  return new WeakRef(write.set)
}

test('records that were written early are not kept until the end of the transaction', async () => {
  const scene = await openScene()
  const producer = await scene.core.transactions.init('payments', 60_000)
  const run = producer.begin(BEGIN)
  const sets = [await written(run, scene), await written(run, scene)]
  await until(() => {
    gc()
    return sets.every((set) => set.deref() === undefined)
  }, 50)
  assert.equal((await run.commit([])).length, 2)
  await scene.core.close()
})
