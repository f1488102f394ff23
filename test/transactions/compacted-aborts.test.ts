// What is remembered of aborted transactions in topics that are compacted.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { TransactionalProducer, TransactionWrite } from '../../src/transactions/types.ts'
import { recordSet } from '../support/storage-environment.ts'
import type { Scene } from '../support/transaction-scene.ts'
import { BEGIN, committedValues, openScene } from '../support/transaction-scene.ts'

const OPTIONS = {
  topics: { a: { value: 'string', cleanupPolicy: 'compact', minCompactionLagMs: 0 } },
} as const

const fileSystem = () => new MemoryFileSystem()

function keyed({ log }: Scene, value: string): TransactionWrite {
  const set = recordSet({ key: `k${value}`, value })
  return { log: log(0), set, expectedOffset: -1, compression: undefined }
}

async function abort(scene: Scene, producer: TransactionalProducer, value: string): Promise<void> {
  const run = producer.begin(BEGIN)
  await run.write([keyed(scene, value)])
  await run.abort()
}

async function compact({ core, clock }: Scene): Promise<void> {
  await clock.advance(10)
  const options = { partitions: undefined, roll: true, signal: undefined }
  await core.compaction.compact(core.topics.get('a'), options)
}

/** Two that were aborted, and one that was committed behind them. */
async function opened(): Promise<Scene> {
  const scene = await openScene({ fileSystem: fileSystem(), options: OPTIONS })
  const producer = await scene.core.transactions.init('payments', 60_000)
  await abort(scene, producer, 'x')
  await abort(scene, producer, 'y')
  await producer.begin(BEGIN).commit([keyed(scene, 'v')])
  assert.equal(scene.log(0).visible.hasAborted, true)
  return scene
}

test('those that compaction has taken are forgotten', async () => {
  const scene = await opened()
  await compact(scene)
  await compact(scene)
  assert.equal(scene.log(0).visible.hasAborted, false)
  assert.deepEqual(await committedValues(scene, 0), ['v'])
  const producer = await scene.core.transactions.init('payments', 60_000)
  // Of the last batch of a producer the header stays, and so does what aborts it.
  await abort(scene, producer, 'z')
  await compact(scene)
  assert.equal(scene.log(0).visible.hasAborted, true)
  assert.deepEqual(await committedValues(scene, 0), ['v'])
  await scene.core.close()
})

test('a reader that had read them before the compaction is not shown them', async () => {
  const scene = await opened()
  await scene.core.flush()
  const log = scene.log(0)
  // The segment is sealed: what is read of it is another file by then.
  await log.rollNow()
  const read = log.read.bind(log)
  let reads = 0
  log.read = async (request) => {
    const page = await read(request)
    reads += 1
    if (reads > 1) return page
    await compact(scene)
    await compact(scene)
    assert.equal(log.visible.hasAborted, false)
    return page
  }
  assert.deepEqual(await committedValues(scene, 0), ['v'])
  assert.ok(reads > 1)
  await scene.core.close()
})
