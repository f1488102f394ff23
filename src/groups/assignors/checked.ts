import type { TopicPartition } from '../../types.ts'
import type { Assignment, AssignmentInput, Assignor } from './assignor.ts'

/**
 * An assignor that a program brings, with its answers looked at: a partition with two owners would be read twice. `assign` throws a
 * `TypeError` that names what is wrong.
 */
export function checkedAssignor(assignor: Assignor): Assignor {
  return {
    name: assignor.name,
    assign(input) {
      const assignment = assignor.assign(input)
      const wrong = wrongThing(assignment, input)
      if (wrong === undefined) return assignment
      throw new TypeError(`the assignor ${assignor.name} gave ${wrong}`)
    },
  }
}

function wrongThing(
  assignment: Assignment,
  { members, partitionCounts }: AssignmentInput,
): string | undefined {
  if (!(assignment instanceof Map)) return 'no Map of assignments by member id'
  const subscriptions = new Map(members.map(({ memberId, topics }) => [memberId, topics]))
  const taken = new Set<string>()
  for (const { memberId, topic, partition } of everyOne(assignment)) {
    const subscribed = subscriptions.get(memberId)
    if (subscribed === undefined) return `partitions to ${memberId}, which is no member`
    if (!subscribed.includes(topic))
      return `${topic} to ${memberId}, which has not subscribed to it`
    const name = `${topic}-${partition}`
    const isThere = Number.isInteger(partition) && partition >= 0
    if (!isThere || partition >= (partitionCounts.get(topic) ?? 0)) {
      return `${name}, which is not there`
    }
    if (taken.has(name)) return `${name} twice`
    taken.add(name)
  }
  return undefined
}

function* everyOne(
  assignment: Assignment,
): Iterable<TopicPartition & { readonly memberId: string }> {
  for (const [memberId, topics] of assignment) {
    for (const { topic, partitions } of topics) {
      for (const partition of partitions) yield { memberId, topic, partition }
    }
  }
}
