// What an open finds, does and tells after a clean close, a kill, damage or a full disk.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Log, LogOptions } from '../../src/index.ts'
import { CorruptLogError } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { copyFixture } from '../support/fixtures.ts'
import type { Place } from '../support/log-places.ts'
import {
  fileOf,
  filesOf,
  openAt,
  PLACES,
  placeAt,
  readFile,
  recordsOf,
  removeLock,
  valuesOf,
  writeFile,
} from '../support/log-places.ts'

const FIRST_LOG = '00000000000000000000.log'
/** So that nothing is synced or checkpointed of itself. */
const clock = new ManualClock(1_700_000_000_000)
const TOPICS = { events: { value: 'string', durability: 'os' } } as const

function open(place: Place, options: LogOptions = {}): Promise<Log> {
  return openAt(place, { clock, topics: TOPICS, ...options })
}

/** One batch a value. */
async function produceEach(log: Log, values: readonly string[]): Promise<void> {
  for (const value of values) await log.produce('events', { value })
}

/** A log of three batches, killed before anything was synced, and the size of one batch. */
async function killedWithThree(place: Place): Promise<{ place: Place; batchBytes: number }> {
  await using log = await open(place)
  await produceEach(log, ['one', 'two', 'six'])
  const killed = await place.killed()
  const bytes = readFile(killed.fileSystem, fileOf(killed, 'events-0', FIRST_LOG))
  return { place: killed, batchBytes: bytes.length / 3 }
}

async function edit(
  { fileSystem }: Place,
  file: string,
  change: (bytes: Buffer) => Uint8Array,
): Promise<void> {
  await writeFile(fileSystem, file, change(readFile(fileSystem, file)))
}

for (const { name, make } of PLACES) {
  describe(`after a clean close ${name}`, () => {
    test('recovery points that are lost are written again, so that nothing is scanned after a crash either', async (t) => {
      const place = await make(t)
      const log = await open(place)
      await produceEach(log, ['one', 'two', 'six'])
      await log.close()
      await place.fileSystem.unlink(`${place.directory}/recovery-point-offset-checkpoint`)
      await using again = await open(place)
      assert.equal(again.recovery.clean, true)
      await using last = await open(await place.killed())
      assert.deepEqual([last.recovery.clean, last.recovery.scannedBytes], [false, 0])
      assert.deepEqual(await valuesOf(last, 'events'), ['one', 'two', 'six'])
    })

    test('nothing is scanned, and there is nothing to tell', async (t) => {
      const place = await make(t)
      const log = await open(place, {
        topics: { events: { ...TOPICS.events, segmentBytes: 1024, partitions: 2 } },
      })
      for (let index = 0; index < 30; index += 1) {
        await log.produce('events', { value: 'v'.repeat(200), partition: index % 2 })
      }
      await log.commitOffset('g', { topic: 'events', partition: 0, offset: 3 })
      await log.close()
      await using again = await openAt(place, { clock })
      assert.deepEqual(again.recovery, {
        clean: true,
        scannedBytes: 0,
        partitions: [],
        resetOffsets: [],
        damagedCheckpoints: [],
        metadataRebuilt: undefined,
        finished: [],
        inMemory: [],
        transactions: [],
      })
      assert.equal((await recordsOf(again, 'events', 0)).length, 15)
    })

    test('the marker goes with the next open: a kill after it is no clean close', async (t) => {
      const place = await make(t)
      await (await open(place)).close()
      await using log = await open(place)
      assert.equal(log.recovery.clean, true)
      await using again = await open(await place.killed())
      assert.equal(again.recovery.clean, false)
    })

    test('damage is found when it is read, told with its place, and skipped on request', async (t) => {
      const place = await make(t)
      const log = await open(place)
      await produceEach(log, ['one', 'two', 'six'])
      await log.close()
      const file = fileOf(place, 'events-0', FIRST_LOG)
      const batchBytes = readFile(place.fileSystem, file).length / 3
      await edit(place, file, (bytes) => {
        bytes[batchBytes + 65] = (bytes[batchBytes + 65] ?? 0) ^ 1
        return bytes
      })
      await using again = await open(place)
      assert.equal(again.recovery.scannedBytes, 0)
      const first = await again.fetch('events', { partition: 0, offset: 0 })
      assert.deepEqual(
        first.records.map(({ value }) => value),
        ['one'],
      )
      await assert.rejects(again.fetch('events', { partition: 0, offset: 1 }), (error) => {
        assert.ok(error instanceof CorruptLogError)
        assert.deepEqual([error.file, error.position, error.retryable], [file, batchBytes, false])
        return true
      })
      const rest = await recordsOf(again, 'events', 0, 'skip')
      assert.deepEqual(
        rest.map(({ offset }) => offset),
        [0, 2],
      )
      assert.equal((await again.produce('events', { value: 'next' })).offset, 3)
    })
  })

  describe(`after a kill ${name}`, () => {
    test('all that was written is there, and what lay past the recovery point was read', async (t) => {
      const { place, batchBytes } = await killedWithThree(await make(t))
      await using log = await open(place)
      assert.deepEqual(await valuesOf(log, 'events'), ['one', 'two', 'six'])
      const { clean, scannedBytes, partitions } = log.recovery
      assert.equal(clean, false)
      assert.equal(scannedBytes, 3 * batchBytes)
      assert.deepEqual(
        partitions.map(({ topic, partition, cut, damage }) => ({ topic, partition, cut, damage })),
        [{ topic: 'events', partition: 0, cut: [], damage: [] }],
      )
    })

    test('what a flush has put below the recovery point is not read again', async (t) => {
      const place = await make(t)
      await using log = await open(place)
      await produceEach(log, ['one', 'two'])
      await log.flush()
      await log.produce('events', { value: 'six' })
      const killed = await place.killed()
      const size = readFile(killed.fileSystem, fileOf(killed, 'events-0', FIRST_LOG)).length
      await using again = await open(killed)
      assert.equal(again.recovery.scannedBytes, size / 3)
      assert.deepEqual(await valuesOf(again, 'events'), ['one', 'two', 'six'])
    })

    test('a batch that is not whole is cut off, kept aside and told', async (t) => {
      const { place, batchBytes } = await killedWithThree(await make(t))
      const file = fileOf(place, 'events-0', FIRST_LOG)
      const torn = readFile(place.fileSystem, file).subarray(0, batchBytes - 5)
      await edit(place, file, (bytes) => Buffer.concat([bytes, torn]))
      const log = await open(place)
      const [cut] = log.recovery.partitions[0]?.cut ?? []
      assert.ok(cut?.keptAs)
      assert.deepEqual(cut, {
        file,
        position: 3 * batchBytes,
        bytes: torn.length,
        keptAs: cut.keptAs,
      })
      assert.equal(
        cut.keptAs,
        fileOf(place, 'events-0', `00000000000000000000.log.${3 * batchBytes}.torn`),
      )
      assert.deepEqual(readFile(place.fileSystem, cut.keptAs), torn)
      assert.equal(readFile(place.fileSystem, file).length, 3 * batchBytes)
      assert.equal((await log.produce('events', { value: 'next' })).offset, 3)
      await log.close()
      await using again = await open(place)
      assert.deepEqual(again.recovery.partitions, [])
      assert.deepEqual(await valuesOf(again, 'events'), ['one', 'two', 'six', 'next'])
    })

    test('zeros at the end are cut off, and nothing need be kept of them', async (t) => {
      const { place, batchBytes } = await killedWithThree(await make(t))
      const file = fileOf(place, 'events-0', FIRST_LOG)
      await edit(place, file, (bytes) => Buffer.concat([bytes, Buffer.alloc(5000)]))
      await using log = await open(place)
      assert.deepEqual(log.recovery.partitions[0]?.cut, [
        { file, position: 3 * batchBytes, bytes: 5000, keptAs: undefined },
      ])
      assert.ok(!(await filesOf(place, 'events-0')).some((each) => each.endsWith('.torn')))
      assert.deepEqual(await valuesOf(log, 'events'), ['one', 'two', 'six'])
    })

    test('a last batch that fails its CRC is a torn tail', async (t) => {
      const { place, batchBytes } = await killedWithThree(await make(t))
      const file = fileOf(place, 'events-0', FIRST_LOG)
      await edit(place, file, (bytes) => {
        bytes[3 * batchBytes - 1] = (bytes[3 * batchBytes - 1] ?? 0) ^ 0x40
        return bytes
      })
      await using log = await open(place)
      assert.equal(log.recovery.partitions[0]?.cut[0]?.position, 2 * batchBytes)
      assert.deepEqual(await valuesOf(log, 'events'), ['one', 'two'])
      assert.equal((await log.produce('events', { value: 'next' })).offset, 2)
    })

    test('damage with valid batches behind it is kept, told, and told to readers', async (t) => {
      const { place, batchBytes } = await killedWithThree(await make(t))
      const file = fileOf(place, 'events-0', FIRST_LOG)
      await edit(place, file, (bytes) => {
        bytes[batchBytes + 65] = (bytes[batchBytes + 65] ?? 0) ^ 1
        return bytes
      })
      const damaged = readFile(place.fileSystem, file)
      for (const round of ['first', 'second']) {
        const log = await open(await place.killed())
        const [told] = log.recovery.partitions
        assert.deepEqual(told?.damage, [
          {
            file: told?.damage[0]?.file,
            position: batchBytes,
            bytes: batchBytes,
            kind: 'damage',
          },
        ])
        assert.deepEqual(told?.cut, [], round)
        assert.deepEqual(readFile(place.fileSystem, told?.damage[0]?.file ?? ''), damaged)
        await assert.rejects(log.fetch('events', { partition: 0, offset: 1 }), {
          code: 'CORRUPT_LOG',
          position: batchBytes,
        })
        const offsets = (await recordsOf(log, 'events', 0, 'skip')).map(({ offset }) => offset)
        assert.deepEqual(offsets, [0, 2])
        assert.equal((await log.produce('events', { value: 'next' })).offset, 3)
        await log.close()
      }
    })

    test('zeros between batches are a lost write: told, and passed by readers, for good', async (t) => {
      const { place, batchBytes } = await killedWithThree(await make(t))
      const file = fileOf(place, 'events-0', FIRST_LOG)
      await edit(place, file, (bytes) => bytes.fill(0, batchBytes, 2 * batchBytes))
      const log = await open(place)
      assert.deepEqual(log.recovery.partitions[0]?.damage, [
        { file, position: batchBytes, bytes: batchBytes, kind: 'lost-write' },
      ])
      assert.deepEqual(await valuesOf(log, 'events'), ['one', 'six'])
      assert.equal((await log.fetch('events', { partition: 0, offset: 1 })).records[0]?.offset, 2)
      await log.close()
      await using again = await open(place)
      assert.deepEqual(again.recovery.partitions, [])
      assert.deepEqual(await valuesOf(again, 'events'), ['one', 'six'])
    })

    test('files that a deletion had marked go, and are told', async (t) => {
      const { place } = await killedWithThree(await make(t))
      const left = '00000000000000000000.log.deleted'
      await writeFile(place.fileSystem, fileOf(place, 'events-0', left), Buffer.alloc(10))
      await using log = await open(place)
      assert.deepEqual(log.recovery.partitions[0]?.finished, [left])
      assert.ok(!(await filesOf(place, 'events-0')).includes(left))
    })

    test('without brokerless.json, or with a damaged one, the topics are found by their directories', async (t) => {
      for (const damage of ['missing', 'damaged']) {
        const { place } = await killedWithThree(await make(t))
        const file = fileOf(place, 'brokerless.json')
        if (damage === 'missing') await place.fileSystem.unlink(file)
        else await edit(place, file, (bytes) => bytes.subarray(0, bytes.length - 20))
        const log = await openAt(place, { clock })
        assert.match(log.recovery.metadataRebuilt ?? '', new RegExp(damage))
        assert.deepEqual(log.topics(), ['events'])
        assert.deepEqual(
          (await recordsOf(log, 'events')).map(({ value }) => String(value)),
          ['one', 'two', 'six'],
        )
        await log.close()
        await using again = await open(place)
        assert.equal(again.recovery.metadataRebuilt, undefined)
        assert.deepEqual(await valuesOf(again, 'events'), ['one', 'two', 'six'])
      }
    })

    test('a damaged recovery point only means that all is read again', async (t) => {
      const place = await make(t)
      await using log = await open(place)
      await produceEach(log, ['one', 'two'])
      await log.flush()
      const killed = await place.killed()
      const file = fileOf(killed, 'recovery-point-offset-checkpoint')
      await edit(killed, file, () => Buffer.from('0\n1\n'))
      await using again = await open(killed)
      assert.deepEqual(again.recovery.damagedCheckpoints, [file])
      assert.ok(again.recovery.scannedBytes > 0)
      assert.deepEqual(await valuesOf(again, 'events'), ['one', 'two'])
    })
  })

  describe(`indexes ${name}`, () => {
    const COUNT = 60
    const timestampOf = (offset: number) => 1_600_000_000_000 + 10 * offset

    async function indexed(place: Place): Promise<Log> {
      const events = { value: 'string', segmentBytes: 4096, indexIntervalBytes: 100 } as const
      const log = await openAt(place, { clock, topics: { events } })
      for (let offset = 0; offset < COUNT; offset += 1) {
        const value = `${offset}:${'v'.repeat(200)}`
        await log.produce('events', { value, timestamp: timestampOf(offset) }, { durability: 'os' })
      }
      return log
    }

    async function checkLookUps(log: Log, what: string): Promise<void> {
      for (let offset = COUNT - 1; offset >= 0; offset -= 1) {
        const { records } = await log.fetch('events', { partition: 0, offset, maxRecords: 1 })
        assert.equal(records[0]?.offset, offset, `${what}: fetch at ${offset}`)
        assert.match(String(records[0]?.value), new RegExp(`^${offset}:`))
        for (const timestamp of [timestampOf(offset) - 9, timestampOf(offset)]) {
          const found = await log.offsetForTimestamp('events', { partition: 0, timestamp })
          assert.equal(found, offset, `${what}: the offset for ${timestamp}`)
        }
      }
      const timestamp = timestampOf(COUNT - 1) + 1
      const past = await log.offsetForTimestamp('events', { partition: 0, timestamp })
      assert.equal(past, undefined, what)
    }

    const entryBytes = (file: string) => (file.endsWith('.timeindex') ? 12 : 8)
    const DAMAGES: Record<string, (bytes: Buffer, file: string) => Uint8Array | undefined> = {
      missing: () => undefined,
      empty: () => Buffer.alloc(0),
      short: (bytes, file) => bytes.subarray(0, Math.min(bytes.length, entryBytes(file) + 3)),
      'padded with zeros': (bytes) => Buffer.concat([bytes, Buffer.alloc(4096)]),
      'all zeros': (bytes) => bytes.fill(0),
      'full of nonsense': (bytes) => bytes.map((_, index) => (index * 37 + 11) & 0xff),
      "wrong in its entries' offsets": (bytes, file) => {
        const size = entryBytes(file)
        for (let at = size - (size === 12 ? 4 : 8); at + 4 <= bytes.length; at += size) {
          bytes.writeInt32BE(bytes.readInt32BE(at) + 1, at)
        }
        return bytes
      },
      'wrong in what its entries lead to': (bytes, file) => {
        const size = entryBytes(file)
        for (let at = 0; at + size <= bytes.length; at += size) {
          if (size === 8) bytes.writeInt32BE(bytes.readInt32BE(at + 4) + 7, at + 4)
          else bytes.writeBigInt64BE(bytes.readBigInt64BE(at) - 35n, at)
        }
        return bytes
      },
    }

    /** Answers with the names of the files. */
    async function damage(
      place: Place,
      change: (bytes: Buffer, file: string) => Uint8Array | undefined,
    ): Promise<string[]> {
      const files = await filesOf(place, 'events-0')
      const indexes = files.filter((file) => file.endsWith('index'))
      for (const each of indexes) {
        const file = fileOf(place, 'events-0', each)
        const bytes = change(readFile(place.fileSystem, file), each)
        if (bytes === undefined) await place.fileSystem.unlink(file)
        else await writeFile(place.fileSystem, file, bytes)
      }
      return indexes
    }

    const CASES = Object.entries(DAMAGES).flatMap(([what, change]) =>
      ['a clean close', 'a kill'].map((end) => ({ what, change, end })),
    )
    for (const { what, change, end } of CASES) {
      test(`that are ${what} after ${end} are not believed: every look-up is right`, async (t) => {
        const place = await make(t)
        const first = await indexed(place)
        const killed = await place.killed()
        await first.close()
        const after = end === 'a kill' ? killed : place
        const indexes = await damage(after, change)
        assert.ok(indexes.length >= 6, String(indexes))
        const log = await openAt(after, { clock })
        await checkLookUps(log, `after ${end}`)
        const told = log.recovery.partitions[0]?.rebuilt ?? []
        if (what === 'missing') {
          for (const each of indexes) assert.ok(told.includes(fileOf(after, 'events-0', each)))
        }
        await log.produce('events', { value: 'next', timestamp: timestampOf(0) })
        await log.close()
        await using again = await openAt(after, { clock })
        await checkLookUps(again, 'after the next open')
      })
    }
  })
}

describe('committed offsets past the end', () => {
  test('are set to the end after a power cut took records, and told', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await open(placeOf(fileSystem))
    await produceEach(log, ['one', 'two'])
    await log.flush()
    await produceEach(log, ['three', 'four'])
    for (const [group, offset] of [
      ['ahead', 4],
      ['behind', 1],
    ] as const) {
      const commit = { topic: 'events', partition: 0, offset, metadata: 'kept' }
      await log.commitOffset(group, commit, { durability: 'disk' })
    }
    const after = fileSystem.powerCut({ mode: 'lose-all' })
    await removeLock(after, '/data')
    const again = await open(placeOf(after))
    assert.deepEqual(await valuesOf(again, 'events'), ['one', 'two'])
    assert.deepEqual(again.recovery.resetOffsets, [
      { group: 'ahead', topic: 'events', partition: 0, from: 4, to: 2 },
    ])
    const committed = async (of: Log, group: string) => (await of.committedOffsets(group))[0]
    assert.equal((await committed(again, 'ahead'))?.offset, 2)
    assert.equal((await committed(again, 'ahead'))?.metadata, 'kept')
    assert.equal((await committed(again, 'behind'))?.offset, 1)
    await again.produce('events', { value: 'new' })
    await again.close()
    await using last = await open(placeOf(after))
    assert.equal((await committed(last, 'ahead'))?.offset, 2)
    assert.deepEqual(last.recovery.resetOffsets, [])
  })

  test('are set to the end for good before anything is appended', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await open(placeOf(fileSystem))
    await produceEach(log, ['one', 'two'])
    const commit = { topic: 'events', partition: 0, offset: 2 }
    await log.commitOffset('ahead', commit, { durability: 'disk' })
    const after = fileSystem.powerCut({ mode: 'lose-all' })
    await removeLock(after, '/data')
    const again = await open(placeOf(after))
    await again.produce('events', [{ value: 'a' }, { value: 'b' }, { value: 'c' }], {
      durability: 'disk',
    })
    const last = after.powerCut({ mode: 'lose-all' })
    await removeLock(last, '/data')
    await using reopened = await open(placeOf(last))
    assert.deepEqual(await valuesOf(reopened, 'events'), ['a', 'b', 'c'])
    assert.equal((await reopened.committedOffsets('ahead'))[0]?.offset, 0)
  })
})

describe('an open on a full disk', () => {
  async function killedAndFull(withTornTail: boolean): Promise<FaultFileSystem> {
    const fileSystem = new FaultFileSystem()
    const log = await open(placeOf(fileSystem))
    await produceEach(log, ['one', 'two', 'six'])
    await log.commitOffset('g', { topic: 'events', partition: 0, offset: 3 })
    const after = fileSystem.processKill()
    await removeLock(after, '/data')
    if (withTornTail) {
      const file = fileOf(placeOf(after), 'events-0', FIRST_LOG)
      await edit(placeOf(after), file, (bytes) =>
        Buffer.concat([bytes, bytes.subarray(0, bytes.length / 3 - 1)]),
      )
    }
    after.capacityBytes = after.usedBytes
    return after
  }

  for (const withTornTail of [false, true]) {
    const state = withTornTail ? 'with a torn tail' : 'with nothing to cut'
    test(`serves all that is there, ${state}, and takes records again once there is room`, async () => {
      const fileSystem = await killedAndFull(withTornTail)
      const log = await open(placeOf(fileSystem))
      assert.deepEqual(await valuesOf(log, 'events'), ['one', 'two', 'six'])
      assert.equal((await log.committedOffsets('g'))[0]?.offset, 3)
      if (withTornTail) {
        assert.equal(log.recovery.partitions[0]?.cut.length, 1)
        assert.notDeepEqual(log.recovery.partitions[0]?.inMemory, [])
      }
      await assert.rejects(log.produce('events', { value: 'no room' }), {
        code: 'DISK_FULL',
        retryable: true,
      })
      fileSystem.capacityBytes = Number.POSITIVE_INFINITY
      assert.equal((await log.produce('events', { value: 'next' })).offset, 3)
      await log.commitOffset('g', { topic: 'events', partition: 0, offset: 4 })
      await log.close()
      await using again = await open(placeOf(fileSystem))
      assert.equal(again.recovery.clean, true)
      assert.deepEqual(await valuesOf(again, 'events'), ['one', 'two', 'six', 'next'])
      assert.equal((await again.committedOffsets('g'))[0]?.offset, 4)
      const torn = (await filesOf(placeOf(fileSystem), 'events-0')).filter((each) =>
        each.endsWith('.torn'),
      )
      assert.equal(torn.length, withTornTail ? 1 : 0)
    })
  }

  test('that is full again and again loses nothing', async () => {
    let fileSystem = await killedAndFull(true)
    for (let round = 0; round < 3; round += 1) {
      const log = await open(placeOf(fileSystem))
      assert.deepEqual(await valuesOf(log, 'events'), ['one', 'two', 'six'])
      const next = fileSystem.processKill()
      // What the lock takes is what the next one needs.
      next.capacityBytes = next.usedBytes
      await removeLock(next, '/data')
      fileSystem = next
    }
  })

  test('opens what a deletion has left half done', async () => {
    const fileSystem = new FaultFileSystem()
    const log = await open(placeOf(fileSystem), { topics: { ...TOPICS, gone: {} } })
    await produceEach(log, ['one'])
    const stop = fileSystem.failWhen(({ name }) => (name === 'unlink' ? 'EIO' : undefined))
    await assert.rejects(log.deleteTopic('gone'))
    stop()
    const after = fileSystem.processKill()
    await removeLock(after, '/data')
    after.capacityBytes = 0
    const again = await open(placeOf(after))
    assert.deepEqual(await valuesOf(again, 'events'), ['one'])
    assert.deepEqual(again.topics(), ['events'])
    after.capacityBytes = Number.POSITIVE_INFINITY
    await again.close()
    await using last = await open(placeOf(after))
    assert.deepEqual(last.topics(), ['events'])
    assert.deepEqual(last.recovery.inMemory, [])
    await last.createTopic('gone')
  })

  test('opens a clean directory of Kafka’s that has to be taken in', async (t) => {
    const kafka = placeAt(await copyFixture('plain', t))
    const fileSystem = new FaultFileSystem()
    await copyInto(fileSystem, kafka)
    // Room for the lock and for nothing else.
    fileSystem.capacityBytes = fileSystem.usedBytes + 1100
    const log = await openAt(placeOf(fileSystem), { clock })
    assert.deepEqual(log.topics(), ['orders'])
    assert.equal((await recordsOf(log, 'orders', 0)).length, 104)
    assert.notDeepEqual(log.recovery.inMemory, [])
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY
    await log.close()
  })
})

describe('changes of topics that a power cut interrupts', () => {
  type Change = (log: Log) => Promise<unknown>
  const CHANGES: Record<string, { change: Change; before: number[]; after: number[] }> = {
    'creating a topic': {
      change: (log) => log.createTopic('made', { partitions: 2 }),
      before: [0, 2],
      after: [2, 2],
    },
    'adding partitions': {
      change: (log) => log.addPartitions('there', 4),
      before: [0, 2],
      after: [0, 4],
    },
    'deleting a topic': {
      change: (log) => log.deleteTopic('there'),
      before: [0, 2],
      after: [0, 0],
    },
  }

  async function partitionsOf(log: Log): Promise<number[]> {
    const names = log.topics()
    const count = async (topic: string) =>
      names.includes(topic) ? (await log.describeTopic(topic)).partitions.length : 0
    return [await count('made'), await count('there')]
  }

  async function run(change: Change, cutAt: number | undefined) {
    const fileSystem = new FaultFileSystem()
    const log = await openAt(placeOf(fileSystem), { clock, topics: { there: { partitions: 2 } } })
    await log.produce('there', { value: 'x', partition: 1 })
    const first = fileSystem.operations.length
    if (cutAt !== undefined) fileSystem.cutAt(first + cutAt)
    const isAnswered = await change(log).then(
      () => true,
      () => false,
    )
    return { fileSystem, isAnswered, used: fileSystem.operations.length - first }
  }

  for (const [what, { change, before, after }] of Object.entries(CHANGES)) {
    test(`${what} is done whole or not at all, and nothing is left lying about`, async () => {
      const { used } = await run(change, undefined)
      assert.ok(used > 5)
      for (let cutAt = 0; cutAt <= used; cutAt += 1) {
        for (const [seed, mode] of (['lose-all', 'keep-all', 'random'] as const).entries()) {
          const { fileSystem, isAnswered } = await run(change, cutAt)
          const next = fileSystem.powerCut({ mode, seed })
          await removeLock(next, '/data')
          const where = `cut at ${cutAt} of ${used}, ${mode}`
          const possible = isAnswered ? [after] : [before, after]
          await checkAfterCut(next, possible.map(String), where)
        }
      }
    })
  }

  async function checkAfterCut(
    fileSystem: FaultFileSystem,
    possible: readonly string[],
    where: string,
  ): Promise<void> {
    await using log = await openAt(placeOf(fileSystem), { clock })
    const [made = 0, there = 0] = await partitionsOf(log)
    assert.ok(possible.includes(`${made},${there}`), `${where}: ${made},${there}`)
    const directories = (await fileSystem.readdir('/data')).filter((each) => each.includes('-'))
    const named = directories.filter((each) => /^(made|there)-\d+$/.test(each))
    assert.equal(named.length, made + there, `${where}: ${named}`)
    assert.ok(!directories.some((each) => each.endsWith('-delete')), where)
    if (there > 0) assert.deepEqual(await valuesOf(log, 'there', 1), ['x'], where)
  }

  test('a deletion that the next open has to finish is told', async () => {
    const { used } = await run((log) => log.deleteTopic('there'), undefined)
    const told = new Set<string>()
    for (let cutAt = 0; cutAt <= used; cutAt += 1) {
      const { fileSystem } = await run((log) => log.deleteTopic('there'), cutAt)
      const next = fileSystem.powerCut({ mode: 'keep-all' })
      await removeLock(next, '/data')
      await using log = await openAt(placeOf(next), { clock })
      for (const each of log.recovery.finished) told.add(each.replace(/\..*/, ''))
    }
    assert.deepEqual([...told].sort(), ['there', 'there-0', 'there-1'])
  })
})

function placeOf(fileSystem: FaultFileSystem): Place {
  return { directory: '/data', fileSystem, killed: () => assert.fail('ask the file system') }
}

/** Copies a directory on the disk to `/data`. */
async function copyInto(fileSystem: FaultFileSystem, from: Place, below = ''): Promise<void> {
  const to = below === '' ? '/data' : `/data/${below}`
  await fileSystem.mkdir(to)
  for (const each of await from.fileSystem.readdir(fileOf(from, below))) {
    const name = below === '' ? each : `${below}/${each}`
    const stat = await from.fileSystem.stat(fileOf(from, name))
    if (stat?.isDirectory) await copyInto(fileSystem, from, name)
    else await writeFile(fileSystem, `/data/${name}`, readFile(from.fileSystem, fileOf(from, name)))
  }
}
