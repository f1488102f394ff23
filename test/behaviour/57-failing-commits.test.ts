// Consumers whose commits the disk refuses: they go on, they are told, nothing is skipped, and nobody is kept.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ConsumedRecord, Consumer, ConsumerOptions, Log } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { committedBy, fill, isWaiting, take } from '../support/consuming.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { eventually, openAt, removeLock } from '../support/log-places.ts'

const OFFSETS_FILE = /\/__consumer_offsets-\d+\/.*\.log$/

class Scene {
  readonly clock: ManualClock
  readonly fileSystem: FaultFileSystem
  readonly failures: string[] = []
  readonly log: Log

  private constructor(fileSystem: FaultFileSystem, log: Log, clock: ManualClock) {
    this.fileSystem = fileSystem
    this.log = log
    this.clock = clock
    log.on('failure', ({ error }) =>
      this.failures.push(error instanceof LogError ? error.code : String(error)),
    )
  }

  static async open(fileSystem = new FaultFileSystem()): Promise<Scene> {
    const clock = new ManualClock()
    const place = { directory: '/data', fileSystem, killed: () => assert.fail('not asked for') }
    const log = await openAt(place, { clock, topics: { t: { partitions: 2 } } })
    return new Scene(fileSystem, log, clock)
  }

  /** With `count` records in each of `partitions` partitions. */
  static async filled(partitions: number, count: number): Promise<Scene> {
    const scene = await Scene.open()
    await fill(scene.log, 't', partitions, count)
    return scene
  }

  consumer(options: Partial<ConsumerOptions> = {}): Consumer {
    return this.log.consumer({ group: 'g', topics: ['t'], ...options }) as Consumer
  }

  /** Writes to `__consumer_offsets` fail until what this answers with is called. */
  refuseWrites(code: string): () => void {
    return this.fileSystem.failWhen(({ name, path }) =>
      name === 'write' && OFFSETS_FILE.test(path) ? { code, writtenBytes: 7 } : undefined,
    )
  }

  committed(): Promise<Record<string, number>> {
    return committedBy(this.log, 'g')
  }

  /** As the next process finds it. */
  async killed(): Promise<Scene> {
    const next = this.fileSystem.processKill()
    await removeLock(next, '/data')
    return Scene.open(next)
  }
}

const codeOf =
  (code: string) =>
  (error: unknown): boolean =>
    error instanceof LogError && error.code === code

/** Where each was, and how often it was handed out. */
const seen = (records: readonly ConsumedRecord[]): string[] =>
  records.map(({ partition, offset, deliveryCount }) => `${partition}:${offset}:${deliveryCount}`)

function iterate(consumer: Consumer): AsyncIterator<ConsumedRecord> {
  return consumer[Symbol.asyncIterator]()
}

describe('a commit by itself that finds no room', () => {
  for (const code of ['ENOSPC', 'EDQUOT'] as const) {
    test(`(${code}) is told, keeps nobody from going on, and is made once there is room`, async () => {
      const scene = await Scene.filled(1, 6)
      const records = iterate(scene.consumer())
      await take(records, 2)
      await scene.clock.advance(1000)
      assert.deepEqual(await scene.committed(), { 't-0': 1 })
      const allow = scene.refuseWrites(code)
      await take(records, 2)
      await scene.clock.advance(3000)
      assert.deepEqual(scene.failures, ['DISK_FULL', 'DISK_FULL', 'DISK_FULL'])
      assert.deepEqual(await scene.committed(), { 't-0': 1 })
      assert.deepEqual(seen(await take(records, 1)), ['0:4:1'])
      allow()
      await scene.clock.advance(1000)
      assert.deepEqual(await scene.committed(), { 't-0': 4 })
      assert.equal(scene.failures.length, 3)
      await scene.log.close()
    })
  }

  test('leaves no timer behind once it is made, and the consumer waits', async () => {
    const scene = await Scene.filled(1, 2)
    const records = iterate(scene.consumer())
    await take(records, 1)
    await scene.clock.advance(1000)
    const allow = scene.refuseWrites('ENOSPC')
    await take(records, 1)
    const next = records.next()
    await scene.clock.advance(5000)
    assert.ok(await isWaiting(next))
    const timers = scene.clock.pendingTimers
    allow()
    await scene.clock.advance(3000)
    assert.deepEqual(await scene.committed(), { 't-0': 2 })
    assert.ok(scene.clock.pendingTimers < timers, `${scene.clock.pendingTimers} of ${timers}`)
    await scene.log.close()
  })

  test('skips nothing: the next process is handed again what was not committed', async () => {
    const scene = await Scene.filled(1, 6)
    const records = iterate(scene.consumer())
    await take(records, 3)
    await scene.clock.advance(1000)
    scene.refuseWrites('ENOSPC')
    await take(records, 2)
    await scene.clock.advance(1000)
    const next = await scene.killed()
    const again = iterate(next.consumer())
    assert.deepEqual(seen(await take(again, 4)), ['0:2:1', '0:3:1', '0:4:1', '0:5:1'])
    await next.log.close()
  })

  test('leaves the handlers of a run at work', async () => {
    const scene = await Scene.filled(1, 3)
    const consumer = scene.consumer()
    const handled: unknown[] = []
    const allow = scene.refuseWrites('ENOSPC')
    const run = consumer.run({ eachRecord: ({ value }) => void handled.push(value) })
    await eventually(() => handled.length === 3)
    await scene.clock.advance(2000)
    await fill(scene.log, 't', 1, 3, 3)
    await eventually(() => handled.length === 6)
    assert.ok(scene.failures.length > 0)
    allow()
    await scene.clock.advance(1000)
    assert.deepEqual(await scene.committed(), { 't-0': 6 })
    await consumer.close()
    await run
    assert.deepEqual(handled, [0, 1, 2, 3, 4, 5])
    await scene.log.close()
  })
})

describe('commit()', () => {
  test('rejects where there is no room, and commits the same once there is', async () => {
    const scene = await Scene.filled(2, 3)
    const consumer = scene.consumer({ autoCommit: false })
    const taken = await take(iterate(consumer), 5)
    const allow = scene.refuseWrites('ENOSPC')
    await assert.rejects(consumer.commit(), codeOf('DISK_FULL'))
    await assert.rejects(consumer.commit(taken), codeOf('DISK_FULL'))
    assert.deepEqual(await scene.committed(), {})
    allow()
    await consumer.commit()
    const sum = Object.values(await scene.committed()).reduce((all, each) => all + each, 0)
    assert.equal(sum, 5)
    await scene.log.close()
  })

  for (const what of ['write', 'sync'] as const) {
    test(`rejects after a failed ${what}; the consumer goes on, and skips nothing after the next open`, async () => {
      const scene = await Scene.filled(1, 4)
      const consumer = scene.consumer({ autoCommit: false, commitDurability: 'disk' })
      const records = iterate(consumer)
      await take(records, 2)
      await consumer.commit()
      assert.deepEqual(await scene.committed(), { 't-0': 1 })
      const allow =
        what === 'write'
          ? scene.refuseWrites('EIO')
          : scene.fileSystem.refuseSync((path) => OFFSETS_FILE.test(path))
      await take(records, 1)
      await assert.rejects(consumer.commit(), codeOf('STORAGE_FAILED'))
      allow()
      // The partition is closed to writes till it is opened anew.
      await assert.rejects(consumer.commit(), codeOf('STORAGE_FAILED'))
      assert.deepEqual(await scene.committed(), { 't-0': 1 })
      assert.deepEqual(seen(await take(records, 1)), ['0:3:1'])
      const next = await scene.killed()
      const first = (await take(iterate(next.consumer()), 1))[0]
      // A commit whose sync failed may be there: what it says is done, is.
      assert.ok(first !== undefined && first.offset >= 1 && first.offset <= 2, `${first?.offset}`)
      await next.log.close()
    })
  }
})

describe('a hand-over whose commit fails', () => {
  for (const code of ['ENOSPC', 'EIO']) {
    test(`(${code}) is told, keeps the partition from nobody, and hands out again what was not committed`, async () => {
      const scene = await Scene.filled(2, 4)
      const told: string[] = []
      const a = scene.consumer({
        onRevoked: (partitions) => {
          told.push(...partitions.map(({ topic, partition }) => `${topic}-${partition}`))
        },
      })
      const ofA = iterate(a)
      await take(ofA, 1)
      await scene.clock.advance(1000)
      const allow = scene.refuseWrites(code)
      const had = await take(ofA, 7)
      const b = scene.consumer()
      const ofB = iterate(b)
      const first = ofB.next()
      assert.ok(await isWaiting(first))
      // It asks for more, so that what it had in hand is done.
      const rest = ofA.next()
      const record = (await first).value as ConsumedRecord
      assert.equal(record.offset, 0)
      assert.deepEqual(told, [`t-${record.partition}`])
      const again = await take(ofB, 3)
      assert.deepEqual(
        again.map(({ offset }) => offset),
        [1, 2, 3],
      )
      assert.ok(scene.failures.length > 0)
      assert.equal(had.length, 7)
      assert.ok(await isWaiting(rest))
      allow()
      await Promise.allSettled([a.close(), b.close()])
      await scene.log.close().catch(() => {})
    })
  }
})

describe('a close whose commit fails', () => {
  test('rejects with it, has left, and the next member is handed again what was not committed', async () => {
    const scene = await Scene.filled(1, 4)
    const a = scene.consumer()
    const ofA = iterate(a)
    await take(ofA, 3)
    const b = scene.consumer()
    const next = iterate(b).next()
    assert.ok(await isWaiting(next))
    const allow = scene.refuseWrites('ENOSPC')
    await assert.rejects(a.close({ drainMs: 0 }), codeOf('DISK_FULL'))
    const record = (await next).value as ConsumedRecord
    assert.equal(record.offset, 0)
    assert.equal((await scene.log.describeGroup('g')).members.length, 1)
    assert.deepEqual(await scene.committed(), {})
    allow()
    await b.close({ drainMs: 0 })
    await scene.log.close()
  })

  test('of the log is told, and the log closes', async () => {
    const scene = await Scene.filled(1, 4)
    await take(iterate(scene.consumer()), 3)
    const allow = scene.refuseWrites('ENOSPC')
    await scene.log.close().catch((error) => assert.ok(codeOf('DISK_FULL')(error), String(error)))
    assert.ok(scene.failures.includes('DISK_FULL'))
    allow()
    const again = await Scene.open(scene.fileSystem)
    assert.deepEqual(seen(await take(iterate(again.consumer()), 1)), ['0:0:1'])
    await again.log.close()
  })
})
