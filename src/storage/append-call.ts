import type { Compression } from '../codec/compression-choice.ts'
import { OffsetConflictError } from '../errors.ts'
import type { Durability } from '../types.ts'

/**
 * One call's records to one partition, from the call to its acknowledgement. The caller sets the first fields and
 * gives it to `PartitionLog.append`, which sets the others and then calls exactly one of the two methods, once.
 */
export abstract class AppendCall {
  /** What the acknowledgement has to mean. */
  readonly durability: Durability
  /** The log end offset that the caller saw; -1: any. */
  readonly expectedOffset: number
  readonly signal: AbortSignal | undefined
  /** Of its records; undefined: the topic's. */
  readonly compression: Compression | undefined
  /** Offset of the call's first record. */
  baseOffset = -1
  /** Number of records. */
  count = 0
  /** The greatest timestamp of its records. */
  timestamp = 0
  /** The log end offset where it was not the expected one. */
  conflictAt = -1

  constructor(
    durability: Durability,
    expectedOffset: number,
    signal: AbortSignal | undefined,
    compression?: Compression,
  ) {
    this.durability = durability
    this.expectedOffset = expectedOffset
    this.signal = signal
    this.compression = compression
  }

  abstract acknowledged(): void
  abstract failed(error: Error): void
}

/** Its records are written, at the level that it asked for: tells it so, or of the conflict that it met. */
export function settle(where: string, call: AppendCall): void {
  if (call.conflictAt === -1) call.acknowledged()
  else call.failed(new OffsetConflictError(where, call.expectedOffset, call.conflictAt))
}
