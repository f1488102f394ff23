/**
 * Producer snapshots and aborted transactions against the batches. Both follow from the batches alone, so these are gone through as a recovery
 * does, and what comes out is compared. How much of it can be told depends on the log: behind damage nothing; where compaction or retention has
 * taken batches away, only what contradicts those that are left.
 */
import type { BatchHeader, ControlRecord } from '../codec/batch.ts'
import { CONTROL_ABORT, CONTROL_COMMIT } from '../codec/batch.ts'
import type { AbortedTransaction } from '../storage/aborted-index.ts'
import type { ProducerSnapshotEntry } from '../storage/producer-snapshot.ts'
import { encodeSnapshot } from '../storage/producer-snapshot.ts'
import type { ProducerEntry } from '../storage/producer-state.ts'
import { ProducerStates } from '../storage/producer-state.ts'
import type { ProducerFault } from './producer-faults.ts'
import { producerFault } from './producer-faults.ts'

/** A `.snapshot` that could be read. */
export interface Snapshot {
  /** As of this offset. */
  readonly offset: number
  readonly entries: readonly ProducerSnapshotEntry[]
  readonly name: string
}

/** The `.txnindex` of a segment, and what is wrong with it. */
export interface AbortedProblem {
  readonly kind: 'aborted-entry' | 'aborted-missing'
  /** Of the entry in the file; -1: there is none. */
  readonly entry: number
  readonly transaction: AbortedTransaction
  readonly message: string
}

export class ProducerCheck {
  readonly #states = new ProducerStates()
  readonly #firstOffset: number
  readonly #contradiction: (snapshot: Snapshot, message: string) => void
  #snapshots: readonly Snapshot[] = []
  #nextSnapshot = 0
  #hasGaps = false
  #hasDamage = false
  /** Something before the next batch is missing; and before this offset. */
  #isMissing = false
  #missingBefore = 0
  /** Offsets of the last batch or marker, by producer id. */
  readonly #seen = new Map<number, number>()
  /** Of the last batch alone: a marker has no sequence. */
  readonly #seenData = new Map<number, number>()
  #aborted: readonly AbortedTransaction[] = []
  #nextAborted = 0
  #found: AbortedTransaction[] = []
  #problems: AbortedProblem[] = []

  /**
   * @param firstOffset that of the first segment: earlier batches are not there.
   * @param before the snapshot as of it, where there is one: what earlier batches left.
   */
  constructor(
    firstOffset: number,
    before: Snapshot | undefined,
    contradiction: (snapshot: Snapshot, message: string) => void,
  ) {
    this.#firstOffset = firstOffset
    this.#contradiction = contradiction
    if (before !== undefined) {
      this.#states.load(encodeSnapshot(before.entries), 0, Number.POSITIVE_INFINITY)
    } else if (firstOffset > 0) this.gap()
  }

  /** The snapshots that come next, rising. */
  due(snapshots: readonly Snapshot[]): void {
    this.#snapshots = [...this.#snapshots.slice(this.#nextSnapshot), ...snapshots]
    this.#nextSnapshot = 0
  }

  /** A segment begins, with the entries of its `.txnindex`. */
  begin(aborted: readonly AbortedTransaction[]): void {
    this.#aborted = aborted
    this.#nextAborted = 0
    this.#found = []
    this.#problems = []
  }

  /** Offsets are missing from here on. */
  gap(): void {
    this.#hasGaps = true
    this.#isMissing = true
  }

  /** Batches that cannot be read lie here. */
  damage(): void {
    this.#hasDamage = true
  }

  /** Takes the next batch; answers with what Kafka would have refused of it. */
  batch(header: BatchHeader, marker: ControlRecord | undefined): ProducerFault | undefined {
    this.#compareSnapshots(header.baseOffset)
    this.#compareAborted(header, marker)
    const fault = this.#fault(header, marker)
    const aborted = this.#states.update(header, marker)
    if (aborted !== undefined) this.#found.push(aborted)
    return fault
  }

  /** What is left open at the end; none is told behind damage. */
  open(): readonly ProducerEntry[] {
    if (this.#hasDamage) return []
    return [...this.#states.entries()].filter((each) => each.currentTxnFirstOffset !== undefined)
  }

  #fault(header: BatchHeader, marker: ControlRecord | undefined): ProducerFault | undefined {
    const { producerId, baseOffset, lastOffset } = header
    if (this.#isMissing) this.#missingBefore = baseOffset
    this.#isMissing = false
    if (producerId < 0 || this.#hasDamage) return undefined
    const ends = marker?.type === CONTROL_ABORT || marker?.type === CONTROL_COMMIT
    const isWholeSince = (offset = this.#firstOffset): boolean => offset >= this.#missingBefore
    const known = {
      before: this.#states.get(producerId),
      isWhole: isWholeSince(this.#seen.get(producerId)),
      areSequencesWhole: isWholeSince(this.#seenData.get(producerId)),
    }
    this.#seen.set(producerId, lastOffset)
    if (!header.isControl) this.#seenData.set(producerId, lastOffset)
    return producerFault(header, ends ? marker : undefined, known)
  }

  /** The segment ends; what is wrong with its `.txnindex`. */
  end(lastOffset: number): AbortedProblem[] {
    const { length } = this.#aborted
    for (; this.#nextAborted < length; this.#nextAborted += 1) {
      if (!this.#hasDamage) this.#aProblem(`the segment ends with offset ${lastOffset}`)
    }
    if (this.#hasDamage || this.#hasGaps) return this.#problems
    const entries = new Map(this.#aborted.map((each, index) => [each.lastOffset, { each, index }]))
    for (const found of this.#found) {
      const entry = entries.get(found.lastOffset)
      if (entry === undefined) {
        const message = `the marker at offset ${found.lastOffset} has no entry`
        this.#problems.push({ kind: 'aborted-missing', entry: -1, transaction: found, message })
      } else if (!isSameTransaction(entry.each, found)) {
        const [said, is] = [entry.each, found].map(shown)
        const message = `entry ${entry.index} says ${said}, the batches ${is}`
        const { each: transaction, index } = entry
        this.#problems.push({ kind: 'aborted-entry', entry: index, transaction, message })
      }
    }
    return this.#problems
  }

  /** The log ends; snapshots beyond are given back. */
  finish(endOffset: number): Snapshot[] {
    this.#compareSnapshots(endOffset)
    return this.#snapshots.slice(this.#nextSnapshot)
  }

  // --------------------------------------------------------------------------------- snapshots

  /** Compares what is due before the batch at `offset` is taken. */
  #compareSnapshots(offset: number): void {
    for (; this.#nextSnapshot < this.#snapshots.length; this.#nextSnapshot += 1) {
      const snapshot = this.#snapshots[this.#nextSnapshot] as Snapshot
      if (snapshot.offset > offset) return
      if (!this.#hasDamage) this.#compare(snapshot)
    }
  }

  #compare(snapshot: Snapshot): void {
    const said = new Map(snapshot.entries.map((entry) => [entry.producerId, entry]))
    for (const [producerId, entry] of said) {
      const message = this.#contradictionOf(entry, this.#states.get(producerId), snapshot.offset)
      if (message !== undefined) this.#contradiction(snapshot, `producer ${producerId}: ${message}`)
    }
    for (const [producerId, firstOffset] of this.#states.openTransactions()) {
      if (said.has(producerId)) continue
      const message = `producer ${producerId}: its transaction from offset ${firstOffset} on is not in it`
      this.#contradiction(snapshot, message)
    }
    if (this.#hasGaps) return
    for (const entry of this.#states.entries()) {
      if (said.has(entry.producerId) || entry.currentTxnFirstOffset !== undefined) continue
      const other = this.#idleLonger(entry, snapshot)
      if (other === undefined) continue
      const message = `producer ${entry.producerId}: it is missing, and ${other}, which was idle for longer, is not`
      this.#contradiction(snapshot, message)
    }
  }

  /** A producer is forgotten when it was idle for long; one that has not written since, and was idle before it, would be as well. */
  #idleLonger(
    { producerId, lastTimestamp }: ProducerEntry,
    snapshot: Snapshot,
  ): number | undefined {
    const seen = this.#seen.get(producerId) ?? -1
    const other = snapshot.entries.find(
      (each) =>
        each.currentTxnFirstOffset === undefined &&
        each.lastTimestamp <= lastTimestamp &&
        (this.#seen.get(each.producerId) ?? Number.POSITIVE_INFINITY) < seen,
    )
    return other?.producerId
  }

  #contradictionOf(
    said: ProducerSnapshotEntry,
    found: ProducerEntry | undefined,
    offset: number,
  ): string | undefined {
    if (said.lastOffset >= offset) return `its last offset is ${said.lastOffset}`
    const last = found?.batches.at(-1)
    if (found !== undefined && found.producerEpoch > said.producerEpoch) {
      return `it has epoch ${said.producerEpoch}, a batch has ${found.producerEpoch}`
    }
    if (last !== undefined && last.lastOffset > said.lastOffset && said.lastOffset >= 0) {
      return `its last offset is ${said.lastOffset}, a batch ends with ${last.lastOffset}`
    }
    // What was taken away may have said it.
    if (this.#hasGaps) return undefined
    if (found === undefined) {
      const isThere = said.lastOffset >= this.#firstOffset
      return isThere ? `no batch is its, and it names offset ${said.lastOffset}` : undefined
    }
    return this.#differenceOf(said, found)
  }

  /** All batches of the producer from `firstOffset` on are there. */
  #differenceOf(said: ProducerSnapshotEntry, found: ProducerEntry): string | undefined {
    const last = found.batches.at(-1)
    const pairs: [name: string, said: number, found: number][] = [
      ['epoch', said.producerEpoch, found.producerEpoch],
      ['last timestamp', said.lastTimestamp, found.lastTimestamp],
    ]
    if (last !== undefined) {
      pairs.push(['last offset', said.lastOffset, last.lastOffset])
      pairs.push(['last sequence', said.lastSequence, last.lastSequence])
      pairs.push(['offset delta', said.offsetDelta, last.offsetDelta])
    }
    // A producer that was idle for long is forgotten, its markers too.
    if (found.coordinatorEpoch >= 0 && said.coordinatorEpoch >= 0) {
      pairs.push(['coordinator epoch', said.coordinatorEpoch, found.coordinatorEpoch])
    }
    const transaction = said.currentTxnFirstOffset ?? -1
    if (transaction === -1 || transaction >= this.#firstOffset) {
      pairs.push(['open transaction', transaction, found.currentTxnFirstOffset ?? -1])
    }
    const different = pairs.find(([, one, other]) => one !== other)
    if (different === undefined) return undefined
    const [name, one, other] = different
    return `its ${name} is ${one}, by the batches ${other}`
  }

  // ----------------------------------------------------------------------- aborted transactions

  /** Holds entries up to this batch to it; those whose offset was taken away are left alone. */
  #compareAborted(header: BatchHeader, marker: ControlRecord | undefined): void {
    for (; this.#nextAborted < this.#aborted.length; this.#nextAborted += 1) {
      const entry = this.#aborted[this.#nextAborted] as AbortedTransaction
      if (entry.lastOffset > header.lastOffset) return
      if (entry.lastOffset < header.baseOffset) {
        if (!this.#hasGaps && !this.#hasDamage) this.#aProblem('no batch has that offset')
      } else if (!header.isControl || (marker !== undefined && marker.type !== CONTROL_ABORT)) {
        this.#aProblem('the batch there is no abort marker')
      } else if (header.producerId !== entry.producerId) {
        this.#aProblem(`the marker there is of producer ${header.producerId}`)
      }
    }
  }

  #aProblem(what: string): void {
    const entry = this.#nextAborted
    const transaction = this.#aborted[entry] as AbortedTransaction
    const { producerId, lastOffset } = transaction
    const message = `entry ${entry} names an abort of producer ${producerId} at offset ${lastOffset}; ${what}`
    this.#problems.push({ kind: 'aborted-entry', entry, transaction, message })
  }
}

function isSameTransaction(one: AbortedTransaction, other: AbortedTransaction): boolean {
  return (
    one.producerId === other.producerId &&
    one.firstOffset === other.firstOffset &&
    one.lastStableOffset === other.lastStableOffset
  )
}

function shown({ producerId, firstOffset, lastStableOffset }: AbortedTransaction): string {
  return `producer ${producerId}, first offset ${firstOffset}, last stable offset ${lastStableOffset}`
}
