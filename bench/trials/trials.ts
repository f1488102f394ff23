import { GROWTH } from './growth.ts'
import type { Workload } from './types.ts'
import { WORKLOADS } from './workloads.ts'

export const TRIALS: readonly Workload[] = [...WORKLOADS, ...GROWTH]
