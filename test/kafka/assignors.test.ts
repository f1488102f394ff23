// Who gets which partition: Kafka's own assignors are asked the same. Range and round-robin agree with them; sticky is as even as Kafka's,
// or more so.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type {
  Assignment,
  AssignmentInput,
  Assignor,
  AssignorMember,
} from '../../src/groups/assignors/assignor.ts'
import { rangeAssignor } from '../../src/groups/assignors/range.ts'
import { roundRobinAssignor } from '../../src/groups/assignors/round-robin.ts'
import { stickyAssignor } from '../../src/groups/assignors/sticky.ts'
import { randomInteger, seededRandom } from '../support/random.ts'
import type { JudgedInput } from './judge.ts'
import { Judge } from './judge.ts'
import { SEED } from './seed.ts'

const CASES = 500
const MAX_MEMBERS = 12
/** Not all of them exist. */
const TOPICS = ['a', 'B', 'b-1', 'c.d', 'orders', 'orders_2', 'z', 'nowhere']
/** In the order of UTF-16 code units, which is Java's, the emoji stands before the ligature; by code points behind it. */
const LETTERS = ['a', 'B', '0', '-', '_', 'é', '\u{1f600}', '\ufb01']

type Random = () => number

function some<T>(random: Random, all: readonly T[]): T[] {
  const share = random()
  return all.filter(() => random() < share)
}

function shuffled<T>(random: Random, all: readonly T[]): T[] {
  return all
    .map((each) => ({ each, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ each }) => each)
}

function names(random: Random, count: number): string[] {
  const found = new Set<string>()
  while (found.size < count) {
    const length = 1 + randomInteger(random, 4)
    found.add(Array.from({ length }, () => LETTERS[randomInteger(random, LETTERS.length)]).join(''))
  }
  return [...found]
}

function randomCounts(random: Random): Map<string, number> {
  const most = 2 + randomInteger(random, 20)
  const there = TOPICS.filter((topic) => topic !== 'nowhere' && random() < 0.8)
  return new Map(shuffled(random, there).map((topic) => [topic, 1 + randomInteger(random, most)]))
}

/** Half of the groups have members of one subscription; a third of the members are static. */
function randomInput(random: Random): AssignmentInput {
  const ids = names(random, 1 + randomInteger(random, MAX_MEMBERS))
  const instances = names(random, ids.length)
  const shared = random() < 0.5 ? some(random, TOPICS) : undefined
  const members = ids.map((memberId, index): AssignorMember => {
    const groupInstanceId = random() < 1 / 3 ? (instances[index] ?? null) : null
    const topics = shuffled(random, shared ?? some(random, TOPICS))
    return { memberId, groupInstanceId, topics, ownedPartitions: [] }
  })
  return { members, partitionCounts: randomCounts(random) }
}

/** The next step of a group's life: members go and come, subscribe anew, and topics grow; each has what it was assigned. */
function grown(random: Random, before: AssignmentInput, assignment: Assignment): AssignmentInput {
  const members = before.members.map((member) => {
    const ownedPartitions = assignment.get(member.memberId) ?? []
    const topics = random() < 0.2 ? some(random, TOPICS) : member.topics
    return { ...member, topics, ownedPartitions }
  })
  const stay = members.filter(() => random() < 0.8)
  const newcomers = names(random, randomInteger(random, 4))
    .filter((id) => before.members.every(({ memberId }) => memberId !== id))
    .map((memberId) => ({
      memberId,
      groupInstanceId: null,
      topics: some(random, TOPICS),
      ownedPartitions: [],
    }))
  const counts = [...before.partitionCounts].map(([topic, count]): [string, number] => [
    topic,
    count + (random() < 0.2 ? 2 : 0),
  ])
  // Kafka's sticky assignor gives partitions to one that is subscribed to nothing, and divides by zero where there is nobody else.
  const subscribed = [...stay, ...newcomers].filter(({ topics }) => topics.length > 0)
  return { members: subscribed, partitionCounts: new Map(counts) }
}

const namesOf = (topics: AssignorMember['ownedPartitions']): string[] =>
  topics.flatMap(({ topic, partitions }) => partitions.map((each) => `${topic}-${each}`))

function judged({ members, partitionCounts }: AssignmentInput): JudgedInput {
  return {
    members: members.map(({ ownedPartitions, ...member }) => ({
      ...member,
      owned: namesOf(ownedPartitions),
    })),
    partitionCounts: Object.fromEntries(partitionCounts),
  }
}

/** By member; what one has stands in the order of names, and of numbers, in which ours comes. */
type Shares = ReadonlyMap<string, readonly string[]>

function sharesOf(assignment: Assignment): Shares {
  return new Map([...assignment].map(([id, topics]) => [id, namesOf(topics).sort()]))
}

async function kafkas(assignor: Assignor, inputs: readonly AssignmentInput[]): Promise<Shares[]> {
  const judge = new Judge()
  try {
    const answers = await judge.ask('assign', {
      assignor: assignor.name,
      inputs: inputs.map(judged),
    })
    return answers.map(
      (each) => new Map(Object.entries(each).map(([id, its]) => [id, [...its].sort()])),
    )
  } finally {
    judge.close()
  }
}

function told(index: number, input: AssignmentInput): string {
  return `case ${index} of seed ${SEED}: ${JSON.stringify(judged(input))}`
}

for (const assignor of [rangeAssignor, roundRobinAssignor]) {
  test(`${assignor.name} gives every member what Kafka's gives it`, async () => {
    const random = seededRandom(SEED)
    const inputs = Array.from({ length: CASES }, () => randomInput(random))
    const expected = await kafkas(assignor, inputs)
    let assigned = 0
    for (const [index, input] of inputs.entries()) {
      const ours = sharesOf(assignor.assign(input))
      assert.deepEqual(
        new Map([...ours].sort()),
        new Map([...(expected[index] ?? [])].sort()),
        told(index, input),
      )
      for (const share of ours.values()) assigned += share.length
    }
    assert.ok(assigned > CASES, `${assigned} partitions were assigned`)
  })
}

/** The less, the more even. */
function unevenness(shares: Shares): number {
  let sum = 0
  for (const share of shares.values()) sum += share.length ** 2
  return sum
}

function kept(shares: Shares, { members }: AssignmentInput): number {
  return members.reduce((sum, { memberId, ownedPartitions }) => {
    const now = new Set(shares.get(memberId))
    return sum + namesOf(ownedPartitions).filter((name) => now.has(name)).length
  }, 0)
}

test("sticky is at least as even as Kafka's, and where both are as even, it keeps as many in place, all in all", async () => {
  const random = seededRandom(SEED)
  const inputs = Array.from({ length: CASES }, () => {
    const before = randomInput(random)
    return grown(random, before, stickyAssignor.assign(before))
  }).filter(({ members }) => members.length > 0)
  const expected = await kafkas(stickyAssignor, inputs)
  let keptMore = 0
  for (const [index, input] of inputs.entries()) {
    const ours = sharesOf(stickyAssignor.assign(input))
    const theirs: Shares = expected[index] ?? new Map()
    assert.ok(unevenness(ours) <= unevenness(theirs), told(index, input))
    if (unevenness(ours) < unevenness(theirs)) continue
    keptMore += kept(ours, input) - kept(theirs, input)
  }
  assert.ok(keptMore >= 0, `seed ${SEED}: Kafka's keeps ${-keptMore} more in place`)
})
