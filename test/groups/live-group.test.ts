import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stickyAssignor } from '../../src/groups/assignors/sticky.ts'
import type { Membership } from '../../src/groups/coordinator.ts'
import { GroupCoordinator } from '../../src/groups/coordinator.ts'
import { ownersOf, positionsOf } from '../../src/groups/group-description.ts'
import { EMPTY_GROUP } from '../../src/groups/group-state.ts'
import {
  describeLiveGroup,
  requireNoMembers,
  requireNoOwners,
  requireNotSubscribed,
} from '../../src/groups/live-group.ts'
import type { GroupOffset } from '../../src/groups/types.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { TopicPartition } from '../../src/types.ts'

const LISTENER = { assigned() {}, revoked() {}, lost() {}, failed() {} }

function groupOf(clock = new ManualClock()): GroupCoordinator {
  const group = new GroupCoordinator({
    clock,
    assignor: stickyAssignor,
    state: EMPTY_GROUP,
    store: () => {},
    stood: () => {},
  })
  group.followTopics(new Map([['t', 2]]))
  return group
}

function join(group: GroupCoordinator, memberId: string, groupInstanceId?: string): Membership {
  const joining = { memberId, groupInstanceId: groupInstanceId ?? null, clientId: 'shop' }
  const times = { sessionTimeoutMs: 1000, maxPollIntervalMs: 5000 }
  return group.join({ ...joining, ...times, topics: ['t'] }, LISTENER)
}

function partition(topic: string, number: number): TopicPartition {
  return { topic, partition: number }
}

function offset(topic: string, number: number): GroupOffset {
  const committed = { offset: 7, metadata: '', leaderEpoch: -1, commitTimestamp: 1 }
  return { ...partition(topic, number), ...committed }
}

test('a group is described by what its members have, and by how far a rebalance has come', async () => {
  const group = groupOf()
  const described = () => {
    const { state, generation, members } = describeLiveGroup('g', group, [])
    const owners = [...ownersOf(members)].map(([name, { memberId }]) => `${name} ${memberId}`)
    return [state, generation, ...owners.sort()]
  }
  assert.deepEqual(described(), ['Empty', 0])
  join(group, 'a')
  assert.deepEqual(described(), ['PreparingRebalance', 0])
  await null
  assert.deepEqual(described(), ['Stable', 1, 't-0 a', 't-1 a'])
  join(group, 'b')
  assert.deepEqual(described(), ['PreparingRebalance', 1, 't-0 a', 't-1 a'])
  await null
  assert.deepEqual(described(), ['CompletingRebalance', 2, 't-0 a', 't-1 a'])
  const [revoking] = group.state.members.get('a')?.revoking.values() ?? []
  group.handBack({ memberId: 'a', busySinceMs: undefined, listener: LISTENER }, [
    revoking ?? assert.fail('nothing is asked back'),
  ])
  assert.equal(described()[0], 'Stable')
  assert.deepEqual(
    new Set(
      described()
        .slice(2)
        .map((each) => `${each}`.at(-1)),
    ),
    new Set('ab'),
  )
})

test('a description says who the members are, what they read and by whom it was assigned', async () => {
  const group = groupOf()
  join(group, 'a', 'i')
  await null
  const { members, ...rest } = describeLiveGroup('g', group, [offset('t', 1)])
  assert.deepEqual(rest, {
    group: 'g',
    state: 'Stable',
    protocolType: 'consumer',
    generation: 1,
    protocol: stickyAssignor.name,
    leader: 'a',
    offsets: [offset('t', 1)],
  })
  const [{ memberId, groupInstanceId, clientId, sessionTimeoutMs, subscription } = assert.fail()] =
    members
  assert.deepEqual(
    [memberId, groupInstanceId, clientId, sessionTimeoutMs, subscription?.topics],
    ['a', 'i', 'shop', 1000, ['t']],
  )
})

test('a static member that is away has what is kept for it, and is a member', async () => {
  const clock = new ManualClock()
  const group = groupOf(clock)
  group.leave(join(group, 'a', 'i'))
  await null
  const { state, members } = describeLiveGroup('g', group, [])
  assert.equal(state, 'Stable')
  assert.deepEqual([...ownersOf(members).keys()], ['t-0', 't-1'])
  assert.throws(() => requireNoMembers('g', group, 'no'), { code: 'GROUP_NOT_EMPTY' })
  await clock.advance(1000)
  assert.equal(describeLiveGroup('g', group, []).state, 'Empty')
  requireNoMembers('g', group, 'no')
})

test('a commit by hand is refused for what a member has or is to have, and for nothing else', async () => {
  const group = groupOf()
  join(group, 'a')
  requireNoOwners('g', group, [partition('t', 0)])
  await null
  assert.throws(() => requireNoOwners('g', group, [partition('u', 0), partition('t', 0)]), {
    code: 'FENCED',
    message: /t-0 belongs to the member a of the group "g"/,
  })
  requireNoOwners('g', group, [partition('t', 2), partition('u', 0)])
  requireNoOwners('g', undefined, [partition('t', 0)])
  const before = group.state
  join(group, 'b')
  await null
  const target = [...(group.state.target.get('b')?.values() ?? [])]
  assert.throws(() => requireNoOwners('g', group, target), { code: 'FENCED' })
  assert.notEqual(group.state, before)
})

test('offsets of a topic that a member is subscribed to are not deleted', () => {
  const group = groupOf()
  requireNotSubscribed('g', group, [partition('t', 0)])
  join(group, 'a')
  assert.throws(() => requireNotSubscribed('g', group, [partition('u', 0), partition('t', 9)]), {
    code: 'GROUP_NOT_EMPTY',
    message: /subscribed to t/,
  })
  requireNotSubscribed('g', group, [partition('u', 0)])
})

test('a group is somewhere in what it has committed for and in what a member has, by topic and partition', () => {
  const owners = new Map(
    [partition('t', 10), partition('t', 2)].map((each) => [
      `${each.topic}-${each.partition}`,
      { ...each, memberId: 'a' },
    ]),
  )
  const positions = positionsOf([offset('u', 0), offset('t', 2), offset('s', 1)], owners)
  assert.deepEqual(
    positions.map((each) => [each.topic, each.partition, each.offset]),
    [
      ['s', 1, 7],
      ['t', 2, 7],
      ['t', 10, undefined],
      ['u', 0, 7],
    ],
  )
})
