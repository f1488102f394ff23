// What a log may use of the machine: open files, memory, syncs and unsynced bytes.
import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import { describe, test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { Log, LogOptions, TopicDeclaration } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { Place } from '../support/log-places.ts'
import {
  diskPlace,
  fileOf,
  memoryPlace,
  openAt,
  readFile,
  recordsOf,
  removeLock,
} from '../support/log-places.ts'
import { WatchedFileSystem } from '../support/watched-file-system.ts'

const KIB = 1024
const MIB = 1024 * KIB

const COMPACTED = { cleanupPolicy: 'compact', segmentBytes: 8 * MIB } as const

interface Watched extends Place {
  readonly fileSystem: WatchedFileSystem
}

function watchedMemory(): Watched {
  const memory = new MemoryFileSystem()
  const fileSystem = new WatchedFileSystem(memory)
  const killed = async () => {
    const copy = await memoryPlace(memory).killed()
    return { ...copy, fileSystem: new WatchedFileSystem(copy.fileSystem) }
  }
  return { directory: '/data', fileSystem, killed }
}

function openWith(place: Place, events: TopicDeclaration, options: LogOptions = {}): Promise<Log> {
  const clock = new ManualClock()
  return openAt(place, { clock, topics: { events: { value: 'string', ...events } }, ...options })
}

function partitions(count: number): number[] {
  return Array.from({ length: count }, (_, partition) => partition)
}

describe('open files', () => {
  const MAX_OPEN_FILES = 16
  const COUNT = 300
  /** What is opened for a moment: an index, a checkpoint, a lock. */
  const IN_PASSING = 20

  async function useAll(log: Log): Promise<void> {
    const value = 'v'.repeat(400)
    for (let round = 0; round < 4; round += 1) {
      const durability = round % 2 === 0 ? 'os' : 'disk'
      await Promise.all(
        partitions(COUNT).map((partition) =>
          log.produce('events', { value, partition }, { durability }),
        ),
      )
    }
    const read = await Promise.all(
      partitions(COUNT).map((partition) => recordsOf(log, 'events', partition)),
    )
    for (const records of read) {
      assert.deepEqual(
        records.map((record) => [record.offset, record.value]),
        [0, 1, 2, 3].map((offset) => [offset, value]),
      )
    }
  }

  test('of hundreds of partitions are never more than maxOpenFiles, whatever is done at once', async () => {
    const place = watchedMemory()
    const { openLogs, openFiles } = place.fileSystem
    const options = { maxOpenFiles: MAX_OPEN_FILES, cacheBytes: 0 }
    const topic = { partitions: COUNT, segmentBytes: 1024 }
    const check = (what: string) => {
      assert.ok(openLogs.most <= MAX_OPEN_FILES, `${what}: ${openLogs.most} .log files open`)
      assert.ok(
        openFiles.most <= MAX_OPEN_FILES + IN_PASSING,
        `${what}: ${openFiles.most} files open`,
      )
      openLogs.reset()
      openFiles.reset()
    }
    const log = await openWith(place, topic, options)
    check('open')
    await useAll(log)
    assert.ok(openLogs.most === MAX_OPEN_FILES, 'the bound is met')
    check('produce and read')
    await log.flush()
    check('flush')
    const killed = (await place.killed()) as Watched
    await Promise.all(
      partitions(COUNT).map((partition) => log.deleteRecords('events', { partition, before: 3 })),
    )
    check('deleteRecords')
    await log.close()
    check('close')
    assert.equal(openFiles.now, 0)

    const again = await openWith(killed, {}, options)
    for (const partition of partitions(COUNT)) {
      assert.equal((await recordsOf(again, 'events', partition)).length, 4)
    }
    await again.close()
    assert.ok(killed.fileSystem.openLogs.most <= MAX_OPEN_FILES)
    assert.ok(killed.fileSystem.openFiles.most <= MAX_OPEN_FILES + IN_PASSING)
    assert.equal(killed.fileSystem.openFiles.now, 0)
  })

  test('are as few for the operating system', async (t) => {
    const place = await diskPlace(t)
    const isOurs = (fd: string): boolean => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`).startsWith(place.directory)
      } catch {
        return false
      }
    }
    const log = await openWith(
      place,
      { partitions: 100, durability: 'os' },
      { maxOpenFiles: MAX_OPEN_FILES },
    )
    let most = 0
    for (const partition of partitions(100)) {
      await log.produce('events', { value: 'v', partition })
      most = Math.max(most, readdirSync('/proc/self/fd').filter(isOurs).length)
    }
    assert.ok(most >= MAX_OPEN_FILES, `${most} descriptors`)
    // The lock's two files are held as well.
    assert.ok(most <= MAX_OPEN_FILES + 2, `${most} descriptors`)
    await log.close()
    assert.equal(readdirSync('/proc/self/fd').filter(isOurs).length, 0)
  })

  test('below the least allowed are refused', async () => {
    await assert.rejects(openWith(watchedMemory(), {}, { maxOpenFiles: 7 }), RangeError)
  })
})

describe('memory', () => {
  const VALUE = 'v'.repeat(1000)

  async function fill(log: Log, count: number, perPartition: number): Promise<void> {
    const records = Array.from({ length: perPartition }, () => ({ value: VALUE }))
    for (const partition of partitions(count)) await log.produce('events', records, { partition })
  }

  async function checkAll(log: Log, count: number, perPartition: number): Promise<void> {
    for (const partition of partitions(count)) {
      const records = await recordsOf(log, 'events', partition)
      assert.equal(records.length, perPartition)
      assert.ok(records.every(({ value }) => value === VALUE))
    }
  }

  test('with cacheBytes 0 keeps nothing, and every read is right', async () => {
    const place = watchedMemory()
    const log = await openWith(place, { partitions: 20, segmentBytes: 8 * KIB }, { cacheBytes: 0 })
    await fill(log, 20, 7)
    await fill(log, 20, 7)
    for (const round of [1, 2]) {
      const before = place.fileSystem.logReads
      await checkAll(log, 20, 14)
      const reads = place.fileSystem.logReads - before
      assert.ok(reads >= 40, `${reads} reads in round ${round}`)
    }
    for (let offset = 13; offset >= 0; offset -= 1) {
      const page = await log.fetch('events', { partition: 3, offset, maxRecords: 1 })
      assert.equal(page.records[0]?.offset, offset)
    }
    assert.equal(await log.offsetForTimestamp('events', { partition: 3, timestamp: 0 }), 0)
    await log.close()
  })

  test('with room for it the tail is read without touching a file', async () => {
    const place = watchedMemory()
    const log = await openWith(place, { partitions: 20 })
    await fill(log, 20, 10)
    const before = place.fileSystem.logReads
    await checkAll(log, 20, 10)
    assert.equal(place.fileSystem.logReads, before)
    await log.close()
  })

  /** Bytes outside the heap that are in use. */
  function bytesInUse(): number {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    collect()
    collect()
    return process.memoryUsage().arrayBuffers
  }

  test('of tails and pages stays below cacheBytes, over all partitions together', async (t) => {
    const place = await diskPlace(t)
    const grownBy = async (cacheBytes: number) => {
      const before = bytesInUse()
      const log = await openWith(
        { ...place, directory: `${place.directory}-${cacheBytes}` },
        { partitions: 200, durability: 'os' },
        { cacheBytes },
      )
      await fill(log, 200, 100)
      await checkAll(log, 200, 100)
      const grown = bytesInUse() - before
      await log.close()
      return grown
    }
    const slack = 4 * MIB
    for (const cacheBytes of [0, 2 * MIB]) {
      const grown = await grownBy(cacheBytes)
      assert.ok(grown <= cacheBytes + slack, `cacheBytes ${cacheBytes}: ${grown} bytes`)
    }
    const grown = await grownBy(64 * MIB)
    assert.ok(grown > 8 * MIB, `without a bound it would be more: ${grown} bytes`)
  })

  test('of a compaction is that of its map and of some buffers, however large the log', async (t) => {
    const topics = { users: { ...COMPACTED, value: 'bytes', durability: 'os' } } as const
    const options = { topics, cacheBytes: 0, compactionMapBytes: MIB }
    const log = await openAt(await diskPlace(t), { ...options, compactionCheckIntervalMs: 1e9 })
    const value = Buffer.alloc(500, 'v')
    for (let call = 0; call < 100; call += 1) {
      const keys = Array.from({ length: 1000 }, (_, index) => `user-${(call % 50) * 1000 + index}`)
      await log.produce(
        'users',
        keys.map((key) => ({ key, value })),
      )
    }
    const before = bytesInUse()
    let most = 0
    const timer = setInterval(() => {
      most = Math.max(most, process.memoryUsage().arrayBuffers)
    }, 1)
    const [done] = await log.compact('users')
    clearInterval(timer)
    assert.ok((done?.passes ?? 0) > 1 && (done?.bytesBefore ?? 0) > 49 * MIB)
    assert.ok(most - before < 32 * MIB, `${most - before} bytes`)
    await log.close()
  })
})

describe('syncs', () => {
  for (const maxConcurrentSyncs of [1, 3, 8]) {
    test(`in flight are never more than ${maxConcurrentSyncs}, whatever is done at once`, async () => {
      const place = watchedMemory()
      const { syncs } = place.fileSystem
      const check = (what: string) => {
        assert.ok(syncs.most <= maxConcurrentSyncs, `${what}: ${syncs.most} syncs in flight`)
        syncs.reset()
      }
      const log = await openWith(
        place,
        { partitions: 40, segmentBytes: 1024 },
        { maxConcurrentSyncs },
      )
      check('open')
      for (let round = 0; round < 3; round += 1) {
        const value = 'v'.repeat(600)
        await Promise.all(
          partitions(40).map((partition) => log.produce('events', { value, partition })),
        )
      }
      assert.equal(syncs.most, maxConcurrentSyncs, 'as many as are allowed are made use of')
      check('produce and roll')
      await Promise.all(
        partitions(40).map((partition) =>
          log.produce('events', { value: 'v', partition }, { durability: 'os' }),
        ),
      )
      await Promise.all([log.flush(), log.createTopic('a'), log.createTopic('b')])
      check('flush')
      await Promise.all(
        partitions(40).map((partition) => log.deleteRecords('events', { partition, before: 2 })),
      )
      check('deleteRecords')
      const killed = (await place.killed()) as Watched
      await log.close()
      check('close')
      const again = await openWith(killed, {}, { maxConcurrentSyncs })
      assert.ok(killed.fileSystem.syncs.most <= maxConcurrentSyncs, 'recovery')
      await again.close()
    })
  }
})

describe('unsynced bytes', () => {
  function faulty(): { fileSystem: FaultFileSystem; place: Place } {
    const fileSystem = new FaultFileSystem()
    const place = { directory: '/data', fileSystem, killed: () => assert.fail('not here') }
    return { fileSystem, place }
  }

  async function unsynced(fileSystem: FaultFileSystem): Promise<number> {
    let bytes = 0
    for (const directory of await fileSystem.readdir('/data')) {
      if (!/-\d+$/.test(directory)) continue
      for (const name of await fileSystem.readdir(`/data/${directory}`)) {
        if (name.endsWith('.log')) bytes += fileSystem.unsyncedBytes(`/data/${directory}/${name}`)
      }
    }
    return bytes
  }

  test('are bounded by flushBytes over all partitions, while calls at os go on and on', async () => {
    const { fileSystem, place } = faulty()
    const flushBytes = 64 * KIB
    const log = await openWith(place, { partitions: 4, durability: 'os' }, { flushBytes })
    const value = 'v'.repeat(1000)
    let most = 0
    for (let round = 0; round < 400; round += 1) {
      await Promise.all(
        partitions(4).map((partition) => log.produce('events', { value, partition })),
      )
      most = Math.max(most, await unsynced(fileSystem))
    }
    assert.ok(most >= flushBytes / 2, `${most} bytes at most`)
    // What is written while a flush is under way waits for the next one.
    assert.ok(most <= 2 * flushBytes + 4 * 1200, `${most} bytes at most`)
    await log.close()
  })

  test('make a new recovery point each time, so that recovery reads no more than they', async () => {
    const { fileSystem, place } = faulty()
    const flushBytes = 64 * KIB
    const log = await openWith(place, { durability: 'os' }, { flushBytes })
    for (let index = 0; index < 500; index += 1) {
      await log.produce('events', { value: 'v'.repeat(1000) })
    }
    const killed = fileSystem.processKill()
    await removeLock(killed, '/data')
    const again = await openWith({ ...place, fileSystem: killed }, {})
    const { scannedBytes } = again.recovery
    assert.ok(scannedBytes <= 2 * flushBytes + 1200, `${scannedBytes} bytes were read again`)
    assert.equal((await again.offsets('events', 0)).latest, 500)
    await again.close()
  })

  test('are synced after flushIntervalMs, and a recovery point says so', async () => {
    const { fileSystem, place } = faulty()
    const clock = new ManualClock()
    const log = await openAt(place, {
      clock,
      flushIntervalMs: 500,
      topics: {
        events: { value: 'string', durability: 'os' },
        hasty: { value: 'string', durability: 'os', flushIntervalMs: 20 },
      },
    })
    await log.produce('events', { value: 'a' })
    assert.ok((await unsynced(fileSystem)) > 0)
    await clock.advance(499)
    assert.ok((await unsynced(fileSystem)) > 0)
    await clock.advance(1)
    assert.equal(await unsynced(fileSystem), 0)
    const points = () =>
      readFile(fileSystem, fileOf(place, 'recovery-point-offset-checkpoint')).toString()
    assert.match(points(), /^events 0 1$/m)
    await log.produce('hasty', { value: 'b' })
    await clock.advance(19)
    assert.ok((await unsynced(fileSystem)) > 0)
    await clock.advance(1)
    assert.equal(await unsynced(fileSystem), 0)
    assert.match(points(), /^hasty 0 1$/m)
    await log.close()
  })

  test('of a topic in a hurry are not held up by one that waits longer', async () => {
    const { fileSystem, place } = faulty()
    const clock = new ManualClock()
    const log = await openAt(place, {
      clock,
      topics: {
        slow: { value: 'string', durability: 'os', flushIntervalMs: 60_000 },
        hasty: { value: 'string', durability: 'os', flushIntervalMs: 20 },
      },
    })
    await log.produce('slow', { value: 'a' })
    await log.produce('hasty', { value: 'b' })
    await clock.advance(20)
    assert.equal(await unsynced(fileSystem), 0)
    await log.close()
  })
})
