import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  encodeGroupKey,
  encodeOffsetKey,
  encodeOffsetValue,
} from '../../src/groups/offset-format.ts'
import type { OffsetStoreOptions } from '../../src/groups/offset-store.ts'
import { OffsetStore } from '../../src/groups/offset-store.ts'
import type { RawRecord } from '../support/fake-offsets-partition.ts'
import { Crash, FakeOffsetsPartition } from '../support/fake-offsets-partition.ts'

const MANY = 2 ** 20
const EAGER = { cleanUpMinBytes: 0, cleanUpRatio: 0 }
const PRODUCERS = [
  { producerId: 7, producerEpoch: 2 },
  { producerId: 8, producerEpoch: 0 },
]
const UNKNOWN_KEY = Buffer.from([0, 5, 0, 1, 0x67])
const MALFORMED_KEY = Buffer.from([0, 1, 0x7f])

let now = 0
const clock = {
  now: () => {
    now += 1
    return now
  },
  setTimer: () => assert.fail('no timer is needed'),
}

async function load(
  fake: FakeOffsetsPartition,
  options: Partial<OffsetStoreOptions> = {},
): Promise<OffsetStore> {
  const onError = (error: Error) => {
    if (!(error instanceof Crash)) throw error
  }
  return OffsetStore.load({ partitions: [fake], clock, onError, ...options })
}

function stored(group: string, partition: number, offset: number, metadata = ''): RawRecord {
  const committed = { offset, metadata, leaderEpoch: -1, commitTimestamp: 1 }
  return { key: encodeOffsetKey(group, 't', partition), value: encodeOffsetValue(committed) }
}

function deleted(group: string, partition: number): RawRecord {
  return { key: encodeOffsetKey(group, 't', partition), value: null }
}

/** What a reader of the log is told, and what is kept for others. */
async function view(fake: FakeOffsetsPartition) {
  const store = await load(fake)
  const latest = new Map(fake.records().map((each) => [each.key?.toString('hex'), each.value]))
  return {
    groups: store.groups().map((group) => [group, store.offsetsOf(group)]),
    malformed: store.countMalformed(),
    kept: [UNKNOWN_KEY, MALFORMED_KEY, encodeGroupKey('meta')].map((key) =>
      latest.get(key.toString('hex'))?.toString('hex'),
    ),
  }
}

type Outcome = 'none' | 'commit' | 'abort'
const OUTCOMES: readonly Outcome[] = ['none', 'commit', 'abort']

async function viewAfter(fake: FakeOffsetsPartition, outcome: Outcome) {
  const copy = fake.reopened()
  if (outcome !== 'none')
    for (const { producerId } of PRODUCERS) copy.writeMarker(producerId, outcome)
  return view(copy)
}

/** A log of several segments with everything in it that a clean-up must carry over or leave out. */
function writeStory(fake: FakeOffsetsPartition, transactions: boolean): void {
  fake.write([
    stored('live', 0, 1),
    stored('live', 1, 1),
    stored('gone', 0, 1),
    stored('gone', 1, 1),
  ])
  fake.write([{ key: encodeGroupKey('meta'), value: Buffer.from([0, 3, 9, 9]) }])
  fake.write([{ key: UNKNOWN_KEY, value: Buffer.from('old') }])
  fake.write([
    stored('in-transaction', 0, 1),
    stored('in-transaction', 1, 1),
    stored('regained', 0, 1),
  ])
  fake.startSegment()
  fake.write([{ key: MALFORMED_KEY, value: Buffer.from('kept') }, stored('live', 0, 2, 'two')])
  fake.write([deleted('regained', 0)])
  if (transactions) {
    fake.write(
      [stored('in-transaction', 0, 50), stored('only-in-transaction', 0, 51)],
      PRODUCERS[0],
    )
    fake.write([stored('regained', 0, 52), stored('in-transaction', 1, 53)], PRODUCERS[0])
    fake.write([deleted('live', 1), stored('live', 2, 54)], PRODUCERS[1])
  }
  fake.startSegment()
  fake.write([{ key: UNKNOWN_KEY, value: Buffer.from('new') }])
  fake.write([stored('in-transaction', 1, 2)])
  fake.write([deleted('gone', 0), deleted('gone', 1)])
}

describe('clean-up', () => {
  test('begins past the least size and past the ratio, and leaves only what is live', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load(fake, { cleanUpMinBytes: 5000, cleanUpRatio: 10 })
    let largest = 0
    for (let offset = 0; offset < 500; offset += 1) {
      await store.commit('a', [{ topic: 't', partition: offset % 3, offset }])
      largest = Math.max(largest, fake.sizeBytes)
      await store.idle()
    }
    assert.ok(largest > 5000 && largest < 6000, `${largest}`)
    assert.ok(fake.sizeBytes < 5100)
    assert.ok(fake.logStartOffset > 0)
    assert.deepEqual(
      store.offsetsOf('a').map(({ offset }) => offset),
      [498, 499, 497],
    )
  })

  test('waits for the ratio where much is live', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load(fake, { cleanUpMinBytes: 5000, cleanUpRatio: 10 })
    for (let partition = 0; partition < 200; partition += 1) {
      await store.commit('a', [{ topic: 't', partition, offset: 1 }])
      await store.idle()
    }
    assert.ok(fake.sizeBytes > 5000)
    assert.equal(fake.logStartOffset, 0)
  })

  test('counts what is deleted or replaced as live no longer', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load(fake, { cleanUpMinBytes: 0, cleanUpRatio: 2 })
    const metadata = 'x'.repeat(4000)
    const big = [0, 1].map((partition) => ({ topic: 't', partition, offset: 1, metadata }))
    await store.commit('a', big)
    await store.commit('b', [{ topic: 't', partition: 0, offset: 1, metadata }])
    await store.idle()
    assert.equal(fake.logStartOffset, 0)
    await store.deleteGroup('a')
    await store.idle()
    assert.ok(fake.logStartOffset > 0, `${fake.sizeBytes} bytes`)
    const { logStartOffset } = fake
    await store.commit('b', [{ topic: 't', partition: 0, offset: 2 }])
    await store.idle()
    assert.ok(fake.logStartOffset > logStartOffset, `${fake.sizeBytes} bytes`)
  })

  test('has 1 MiB and 10 times the live records as its defaults', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load(fake)
    const metadata = 'x'.repeat(4096)
    for (let offset = 0; offset < 249; offset += 1) {
      await store.commit('a', [{ topic: 't', partition: 0, offset, metadata }])
    }
    await store.idle()
    assert.ok(fake.sizeBytes < MANY)
    assert.equal(fake.logStartOffset, 0)
    for (let offset = 0; offset < 4; offset += 1) {
      await store.commit('a', [{ topic: 't', partition: 0, offset, metadata }])
    }
    await store.idle()
    assert.ok(fake.sizeBytes < 30_000)
    assert.equal(store.committed('a', 't', 0)?.offset, 3)
  })

  test('keeps what an unknown key last said, group metadata and bytes that cannot be read', async () => {
    const fake = new FakeOffsetsPartition()
    writeStory(fake, false)
    const before = await view(fake)
    const store = await load(fake, EAGER)
    await store.commit('live', [{ topic: 't', partition: 0, offset: 3 }])
    await store.idle()
    const after = await view(fake)
    assert.equal(fake.segments.length, 1)
    assert.deepEqual(after.kept, before.kept)
    assert.deepEqual(after.kept, [
      Buffer.from('new').toString('hex'),
      Buffer.from('kept').toString('hex'),
      '00030909',
    ])
    assert.equal(after.malformed, 1)
    const groups = ['in-transaction', 'live', 'meta']
    assert.deepEqual(
      after.groups.map(([group]) => group),
      groups,
    )
  })

  test('keeps the time of a record that it rewrites', async () => {
    const fake = new FakeOffsetsPartition()
    fake.write([{ ...stored('a', 0, 1), timestamp: 1234 }])
    const store = await load(fake, EAGER)
    await store.commit('b', [{ topic: 't', partition: 0, offset: 3 }])
    await store.idle()
    const rewritten = fake.records().find(({ key }) => key?.equals(encodeOffsetKey('a', 't', 0)))
    assert.equal(rewritten?.timestamp, 1234)
    assert.ok(fake.logStartOffset > 0)
  })

  test('drops the tombstones that it wrote the time before', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load(fake, EAGER)
    await store.commit('gone', [{ topic: 't', partition: 0, offset: 1 }])
    await store.idle()
    await store.deleteGroup('gone')
    await store.idle()
    assert.deepEqual(
      fake.records().map(({ value }) => value),
      [null],
    )
    await store.commit('live', [{ topic: 't', partition: 0, offset: 1 }])
    await store.idle()
    assert.equal(fake.records().length, 1)
    assert.deepEqual(store.groups(), ['live'])
  })

  test('lets commits that arrive in between win, and loses none', async () => {
    const fake = new FakeOffsetsPartition()
    writeStory(fake, false)
    const store = await load(fake, EAGER)
    const commits: Promise<unknown>[] = []
    for (let offset = 10; offset < 40; offset += 1) {
      commits.push(
        store.commit(
          'live',
          [{ topic: 't', partition: offset % 2, offset }],
          offset % 3 ? 'os' : 'disk',
        ),
        store.commit(`new-${offset}`, [{ topic: 't', partition: 0, offset }]),
      )
      await Promise.resolve()
    }
    await Promise.all(commits)
    await store.idle()
    for (const each of [store, await load(fake.reopened())]) {
      assert.equal(each.committed('live', 't', 0)?.offset, 38)
      assert.equal(each.committed('live', 't', 1)?.offset, 39)
      for (let offset = 10; offset < 40; offset += 1) {
        assert.equal(each.committed(`new-${offset}`, 't', 0)?.offset, offset)
      }
    }
    assert.ok(fake.logStartOffset > 0)
  })

  test('does not rewrite what a commit still under way replaces', async () => {
    const fake = new FakeOffsetsPartition()
    const store = await load(fake, EAGER)
    const release = fake.holdAcknowledgements('disk')
    const slow = store.commit('a', [{ topic: 't', partition: 0, offset: 2 }], 'disk')
    await store.commit('a', [{ topic: 't', partition: 1, offset: 1 }], 'os')
    release()
    await slow
    await store.idle()
    const reloaded = await load(fake.reopened())
    assert.equal(reloaded.committed('a', 't', 0)?.offset, 2)
    assert.ok(fake.logStartOffset > 0)
  })

  test('that fails is told, harms no commit and is tried again when the log has grown', async () => {
    const fake = new FakeOffsetsPartition()
    const errors: Error[] = []
    const onError = (error: Error) => errors.push(error)
    const store = await load(fake, { cleanUpMinBytes: 1000, cleanUpRatio: 1, onError })
    fake.flush = async () => {
      throw new Error('no sync')
    }
    let commits = 0
    for (; errors.length < 2; commits += 1) {
      await store.commit('a', [{ topic: 't', partition: 0, offset: commits }])
      await store.idle()
      assert.ok(commits < 100, `${errors.length} errors after ${commits} commits`)
    }
    assert.ok(commits > 15, `${commits} commits`)
    assert.equal(errors[0]?.message, 'no sync')
    assert.equal(fake.logStartOffset, 0)
    assert.equal((await load(fake.reopened())).committed('a', 't', 0)?.offset, commits - 1)
  })

  test('waits while a transaction is undecided, where the log cannot append to it', async () => {
    const fake = new FakeOffsetsPartition({ transactional: false })
    writeStory(fake, true)
    const store = await load(fake, EAGER)
    await store.commit('live', [{ topic: 't', partition: 0, offset: 3 }])
    await store.idle()
    assert.equal(fake.logStartOffset, 0)
    assert.equal(fake.segments.length, 3)
  })

  test('keeps undecided transactions undecided', async () => {
    for (const outcome of OUTCOMES) {
      const fake = new FakeOffsetsPartition()
      writeStory(fake, true)
      const store = await load(fake, EAGER)
      fake.crashAt = 2
      await store.commit('other', [{ topic: 't', partition: 0, offset: 3 }])
      await store.idle()
      const expected = await viewAfter(fake, outcome)
      fake.crashAt = Number.POSITIVE_INFINITY
      await (await load(fake, EAGER)).idle()
      const again = await load(fake, EAGER)
      for (let round = 0; round < 3; round += 1) {
        await again.deleteOffsets('other', [{ topic: 'none', partition: 0 }])
        await again.idle()
      }
      assert.ok(fake.logStartOffset > 20, `${fake.logStartOffset}`)
      assert.deepEqual(await viewAfter(fake, outcome), expected)
    }
  })
})

describe('a crash at any step of a clean-up', () => {
  for (const transactions of [false, true]) {
    for (const outcome of OUTCOMES.slice(0, transactions ? 3 : 1)) {
      const what = transactions ? `open transactions, then ${outcome}` : 'no transaction'
      test(`changes nothing, whatever of its writes is lost (${what})`, async () => {
        const steps = await crashEverywhere(transactions, outcome)
        assert.ok(steps > (transactions ? 9 : 6), `${steps} steps`)
      })
    }
  }

  test('and deletions in another order do not bring a deleted group back', async () => {
    const fake = new FakeOffsetsPartition()
    writeStory(fake, false)
    const store = await load(fake, EAGER)
    const deletion = fake.operations + 6
    fake.crashAt = deletion
    await store.commit('live', [{ topic: 't', partition: 0, offset: 3 }])
    await store.idle()
    const expected = await view(fake)
    assert.equal(fake.segments.length, 4)
    assert.ok(fake.segments[3]?.batches.every(({ synced }) => synced))
    for (let mask = 0; mask < 8; mask += 1) {
      const left = fake.reopened()
      left.segments = left.segments.filter((_, i) => i === 3 || (mask & (1 << i)) !== 0)
      assert.deepEqual(await view(left), expected)
    }
  })
})

/** Crashes at each operation after the commit that starts the clean-up; answers with the number of operations. */
async function crashEverywhere(transactions: boolean, outcome: Outcome): Promise<number> {
  for (let step = 2; ; step += 1) {
    const fake = new FakeOffsetsPartition()
    writeStory(fake, transactions)
    const store = await load(fake, EAGER)
    fake.crashAt = step
    await store.commit('other', [{ topic: 't', partition: 0, offset: 3 }], 'disk')
    const before = fake.reopened()
    await store.idle()
    const expected = await viewAfter(before, outcome)
    const unsynced = fake.batches().filter(({ synced }) => !synced).length
    for (let mask = 0; mask < 2 ** unsynced; mask += 1) {
      const left = fake.reopened((i) => (mask & (1 << i)) !== 0)
      const where = `step ${step}, mask ${mask}`
      assert.deepEqual(await viewAfter(left, outcome), expected, where)
      await cleanUp(left)
      assert.deepEqual(await viewAfter(left, outcome), expected, `${where}, cleaned up again`)
    }
    if (fake.operations < step) return step - 1
  }
}

async function cleanUp(fake: FakeOffsetsPartition): Promise<void> {
  const store = await load(fake, EAGER)
  await store.deleteOffsets('live', [])
  await store.idle()
  assert.equal(fake.segments.length, 1)
}
