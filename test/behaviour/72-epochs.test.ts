// Leader epochs: the terms of those who wrote, what asks about them, and what a crash makes of them.
import assert from 'node:assert/strict'
import { readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { LogOptions } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { ExpectedPartition, FixtureSet } from '../support/fixtures.ts'
import { copyFixture, FIXTURE_SETS, loadExpected } from '../support/fixtures.ts'
import { readBatches } from '../support/kafka-files.ts'
import { open as openFixture } from '../support/kafka-view.ts'
import { loseLockHolder } from '../support/lock-holder.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'
import { systemError } from '../support/scripted-file-system.ts'

const FILE = 'leader-epoch-checkpoint'
const TOPIC = { value: 'string', durability: 'os' } as const
const OPTIONS: LogOptions = { topics: { t: TOPIC } }

function open(place: Place, options: LogOptions = OPTIONS): Promise<Log> {
  return place.open(options)
}

/** The file of a partition as it is. */
function fileOf(place: Place, directory = 't-0'): string {
  return place.readFile(directory, FILE).toString()
}

function text(...lines: string[]): string {
  return `${['0', lines.length, ...lines].join('\n')}\n`
}

/** `epoch at base offset` of every batch of a partition. */
async function batchesOf(place: Place, directory = 't-0'): Promise<string[]> {
  const names = (await place.list(directory)).filter((name) => name.endsWith('.log'))
  return names
    .flatMap((name) => readBatches(place.readFile(directory, name)))
    .map(({ leaderEpoch, baseOffset }) => `${leaderEpoch} at ${baseOffset}`)
}

async function epochOf(log: Log, topic = 't', partition = 0): Promise<number | undefined> {
  const { partitions } = await log.describeTopic(topic)
  return partitions[partition]?.leaderEpoch
}

/** [epoch, end offset] as the log answers. */
async function endOf(
  log: Log,
  leaderEpoch: number,
  topic = 't',
  partition = 0,
): Promise<[number, number] | undefined> {
  const end = await log.endOffsetForEpoch(topic, { partition, leaderEpoch })
  return end && [end.leaderEpoch, end.endOffset]
}

/** Opens the place as whoever was killed before has left it. */
async function crashed(place: Place): Promise<{ place: Place; log: Log }> {
  const left = await place.killed()
  return { place: left, log: await open(left) }
}

/** Terms 0, 1 and 2, which wrote 2, 3 and 1 records. */
async function threeTerms(place: Place): Promise<{ place: Place; log: Log }> {
  let current = { place, log: await open(place) }
  for (const [term, records] of [2, 3, 1].entries()) {
    if (term > 0) current = await crashed(current.place)
    for (let count = 0; count < records; count += 1) {
      await current.log.produce('t', { value: `${term}` })
    }
  }
  return current
}

describe('a term', () => {
  onDiskAndInMemory('goes on over a clean close and open', async (place) => {
    const log = await open(place)
    assert.equal(await epochOf(log), 0)
    assert.deepEqual(await endOf(log, 0), [0, 0])
    await log.produce('t', { value: 'a' })
    const again = await place.reopen(log, OPTIONS)
    await again.produce('t', { value: 'b' })
    assert.equal(await epochOf(again), 0)
    assert.deepEqual(await endOf(again, 0), [0, 2])
    assert.deepEqual(await batchesOf(place), ['0 at 0', '0 at 1'])
    assert.equal(fileOf(place), text('0 0'))
  })

  onDiskAndInMemory(
    'begins with each open after a crash: the file, the batches and the answers agree',
    async (first) => {
      const { place, log } = await threeTerms(first)
      assert.equal(await epochOf(log), 2)
      assert.equal(fileOf(place), text('0 0', '1 2', '2 5'))
      const batches = ['0 at 0', '0 at 1', '1 at 2', '1 at 3', '1 at 4', '2 at 5']
      assert.deepEqual(await batchesOf(place), batches)
      assert.deepEqual(await endOf(log, 0), [0, 2])
      assert.deepEqual(await endOf(log, 1), [1, 5])
      assert.deepEqual(await endOf(log, 2), [2, 6])
      assert.equal(await endOf(log, 3), undefined)
      assert.equal(await endOf(log, -1), undefined)
      await log.produce('t', { value: 'one more' })
      assert.deepEqual(await endOf(log, 2), [2, 7])
    },
  )

  onDiskAndInMemory('that appends nothing leaves its epoch to the next one', async (first) => {
    const log = await open(first)
    await log.produce('t', { value: 'a' })
    let { place, log: next } = await crashed(first)
    assert.equal(await epochOf(next), 1)
    assert.deepEqual(await endOf(next, 0), [0, 1])
    assert.deepEqual(await endOf(next, 1), [1, 1])
    ;({ place, log: next } = await crashed(place))
    assert.equal(await epochOf(next), 1)
    await next.produce('t', { value: 'b' })
    assert.equal(fileOf(place), text('0 0', '1 1'))
  })

  onDiskAndInMemory(
    'is a partition’s own: an open writes no file, an append that of its partition, a close those of all that had records',
    async (first) => {
      const options = { topics: { t: { ...TOPIC, partitions: 3 } } } as const
      const before = await open(first, options)
      await before.produce('t', [
        { value: 'a', partition: 0 },
        { value: 'b', partition: 1 },
      ])
      const place = await first.killed()
      const log = await open(place, options)
      const old = text('0 0')
      assert.deepEqual([fileOf(place, 't-0'), fileOf(place, 't-1')], [old, old])
      await log.produce('t', { value: 'c', partition: 1 })
      assert.deepEqual([fileOf(place, 't-0'), fileOf(place, 't-1')], [old, text('0 0', '1 1')])
      assert.deepEqual(await endOf(log, 0, 't', 0), [0, 1])
      assert.equal(await epochOf(log, 't', 2), 0)
      await log.close()
      assert.equal(fileOf(place, 't-0'), text('0 0', '1 1'))
      assert.equal(fileOf(place, 't-2'), text('0 0'))
    },
  )

  onDiskAndInMemory(
    'begins at epoch 0 in what is made anew: a topic, its new partitions, and one of a name that was deleted',
    async (first) => {
      const before = await open(first)
      await before.produce('t', { value: 'a' })
      const { log } = await crashed(first)
      await log.addPartitions('t', 2)
      await log.createTopic('u')
      assert.deepEqual([await epochOf(log), await epochOf(log, 't', 1)], [1, 0])
      assert.equal(await epochOf(log, 'u'), 0)
      await log.deleteTopic('t')
      await log.createTopic('t')
      assert.equal(await epochOf(log), 0)
      assert.deepEqual(await endOf(log, 0), [0, 0])
    },
  )

  test('has the offsets that a power cut took from an os topic again, with another epoch', async () => {
    let fileSystem = new FaultFileSystem()
    const seen = new Map<string, string>()
    for (let term = 0; term < 4; term += 1) {
      await loseLockHolder(fileSystem, '/data')
      const clock = new ManualClock()
      const log = await Log.open('/data', { ...OPTIONS, fileSystem, clock })
      const leaderEpoch = await epochOf(log)
      const value = `term ${term}`
      const { offset } = await log.produce('t', { value })
      assert.equal(offset, 0, 'what was there before is lost')
      const place = `${leaderEpoch} ${offset}`
      assert.equal(seen.get(place), undefined, `${place} was ${seen.get(place)}`)
      seen.set(place, value)
      fileSystem = fileSystem.powerCut({ mode: 'lose-all' })
    }
    assert.equal(seen.size, 4)
  })

  test('begins behind an open that has cut what was lost, and came no further: it leaves no clean marker', async () => {
    const fileSystem = new FaultFileSystem()
    const options: LogOptions = { fileSystem, topics: { t: { ...TOPIC, partitions: 2 } } }
    const before = await Log.open('/data', options)
    for (const value of ['kept', 'lost']) await before.produce('t', { value, partition: 0 })
    await before.close()
    const handle = fileSystem.openSync('/data/t-0/00000000000000000000.log', 'write')
    await handle.truncate(handle.sizeSync() - 5)
    handle.closeSync()
    const takeBack = fileSystem.failWhen(({ name, path }) => {
      const isFailing = (name === 'readdir' && path.endsWith('t-1')) || path.endsWith(`${FILE}.tmp`)
      return isFailing ? 'EIO' : undefined
    })
    await assert.rejects(Log.open('/data', options), { code: 'EIO' })
    takeBack()
    await using log = await Log.open('/data', options)
    const { offset } = await log.produce('t', { value: 'other', partition: 0 })
    assert.deepEqual([offset, await epochOf(log)], [1, 1])
  })
})

describe('endOffsetForEpoch', () => {
  onDiskAndInMemory('follows the log start: the first epoch begins there', async (first) => {
    const { place, log } = await threeTerms(first)
    await log.flush()
    await log.deleteRecords('t', { partition: 0, before: 1 })
    assert.equal(fileOf(place), text('0 1', '1 2', '2 5'))
    await log.deleteRecords('t', { partition: 0, before: 3 })
    assert.equal(fileOf(place), text('1 3', '2 5'))
    assert.deepEqual(await endOf(log, 0), [0, 3], 'where the first epoch that is known begins')
    const again = await place.reopen(log, OPTIONS)
    assert.deepEqual(await endOf(again, 1), [1, 5])
    await again.deleteRecords('t', { partition: 0, before: 6 })
    assert.equal(fileOf(place), text('2 6'))
    await again.produce('t', { value: 'next' })
    assert.deepEqual(await endOf(again, 2), [2, 7])
  })

  onDiskAndInMemory('follows retention', async (first) => {
    const topics = { t: { ...TOPIC, segmentBytes: 1024 } } as const
    const before = await open(first, { topics })
    const value = 'x'.repeat(500)
    for (let count = 0; count < 4; count += 1) await before.produce('t', { value })
    const place = await first.killed()
    const log = await open(place, { topics })
    for (let count = 0; count < 4; count += 1) await log.produce('t', { value })
    assert.equal(fileOf(place), text('0 0', '1 4'))
    await log.alterTopic('t', { retentionBytes: 1024 })
    await log.applyRetention()
    const { earliest } = await log.offsets('t', 0)
    assert.ok(earliest > 4)
    assert.equal(fileOf(place), text(`1 ${earliest}`))
  })

  onDiskAndInMemory('answers beside a writer as far as its records are seen', async (first) => {
    const { place, log } = await threeTerms(first)
    const clock = new ManualClock()
    const reader = await open(place, { readOnly: true, clock })
    assert.equal(await epochOf(reader), 2)
    assert.deepEqual(await endOf(reader, 0), [0, 2])
    assert.deepEqual(await endOf(reader, 2), [2, 6])
    await log.produce('t', { value: 'one more' })
    await clock.advance(100)
    assert.deepEqual(await endOf(reader, 2), [2, 7])
    await log.flush()
    await log.deleteRecords('t', { partition: 0, before: 2 })
    assert.deepEqual(await endOf(reader, 0), [0, 2])
    await log.createTopic('empty')
    await clock.advance(100)
    assert.equal(await epochOf(reader, 'empty'), -1)
    assert.equal(await endOf(reader, 0, 'empty'), undefined)
  })

  const misuse: readonly [what: string, at: unknown, error: object][] = [
    ['nothing', undefined, { name: 'TypeError', message: /partition and leaderEpoch/ }],
    ['no epoch', { partition: 0 }, { name: 'TypeError', message: /leaderEpoch/ }],
    ['an epoch that is text', { partition: 0, leaderEpoch: '1' }, { name: 'TypeError' }],
    ['an epoch below -1', { partition: 0, leaderEpoch: -2 }, { name: 'RangeError' }],
    ['half an epoch', { partition: 0, leaderEpoch: 0.5 }, { name: 'RangeError' }],
    ['an epoch above an int32', { partition: 0, leaderEpoch: 2 ** 31 }, { name: 'RangeError' }],
    ['no partition', { leaderEpoch: 0 }, { name: 'TypeError' }],
    ['a partition below 0', { partition: -1, leaderEpoch: 0 }, { name: 'RangeError' }],
    [
      'a partition that is not there',
      { partition: 1, leaderEpoch: 0 },
      { code: 'UNKNOWN_PARTITION' },
    ],
    [
      'an unknown name',
      { partition: 0, epoch: 0 },
      { name: 'TypeError', message: /unknown option epoch/ },
    ],
  ]
  for (const [what, at, error] of misuse) {
    onDiskAndInMemory(`with ${what} rejects`, async (place) => {
      const log = await open(place)
      await assert.rejects(log.endOffsetForEpoch('t', at as never), error)
    })
  }

  onDiskAndInMemory(
    'rejects for a topic that is not there, and once the log is closed',
    async (place) => {
      const log = await open(place)
      const at = { partition: 0, leaderEpoch: 0 }
      await assert.rejects(log.endOffsetForEpoch('u', at), { code: 'UNKNOWN_TOPIC' })
      await log.close()
      await assert.rejects(log.endOffsetForEpoch('t', at), { code: 'CLOSED' })
    },
  )
})

describe('the file of the epochs', () => {
  const wrong = { missing: undefined, damaged: 'garbage', 'of an earlier time': text('0 0') }
  for (const [what, content] of Object.entries(wrong)) {
    onDiskAndInMemory(
      `that is ${what} is built again from the batches, without a scan, and told`,
      async (first) => {
        const { place, log: before } = await threeTerms(first)
        await before.close()
        if (content === undefined) await place.fileSystem.unlink(place.path('t-0', FILE))
        else await place.writeFile(content, 't-0', FILE)
        const log = await open(place)
        const { clean, scannedBytes, partitions } = log.recovery
        assert.deepEqual([clean, scannedBytes], [true, 0])
        assert.deepEqual(partitions[0]?.rebuilt, [place.path('t-0', FILE)])
        assert.deepEqual(await endOf(log, 1), [1, 5])
        await log.produce('t', { value: 'next' })
        assert.equal(fileOf(place), text('0 0', '1 2', '2 5'))
      },
    )
  }

  onDiskAndInMemory(
    'that finds no room refuses appends with DISK_FULL, and is written once there is some',
    async (first) => {
      const before = await open(first)
      await before.produce('t', { value: 'a' })
      const { place, log } = await crashed(first)
      place.fileSystem.rule = ({ name, path }) =>
        name === 'write' && path.includes(FILE) ? systemError('ENOSPC') : undefined
      const refused = { code: 'DISK_FULL', retryable: true }
      await assert.rejects(log.produce('t', { value: 'b' }), refused)
      assert.equal(fileOf(place), text('0 0'))
      place.fileSystem.rule = undefined
      assert.equal((await log.produce('t', { value: 'b' })).offset, 1)
      assert.equal(fileOf(place), text('0 0', '1 1'))
      assert.deepEqual(await batchesOf(place), ['0 at 0', '1 at 1'])
    },
  )
})

// ------------------------------------------------------------------------------------ what brokers wrote

/** The ends of the epochs by what Kafka's tool prints of the batches. */
function endsOf({ batches, logEndOffset }: ExpectedPartition): Map<number, number> {
  const ends = new Map<number, number>()
  for (const [index, { partitionLeaderEpoch }] of batches.entries()) {
    ends.set(partitionLeaderEpoch, batches[index + 1]?.baseOffset ?? logEndOffset)
  }
  return ends
}

/** Markers that the open has written into a partition: one for each transaction that was open there. */
function markersIn({ recovery }: Log, topic: string, partition: number): number {
  const ended = recovery.transactions.flatMap(({ partitions }) => partitions)
  return ended.filter((each) => each.topic === topic && each.partition === partition).length
}

async function checkEnds(log: Log, topic: string, expected: ExpectedPartition): Promise<void> {
  const { partition, logStartOffset } = expected
  const ends = endsOf(expected)
  const logEndOffset = expected.logEndOffset + markersIn(log, topic, partition)
  for (const [epoch, end] of ends) {
    const last = Math.max(...ends.keys())
    const found = await log.endOffsetForEpoch(topic, { partition, leaderEpoch: epoch })
    const endOffset = epoch === last ? logEndOffset : Math.max(end, logStartOffset)
    assert.deepEqual(found, { leaderEpoch: epoch, endOffset }, `${topic}-${partition}, ${epoch}`)
  }
}

/** Undamaged sets that end without a crash. */
const CLOSED: readonly FixtureSet[] = FIXTURE_SETS.filter(
  (set) => !['unclean', 'torn-tail', 'zero-tail', 'flipped-byte', 'flipped-old'].includes(set),
)

describe('a broker’s directory', () => {
  for (const set of CLOSED) {
    test(`${set} has the epochs that its batches have, and goes on with the last one`, async (t) => {
      const expected = await loadExpected(set)
      const directory = await copyFixture(set, t)
      await using log = await openFixture(directory, expected)
      const told = log.recovery.partitions.flatMap(({ rebuilt }) => rebuilt)
      assert.deepEqual(
        told.filter((file) => file.endsWith(FILE)),
        [],
      )
      for (const [topic, { partitions }] of Object.entries(expected.topics)) {
        for (const partition of partitions) {
          await checkEnds(log, topic, partition)
          const last = Math.max(0, ...endsOf(partition).keys())
          assert.equal(await epochOf(log, topic, partition.partition), last)
        }
      }
    })
  }

  for (const set of CLOSED) {
    test(`${set} without the files has them again, as the broker wrote them, save in front of a gap`, async (t) => {
      const expected = await loadExpected(set)
      const directory = await copyFixture(set, t)
      const files = Object.entries(expected.topics).flatMap(([topic, { partitions }]) =>
        partitions.map(({ partition }) => join(directory, `${topic}-${partition}`, FILE)),
      )
      const before = await Promise.all(files.map((file) => readFile(file, 'utf8')))
      for (const file of files) await unlink(file)
      {
        await using log = await openFixture(directory, expected)
        assert.equal(log.recovery.clean, true)
      }
      const after = await Promise.all(files.map((file) => readFile(file, 'utf8')))
      // Of this one compaction has taken the first batch.
      const kafkas = before.map((each) => each.replace('0 31', '0 41'))
      assert.deepEqual(after, kafkas)
    })
  }

  test('restarted without its clean marker begins epoch 5, behind 0, 2 and 4', async (t) => {
    const expected = await loadExpected('restarted')
    const directory = await copyFixture('restarted', t)
    const file = join(directory, 'reopened-0', FILE)
    const before = await readFile(file, 'utf8')
    await unlink(join(directory, '.kafka_cleanshutdown'))
    await using log = await openFixture(directory, expected)
    assert.equal(await epochOf(log, 'reopened'), 5)
    assert.equal(await readFile(file, 'utf8'), before)
    const value = Buffer.from('ours')
    const { offset } = await log.produce('reopened', { value, partition: 0 })
    assert.equal(await readFile(file, 'utf8'), `${before}5 ${offset}\n`.replace('\n3\n', '\n4\n'))
    const ends = [1, 3, 4, 5].map((epoch) => endOf(log, epoch, 'reopened'))
    assert.deepEqual(await Promise.all(ends), [
      [0, 28],
      [2, 53],
      [4, offset],
      [5, offset + 1],
    ])
  })

  for (const set of ['unclean', 'torn-tail', 'zero-tail', 'flipped-byte'] as const) {
    test(`${set} begins a term above its epochs, as after any crash`, async (t) => {
      const expected = await loadExpected(set)
      await using log = await openFixture(await copyFixture(set, t), expected)
      for (const [topic, { partitions }] of Object.entries(expected.topics)) {
        for (const { partition } of partitions) {
          const { latest } = await log.offsets(topic, partition)
          assert.equal(await epochOf(log, topic, partition), 1)
          // Markers of what was left open are of the new term.
          const end = latest - markersIn(log, topic, partition)
          assert.deepEqual(await endOf(log, 0, topic, partition), [0, end])
          const { offset } = await log.produce(topic, { value: Buffer.from('ours'), partition })
          assert.equal(offset, latest)
          assert.deepEqual(await endOf(log, 0, topic, partition), [0, end])
          assert.deepEqual(await endOf(log, 1, topic, partition), [1, offset + 1])
        }
      }
    })
  }
})
