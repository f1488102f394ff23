import type { RecordSet } from '../codec/record-set.ts'
import type { Durability } from '../types.ts'

/** What the offset store needs of one partition of `__consumer_offsets`. */
export interface OffsetsPartition {
  readonly logStartOffset: number
  readonly logEndOffset: number
  /**
   * Appends the records as one batch, all of them or none. Calls land in the order in which they were made,
   * awaited or not. `durability` undefined: the topic's.
   */
  append(records: RecordSet, durability: Durability | undefined): Promise<AppendedRecords>
  /**
   * All records from the log start, in order, undecided and aborted ones too. `key` and `value` are valid until the
   * next record is asked for. The scan itself lets the event loop run.
   */
  scan(): AsyncIterable<ScannedRecord>
}

export interface AppendedRecords {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly durability: Durability
}

export interface TransactionProducer {
  readonly producerId: number
  readonly producerEpoch: number
}

/** A record with what a loader must know of its batch. */
export interface ScannedRecord extends TransactionProducer {
  readonly offset: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly isTransactional: boolean
  /** Set on control records, which end a transaction of `producerId`. */
  readonly control: 'commit' | 'abort' | undefined
  readonly timestamp: number
}
