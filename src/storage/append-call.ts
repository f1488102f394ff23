import type { Compression } from '../codec/compression-choice.ts'
import { OffsetConflictError } from '../errors.ts'
import type { Durability } from '../types.ts'

/** The end of a transaction in one partition, as its control batch says it. */
export interface TransactionEnd {
  readonly outcome: 'commit' | 'abort'
  /** Of the coordinator that decided it; rises never back. */
  readonly coordinatorEpoch: number
}

/** Whose records a call's are: they make a batch of their own, with these in its header. */
export interface BatchProducer {
  readonly producerId: number
  readonly producerEpoch: number
  /** Of the first record, as the producer counts them in the partition; -1: the next one. */
  readonly baseSequence: number
  readonly isTransactional: boolean
  /** Goes right behind the records, in the same write; the call is acknowledged with it. Of a call without records: goes alone. */
  readonly ending?: TransactionEnd
}

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
  /** Undefined: nobody's. Set before the call is given to its partition. */
  producer: BatchProducer | undefined = undefined
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
