// What a program looks like to the harness.
import type { Dataset } from '../data/records.ts'
import type { Stopwatch } from '../harness/stopwatch.ts'
import type { Metrics, Parameters, TaskName } from '../trials/types.ts'

export interface TaskContext {
  /** Empty, or as the same program's preparation left it. */
  readonly directory: string
  readonly parameters: Parameters
  /** Empty where the trial names none. */
  readonly variant: string
  readonly dataset: Dataset
  /** The task calls `time` once, around what counts. */
  readonly stopwatch: Stopwatch
  /** A preparation that ends with SIGKILL: the task calls this when its last record is acknowledged, before any flush. */
  readonly killed: (() => void) | undefined
}

/** Checks what was read or written and throws where it is wrong; answers with metrics that the stopwatch cannot give. */
export type Task = (context: TaskContext) => Promise<Metrics>

export interface Program {
  readonly tasks: { readonly [name in TaskName]?: Task }
}

export function perSecond(count: number, milliseconds: number): number {
  return (count / milliseconds) * 1000
}

export function batchCount({ records, batchRecords }: Parameters): number {
  return Math.ceil(records / batchRecords)
}
