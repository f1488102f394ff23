import { readBatchHeader } from '../codec/batch.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import type { ProducerStates } from './producer-state.ts'
import type { RecoveredProducers } from './recovered-producers.ts'
import { controlRecordAt } from './transaction-walk.ts'
import type { VisibleTransactions } from './visible-transactions.ts'

export interface FollowedProducers {
  /** As of `offset`. */
  readonly states: ProducerStates
  readonly visible: VisibleTransactions
  /** All batches below are counted. */
  readonly offset: number
}

/**
 * The producers and transactions of a partition that another process writes, as its batches tell of them: a transaction is held from its first batch
 * on, and released by its marker, in each partition by itself. It is told of the batches before readers may come to them.
 */
export class FollowedTransactions {
  readonly #states: ProducerStates
  readonly #visible: VisibleTransactions
  #offset: number

  constructor({ states, visible, offset }: FollowedProducers) {
    this.#states = states
    this.#visible = visible
    this.#offset = offset
  }

  /** Takes the next batch of the log, all of which is in memory; one that was counted before changes nothing. */
  count(buffer: Buffer, at: number): void {
    const header = readBatchHeader(buffer, at)
    const { producerId, baseOffset, lastOffset, isControl, isTransactional } = header
    if (baseOffset < this.#offset) return
    this.#offset = lastOffset + 1
    if (producerId < 0) return
    if (!isControl && isTransactional) this.#visible.hold(producerId, baseOffset)
    const marker = isControl ? controlRecordAt(buffer, at) : undefined
    const aborted = this.#states.update(header, marker)
    if (aborted !== undefined) this.#visible.addAborted(aborted)
    if (isControl && !this.#states.openTransactions().has(producerId)) {
      this.#visible.release(producerId)
    }
  }

  /**
   * Segments were added: what their batches, snapshots and `.txnindex` files come to is as of `logEndOffset`. Aborted transactions that were known
   * before stay known, as somebody may still be reading a file that has been compacted since.
   */
  become(
    recovered: RecoveredProducers,
    aborted: readonly AbortedTransaction[],
    logEndOffset: number,
  ): void {
    for (const each of aborted) {
      if (each.lastOffset >= this.#offset) this.#visible.addAborted(each)
    }
    this.#states.load(recovered.states.snapshot(), 0, Number.POSITIVE_INFINITY)
    this.#visible.holdOnly(this.#states.openTransactions())
    this.#offset = Math.max(recovered.offset, logEndOffset)
  }
}
