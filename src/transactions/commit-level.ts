import { OFFSETS_TOPIC } from '../groups/offset-store.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability } from '../types.ts'

/** What a transaction with records for these partitions is acknowledged with: what was asked for, or more where a topic does. */
export function levelOf(asked: Durability, logs: Iterable<PartitionLog>): Durability {
  if (asked === 'disk') return 'disk'
  for (const { config, topic } of logs) {
    // What is committed for a group counts as its group's log has it; what is asked for the records holds for it as well.
    if (config.durability === 'disk' && topic !== OFFSETS_TOPIC) return 'disk'
  }
  return 'os'
}
