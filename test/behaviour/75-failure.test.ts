// What callers see when the disk refuses: no room, a failed write, a failed sync.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { BackgroundFailure, Log, LogOptions, TopicDeclarations } from '../../src/index.ts'
import { LogError } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { Place } from '../support/log-places.ts'
import { fileOf, openAt, readFile, removeLock, valuesOf } from '../support/log-places.ts'

const TOPICS: TopicDeclarations = {
  safe: { value: 'string' },
  quick: { value: 'string', durability: 'os' },
}
const LOG_FILE = /\.log$/
const STORAGE_FAILED = { code: 'STORAGE_FAILED', retryable: false }

function placeOf(fileSystem: FaultFileSystem): Place {
  return { directory: '/data', fileSystem, killed: () => assert.fail('ask the file system') }
}

interface Opened {
  readonly fileSystem: FaultFileSystem
  readonly clock: ManualClock
  readonly log: Log
  readonly failures: BackgroundFailure[]
}

async function open(
  fileSystem: FaultFileSystem = new FaultFileSystem(),
  options: LogOptions = {},
): Promise<Opened> {
  const clock = new ManualClock()
  const log = await openAt(placeOf(fileSystem), { clock, topics: TOPICS, ...options })
  const failures: BackgroundFailure[] = []
  log.on('failure', (failure) => failures.push(failure))
  return { fileSystem, clock, log, failures }
}

/** Writes to the .log of a topic's partition 0 fail. */
function failWrites(fileSystem: FaultFileSystem, topic: string, code: string, writtenBytes = 0) {
  return fileSystem.failWhen(({ name, path }) =>
    name === 'write' && path.includes(`/${topic}-0/`) && LOG_FILE.test(path)
      ? { code, writtenBytes }
      : undefined,
  )
}

function failSyncs(fileSystem: FaultFileSystem, topic: string, code: 'EIO' | 'ENOSPC' = 'EIO') {
  return fileSystem.refuseSync((path) => path.includes(`/${topic}-0/`) && LOG_FILE.test(path), code)
}

async function isWritable(log: Log, topic: string): Promise<boolean | undefined> {
  return (await log.describeTopic(topic)).partitions[0]?.writable
}

function codeOf(failure: BackgroundFailure | undefined): string | undefined {
  return failure?.error instanceof LogError ? failure.error.code : undefined
}

/** As the next process finds it after the power was cut; everything unsynced is lost. */
async function afterPowerCut(fileSystem: FaultFileSystem): Promise<FaultFileSystem> {
  const next = fileSystem.powerCut({ mode: 'lose-all' })
  await removeLock(next, '/data')
  return next
}

describe('a write that finds no room', () => {
  for (const code of ['ENOSPC', 'EDQUOT'] as const) {
    for (const topic of ['safe', 'quick']) {
      test(`(${code}, ${topic}) is retryable, leaves nothing half written, and writing goes on once there is room`, async () => {
        const { fileSystem, log, failures } = await open()
        await log.produce(topic, { value: 'before' })
        fileSystem.fullCode = code
        const size = () =>
          readFile(fileSystem, fileOf(placeOf(fileSystem), `${topic}-0`, `${'0'.repeat(20)}.log`))
            .length
        const before = size()
        // Room for a part of the batch: what was written of it has to go again.
        fileSystem.capacityBytes = fileSystem.usedBytes + 30
        for (let attempt = 0; attempt < 3; attempt += 1) {
          await assert.rejects(log.produce(topic, { value: 'x'.repeat(500) }), (error) => {
            assert.ok(error instanceof LogError)
            assert.deepEqual([error.code, error.retryable], ['DISK_FULL', true])
            assert.equal((error.cause as NodeJS.ErrnoException).code, code)
            return true
          })
          assert.equal(size(), before)
        }
        assert.equal(await isWritable(log, topic), true)
        assert.deepEqual(await valuesOf(log, topic), ['before'])
        fileSystem.capacityBytes = Number.POSITIVE_INFINITY
        assert.equal((await log.produce(topic, { value: 'after' })).offset, 1)
        assert.deepEqual(await valuesOf(log, topic), ['before', 'after'])
        assert.deepEqual(failures, [])
        await log.close()
        const again = await open(fileSystem)
        assert.equal(again.log.recovery.clean, true)
        assert.deepEqual(await valuesOf(again.log, topic), ['before', 'after'])
        await again.log.close()
      })
    }
  }

  test('fails all calls that were gathered with it, in order, and none of their records is seen', async () => {
    const { fileSystem, log } = await open()
    const stop = failWrites(fileSystem, 'safe', 'ENOSPC', 20)
    const results = await Promise.allSettled(
      ['a', 'b', 'c'].map((value) => log.produce('safe', { value })),
    )
    assert.deepEqual(
      results.map((each) => (each.status === 'rejected' ? each.reason.code : each.status)),
      ['DISK_FULL', 'DISK_FULL', 'DISK_FULL'],
    )
    stop()
    assert.equal((await log.produce('safe', { value: 'd' })).offset, 0)
    assert.deepEqual(await valuesOf(log, 'safe'), ['d'])
    await log.close()
  })

  test('of a commit is retryable too, and the group keeps what it had', async () => {
    const { fileSystem, log } = await open()
    await log.produce('safe', [{ value: 'a' }, { value: 'b' }])
    const commit = (offset: number) =>
      log.commitOffset('g', { topic: 'safe', partition: 0, offset })
    await commit(1)
    fileSystem.capacityBytes = fileSystem.usedBytes
    await assert.rejects(commit(2), { code: 'DISK_FULL', retryable: true })
    assert.equal((await log.committedOffsets('g'))[0]?.offset, 1)
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY
    await commit(2)
    assert.equal((await log.committedOffsets('g'))[0]?.offset, 2)
    await log.close()
  })

  test('when a segment has to be rolled leaves the log as it was', async () => {
    const { fileSystem, log } = await open(undefined, {
      topics: { safe: { value: 'string', segmentBytes: 1024 } },
    })
    const value = 'v'.repeat(600)
    await log.produce('safe', { value })
    const stop = fileSystem.failWhen(({ name, path }) =>
      path.includes('/safe-0/') && (name === 'create' || name === 'write') ? 'ENOSPC' : undefined,
    )
    await assert.rejects(log.produce('safe', { value }), { code: 'DISK_FULL', retryable: true })
    stop()
    assert.equal((await log.produce('safe', { value })).offset, 1)
    assert.deepEqual(await valuesOf(log, 'safe'), [value, value])
    await log.close()
    const again = await open(fileSystem)
    assert.deepEqual(await valuesOf(again.log, 'safe'), [value, value])
    await again.log.close()
  })

  test('whose part cannot be cut off again closes the partition', async () => {
    const { fileSystem, log, failures } = await open()
    await log.produce('safe', { value: 'before' })
    failWrites(fileSystem, 'safe', 'ENOSPC', 20)
    fileSystem.failWhen(({ name, path }) =>
      name === 'truncate' && path.includes('/safe-0/') ? 'EIO' : undefined,
    )
    await assert.rejects(log.produce('safe', { value: 'x' }), STORAGE_FAILED)
    assert.equal(await isWritable(log, 'safe'), false)
    assert.equal(failures.length, 1)
    assert.deepEqual(await valuesOf(log, 'safe'), ['before'])
    await assert.rejects(log.close())
  })
})

describe('a write that fails', () => {
  for (const topic of ['safe', 'quick']) {
    test(`closes the partition (${topic}) to writes, and reads go on`, async () => {
      const { fileSystem, log, failures } = await open()
      await log.produce(topic, { value: 'before' })
      const stop = failWrites(fileSystem, topic, 'EIO', 20)
      await assert.rejects(log.produce(topic, { value: 'x' }), (error) => {
        assert.ok(error instanceof LogError)
        assert.deepEqual([error.code, error.retryable], ['STORAGE_FAILED', false])
        assert.equal((error.cause as NodeJS.ErrnoException).code, 'EIO')
        return true
      })
      stop()
      await assert.rejects(log.produce(topic, { value: 'y' }), STORAGE_FAILED)
      assert.equal(await isWritable(log, topic), false)
      assert.deepEqual(await valuesOf(log, topic), ['before'])
      assert.deepEqual(
        failures.map(({ topic, partition }) => [topic, partition]),
        [[topic, 0]],
      )
      assert.equal(codeOf(failures[0]), 'STORAGE_FAILED')
      await assert.rejects(log.close(), STORAGE_FAILED)
      const again = await open(fileSystem)
      assert.deepEqual(await valuesOf(again.log, topic), ['before'])
      assert.equal((await again.log.produce(topic, { value: 'next' })).offset, 1)
      await again.log.close()
    })
  }

  test('leaves the other partitions and topics writable', async () => {
    const { fileSystem, log } = await open(undefined, {
      topics: { safe: { value: 'string', partitions: 2 }, quick: { value: 'string' } },
    })
    failWrites(fileSystem, 'safe', 'EIO')
    await assert.rejects(log.produce('safe', { value: 'x', partition: 0 }), STORAGE_FAILED)
    await log.produce('safe', { value: 'a', partition: 1 })
    await log.produce('quick', { value: 'b' })
    assert.deepEqual(await valuesOf(log, 'safe', 1), ['a'])
    await assert.rejects(log.close())
  })

  test('is told as a part of a call over several partitions', async () => {
    const { fileSystem, log } = await open(undefined, {
      topics: { safe: { value: 'string', partitions: 2 } },
    })
    failWrites(fileSystem, 'safe', 'EIO')
    const records = [
      { value: 'x', partition: 0 },
      { value: 'y', partition: 1 },
    ]
    await assert.rejects(log.produce('safe', records), (error) => {
      assert.ok(error instanceof LogError && error.code === 'PARTIAL_PRODUCE')
      const { acknowledged, failed } = error as unknown as {
        acknowledged: { partition: number }[]
        failed: { partition: number; error: LogError }[]
      }
      assert.deepEqual(
        acknowledged.map(({ partition }) => partition),
        [1],
      )
      assert.deepEqual(
        failed.map(({ partition, error: { code } }) => [partition, code]),
        [[0, 'STORAGE_FAILED']],
      )
      return true
    })
    await assert.rejects(log.close())
  })
})

describe('a sync that fails', () => {
  for (const code of ['EIO', 'ENOSPC'] as const) {
    test(`(${code}) closes the partition to writes, whatever the code, and readers keep the high watermark it had`, async () => {
      const { fileSystem, log, failures } = await open()
      await log.produce('safe', { value: 'before' })
      const stop = failSyncs(fileSystem, 'safe', code)
      await assert.rejects(log.produce('safe', { value: 'unsure' }), STORAGE_FAILED)
      stop()
      await assert.rejects(log.produce('safe', { value: 'x' }), STORAGE_FAILED)
      assert.deepEqual(await log.offsets('safe', 0), { earliest: 0, latest: 1, lastStable: 1 })
      assert.deepEqual(await valuesOf(log, 'safe'), ['before'])
      assert.equal(failures.length, 1)
      assert.equal(failures[0]?.topic, 'safe')
      await assert.rejects(log.close(), STORAGE_FAILED)
    })
  }

  test('ends the wait of a reader at the end with what there is, and the log goes on being read', async () => {
    const { fileSystem, clock, log } = await open()
    await log.produce('safe', { value: 'before' })
    failSyncs(fileSystem, 'safe')
    const waiting = log.fetch('safe', { partition: 0, offset: 1, maxWaitMs: 5000 })
    await assert.rejects(log.produce('safe', { value: 'unsure' }), STORAGE_FAILED)
    await clock.advance(5000)
    const { records, nextOffset } = await waiting
    assert.deepEqual([records.length, nextOffset], [0, 1])
    await assert.rejects(log.close())
  })

  test('loses nothing that was acknowledged: the next open has all of it, also after a power cut', async () => {
    const { fileSystem, log } = await open()
    for (const value of ['a', 'b', 'c']) await log.produce('safe', { value })
    await log.commitOffset('g', { topic: 'safe', partition: 0, offset: 3 }, { durability: 'disk' })
    const stop = failSyncs(fileSystem, 'safe')
    await assert.rejects(log.produce('safe', { value: 'unsure' }), STORAGE_FAILED)
    stop()
    await assert.rejects(log.close())
    // The kernel shows the bytes of the failed sync; the next open writes them again before it serves them.
    const again = await open(fileSystem)
    assert.equal(again.log.recovery.clean, false)
    assert.deepEqual(await valuesOf(again.log, 'safe'), ['a', 'b', 'c', 'unsure'])
    const next = await afterPowerCut(fileSystem)
    const last = await open(next)
    assert.deepEqual(await valuesOf(last.log, 'safe'), ['a', 'b', 'c', 'unsure'])
    assert.equal((await last.log.committedOffsets('g'))[0]?.offset, 3)
    await last.log.close()
  })

  test("in the background closes an 'os' partition as well, and is told", async () => {
    const { fileSystem, clock, log, failures } = await open()
    failSyncs(fileSystem, 'quick')
    await log.produce('quick', { value: 'a' })
    await clock.advance(1000)
    assert.deepEqual(
      failures.map(({ topic, partition }) => [topic, partition]),
      [['quick', 0]],
    )
    await assert.rejects(log.produce('quick', { value: 'b' }), STORAGE_FAILED)
    assert.deepEqual(await valuesOf(log, 'quick'), ['a'])
    await assert.rejects(log.close())
  })

  test('at a roll closes the partition to writes', async () => {
    const { fileSystem, log } = await open(undefined, {
      topics: { quick: { value: 'string', durability: 'os', segmentBytes: 1024 } },
    })
    const value = 'v'.repeat(600)
    await log.produce('quick', { value })
    const stop = failSyncs(fileSystem, 'quick')
    await assert.rejects(log.produce('quick', { value }), STORAGE_FAILED)
    stop()
    assert.deepEqual(await valuesOf(log, 'quick'), [value])
    assert.equal(await isWritable(log, 'quick'), false)
    await assert.rejects(log.close())
  })

  test('is told by flush', async () => {
    const { fileSystem, log } = await open()
    await log.produce('quick', { value: 'a' })
    failSyncs(fileSystem, 'quick')
    await assert.rejects(log.flush(), STORAGE_FAILED)
    await assert.rejects(log.close())
  })

  test('at close is told, and the next open recovers', async () => {
    const { fileSystem, log } = await open()
    await log.produce('quick', { value: 'a' })
    const stop = failSyncs(fileSystem, 'quick')
    await assert.rejects(log.close(), STORAGE_FAILED)
    stop()
    const again = await open(fileSystem)
    assert.equal(again.log.recovery.clean, false)
    assert.deepEqual(await valuesOf(again.log, 'quick'), ['a'])
    await again.log.close()
  })
})

describe('brokerless.json that cannot be written', () => {
  const CHANGES: Record<string, (log: Log) => Promise<unknown>> = {
    createTopic: (log) => log.createTopic('made'),
    alterTopic: (log) => log.alterTopic('safe', { retentionMs: 5 }),
    addPartitions: (log) => log.addPartitions('safe', 3),
    deleteTopic: (log) => log.deleteTopic('safe'),
  }
  async function shape(log: Log): Promise<unknown[]> {
    const described = await Promise.all(log.topics().map((topic) => log.describeTopic(topic)))
    return described.map(({ name, config, partitions }) => [
      name,
      config.retentionMs,
      partitions.length,
    ])
  }

  for (const [name, change] of Object.entries(CHANGES)) {
    for (const [code, expected] of [
      ['EIO', STORAGE_FAILED],
      ['ENOSPC', { code: 'DISK_FULL', retryable: true }],
    ] as const) {
      for (const step of ['create', 'write', 'sync', 'rename', 'syncDirectory'] as const) {
        test(`refuses ${name} (${code} at its ${step}), and nothing has changed`, async () => {
          const { fileSystem, log } = await open()
          await log.produce('safe', { value: 'a' })
          const before = await shape(log)
          let isFirst = true
          const stop = fileSystem.failWhen(({ name: operation, path }) => {
            const isOurs = path.includes('brokerless.json') || operation === 'syncDirectory'
            if (operation !== step || !isOurs || !isFirst) return undefined
            isFirst = false
            return code
          })
          await assert.rejects(change(log), expected)
          stop()
          assert.equal(isFirst, false)
          assert.deepEqual(await shape(log), before)
          await log.produce('safe', { value: 'b' })
          assert.deepEqual(await valuesOf(log, 'safe'), ['a', 'b'])
          const next = await afterPowerCut(fileSystem)
          const again = await openAt(placeOf(next), { clock: new ManualClock() })
          assert.deepEqual(await shape(again), before)
          assert.equal(again.recovery.metadataRebuilt, undefined)
          await again.close()
        })
      }
    }
  }
})

describe('a checkpoint that cannot be written', () => {
  const fail = (fileSystem: FaultFileSystem, file: string, code: string) =>
    fileSystem.failWhen(({ name, path }) =>
      path.includes(file) && name !== 'stat' && name !== 'open' && name !== 'read'
        ? code
        : undefined,
    )

  test('in the background closes the log to writes, and is told', async () => {
    const { fileSystem, clock, log, failures } = await open()
    await log.produce('quick', { value: 'a' })
    const stop = fail(fileSystem, 'recovery-point-offset-checkpoint', 'EIO')
    await clock.advance(1000)
    stop()
    const whole = failures.filter(({ topic }) => topic === undefined)
    assert.equal(whole.length, 1)
    assert.equal(codeOf(whole[0]), 'STORAGE_FAILED')
    await assert.rejects(log.produce('quick', { value: 'b' }), STORAGE_FAILED)
    await assert.rejects(log.produce('safe', { value: 'b' }), STORAGE_FAILED)
    const commit = { topic: 'quick', partition: 0, offset: 0 }
    await assert.rejects(log.commitOffset('g', commit), STORAGE_FAILED)
    await assert.rejects(log.createTopic('made'), STORAGE_FAILED)
    assert.deepEqual(await valuesOf(log, 'quick'), ['a'])
    await assert.rejects(log.close())
    const again = await open(fileSystem)
    assert.deepEqual(await valuesOf(again.log, 'quick'), ['a'])
    await again.log.produce('quick', { value: 'b' })
    await again.log.close()
  })

  test('for want of room in the background waits for the next time', async () => {
    const { fileSystem, clock, log, failures } = await open()
    await log.produce('quick', { value: 'a' })
    const stop = fail(fileSystem, 'recovery-point-offset-checkpoint', 'ENOSPC')
    await clock.advance(1000)
    stop()
    assert.deepEqual(failures, [])
    await log.produce('quick', { value: 'b' })
    await clock.advance(1000)
    const file = fileOf(placeOf(fileSystem), 'recovery-point-offset-checkpoint')
    assert.match(readFile(fileSystem, file).toString(), /^quick 0 2$/m)
    await log.close()
  })

  for (const [code, expected] of [
    ['EIO', STORAGE_FAILED],
    ['ENOSPC', { code: 'DISK_FULL', retryable: true }],
  ] as const) {
    test(`(${code}) refuses the flush that needs it`, async () => {
      const { fileSystem, log } = await open()
      await log.produce('quick', { value: 'a' })
      const stop = fail(fileSystem, 'recovery-point-offset-checkpoint', code)
      await assert.rejects(log.flush(), expected)
      stop()
      if (code === 'EIO') {
        await assert.rejects(log.close())
        return
      }
      await log.flush()
      const file = fileOf(placeOf(fileSystem), 'recovery-point-offset-checkpoint')
      assert.match(readFile(fileSystem, file).toString(), /^quick 0 1$/m)
      await log.close()
    })

    test(`(${code}) refuses the deleteRecords that needs it, and the records stay`, async () => {
      const { fileSystem, log } = await open()
      await log.produce('safe', [{ value: 'a' }, { value: 'b' }])
      const stop = fail(fileSystem, 'log-start-offset-checkpoint', code)
      const before = { partition: 0, before: 1 }
      await assert.rejects(log.deleteRecords('safe', before), expected)
      stop()
      assert.deepEqual(await valuesOf(log, 'safe'), ['a', 'b'])
      if (code === 'EIO') {
        await assert.rejects(log.produce('safe', { value: 'c' }), STORAGE_FAILED)
        await assert.rejects(log.close())
        return
      }
      await log.deleteRecords('safe', before)
      assert.deepEqual(await valuesOf(log, 'safe'), ['b'])
      await log.close()
    })
  }
})

describe('a failure in the background', () => {
  test('of retention reaches the caller', async () => {
    const { fileSystem, clock, log, failures } = await open(undefined, {
      topics: { safe: { value: 'string', retentionMs: 10 } },
      retentionCheckIntervalMs: 1000,
    })
    await log.produce('safe', { value: 'a' })
    const stop = fileSystem.failWhen(({ name }) => (name === 'unlink' ? 'EIO' : undefined))
    await clock.advance(2000)
    stop()
    assert.deepEqual(failures.map(codeOf), ['STORAGE_FAILED'])
    assert.match(String(failures[0]?.error.cause), /EIO/)
    assert.equal((await log.produce('safe', { value: 'b' })).offset, 1)
    assert.deepEqual(await valuesOf(log, 'safe'), ['b'])
    await log.close()
    const again = await open(fileSystem)
    assert.deepEqual(await valuesOf(again.log, 'safe'), ['b'])
    await again.log.close()
  })

  test('that nobody listens for does not end the process', async () => {
    const fileSystem = new FaultFileSystem()
    const clock = new ManualClock()
    const log = await openAt(placeOf(fileSystem), { clock, topics: TOPICS })
    await log.produce('quick', { value: 'a' })
    failSyncs(fileSystem, 'quick')
    await clock.advance(1000)
    await assert.rejects(log.produce('quick', { value: 'b' }), STORAGE_FAILED)
    await assert.rejects(log.close())
  })

  test('of a topic that was deleted and made anew is told', async () => {
    const { fileSystem, log, failures } = await open()
    await log.deleteTopic('safe')
    await log.createTopic('safe', { value: 'string' })
    failSyncs(fileSystem, 'safe')
    await assert.rejects(log.produce('safe', { value: 'a' }), STORAGE_FAILED)
    assert.deepEqual(
      failures.map(({ topic, partition }) => [topic, partition]),
      [['safe', 0]],
    )
    await assert.rejects(log.close())
  })

  test('while opening does not stop the open: reads go on, writes are refused, and it is told', async () => {
    const { fileSystem, log } = await open()
    await log.produce('quick', { value: 'a' })
    const next = fileSystem.processKill()
    await removeLock(next, '/data')
    failSyncs(next, 'quick')
    const again = await open(next)
    await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(
      again.failures.map(({ topic, partition }) => [topic, partition]),
      [['quick', 0]],
    )
    assert.equal(await isWritable(again.log, 'quick'), false)
    await assert.rejects(again.log.produce('quick', { value: 'b' }), STORAGE_FAILED)
    await assert.rejects(again.log.close())
  })
})
