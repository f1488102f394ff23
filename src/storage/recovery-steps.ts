import type { PartitionRecovery } from '../types.ts'
import { isDiskFull } from '../util/error-code.ts'

/** A step that a full disk kept from being done; it is tried again before the next append. */
export interface Repair {
  readonly what: string
  run(): Promise<void>
}

export type MutableReport = {
  -readonly [K in keyof PartitionRecovery]: PartitionRecovery[K] extends readonly (infer T)[]
    ? T[]
    : PartitionRecovery[K]
}

/** The steps of a recovery that write, what became of them, and the report. */
export class RecoverySteps {
  readonly report: MutableReport
  readonly repairs: Repair[] = []
  /** A write that failed for another reason than room, or a failed sync: the partition is closed to writes. */
  failure: unknown

  constructor(topic: string, partition: number) {
    this.report = {
      topic,
      partition,
      scannedBytes: 0,
      cut: [],
      damage: [],
      rebuilt: [],
      finished: [],
      inMemory: [],
    }
  }

  /** Runs a step; tells whether it was done. What was not holds in memory, and is told. */
  async attempt(what: string, step: () => Promise<void>): Promise<boolean> {
    try {
      await step()
      return true
    } catch (error) {
      this.report.inMemory.push(what)
      if (isDiskFull(error)) this.repairs.push({ what, run: step })
      else this.failure ??= error
      return false
    }
  }
}
