import type { AbortedTransaction } from './aborted-index.ts'

/** What a transaction keeps back of a partition: it, and all that lies behind it. */
export interface Hold {
  readonly firstOffset: number
  /** It is committed, and is let go together with what it holds elsewhere: see `releaseJointly`. */
  bond: Bond | undefined
}

/** A partition as readers of transactions see it. */
export interface HeldLog {
  readonly visible: VisibleTransactions
  /** What its producers have written last. */
  readonly producers: {
    get(producerId: number): { readonly batches: readonly WrittenBatch[] } | undefined
  }
  /** Its last stable offset has moved. */
  stabilized(): void
}

/** All that one committed transaction holds. */
export interface Bond {
  readonly parts: readonly BondPart[]
}

export interface BondPart {
  readonly log: HeldLog
  readonly hold: Hold
  /** Of the transaction's records there. */
  readonly lastOffset: number
}

interface WrittenBatch {
  readonly lastOffset: number
}

/**
 * The transactions of one partition as read-committed readers see them: before the first that is not decided they stop, and what an aborted one
 * has written is not for them.
 *
 * It is not what the log says, but what may be seen of it: a transaction over several partitions is released in all of them in one turn of the
 * event loop, when its markers stand in the last of them, and nothing before it is held any more. `ProducerStates` says what the log says.
 */
export class VisibleTransactions {
  /** The lowest first: they are held in the order of the log. */
  readonly #held = new Set<Hold>()
  /** Those of `#held` that are not decided, by producer id. */
  readonly #undecided = new Map<number, Hold>()
  /** By producer id, in the order of the log. */
  readonly #aborted = new Map<number, AbortedTransaction[]>()

  /** Where the earliest transaction begins that is held back; undefined where there is none. */
  get firstUnstableOffset(): number | undefined {
    if (this.#held.size === 0) return undefined
    for (const { firstOffset } of this.#held) return firstOffset
    return undefined
  }

  /** The lowest first. */
  get held(): Iterable<Hold> {
    return this.#held
  }

  /** A transaction of the producer begins, above all that are held. One that is held already stays as it is. Tells whether it is a new one. */
  hold(producerId: number, firstOffset: number): boolean {
    if (this.#undecided.has(producerId)) return false
    const hold = { firstOffset, bond: undefined }
    this.#undecided.set(producerId, hold)
    this.#held.add(hold)
    return true
  }

  /** It is aborted, or nothing of it was written. Tells whether it was held. */
  release(producerId: number): boolean {
    const hold = this.decide(producerId)
    return hold !== undefined && this.#held.delete(hold)
  }

  /** It is committed, and stays held until `letGo`: the producer's next transaction is another one. Undefined where it is not held. */
  decide(producerId: number): Hold | undefined {
    const hold = this.#undecided.get(producerId)
    this.#undecided.delete(producerId)
    return hold
  }

  letGo(hold: Hold): void {
    this.#held.delete(hold)
  }

  /** These are held, the lowest first, and no others. */
  holdOnly(undecided: ReadonlyMap<number, number>): void {
    this.#undecided.clear()
    this.#held.clear()
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
    this.#keepAborted(({ lastOffset }) => lastOffset >= offset)
  }

  /**
   * A compaction has written anew what lies in [start, end), and of the transactions whose abort marker is there has left batches of these alone. Who has
   * read before what it was made of has to read again: see `PageDecoder`.
   */
  compacted(start: number, end: number, left: readonly AbortedTransaction[]): void {
    const markers = new Set(left.map(({ lastOffset }) => lastOffset))
    this.#keepAborted(({ lastOffset }) => {
      return lastOffset < start || lastOffset >= end || markers.has(lastOffset)
    })
  }

  #keepAborted(isKept: (transaction: AbortedTransaction) => boolean): void {
    for (const [producerId, of] of this.#aborted) {
      const kept = of.filter(isKept)
      if (kept.length === 0) this.#aborted.delete(producerId)
      else if (kept.length < of.length) this.#aborted.set(producerId, kept)
    }
  }

  clear(): void {
    this.#undecided.clear()
    this.#held.clear()
    this.#aborted.clear()
  }
}
