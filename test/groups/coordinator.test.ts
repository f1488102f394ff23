import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Assignor } from '../../src/groups/assignors/assignor.ts'
import { checkedAssignor } from '../../src/groups/assignors/checked.ts'
import { stickyAssignor } from '../../src/groups/assignors/sticky.ts'
import type { Membership } from '../../src/groups/coordinator.ts'
import { GroupCoordinator } from '../../src/groups/coordinator.ts'
import { EMPTY_GROUP } from '../../src/groups/group-state.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type { Clock, TopicPartition } from '../../src/types.ts'

const MAX_POLL_MS = 10_000

const namesOf = (partitions: readonly TopicPartition[]): string =>
  partitions.map(({ topic, partition }) => `${topic}-${partition}`).join(' ')

class Group {
  readonly told: string[] = []
  readonly stored: number[] = []
  readonly stoodMs: number[] = []
  readonly coordinator: GroupCoordinator

  constructor(clock: Clock, assignor: Assignor = stickyAssignor) {
    this.coordinator = new GroupCoordinator({
      clock,
      assignor,
      state: EMPTY_GROUP,
      store: ({ epoch }) => this.stored.push(epoch),
      stood: (durationMs) => this.stoodMs.push(durationMs),
    })
    this.coordinator.followTopics(new Map([['t', 4]]))
  }

  /** A member that hands back at once what it is asked for. */
  join(memberId: string, groupInstanceId: string | null = null): Membership {
    const tell = (what: string, partitions: readonly TopicPartition[]): unknown =>
      this.told.push(`${memberId} ${what} ${namesOf(partitions)}`)
    const joining = {
      memberId,
      groupInstanceId,
      clientId: 'test',
      topics: ['t'],
      sessionTimeoutMs: 1000,
      maxPollIntervalMs: MAX_POLL_MS,
    }
    const membership = this.coordinator.join(joining, {
      assigned: (partitions) => tell('has', partitions),
      revoked: (partitions) => {
        tell('gives', partitions)
        this.coordinator.handBack(membership, partitions)
      },
      lost: (partitions, reason) => tell(reason, partitions),
      failed: (error) => this.told.push(`${memberId} failed: ${error.message}`),
    })
    return membership
  }
}

test('members that join in one turn are assigned once, and what is handed back is given on', async () => {
  const group = new Group(new ManualClock())
  group.join('a')
  assert.deepEqual(group.told, [])
  await null
  assert.deepEqual(group.told.splice(0), ['a has t-0 t-1 t-2 t-3'])
  group.join('b')
  group.join('c')
  await null
  assert.deepEqual(group.told, ['a gives t-2 t-3', 'b has t-3', 'c has t-2'])
  assert.deepEqual(group.stored, [1, 2])
})

test('a member that does not come back for more is out; while all wait there is no timer', async () => {
  const clock = new ManualClock()
  const group = new Group(clock)
  const [a, b] = [group.join('a'), group.join('b')]
  await null
  assert.equal(clock.pendingTimers, 0)
  group.told.length = 0
  group.coordinator.busy(a)
  group.coordinator.busy(b)
  await clock.advance(6000)
  group.coordinator.idle(a)
  group.coordinator.busy(a)
  await clock.advance(MAX_POLL_MS - 6000)
  assert.deepEqual(group.told, ['b expired t-1 t-3', 'a has t-1 t-3'])
  assert.equal(group.coordinator.fenceOf(b, { topic: 't', partition: 1 }), 'member')
  group.coordinator.idle(a)
  await clock.advance(MAX_POLL_MS)
  assert.equal(clock.pendingTimers, 0)
})

test('time for which the event loop stood still is told, and does not count', async () => {
  const clock = new ManualClock()
  const group = new Group(clock)
  const a = group.join('a')
  await null
  group.coordinator.busy(a)
  await clock.advance(500)
  // A handler that blocks the loop: the clock goes on, and no timer fires.
  clock.setTime(clock.now() + 2 * MAX_POLL_MS)
  await clock.advance(500)
  assert.deepEqual(group.stoodMs, [2 * MAX_POLL_MS])
  await clock.advance(MAX_POLL_MS - 1001)
  assert.deepEqual(group.told, ['a has t-0 t-1 t-2 t-3'])
  await clock.advance(1)
  assert.deepEqual(group.told.slice(1), ['a expired t-0 t-1 t-2 t-3'])
})

test('who was handed records after the loop stood still, and before that was seen, has no more time than from then on', async () => {
  const clock = new ManualClock()
  const group = new Group(clock)
  const a = group.join('a')
  await null
  group.coordinator.busy(a)
  clock.setTime(clock.now() + 100 * MAX_POLL_MS)
  group.coordinator.idle(a)
  group.coordinator.busy(a)
  await clock.advance(MAX_POLL_MS + 999)
  assert.deepEqual(group.told, ['a has t-0 t-1 t-2 t-3'])
  await clock.advance(1)
  assert.deepEqual(group.told.slice(1), ['a expired t-0 t-1 t-2 t-3'])
})

test('by a clock that is set back nobody has more time than from then on, and no loop stood still', async () => {
  const clock = new ManualClock()
  const group = new Group(clock)
  const a = group.join('a')
  await null
  group.coordinator.busy(a)
  await clock.advance(500)
  clock.setTime(clock.now() - 100 * MAX_POLL_MS)
  const b = group.join('b')
  await null
  group.coordinator.busy(b)
  group.told.length = 0
  await clock.advance(MAX_POLL_MS - 1)
  assert.deepEqual(group.told, [])
  await clock.advance(1)
  assert.deepEqual(group.told.splice(0), ['b expired t-2 t-3', 'a has t-2 t-3'])
  // Seen at the next look, half a second after.
  await clock.advance(500)
  assert.deepEqual(group.told, ['a expired t-0 t-1 t-2 t-3'])
  assert.deepEqual(group.stoodMs, [])
})

test('an assignor that has failed once is asked again when something changes', async () => {
  let failures = 1
  const assignor: Assignor = {
    name: 'own',
    assign(input) {
      failures -= 1
      if (failures >= 0) throw new Error('not today')
      return stickyAssignor.assign(input)
    },
  }
  const group = new Group(new ManualClock(), assignor)
  group.join('a')
  await null
  assert.deepEqual(group.told.splice(0), ['a failed: not today'])
  group.join('b')
  await null
  assert.deepEqual(group.told, ['a has t-0 t-2', 'b has t-1 t-3'])
})

test('an assignor is not asked who has what when nobody is left', async () => {
  const assignor: Assignor = {
    name: 'own',
    assign({ members: [first] }) {
      if (first === undefined) throw new Error('no members')
      return new Map([[first.memberId, [{ topic: 't', partitions: [0, 1, 2, 3] }]]])
    },
  }
  const group = new Group(new ManualClock(), assignor)
  const a = group.join('a')
  await null
  group.coordinator.leave(a)
  await null
  assert.deepEqual(group.stored, [1, 2])
  assert.equal(group.coordinator.state.members.size, 0)
})

test('a coordinator that was closed stores nothing more and sets no timer', async () => {
  const clock = new ManualClock()
  const group = new Group(clock)
  const [a, b] = [group.join('a', 'i'), group.join('b')]
  await null
  group.coordinator.leave(a)
  group.coordinator.leave(b)
  group.coordinator.close()
  await null
  assert.deepEqual(group.stored, [1])
  assert.equal(clock.pendingTimers, 0)
})

test('an assignor that gives what cannot be is told to all members, and nothing changes', async () => {
  const wrong: [string, Map<string, { topic: string; partitions: number[] }[]>][] = [
    ['t-0 twice', new Map([['a', [{ topic: 't', partitions: [0, 0] }]]])],
    ['t-4, which is not there', new Map([['a', [{ topic: 't', partitions: [4] }]]])],
    ['u to a, which has not subscribed to it', new Map([['a', [{ topic: 'u', partitions: [0] }]]])],
    ['partitions to z, which is no member', new Map([['z', [{ topic: 't', partitions: [0] }]]])],
  ]
  for (const [what, assignment] of wrong) {
    const assignor = checkedAssignor({ name: 'own', assign: () => assignment })
    const group = new Group(new ManualClock(), assignor)
    group.join('a')
    await null
    assert.deepEqual(group.told, [`a failed: the assignor own gave ${what}`])
    assert.equal(group.coordinator.state.epoch, 0)
  }
})
