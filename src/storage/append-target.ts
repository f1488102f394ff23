import type { Flushable } from './environment.ts'
import type { Segment } from './segment.ts'

/** Records, and the bytes of their batches as they are stored. */
export interface RecordCount {
  records: number
  bytes: number
}

/** What the appender needs of its partition. */
export interface AppendTarget extends Flushable {
  /** What was written to it since it was opened; the appender counts. */
  readonly appended: RecordCount
  readonly active: Segment
  /** Nothing has to be done before the next write. */
  readonly isPrepared: boolean
  /** Does it. Rejects, with what the calls that wait are told, where it cannot be done. */
  prepare(): Promise<void>
  /** Syncs the active segment and starts an empty one at `baseOffset`. Rejects as `prepare` does. */
  roll(baseOffset: number): Promise<void>
  /** The high watermark has moved. */
  advanced(): void
  /** The partition is closed to writes. */
  failed(error: Error): void
}
