/** Who of a group reads which partitions: what an assignor is given and answers, and what all of them need. */
import type { Assignment, AssignorMember, TopicPartitions } from '../../types.ts'
import { compare } from '../../util/compare.ts'

export type { Assignment, AssignmentInput, Assignor, AssignorMember } from '../../types.ts'

/** Kafka's order of members (`MemberInfo.compareTo`): static ones first, by instance id; then the others by member id. */
export function sortMembers(members: readonly AssignorMember[]): AssignorMember[] {
  return [...members].sort((a, b) => {
    if (a.groupInstanceId !== null && b.groupInstanceId !== null) {
      return compare(a.groupInstanceId, b.groupInstanceId)
    }
    if (a.groupInstanceId !== null) return -1
    if (b.groupInstanceId !== null) return 1
    return compare(a.memberId, b.memberId)
  })
}

/** Existing topics that have a subscriber, by name; of each its subscribers in the order of `members`. */
export function subscribersByTopic(
  members: readonly AssignorMember[],
  partitionCounts: ReadonlyMap<string, number>,
): Map<string, AssignorMember[]> {
  const found = new Map<string, AssignorMember[]>()
  for (const member of members) {
    for (const topic of new Set(member.topics)) {
      if (!partitionCounts.has(topic)) continue
      const subscribers = found.get(topic)
      if (subscribers === undefined) found.set(topic, [member])
      else subscribers.push(member)
    }
  }
  return new Map([...found].sort(([a], [b]) => compare(a, b)))
}

/** Gathers an assignment partition by partition. */
export class AssignmentBuilder {
  readonly #byMember = new Map<string, Map<string, number[]>>()

  constructor(members: readonly AssignorMember[]) {
    for (const { memberId } of members) this.#byMember.set(memberId, new Map())
  }

  add({ memberId }: AssignorMember, topic: string, partition: number): void {
    const topics = this.#byMember.get(memberId) as Map<string, number[]>
    const partitions = topics.get(topic)
    if (partitions === undefined) topics.set(topic, [partition])
    else partitions.push(partition)
  }

  build(): Assignment {
    const assignment = new Map<string, TopicPartitions[]>()
    for (const [memberId, topics] of this.#byMember) {
      const sorted = [...topics].sort(([a], [b]) => compare(a, b))
      const each = sorted.map(([topic, partitions]) => ({
        topic,
        partitions: partitions.sort((a, b) => a - b),
      }))
      assignment.set(memberId, each)
    }
    return assignment
  }
}
