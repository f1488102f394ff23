// Committed offsets, and what is known of groups.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { GroupOffset, Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { copyFixture, loadExpected } from '../support/fixtures.ts'
import { eventually, openAt, PLACES, placeAt, removeLock } from '../support/log-places.ts'

const OFFSETS = '__consumer_offsets'

/** Without the times of the commits. */
function plain(offsets: readonly GroupOffset[]): unknown[] {
  return offsets.map(({ topic, partition, offset, metadata }) => [
    topic,
    partition,
    offset,
    metadata,
  ])
}

async function produceMany(log: Log, topic: string, count: number, partition = 0): Promise<void> {
  const records = Array.from({ length: count }, (_, index) => ({ value: index }))
  await log.produce(topic, records, { partition })
}

for (const { name, make } of PLACES) {
  describe(`committed offsets ${name}`, () => {
    test('a group finds what it has committed, with its metadata and when that was', async (t) => {
      const clock = new ManualClock()
      await using log = await openAt(await make(t), { clock, topics: { orders: {} } })
      await produceMany(log, 'orders', 10)
      await clock.advance(5)
      await log.commitOffset('billing', {
        topic: 'orders',
        partition: 0,
        offset: 7,
        metadata: 'up to seven',
        leaderEpoch: 3,
      })
      assert.deepEqual(await log.committedOffsets('billing'), [
        {
          topic: 'orders',
          partition: 0,
          offset: 7,
          metadata: 'up to seven',
          leaderEpoch: 3,
          commitTimestamp: clock.now(),
        },
      ])
    })

    test('what a commit leaves out is an empty metadata and no leader epoch', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 0 })
      const [committed] = await log.committedOffsets('billing')
      assert.equal(committed?.metadata, '')
      assert.equal(committed?.leaderEpoch, -1)
    })

    test('one commit takes offsets of many partitions and topics', async (t) => {
      const place = await make(t)
      await using log = await openAt(place, { topics: { orders: { partitions: 3 }, emails: {} } })
      await log.commitOffset('billing', [
        { topic: 'orders', partition: 2, offset: 0, metadata: 'two' },
        { topic: 'emails', partition: 0, offset: 0 },
        { topic: 'orders', partition: 0, offset: 0 },
      ])
      assert.deepEqual(plain(await log.committedOffsets('billing')), [
        ['emails', 0, 0, ''],
        ['orders', 0, 0, ''],
        ['orders', 2, 0, 'two'],
      ])
    })

    test('a commit with one unknown partition takes none of its offsets', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      const commits = [
        { topic: 'orders', partition: 0, offset: 0 },
        { topic: 'orders', partition: 1, offset: 0 },
      ]
      await assert.rejects(log.commitOffset('billing', commits), { code: 'UNKNOWN_PARTITION' })
      assert.deepEqual(await log.committedOffsets('billing'), [])
      assert.deepEqual(await log.groups(), [])
    })

    test('a commit for an unknown topic is refused', async (t) => {
      await using log = await openAt(await make(t))
      const commit = { topic: 'orders', partition: 0, offset: 0 }
      await assert.rejects(log.commitOffset('billing', commit), { code: 'UNKNOWN_TOPIC' })
    })

    test('a commit that is misused is refused, and nothing is made for it', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      const commit = { topic: 'orders', partition: 0, offset: 0 }
      await assert.rejects(log.commitOffset('', commit), RangeError)
      await assert.rejects(log.commitOffset(7 as unknown as string, commit), TypeError)
      await assert.rejects(log.commitOffset('g', { ...commit, offset: -1 }), RangeError)
      await assert.rejects(log.commitOffset('g', { ...commit, offset: 0.5 }), RangeError)
      await assert.rejects(
        log.commitOffset('g', { ...commit, metadata: 'é'.repeat(2049) }),
        RangeError,
      )
      const options = { durability: 'ram' as 'os' }
      await assert.rejects(log.commitOffset('g', commit, options), RangeError)
      await assert.rejects(log.describeTopic(OFFSETS), { code: 'UNKNOWN_TOPIC' })
    })

    test('of concurrent commits for a partition the last call wins', async (t) => {
      const place = await make(t)
      const log = await openAt(place, { topics: { orders: {} } })
      const commit = (offset: number) =>
        log.commitOffset('billing', { topic: 'orders', partition: 0, offset })
      await Promise.all(Array.from({ length: 100 }, (_, offset) => commit(offset)))
      assert.equal((await log.committedOffsets('billing'))[0]?.offset, 99)
      await log.close()
      await using again = await openAt(place)
      assert.equal((await again.committedOffsets('billing'))[0]?.offset, 99)
    })

    test('a group that has committed nothing has no offsets', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      assert.deepEqual(await log.committedOffsets('nobody'), [])
    })

    test('commits are there after a clean close and a new open', async (t) => {
      const place = await make(t)
      const log = await openAt(place, { topics: { orders: { partitions: 2 } } })
      await produceMany(log, 'orders', 5, 1)
      const commit = { topic: 'orders', partition: 1, offset: 4, metadata: 'm' }
      await log.commitOffset('billing', commit)
      await log.close()
      await using again = await openAt(place)
      assert.deepEqual(plain(await again.committedOffsets('billing')), [['orders', 1, 4, 'm']])
    })

    test('commits at the default level are there after the process was killed', async (t) => {
      const place = await make(t)
      await using log = await openAt(place, { topics: { orders: {} } })
      await produceMany(log, 'orders', 5)
      const { durability } = await log.commitOffset('billing', {
        topic: 'orders',
        partition: 0,
        offset: 4,
      })
      assert.equal(durability, 'os')
      await using again = await openAt(await place.killed())
      assert.deepEqual(plain(await again.committedOffsets('billing')), [['orders', 0, 4, '']])
      assert.deepEqual(again.recovery.resetOffsets, [])
    })

    test('thousands of commits leave __consumer_offsets small, and every group right', async (t) => {
      const place = await make(t)
      const topics = { orders: { partitions: 4 } }
      const log = await openAt(place, { topics, compactionCheckIntervalMs: 5 })
      for (let partition = 0; partition < 4; partition += 1) {
        await produceMany(log, 'orders', 700, partition)
      }
      const metadata = 'x'.repeat(150)
      const groups = ['a', 'b', 'c', 'd']
      await log.commitOffset('seldom', { topic: 'orders', partition: 3, offset: 5 })
      await log.commitOffset('deleted', { topic: 'orders', partition: 3, offset: 5 })
      await log.deleteGroup('deleted')
      for (let offset = 0; offset < 700; offset += 1) {
        await Promise.all(
          groups.flatMap((group) =>
            [0, 1, 2, 3].map((partition) =>
              log.commitOffset(group, { topic: 'orders', partition, offset, metadata }),
            ),
          ),
        )
      }
      const described = async (of: Log) => (await of.describeTopic(OFFSETS)).partitions[0]
      const isSmall = async (of: Log): Promise<boolean> =>
        ((await described(of))?.sizeBytes ?? 0) < 1.5 * 1024 * 1024
      await eventually(() => isSmall(log))
      const check = async (of: Log) => {
        assert.ok(await isSmall(of))
        assert.deepEqual(await of.groups(), ['a', 'b', 'c', 'd', 'seldom'])
        assert.deepEqual(plain(await of.committedOffsets('seldom')), [['orders', 3, 5, '']])
        for (const group of groups) {
          assert.deepEqual(
            plain(await of.committedOffsets(group)),
            [0, 1, 2, 3].map((partition) => ['orders', partition, 699, metadata]),
          )
        }
      }
      await check(log)
      await using killed = await openAt(await place.killed())
      await check(killed)
      await log.close()
      await using again = await openAt(place)
      await check(again)
    })

    test('the topic of the offsets has one partition and is not listed among the topics', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 0 })
      assert.deepEqual(log.topics(), ['orders'])
      const { internal, partitions, config } = await log.describeTopic(OFFSETS)
      assert.equal(internal, true)
      assert.equal(partitions.length, 1)
      assert.equal(config.durability, 'os')
    })

    test('deleting a topic takes what groups have committed for it', async (t) => {
      const place = await make(t)
      const log = await openAt(place, { topics: { orders: {}, emails: {} } })
      await log.commitOffset('both', [
        { topic: 'orders', partition: 0, offset: 0 },
        { topic: 'emails', partition: 0, offset: 0 },
      ])
      await log.commitOffset('one', { topic: 'orders', partition: 0, offset: 0 })
      await log.deleteTopic('orders')
      assert.deepEqual(plain(await log.committedOffsets('both')), [['emails', 0, 0, '']])
      assert.deepEqual(await log.groups(), ['both'])
      await log.close()
      await using again = await openAt(place)
      assert.deepEqual(await again.groups(), ['both'])
    })

    test('a commit that comes behind the deletion of its topic is refused, and is not there for the next topic of that name', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      const deletion = log.deleteTopic('orders')
      // The first commit of all has to make the topic that it goes to.
      const commit = log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 7 })
      await assert.rejects(commit, { code: 'UNKNOWN_TOPIC' })
      await deletion
      await log.createTopic('orders')
      assert.deepEqual(await log.committedOffsets('billing'), [])
    })
  })

  describe(`groups ${name}`, () => {
    test('the lag counts the records behind the committed offset, partition by partition', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: { partitions: 3 } } })
      await produceMany(log, 'orders', 10, 0)
      await produceMany(log, 'orders', 5, 1)
      await log.commitOffset('billing', [
        { topic: 'orders', partition: 0, offset: 4 },
        { topic: 'orders', partition: 1, offset: 5 },
      ])
      const { group, partitions, lagRecords } = await log.lag('billing')
      assert.equal(group, 'billing')
      assert.equal(lagRecords, 6)
      assert.deepEqual(
        partitions.map((each) => [each.partition, each.committedOffset, each.lagRecords]),
        [
          [0, 4, 6],
          [1, 5, 0],
        ],
      )
      assert.equal(partitions[0]?.endOffset, 10)
      assert.equal(partitions[0]?.logStartOffset, 0)
    })

    test('the lag in milliseconds is how long the first unread record has waited', async (t) => {
      const clock = new ManualClock()
      await using log = await openAt(await make(t), { clock, topics: { orders: {} } })
      for (let index = 0; index < 3; index += 1) {
        await log.produce('orders', { value: index })
        await clock.advance(1000)
      }
      const commit = (offset: number) =>
        log.commitOffset('billing', { topic: 'orders', partition: 0, offset })
      await commit(1)
      assert.equal((await log.lag('billing')).lagMs, 2000)
      await clock.advance(500)
      assert.equal((await log.lag('billing')).partitions[0]?.lagMs, 2500)
      await commit(2)
      assert.equal((await log.lag('billing')).lagMs, 1500)
      await commit(3)
      assert.equal((await log.lag('billing')).lagMs, 0)
    })

    test('a committed offset that deletion has passed lags from the log start', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      await produceMany(log, 'orders', 10)
      await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 2 })
      await log.deleteRecords('orders', { partition: 0, before: 6 })
      assert.equal((await log.lag('billing')).lagRecords, 4)
    })

    test('groups are listed in order of their names and described with their offsets', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      for (const group of ['zebra', 'ant', 'Österreich']) {
        await log.commitOffset(group, { topic: 'orders', partition: 0, offset: 0 })
      }
      assert.deepEqual(await log.groups(), ['ant', 'zebra', 'Österreich'])
      const description = await log.describeGroup('ant')
      assert.equal(description.group, 'ant')
      assert.equal(description.state, 'Empty')
      assert.deepEqual(description.members, [])
      assert.deepEqual(plain(description.offsets), [['orders', 0, 0, '']])
    })

    test('a deleted group is gone, also after a new open', async (t) => {
      const place = await make(t)
      const log = await openAt(place, { topics: { orders: {} } })
      await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 0 })
      await log.commitOffset('other', { topic: 'orders', partition: 0, offset: 0 })
      await log.deleteGroup('billing')
      const check = async (of: Log) => {
        assert.deepEqual(await of.groups(), ['other'])
        assert.deepEqual(await of.committedOffsets('billing'), [])
        await assert.rejects(of.describeGroup('billing'), { code: 'UNKNOWN_GROUP' })
      }
      await check(log)
      await log.close()
      await using again = await openAt(place)
      await check(again)
    })

    test('offsets are deleted by partition, also after a new open; those that are not there are passed over', async (t) => {
      const place = await make(t)
      const log = await openAt(place, { topics: { orders: { partitions: 2 }, mail: {} } })
      const [first, second, mail] = [
        { topic: 'orders', partition: 0, offset: 0 },
        { topic: 'orders', partition: 1, offset: 0 },
        { topic: 'mail', partition: 0, offset: 0 },
      ]
      await log.commitOffset('billing', [first, second, mail])
      await log.deleteOffsets('billing', [second, mail, { topic: 'none', partition: 7 }])
      const check = async (of: Log) => {
        assert.deepEqual(plain(await of.committedOffsets('billing')), [['orders', 0, 0, '']])
      }
      await check(log)
      await log.close()
      await using again = await openAt(place)
      await check(again)
      await assert.rejects(again.deleteOffsets('nobody', []), { code: 'UNKNOWN_GROUP' })
      const misuse = first as unknown as []
      await assert.rejects(
        again.deleteOffsets('billing', misuse),
        /partitions is an object; it must be/,
      )
      const wrong: readonly [unknown, RegExp][] = [
        [undefined, /a partition must be an object with topic and partition/],
        [{ topic: 'orders' }, /partition must be a number/],
        [{ topic: 'orders', partition: '0' }, /partition must be a number/],
        [{ topic: 'orders', partition: -1 }, /partition must be an integer from 0/],
        [{ partition: 0 }, /topic must be a string/],
        [{ ...first, partitions: 0 }, /unknown option partitions/],
      ]
      for (const [each, message] of wrong) {
        await assert.rejects(again.deleteOffsets('billing', [first, each as typeof first]), message)
      }
      await check(again)
    })

    test('offsets go in the background when their time is over, and the group with the last of them', async (t) => {
      const clock = new ManualClock()
      const place = await make(t)
      const times = { offsetsRetentionMs: 1000, offsetsRetentionCheckIntervalMs: 100 }
      const log = await openAt(place, { clock, ...times, topics: { orders: { partitions: 2 } } })
      await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 0 })
      await clock.advance(500)
      await log.commitOffset('billing', { topic: 'orders', partition: 1, offset: 0 })
      await clock.advance(500)
      await eventually(async () => (await log.committedOffsets('billing')).length === 1)
      assert.deepEqual(plain(await log.committedOffsets('billing')), [['orders', 1, 0, '']])
      await clock.advance(500)
      await eventually(async () => (await log.groups()).length === 0)
      await log.close()
      await using again = await openAt(place, { clock })
      assert.deepEqual(await again.groups(), [])
    })

    test('offsets are kept for ever by default', async (t) => {
      const clock = new ManualClock()
      const yearMs = 365 * 24 * 60 * 60 * 1000
      const seldom = { compactionCheckIntervalMs: yearMs, retentionCheckIntervalMs: yearMs }
      await using log = await openAt(await make(t), { clock, ...seldom, topics: { orders: {} } })
      await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 0 })
      await clock.advance(yearMs)
      assert.equal((await log.committedOffsets('billing')).length, 1)
    })

    test('a group whose name is no string is refused', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      const group = undefined as unknown as string
      for (const call of ['committedOffsets', 'describeGroup', 'deleteGroup', 'lag'] as const) {
        await assert.rejects(log[call](group), /group is undefined; it must be a string/, call)
      }
    })

    test('what is asked of a group that nobody knows is refused', async (t) => {
      await using log = await openAt(await make(t), { topics: { orders: {} } })
      for (const isThereAnyGroup of [false, true]) {
        if (isThereAnyGroup) {
          await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 0 })
        }
        await assert.rejects(log.describeGroup('nobody'), { code: 'UNKNOWN_GROUP' })
        await assert.rejects(log.deleteGroup('nobody'), { code: 'UNKNOWN_GROUP' })
        await assert.rejects(log.lag('nobody'), { code: 'UNKNOWN_GROUP' })
      }
    })
  })

  describe(`resetting a group's offsets ${name}`, () => {
    async function withRecords(t: { after(f: () => Promise<void>): void }): Promise<Log> {
      const clock = new ManualClock(1_000_000)
      const log = await openAt(await make(t), { clock, topics: { orders: { partitions: 2 } } })
      for (let index = 0; index < 10; index += 1) {
        await log.produce('orders', { value: index, partition: 0 })
        await clock.advance(100)
      }
      await log.deleteRecords('orders', { partition: 0, before: 2 })
      return log
    }
    const offsetsOf = async (log: Log, group: string) =>
      (await log.committedOffsets(group)).map(({ offset }) => offset)

    test("to 'earliest' sets them to the log start, to 'latest' to the high watermark", async (t) => {
      await using log = await withRecords(t)
      assert.deepEqual(await log.resetOffsets('billing', 'orders', 'earliest'), [
        { topic: 'orders', partition: 0, offset: 2 },
        { topic: 'orders', partition: 1, offset: 0 },
      ])
      assert.deepEqual(await offsetsOf(log, 'billing'), [2, 0])
      await log.resetOffsets('billing', 'orders', 'latest')
      assert.deepEqual(await offsetsOf(log, 'billing'), [10, 0])
    })

    test('to an offset sets that offset, or the nearest end of the partition', async (t) => {
      await using log = await withRecords(t)
      await log.resetOffsets('billing', 'orders', { offset: 5 })
      assert.deepEqual(await offsetsOf(log, 'billing'), [5, 0])
      await log.resetOffsets('billing', 'orders', { offset: 0 }, [0])
      assert.deepEqual(await offsetsOf(log, 'billing'), [2, 0])
      await log.resetOffsets('billing', 'orders', { offset: 99 }, [0])
      assert.deepEqual(await offsetsOf(log, 'billing'), [10, 0])
    })

    test('to a time sets the first offset whose record is not older, or the end', async (t) => {
      await using log = await withRecords(t)
      await log.resetOffsets('billing', 'orders', { timestamp: 1_000_301 })
      assert.deepEqual(await offsetsOf(log, 'billing'), [4, 0])
      await log.resetOffsets('billing', 'orders', { timestamp: 1_000_400 })
      assert.deepEqual(await offsetsOf(log, 'billing'), [4, 0])
      await log.resetOffsets('billing', 'orders', { timestamp: 0 })
      assert.deepEqual(await offsetsOf(log, 'billing'), [2, 0])
      await log.resetOffsets('billing', 'orders', { timestamp: 2_000_000 })
      assert.deepEqual(await offsetsOf(log, 'billing'), [10, 0])
    })

    test('of some partitions leaves the others as they are', async (t) => {
      await using log = await withRecords(t)
      await log.resetOffsets('billing', 'orders', 'latest', [0])
      assert.deepEqual(plain(await log.committedOffsets('billing')), [['orders', 0, 10, '']])
    })

    test('refuses an unknown topic or partition, and a target that is none', async (t) => {
      await using log = await withRecords(t)
      await assert.rejects(log.resetOffsets('g', 'nowhere', 'earliest'), { code: 'UNKNOWN_TOPIC' })
      await assert.rejects(log.resetOffsets('g', 'orders', 'earliest', [2]), {
        code: 'UNKNOWN_PARTITION',
      })
      await assert.rejects(log.resetOffsets('g', 'orders', 'middle' as 'latest'), TypeError)
      await assert.rejects(log.resetOffsets('g', 'orders', { offset: -1 }), RangeError)
      const one = 0 as unknown as number[]
      await assert.rejects(log.resetOffsets('g', 'orders', 'earliest', one), /partitions is 0/)
      await assert.rejects(log.resetOffsets('', 'orders', 'earliest'), RangeError)
      assert.deepEqual(await log.groups(), [])
    })
  })
}

describe('the durability of commits', () => {
  test("a commit at 'disk' is there after a power cut, one at 'os' can be lost", async () => {
    const fileSystem = new FaultFileSystem()
    const clock = new ManualClock()
    const log = await openAt(
      { directory: '/data', fileSystem, killed: () => assert.fail() },
      { clock, topics: { orders: {} } },
    )
    await produceMany(log, 'orders', 10)
    const commit = { topic: 'orders', partition: 0, offset: 3 }
    const acknowledged = await log.commitOffset('safe', commit, { durability: 'disk' })
    assert.equal(acknowledged.durability, 'disk')
    await log.commitOffset('safe', { ...commit, offset: 5 })
    await log.commitOffset('quick', commit)
    const offsetAfter = async (mode: 'lose-all' | 'keep-all', group: string) => {
      const after = fileSystem.powerCut({ mode })
      await removeLock(after, '/data')
      const place = { directory: '/data', fileSystem: after, killed: () => assert.fail() }
      await using again = await openAt(place, { clock })
      return (await again.committedOffsets(group))[0]?.offset
    }
    assert.equal(await offsetAfter('lose-all', 'safe'), 3)
    assert.equal(await offsetAfter('lose-all', 'quick'), undefined)
    assert.equal(await offsetAfter('keep-all', 'safe'), 5)
    assert.equal(await offsetAfter('keep-all', 'quick'), 3)
  })
})

describe("a directory of Kafka's with groups", () => {
  test('gives all groups with the offsets, metadata and leader epochs that Kafka gives', async (t) => {
    const { groups = {} } = await loadExpected('offsets')
    await using log = await openAt(placeAt(await copyFixture('offsets', t)))
    assert.deepEqual(await log.groups(), Object.keys(groups).sort())
    for (const [group, expected] of Object.entries(groups)) {
      const offsets = (await log.committedOffsets(group)).map(
        ({ topic, partition, offset, metadata, leaderEpoch }) => [
          `${topic}-${partition}`,
          { offset, metadata, ...(leaderEpoch === -1 ? {} : { leaderEpoch }) },
        ],
      )
      assert.deepEqual(Object.fromEntries(offsets), expected.offsets, group)
      if (expected.type !== 'Classic') continue
      const { state, members } = await log.describeGroup(group)
      assert.equal(state, expected.state)
      assert.deepEqual(
        members.map(({ memberId }) => memberId).sort(),
        expected.members.map(({ memberId }) => memberId).sort(),
      )
    }
  })

  test('keeps its four partitions, and a new group goes where Kafka looks for it', async (t) => {
    await using log = await openAt(placeAt(await copyFixture('offsets', t)))
    const ends = async () =>
      (await log.describeTopic(OFFSETS)).partitions.map(({ logEndOffset }) => logEndOffset)
    const before = await ends()
    assert.equal(before.length, 4)
    const topic = log.topics()[0] ?? ''
    await log.commitOffset('billing', { topic, partition: 0, offset: 1 })
    const after = await ends()
    assert.deepEqual(
      after.map((end, partition) => end - (before[partition] ?? 0)),
      [0, 1, 0, 0],
    )
  })

  test('does not serve what a transaction has committed and not decided', async (t) => {
    const place = placeAt(await copyFixture('offsets', t))
    for (const state of ['as Kafka left it', 'reopened']) {
      await using log = await openAt(place)
      assert.deepEqual(plain(await log.committedOffsets('pending-1')), [['jobs', 0, 5, 'before']])
      assert.equal((await log.describeGroup('pending-1')).offsets.length, 1, state)
    }
  })

  test('does not serve groups that were deleted', async (t) => {
    const { deletedGroups = [] } = await loadExpected('offsets')
    assert.ok(deletedGroups.length > 0)
    await using log = await openAt(placeAt(await copyFixture('offsets', t)))
    for (const group of deletedGroups) {
      assert.deepEqual(await log.committedOffsets(group), [])
      await assert.rejects(log.describeGroup(group), { code: 'UNKNOWN_GROUP' })
    }
  })
})
