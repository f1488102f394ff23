/**
 * Which transactions the cleaner has met on its way through a log, and what that says of their batches and markers. Pure; source: Kafka's
 * `CleanedTransactionMetadata`.
 *
 * Records of an aborted transaction go with the first pass over them. A marker stays while any batch of its transaction does, be it
 * emptied; a pass that meets none marks it for a later one to remove, as it does with a tombstone.
 */
import { CONTROL_ABORT, CONTROL_COMMIT } from '../codec/batch.ts'
import type { AbortedTransaction } from '../storage/aborted-index.ts'

interface AbortedState {
  readonly transaction: AbortedTransaction
  /** A batch of it was met. */
  isMet: boolean
}

export class CleanedTransactions {
  /** Aborted ones not come to yet, by falling first offset. */
  readonly #ahead: AbortedTransaction[]
  /** Aborted ones that have begun and whose marker is still to come, by producer id. */
  readonly #aborted: Map<number, AbortedState>
  /** Producers whose present transaction is not aborted, and has batches. */
  readonly #committed: Set<number>

  /** @param aborted all that overlap what will be met. */
  constructor(aborted: readonly AbortedTransaction[]) {
    this.#ahead = [...aborted].sort((a, b) => b.firstOffset - a.firstOffset)
    this.#aborted = new Map()
    this.#committed = new Set()
  }

  /** Takes the next batch that is no control batch; tells whether its records were aborted. */
  data(producerId: number, lastOffset: number, isTransactional: boolean): boolean {
    this.#begin(lastOffset)
    if (!isTransactional) return false
    const aborted = this.#aborted.get(producerId)
    if (aborted === undefined) {
      this.#committed.add(producerId)
      return false
    }
    aborted.isMet = true
    return true
  }

  /**
   * Takes the next control batch; tells whether nothing refers to it any more.
   * @param type of its record; undefined where the batch was emptied, which says nothing more.
   * @param keep takes the transaction that it aborts, if its entry is still needed.
   */
  marker(
    producerId: number,
    lastOffset: number,
    type: number | undefined,
    keep: (transaction: AbortedTransaction) => void,
  ): boolean {
    this.#begin(lastOffset)
    if (type === undefined) return true
    if (type === CONTROL_COMMIT) return !this.#committed.delete(producerId)
    if (type !== CONTROL_ABORT) return false
    const aborted = this.#aborted.get(producerId)
    this.#aborted.delete(producerId)
    if (aborted === undefined || !aborted.isMet) return true
    keep(aborted.transaction)
    return false
  }

  #begin(offset: number): void {
    for (let next = this.#ahead.at(-1); next !== undefined; next = this.#ahead.at(-1)) {
      if (next.firstOffset > offset) return
      this.#ahead.pop()
      if (this.#aborted.has(next.producerId)) continue
      this.#aborted.set(next.producerId, { transaction: next, isMet: false })
    }
  }
}
