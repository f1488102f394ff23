// What compaction takes and what it leaves, as a program sees it.
import assert from 'node:assert/strict'
import type { Log, LogError, TopicDeclaration } from '../../src/index.ts'
import { eventually } from '../support/log-places.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const DAY_MS = 24 * 60 * 60 * 1000
const CLEANER_CHECKPOINT = 'cleaner-offset-checkpoint'
/** Compacted, in segments of about three records. */
const SMALL = {
  value: 'string',
  cleanupPolicy: 'compact',
  segmentBytes: 1024,
  indexIntervalBytes: 100,
} as const satisfies TopicDeclaration
const PADDING = '.'.repeat(250)
/** Nothing is looked for in the background, thousands of times a day. */
const SELDOM = { compactionCheckIntervalMs: 10 * DAY_MS } as const

type Kept = readonly [offset: number, key: string | null, value: string | null]

/** One batch a record; each value is padded, so that a few fill a segment. */
async function produceEach(log: Log, ...records: readonly (readonly [string, string | null])[]) {
  for (const [key, value] of records) {
    await log.produce('users', { key, value: value === null ? null : value + PADDING })
  }
}

/** All that a reader is given, values without their padding. */
async function recordsIn(log: Log, partition = 0): Promise<Kept[]> {
  const records: Kept[] = []
  for await (const record of log.read('users', { partition, until: 'end' })) {
    const { offset, key, value } = record
    records.push([offset, key, value === null ? null : (value as string).replace(PADDING, '')])
  }
  return records
}

async function open(place: Place, users: TopicDeclaration = {}, options = {}): Promise<Log> {
  const topics = { users: { ...SMALL, ...users } } as const
  return (await place.open({ topics, ...options })) as unknown as Log
}

async function segmentsOf(log: Log): Promise<number> {
  return (await log.describeTopic('users')).partitions[0]?.segments ?? 0
}

/** As many segments as it takes; the last record is in the active one. */
async function fill(log: Log): Promise<void> {
  await produceEach(log, ['a', '1'], ['b', '2'], ['a', '3'], ['c', '4'], ['b', '5'], ['d', '6'])
  await produceEach(log, ['a', '7'], ['c', null], ['e', '8'])
}

/** Moves the clock until a compaction has ended: how many turns its calls to the disk take is not known. */
async function movedThrough<T>(place: Place, compacting: Promise<T>): Promise<T> {
  let hasEnded = false
  const end = (): void => {
    hasEnded = true
  }
  compacting.then(end, end)
  const move = async (): Promise<boolean> => {
    await place.clock.advance(1000)
    return hasEnded
  }
  await eventually(move, 'the end of the compaction')
  return await compacting
}

const FILLED: readonly Kept[] = [
  [4, 'b', '5'],
  [5, 'd', '6'],
  [6, 'a', '7'],
  [7, 'c', null],
  [8, 'e', '8'],
]

// ---------------------------------------------------------------------------------- keyless

onDiskAndInMemory(
  'a record without a key is refused by a compacted topic, before anything of its call is written',
  async (place) => {
    const topics = { users: { value: 'string', partitions: 2, cleanupPolicy: 'compact' } } as const
    const log = await place.open({ topics })
    const refused = { name: 'LogError', code: 'KEY_REQUIRED', retryable: false }
    await assert.rejects(log.produce('users', { value: 'a' }), refused)
    await assert.rejects(log.produce('users', { key: null, value: null }), refused)
    const mixed = [
      { key: 'k', value: 'a', partition: 0 },
      { value: 'b', partition: 1 },
    ]
    await assert.rejects(log.produce('users', mixed), refused)
    assert.deepEqual(await log.offsets('users', 0), { earliest: 0, latest: 0, lastStable: 0 })
    assert.equal((await log.produce('users', { key: '', value: 'a' })).offset, 0)
  },
)

onDiskAndInMemory(
  'a topic that becomes compacted refuses keyless records from then on, and one that is no longer takes them',
  async (place) => {
    const log = await place.open({ topics: { users: { value: 'string' } } })
    await log.produce('users', { value: 'a' })
    await log.alterTopic('users', { cleanupPolicy: 'compact,delete' })
    await assert.rejects(log.produce('users', { value: 'b' }), { code: 'KEY_REQUIRED' })
    const again = await place.reopen(log, { topics: { users: { value: 'string' } } })
    await assert.rejects(again.produce('users', { value: 'b' }), { code: 'KEY_REQUIRED' })
    const topics = { users: { value: 'string', cleanupPolicy: 'delete' } } as const
    const last = await place.reopen(again, { topics })
    assert.equal((await last.produce('users', { value: 'b' })).offset, 1)
  },
)

// ------------------------------------------------------------------------------ what is kept

onDiskAndInMemory(
  'of each key the last record stays, at its old offset, and a tombstone stays too; so after a restart',
  async (place) => {
    const log = await open(place)
    await fill(log)
    const [done] = await log.compact('users')
    assert.deepEqual(await recordsIn(log), FILLED)
    assert.ok(done)
    const { bytesBefore, bytesAfter, recordsBefore, recordsAfter, ...rest } = done
    assert.ok(bytesAfter < bytesBefore)
    assert.deepEqual([recordsBefore, recordsAfter], [9, 5])
    const counts = { passes: 1, damagedSegments: 0, durationMs: 0 }
    assert.deepEqual(rest, { topic: 'users', partition: 0, ...counts })
    assert.deepEqual(await log.offsets('users', 0), { earliest: 0, latest: 9, lastStable: 9 })
    const again = (await place.reopen(log)) as Log
    assert.equal(again.recovery.clean, true)
    assert.deepEqual(again.recovery.partitions, [])
    assert.deepEqual(await recordsIn(again), FILLED)
    assert.equal((await again.produce('users', { key: 'f', value: 'x' })).offset, 9)
  },
)

onDiskAndInMemory('so after a kill', async (place) => {
  const log = await open(place)
  await fill(log)
  await log.compact('users')
  await produceEach(log, ['a', '9'])
  const killed = await place.killed()
  const again = await open(killed)
  assert.deepEqual(await recordsIn(again), [...FILLED, [9, 'a', '9']])
})

onDiskAndInMemory('the active segment is never touched', async (place) => {
  const log = await open(place, { segmentBytes: 1024 * 1024 })
  await fill(log)
  await log.compact('users', { roll: false })
  assert.equal((await recordsIn(log)).length, 9)
  await log.compact('users')
  assert.deepEqual(await recordsIn(log), FILLED)
  await produceEach(log, ['a', '9'], ['a', '10'])
  await log.compact('users', { roll: false })
  assert.deepEqual((await recordsIn(log)).slice(-2), [
    [9, 'a', '9'],
    [10, 'a', '10'],
  ])
})

onDiskAndInMemory('small neighbours become one segment, up to segmentBytes', async (place) => {
  const log = await open(place)
  const keys = Array.from({ length: 12 }, (_, index) => `k${index % 4}`)
  await produceEach(log, ...keys.map((key) => [key, 'x'] as const))
  const before = await segmentsOf(log)
  await log.compact('users')
  // Four records of about 320 bytes fill one segment and a part of another; the active one is empty.
  assert.ok(before >= 4)
  await log.compact('users')
  assert.equal(await segmentsOf(log), 3)
  const files = (await place.list('users-0')).filter((name) => name.endsWith('.log'))
  assert.equal(files[0], '00000000000000000000.log')
  assert.deepEqual(
    (await recordsIn(log)).map(([offset]) => offset),
    [8, 9, 10, 11],
  )
})

onDiskAndInMemory(
  'a tombstone stays for deleteRetentionMs after the first pass that met it, then it goes',
  async (place) => {
    const log = await open(place, {}, SELDOM)
    await produceEach(log, ['a', '1'], ['a', null], ['b', '2'])
    await place.clock.advance(5 * DAY_MS)
    await log.compact('users')
    const withTombstone = [
      [1, 'a', null],
      [2, 'b', '2'],
    ]
    assert.deepEqual(await recordsIn(log), withTombstone)
    await place.clock.advance(DAY_MS - 1)
    await log.compact('users')
    assert.deepEqual(await recordsIn(log), withTombstone)
    const again = (await place.reopen(log)) as Log
    await place.clock.advance(1)
    await again.compact('users')
    assert.deepEqual(await recordsIn(again), [[2, 'b', '2']])
    assert.deepEqual(await again.offsets('users', 0), { earliest: 0, latest: 3, lastStable: 3 })
  },
)

onDiskAndInMemory('a tombstone may be kept for good', async (place) => {
  const log = await open(place, { deleteRetentionMs: Number.MAX_SAFE_INTEGER }, SELDOM)
  await produceEach(log, ['a', '1'], ['a', null], ['b', '2'])
  for (const days of [0, 1, 3]) {
    await place.clock.advance(days * DAY_MS)
    await log.compact('users')
    assert.deepEqual(await recordsIn(log), [
      [1, 'a', null],
      [2, 'b', '2'],
    ])
  }
})

onDiskAndInMemory(
  'timestamps stay as they were, whatever a pass does to their batch',
  async (place) => {
    const log = await open(place)
    const batch = [
      { key: 'a', value: 'x', timestamp: 5 },
      { key: 'b', value: null, timestamp: 2 ** 40 },
      { key: 'a', value: 'y', timestamp: 3 },
      { key: 'c', value: 'z', timestamp: 0 },
    ]
    await log.produce('users', batch)
    await log.compact('users')
    const { records } = await log.fetch('users', { partition: 0, offset: 0 })
    const seen = records.map(({ offset, timestamp, key }) => [offset, timestamp, key])
    assert.deepEqual(seen, [
      [1, 2 ** 40, 'b'],
      [2, 3, 'a'],
      [3, 0, 'c'],
    ])
  },
)

onDiskAndInMemory(
  'a look-up by time answers with a record that has stayed, not with a gap before it',
  async (place) => {
    for (const compression of ['none', 'gzip'] as const) {
      for (const timestampType of ['CreateTime', 'LogAppendTime'] as const) {
        const users = `of-${compression}-${timestampType}`
        const declaration = { value: 'string', compression, timestampType } as const
        const log = await place.open({
          topics: { [users]: { ...declaration, cleanupPolicy: 'compact' } },
        })
        const value = 'x'.repeat(100)
        for (const keys of ['aadb', 'cabc']) {
          await place.clock.advance(10)
          await log.produce(
            users,
            Array.from(keys, (key) => ({ key, value })),
          )
        }
        await log.compact(users)
        const timestamp = place.clock.now()
        const found = [timestamp - 10, timestamp].map((at) =>
          log.offsetForTimestamp(users, { partition: 0, timestamp: at }),
        )
        assert.deepEqual(await Promise.all(found), [2, 5], users)
        await log.close()
      }
    }
  },
)

onDiskAndInMemory('headers and all codecs come through', async (place) => {
  for (const compression of ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const) {
    const name = `of-${compression}`
    const log = await place.open({ topics: { [name]: { ...SMALL, compression } } })
    const headers = { one: 'x', many: ['1', null], none: null }
    for (const round of [1, 2, 3]) {
      const records = Array.from({ length: 20 }, (_, index) => ({
        key: `k${(index + round) % 25}`,
        value: `${round}-${index}`,
        headers,
      }))
      await log.produce(name, records)
    }
    const before = new Map<string, unknown>()
    for await (const { key, offset, value, headers } of log.read(name, { until: 'end' })) {
      before.set(key as string, [offset, value, headers])
    }
    await log.compact(name)
    const after = new Map<string, unknown>()
    for await (const { key, offset, value, headers } of log.read(name, { until: 'end' })) {
      assert.ok(!after.has(key as string), `${key} is there twice`)
      after.set(key as string, [offset, value, headers])
    }
    assert.deepEqual(after, before)
    await log.close()
  }
})

// ---------------------------------------------------------------------------- what is cleanable

onDiskAndInMemory('records younger than minCompactionLagMs stay as they are', async (place) => {
  const log = await open(place, { minCompactionLagMs: 60_000 })
  await fill(log)
  await place.clock.advance(59_999)
  await log.compact('users')
  assert.equal((await recordsIn(log)).length, 9)
  await place.clock.advance(1)
  await log.compact('users')
  assert.deepEqual(await recordsIn(log), FILLED)
})

onDiskAndInMemory(
  'in the background a partition is compacted when its dirty part is above the ratio',
  async (place) => {
    const log = await open(place, { minCleanableDirtyRatio: 0.5 })
    await fill(log)
    await place.clock.advance(14_999)
    assert.equal((await recordsIn(log)).length, 9)
    await place.clock.advance(1)
    // Two segments were dirty, and nothing else was there.
    const first = [
      [2, 'a', '3'],
      [3, 'c', '4'],
      [4, 'b', '5'],
      [5, 'd', '6'],
    ]
    assert.deepEqual((await recordsIn(log)).slice(0, 4), first)
    // Of the five that are rolled then, less than half are new.
    await produceEach(log, ['a', '9'])
    await place.clock.advance(15_000)
    assert.deepEqual((await recordsIn(log)).slice(0, 4), first)
    await produceEach(log, ['a', '10'], ['b', '11'], ['a', '12'], ['a', '13'], ['a', '14'])
    await place.clock.advance(15_000)
    const left = (await recordsIn(log)).map(([offset]) => offset)
    assert.ok(!left.includes(2) && left.includes(5), `${left}`)
  },
)

onDiskAndInMemory(
  'maxCompactionLagMs has records compacted that no append rolls, however clean the rest is',
  async (place) => {
    const lag = { maxCompactionLagMs: 60_000, minCleanableDirtyRatio: 1 }
    const log = await open(place, { ...lag, segmentBytes: 1024 * 1024 })
    await fill(log)
    await place.clock.advance(60_000)
    assert.equal((await recordsIn(log)).length, 9)
    await place.clock.advance(15_000)
    assert.deepEqual(await recordsIn(log), FILLED)
  },
)

onDiskAndInMemory('nothing is compacted of a topic that only deletes', async (place) => {
  const log = await open(place, { cleanupPolicy: 'delete' })
  await fill(log)
  await place.clock.advance(60_000)
  assert.equal((await recordsIn(log)).length, 9)
  await assert.rejects(log.compact('users'), { name: 'TypeError', message: /users/ })
  await log.alterTopic('users', { cleanupPolicy: 'compact' })
  await log.compact('users')
  assert.deepEqual(await recordsIn(log), FILLED)
})

onDiskAndInMemory('retention takes nothing of a topic that is only compacted', async (place) => {
  const old = { value: 'string', segmentBytes: 1024, retentionMs: 1, retentionBytes: 1 } as const
  const topics = {
    kept: { ...old, cleanupPolicy: 'compact' },
    both: { ...old, cleanupPolicy: 'compact,delete' },
  } as const
  const log = await place.open({ topics })
  for (const topic of ['kept', 'both'] as const) {
    for (const key of ['a', 'b', 'c', 'd']) {
      await log.produce(topic, { key, value: 'v'.repeat(600) })
    }
  }
  await place.clock.advance(10)
  assert.equal(await log.applyRetention(), 4)
  assert.deepEqual(await log.offsets('kept', 0), { earliest: 0, latest: 4, lastStable: 4 })
  assert.deepEqual(await log.offsets('both', 0), { earliest: 4, latest: 4, lastStable: 4 })
  assert.equal((await log.deleteRecords('kept', { partition: 0, before: 2 })).logStartOffset, 2)
})

onDiskAndInMemory(
  'with both policies old segments go, and of the rest the last record of each key stays',
  async (place) => {
    const log = await open(place, { cleanupPolicy: 'compact,delete', retentionMs: DAY_MS }, SELDOM)
    await fill(log)
    await log.compact('users')
    await place.clock.advance(DAY_MS / 2)
    await produceEach(log, ['a', '9'], ['b', '10'], ['a', '11'], ['f', '12'])
    await place.clock.advance(DAY_MS / 2 + 1)
    await log.applyRetention()
    await log.compact('users')
    assert.deepEqual(await recordsIn(log), [
      [10, 'b', '10'],
      [11, 'a', '11'],
      [12, 'f', '12'],
    ])
  },
)

// ------------------------------------------------------------------------------- bounds and ends

onDiskAndInMemory(
  'keys that do not fit into the map take several passes, with the same outcome',
  async (place) => {
    const log = await open(place, {}, { compactionMapBytes: 1024 })
    const keys = Array.from({ length: 300 }, (_, index) => `k${index % 150}`)
    await log.produce('users', [])
    for (let from = 0; from < keys.length; from += 10) {
      const records = keys.slice(from, from + 10).map((key) => ({ key, value: `${from}` }))
      await log.produce('users', records)
    }
    const [done] = await log.compact('users')
    assert.ok((done?.passes ?? 0) > 3, `${done?.passes} passes`)
    assert.deepEqual([done?.recordsBefore, done?.recordsAfter], [300, 150])
    assert.deepEqual(
      (await recordsIn(log)).map(([offset, key]) => [offset, key]),
      keys.slice(150).map((key, index) => [150 + index, key]),
    )
  },
)

onDiskAndInMemory('how far a partition is clean outlives the process', async (place) => {
  const log = await open(place)
  await fill(log)
  await log.compact('users')
  assert.equal(place.readFile(CLEANER_CHECKPOINT).toString(), '0\n1\nusers 0 9\n')
  await log.close()
  // It says that all of it is clean: so nothing is looked for.
  const again = await open(place, { minCleanableDirtyRatio: 0 })
  const names = await place.list('users-0')
  await place.clock.advance(15_000)
  assert.deepEqual(await place.list('users-0'), names)
  await again.deleteTopic('users')
  assert.equal(place.readFile(CLEANER_CHECKPOINT).toString(), '0\n0\n')
})

for (const content of ['0\n1\nusers 0 4000\n', '0\n1\nusers 0 -5\n', 'nonsense', '']) {
  onDiskAndInMemory(
    `a checkpoint that makes no sense does no harm: ${JSON.stringify(content)}`,
    async (place) => {
      const log = await open(place)
      await fill(log)
      await log.close()
      await place.writeFile(content, CLEANER_CHECKPOINT)
      const again = await open(place)
      const damaged =
        content === '' || content.includes('4000') ? [] : [place.path(CLEANER_CHECKPOINT)]
      assert.deepEqual(again.recovery.damagedCheckpoints, damaged)
      await place.clock.advance(15_000)
      assert.ok((await recordsIn(again)).length < 9)
      await again.compact('users')
      assert.deepEqual(await recordsIn(again), FILLED)
    },
  )
}

onDiskAndInMemory('a bound of bytes a second is kept, in the time of the clock', async (place) => {
  const log = await open(place, {}, { compactionBytesPerSecond: 1000 })
  await fill(log)
  const startMs = place.clock.now()
  const [done] = await movedThrough(place, log.compact('users'))
  // About 3,000 bytes are read twice and half of them written.
  assert.ok(place.clock.now() - startMs >= 6000)
  assert.ok((done?.durationMs ?? 0) >= 6000)
  assert.deepEqual(await recordsIn(log), FILLED)
})

onDiskAndInMemory(
  'a check that falls into a compaction waits for it, not so the clock',
  async (place) => {
    const log = await open(place, {}, { compactionBytesPerSecond: 100 })
    await fill(log)
    const startMs = place.clock.now()
    await movedThrough(place, log.compact('users'))
    assert.ok(place.clock.now() - startMs >= 60_000)
    assert.deepEqual(await recordsIn(log), FILLED)
  },
)

onDiskAndInMemory(
  'a signal ends a compaction, and what was there is still there',
  async (place) => {
    const log = await open(place, {}, { compactionBytesPerSecond: 1 })
    await fill(log)
    const before = await recordsIn(log)
    const controller = new AbortController()
    const compacting = log.compact('users', { signal: controller.signal })
    controller.abort(new Error('enough'))
    await assert.rejects(compacting, { message: 'enough' })
    assert.deepEqual(await recordsIn(log), before)
    const names = await place.list('users-0')
    assert.ok(!names.some((name) => name.endsWith('.cleaned') || name.endsWith('.swap')))
    await assert.rejects(log.compact('users', { signal: controller.signal }), { message: 'enough' })
  },
)

onDiskAndInMemory('a signal also ends a compaction that waits for another one', async (place) => {
  const log = await open(place, {}, { compactionBytesPerSecond: 1 })
  await fill(log)
  const first = log.compact('users')
  const controller = new AbortController()
  const second = log.compact('users', { signal: controller.signal })
  await new Promise((resolve) => setImmediate(resolve))
  controller.abort(new Error('enough'))
  await assert.rejects(second, { message: 'enough' })
  const [closed, ended] = await Promise.allSettled([log.close(), first])
  assert.equal(closed.status, 'fulfilled')
  assert.equal(ended.status === 'rejected' && (ended.reason as LogError).code, 'CLOSED')
})

onDiskAndInMemory('a close ends a compaction, and is clean', async (place) => {
  const log = await open(place, {}, { compactionBytesPerSecond: 1 })
  await fill(log)
  const compacting = log.compact('users')
  await new Promise((resolve) => setImmediate(resolve))
  const [closed, refused] = await Promise.allSettled([log.close(), compacting])
  assert.equal(closed.status, 'fulfilled')
  assert.equal(refused.status === 'rejected' && (refused.reason as LogError).code, 'CLOSED')
  const again = await open(place)
  assert.equal(again.recovery.clean, true)
  assert.deepEqual(again.recovery.partitions, [])
  assert.equal((await recordsIn(again)).length, 9)
})

onDiskAndInMemory(
  'a compaction comes to its end where all that it had to do is deleted meanwhile',
  async (place) => {
    const log = await open(place, {}, { compactionBytesPerSecond: 1000 })
    await fill(log)
    const compacting = log.compact('users')
    const rolled = `${'9'.padStart(20, '0')}.log`
    await eventually(() => place.exists('users-0', rolled), 'the roll')
    await log.deleteRecords('users', { partition: 0, before: 9 })
    const [done] = await movedThrough(place, compacting)
    assert.deepEqual([done?.recordsBefore, done?.recordsAfter, done?.bytesAfter], [0, 0, 0])
    await produceEach(log, ['a', '9'], ['a', '10'])
    const again = (await place.reopen(log)) as Log
    await again.compact('users')
    assert.deepEqual(await recordsIn(again), [[10, 'a', '10']])
  },
)

onDiskAndInMemory('a topic can be deleted while it is compacted', async (place) => {
  const log = await open(place, {}, { compactionBytesPerSecond: 1 })
  await fill(log)
  const compacting = log.compact('users')
  await new Promise((resolve) => setImmediate(resolve))
  const [deleted, refused] = await Promise.allSettled([log.deleteTopic('users'), compacting])
  assert.equal(deleted.status, 'fulfilled')
  assert.equal(refused.status === 'rejected' && (refused.reason as LogError).code, 'CLOSED')
  assert.ok(!(await place.list()).some((name) => name.startsWith('users')))
})

onDiskAndInMemory('only the partitions asked for are compacted', async (place) => {
  const log = await open(place, { partitions: 3 })
  for (const partition of [0, 1, 2]) {
    for (const value of ['1', '2']) await log.produce('users', { key: 'k', value, partition })
  }
  const done = await log.compact('users', { partitions: [2, 0] })
  assert.deepEqual(
    done.map(({ partition }) => partition),
    [2, 0],
  )
  assert.deepEqual(
    [await recordsIn(log, 0), await recordsIn(log, 1), await recordsIn(log, 2)].map(
      ({ length }) => length,
    ),
    [1, 2, 1],
  )
  await assert.rejects(log.compact('users', { partitions: [3] }), { code: 'UNKNOWN_PARTITION' })
  await assert.rejects(log.compact('nobody'), { code: 'UNKNOWN_TOPIC' })
})
