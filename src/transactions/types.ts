import type { Compression } from '../codec/compression-choice.ts'
import type { RecordSet } from '../codec/record-set.ts'
import type { LogError } from '../errors.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability } from '../types.ts'

export type TransactionOutcome = 'commit' | 'abort'

/** Records of a transaction for one partition, also of `__consumer_offsets`; they make one batch. */
export interface TransactionWrite {
  readonly log: PartitionLog
  readonly set: RecordSet
  /** The log end offset that the caller saw; -1: any. */
  readonly expectedOffset: number
  /** Undefined: the topic's. */
  readonly compression: Compression | undefined
  /** At least what the records take in a batch, where that is known. */
  readonly boundBytes?: number
}

/** What became of a `TransactionWrite`. */
export interface Appended {
  readonly log: PartitionLog
  readonly baseOffset: number
  /** Number of records. */
  readonly count: number
  /** The greatest timestamp of the records. */
  readonly timestamp: number
}

export interface BeginOptions {
  /** From now to the call of `commit`. Undefined: who begins it sees to that. */
  readonly timeoutMs: number | undefined
  /** Undefined: the log's, and `'disk'` where one of the topics is. */
  readonly durability: Durability | undefined
  /** Told, maybe again and again, that it is decided and its markers wait for room. */
  readonly onStalled?: () => void
}

export interface UnnamedOptions extends BeginOptions {
  readonly timeoutMs: number
}

/**
 * - `open`: takes records.
 * - `committing`: `commit` was called. It ends as `committed`, or as `aborted` where it was refused.
 * - `aborting`: it is given up; its markers are being written.
 * - `unknown`: the disk has refused to say whether the decision stands. Readers stay before it; the next open tells, and then it is committed or aborted.
 */
export type TransactionPhase =
  | 'open'
  | 'committing'
  | 'committed'
  | 'aborting'
  | 'aborted'
  | 'unknown'

/**
 * Told when a transaction is decided, and by then seen: in the turn of the event loop in which the last stable offsets move, before they do. Or when it is
 * clear that only the next open can tell.
 */
export type DecisionListener = (
  outcome: TransactionOutcome | 'unknown',
  appended: readonly Appended[],
) => void

export interface OpenTransaction {
  readonly state: TransactionPhase
  /** What all of it is acknowledged with, as far as its partitions are known. */
  readonly durability: Durability
  /** Why it was aborted where nobody asked for it: its time was up, its producer was fenced, the log was closed. */
  readonly failure: LogError | undefined
  /** It must not throw. */
  onDecided(listener: DecisionListener): void
  /**
   * Writes records before the end of the transaction is known. Answers with what was appended, in the order of the writes. Where one is
   * refused, it rejects, and the transaction can only be aborted. The bytes have been taken when it returns.
   */
  write(writes: readonly TransactionWrite[]): Promise<readonly Appended[]>
  /**
   * Writes the rest and decides. Answers with everything appended, that of `write` first. Rejects where it was aborted instead; with
   * `STORAGE_FAILED` where the next open tells how it ended. At most one write for a partition.
   */
  commit(writes: readonly TransactionWrite[]): Promise<readonly Appended[]>
  /** Safe to call again. A `TypeError` once `commit` was called; `STORAGE_FAILED` where only the next open can tell how it ended. */
  abort(): Promise<void>
}

/** One identity under which transactions are written, one after another. */
export interface TransactionalProducer {
  readonly transactionalId: string
  readonly producerId: number
  readonly producerEpoch: number
  /** Why it can begin no more: `PRODUCER_FENCED` once a newer instance was inited or its transaction has timed out, `STORAGE_FAILED`, `CLOSED`. */
  readonly fenced: LogError | undefined
  /** Throws `fenced`, and a `TypeError` while a transaction of it is open. */
  begin(options: BeginOptions): OpenTransaction
}

/** Gives the producers of a log their identities. */
export interface TransactionalProducers {
  /** Fences the producer that has the id, aborts what it has open, and answers with its successor. */
  init(transactionalId: string, transactionTimeoutMs: number): Promise<TransactionalProducer>
  /** A transaction without a name. Throws `CLOSED`. */
  begin(options: UnnamedOptions): OpenTransaction
  /** For an idempotent producer without a name. */
  nextProducerId(): Promise<number>
}
