/**
 * What a partition knows of its producers: their last batches, by which duplicates are found, and their open transactions, before which
 * read-committed readers stop. It follows from the batches alone, so a lost snapshot costs reading them again.
 * Source: Kafka's `ProducerStateManager`, `ProducerAppendInfo` and `ProducerStateEntry`, as they read a log back.
 */
import { CONTROL_ABORT, CONTROL_COMMIT } from '../codec/batch.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import type { ProducerSnapshotEntry } from './producer-snapshot.ts'
import { decodeSnapshot, encodeSnapshot } from './producer-snapshot.ts'

/** How many of a producer's batches are remembered; a producer has at most as many on the way. */
export const REMEMBERED_BATCHES = 5
/** Kafka's `producer.id.expiration.ms`. */
export const PRODUCER_EXPIRATION_MS: number = 24 * 60 * 60 * 1000

const MAX_SEQUENCE = 2 ** 31 - 1

/** What is asked of a batch's header. */
export interface ProducerBatch {
  readonly producerId: number
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly maxTimestamp: number
  readonly isTransactional: boolean
  readonly isControl: boolean
}

/** The record of a control batch: type 0 aborts, 1 commits, others do not concern producers. */
export interface TransactionMarker {
  readonly type: number
  readonly coordinatorEpoch: number
}

/** A batch that a producer wrote. */
export interface RememberedBatch {
  readonly lastSequence: number
  readonly lastOffset: number
  /** lastOffset less the first offset. */
  readonly offsetDelta: number
  readonly timestamp: number
}

export interface ProducerEntry {
  readonly producerId: number
  readonly producerEpoch: number
  /** Of the last marker; -1 before there is one. */
  readonly coordinatorEpoch: number
  /** Of its last batch or marker, milliseconds. */
  readonly lastTimestamp: number
  /** Undefined: no transaction is open. */
  readonly currentTxnFirstOffset: number | undefined
  /** Of the present epoch, the newest last; at most `REMEMBERED_BATCHES`. Empty after a marker that raised the epoch. */
  readonly batches: readonly RememberedBatch[]
}

interface MutableEntry extends ProducerEntry {
  /** When this process wrote its last batch; -1: it has written none. Timestamps are the callers', and may be of long ago. */
  writtenMs: number
  producerEpoch: number
  coordinatorEpoch: number
  lastTimestamp: number
  currentTxnFirstOffset: number | undefined
  batches: RememberedBatch[]
}

export class ProducerStates {
  readonly #entries = new Map<number, MutableEntry>()
  /** First offsets of open transactions by producer id, the lowest first: they are added in the order of the log. */
  readonly #open = new Map<number, number>()

  get size(): number {
    return this.#entries.size
  }

  /** Where the earliest open transaction begins; undefined where none is open. */
  get firstUnstableOffset(): number | undefined {
    for (const firstOffset of this.#open.values()) return firstOffset
    return undefined
  }

  get(producerId: number): ProducerEntry | undefined {
    return this.#entries.get(producerId)
  }

  /** First offsets of open transactions by producer id, the lowest first. */
  openTransactions(): ReadonlyMap<number, number> {
    return this.#open
  }

  /** All that are remembered. */
  entries(): IterableIterator<ProducerEntry> {
    return this.#entries.values()
  }

  clear(): void {
    this.#entries.clear()
    this.#open.clear()
  }

  /**
   * Takes the next batch of the log. Batches without a producer id, and control batches without a marker, change nothing.
   * @param marker of a control batch; undefined where compaction has emptied it.
   * @returns the transaction that the batch aborted, for the segment's `.txnindex`.
   */
  update(batch: ProducerBatch, marker?: TransactionMarker): AbortedTransaction | undefined {
    if (batch.producerId < 0) return undefined
    if (!batch.isControl) {
      this.#data(batch)
      return undefined
    }
    const ends = marker?.type === CONTROL_ABORT || marker?.type === CONTROL_COMMIT
    return ends ? this.#end(batch, marker) : undefined
  }

  /** A batch of the producer was written now, whatever its timestamp says. */
  written(producerId: number, nowMs: number): void {
    const entry = this.#entries.get(producerId)
    if (entry !== undefined) entry.writtenMs = nowMs
  }

  /** Forgets the producers that were idle for more than `expirationMs` before `nowMs` and have no transaction open. */
  expire(nowMs: number, expirationMs: number): void {
    for (const [producerId, entry] of this.#entries) {
      if (entry.currentTxnFirstOffset !== undefined) continue
      const idleMs = nowMs - Math.max(entry.lastTimestamp, entry.writtenMs)
      if (idleMs > expirationMs) this.#entries.delete(producerId)
    }
  }

  /** The content of a `.snapshot` file: each producer with its last batch, by producer id. */
  snapshot(): Buffer {
    const entries = [...this.#entries.values()].map(toSnapshotEntry)
    return encodeSnapshot(entries.sort((a, b) => a.producerId - b.producerId))
  }

  /**
   * Replaces all by what a `.snapshot` file holds, less the producers that were idle for more than `expirationMs` before `nowMs` and have no transaction open.
   * @throws CorruptLogError naming `file` where the bytes fail their checks; nothing has changed then.
   */
  load(
    bytes: Buffer,
    nowMs: number,
    expirationMs: number = PRODUCER_EXPIRATION_MS,
    file = 'producer snapshot',
  ): void {
    const loaded = decodeSnapshot(bytes, file).filter(
      (each) =>
        each.currentTxnFirstOffset !== undefined || nowMs - each.lastTimestamp <= expirationMs,
    )
    this.clear()
    const open: [producerId: number, firstOffset: number][] = []
    for (const each of loaded) {
      this.#entries.set(each.producerId, fromSnapshotEntry(each))
      const { currentTxnFirstOffset } = each
      if (currentTxnFirstOffset !== undefined) open.push([each.producerId, currentTxnFirstOffset])
    }
    open.sort((a, b) => a[1] - b[1])
    for (const [producerId, firstOffset] of open) this.#open.set(producerId, firstOffset)
  }

  #data(batch: ProducerBatch): void {
    const entry = this.#entryOf(batch.producerId)
    raiseEpoch(entry, batch.producerEpoch)
    const offsetDelta = batch.lastOffset - batch.baseOffset
    entry.batches.push({
      lastSequence: lastSequence(batch.baseSequence, offsetDelta),
      lastOffset: batch.lastOffset,
      offsetDelta,
      timestamp: batch.maxTimestamp,
    })
    if (entry.batches.length > REMEMBERED_BATCHES) entry.batches.shift()
    entry.lastTimestamp = batch.maxTimestamp
    if (batch.isTransactional && entry.currentTxnFirstOffset === undefined) {
      entry.currentTxnFirstOffset = batch.baseOffset
      this.#open.set(batch.producerId, batch.baseOffset)
    }
  }

  #end(batch: ProducerBatch, marker: TransactionMarker): AbortedTransaction | undefined {
    const entry = this.#entryOf(batch.producerId)
    const firstOffset = entry.currentTxnFirstOffset
    // In version 2 of transactions a marker bears the next epoch, and what was written under the last one is forgotten.
    raiseEpoch(entry, batch.producerEpoch)
    entry.coordinatorEpoch = marker.coordinatorEpoch
    entry.lastTimestamp = batch.maxTimestamp
    entry.currentTxnFirstOffset = undefined
    this.#open.delete(batch.producerId)
    // A marker behind no records changes nothing for readers.
    if (firstOffset === undefined || marker.type !== CONTROL_ABORT) return undefined
    return {
      producerId: batch.producerId,
      firstOffset,
      lastOffset: batch.baseOffset,
      lastStableOffset: this.firstUnstableOffset ?? batch.baseOffset + 1,
    }
  }

  #entryOf(producerId: number): MutableEntry {
    let entry = this.#entries.get(producerId)
    if (entry === undefined) {
      entry = {
        producerId,
        producerEpoch: -1,
        coordinatorEpoch: -1,
        lastTimestamp: -1,
        currentTxnFirstOffset: undefined,
        batches: [],
        writtenMs: -1,
      }
      this.#entries.set(producerId, entry)
    }
    return entry
  }
}

function raiseEpoch(entry: MutableEntry, producerEpoch: number): void {
  if (entry.producerEpoch === producerEpoch) return
  entry.producerEpoch = producerEpoch
  entry.batches = []
}

/** Sequences run from 0 to 2^31 - 1 and begin again; -1 is none. */
export function lastSequence(baseSequence: number, offsetDelta: number): number {
  if (baseSequence < 0) return -1
  const last = baseSequence + offsetDelta
  return last <= MAX_SEQUENCE ? last : last - MAX_SEQUENCE - 1
}

export function nextSequence(sequence: number): number {
  return sequence === MAX_SEQUENCE ? 0 : sequence + 1
}

/** Of the batch's first record. */
export function firstSequence({ lastSequence: last, offsetDelta }: RememberedBatch): number {
  const first = last - offsetDelta
  return first >= 0 || last < 0 ? first : first + MAX_SEQUENCE + 1
}

/** How far the way is from one sequence to another, around the end where that is shorter: below 0 where it leads back. */
export function sequenceDistance(from: number, to: number): number {
  const distance = (to - from + MAX_SEQUENCE + 1) % (MAX_SEQUENCE + 1)
  return distance <= MAX_SEQUENCE / 2 ? distance : distance - MAX_SEQUENCE - 1
}

function toSnapshotEntry(entry: ProducerEntry): ProducerSnapshotEntry {
  const { producerId, producerEpoch, coordinatorEpoch, lastTimestamp, currentTxnFirstOffset } =
    entry
  const last = entry.batches.at(-1)
  return {
    producerId,
    producerEpoch,
    coordinatorEpoch,
    lastTimestamp,
    currentTxnFirstOffset,
    lastSequence: last?.lastSequence ?? -1,
    lastOffset: last?.lastOffset ?? -1,
    offsetDelta: last?.offsetDelta ?? 0,
  }
}

function fromSnapshotEntry(entry: ProducerSnapshotEntry): MutableEntry {
  const { lastSequence, lastOffset, offsetDelta, lastTimestamp: timestamp, ...rest } = entry
  const batches = lastOffset < 0 ? [] : [{ lastSequence, lastOffset, offsetDelta, timestamp }]
  return { ...rest, lastTimestamp: timestamp, batches, writtenMs: -1 }
}
