import type { Assignor } from './assignor.ts'
import { AssignmentBuilder, sortMembers, subscribersByTopic } from './assignor.ts'

/**
 * Kafka's `RangeAssignor`: each topic by itself is cut into one run of partitions a subscriber; the first ones get one more where it does
 * not come out even. Topics with the same number of partitions and the same subscribers are cut alike, so what has one key meets in one
 * member.
 */
export const rangeAssignor: Assignor = {
  name: 'range',
  assign({ members, partitionCounts }) {
    const sorted = sortMembers(members)
    const assignment = new AssignmentBuilder(sorted)
    for (const [topic, subscribers] of subscribersByTopic(sorted, partitionCounts)) {
      const count = partitionCounts.get(topic) ?? 0
      const least = Math.floor(count / subscribers.length)
      const withOneMore = count % subscribers.length
      let partition = 0
      for (const [index, member] of subscribers.entries()) {
        const end = partition + least + (index < withOneMore ? 1 : 0)
        for (; partition < end; partition += 1) assignment.add(member, topic, partition)
      }
    }
    return assignment.build()
  },
}
