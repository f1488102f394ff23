/**
 * What stays of a batch when its log is compacted, as Kafka decides it (`Cleaner.cleanInto`, `MemoryRecords.filterTo`). Pure, but for
 * the transactions that it follows.
 *
 * Of a batch stay the records that are the last of their key, or lie behind what the map knows; a tombstone only up to its delete
 * horizon, which the first pass that keeps it sets. Offsets, last offset delta, sequences, epochs, timestamp type and codec stay. A batch without
 * records goes, unless it is the last of a producer, whose sequence it tells, or the last of the round, whose last offset it tells: then its header stays.
 */
import {
  attributesAt,
  baseTimestampAt,
  CONTROL_BIT,
  countAt,
  DELETE_HORIZON_BIT,
  lastOffsetAt,
  producerEpochAt,
  producerIdAt,
  readControlRecord,
  TRANSACTIONAL_BIT,
} from '../codec/batch.ts'
import type { AbortedTransaction } from '../storage/aborted-index.ts'
import type { CleanedTransactions } from './cleaned-transactions.ts'

/** Where a producer that is still remembered has come to. */
export interface LastOfProducer {
  /** Of its last data batch; undefined where a marker has come since that raised its epoch. */
  readonly lastDataOffset: number | undefined
  readonly producerEpoch: number
}

export interface FilterRound {
  readonly nowMs: number
  readonly producers: ReadonlyMap<number, LastOfProducer>
  /** The offset behind the last batch that this round may clean. */
  readonly upperBoundOffset: number
  readonly transactions: CleanedTransactions
  /** A segment before is left as it is, for its damage: what a tombstone has deleted may be in there, and would be back without it. */
  readonly isBehindDamage: boolean
}

/** What becomes of a whole batch before its records are looked at. */
export type BatchFate =
  /** Nothing of it stays. */
  | 'dropped'
  /** None of its records, but its header. */
  | 'emptied'
  /** As it is. */
  | 'kept'
  /** As it is, with a delete horizon: a marker that nothing refers to any more. */
  | 'marked'
  /** Its records decide. */
  | 'sifted'

export class BatchFilter {
  readonly #round: FilterRound
  readonly #keepAborted: (transaction: AbortedTransaction) => void

  /** @param keepAborted takes the aborted transactions whose markers stay. */
  constructor(round: FilterRound, keepAborted: (transaction: AbortedTransaction) => void) {
    this.#round = round
    this.#keepAborted = keepAborted
  }

  /** Takes the next batch of the log, which is whole in the page. Throws a `BatchFormatError` for a marker that cannot be read. */
  judge(page: Buffer, at: number): BatchFate {
    const attributes = attributesAt(page, at)
    return (attributes & CONTROL_BIT) === 0
      ? this.#judgeData(page, at, attributes)
      : this.#judgeMarker(page, at, attributes)
  }

  /** Whether a batch without records stays as a header. */
  mustLeaveHeader(page: Buffer, at: number): boolean {
    const { producers, upperBoundOffset } = this.#round
    const lastOffset = lastOffsetAt(page, at)
    if (lastOffset + 1 === upperBoundOffset) return true
    const producerId = producerIdAt(page, at)
    const last = producerId < 0 ? undefined : producers.get(producerId)
    if (last === undefined) return false
    if (last.lastDataOffset !== undefined) return last.lastDataOffset === lastOffset
    const isControl = (attributesAt(page, at) & CONTROL_BIT) !== 0
    return isControl && last.producerEpoch === producerEpochAt(page, at)
  }

  /** Tombstones of the batch may still be met by those who have not seen them. */
  keepsTombstones(page: Buffer, at: number): boolean {
    return this.#round.isBehindDamage || !isPastHorizon(page, at, this.#round.nowMs)
  }

  #judgeData(page: Buffer, at: number, attributes: number): BatchFate {
    const isTransactional = (attributes & TRANSACTIONAL_BIT) !== 0
    const { transactions } = this.#round
    const lastOffset = lastOffsetAt(page, at)
    const isAborted = transactions.data(producerIdAt(page, at), lastOffset, isTransactional)
    if (countAt(page, at) > 0) return isAborted ? this.#without(page, at) : 'sifted'
    return this.mustLeaveHeader(page, at) ? 'kept' : 'dropped'
  }

  #judgeMarker(page: Buffer, at: number, attributes: number): BatchFate {
    const { transactions, nowMs } = this.#round
    const type = readControlRecord(page, at)?.type
    const [producerId, lastOffset] = [producerIdAt(page, at), lastOffsetAt(page, at)]
    const isIdle = transactions.marker(producerId, lastOffset, type, this.#keepAborted)
    if (type === undefined) return this.mustLeaveHeader(page, at) ? 'kept' : 'dropped'
    if (!isIdle) return 'kept'
    if ((attributes & DELETE_HORIZON_BIT) === 0) return 'marked'
    return isPastHorizon(page, at, nowMs) ? this.#without(page, at) : 'kept'
  }

  #without(page: Buffer, at: number): BatchFate {
    return this.mustLeaveHeader(page, at) ? 'emptied' : 'dropped'
  }
}

/** A batch without a horizon is never past it. */
function isPastHorizon(page: Buffer, at: number, nowMs: number): boolean {
  const hasHorizon = (attributesAt(page, at) & DELETE_HORIZON_BIT) !== 0
  return hasHorizon && baseTimestampAt(page, at) <= nowMs
}
