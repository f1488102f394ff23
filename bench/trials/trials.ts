import { CODECS } from './codecs.ts'
import { COMPACTION } from './compaction.ts'
import { CONSUMERS } from './consumers.ts'
import { GROWTH, OVER_MANY_PARTITIONS } from './growth.ts'
import { TRANSACTIONS } from './transactions.ts'
import type { Workload } from './types.ts'
import { WORKLOADS } from './workloads.ts'

export const TRIALS: readonly Workload[] = [
  ...WORKLOADS,
  ...OVER_MANY_PARTITIONS,
  ...CODECS,
  ...COMPACTION,
  ...CONSUMERS,
  ...TRANSACTIONS,
  ...GROWTH,
]
