import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type {
  Assignment,
  AssignmentInput,
  AssignorMember,
} from '../../src/groups/assignors/assignor.ts'
import { rangeAssignor } from '../../src/groups/assignors/range.ts'
import { roundRobinAssignor } from '../../src/groups/assignors/round-robin.ts'
import { cooperativeStickyAssignor, stickyAssignor } from '../../src/groups/assignors/sticky.ts'

const ASSIGNORS = [rangeAssignor, roundRobinAssignor, stickyAssignor, cooperativeStickyAssignor]

// ------------------------------------------------------------------------------------- support

function member(
  memberId: string,
  topics: readonly string[],
  more: Partial<AssignorMember> = {},
): AssignorMember {
  return { memberId, groupInstanceId: null, topics, ownedPartitions: [], ...more }
}

function input(
  members: readonly AssignorMember[],
  counts: Readonly<Record<string, number>>,
): AssignmentInput {
  return { members, partitionCounts: new Map(Object.entries(counts)) }
}

/** `{ a: 'orders-0 orders-2' }` */
function readable(assignment: Assignment): Record<string, string> {
  const names = [...assignment].map(([id, topics]) => [id, namesOf(topics).join(' ')])
  return Object.fromEntries(names)
}

function namesOf(topics: AssignorMember['ownedPartitions']): string[] {
  return topics.flatMap(({ topic, partitions }) => partitions.map((each) => `${topic}-${each}`))
}

/** The members as they are once the assignment holds. */
function settled(members: readonly AssignorMember[], assignment: Assignment): AssignorMember[] {
  return members.map((each) => ({
    ...each,
    ownedPartitions: assignment.get(each.memberId) ?? [],
  }))
}

const TOPICS = ['t0', 't1', 't2', 't3', 't4']
const partitionCounts = fc
  .tuple(...TOPICS.map(() => fc.nat(7)))
  .map((counts) => Object.fromEntries(TOPICS.map((topic, index) => [topic, counts[index] ?? 0])))

/** Owned partitions may be of topics that are gone, out of range, or not subscribed any more; none is twice there. */
const owned = fc.uniqueArray(fc.tuple(fc.constantFrom(...TOPICS, 'gone'), fc.nat(9)), {
  selector: ([topic, partition]) => `${topic}-${partition}`,
  maxLength: 30,
})

function membersOf(topics: fc.Arbitrary<string[]>): fc.Arbitrary<AssignorMember[]> {
  const ids = fc.uniqueArray(fc.string({ maxLength: 4 }), { minLength: 1, maxLength: 8 })
  return fc
    .tuple(ids, owned, fc.array(topics, { minLength: 8, maxLength: 8 }), fc.nat())
    .map(([names, partitions, subscriptions, salt]) =>
      names.map((memberId, index) => {
        const own = partitions.filter((_, each) => (each + salt) % names.length === index)
        const groupInstanceId = (salt >> index) % 3 === 0 ? `i${names.length - index}` : null
        const ownedPartitions = own.map(([topic, partition]) => ({
          topic,
          partitions: [partition],
        }))
        return { memberId, groupInstanceId, topics: subscriptions[index] ?? [], ownedPartitions }
      }),
    )
}

const anyTopics = fc.uniqueArray(fc.constantFrom(...TOPICS, 'nowhere'), { maxLength: 5 })
const anyInput = fc
  .tuple(membersOf(anyTopics), partitionCounts)
  .map(([members, counts]) => input(members, counts))
const sameTopics = fc
  .tuple(anyTopics, membersOf(fc.constant([])), partitionCounts)
  .map(([topics, members, counts]) =>
    input(
      members.map((each) => ({ ...each, topics })),
      counts,
    ),
  )

// ------------------------------------------------------------------------------------ all of them

for (const assignor of ASSIGNORS) {
  test(`${assignor.name}: each partition that has a subscriber goes to exactly one, and nothing else is assigned`, () => {
    fc.assert(
      fc.property(anyInput, ({ members, partitionCounts }) => {
        const assignment = assignor.assign({ members, partitionCounts })
        assert.deepEqual(
          [...assignment.keys()].sort(),
          members.map(({ memberId }) => memberId).sort(),
        )
        const expected = [...partitionCounts].flatMap(([topic, count]) =>
          members.some(({ topics }) => topics.includes(topic))
            ? Array.from({ length: count }, (_, partition) => `${topic}-${partition}`)
            : [],
        )
        const assigned = [...assignment.values()].flatMap(namesOf)
        assert.deepEqual(assigned.sort(), expected.sort())
        for (const { memberId, topics } of members) {
          for (const { topic } of assignment.get(memberId) ?? []) assert.ok(topics.includes(topic))
        }
      }),
    )
  })

  test(`${assignor.name}: the same members give the same assignment, in whatever order they stand`, () => {
    fc.assert(
      fc.property(anyInput, fc.nat(), ({ members, partitionCounts }, salt) => {
        const from = salt % members.length
        const turned = [...members.slice(from), ...members.slice(0, from)].reverse()
        const first = readable(assignor.assign({ members, partitionCounts }))
        const second = readable(assignor.assign({ members: turned, partitionCounts }))
        assert.deepEqual(second, first)
      }),
    )
  })
}

test('a group without members, and one without topics, has nothing to assign', () => {
  for (const assignor of ASSIGNORS) {
    assert.deepEqual(readable(assignor.assign(input([], { t: 3 }))), {})
    assert.deepEqual(readable(assignor.assign(input([member('a', ['t'])], {}))), { a: '' })
  }
})

// ----------------------------------------------------------------------------- range, round-robin

test('range cuts each topic by itself, and the first members have one more', () => {
  const members = [member('b', ['t', 'u']), member('a', ['t', 'u']), member('c', ['u'])]
  assert.deepEqual(readable(rangeAssignor.assign(input(members, { t: 3, u: 7 }))), {
    a: 't-0 t-1 u-0 u-1 u-2',
    b: 't-2 u-3 u-4',
    c: 'u-5 u-6',
  })
})

test('round-robin deals all partitions of all topics in turn, past who is not subscribed', () => {
  const members = [member('a', ['t']), member('b', ['t', 'u']), member('c', ['t', 'u', 'v'])]
  assert.deepEqual(readable(roundRobinAssignor.assign(input(members, { t: 1, u: 2, v: 3 }))), {
    a: 't-0',
    b: 'u-0',
    c: 'u-1 v-0 v-1 v-2',
  })
})

test('static members come first, by instance id, so that a new member id changes nothing', () => {
  const counts = { t: 3 }
  const named = (memberId: string, groupInstanceId: string): AssignorMember =>
    member(memberId, ['t'], { groupInstanceId })
  for (const assignor of [rangeAssignor, roundRobinAssignor]) {
    const before = assignor.assign(
      input([named('z', '1'), named('a', '2'), member('b', ['t'])], counts),
    )
    assert.deepEqual(readable(before), { z: 't-0', a: 't-1', b: 't-2' })
    const after = assignor.assign(
      input([named('y', '1'), named('a', '2'), member('b', ['t'])], counts),
    )
    assert.deepEqual(readable(after), { y: 't-0', a: 't-1', b: 't-2' })
  }
})

// ------------------------------------------------------------------------------------------ sticky

const countsOf = (assignment: Assignment): number[] =>
  [...assignment.values()].map((topics) => namesOf(topics).length)

test('sticky: with one subscription for all, no member has two more than another', () => {
  fc.assert(
    fc.property(sameTopics, (given) => {
      const counts = countsOf(stickyAssignor.assign(given))
      assert.ok(Math.max(...counts) - Math.min(...counts) <= 1)
    }),
  )
})

/** The smallest sum of squares that any assignment has, by trying all of them. */
function evenest({ members, partitionCounts }: AssignmentInput): number {
  const choices = [...partitionCounts].flatMap(([topic, count]) => {
    const able = members.flatMap(({ topics }, index) => (topics.includes(topic) ? [index] : []))
    return able.length === 0 ? [] : Array<number[]>(count).fill(able)
  })
  const counts = members.map(() => 0)
  const best = (from: number): number => {
    const able = choices[from]
    if (able === undefined) return counts.reduce((sum, count) => sum + count ** 2, 0)
    return able.reduce((least, index) => {
      counts[index] = (counts[index] ?? 0) + 1
      const found = best(from + 1)
      counts[index] = (counts[index] ?? 0) - 1
      return Math.min(least, found)
    }, Number.POSITIVE_INFINITY)
  }
  return best(0)
}

test('sticky: with any subscriptions it is as even as any assignment can be', () => {
  const few = fc
    .tuple(membersOf(anyTopics), fc.array(fc.nat(2), { minLength: 5, maxLength: 5 }))
    .map(([members, counts]) =>
      input(
        members.slice(0, 4),
        Object.fromEntries(TOPICS.map((topic, index) => [topic, Math.min(counts[index] ?? 0, 2)])),
      ),
    )
  fc.assert(
    fc.property(few, (given) => {
      const squares = countsOf(stickyAssignor.assign(given)).reduce((sum, n) => sum + n ** 2, 0)
      assert.equal(squares, evenest(given))
    }),
    { numRuns: 60 },
  )
})

test('sticky: a chain of members passes on what no single move could', () => {
  const members = [
    member('a', ['x'], { ownedPartitions: [{ topic: 'x', partitions: [0, 1] }] }),
    member('b', ['x', 'y'], { ownedPartitions: [{ topic: 'y', partitions: [0] }] }),
    member('c', ['y']),
  ]
  const assignment = stickyAssignor.assign(input(members, { x: 2, y: 1 }))
  assert.deepEqual(readable(assignment), { a: 'x-0', b: 'x-1', c: 'y-0' })
})

test('sticky: what is even already stays as it is', () => {
  fc.assert(
    fc.property(anyInput, ({ members, partitionCounts }) => {
      const first = stickyAssignor.assign({ members, partitionCounts })
      const again = settled(members, first)
      assert.deepEqual(
        readable(stickyAssignor.assign({ members: again, partitionCounts })),
        readable(first),
      )
    }),
  )
})

test('sticky: who stays keeps all it has when another member leaves', () => {
  fc.assert(
    fc.property(sameTopics, fc.nat(), ({ members, partitionCounts }, salt) => {
      const first = stickyAssignor.assign({ members, partitionCounts })
      const left = settled(members, first).filter((_, index) => index !== salt % members.length)
      const second = stickyAssignor.assign({ members: left, partitionCounts })
      for (const { memberId, ownedPartitions } of left) {
        const now = new Set(namesOf(second.get(memberId) ?? []))
        for (const name of namesOf(ownedPartitions)) assert.ok(now.has(name), name)
      }
    }),
  )
})

test('sticky: a new member gets its share, and nothing else changes hands', () => {
  fc.assert(
    fc.property(sameTopics, ({ members, partitionCounts }) => {
      const first = stickyAssignor.assign({ members, partitionCounts })
      const old = settled(members, first)
      const topics = members[0]?.topics ?? []
      const second = stickyAssignor.assign({
        members: [...old, member('a new one', topics)],
        partitionCounts,
      })
      for (const { memberId, ownedPartitions } of old) {
        const before = new Set(namesOf(ownedPartitions))
        for (const name of namesOf(second.get(memberId) ?? [])) assert.ok(before.has(name), name)
      }
    }),
  )
})

test('sticky: as few partitions move as the evenness takes', () => {
  fc.assert(
    fc.property(sameTopics, ({ members, partitionCounts }) => {
      const first = stickyAssignor.assign({ members, partitionCounts })
      const kept = members.map(({ memberId, topics, ownedPartitions }) => {
        const own = new Set(
          namesOf(
            ownedPartitions.filter(({ topic, partitions: [partition = 0] }) => {
              return topics.includes(topic) && partition < (partitionCounts.get(topic) ?? 0)
            }),
          ),
        )
        const now = namesOf(first.get(memberId) ?? [])
        return { had: own.size, has: now.length, kept: now.filter((name) => own.has(name)).length }
      })
      // Nobody is given another's partition while it gives up one of its own.
      for (const each of kept) assert.equal(each.kept, Math.min(each.had, each.has))
    }),
  )
})
