import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { GroupMetadata } from '../../src/groups/group-metadata-format.ts'
import { encodeGroupMetadata } from '../../src/groups/group-metadata-format.ts'
import type { GroupMemberState, GroupState } from '../../src/groups/group-state.ts'
import { EMPTY_GROUP } from '../../src/groups/group-state.ts'
import { GroupStore } from '../../src/groups/group-store.ts'
import type { LiveGroup } from '../../src/groups/live-group.ts'
import { NO_LIVE_GROUPS } from '../../src/groups/live-group.ts'
import { expireOffsets } from '../../src/groups/offset-expirer.ts'
import {
  encodeGroupKey,
  encodeOffsetKey,
  encodeOffsetValue,
} from '../../src/groups/offset-format.ts'
import { OffsetStore } from '../../src/groups/offset-store.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { FakeOffsetsPartition } from '../support/fake-offsets-partition.ts'

const RETENTION_MS = 1000

class Scene {
  readonly clock: ManualClock
  readonly log: FakeOffsetsPartition
  readonly offsets: OffsetStore
  readonly store: GroupStore
  readonly live = new Map<string, LiveGroup>()

  constructor(clock: ManualClock, log: FakeOffsetsPartition, offsets: OffsetStore) {
    this.clock = clock
    this.log = log
    this.offsets = offsets
    this.store = new GroupStore({
      clock,
      stored: () => offsets,
      writable: () => offsets,
      failed: (error) => assert.fail(error),
    })
  }

  static async open(clock = new ManualClock(), log = new FakeOffsetsPartition()): Promise<Scene> {
    return new Scene(clock, log, await OffsetStore.load({ partitions: [log], clock }))
  }

  reopened(): Promise<Scene> {
    return Scene.open(this.clock, this.log.reopened())
  }

  commit(topic: string, partition = 0): Promise<unknown> {
    return this.offsets.commit('g', [{ topic, partition, offset: 7 }])
  }

  /** As a consumer of this process changes it. */
  async become(state: GroupState): Promise<void> {
    this.live.set('g', { state, assignor: 'range' })
    this.store.store('g', state, 'range')
    await this.store.settled('g')
  }

  /** What is left of the group after another look, and after a restart then. */
  async expire(): Promise<string> {
    const live = {
      find: (group: string) => this.live.get(group),
      names: () => this.live.keys(),
      forget: (group: string) => void this.live.delete(group),
    }
    const { clock, offsets, store: groupStore } = this
    await expireOffsets({ clock, offsets, groupStore, live, retentionMs: RETENTION_MS })
    const left = leftIn(offsets)
    assert.equal(leftIn((await this.reopened()).offsets), left)
    return left
  }
}

function leftIn(offsets: OffsetStore): string {
  if (!offsets.has('g')) return 'nothing'
  const { state } = offsets.describe('g')
  return [state, ...offsets.offsetsOf('g').map(({ topic }) => topic)].join(' ')
}

function memberState(
  groupInstanceId: string | null,
  topics: readonly string[],
  sessionTimeoutMs = 400,
): GroupMemberState {
  return {
    memberId: 'm',
    groupInstanceId,
    clientId: '',
    topics,
    sessionTimeoutMs,
    maxPollIntervalMs: 1,
    owned: new Map(),
    revoking: new Map(),
    busySinceMs: undefined,
    awayUntilMs: undefined,
  }
}

function withMember(member: GroupMemberState): GroupState {
  return { ...EMPTY_GROUP, epoch: 1, members: new Map([[member.memberId, member]]) }
}

suite('of a group that never had members', () => {
  test('each offset goes when its commit is old enough, and the group with the last', async () => {
    const scene = await Scene.open()
    await scene.commit('a')
    await scene.clock.advance(400)
    await scene.commit('b')
    await scene.clock.advance(599)
    assert.equal(await scene.expire(), 'Empty a b')
    await scene.clock.advance(1)
    assert.equal(await scene.expire(), 'Empty b')
    await scene.commit('b')
    await scene.clock.advance(999)
    assert.equal(await scene.expire(), 'Empty b')
    await scene.clock.advance(1)
    assert.equal(await scene.expire(), 'nothing')
    // A broker that replays it has no group either.
    const { key, value } = scene.log.records().at(-1) ?? assert.fail()
    assert.deepEqual([key, value], [encodeGroupKey('g'), null])
  })
})

suite('of a group of consumers', () => {
  test('all offsets go when it has been empty for long enough', async () => {
    const scene = await Scene.open()
    await scene.become(withMember(memberState(null, ['a', 'b'])))
    await scene.commit('a')
    await scene.commit('b')
    await scene.clock.advance(5000)
    await scene.become({ ...EMPTY_GROUP, epoch: 2 })
    await scene.clock.advance(999)
    assert.equal(await scene.expire(), 'Empty a b')
    await scene.clock.advance(1)
    assert.equal(await scene.expire(), 'nothing')
  })

  test('an offset that was committed later, by hand, goes by the time of its commit', async () => {
    const scene = await Scene.open()
    await scene.become(withMember(memberState(null, ['a'])))
    await scene.commit('a')
    await scene.become({ ...EMPTY_GROUP, epoch: 2 })
    await scene.clock.advance(400)
    await scene.commit('b')
    await scene.clock.advance(600)
    assert.equal(await scene.expire(), 'Empty b')
    await scene.clock.advance(400)
    assert.equal(await scene.expire(), 'nothing')
  })

  test('with members, offsets go only of topics that none is subscribed to', async () => {
    const scene = await Scene.open()
    await scene.become(withMember(memberState(null, ['a'])))
    await scene.commit('a')
    await scene.commit('b')
    await scene.clock.advance(999)
    assert.equal(await scene.expire(), 'Stable a b')
    await scene.clock.advance(1)
    assert.equal(await scene.expire(), 'Stable a')
    await scene.clock.advance(5000)
    assert.equal(await scene.expire(), 'Stable a')
  })

  test('whose process was killed, it is empty from the first look on, and stored so', async () => {
    const first = await Scene.open()
    await first.become(withMember(memberState(null, ['a'])))
    await first.commit('a')
    await first.clock.advance(5000)
    const second = await first.reopened()
    assert.equal(leftIn(second.offsets), 'Stable a')
    assert.equal(await second.expire(), 'Empty a')
    assert.equal(second.offsets.metadataOf('g')?.generation, 1)
    await second.clock.advance(999)
    assert.equal(await (await second.reopened()).expire(), 'Empty a')
    await second.clock.advance(1)
    assert.equal(await (await second.reopened()).expire(), 'nothing')
  })

  test('whose process was killed, a static member is waited for as long as its session lasts', async () => {
    const first = await Scene.open()
    await first.become(withMember(memberState('i', ['a'])))
    await first.commit('a')
    const second = await first.reopened()
    await second.clock.advance(399)
    assert.equal(await second.expire(), 'Stable a')
    await second.clock.advance(1)
    assert.equal(await second.expire(), 'Empty a')
  })

  test('that nothing is left of, it goes as soon as it is empty', async () => {
    const scene = await Scene.open()
    await scene.become(withMember(memberState(null, ['a'])))
    assert.equal(await scene.expire(), 'Stable')
    await scene.become({ ...EMPTY_GROUP, epoch: 2 })
    assert.equal(await scene.expire(), 'nothing')
  })

  test('it is left to its coordinator to store that the last member has gone', async () => {
    const scene = await Scene.open()
    await scene.become(withMember(memberState(null, ['a'])))
    scene.live.set('g', { state: { ...EMPTY_GROUP, epoch: 2 }, assignor: 'range' })
    assert.equal(await scene.expire(), 'Stable')
  })
})

test('a commit, and a member, that come while the offsets are being looked at keep them', async () => {
  const scene = await Scene.open()
  await scene.commit('a')
  await scene.clock.advance(RETENTION_MS)
  const commit = scene.commit('a')
  assert.equal(await scene.expire(), 'Empty a')
  await commit
  await scene.clock.advance(RETENTION_MS)
  const release = scene.log.holdAcknowledgements('os')
  const other = scene.commit('b')
  const expired = scene.expire()
  scene.live.set('g', { state: withMember(memberState(null, ['a'])), assignor: 'range' })
  release()
  await other
  assert.equal(await expired, 'Empty a b')
})

test('a group of another protocol whose members are gone keeps what else is known of it', async () => {
  const connect: GroupMetadata = {
    protocolType: 'connect',
    generation: 3,
    protocol: 'sessioned',
    leader: 'w',
    currentStateTimestamp: 5,
    members: [
      {
        memberId: 'w',
        groupInstanceId: 'i',
        clientId: '',
        clientHost: '',
        rebalanceTimeoutMs: 1,
        sessionTimeoutMs: 1,
        subscription: undefined,
        assignment: undefined,
      },
    ],
  }
  const log = new FakeOffsetsPartition()
  log.write([{ key: encodeGroupKey('g'), value: encodeGroupMetadata(connect) }])
  const scene = await Scene.open(new ManualClock(), log)
  assert.equal(await scene.expire(), 'Empty')
  const currentStateTimestamp = scene.clock.now()
  assert.deepEqual(scene.offsets.metadataOf('g'), {
    ...connect,
    protocol: null,
    leader: null,
    members: [],
    currentStateTimestamp,
  })
})

test('nothing goes of a group whose metadata cannot be read', async () => {
  const log = new FakeOffsetsPartition()
  log.write([{ key: encodeGroupKey('g'), value: Buffer.from([0, 99]) }])
  const { clock, ...scene } = await Scene.open(new ManualClock(), log)
  await scene.offsets.commit('g', [{ topic: 'a', partition: 0, offset: 7 }])
  await clock.advance(10 * RETENTION_MS)
  const { offsets, store: groupStore } = scene
  const options = { clock, offsets, groupStore, live: NO_LIVE_GROUPS, retentionMs: RETENTION_MS }
  await expireOffsets(options)
  assert.equal(scene.offsets.offsetsOf('g').length, 1)
})

test('what an undecided transaction has committed holds what it would replace, and the group', async () => {
  const log = new FakeOffsetsPartition()
  const committed = { offset: 9, metadata: '', leaderEpoch: -1, commitTimestamp: 1 }
  const producer = { producerId: 5, producerEpoch: 0 }
  log.write([
    { key: encodeOffsetKey('g', 'a', 0), value: encodeOffsetValue(committed) },
    { key: encodeOffsetKey('g', 'b', 0), value: encodeOffsetValue(committed) },
    { key: encodeOffsetKey('other', 'b', 0), value: encodeOffsetValue(committed) },
  ])
  log.write([{ key: encodeOffsetKey('g', 'a', 0), value: encodeOffsetValue(committed) }], producer)
  const scene = await Scene.open(new ManualClock(), log)
  assert.equal(await scene.expire(), 'Empty a')
  assert.equal(scene.offsets.has('other'), false)
  log.writeMarker(5, 'abort')
  const after = await scene.reopened()
  assert.equal(await after.expire(), 'nothing')
})
