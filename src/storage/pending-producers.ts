import type { HeaderProducer } from '../codec/batch-encoder.ts'
import { LogError } from '../errors.ts'
import type { BatchProducer } from './append-call.ts'
import type { PendingBatch } from './pending-batch.ts'
import type { ProducerStates, RememberedBatch } from './producer-state.ts'
import {
  firstSequence,
  lastSequence,
  nextSequence,
  REMEMBERED_BATCHES,
  sequenceDistance,
} from './producer-state.ts'
import type { VisibleTransactions } from './visible-transactions.ts'

/** A batch that a producer has brought before. */
export interface KnownBatch extends RememberedBatch {
  /** It is not written yet; undefined: it is. */
  batch?: PendingBatch | undefined
}

interface PendingProducer {
  producerEpoch: number
  /** Of the present epoch, the newest last: the last ones, and all that are not written yet. */
  batches: KnownBatch[]
  /** How many of its batches wait to be written, markers among them. */
  waiting: number
  /** What it held of `VisibleTransactions` it does since this batch was admitted, which is not written yet. */
  heldBy: PendingBatch | undefined
}

/**
 * The producers of one partition as they will be once all that waits is written: it lies over `ProducerStates`, which knows what is written.
 * Judges what a producer brings by both. What waits fails all at once, and then so does all of this.
 */
export class PendingProducers {
  readonly #where: string
  readonly #written: ProducerStates
  readonly #visible: VisibleTransactions
  readonly #producers = new Map<number, PendingProducer>()

  constructor(where: string, written: ProducerStates, visible: VisibleTransactions) {
    this.#where = where
    this.#written = written
    this.#visible = visible
  }

  /**
   * Judges `count` records of a producer, before they are admitted; none: a marker alone. Answers with the sequence of the first, or with
   * the batch that they were brought as before. As Kafka's `ProducerAppendInfo`, save that it knows a repetition from a gap.
   * Throws `LogError`: `PRODUCER_FENCED`, `OUT_OF_ORDER_SEQUENCE`, `DUPLICATE_SEQUENCE`.
   */
  judge(producer: BatchProducer, count: number): number | KnownBatch {
    const { producerId, producerEpoch, baseSequence } = producer
    const waiting = this.#producers.get(producerId)
    const known = waiting ?? this.#written.get(producerId)
    if (known !== undefined && producerEpoch < known.producerEpoch) {
      throw this.#fenced(producer, known.producerEpoch)
    }
    if (count === 0) return -1
    if (known === undefined) return Math.max(baseSequence, 0)
    const last = producerEpoch === known.producerEpoch ? known.batches.at(-1) : undefined
    const expected = last === undefined ? 0 : nextSequence(last.lastSequence)
    if (baseSequence < 0 || baseSequence === expected) return expected
    if (last !== undefined) {
      const repeated = findRepeated(known.batches, baseSequence, count)
      if (repeated !== undefined && producer.ending === undefined) return repeated
      // It ends at or before the last one.
      const end = lastSequence(baseSequence, count - 1)
      if (sequenceDistance(end, last.lastSequence) >= 0) throw this.#repeated(producer, expected)
    }
    throw this.#outOfOrder(producer, expected)
  }

  /** A batch of a producer waits to be written; `of` is what its records are remembered as, undefined where it is a marker alone. */
  admitted(batch: PendingBatch, producer: HeaderProducer, of: RememberedBatch | undefined): void {
    const { producerId, producerEpoch, isTransactional } = producer
    const pending = this.#pendingOf(producerId, producerEpoch)
    pending.waiting += 1
    if (of === undefined) return
    pending.batches.push({ ...of, batch })
    prune(pending.batches)
    if (!isTransactional || !this.#visible.hold(producerId, batch.baseOffset)) return
    pending.heldBy = batch
  }

  /** The batch is written, and `ProducerStates` knows it. */
  wrote(batch: PendingBatch, { producerId }: HeaderProducer): void {
    const pending = this.#producers.get(producerId)
    if (pending === undefined) return
    pending.waiting -= 1
    if (pending.waiting === 0) {
      this.#producers.delete(producerId)
      return
    }
    if (pending.heldBy === batch) pending.heldBy = undefined
    const known = pending.batches.find((each) => each.batch === batch)
    if (known !== undefined) known.batch = undefined
    prune(pending.batches)
  }

  /** Nothing of what waits is written: what it made known is forgotten, and what it held is not held any more. */
  drop(): void {
    for (const [producerId, { heldBy }] of this.#producers) {
      if (heldBy !== undefined) this.#visible.release(producerId)
    }
    this.#producers.clear()
  }

  #pendingOf(producerId: number, producerEpoch: number): PendingProducer {
    let pending = this.#producers.get(producerId)
    if (pending === undefined) {
      const written = this.#written.get(producerId)
      const batches: KnownBatch[] = written?.batches.map((each) => ({ ...each })) ?? []
      pending = {
        producerEpoch: written?.producerEpoch ?? producerEpoch,
        batches,
        waiting: 0,
        heldBy: undefined,
      }
      this.#producers.set(producerId, pending)
    }
    if (pending.producerEpoch !== producerEpoch) {
      pending.producerEpoch = producerEpoch
      pending.batches = []
    }
    return pending
  }

  #fenced({ producerId, producerEpoch }: BatchProducer, present: number): LogError {
    const message = `${this.#where}: producer ${producerId} writes under epoch ${producerEpoch}, its present one is ${present}; nothing was written`
    return new LogError('PRODUCER_FENCED', message)
  }

  #outOfOrder({ producerId, baseSequence }: BatchProducer, expected: number): LogError {
    const message = `${this.#where}: producer ${producerId} brings sequence ${baseSequence}, its next one is ${expected}; nothing was written`
    return new LogError('OUT_OF_ORDER_SEQUENCE', message)
  }

  #repeated({ producerId, baseSequence }: BatchProducer, expected: number): LogError {
    const message = `${this.#where}: producer ${producerId} brings sequence ${baseSequence} again, its next one is ${expected}; its offsets are not remembered any more`
    return new LogError('DUPLICATE_SEQUENCE', message)
  }
}

function findRepeated(
  batches: readonly KnownBatch[],
  baseSequence: number,
  count: number,
): KnownBatch | undefined {
  const last = lastSequence(baseSequence, count - 1)
  return batches.findLast(
    (each) => each.lastSequence === last && firstSequence(each) === baseSequence,
  )
}

/** Those that are not written yet stay: whether they are repeated shows only when they are, or fail. */
function prune(batches: KnownBatch[]): void {
  while (batches.length > REMEMBERED_BATCHES && batches[0]?.batch === undefined) batches.shift()
}
