import type { Parameters, ProgramName, TaskName } from '../trials/types.ts'

/** What one process is to do. */
export interface Job {
  readonly program: ProgramName
  readonly task: TaskName
  readonly variant: string
  readonly directory: string
  readonly parameters: Parameters
  readonly portableCrc: boolean
  readonly ending: 'closed' | 'killed'
  /** Do the same work before, in a directory of its own where it writes, and do not time that. */
  readonly isWarmedUp: boolean
  /** Peak memory of a Node process that does nothing. */
  readonly emptyBytes: number
}
