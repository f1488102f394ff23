// What fails on the way of a transaction, and what the caller, the readers and the next open make of it.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { LogError } from '../../src/errors.ts'
import { commitHeld } from '../../src/transactions/transaction-offsets.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { removeLock } from '../support/log-places.ts'
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

interface Faulty extends Scene {
  readonly disk: FaultFileSystem
}

/** The first write to a partition does more than the others: they have had it. */
async function faulty(): Promise<Faulty> {
  const disk = new FaultFileSystem()
  const scene = await openScene({ fileSystem: disk })
  const { log } = scene
  for (const each of [log(0), log(1), log(2)]) await append(each, recordSet('warm'))
  return { ...scene, disk }
}

const fileOf = (name: string): string => `/data/${name}/00000000000000000000.log`

/** Writes to a file fail from the given one on, counted from now. */
function failWrites(disk: FaultFileSystem, name: string, from: number, code: string): () => void {
  let seen = 0
  return disk.failWhen((operation) => {
    if (operation.name !== 'write' || operation.path !== fileOf(name)) return undefined
    seen += 1
    return seen >= from ? code : undefined
  })
}

async function reopened({ disk, clock }: Faulty): Promise<Scene> {
  const fileSystem = disk.processKill()
  await removeLock(fileSystem, '/data')
  return openScene({ fileSystem, clock })
}

const values = async (scene: Scene): Promise<unknown[][]> => [
  await committedValues(scene, 0),
  await committedValues(scene, 1),
]

describe('before the commit point', () => {
  for (const [what, partition] of [
    ['a partition', 'a-1'],
    ['a decision', '__transaction_state-0'],
  ] as const) {
    test(`${what} without room aborts all, and the same may be tried again`, async () => {
      const scene = await faulty()
      const producer = await scene.core.transactions.init('payments', 60_000)
      const mend = failWrites(scene.disk, partition, 1, 'ENOSPC')
      const writes = [writeTo(scene.log(0), 'x'), writeTo(scene.log(1), 'x')]
      await assert.rejects(producer.begin(BEGIN).commit(writes), hasCode('DISK_FULL'))
      assert.deepEqual(await values(scene), [['warm'], ['warm']])
      mend()
      await commitAll(producer, [scene.log(0), scene.log(1)], 'v')
      assert.deepEqual(await values(scene), [
        ['warm', 'v'],
        ['warm', 'v'],
      ])
      await scene.core.close()
    })
  }

  test('an abort that has no room for its markers is told at once, and they follow', async () => {
    const scene = await faulty()
    const producer = await scene.core.transactions.init('payments', 60_000)
    const run = producer.begin(BEGIN)
    await run.write([writeTo(scene.log(0), 'x'), writeTo(scene.log(1), 'x')])
    const mend = failWrites(scene.disk, 'a-1', 1, 'ENOSPC')
    await run.abort()
    assert.equal(scene.log(0).lastStableOffset, scene.log(0).highWatermark)
    assert.equal(scene.log(1).lastStableOffset, 1)
    assert.throws(() => producer.begin(BEGIN), hasCode('DISK_FULL'))
    await scene.clock.advance(1000)
    mend()
    await scene.clock.advance(1000)
    assert.equal(scene.log(1).visible.firstUnstableOffset, undefined)
    await commitAll(producer, [scene.log(1)], 'v')
    assert.deepEqual(await values(scene), [['warm'], ['warm', 'v']])
    await scene.core.close()
  })
})

describe('offsets of groups', () => {
  test('are not held by a transaction whose abort waits for room', async () => {
    const scene = await faulty()
    const producer = await scene.core.transactions.init('payments', 60_000)
    const run = producer.begin({ ...BEGIN, timeoutMs: 100 })
    await run.write([writeTo(scene.log(0), 'x'), writeTo(scene.log(1), 'x')])
    const mend = failWrites(scene.disk, 'a-1', 1, 'ENOSPC')
    await scene.clock.advance(100)
    assert.equal(run.state, 'aborting')
    const outcomes: string[] = []
    const decided = (outcome: string): void => void outcomes.push(outcome)
    const held = { partition: 0, set: recordSet('offset'), decided }
    const committing = commitHeld(run, [], [{ log: scene.log(2), held }])
    await assert.rejects(committing, hasCode('TRANSACTION_ABORTED'))
    assert.deepEqual(outcomes, ['abort'])
    mend()
    await scene.core.close()
  })
})

describe('at the commit point', () => {
  test('a failed sync leaves it to the next open, and readers where they are', async () => {
    const scene = await faulty()
    const producer = await scene.core.transactions.init('payments', 60_000)
    scene.disk.refuseSync((path) => path === fileOf('__transaction_state-0'))
    const run = producer.begin(BEGIN)
    const outcomes: string[] = []
    run.onDecided((outcome) => void outcomes.push(outcome))
    const writes = [writeTo(scene.log(0), 'v'), writeTo(scene.log(1), 'v')]
    await assert.rejects(run.commit(writes), hasCode('STORAGE_FAILED'))
    assert.deepEqual(await values(scene), [['warm'], ['warm']])
    assert.throws(() => producer.begin(BEGIN), hasCode('STORAGE_FAILED'))
    assert.equal(run.state, 'unknown')
    assert.deepEqual(outcomes, ['unknown'])
    // It cannot be said that nothing of it will be seen.
    await assert.rejects(run.abort(), hasCode('STORAGE_FAILED'))
    assert.deepEqual(await values(scene), [['warm'], ['warm']])
    const other = scene.core.transactions.init('payments', 60_000)
    await assert.rejects(other, hasCode('STORAGE_FAILED'))
    // The decision is in the file, as a killed process leaves it.
    const again = await reopened(scene)
    assert.equal(again.recovery.transactions[0]?.outcome, 'commit')
    assert.deepEqual(await values(again), [
      ['warm', 'v'],
      ['warm', 'v'],
    ])
    await again.core.close()
  })

  test('so does one of the marker that decides in one partition', async () => {
    const scene = await faulty()
    const producer = await scene.core.transactions.init('payments', 60_000)
    scene.disk.refuseSync((path) => path === fileOf('a-0'))
    const run = producer.begin({ ...BEGIN, durability: 'disk' })
    await assert.rejects(run.commit([writeTo(scene.log(0), 'v')]), hasCode('STORAGE_FAILED'))
    assert.equal(run.state, 'unknown')
    assert.deepEqual(await values(scene), [['warm'], ['warm']])
    const again = await reopened(scene)
    assert.deepEqual(await values(again), [['warm', 'v'], ['warm']])
    await again.core.close()
  })

  test('a partition that had failed before takes no decision', async () => {
    const scene = await faulty()
    const producer = await scene.core.transactions.init('payments', 60_000)
    const mend = failWrites(scene.disk, 'a-0', 1, 'EIO')
    await assert.rejects(append(scene.log(0), recordSet('lost')))
    mend()
    const run = producer.begin(BEGIN)
    await assert.rejects(run.commit([writeTo(scene.log(0), 'x')]), hasCode('STORAGE_FAILED'))
    assert.equal(run.state, 'aborted')
    await commitAll(producer, [scene.log(1)], 'v')
    assert.deepEqual(await values(scene), [['warm'], ['warm', 'v']])
    await scene.core.close().catch(() => {})
  })
})

describe('after the commit point', () => {
  test('a marker without room is tried again, and nothing is seen before it stands', async () => {
    const scene = await faulty()
    const producer = await scene.core.transactions.init('payments', 60_000)
    const mend = failWrites(scene.disk, 'a-1', 2, 'ENOSPC')
    const run = producer.begin(BEGIN)
    const committing = run.commit([writeTo(scene.log(0), 'v'), writeTo(scene.log(1), 'v')])
    await scene.clock.advance(2500)
    assert.deepEqual(await values(scene), [['warm'], ['warm']])
    assert.equal(run.state, 'committing')
    mend()
    await scene.clock.advance(1000)
    assert.equal((await committing).length, 2)
    assert.deepEqual(await values(scene), [
      ['warm', 'v'],
      ['warm', 'v'],
    ])
    await scene.core.close()
  })

  test('a close does not wait for room: the promise says that the next open ends it', async () => {
    const scene = await faulty()
    const producer = await scene.core.transactions.init('payments', 60_000)
    failWrites(scene.disk, 'a-1', 2, 'ENOSPC')
    const run = producer.begin(BEGIN)
    const committing = run.commit([writeTo(scene.log(0), 'v'), writeTo(scene.log(1), 'v')])
    committing.catch(() => {})
    await scene.clock.advance(1500)
    await scene.core.close().catch(() => {})
    await assert.rejects(committing, /is committed, and .* the next open does it/)
    const again = await reopened(scene)
    assert.deepEqual(await values(again), [
      ['warm', 'v'],
      ['warm', 'v'],
    ])
    await again.core.close()
  })

  test('a partition that fails leaves it to the next open', async () => {
    const scene = await faulty()
    const producer = await scene.core.transactions.init('payments', 60_000)
    failWrites(scene.disk, 'a-1', 2, 'EIO')
    const run = producer.begin(BEGIN)
    const writes = [writeTo(scene.log(0), 'v'), writeTo(scene.log(1), 'v')]
    await assert.rejects(run.commit(writes), hasCode('STORAGE_FAILED'))
    assert.deepEqual(await committedValues(scene, 0), ['warm'])
    const again = await reopened(scene)
    assert.deepEqual(
      again.recovery.transactions.map(({ outcome, isComplete, transactionalId }) => [
        outcome,
        isComplete,
        transactionalId,
      ]),
      [['commit', true, 'payments']],
    )
    assert.deepEqual(await values(again), [
      ['warm', 'v'],
      ['warm', 'v'],
    ])
    await again.core.close()
  })
})

describe('at the open', () => {
  test('a partition without room is waited for by its readers, and by nobody else', async () => {
    const first = await faulty()
    const producer = await first.core.transactions.init('payments', 60_000)
    failWrites(first.disk, 'a-1', 2, 'EIO')
    const writes = [writeTo(first.log(0), 'v'), writeTo(first.log(1), 'v')]
    await assert.rejects(producer.begin(BEGIN).commit(writes))
    const disk = first.disk.processKill()
    await removeLock(disk, '/data')
    const mend = failWrites(disk, 'a-1', 1, 'ENOSPC')
    const { clock } = first
    const scene = await openScene({ fileSystem: disk, clock })
    assert.deepEqual(
      scene.recovery.transactions.map(({ isComplete }) => isComplete),
      [false],
    )
    // What the partition without room has is not on the disk again yet; the other one, whose marker stands, waits with it.
    assert.deepEqual(await values(scene), [['warm'], []])
    assert.equal((await storedStates(scene)).get('payments')?.status, 'PrepareCommit')
    await assert.rejects(scene.core.transactions.init('payments', 1), hasCode('DISK_FULL'))
    const other = await scene.core.transactions.take()
    await commitAll(other, [scene.log(2)], 'other')
    assert.deepEqual(await committedValues(scene, 2), ['warm', 'other'])
    mend()
    await clock.advance(3000)
    assert.deepEqual(await values(scene), [
      ['warm', 'v'],
      ['warm', 'v'],
    ])
    await clock.advance(3000)
    assert.equal((await storedStates(scene)).get('payments')?.status, 'CompleteCommit')
    await scene.core.transactions.init('payments', 1)
    await scene.core.close()
  })
})
