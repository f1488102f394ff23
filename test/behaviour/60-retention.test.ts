// What retention and deleteRecords take, and what readers see of it.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Log, LogOptions, TopicDeclaration } from '../../src/index.ts'
import { OffsetOutOfRangeError } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { Place } from '../support/log-places.ts'
import {
  eventually,
  fileOf,
  filesOf,
  openAt,
  PLACES,
  readFile,
  recordsOf,
  removeLock,
  valuesOf,
  writeFile,
} from '../support/log-places.ts'
import { SteppedFileSystem } from '../support/stepped-file-system.ts'

const HOUR_MS = 60 * 60 * 1000
/** With `segmentBytes` 1,024 two of them fill a segment. */
const VALUE = 'v'.repeat(400)
const LOG_START = 'log-start-offset-checkpoint'

interface Given {
  readonly clock: ManualClock
  readonly log: Log
}

async function open(
  place: Place,
  events: TopicDeclaration = {},
  options: LogOptions = {},
): Promise<Given> {
  const clock = new ManualClock()
  const topics = { events: { value: 'string', segmentBytes: 1024, ...events } } as const
  const log = await openAt(place, { clock, topics, retentionCheckIntervalMs: 1000, ...options })
  return { clock, log }
}

/** One batch a record, so that segments are rolled between them; `stepMs` passes after each. */
async function produce({ clock, log }: Given, count: number, stepMs = 0): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    await log.produce('events', { value: VALUE })
    if (stepMs > 0) await clock.advance(stepMs)
  }
}

async function partitionOf(log: Log) {
  const [partition] = (await log.describeTopic('events')).partitions
  assert.ok(partition)
  return partition
}

async function offsetsOf(log: Log): Promise<number[]> {
  return (await recordsOf(log, 'events')).map(({ offset }) => offset)
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}

for (const { name, make } of PLACES) {
  describe(`retention ${name}`, () => {
    test('a log without limits keeps everything for ever', async (t) => {
      const given = await open(await make(t))
      await using log = given.log
      await produce(given, 10)
      await given.clock.advance(60_000)
      given.clock.setTime(given.clock.now() + 10 * 365 * 24 * HOUR_MS)
      assert.equal(await log.applyRetention(), 0)
      assert.deepEqual(await offsetsOf(log), range(0, 10))
    })

    test('by time, whole segments go whose last record is too old, and no other record', async (t) => {
      const given = await open(await make(t), { retentionMs: 4500 })
      await using log = given.log
      await produce(given, 10, 1000)
      // It is 10,000 ms; record n is of n,000 ms; segments hold two records each. 5,000 is too old, and shares a segment with 4,000.
      assert.equal((await partitionOf(log)).logStartOffset, 6)
      assert.deepEqual(await offsetsOf(log), range(6, 10))
    })

    test('the clock drives it: nothing goes before the check is due', async (t) => {
      const given = await open(await make(t), { retentionMs: 10 })
      await using log = given.log
      await produce(given, 4)
      await given.clock.advance(999)
      assert.deepEqual(await offsetsOf(log), range(0, 4))
      await given.clock.advance(1)
      assert.deepEqual(await offsetsOf(log), [])
    })

    test('when all records are too old the active segment is rolled, and offsets go on', async (t) => {
      const place = await make(t)
      const given = await open(place, { retentionMs: 100 })
      await using log = given.log
      await produce(given, 5)
      await given.clock.advance(2000)
      const partition = await partitionOf(log)
      assert.equal(partition.logStartOffset, 5)
      assert.equal(partition.logEndOffset, 5)
      assert.equal(partition.segments, 1)
      assert.equal(partition.sizeBytes, 0)
      const logs = (await filesOf(place, 'events-0')).filter((file) => file.endsWith('.log'))
      assert.deepEqual(logs, ['00000000000000000005.log'])
      assert.equal((await log.produce('events', { value: 'next' })).offset, 5)
    })

    test('an empty log stays as it is, however often retention looks', async (t) => {
      const place = await make(t)
      const given = await open(place, { retentionMs: 100 })
      await using log = given.log
      await given.clock.advance(10_000)
      assert.equal((await partitionOf(log)).logEndOffset, 0)
      const logs = (await filesOf(place, 'events-0')).filter((file) => file.endsWith('.log'))
      assert.deepEqual(logs, ['00000000000000000000.log'])
    })

    test('records with times ahead of the clock stay until their own time has passed', async (t) => {
      const given = await open(await make(t), { retentionMs: 1000 })
      await using log = given.log
      await log.produce('events', { value: 'late', timestamp: given.clock.now() + HOUR_MS })
      await given.clock.advance(10_000)
      assert.deepEqual(await valuesOf(log, 'events'), ['late'])
      await given.clock.advance(HOUR_MS)
      assert.deepEqual(await valuesOf(log, 'events'), [])
    })

    test('by size, the oldest segments go while the rest is still as large as the limit', async (t) => {
      const given = await open(await make(t), { retentionBytes: 2000 })
      await using log = given.log
      await produce(given, 11)
      const before = await partitionOf(log)
      await given.clock.advance(1000)
      const after = await partitionOf(log)
      const segmentBytes = (before.sizeBytes / 11) * 2
      assert.ok(after.sizeBytes >= 2000, `${after.sizeBytes} bytes are left`)
      assert.ok(after.sizeBytes - segmentBytes < 2000, `${after.sizeBytes} bytes are left`)
      assert.deepEqual(await offsetsOf(log), range(after.logStartOffset, 11))
      assert.equal(after.logStartOffset % 2, 0)
    })

    test('the files of the segments that go are gone, and applyRetention says how many', async (t) => {
      const place = await make(t)
      const given = await open(place, { retentionMs: 1000 }, { retentionCheckIntervalMs: HOUR_MS })
      await using log = given.log
      await produce(given, 8)
      await given.clock.advance(5000)
      await produce(given, 2)
      assert.equal(await log.applyRetention(), 4)
      assert.equal(await log.applyRetention(), 0)
      const bases = (await filesOf(place, 'events-0'))
        .filter((file) => /\.(log|index|timeindex|txnindex|deleted)$/.test(file))
        .map((file) => Number.parseInt(file, 10))
      assert.deepEqual([...new Set(bases)], [8])
    })

    test('limits that are altered hold from the next check on', async (t) => {
      const given = await open(await make(t))
      await using log = given.log
      await produce(given, 6)
      await given.clock.advance(5000)
      assert.deepEqual(await offsetsOf(log), range(0, 6))
      await log.alterTopic('events', { retentionMs: 1000 })
      await given.clock.advance(1000)
      assert.deepEqual(await offsetsOf(log), [])
    })

    test('what is too old goes after a new open as well', async (t) => {
      const place = await make(t)
      const given = await open(place, { retentionMs: HOUR_MS })
      await produce(given, 5)
      await given.log.close()
      const clock = new ManualClock(given.clock.now() + 2 * HOUR_MS)
      await using log = await openAt(place, { clock, retentionCheckIntervalMs: 1000 })
      assert.deepEqual(await offsetsOf(log), range(0, 5))
      await clock.advance(1000)
      assert.deepEqual(await offsetsOf(log), [])
      assert.equal((await partitionOf(log)).logEndOffset, 5)
    })

    test('the log start stays after a new open, a clean one and one after a kill', async (t) => {
      const place = await make(t)
      const given = await open(place, { retentionMs: 4500 })
      await produce(given, 10, 1000)
      {
        await using log = await openAt(await place.killed(), { clock: given.clock })
        assert.deepEqual(await offsetsOf(log), range(6, 10))
      }
      await given.log.close()
      await using log = await openAt(place, { clock: given.clock })
      assert.deepEqual(await offsetsOf(log), range(6, 10))
    })

    test('a reader below the start is told the range, one inside it goes on', async (t) => {
      const given = await open(await make(t), { retentionMs: 4500 })
      await using log = given.log
      await produce(given, 10)
      const reader = log
        .read('events', { partition: 0, from: 8, until: 'end' })
        [Symbol.asyncIterator]()
      assert.equal((await reader.next()).value?.offset, 8)
      await given.clock.advance(1000)
      await log.deleteRecords('events', { partition: 0, before: 6 })
      await assert.rejects(log.fetch('events', { partition: 0, offset: 5 }), (error) => {
        assert.ok(error instanceof OffsetOutOfRangeError)
        assert.deepEqual([error.requested, error.start, error.end], [5, 6, 10])
        return true
      })
      assert.equal((await log.fetch('events', { partition: 0, offset: 6 })).records[0]?.offset, 6)
      assert.equal((await reader.next()).value?.offset, 9)
      assert.equal((await reader.next()).done, true)
    })

    test('records that a reader holds stay as they are when their segment goes', async (t) => {
      const given = await open(await make(t), { retentionMs: 100 })
      await using log = given.log
      await produce(given, 6)
      const records = await recordsOf(log, 'events')
      await given.clock.advance(1000)
      assert.deepEqual(await offsetsOf(log), [])
      assert.deepEqual(
        records.map((record) => record.value),
        records.map(() => VALUE),
      )
    })
  })

  describe(`deleteRecords ${name}`, () => {
    test('moves the start, also into a segment and into a batch, and whole segments go', async (t) => {
      const place = await make(t)
      const given = await open(place)
      await using log = given.log
      await produce(given, 6)
      await log.produce('events', [{ value: 'six' }, { value: 'seven' }, { value: 'eight' }])
      assert.deepEqual(await log.deleteRecords('events', { partition: 0, before: 3 }), {
        logStartOffset: 3,
      })
      assert.deepEqual(await offsetsOf(log), range(3, 9))
      const logs = (await filesOf(place, 'events-0')).filter((file) => file.endsWith('.log'))
      assert.equal(logs[0], '00000000000000000002.log')
      await log.deleteRecords('events', { partition: 0, before: 7 })
      assert.deepEqual(await valuesOf(log, 'events'), ['seven', 'eight'])
      assert.deepEqual(await log.offsets('events', 0), { earliest: 7, latest: 9, lastStable: 9 })
    })

    test('up to the high watermark empties the partition, and offsets go on', async (t) => {
      const given = await open(await make(t))
      await using log = given.log
      await produce(given, 5)
      await log.deleteRecords('events', { partition: 0, before: 5 })
      assert.deepEqual(await offsetsOf(log), [])
      assert.equal((await log.produce('events', { value: 'next' })).offset, 5)
      assert.deepEqual(await valuesOf(log, 'events'), ['next'])
    })

    test('below the start changes nothing, and past the high watermark is refused', async (t) => {
      const given = await open(await make(t))
      await using log = given.log
      await produce(given, 5)
      await log.deleteRecords('events', { partition: 0, before: 3 })
      assert.deepEqual(await log.deleteRecords('events', { partition: 0, before: 1 }), {
        logStartOffset: 3,
      })
      assert.deepEqual(await offsetsOf(log), range(3, 5))
      await assert.rejects(
        log.deleteRecords('events', { partition: 0, before: 6 }),
        OffsetOutOfRangeError,
      )
      await assert.rejects(log.deleteRecords('events', { partition: 0, before: -1 }), RangeError)
      const misspelt = { partition: 0, before: 1, after: 1 }
      await assert.rejects(log.deleteRecords('events', misspelt), /unknown option after/)
      const none = undefined as unknown as { partition: number; before: number }
      await assert.rejects(log.deleteRecords('events', none), {
        name: 'TypeError',
        message: /an object with partition and before/,
      })
      await assert.rejects(log.deleteRecords('events', { partition: 1, before: 0 }), {
        code: 'UNKNOWN_PARTITION',
      })
      assert.deepEqual(await offsetsOf(log), range(3, 5))
    })

    test('below the start does not let deleted records come back after a kill', async (t) => {
      const place = await make(t)
      const given = await open(place)
      await produce(given, 5)
      await using log = given.log
      await log.deleteRecords('events', { partition: 0, before: 3 })
      await log.deleteRecords('events', { partition: 0, before: 1 })
      await using again = await openAt(await place.killed(), { clock: given.clock })
      assert.deepEqual(await offsetsOf(again), range(3, 5))
    })

    test('a start inside a segment stays after a clean close and after a kill', async (t) => {
      const place = await make(t)
      const given = await open(place)
      await produce(given, 5)
      await given.log.deleteRecords('events', { partition: 0, before: 3 })
      {
        await using log = await openAt(await place.killed(), { clock: given.clock })
        assert.deepEqual(await offsetsOf(log), range(3, 5))
      }
      await given.log.close()
      await using log = await openAt(place, { clock: given.clock })
      assert.deepEqual(await offsetsOf(log), range(3, 5))
      assert.equal(log.recovery.clean, true)
    })

    test('of two partitions at once keeps both starts', async (t) => {
      const place = await make(t)
      const given = await open(place, { partitions: 2 })
      await using log = given.log
      for (const partition of [0, 1]) {
        await log.produce('events', [{ value: 'a' }, { value: 'b' }, { value: 'c' }], { partition })
      }
      await Promise.all([
        log.deleteRecords('events', { partition: 0, before: 1 }),
        log.deleteRecords('events', { partition: 1, before: 2 }),
      ])
      await using again = await openAt(await place.killed(), { clock: given.clock })
      assert.deepEqual(await valuesOf(again, 'events', 0), ['b', 'c'])
      assert.deepEqual(await valuesOf(again, 'events', 1), ['c'])
    })

    test('does not reach the topic of that name that is made after the first was deleted', async (t) => {
      const place = await make(t)
      const given = await open(place)
      await using log = given.log
      await produce(given, 5)
      await log.deleteRecords('events', { partition: 0, before: 3 })
      await log.flush()
      await log.deleteTopic('events')
      await log.createTopic('events', { value: 'string' })
      await log.produce('events', { value: 'first of the new' })
      await using again = await openAt(await place.killed(), { clock: given.clock })
      assert.deepEqual(await again.offsets('events', 0), { earliest: 0, latest: 1, lastStable: 1 })
      assert.deepEqual(await valuesOf(again, 'events'), ['first of the new'])
    })

    test('of a topic that is deleted meanwhile does not reach the next one of that name, and says so', async (t) => {
      const place = await make(t)
      const fileSystem = new SteppedFileSystem(place.fileSystem)
      const given = await open({ ...place, fileSystem })
      await using log = given.log
      const failures: unknown[] = []
      log.on('failure', (failure) => failures.push(failure))
      await produce(given, 60)
      // The first call is done before the deletion begins, the second one is under way, and the others come behind it.
      let checkpoints = 0
      fileSystem.before = async (what) => {
        if (what.startsWith('rename') && what.endsWith(LOG_START)) checkpoints += 1
        else return
        if (checkpoints === 2) await eventually(() => !log.topics().includes('events'))
      }
      const calls = range(1, 60).map((before) =>
        log.deleteRecords('events', { partition: 0, before }).then(
          () => 'done',
          ({ code }) => code,
        ),
      )
      assert.equal(await calls[0], 'done')
      await log.deleteTopic('events')
      await log.createTopic('events', { value: 'string', segmentBytes: 1024 })
      await log.produce('events', { value: 'first of the new' }, { durability: 'os' })
      const outcomes = await Promise.all(calls)
      await produce(given, 10)
      await using again = await openAt(await place.killed(), { clock: given.clock })
      for (const each of [log, again]) assert.deepEqual(await offsetsOf(each), range(0, 11))
      assert.deepEqual(new Set(outcomes), new Set(['done', 'UNKNOWN_TOPIC']))
      assert.deepEqual(failures, [])
    })

    test('with its checkpoint damaged the log opens, told, and begins where its files begin', async (t) => {
      const place = await make(t)
      const given = await open(place)
      await produce(given, 5)
      await given.log.deleteRecords('events', { partition: 0, before: 3 })
      await given.log.close()
      const file = fileOf(place, LOG_START)
      assert.match(readFile(place.fileSystem, file).toString(), /^events 0 3$/m)
      await writeFile(place.fileSystem, file, Buffer.from('0\n7\nevents 0 3\n'))
      await using log = await openAt(place, { clock: given.clock })
      assert.deepEqual(await offsetsOf(log), range(2, 5))
      assert.deepEqual(log.recovery.damagedCheckpoints, [file])
      // The next one to be written is whole again.
      await log.deleteRecords('events', { partition: 0, before: 4 })
      await log.close()
      await using again = await openAt(place, { clock: given.clock })
      assert.deepEqual(await offsetsOf(again), [4])
      assert.deepEqual(again.recovery.damagedCheckpoints, [])
    })

    test("keeps a group's committed offset below the start, and the group reads on from the start", async (t) => {
      const given = await open(await make(t))
      await using log = given.log
      await produce(given, 5)
      await log.commitOffset('g', { topic: 'events', partition: 0, offset: 1 })
      await log.deleteRecords('events', { partition: 0, before: 4 })
      assert.equal((await log.committedOffsets('g'))[0]?.offset, 1)
      assert.equal((await log.lag('g')).lagRecords, 1)
    })
  })
}

describe('deleteRecords and a power cut', () => {
  test('wherever it falls, the start is the old or the new one, and the new one once that was answered', async () => {
    const clock = new ManualClock()
    const place = (fileSystem: FaultFileSystem): Place => ({
      directory: '/data',
      fileSystem,
      killed: () => assert.fail(),
    })
    const run = async (cutAt: number | undefined) => {
      const fileSystem = new FaultFileSystem()
      const { log } = await open(place(fileSystem))
      await produce({ clock, log }, 6)
      const first = fileSystem.operations.length
      if (cutAt !== undefined) fileSystem.cutAt(first + cutAt)
      const isAnswered = await log.deleteRecords('events', { partition: 0, before: 5 }).then(
        () => true,
        () => false,
      )
      const used = fileSystem.operations.length - first
      return { fileSystem, isAnswered, used }
    }
    const { used } = await run(undefined)
    assert.ok(used > 5)
    for (let cutAt = 0; cutAt <= used; cutAt += 1) {
      for (const [seed, mode] of (
        ['lose-all', 'keep-all', 'random', 'random'] as const
      ).entries()) {
        const { fileSystem, isAnswered } = await run(cutAt)
        const after = fileSystem.powerCut({ mode, seed })
        await removeLock(after, '/data')
        await using log = await openAt(place(after), { clock })
        const { earliest, latest } = await log.offsets('events', 0)
        assert.equal(latest, 6)
        if (isAnswered) assert.equal(earliest, 5, `cut at ${cutAt}, ${mode}`)
        assert.ok([0, 5].includes(earliest), `cut at ${cutAt}, ${mode}: starts at ${earliest}`)
        assert.deepEqual(await offsetsOf(log), range(earliest, 6))
      }
    }
  })
})
