// All measurements, for other programs.
import type { Machine } from '../harness/machine.ts'
import type { Result } from './judgement.ts'
import { judgeAll } from './judgement.ts'

/** How it was measured. */
export interface Conditions {
  readonly repetitions: number
  readonly isQuick: boolean
  readonly isCold: boolean
}

export function jsonOf(
  results: readonly Result[],
  machine: Machine,
  { repetitions, isQuick, isCold }: Conditions,
): string {
  const judgements = judgeAll(results)
  const document = {
    date: new Date().toISOString(),
    machine,
    repetitions,
    quick: isQuick,
    cold: isCold,
    results: results.map((result) => ({
      workload: result.workload.id,
      title: result.workload.title,
      metric: result.workload.metric,
      contender: result.contender.label,
      program: result.contender.program,
      measurements: result.measurements,
      targets: judgements
        .filter((each) => each.result === result)
        .map(({ target, value, isReached }) => ({ ...target, value, isReached })),
    })),
  }
  return `${JSON.stringify(document, null, 2)}\n`
}
