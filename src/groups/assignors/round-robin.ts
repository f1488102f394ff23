import type { Assignor, AssignorMember } from './assignor.ts'
import { AssignmentBuilder, sortMembers, subscribersByTopic } from './assignor.ts'

/** Kafka's `RoundRobinAssignor`: all partitions of all topics, one after another, each to the next member that is subscribed. */
export const roundRobinAssignor: Assignor = {
  name: 'roundrobin',
  assign({ members, partitionCounts }) {
    const sorted = sortMembers(members)
    const assignment = new AssignmentBuilder(sorted)
    let turn = 0
    for (const [topic, subscribers] of subscribersByTopic(sorted, partitionCounts)) {
      const isSubscribed = new Set(subscribers)
      const count = partitionCounts.get(topic) ?? 0
      for (let partition = 0; partition < count; partition += 1) {
        while (!isSubscribed.has(sorted[turn % sorted.length] as AssignorMember)) turn += 1
        assignment.add(sorted[turn % sorted.length] as AssignorMember, topic, partition)
        turn += 1
      }
    }
    return assignment.build()
  },
}
