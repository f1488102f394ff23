import type { RecordSet } from '../codec/record-set.ts'
import type { Durability } from '../types.ts'

/** What the offset store needs of one partition of `__consumer_offsets`. */
export interface OffsetsPartition {
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** Bytes of all its segments. */
  readonly sizeBytes: number
  /**
   * Appends the records as one batch, all of them or none. Calls land in the order in which they were made,
   * awaited or not. `durability` undefined: the topic's.
   */
  append(records: RecordSet, durability: Durability | undefined): Promise<AppendedRecords>
  /**
   * Appends the records as one transactional batch of that producer. It opens no transaction and ends none:
   * the producer has one open already. Where it is missing, nothing is cleaned up while a transaction is undecided.
   */
  appendTransactional?(records: RecordSet, producer: TransactionProducer): Promise<AppendedRecords>
  /** Closes the active segment and starts an empty one; resolves with its base offset. */
  roll(): Promise<number>
  /** Makes everything appended durable. */
  flush(): Promise<void>
  /**
   * Deletes whole segments below the offset, oldest first: whatever a crash interrupts, what is left is a suffix of
   * the log. Durable at the next roll at the latest.
   */
  deleteSegmentsBelow(offset: number): Promise<void>
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
