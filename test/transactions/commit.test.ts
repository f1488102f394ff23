// Transactions over real partitions, in memory.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LogError } from '../../src/errors.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { TransactionalProducer } from '../../src/transactions/types.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { append, recordSet } from '../support/storage-environment.ts'
import type { Scene } from '../support/transaction-scene.ts'
import {
  BEGIN,
  commitAll,
  committedValues,
  openScene,
  storedStates,
  writeTo,
} from '../support/transaction-scene.ts'

const hasCode = (code: string) => (error: unknown) =>
  error instanceof LogError && error.code === code

interface Named extends Scene {
  readonly producer: TransactionalProducer
}

async function named(given: Parameters<typeof openScene>[0] = {}): Promise<Named> {
  const scene = await openScene(given)
  const producer = await scene.core.transactions.init('payments', 60_000)
  return { ...scene, producer }
}

describe('a commit', () => {
  test('over several partitions is seen in all of them, and says where its records are', async () => {
    const scene = await named()
    const logs = [scene.log(0), scene.log(1), scene.log(0, 'b')]
    const run = scene.producer.begin(BEGIN)
    const appended = await run.commit(logs.map((log) => writeTo(log, 'v')))
    assert.deepEqual(
      appended.map(({ log, baseOffset, count }) => [log, baseOffset, count]),
      logs.map((log) => [log, 0, 1]),
    )
    assert.equal(run.state, 'committed')
    assert.deepEqual(await committedValues(scene, 0), ['v'])
    assert.deepEqual(await committedValues(scene, 1), ['v'])
    assert.deepEqual(await committedValues(scene, 0, 'b'), ['v'])
    await scene.core.close()
  })

  test('moves all last stable offsets in one turn, after its listeners were told', async () => {
    const scene = await named()
    const logs = [scene.log(0), scene.log(1), scene.log(2)]
    const seen: number[][] = []
    const look = (): number[] => logs.map((log) => log.lastStableOffset)
    for (const log of logs) {
      const { onChange } = log
      log.onChange = () => {
        seen.push(look())
        onChange?.()
      }
    }
    const run = scene.producer.begin(BEGIN)
    let told: number[] | undefined
    run.onDecided((outcome, appended) => {
      assert.deepEqual([outcome, appended.length], ['commit', 3])
      told = look()
    })
    await run.commit(logs.map((log) => writeTo(log, 'v')))
    assert.deepEqual(told, [0, 0, 0])
    assert.ok(seen.length > 0)
    for (const each of seen) assert.equal(new Set(each).size, 1, `${each}`)
    assert.ok(look().every((offset) => offset >= 1))
    await scene.core.close()
  })

  test('of one partition takes one write and one sync, and nothing in __transaction_state', async () => {
    const fileSystem = new FaultFileSystem()
    const scene = await named({ fileSystem })
    await warm(scene)
    const before = fileSystem.operations.length
    await commitAll(scene.producer, [scene.log(0)], 'v')
    const names = fileSystem.operations.slice(before).map(({ name, path }) => `${name} ${path}`)
    const file = '/data/a-0/00000000000000000000.log'
    assert.deepEqual(names, [`write ${file}`, `sync ${file}`])
    assert.equal((await storedStates(scene)).get('payments')?.status, 'Empty')
    await scene.core.close()
  })

  test('over two partitions takes two rounds: both data, then the decision', async () => {
    const fileSystem = new FaultFileSystem()
    const scene = await named({ fileSystem })
    await warm(scene)
    const before = fileSystem.operations.length
    await commitAll(scene.producer, [scene.log(0), scene.log(1)], 'v')
    const done = fileSystem.operations
      .slice(before)
      .map(({ name, path }) => `${name} ${path.split('/')[2]}`)
    assert.deepEqual(done, [
      ...['write a-0', 'write a-1', 'sync a-0', 'sync a-1'].sort(byPartition(done)),
      ...['write __transaction_state-0', 'sync __transaction_state-0'],
      ...['write a-0', 'write a-1'],
    ])
    await scene.core.close()
  })

  test('shares its rounds with all that are made in the same turn', async () => {
    const fileSystem = new FaultFileSystem()
    const scene = await openScene({ fileSystem })
    const { transactions } = scene.core
    const producers = await Promise.all(Array.from({ length: 16 }, () => transactions.take()))
    const before = fileSystem.operations.length
    const logs = [scene.log(0), scene.log(1)]
    await Promise.all(producers.map((producer) => commitAll(producer, logs, 'v')))
    const syncs = fileSystem.operations.slice(before).filter(({ name }) => name === 'sync')
    // Those of the first call go ahead; the other fifteen share.
    assert.ok(syncs.length <= 8, `${syncs.length} syncs`)
    assert.equal((await committedValues(scene, 0)).length, 16)
    await scene.core.close()
  })

  test('of nothing writes nothing', async () => {
    const fileSystem = new FaultFileSystem()
    const scene = await named({ fileSystem })
    const before = fileSystem.operations.length
    assert.deepEqual(await scene.producer.begin(BEGIN).commit([]), [])
    await scene.producer.begin(BEGIN).abort()
    assert.equal(fileSystem.operations.length, before)
    await scene.core.close()
  })

  test('at os waits for no sync, and is at disk where one of its topics is', async () => {
    const fileSystem = new FaultFileSystem()
    const topics = {
      a: { value: 'string', partitions: 3 },
      b: { value: 'string', durability: 'disk' },
    }
    const scene = await named({ fileSystem, options: { durability: 'os', topics } as object })
    await warm(scene)
    const before = fileSystem.operations.length
    await commitAll(scene.producer, [scene.log(0), scene.log(1)], 'v')
    const syncs = (): number =>
      fileSystem.operations.slice(before).filter(({ name }) => name === 'sync').length
    assert.equal(syncs(), 0)
    assert.deepEqual(await committedValues(scene, 1), ['warm', 'v'])
    const run = scene.producer.begin(BEGIN)
    assert.equal(run.durability, 'os')
    await run.commit([writeTo(scene.log(0), 'w'), writeTo(scene.log(0, 'b'), 'w')])
    assert.equal(run.durability, 'disk')
    assert.ok(syncs() >= 3)
    await scene.core.close()
  })

  test('is stored as complete when its markers are on the disk, and at the latest by the close', async () => {
    const scene = await named()
    await commitAll(scene.producer, [scene.log(0), scene.log(1)], 'v')
    assert.equal((await storedStates(scene)).get('payments')?.status, 'PrepareCommit')
    await scene.clock.advance(2000)
    assert.equal((await storedStates(scene)).get('payments')?.status, 'CompleteCommit')
    await commitAll(scene.producer, [scene.log(0), scene.log(1)], 'w')
    await scene.core.close()
    const again = await openScene({ fileSystem: scene.fileSystem })
    assert.equal((await storedStates(again)).get('payments')?.status, 'CompleteCommit')
    assert.deepEqual(again.recovery.transactions, [])
    await again.core.close()
  })

  test('goes on counting sequences under one epoch', async () => {
    const scene = await named()
    for (const value of ['1', '2', '3'])
      await commitAll(scene.producer, [scene.log(0), scene.log(1)], value)
    const { producerId } = scene.producer
    const entry = scene.log(0).producers.get(producerId)
    assert.deepEqual([entry?.producerEpoch, entry?.batches.at(-1)?.lastSequence], [0, 2])
    await scene.core.close()
  })
})

describe('an abort', () => {
  test('hides what was written early', async () => {
    const scene = await named()
    const run = scene.producer.begin(BEGIN)
    await run.write([writeTo(scene.log(0), 'x'), writeTo(scene.log(1), 'x')])
    assert.equal((await storedStates(scene)).get('payments')?.status, 'Ongoing')
    assert.deepEqual(await committedValues(scene, 0), [])
    await run.abort()
    await run.abort()
    assert.equal(run.state, 'aborted')
    await commitAll(scene.producer, [scene.log(0), scene.log(1)], 'v')
    assert.deepEqual(await committedValues(scene, 0), ['v'])
    assert.deepEqual(await committedValues(scene, 0, 'a', 'read_uncommitted'), ['x', 'v'])
    await scene.core.close()
  })

  test('follows where a partition refuses its records, and the others take them back', async () => {
    const scene = await named()
    const run = scene.producer.begin(BEGIN)
    const outcomes: string[] = []
    run.onDecided((outcome) => outcomes.push(outcome))
    const writes = [writeTo(scene.log(0), 'x'), writeTo(scene.log(1), 'x', { expectedOffset: 7 })]
    await assert.rejects(run.commit(writes), hasCode('OFFSET_CONFLICT'))
    assert.deepEqual([run.state, outcomes], ['aborted', ['abort']])
    await run.abort()
    await commitAll(scene.producer, [scene.log(0), scene.log(1)], 'v')
    assert.deepEqual(await committedValues(scene, 0), ['v'])
    assert.deepEqual(await committedValues(scene, 1), ['v'])
    assert.equal(scene.log(1).lastStableOffset, scene.log(1).highWatermark)
    await scene.core.close()
  })

  test('is all that is left after a write that was refused', async () => {
    const scene = await named()
    const run = scene.producer.begin(BEGIN)
    const refused = run.write([writeTo(scene.log(0), 'x', { expectedOffset: 7 })])
    await assert.rejects(refused, hasCode('OFFSET_CONFLICT'))
    await assert.rejects(run.write([writeTo(scene.log(0), 'x')]), hasCode('TRANSACTION_ABORTED'))
    await assert.rejects(run.commit([]), hasCode('TRANSACTION_ABORTED'))
    assert.equal(run.state, 'aborted')
    await scene.core.close()
  })
})

describe('the order of calls', () => {
  test('two transactions of a producer at once are refused, and so is what comes after the end', async () => {
    const { core, producer, log } = await named()
    const run = producer.begin(BEGIN)
    assert.throws(() => producer.begin(BEGIN), TypeError)
    const committing = run.commit([writeTo(log(0), 'v'), writeTo(log(1), 'v')])
    assert.throws(() => producer.begin(BEGIN), TypeError)
    await assert.rejects(run.abort(), TypeError)
    await assert.rejects(run.commit([]), TypeError)
    await committing
    await assert.rejects(run.write([writeTo(log(0), 'v')]), TypeError)
    const aborted = producer.begin(BEGIN)
    await aborted.abort()
    await assert.rejects(aborted.commit([]), TypeError)
    await core.close()
  })

  test('a write that was not waited for comes before the commit', async () => {
    const scene = await named()
    await commitAll(scene.producer, [scene.log(0), scene.log(1)], 'first')
    const run = scene.producer.begin(BEGIN)
    const early = run.write([writeTo(scene.log(0), '1')])
    const appended = await run.commit([writeTo(scene.log(0), '2'), writeTo(scene.log(2), '2')])
    await early
    assert.deepEqual(
      appended.map(({ baseOffset }) => baseOffset),
      [2, 3, 0],
    )
    assert.deepEqual(await committedValues(scene, 0), ['first', '1', '2'])
    await scene.core.close()
  })
})

describe('a time-out', () => {
  test('aborts, fences the producer that has a name, and is told by commit', async () => {
    const scene = await named()
    const run = scene.producer.begin({ ...BEGIN, timeoutMs: 1000 })
    await run.write([writeTo(scene.log(0), 'x'), writeTo(scene.log(1), 'x')])
    await scene.clock.advance(1000)
    assert.equal(run.state, 'aborted')
    assert.equal(run.failure?.code, 'TRANSACTION_ABORTED')
    await assert.rejects(run.commit([]), hasCode('TRANSACTION_ABORTED'))
    assert.equal(scene.producer.fenced?.code, 'PRODUCER_FENCED')
    assert.throws(() => scene.producer.begin(BEGIN), hasCode('PRODUCER_FENCED'))
    assert.equal(scene.log(0).producers.get(scene.producer.producerId)?.producerEpoch, 1)
    const next = await scene.core.transactions.init('payments', 60_000)
    assert.deepEqual([next.producerId, next.producerEpoch], [scene.producer.producerId, 2])
    await commitAll(next, [scene.log(0), scene.log(1)], 'v')
    assert.deepEqual(await committedValues(scene, 0), ['v'])
    await scene.core.close()
  })

  test('does not come once commit was called, and leaves a producer without a name in use', async () => {
    const scene = await openScene()
    const producer = await scene.core.transactions.take()
    const run = producer.begin({ ...BEGIN, timeoutMs: 1000 })
    const committing = run.commit([writeTo(scene.log(0), 'v'), writeTo(scene.log(1), 'v')])
    await Promise.all([committing, scene.clock.advance(5000)])
    const late = producer.begin({ ...BEGIN, timeoutMs: 1000 })
    await scene.clock.advance(1000)
    assert.equal(late.state, 'aborted')
    assert.equal(producer.fenced, undefined)
    await commitAll(producer, [scene.log(0)], 'w')
    assert.deepEqual(await committedValues(scene, 0), ['v', 'w'])
    await scene.core.close()
  })
})

describe('a new instance', () => {
  test('fences the one before, aborts what it has open, and has the next epoch', async () => {
    const scene = await named()
    const run = scene.producer.begin(BEGIN)
    await run.write([writeTo(scene.log(0), 'x')])
    const next = await scene.core.transactions.init('payments', 60_000)
    assert.equal(next.producerEpoch, 1)
    assert.equal(run.state, 'aborted')
    await assert.rejects(run.commit([]), hasCode('PRODUCER_FENCED'))
    assert.throws(() => scene.producer.begin(BEGIN), hasCode('PRODUCER_FENCED'))
    assert.deepEqual(await committedValues(scene, 0), [])
    assert.equal(scene.log(0).visible.firstUnstableOffset, undefined)
    await commitAll(next, [scene.log(0)], 'v')
    assert.deepEqual(await committedValues(scene, 0), ['v'])
    await scene.core.close()
  })

  test('waits for a commit under way, which counts', async () => {
    const scene = await named()
    const run = scene.producer.begin(BEGIN)
    const committing = run.commit([writeTo(scene.log(0), 'v'), writeTo(scene.log(1), 'v')])
    const [next] = await Promise.all([
      scene.core.transactions.init('payments', 60_000),
      scene.core.transactions.init('payments', 60_000),
    ])
    await committing
    assert.deepEqual(await committedValues(scene, 1), ['v'])
    // The second of the two has fenced the first.
    assert.throws(() => next.begin(BEGIN), hasCode('PRODUCER_FENCED'))
    await scene.core.close()
  })

  test('of a name that was long idle is a new producer: the id was forgotten', async () => {
    const fileSystem = new MemoryFileSystem()
    const first = await named({ fileSystem })
    const { clock, producer } = first
    await commitAll(producer, [first.log(0)], 'v')
    await first.core.close()
    const options = { transactionalIdExpirationMs: 60_000, retentionCheckIntervalMs: 10_000 }
    const second = await openScene({ fileSystem, clock, options })
    await clock.advance(40_000)
    assert.ok((await storedStates(second)).has('payments'))
    await clock.advance(40_000)
    assert.ok(!(await storedStates(second)).has('payments'))
    const next = await second.core.transactions.init('payments', 60_000)
    assert.ok(next.producerId > producer.producerId)
    await second.core.close()
  })
})

describe('producers without a name', () => {
  test('are as many as run side by side, and rest while their markers are not on the disk', async () => {
    const scene = await openScene()
    const { transactions } = scene.core
    const used = new Set<string>()
    for (let i = 0; i < 20; i += 1) {
      const producer = await transactions.take()
      used.add(producer.transactionalId)
      await commitAll(producer, [scene.log(0), scene.log(1)], `${i}`)
      transactions.giveBack(producer)
    }
    assert.deepEqual([...used].sort(), ['brokerless-1', 'brokerless-2'])
    assert.equal((await committedValues(scene, 1)).length, 20)
    await assert.rejects(transactions.init('brokerless-1', 1), TypeError)
    await scene.core.close()
  })
})

describe('a close', () => {
  test('aborts what is open, and lets nothing begin', async () => {
    const fileSystem = new MemoryFileSystem()
    const scene = await named({ fileSystem })
    const run = scene.producer.begin(BEGIN)
    await run.write([writeTo(scene.log(0), 'x'), writeTo(scene.log(1), 'x')])
    await scene.core.close()
    assert.equal(run.state, 'aborted')
    await assert.rejects(run.commit([]), hasCode('CLOSED'))
    assert.throws(() => scene.producer.begin(BEGIN), hasCode('CLOSED'))
    await assert.rejects(scene.core.transactions.init('payments', 1), hasCode('CLOSED'))
    const again = await openScene({ fileSystem })
    assert.deepEqual([again.recovery.clean, again.recovery.transactions], [true, []])
    assert.equal((await storedStates(again)).get('payments')?.status, 'CompleteAbort')
    assert.deepEqual(await committedValues(again, 0), [])
    await again.core.close()
  })
})

describe('a topic that is deleted', () => {
  test('takes its part of a transaction with it, and keeps nothing from the others', async () => {
    const scene = await named()
    const run = scene.producer.begin(BEGIN)
    await run.write([writeTo(scene.log(0), 'v'), writeTo(scene.log(0, 'b'), 'v')])
    await scene.core.topics.delete('b')
    await run.commit([])
    assert.deepEqual(await committedValues(scene, 0), ['v'])
    assert.equal(scene.log(0).visible.firstUnstableOffset, undefined)
    await scene.core.close()
  })
})

/** The first write to a partition does more than the others. */
async function warm({ log }: Scene): Promise<void> {
  for (const each of [log(0), log(1), log(2), log(0, 'b')]) await append(each, recordSet('warm'))
}

/** Which of two partitions is synced before the other is written is of no interest. */
function byPartition(order: readonly string[]): (a: string, b: string) => number {
  return (a, b) => order.indexOf(a) - order.indexOf(b)
}
