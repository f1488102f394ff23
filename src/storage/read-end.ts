import type { IsolationLevel } from '../types.ts'

/** A partition, as far as it says where its readers stop. */
export interface ReadLimits {
  readonly highWatermark: number
  readonly lastStableOffset: number
}

/** Where readers of a level of isolation stop. */
export function readEnd(log: ReadLimits, isolationLevel: IsolationLevel): number {
  return isolationLevel === 'read_committed' ? log.lastStableOffset : log.highWatermark
}
