// The state machine of a group, held to a model of members that do what they are told, sooner or later.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Assignor } from '../../src/groups/assignors/assignor.ts'
import { rangeAssignor } from '../../src/groups/assignors/range.ts'
import { roundRobinAssignor } from '../../src/groups/assignors/round-robin.ts'
import { stickyAssignor } from '../../src/groups/assignors/sticky.ts'
import { applyGroupEvent } from '../../src/groups/group-machine.ts'
import type { GroupEffect, GroupEvent, GroupState } from '../../src/groups/group-state.ts'
import { EMPTY_GROUP, fenceOf, nextDeadline } from '../../src/groups/group-state.ts'
import type { TopicPartition } from '../../src/types.ts'

const SESSION_MS = 10_000
const MAX_POLL_MS = 60_000

type Joining = Extract<GroupEvent, { type: 'join' }>['member']

const nameOf = ({ topic, partition }: TopicPartition): string => `${topic}-${partition}`
const partitionOf = (name: string): TopicPartition => {
  const dash = name.lastIndexOf('-')
  return { topic: name.slice(0, dash), partition: Number(name.slice(dash + 1)) }
}

function joining(memberId: string, more: Partial<Joining> = {}): Joining {
  return {
    memberId,
    groupInstanceId: null,
    clientId: 'test',
    topics: ['t'],
    sessionTimeoutMs: SESSION_MS,
    maxPollIntervalMs: MAX_POLL_MS,
    ...more,
  }
}

/** What the members believe, from what they were told. */
class World {
  state: GroupState = EMPTY_GROUP
  now = 0
  readonly assignor: Assignor
  /** By member id: what it may read. */
  readonly owned = new Map<string, Set<string>>()
  readonly asked = new Map<string, Set<string>>()
  readonly lost: [string, string][] = []
  isRebalanceDue = false
  stored = 0

  constructor(assignor: Assignor = stickyAssignor) {
    this.assignor = assignor
  }

  do(event: GroupEvent): void {
    const { state, effects } = applyGroupEvent(this.state, event, this.now)
    this.state = state
    if (event.type === 'rebalance') this.isRebalanceDue = false
    for (const effect of effects) this.#follow(effect)
    this.#check()
  }

  join(memberId: string, more: Partial<Joining> = {}): void {
    const member = joining(memberId, more)
    if (!this.owned.has(memberId)) {
      this.owned.set(memberId, new Set())
      this.asked.set(memberId, new Set())
    }
    this.do({ type: 'join', member })
  }

  leave(memberId: string): void {
    this.#forget(memberId)
    this.do({ type: 'leave', memberId })
  }

  handBack(memberId: string, names: readonly string[]): void {
    for (const name of names) {
      this.owned.get(memberId)?.delete(name)
      this.asked.get(memberId)?.delete(name)
    }
    this.do({ type: 'handBack', memberId, partitions: names.map(partitionOf) })
  }

  rebalance(): void {
    this.do({ type: 'rebalance', assignor: this.assignor })
  }

  /** Until nothing more is to be done. */
  settle(): void {
    for (;;) {
      if (this.isRebalanceDue) this.rebalance()
      const next = [...this.asked].find(([, names]) => names.size > 0)
      if (next === undefined) return
      this.handBack(next[0], [...next[1]])
    }
  }

  names(memberId: string): string {
    return [...(this.owned.get(memberId) ?? [])].sort().join(' ')
  }

  #forget(memberId: string): void {
    this.owned.delete(memberId)
    this.asked.delete(memberId)
  }

  #follow(effect: GroupEffect): void {
    if (effect.type === 'store') this.stored += 1
    else if (effect.type === 'rebalance') this.isRebalanceDue = true
    else if (effect.type === 'lose') {
      const had = effect.partitions.map(nameOf).sort().join(' ')
      assert.equal(had, this.names(effect.memberId))
      this.#forget(effect.memberId)
      this.lost.push([effect.memberId, effect.reason])
    } else this.#handOver(effect)
  }

  #handOver({ type, memberId, partitions }: Extract<GroupEffect, { partitions: unknown }>): void {
    const owned = this.owned.get(memberId)
    const asked = this.asked.get(memberId)
    assert.ok(owned && asked, `${memberId} is told ${type}, and is no member`)
    assert.ok(partitions.length > 0)
    for (const name of partitions.map(nameOf)) {
      if (type === 'assign') {
        for (const [other, names] of this.owned) assert.ok(!names.has(name), `${other} has ${name}`)
        owned.add(name)
      } else {
        assert.ok(owned.has(name), `${memberId} is asked for ${name}, which it has not`)
        assert.ok(!asked.has(name), `${memberId} is asked twice for ${name}`)
        asked.add(name)
      }
    }
  }

  /** Whoever may commit is who believes that it may. */
  #check(): void {
    for (const [memberId, names] of this.owned) {
      const known = [...(this.state.members.get(memberId)?.owned.keys() ?? [])].sort().join(' ')
      assert.equal(known, [...names].sort().join(' '))
      for (const name of names) {
        const fences = [...this.owned.keys()].map((id) =>
          fenceOf(this.state, id, partitionOf(name)),
        )
        assert.equal(fences.filter((fence) => fence === undefined).length, 1)
      }
    }
  }
}

function worldOf(counts: Readonly<Record<string, number>>, assignor?: Assignor): World {
  const world = new World(assignor)
  world.do({ type: 'topics', partitionCounts: new Map(Object.entries(counts)) })
  return world
}

// ---------------------------------------------------------------------------------- in reading order

test('the first member is given everything, in one new epoch, whatever else joins before the rebalance', () => {
  const world = worldOf({ t: 3 })
  world.join('a')
  assert.equal(world.names('a'), '')
  world.settle()
  assert.equal(world.names('a'), 't-0 t-1 t-2')
  assert.deepEqual([world.state.epoch, world.stored], [1, 1])
  world.join('b')
  world.join('c')
  world.settle()
  assert.deepEqual([world.state.epoch, world.stored], [2, 2])
  assert.deepEqual([world.names('a'), world.names('b'), world.names('c')], ['t-0', 't-2', 't-1'])
})

test('a partition changes hands only once it is handed back, and the others are not interrupted', () => {
  const world = worldOf({ t: 4 })
  world.join('a')
  world.settle()
  world.join('b')
  world.rebalance()
  assert.deepEqual([...(world.asked.get('a') ?? [])].sort(), ['t-2', 't-3'])
  assert.equal(world.names('a'), 't-0 t-1 t-2 t-3')
  assert.equal(world.names('b'), '')
  world.handBack('a', ['t-3'])
  assert.equal(world.names('b'), 't-3')
  assert.equal(fenceOf(world.state, 'a', { topic: 't', partition: 3 }), 'owner')
  assert.equal(fenceOf(world.state, 'a', { topic: 't', partition: 2 }), undefined)
  world.handBack('a', ['t-2'])
  assert.equal(world.names('b'), 't-2 t-3')
})

test('a member that does not ask for more in time is out, and what it had goes to the others', () => {
  const world = worldOf({ t: 2 })
  for (const id of ['a', 'b', 'idle']) world.join(id, id === 'idle' ? { topics: [] } : {})
  world.settle()
  assert.equal(nextDeadline(world.state), undefined)
  world.do({ type: 'pace', memberId: 'a', busySinceMs: 0 })
  world.do({ type: 'pace', memberId: 'b', busySinceMs: 0 })
  assert.equal(nextDeadline(world.state), MAX_POLL_MS)
  world.do({ type: 'pace', memberId: 'a', busySinceMs: 40_000 })
  world.now = MAX_POLL_MS
  world.do({ type: 'tick' })
  assert.deepEqual(world.lost, [['b', 'expired']])
  assert.equal(fenceOf(world.state, 'b', { topic: 't', partition: 0 }), 'member')
  world.settle()
  assert.equal(world.names('a'), 't-0 t-1')
  assert.equal(nextDeadline(world.state), 100_000)
})

test('time for which the event loop stood still is not held against a member', () => {
  const world = worldOf({ t: 1 })
  world.join('a')
  world.join('patient', { maxPollIntervalMs: 0, topics: [] })
  world.settle()
  for (const memberId of ['a', 'patient']) world.do({ type: 'pace', memberId, busySinceMs: 0 })
  world.now = 10 * MAX_POLL_MS
  world.do({ type: 'stood', durationMs: 10 * MAX_POLL_MS - 5 })
  world.do({ type: 'tick' })
  assert.deepEqual(world.lost, [])
  assert.equal(nextDeadline(world.state), 11 * MAX_POLL_MS - 5)
})

test('a static member that comes back in time finds what it had, and nobody else notices', () => {
  const world = worldOf({ t: 3 })
  world.join('z', { groupInstanceId: 'one' })
  world.join('b')
  world.settle()
  const [had, others] = [world.names('z'), world.names('b')]
  world.leave('z')
  world.now = SESSION_MS - 1
  world.do({ type: 'tick' })
  assert.equal(fenceOf(world.state, 'z', { topic: 't', partition: 0 }), 'member')
  world.join('y', { groupInstanceId: 'one' })
  assert.equal(world.isRebalanceDue, false)
  assert.deepEqual([world.names('y'), world.names('b')], [had, others])
  assert.equal(world.state.epoch, 1)
})

test('a static member that stays away loses its place', () => {
  const world = worldOf({ t: 3 })
  world.join('z', { groupInstanceId: 'one' })
  world.join('b')
  world.settle()
  world.leave('z')
  assert.equal(nextDeadline(world.state), SESSION_MS)
  world.now = SESSION_MS
  world.do({ type: 'tick' })
  world.settle()
  assert.deepEqual(world.lost, [])
  assert.equal(world.names('b'), 't-0 t-1 t-2')
})

test('who joins with the instance id of a member that is there takes its place', () => {
  const world = worldOf({ t: 2 })
  world.join('a', { groupInstanceId: 'one' })
  world.settle()
  world.join('b', { groupInstanceId: 'one' })
  assert.deepEqual(world.lost, [['a', 'replaced']])
  assert.equal(world.names('b'), 't-0 t-1')
  assert.equal(fenceOf(world.state, 'a', { topic: 't', partition: 0 }), 'member')
})

test('new partitions, new topics and another subscription are taken up; other topics concern nobody', () => {
  const world = worldOf({ t: 1 })
  world.join('a', { topics: ['t', 'u'] })
  world.settle()
  const topics = (counts: Readonly<Record<string, number>>): void =>
    world.do({ type: 'topics', partitionCounts: new Map(Object.entries(counts)) })
  topics({ t: 1, other: 5 })
  assert.equal(world.isRebalanceDue, false)
  topics({ t: 2, u: 1, other: 5 })
  world.settle()
  assert.equal(world.names('a'), 't-0 t-1 u-0')
  world.do({ type: 'subscribe', memberId: 'a', topics: ['other', 'u'] })
  world.settle()
  assert.equal(world.names('a'), 'other-0 other-1 other-2 other-3 other-4 u-0')
  topics({ u: 1 })
  world.settle()
  assert.equal(world.names('a'), 'u-0')
})

test('what comes too late changes nothing', () => {
  const world = worldOf({ t: 2 })
  world.join('a')
  world.settle()
  const { state } = world
  const events: GroupEvent[] = [
    { type: 'pace', memberId: 'gone', busySinceMs: 0 },
    { type: 'leave', memberId: 'gone' },
    { type: 'subscribe', memberId: 'gone', topics: [] },
    { type: 'handBack', memberId: 'gone', partitions: [{ topic: 't', partition: 0 }] },
    { type: 'rebalance', assignor: stickyAssignor },
  ]
  for (const event of events) world.do(event)
  assert.deepEqual(world.state, state)
})

// ------------------------------------------------------------------------------------ any events

const IDS = ['a', 'b', 'c', 'd', 'e', 'f']
const TOPICS = ['t', 'u', 'v']
const someTopics = fc.subarray(TOPICS)
const step = fc.oneof(
  fc.record({
    do: fc.constant('join' as const),
    id: fc.constantFrom(...IDS),
    instance: fc.constantFrom(null, null, 'i', 'j'),
    topics: someTopics,
  }),
  fc.record({
    do: fc.constantFrom('leave', 'wait', 'work', 'handBack'),
    id: fc.constantFrom(...IDS),
  }),
  fc.record({
    do: fc.constant('subscribe' as const),
    id: fc.constantFrom(...IDS),
    topics: someTopics,
  }),
  fc.record({
    do: fc.constant('topics' as const),
    counts: fc.tuple(fc.nat(5), fc.nat(5), fc.nat(5)),
  }),
  fc.record({ do: fc.constantFrom('tick', 'stood'), ms: fc.nat(2 * MAX_POLL_MS) }),
  fc.record({ do: fc.constant('rebalance' as const) }),
)

type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

function take(world: World, each: Step): void {
  const partitionCounts = (counts: readonly number[]): Map<string, number> =>
    new Map(TOPICS.map((topic, index) => [topic, counts[index] ?? 0]))
  switch (each.do) {
    case 'join':
      if ('topics' in each && !world.owned.has(each.id)) {
        world.join(each.id, { topics: each.topics, groupInstanceId: each.instance })
      }
      break
    case 'leave':
      if (world.owned.has(each.id)) world.leave(each.id)
      break
    case 'wait':
      world.do({ type: 'pace', memberId: each.id, busySinceMs: undefined })
      break
    case 'work':
      world.do({ type: 'pace', memberId: each.id, busySinceMs: world.now })
      break
    case 'handBack': {
      const [first] = world.asked.get(each.id) ?? []
      if (first !== undefined) world.handBack(each.id, [first])
      break
    }
    case 'subscribe':
      if ('topics' in each) world.do({ type: 'subscribe', memberId: each.id, topics: each.topics })
      break
    case 'topics':
      world.do({ type: 'topics', partitionCounts: partitionCounts(each.counts) })
      break
    case 'tick':
      world.now += each.ms
      world.do({ type: 'tick' })
      break
    case 'stood':
      world.now += each.ms
      world.do({ type: 'stood', durationMs: each.ms })
      break
    case 'rebalance':
      world.rebalance()
  }
}

for (const assignor of [rangeAssignor, roundRobinAssignor, stickyAssignor]) {
  test(`${assignor.name}: whatever happens, a partition has one owner, and in the end all that is subscribed is assigned`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const world = worldOf({ t: 3, u: 2, v: 1 }, assignor)
        for (const each of steps) take(world, each)
        // Who stays away for ever loses its place.
        world.now += SESSION_MS
        for (const memberId of world.owned.keys()) {
          world.do({ type: 'pace', memberId, busySinceMs: undefined })
        }
        world.do({ type: 'tick' })
        world.settle()
        const members = [...world.state.members.values()]
        const expected = [...world.state.partitionCounts].flatMap(([topic, count]) =>
          members.some(({ topics }) => topics.includes(topic))
            ? Array.from({ length: count }, (_, partition) => `${topic}-${partition}`)
            : [],
        )
        const assigned = [...world.owned.values()].flatMap((names) => [...names])
        assert.deepEqual(assigned.sort(), expected.sort())
      }),
    )
  })
}

test('after a storm of a thousand joins and leaves all is assigned evenly', () => {
  const world = worldOf({ t: 100 })
  const ids: string[] = []
  for (let round = 0; round < 1000; round += 1) {
    if (round % 3 === 2) world.leave(ids.shift() ?? '')
    else {
      ids.push(`m${round}`)
      world.join(`m${round}`)
    }
    // Half of those that are asked have not handed back when the next comes.
    if (round % 5 === 0) world.rebalance()
    const [slow] = [...world.asked].filter(([, names]) => names.size > 0)
    if (slow !== undefined) world.handBack(slow[0], [...slow[1]].slice(0, 1))
  }
  world.settle()
  const counts = ids.map((id) => world.owned.get(id)?.size ?? 0)
  assert.equal(
    counts.reduce((sum, count) => sum + count, 0),
    100,
  )
  assert.ok(Math.max(...counts) - Math.min(...counts) <= 1)
})
