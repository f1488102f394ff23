// What is told of a group at work, what is refused while it has members, and what of it is there after a restart.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { Consumer, ConsumerOptions, GroupDescription, LogError } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { ManualClock } from '../../src/testing/index.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { eventually } from '../support/log-places.ts'
import type { Place } from '../support/on-disk-and-in-memory.ts'
import { onDiskAndInMemory } from '../support/on-disk-and-in-memory.ts'

const SESSION_MS = 45_000

/** A log with a topic of so many partitions, with a record in each. */
async function filled(place: Place, partitions: number): Promise<Log> {
  const log: Log = (await place.open({ topics: { orders: { partitions } } })) as unknown as Log
  for (let partition = 0; partition < partitions; partition += 1) {
    await log.produce('orders', { value: partition, partition })
  }
  return log
}

interface Member {
  readonly consumer: Consumer
  /** Done with the record in hand. */
  more(): Promise<unknown>
  /** As `break` leaves a loop. */
  leave(): Promise<unknown>
}

/** A consumer that has joined, and has a record in hand. */
async function joined(log: Log, options: Partial<ConsumerOptions> = {}): Promise<Member> {
  const consumer = log.consumer({ group: 'billing', topics: ['orders'], ...options })
  const records = consumer[Symbol.asyncIterator]()
  await records.next()
  return {
    consumer,
    more: () => records.next(),
    leave: async () => await records.return?.(),
  }
}

/** Waits until a reader beside finds what is true of the group. */
async function untilStored(
  place: Place,
  isTrue: (description: GroupDescription) => boolean,
): Promise<void> {
  await eventually(async () => {
    const beside: Log = await place.open({ readOnly: true })
    const groups = await beside.groups()
    const isThere = groups.length > 0 && isTrue(await beside.describeGroup('billing'))
    await beside.close()
    return isThere
  }, 'what is stored of the group')
}

const isStable = ({ state }: GroupDescription): boolean => state === 'Stable'

function ownersIn({ partitions }: GroupDescription): (string | undefined)[] {
  return partitions.map(({ owner }) => owner)
}

function assignedIn({ members }: GroupDescription): Record<string, readonly number[]> {
  return Object.fromEntries(
    members.map(({ clientId, assignment }) => [
      clientId,
      assignment?.partitions.flatMap(({ partitions }) => partitions) ?? [],
    ]),
  )
}

const refused = (code: string) => ({ name: 'LogError', code })

suite('a group at work', () => {
  onDiskAndInMemory('is described by its members and what they have', async (place) => {
    const log = await filled(place, 2)
    const { consumer } = await joined(log, { clientId: 'shop', instanceId: 'till-1' })
    const { members, partitions, ...rest } = await log.describeGroup('billing')
    assert.deepEqual(rest, {
      group: 'billing',
      state: 'Stable',
      protocolType: 'consumer',
      generation: 1,
      protocol: 'cooperative-sticky',
      leader: consumer.memberId,
      offsets: [],
      lagRecords: 0,
      lagMs: 0,
    })
    assert.equal(members.length, 1)
    const { subscription, assignment, ...member } = members[0] ?? assert.fail()
    assert.deepEqual(member, {
      memberId: consumer.memberId,
      groupInstanceId: 'till-1',
      clientId: 'shop',
      clientHost: '/127.0.0.1',
      rebalanceTimeoutMs: 300_000,
      sessionTimeoutMs: SESSION_MS,
    })
    assert.deepEqual(subscription?.topics, ['orders'])
    assert.deepEqual(assignment?.partitions, [{ topic: 'orders', partitions: [0, 1] }])
    assert.deepEqual(
      partitions.map((each) => [each.partition, each.committedOffset, each.owner]),
      [
        [0, undefined, consumer.memberId],
        [1, undefined, consumer.memberId],
      ],
    )
    assert.deepEqual(await log.groups(), ['billing'])
  })

  onDiskAndInMemory('is described with its lag, partition by partition', async (place) => {
    const log = await filled(place, 2)
    const { consumer, ...member } = await joined(log, { autoCommit: false })
    await place.clock.advance(5000)
    await member.more()
    await consumer.commit()
    await log.produce('orders', { value: 'one more', partition: 0 })
    const { partitions, lagRecords, lagMs } = await log.describeGroup('billing')
    assert.deepEqual(
      partitions.map((each) => [each.committedOffset, each.endOffset, each.lagRecords]),
      [
        [1, 2, 1],
        [undefined, 1, undefined],
      ],
    )
    assert.deepEqual([lagRecords, lagMs], [1, 0])
  })

  onDiskAndInMemory('tells how far a rebalance has come', async (place) => {
    const log = await filled(place, 2)
    const mayGo = new Deferred<void>()
    const first = await joined(log, { onRevoked: () => mayGo.promise })
    assert.equal((await log.describeGroup('billing')).state, 'Stable')
    const joining = joined(log)
    void first.more().catch(() => {})
    const isIn = (state: string) => async () => (await log.describeGroup('billing')).state === state
    await eventually(isIn('CompletingRebalance'), 'a rebalance under way')
    mayGo.resolve()
    const second = await joining
    await eventually(isIn('Stable'), 'the end of the rebalance')
    const described = await log.describeGroup('billing')
    assert.deepEqual(
      new Set(ownersIn(described)),
      new Set([first.consumer.memberId, second.consumer.memberId]),
    )
    assert.equal(described.generation, 2)
  })

  onDiskAndInMemory('is empty when its members have left, also after a restart', async (place) => {
    const log = await filled(place, 2)
    const member = await joined(log)
    await member.more()
    await member.leave()
    const before = await log.describeGroup('billing')
    assert.deepEqual([before.state, before.generation, before.members], ['Empty', 2, []])
    assert.equal(before.offsets.length, 1)
    const again: Log = await place.reopen(log)
    assert.deepEqual(await again.describeGroup('billing'), before)
  })

  onDiskAndInMemory('closed with its log, it is stored as empty', async (place) => {
    const log = await filled(place, 1)
    await joined(log)
    const again: Log = await place.reopen(log)
    const { state, generation } = await again.describeGroup('billing')
    assert.deepEqual([state, generation], ['Empty', 2])
  })

  onDiskAndInMemory('is seen by a reader beside it, as it was stored last', async (place) => {
    const log = await filled(place, 1)
    const { consumer } = await joined(log)
    await untilStored(place, (stored) => ownersIn(stored)[0] === consumer.memberId)
  })
})

suite('while a group has members', () => {
  onDiskAndInMemory('it is not deleted, and not reset', async (place) => {
    const log = await filled(place, 2)
    const member = await joined(log)
    await assert.rejects(log.deleteGroup('billing'), refused('GROUP_NOT_EMPTY'))
    await assert.rejects(
      log.resetOffsets('billing', 'orders', 'latest'),
      refused('GROUP_NOT_EMPTY'),
    )
    await member.leave()
    await log.resetOffsets('billing', 'orders', 'latest')
    await log.deleteGroup('billing')
    await assert.rejects(log.describeGroup('billing'), refused('UNKNOWN_GROUP'))
    const again: Log = await place.reopen(log)
    assert.deepEqual(await again.groups(), [])
  })

  onDiskAndInMemory('and once it is deleted, it is another one', async (place) => {
    const log = await filled(place, 1)
    await (await joined(log)).leave()
    await log.deleteGroup('billing')
    await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 0 })
    const { protocolType, generation } = await log.describeGroup('billing')
    assert.deepEqual([protocolType, generation], ['', -1])
    const { consumer, leave } = await joined(log)
    assert.equal((await log.describeGroup('billing')).generation, 1)
    assert.deepEqual(consumer.assignment(), [{ topic: 'orders', partition: 0 }])
    await leave()
  })

  onDiskAndInMemory('a static one that is away is a member', async (place) => {
    const log = await filled(place, 1)
    await (await joined(log, { instanceId: 'till-1' })).leave()
    await assert.rejects(log.deleteGroup('billing'), refused('GROUP_NOT_EMPTY'))
    const { state, members } = await log.describeGroup('billing')
    assert.deepEqual([state, members[0]?.groupInstanceId], ['Stable', 'till-1'])
    await place.clock.advance(SESSION_MS)
    await eventually(async () => (await log.describeGroup('billing')).state === 'Empty')
    await log.deleteGroup('billing')
  })

  onDiskAndInMemory('nobody commits by hand for what is theirs', async (place) => {
    const log = await filled(place, 1)
    await log.createTopic('other')
    const commit = { topic: 'orders', partition: 0, offset: 1 }
    await log.commitOffset('billing', commit)
    await log.produce('orders', { value: 'more' })
    const member = await joined(log)
    await assert.rejects(log.commitOffset('billing', commit), refused('FENCED'))
    await log.commitOffset('billing', { ...commit, topic: 'other', offset: 0 })
    await member.leave()
    await log.commitOffset('billing', commit)
  })

  onDiskAndInMemory('offsets of what they are subscribed to are not deleted', async (place) => {
    const log = await filled(place, 1)
    const orders = { topic: 'orders', partition: 0 }
    await log.commitOffset('billing', { ...orders, offset: 0 })
    await joined(log)
    await assert.rejects(log.deleteOffsets('billing', [orders]), refused('GROUP_NOT_EMPTY'))
    assert.equal((await log.committedOffsets('billing')).length, 1)
  })
})

suite('after a process was killed', () => {
  onDiskAndInMemory('the generation goes on, and its members have nothing', async (place) => {
    const log = await filled(place, 2)
    const { consumer } = await joined(log, { clientId: 'a' })
    await untilStored(place, isStable)
    const killed = await place.killed()
    const again: Log = await killed.open()
    const { generation, leader } = await again.describeGroup('billing')
    assert.deepEqual([generation, leader], [1, consumer.memberId])
    await joined(again, { clientId: 'b' })
    const described = await again.describeGroup('billing')
    assert.equal(described.generation, 2)
    assert.deepEqual(assignedIn(described), { b: [0, 1] })
  })

  onDiskAndInMemory('a static member finds its partitions within its session', async (place) => {
    const log = await filled(place, 4)
    const first = await joined(log, { clientId: 'a', instanceId: 'i-a' })
    const joining = joined(log, { clientId: 'b', instanceId: 'i-b' })
    void first.more().catch(() => {})
    await joining
    const before = assignedIn(await log.describeGroup('billing'))
    await untilStored(place, ({ members }) => members.length === 2)
    const killed = await place.killed()
    const again: Log = await killed.open()
    await killed.clock.advance(SESSION_MS - 1)
    await joined(again, { clientId: 'b', instanceId: 'i-b' })
    const described = await again.describeGroup('billing')
    assert.deepEqual(assignedIn(described), before)
    await killed.clock.advance(1)
    await eventually(async () => (await again.describeGroup('billing')).members.length === 1)
    assert.deepEqual(assignedIn(await again.describeGroup('billing')), { b: [0, 1, 2, 3] })
  })

  onDiskAndInMemory('a group that is deleted stays so, whatever it was before', async (place) => {
    const log = await filled(place, 1)
    await joined(log)
    await untilStored(place, isStable)
    const killed = await place.killed()
    const again: Log = await killed.open()
    await again.deleteGroup('billing')
    assert.deepEqual(await again.groups(), [])
  })
})

suite('offsets of a group of consumers', () => {
  const times = { offsetsRetentionMs: 10_000, offsetsRetentionCheckIntervalMs: 100 }

  onDiskAndInMemory(
    'stay while it has members, and go so long after the last left',
    async (place) => {
      const filling = await filled(place, 1)
      const log: Log = await place.reopen(filling, times)
      const { consumer, ...member } = await joined(log)
      await consumer.commit()
      void member.more().catch(() => {})
      await place.clock.advance(60_000)
      await consumer.commit()
      assert.equal((await log.committedOffsets('billing')).length, 1)
      await member.leave()
      await place.clock.advance(9000)
      assert.equal((await log.committedOffsets('billing')).length, 1)
      await place.clock.advance(1000)
      await eventually(async () => (await log.groups()).length === 0, 'the end of the group')
      const again: Log = await place.reopen(log)
      assert.deepEqual(await again.groups(), [])
    },
  )
})

test('a group that cannot be stored is told, works on, and is stored when it can be', async () => {
  const fileSystem = new FaultFileSystem()
  const clock = new ManualClock()
  const options = { fileSystem, clock, topics: { orders: {} } }
  const log: Log = (await Log.open('/data', options)) as unknown as Log
  const told: unknown[] = []
  log.on('failure', ({ error }) => told.push((error as LogError).code))
  await log.produce('orders', [{ value: 1 }, { value: 2 }])
  await log.commitOffset('billing', { topic: 'orders', partition: 0, offset: 0 })
  fileSystem.capacityBytes = fileSystem.usedBytes
  const { more } = await joined(log, { autoCommit: false })
  await eventually(() => told.length > 0, 'what is told of the write that failed')
  assert.deepEqual(told, ['DISK_FULL'])
  await more()
  assert.equal((await log.describeGroup('billing')).generation, 1)
  fileSystem.capacityBytes = Number.POSITIVE_INFINITY
  await log.close()
  assert.deepEqual(told, ['DISK_FULL'])
  await using again: Log = (await Log.open('/data', options)) as unknown as Log
  const { state, generation } = await again.describeGroup('billing')
  assert.deepEqual([state, generation], ['Empty', 2])
})
