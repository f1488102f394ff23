import type { AbortedTransaction } from './aborted-index.ts'

/**
 * The transactions of one partition as read-committed readers see them: before the first that is not decided they stop, and what an aborted one
 * has written is not for them.
 *
 * It is not what the log says, but what may be seen of it: a transaction over several partitions is released in all of them in one turn of the
 * event loop, when its markers stand in the last of them. `ProducerStates` says what the log says.
 */
export class VisibleTransactions {
  /** First offsets by producer id, the lowest first: they are held in the order of the log. */
  readonly #undecided = new Map<number, number>()
  /** By producer id, in the order of the log. */
  readonly #aborted = new Map<number, AbortedTransaction[]>()

  /** Where the earliest transaction that is not decided begins; undefined where there is none. */
  get firstUnstableOffset(): number | undefined {
    if (this.#undecided.size === 0) return undefined
    for (const firstOffset of this.#undecided.values()) return firstOffset
    return undefined
  }

  /** A transaction of the producer begins, above all that are held. One that is held already stays as it is. Tells whether it is a new one. */
  hold(producerId: number, firstOffset: number): boolean {
    if (this.#undecided.has(producerId)) return false
    this.#undecided.set(producerId, firstOffset)
    return true
  }

  /** It is decided, or nothing of it was written. Tells whether it was held. */
  release(producerId: number): boolean {
    return this.#undecided.delete(producerId)
  }

  /** These are held, the lowest first, and no others. */
  holdOnly(undecided: ReadonlyMap<number, number>): void {
    this.#undecided.clear()
    for (const [producerId, firstOffset] of undecided) this.hold(producerId, firstOffset)
  }

  /** Before it is released. */
  addAborted(transaction: AbortedTransaction): void {
    const of = this.#aborted.get(transaction.producerId)
    if (of === undefined) this.#aborted.set(transaction.producerId, [transaction])
    else of.push(transaction)
  }

  get hasAborted(): boolean {
    return this.#aborted.size > 0
  }

  /** Whether the transactional batch of the producer that begins at the offset is of an aborted transaction. */
  isAborted(producerId: number, baseOffset: number): boolean {
    const of = this.#aborted.get(producerId)
    if (of === undefined) return false
    // The last one that begins at or before the offset.
    let low = 0
    let high = of.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((of[middle] as AbortedTransaction).firstOffset <= baseOffset) low = middle + 1
      else high = middle
    }
    const last = of[low - 1]
    return last !== undefined && baseOffset <= last.lastOffset
  }

  /** What lies below the offset is gone. */
  forgetBelow(offset: number): void {
    for (const [producerId, of] of this.#aborted) {
      const kept = of.filter(({ lastOffset }) => lastOffset >= offset)
      if (kept.length === 0) this.#aborted.delete(producerId)
      else if (kept.length < of.length) this.#aborted.set(producerId, kept)
    }
  }

  clear(): void {
    this.#undecided.clear()
    this.#aborted.clear()
  }
}
