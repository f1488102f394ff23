import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stickyAssignor } from '../../src/groups/assignors/sticky.ts'
import { GroupCoordinator } from '../../src/groups/coordinator.ts'
import type { GroupMetadata } from '../../src/groups/group-metadata-format.ts'
import { encodeGroupMetadata } from '../../src/groups/group-metadata-format.ts'
import type { GroupState } from '../../src/groups/group-state.ts'
import { EMPTY_GROUP } from '../../src/groups/group-state.ts'
import { GroupStore } from '../../src/groups/group-store.ts'
import { encodeGroupKey } from '../../src/groups/offset-format.ts'
import { OffsetStore } from '../../src/groups/offset-store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { TopicPartition } from '../../src/types.ts'
import { FakeOffsetsPartition } from '../support/fake-offsets-partition.ts'

const SESSION_MS = 45_000

interface Scene {
  readonly clock: ManualClock
  readonly log: FakeOffsetsPartition
  readonly offsets: OffsetStore
  readonly store: GroupStore
  readonly told: Error[]
}

/** As a new process finds a log. */
async function open(log = new FakeOffsetsPartition(), clock = new ManualClock()): Promise<Scene> {
  const offsets = await OffsetStore.load({ partitions: [log], clock })
  const told: Error[] = []
  const store = new GroupStore({
    clock,
    stored: () => offsets,
    writable: () => offsets,
    failed: (error) => told.push(error),
  })
  return { clock, log, offsets, store, told }
}

const metadataIn = ({ offsets }: Scene, group = 'g'): GroupMetadata | undefined =>
  offsets.metadataOf(group)

/** A group whose members hand back at once what they are asked for. */
class Group {
  readonly coordinator: GroupCoordinator
  readonly owned = new Map<string, Set<string>>()

  constructor({ clock, store }: Scene, topics: ReadonlyMap<string, number>) {
    this.coordinator = new GroupCoordinator({
      clock,
      assignor: stickyAssignor,
      state: store.restore('g', clock.now()),
      store: (state) => store.store('g', state, stickyAssignor.name),
      stood: () => assert.fail('the loop does not stand still'),
    })
    this.coordinator.followTopics(topics)
  }

  join(memberId: string, groupInstanceId: string | null = null): () => void {
    const owned = new Set<string>()
    this.owned.set(memberId, owned)
    const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`
    const membership = this.coordinator.join(
      {
        memberId,
        groupInstanceId,
        clientId: 'shop',
        topics: ['t'],
        sessionTimeoutMs: SESSION_MS,
        maxPollIntervalMs: 300_000,
      },
      {
        assigned: (partitions) => {
          for (const each of partitions) owned.add(nameOf(each))
        },
        revoked: (partitions) => {
          for (const each of partitions) owned.delete(nameOf(each))
          this.coordinator.handBack(membership, partitions)
        },
        lost: () => this.owned.delete(memberId),
        failed: (error) => assert.fail(error),
      },
    )
    return () => {
      this.owned.delete(memberId)
      this.coordinator.leave(membership)
    }
  }

  has(memberId: string): string {
    return [...(this.owned.get(memberId) ?? [])].sort().join(' ')
  }
}

const TOPICS = new Map([['t', 4]])

/** What was to be done in this turn, and what it is stored by, has been done. */
async function settle({ store }: Scene): Promise<void> {
  await null
  await store.settled('g')
}

function stateOf(epoch: number): GroupState {
  return { ...EMPTY_GROUP, epoch }
}

test('a group is stored with its members, what they have told it and what they are to have', async () => {
  const scene = await open()
  const { clock } = scene
  const group = new Group(scene, TOPICS)
  group.join('m1', 'i1')
  group.join('m2')
  await settle(scene)
  const stored = metadataIn(await open(scene.log.reopened(), clock))
  const member = (memberId: string, groupInstanceId: string | null, partitions: number[]) => ({
    memberId,
    groupInstanceId,
    clientId: 'shop',
    clientHost: '/127.0.0.1',
    rebalanceTimeoutMs: 300_000,
    sessionTimeoutMs: SESSION_MS,
    subscription: {
      topics: ['t'],
      userData: null,
      ownedPartitions: [{ topic: 't', partitions }],
      generation: 1,
      rack: null,
    },
    assignment: { partitions: [{ topic: 't', partitions }], userData: null },
  })
  assert.deepEqual(stored, {
    protocolType: 'consumer',
    generation: 1,
    protocol: stickyAssignor.name,
    leader: 'm1',
    currentStateTimestamp: clock.now(),
    members: [member('m1', 'i1', [0, 2]), member('m2', null, [1, 3])],
  })
})

test('a group whose last member has left is stored as empty, with its generation and since when', async () => {
  const scene = await open()
  const group = new Group(scene, TOPICS)
  const leave = group.join('m')
  await settle(scene)
  await scene.clock.advance(5000)
  leave()
  await settle(scene)
  assert.deepEqual(metadataIn(scene), {
    protocolType: 'consumer',
    generation: 2,
    protocol: null,
    leader: null,
    currentStateTimestamp: scene.clock.now(),
    members: [],
  })
})

test('a static member that takes the place of another is stored in its place', async () => {
  const scene = await open()
  const group = new Group(scene, TOPICS)
  group.join('m1', 'i')
  await settle(scene)
  group.join('m2', 'i')
  await settle(scene)
  const { generation, members } = metadataIn(scene) ?? assert.fail()
  assert.equal(generation, 1)
  assert.deepEqual(
    members.map(({ memberId, assignment }) => [memberId, assignment?.partitions]),
    [['m2', [{ topic: 't', partitions: [0, 1, 2, 3] }]]],
  )
})

test('a poll interval without an end, and one too long for Kafka, are stored as its longest', async () => {
  const scene = await open()
  const group = new Group(scene, TOPICS)
  const listener = { assigned() {}, revoked() {}, lost() {}, failed() {} }
  const joining = { clientId: '', topics: ['t'], sessionTimeoutMs: 2 ** 40, groupInstanceId: null }
  group.coordinator.join({ ...joining, memberId: 'a', maxPollIntervalMs: 0 }, listener)
  group.coordinator.join({ ...joining, memberId: 'b', maxPollIntervalMs: 2 ** 40 }, listener)
  await settle(scene)
  const { members } = metadataIn(scene) ?? assert.fail()
  const longest = 2 ** 31 - 1
  assert.deepEqual(
    members.map((each) => [each.rebalanceTimeoutMs, each.sessionTimeoutMs]),
    [
      [longest, longest],
      [longest, longest],
    ],
  )
})

test('a thousand changes while one is being written are one record more, and the last one wins', async () => {
  const scene = await open()
  const { log, store } = scene
  const release = log.holdAcknowledgements('os')
  store.store('g', stateOf(1), 'range')
  await null
  await null
  assert.deepEqual(log.appendedCounts, [1])
  for (let epoch = 2; epoch <= 1001; epoch += 1) {
    store.store('g', stateOf(epoch), 'range')
    if (epoch % 100 === 0) await null
  }
  release()
  await store.settled('g')
  assert.deepEqual(log.appendedCounts, [1, 1])
  assert.equal(metadataIn(scene)?.generation, 1001)
})

test('a write that fails is told, keeps no later one, and is tried again at the close', async () => {
  const scene = await open()
  const { log, store, told } = scene
  log.failures.push(new Error('no room'), new Error('no room'))
  store.store('g', stateOf(1), 'range')
  await store.settled('g')
  assert.deepEqual(
    told.map(({ message }) => message),
    ['no room'],
  )
  assert.equal(metadataIn(scene), undefined)
  assert.equal(store.restore('g', scene.clock.now()).epoch, 1)
  store.store('g', stateOf(2), 'range')
  await store.settled('g')
  assert.equal(told.length, 2)
  await store.close()
  assert.equal(metadataIn(scene)?.generation, 2)
  assert.equal(told.length, 2)
})

test('a change during a write that fails is written', async () => {
  const scene = await open()
  const { log, store, told } = scene
  log.failures.push(new Error('too large'))
  store.store('g', stateOf(1), 'range')
  await null
  store.store('g', stateOf(2), 'range')
  await store.settled('g')
  assert.equal(told.length, 1)
  assert.equal(metadataIn(scene)?.generation, 2)
})

test('what could not be written of a group that is deleted is forgotten', async () => {
  const { log, store } = await open()
  log.failures.push(new Error('no room'))
  store.store('g', stateOf(1), 'range')
  await store.settled('g')
  store.forget('g')
  await store.close()
  assert.deepEqual(log.appendedCounts, [])
})

test('a group that is not known begins at no generation', async () => {
  const { store, clock } = await open()
  assert.deepEqual(store.restore('g', clock.now()), EMPTY_GROUP)
})

test('after a restart the generation goes on, and members of the process that ended have nothing', async () => {
  const first = await open()
  const before = new Group(first, TOPICS)
  before.join('m1')
  before.join('m2')
  await settle(first)
  const second = await open(first.log.reopened(), first.clock)
  const after = new Group(second, TOPICS)
  after.join('m3')
  await settle(second)
  assert.equal(after.coordinator.state.epoch, 2)
  assert.equal(after.has('m3'), 't-0 t-1 t-2 t-3')
})

test('after a restart a static member has what it had, and others have the rest meanwhile', async () => {
  const first = await open()
  const before = new Group(first, TOPICS)
  before.join('m1', 'i1')
  before.join('m2', 'i2')
  before.join('m3')
  await settle(first)
  const [had1, had2] = [before.has('m1'), before.has('m2')]
  const second = await open(first.log.reopened(), first.clock)
  await second.clock.advance(SESSION_MS - 1)
  const after = new Group(second, TOPICS)
  after.join('m4')
  await settle(second)
  for (const name of `${had1} ${had2}`.split(' ')) assert.ok(!after.has('m4').includes(name), name)
  after.join('m5', 'i1')
  assert.equal(after.has('m5'), had1)
  await settle(second)
  assert.equal(after.has('m5'), had1)
  await second.clock.advance(1)
  await settle(second)
  assert.deepEqual([...after.coordinator.state.members.keys()], ['m4', 'm5'])
  assert.equal(`${after.has('m4')} ${after.has('m5')}`.split(' ').length, 4)
})

test('a static member that alone comes back is given what the members had that are gone', async () => {
  const first = await open()
  const before = new Group(first, TOPICS)
  before.join('m1', 'i1')
  before.join('m2')
  await settle(first)
  const second = await open(first.log.reopened(), first.clock)
  const after = new Group(second, TOPICS)
  after.join('m3', 'i1')
  await settle(second)
  assert.equal(after.has('m3'), 't-0 t-1 t-2 t-3')
})

test('a static member whose session is over when the group is needed again has no place', async () => {
  const first = await open()
  const before = new Group(first, TOPICS)
  before.join('m1', 'i1')
  await settle(first)
  const second = await open(first.log.reopened(), first.clock)
  await second.clock.advance(SESSION_MS)
  assert.deepEqual(second.store.restore('g', second.clock.now()), stateOf(1))
})

test('metadata that cannot be read is told, and the group goes on above its generation', async () => {
  const whole = encodeGroupMetadata({
    protocolType: 'consumer',
    generation: 41,
    protocol: null,
    leader: null,
    currentStateTimestamp: 1,
    members: [],
  })
  const newer = Buffer.from(whole)
  newer.writeInt16BE(9, 0)
  for (const [value, epoch] of [
    [whole.subarray(0, -2), 41],
    [whole.subarray(0, 5), 0],
    [newer, 0],
  ] as const) {
    const log = new FakeOffsetsPartition()
    log.write([{ key: encodeGroupKey('g'), value: Buffer.from(value) }])
    const { store, told, clock } = await open(log)
    assert.deepEqual(store.restore('g', clock.now()), stateOf(epoch))
    assert.match(told[0]?.message ?? '', /__consumer_offsets-0, offset 0/)
  }
})
