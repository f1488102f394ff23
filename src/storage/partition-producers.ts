/**
 * The producers of one partition: what is written of them, what waits, what readers see of their transactions; and the two files of it, `.txnindex` and
 * `.snapshot`.
 *
 * A call with a producer makes a batch of its own. Where it ends a transaction, the marker lies right behind in memory, and the two are one
 * `PendingBatch`: one segment, one write. Steps, as in `Appender`:
 *
 *   1. judged       sequence and epoch, by what is written and what waits; the transaction is held back from read-committed readers
 *   2. write        data and marker, back to back                      -> `os` calls are acknowledged
 *   3. counted      the producer state, which is thus as of the log end offset at all times; then the `.txnindex` of an abort
 *   4. sync         as of any batch                                    -> `disk` calls are acknowledged
 *
 * The commit point of a transaction of one partition is the marker's last byte on the disk, with the data before it: at `os` the end of 2, at `disk` the
 * end of 4. Killed before 2, nothing is there. Within 2, recovery finds
 *   - a part of the data's batch: it is cut off; the producer is where it was, and brings the same sequence again;
 *   - the data's batch, and no marker or a part of one, which is cut off: a transaction that nobody has decided. The open aborts it;
 *   - both: it is committed, though nobody was told.
 * A power cut between 2 and 4 leaves any of the three, or, where the marker reached the disk and the data did not as a whole: bytes that fail their
 * CRC before a sound marker that ends nothing. At the log end, past the recovery point, both are cut off together. Where other batches follow that
 * were written behind them and arrived, the region stays and is told, as that of any unsynced batch does, and the marker ends nothing. At no time are
 * the records seen in part, or before they are decided. After 4 both stay.
 *
 * Refused for want of room in 2, the file is cut to its size: neither is there, the sequence is free again, and what was held is released.
 * Killed between 2 and 3, or with the `.txnindex` unsynced or still owed: its entries follow from the markers. Recovery walks from the newest snapshot and
 * builds what lies behind it again. So a snapshot is written only when all entries before it are on the disk.
 */

import { batchSizeAt, CONTROL_ABORT, CONTROL_COMMIT, readBatchHeader } from '../codec/batch.ts'
import type { HeaderProducer } from '../codec/batch-encoder.ts'
import { AbortedWriter } from './aborted-writer.ts'
import type { AppendCall, BatchProducer } from './append-call.ts'
import type { StorageEnvironment } from './environment.ts'
import type { PendingBatch } from './pending-batch.ts'
import type { KnownBatch } from './pending-producers.ts'
import { PendingProducers } from './pending-producers.ts'
import type { ProducerStates } from './producer-state.ts'
import { lastSequence } from './producer-state.ts'
import type { Segment } from './segment.ts'
import { SideFiles } from './side-files.ts'
import { VisibleTransactions } from './visible-transactions.ts'

/** After so many bytes a flush also writes a producer snapshot, so that recovery never walks further back. */
const SNAPSHOT_BYTES = 16 * 1024 * 1024

/** The content of a `.snapshot`, and the offset that it is of. */
export interface TakenSnapshot {
  readonly offset: number
  readonly bytes: Buffer
}

export class PartitionProducers {
  readonly states: ProducerStates
  readonly visible: VisibleTransactions = new VisibleTransactions()
  readonly #environment: StorageEnvironment
  readonly #pending: PendingProducers
  readonly #aborted: AbortedWriter
  readonly #sideFiles: SideFiles
  #bytesAtSnapshot = 0

  constructor(
    where: string,
    directory: string,
    environment: StorageEnvironment,
    states: ProducerStates,
  ) {
    this.states = states
    this.#environment = environment
    for (const [id, first] of states.openTransactions()) this.visible.hold(id, first)
    this.#pending = new PendingProducers(where, states, this.visible)
    this.#aborted = new AbortedWriter(environment, directory)
    this.#sideFiles = new SideFiles(environment, directory)
  }

  // ------------------------------------------------------------------------------- for the appender

  /** See `PendingProducers.judge`; a call that repeats a batch gets the answer that was given for that. */
  judge(call: AppendCall, producer: BatchProducer, count: number): number | KnownBatch {
    const judged = this.#pending.judge(producer, count)
    if (typeof judged === 'number') return judged
    call.baseOffset = judged.lastOffset - judged.offsetDelta
    call.count = count
    call.timestamp = judged.timestamp
    return judged
  }

  /** The call's batch waits to be written. */
  admitted(batch: PendingBatch, producer: HeaderProducer, call: AppendCall): void {
    const { count, baseOffset, timestamp } = call
    const offsetDelta = count - 1
    const of =
      count === 0
        ? undefined
        : {
            lastSequence: lastSequence(producer.baseSequence, offsetDelta),
            lastOffset: baseOffset + offsetDelta,
            offsetDelta,
            timestamp,
          }
    this.#pending.admitted(batch, producer, of)
  }

  /**
   * A producer's batch, with its marker, now stands at the end of the segment. What is counted is what was written: the same as recovery reads. Throws
   * where the aborted transaction could not be noted, and that for another reason than want of room; all else is done then.
   */
  wrote(batch: PendingBatch, producer: HeaderProducer, active: Segment): void {
    const { buffer } = batch.chunk
    let failure: { readonly error: unknown } | undefined
    for (let at = batch.start; at < batch.end; at += batchSizeAt(buffer, at)) {
      const header = readBatchHeader(buffer, at)
      const { sizeBytes, lastOffset, maxTimestamp } = header
      active.appended({ position: active.sizeBytes, sizeBytes, lastOffset, maxTimestamp })
      const aborted = this.states.update(header, header.isControl ? markerOf(batch) : undefined)
      if (aborted === undefined) continue
      this.visible.addAborted(aborted)
      try {
        this.#aborted.add(active, aborted)
      } catch (error) {
        failure = { error }
      }
    }
    this.states.written(producer.producerId, this.#environment.clock.now())
    this.#pending.wrote(batch, producer)
    if (failure !== undefined) throw failure.error
  }

  /** What waited has failed. */
  dropPending(): void {
    this.#pending.drop()
  }

  /** Forgets who has written nothing for long. */
  expire(): void {
    const { clock, producerIdExpirationMs } = this.#environment
    this.states.expire(clock.now(), producerIdExpirationMs)
  }

  /** Where the first transaction begins that is undecided, or not released yet, or whose abort is not in its file; undefined: there is none. */
  get firstUnsettledOffset(): number | undefined {
    const offsets = [this.states.firstUnstableOffset, this.visible.firstUnstableOffset]
    for (const { firstOffset } of this.#aborted.owed) offsets.push(firstOffset)
    const known = offsets.filter((each) => each !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }

  // ---------------------------------------------------------------------------------------- files

  /** No entry of `.txnindex` is owed. */
  get isComplete(): boolean {
    return this.#aborted.isComplete
  }

  /** Writes the entries that a full disk has kept out. */
  complete(): void {
    this.#aborted.complete()
  }

  /** The state as of the log end offset, where so much was written since the last one that a flush is to keep it. */
  takeIfDue(active: Segment, logEndOffset: number): TakenSnapshot | undefined {
    if (active.sizeBytes - this.#bytesAtSnapshot < SNAPSHOT_BYTES) return undefined
    if (!this.#aborted.isComplete) return undefined
    this.#bytesAtSnapshot = active.sizeBytes
    return this.take(logEndOffset)
  }

  take(logEndOffset: number): TakenSnapshot {
    return { offset: logEndOffset, bytes: this.states.snapshot() }
  }

  /** Writes it, after the aborted transactions that it lies behind. All batches below its offset are on the disk. */
  async save(taken: TakenSnapshot, segments: readonly Segment[]): Promise<void> {
    await this.#aborted.sync()
    const bases = new Set(segments.map((segment) => segment.baseOffset))
    await this.#sideFiles.saveSnapshot(taken.offset, taken.bytes, bases)
  }

  /** A new segment is active. */
  rolled(): void {
    this.#bytesAtSnapshot = 0
  }
}

function markerOf({
  ending,
}: PendingBatch): { type: number; coordinatorEpoch: number } | undefined {
  if (ending === undefined) return undefined
  const type = ending.outcome === 'commit' ? CONTROL_COMMIT : CONTROL_ABORT
  return { type, coordinatorEpoch: ending.coordinatorEpoch }
}
