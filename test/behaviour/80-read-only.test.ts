// A log that is opened with readOnly beside the one that writes.
import assert from 'node:assert/strict'
import path from 'node:path'
import { describe, test } from 'node:test'
import type { FileSystem, Log, LogOptions } from '../../src/index.ts'
import { OffsetOutOfRangeError } from '../../src/index.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { copyFixture, loadExpected } from '../support/fixtures.ts'
import type { Place } from '../support/log-places.ts'
import {
  diskPlace,
  fileOf,
  memoryPlace,
  openAt,
  PLACES,
  placeAt,
  readFile,
  recordsOf,
  valuesOf,
  writeFile,
} from '../support/log-places.ts'
import { WriterProcess } from '../support/writer-process.ts'

const FIRST_LOG = '00000000000000000000.log'
const READ_ONLY = { code: 'READ_ONLY', retryable: false }
const TOPICS = { events: { value: 'string', segmentBytes: 1024 } } as const

interface Reader {
  readonly log: Log
  readonly clock: ManualClock
  /** Lets the reader look once. */
  look(): Promise<void>
}

async function openReader(place: Place, options: LogOptions = {}): Promise<Reader> {
  const clock = new ManualClock()
  const log = await openAt(place, { readOnly: true, clock, ...options })
  return { log, clock, look: () => clock.advance(100) }
}

/** All names, sizes, times and bytes below a directory. */
async function snapshot(fileSystem: FileSystem, directory: string): Promise<unknown[]> {
  const found: unknown[] = []
  for (const name of (await fileSystem.readdir(directory)).sort()) {
    const file = path.join(directory, name)
    const stat = await fileSystem.stat(file)
    const bytes = stat?.isDirectory ? '' : readFile(fileSystem, file).toString('base64')
    found.push([file, stat?.modifiedMs, bytes])
    if (stat?.isDirectory) found.push(...(await snapshot(fileSystem, file)))
  }
  return found
}

async function strings(log: Log, topic = 'events', partition = 0): Promise<string[]> {
  return (await recordsOf(log, topic, partition)).map(({ value }) => String(value))
}

for (const { name, make } of PLACES) {
  describe(`a reader beside a writer ${name}`, () => {
    async function openBoth(t: { after(f: () => Promise<void>): void }) {
      const place = await make(t)
      const writer = await openAt(place, { clock: new ManualClock(), topics: TOPICS })
      return { place, writer }
    }

    test('sees what is there, synced or not', async (t) => {
      const { place, writer } = await openBoth(t)
      await writer.produce('events', { value: 'synced' })
      await writer.produce('events', { value: 'not' }, { durability: 'os' })
      const { log } = await openReader(place)
      assert.deepEqual(log.topics(), ['events'])
      assert.deepEqual(await strings(log), ['synced', 'not'])
      assert.deepEqual(await log.offsets('events', 0), { earliest: 0, latest: 2, lastStable: 2 })
      await log.close()
      await writer.close()
    })

    test('looks for growth by the clock, also over rolled segments', async (t) => {
      const { place, writer } = await openBoth(t)
      const { log, clock } = await openReader(place)
      assert.deepEqual(await strings(log), [])
      const expected: string[] = []
      for (let round = 0; round < 4; round += 1) {
        for (let index = 0; index < 5; index += 1) {
          const value = `${round}.${index} ${'v'.repeat(300)}`
          await writer.produce('events', { value })
          expected.push(value)
        }
        await clock.advance(99)
        assert.equal((await log.offsets('events', 0)).latest, 5 * round)
        await clock.advance(1)
        assert.deepEqual(await strings(log), expected)
      }
      await log.close()
      await writer.close()
    })

    test('looks as often as it is told to', async (t) => {
      const { place, writer } = await openBoth(t)
      const { log, clock } = await openReader(place, { readOnlyPollMs: 7 })
      await writer.produce('events', { value: 'a' })
      await clock.advance(7)
      assert.deepEqual(await strings(log), ['a'])
      await log.close()
      await writer.close()
    })

    test('wakes a fetch and an iterator that wait', async (t) => {
      const { place, writer } = await openBoth(t)
      const { log, look } = await openReader(place)
      const waiting = log.fetch('events', { partition: 0, offset: 0, maxWaitMs: 60_000 })
      const iterator = log.read('events', { from: 'earliest' })[Symbol.asyncIterator]()
      const next = iterator.next()
      await writer.produce('events', { value: 'a' })
      await look()
      assert.equal((await waiting).records[0]?.offset, 0)
      assert.equal((await next).value?.offset, 0)
      await log.close()
      await writer.close()
    })

    test('creates, changes and removes no file', async (t) => {
      const { place, writer } = await openBoth(t)
      for (let index = 0; index < 10; index += 1) {
        await writer.produce('events', { value: `${index} ${'v'.repeat(300)}` })
      }
      await writer.commitOffset('g', { topic: 'events', partition: 0, offset: 4 })
      const check = async () => {
        const before = await snapshot(place.fileSystem, place.directory)
        const { log, look } = await openReader(place, {
          topics: { events: { value: 'string', partitions: 9, retentionMs: 1 }, other: {} },
          retentionCheckIntervalMs: 10,
        })
        assert.equal((await strings(log)).length, 10)
        await log.offsetForTimestamp('events', { partition: 0, timestamp: 0 })
        await log.committedOffsets('g')
        await look()
        await log.close()
        assert.deepEqual(await snapshot(place.fileSystem, place.directory), before)
      }
      await check()
      await writer.close()
      await check()
    })

    test('changes nothing about a log that was killed, and repairs nothing', async (t) => {
      const { place, writer } = await openBoth(t)
      await writer.produce('events', [{ value: 'a' }, { value: 'b' }])
      await writer.deleteRecords('events', { partition: 0, before: 1 })
      const killed = await place.killed()
      await writer.close()
      const file = fileOf(killed, 'events-0', FIRST_LOG)
      const bytes = readFile(killed.fileSystem, file)
      await writeFile(killed.fileSystem, file, Buffer.concat([bytes, bytes.subarray(0, 50)]))
      for (const index of ['index', 'timeindex']) {
        const name = fileOf(killed, 'events-0', `00000000000000000000.${index}`)
        if (await killed.fileSystem.stat(name)) await killed.fileSystem.unlink(name)
      }
      const before = await snapshot(killed.fileSystem, killed.directory)
      const { log, look } = await openReader(killed)
      assert.deepEqual(await strings(log), ['b'])
      await look()
      await log.close()
      assert.deepEqual(await snapshot(killed.fileSystem, killed.directory), before)
    })

    test('takes half a batch at the end for one that is not yet written', async (t) => {
      const { place, writer } = await openBoth(t)
      await writer.produce('events', { value: 'first' })
      await writer.produce('events', { value: 'other' })
      await writer.close()
      const file = fileOf(place, 'events-0', FIRST_LOG)
      const whole = readFile(place.fileSystem, file)
      const batch = whole.length / 2
      for (const there of [0, 1, 40, batch - 1]) {
        await writeFile(place.fileSystem, file, whole.subarray(0, batch + there))
        const { log, look } = await openReader(place)
        assert.deepEqual(await strings(log), ['first'], `${there} bytes of it`)
        await look()
        assert.deepEqual(await strings(log), ['first'])
        const page = await log.fetch('events', { partition: 0, offset: 1 })
        assert.deepEqual(page.records, [])
        const handle = place.fileSystem.openSync(file, 'write')
        handle.writeSync(whole, batch + there, batch - there, batch + there)
        handle.closeSync()
        await look()
        assert.deepEqual(await strings(log), ['first', 'other'])
        await log.close()
      }
    })

    test('takes zeros at the end, and bytes that are still to be overwritten, the same way', async (t) => {
      const { place, writer } = await openBoth(t)
      await writer.produce('events', { value: 'first' })
      await writer.produce('events', { value: 'other' })
      await writer.close()
      const file = fileOf(place, 'events-0', FIRST_LOG)
      const whole = readFile(place.fileSystem, file)
      const batch = whole.length / 2
      for (const tail of [Buffer.alloc(batch), Buffer.alloc(batch, 0xff)]) {
        await writeFile(place.fileSystem, file, Buffer.concat([whole.subarray(0, batch), tail]))
        const { log, look } = await openReader(place)
        assert.deepEqual(await strings(log), ['first'])
        await writeFile(place.fileSystem, file, whole)
        await look()
        assert.deepEqual(await strings(log), ['first', 'other'])
        await log.close()
      }
    })

    test('tells damage that has valid batches behind it', async (t) => {
      const { place, writer } = await openBoth(t)
      for (const value of ['one', 'two', 'six']) await writer.produce('events', { value })
      await writer.close()
      const file = fileOf(place, 'events-0', FIRST_LOG)
      const bytes = readFile(place.fileSystem, file)
      bytes[bytes.length / 3 + 65] = (bytes[bytes.length / 3 + 65] ?? 0) ^ 1
      await writeFile(place.fileSystem, file, bytes)
      const { log } = await openReader(place)
      await assert.rejects(log.fetch('events', { partition: 0, offset: 1 }), {
        code: 'CORRUPT_LOG',
      })
      const offsets = (await recordsOf(log, 'events', 0, 'skip')).map(({ offset }) => offset)
      assert.deepEqual(offsets, [0, 2])
      await log.close()
    })

    test('moves its start when records are deleted under it, and reads on', async (t) => {
      const { place, writer } = await openBoth(t)
      const value = 'v'.repeat(400)
      for (let index = 0; index < 8; index += 1) await writer.produce('events', { value })
      const { log, look } = await openReader(place)
      assert.equal((await strings(log)).length, 8)
      await writer.deleteRecords('events', { partition: 0, before: 5 })
      await look()
      assert.deepEqual(await log.offsets('events', 0), { earliest: 5, latest: 8, lastStable: 8 })
      await assert.rejects(log.fetch('events', { partition: 0, offset: 4 }), OffsetOutOfRangeError)
      assert.equal((await strings(log)).length, 3)
      await writer.produce('events', { value })
      await look()
      assert.equal((await strings(log)).length, 4)
      await log.close()
      await writer.close()
    })

    test('gives records or the range, and nothing else, for what has gone since it looked', async (t) => {
      const { place, writer } = await openBoth(t)
      const value = 'v'.repeat(400)
      for (let index = 0; index < 8; index += 1) await writer.produce('events', { value })
      const { log, look } = await openReader(place)
      await writer.deleteRecords('events', { partition: 0, before: 6 })
      for (let offset = 0; offset < 6; offset += 1) {
        await log.fetch('events', { partition: 0, offset }).then(
          ({ records }) => assert.equal(records[0]?.offset, offset),
          (error) => {
            assert.ok(error instanceof OffsetOutOfRangeError, String(error))
            assert.deepEqual([error.requested, error.end], [offset, 8])
          },
        )
      }
      assert.equal((await log.fetch('events', { partition: 0, offset: 6 })).records.length, 2)
      await look()
      assert.equal((await log.offsets('events', 0)).earliest, 6)
      await log.close()
      await writer.close()
    })

    test('goes on when all it knew is gone and the log has moved far beyond', async (t) => {
      const { place, writer } = await openBoth(t)
      const value = 'v'.repeat(400)
      const produce = async () => {
        for (let index = 0; index < 8; index += 1) await writer.produce('events', { value })
      }
      await produce()
      const { log, look } = await openReader(place)
      await produce()
      await writer.deleteRecords('events', { partition: 0, before: 16 })
      await writer.produce('events', { value: 'last' })
      await look()
      assert.deepEqual(await log.offsets('events', 0), { earliest: 16, latest: 17, lastStable: 17 })
      assert.deepEqual(await strings(log), ['last'])
      await log.close()
      await writer.close()
    })

    test('sees topics and partitions come, and topics go', async (t) => {
      const { place, writer } = await openBoth(t)
      const { log, look } = await openReader(place)
      await writer.createTopic('made', { value: 'json', partitions: 2 })
      await writer.produce('made', { value: { a: 1 }, partition: 1 })
      await assert.rejects(log.fetch('made', { partition: 1, offset: 0 }), {
        code: 'UNKNOWN_TOPIC',
      })
      await look()
      assert.deepEqual(log.topics(), ['events', 'made'])
      assert.deepEqual(await valuesOf(log, 'made', 1), [{ a: 1 }])
      await writer.addPartitions('made', 3)
      await writer.produce('made', { value: 'late', partition: 2 })
      await look()
      assert.deepEqual(await valuesOf(log, 'made', 2), ['late'])
      await writer.deleteTopic('made')
      await look()
      assert.deepEqual(log.topics(), ['events'])
      await assert.rejects(log.fetch('made', { partition: 0, offset: 0 }), {
        code: 'UNKNOWN_TOPIC',
      })
      await log.close()
      await writer.close()
    })

    test('sees a topic that is deleted and made anew between two looks as the new one', async (t) => {
      const { place, writer } = await openBoth(t)
      for (const value of ['old', 'older']) await writer.produce('events', { value })
      const { log, look } = await openReader(place)
      await writer.deleteTopic('events')
      await writer.createTopic('events', TOPICS.events)
      await writer.produce('events', { value: 'new' })
      await look()
      assert.deepEqual(await strings(log), ['new'])
      await log.close()
      await writer.close()
    })

    test('follows what groups commit, from the first commit on', async (t) => {
      const { place, writer } = await openBoth(t)
      await writer.produce('events', [{ value: 'a' }, { value: 'b' }])
      const { log, look } = await openReader(place)
      assert.deepEqual(await log.groups(), [])
      const commit = (offset: number) =>
        writer.commitOffset('g', { topic: 'events', partition: 0, offset })
      for (const offset of [0, 1, 2]) {
        await commit(offset)
        await look()
        assert.equal((await log.committedOffsets('g'))[0]?.offset, offset)
        assert.equal((await log.lag('g')).lagRecords, 2 - offset)
      }
      await writer.deleteGroup('g')
      await look()
      assert.deepEqual(await log.groups(), [])
      await log.close()
      await writer.close()
    })

    test('refuses to write, whatever the call', async (t) => {
      const { place, writer } = await openBoth(t)
      await writer.produce('events', { value: 'a' })
      const { log } = await openReader(place, { autoCreateTopics: true })
      const commit = { topic: 'events', partition: 0, offset: 0 }
      const before = await snapshot(place.fileSystem, place.directory)
      await assert.rejects(log.produce('events', { value: 'b' }), READ_ONLY)
      await assert.rejects(log.produce('made', { value: 'b' }), READ_ONLY)
      await assert.rejects(log.commitOffset('g', commit), READ_ONLY)
      await assert.rejects(log.createTopic('made'), READ_ONLY)
      await assert.rejects(log.alterTopic('events', { retentionMs: 1 }), READ_ONLY)
      await assert.rejects(log.addPartitions('events', 2), READ_ONLY)
      await assert.rejects(log.deleteTopic('events'), READ_ONLY)
      await assert.rejects(log.deleteRecords('events', { partition: 0, before: 1 }), READ_ONLY)
      await assert.rejects(log.deleteGroup('g'), READ_ONLY)
      await assert.rejects(log.deleteOffsets('g', []), READ_ONLY)
      await assert.rejects(log.resetOffsets('g', 'events', 'earliest'), READ_ONLY)
      await assert.rejects(log.flush(), READ_ONLY)
      await assert.rejects(log.applyRetention(), READ_ONLY)
      assert.equal((await log.describeTopic('events')).partitions[0]?.writable, false)
      await log.close()
      assert.deepEqual(await snapshot(place.fileSystem, place.directory), before)
      await writer.close()
    })

    test('stands beside other readers, and a writer may come after it', async (t) => {
      const { place, writer } = await openBoth(t)
      await writer.close()
      const readers = [await openReader(place), await openReader(place)]
      const next = await openAt(place, { clock: new ManualClock() })
      await next.produce('events', { value: 'a' })
      for (const { log, look } of readers) {
        await look()
        assert.deepEqual(await strings(log), ['a'])
        await log.close()
      }
      await next.close()
    })

    test('makes no directory where there is none', async (t) => {
      const place = await make(t)
      await assert.rejects(openReader(place), READ_ONLY)
      assert.equal(await place.fileSystem.stat(place.directory), undefined)
    })
  })
}

describe('a reader while a topic is being made', () => {
  test('sees it once its directories are there, and is told of no failure meanwhile', async () => {
    const fileSystem = new MemoryFileSystem()
    let openGate = (): void => {}
    const gate = new Promise<void>((resolve) => {
      openGate = resolve
    })
    const slow: FileSystem = new Proxy(fileSystem, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        if (name !== 'mkdir') return value.bind(target)
        return async (directory: string) => {
          if (directory.includes('made')) await gate
          await target.mkdir(directory)
        }
      },
    })
    const place = memoryPlace(fileSystem)
    const writer = await openAt({ ...place, fileSystem: slow }, { clock: new ManualClock() })
    const { log, look } = await openReader(place)
    const failures: unknown[] = []
    log.on('failure', (failure) => failures.push(failure))
    const creating = writer.createTopic('made', { value: 'string' })
    await look()
    await look()
    openGate()
    await creating
    await writer.produce('made', { value: 'a' })
    await look()
    assert.deepEqual(await strings(log, 'made'), ['a'])
    assert.deepEqual(failures, [])
    await log.close()
    await writer.close()
  })
})

describe('a reader beside a writer in another process', () => {
  test('sees records, topics and commits as the writer goes on, and survives its end', async (t) => {
    const place = await diskPlace(t)
    const writer = await WriterProcess.open(t, place.directory, { topics: TOPICS })
    const { log, look } = await openReader(place)
    const expected: string[] = []
    for (let index = 0; index < 20; index += 1) {
      const value = `${index} ${'v'.repeat(300)}`
      const durability = index % 2 === 0 ? 'disk' : 'os'
      await writer.call('produce', 'events', { value }, { durability })
      expected.push(value)
      await look()
      assert.deepEqual(await strings(log), expected)
    }
    await writer.call('createTopic', 'made')
    await writer.call('commitOffset', 'g', { topic: 'events', partition: 0, offset: 3 })
    await look()
    assert.deepEqual(log.topics(), ['events', 'made'])
    assert.equal((await log.committedOffsets('g'))[0]?.offset, 3)
    await writer.call('produce', 'events', { value: 'last' }, { durability: 'os' })
    await writer.kill()
    await look()
    assert.deepEqual(await strings(log), [...expected, 'last'])
    // The next owner recovers the directory with the reader beside it.
    const next = await WriterProcess.open(t, place.directory)
    await next.call('produce', 'events', { value: 'next' })
    await look()
    assert.equal((await strings(log)).at(-1), 'next')
    await next.call('close')
    await log.close()
  })

  test('reads all that is written meanwhile once and in order, while segments go under it', async (t) => {
    const place = await diskPlace(t)
    const writer = await WriterProcess.open(t, place.directory, { topics: TOPICS })
    const log = await openAt(place, { readOnly: true, readOnlyPollMs: 1 })
    const written = (async () => {
      for (let round = 0; round < 30; round += 1) {
        const records = Array.from({ length: 10 }, (_, index) => ({
          value: `${10 * round + index} ${'v'.repeat(80)}`,
        }))
        await writer.call('produce', 'events', records, { durability: 'os' })
      }
    })()
    const seen: string[] = []
    for await (const { value, offset } of log.read('events', { partition: 0, from: 0 })) {
      assert.equal(offset, seen.length)
      seen.push(String(value).split(' ')[0] ?? '')
      if (seen.length === 300) break
      if (seen.length !== 250) continue
      await written
      await writer.call('deleteRecords', 'events', { partition: 0, before: 250 })
    }
    assert.deepEqual(
      seen,
      Array.from({ length: 300 }, (_, index) => String(index)),
    )
    await log.close()
    await writer.call('close')
  })
})

describe("a reader of Kafka's own directory", () => {
  test('gives the records that Kafka gives, and leaves every file as it is', async (t) => {
    const place = placeAt(await copyFixture('unclean', t))
    const { topics } = await loadExpected('unclean')
    const before = await snapshot(place.fileSystem, place.directory)
    const { log } = await openReader(place)
    for (const [topic, { partitions }] of Object.entries(topics)) {
      for (const { partition, readCommittedOffsets } of partitions) {
        const found = (await recordsOf(log, topic, partition)).map(({ offset }) => offset)
        assert.deepEqual(found, readCommittedOffsets)
      }
    }
    await log.close()
    assert.deepEqual(await snapshot(place.fileSystem, place.directory), before)
  })
})
