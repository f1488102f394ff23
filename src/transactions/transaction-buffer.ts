/**
 * The records of a transaction that are not written yet, a batch a partition and codec, and what they are conditioned on.
 *
 * A condition (`expectedOffset`) says where the log ends right before the records of its call, those of the transaction counted. So all conditions of a
 * partition say where its buffered records begin, and must say the same; whether that is so is judged when they are appended.
 */
import { BATCH_HEADER_BYTES } from '../codec/batch.ts'
import { CONTROL_BATCH_BYTES, encodedSizeBound } from '../codec/batch-encoder.ts'
import type { Compression } from '../codec/compression-choice.ts'
import type { RecordSet } from '../codec/record-set.ts'
import { OffsetConflictError } from '../errors.ts'
import { copyBytes, copyHeaders } from '../storage/admission.ts'
import { largestBatchBytes, requireFits } from '../storage/batch-limit.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { PreparedProduce } from '../topics/produce.ts'
import { compressionFor } from '../topics/produce.ts'
import { bytes as bytesSerializer } from '../topics/serializers.ts'
import type { Topic } from '../topics/topic.ts'
import type { RecordHeaders } from '../types.ts'
import type { Appended, TransactionWrite } from './types.ts'

/** A call's records for one partition, checked. */
interface Part {
  readonly to: PartitionBuffer
  readonly set: RecordSet
  /** At least what they take in a batch. */
  readonly boundBytes: number
}

/** All that is buffered: what must be written first, and for each partition one last batch. */
export interface BufferedWrites {
  readonly before: readonly TransactionWrite[]
  readonly last: readonly TransactionWrite[]
}

export class TransactionBuffer {
  readonly #partitions = new Map<PartitionLog, PartitionBuffer>()
  #bytes = 0

  /** About what the records take, and a little more. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Takes the records of a call, all or none: throws `OffsetConflictError` where its condition cannot hold if the others do, and
   * `MessageTooLargeError` where they are more than one batch takes. `now` is the time of records without a timestamp.
   */
  add(topic: Topic, { sets, options }: PreparedProduce, now: number): void {
    const parts: Part[] = []
    for (const [partition, set] of sets) {
      const log = topic.partition(partition)
      const boundBytes = encodedSizeBound(set)
      if (boundBytes + BATCH_HEADER_BYTES > largestBatchBytes(log.config, CONTROL_BATCH_BYTES)) {
        requireFits(log.name, set, boundBytes, now, log.config, CONTROL_BATCH_BYTES)
      }
      const to = this.#partitions.get(log) ?? new PartitionBuffer(log)
      if (options.expectedOffset !== undefined) to.requireBase(options.expectedOffset)
      parts.push({ to, set, boundBytes })
    }
    const compression = compressionFor(options)
    // What other serializers give is handed over.
    const isCallers = topic.codec.serializer === bytesSerializer
    for (const { to, set, boundBytes } of parts) {
      this.#partitions.set(to.log, to)
      to.add(set, boundBytes, compression, isCallers)
      if (options.expectedOffset !== undefined) to.condition(options.expectedOffset, set)
      this.#bytes += boundBytes
    }
  }

  /** All of it, for a write that is no end; nothing is buffered any more. */
  take(): readonly TransactionWrite[] {
    this.#bytes = 0
    return [...this.#partitions.values()].flatMap((each) => each.take())
  }

  /** All of it, for the commit. */
  takeLast(): BufferedWrites {
    this.#bytes = 0
    const before: TransactionWrite[] = []
    const last: TransactionWrite[] = []
    for (const each of this.#partitions.values()) {
      const writes = each.take()
      const end = writes.at(-1)
      if (end === undefined) continue
      before.push(...writes.slice(0, -1))
      last.push(end)
    }
    return { before, last }
  }

  /** What was taken stands in the log. */
  written(appended: readonly Appended[]): void {
    for (const { log, baseOffset, count } of appended) {
      this.#partitions.get(log)?.endsAt(baseOffset + count)
    }
  }

  clear(): void {
    this.#partitions.clear()
    this.#bytes = 0
  }
}

class PartitionBuffer {
  readonly log: PartitionLog
  #batches: GrowingBatch[] = []
  /** Records in them. */
  #count = 0
  /** Where they are to begin; -1: anywhere. */
  #base = -1
  /** How many of the batches have a condition, or stand before one that has. */
  #conditional = 0
  /** Where the transaction's records that were taken end, as far as that is known: what comes begins there or above. */
  #end = -1

  constructor(log: PartitionLog) {
    this.log = log
  }

  requireBase(expectedOffset: number): void {
    const base = expectedOffset - this.#count
    const actual = this.#base >= 0 ? this.#base : Math.max(base, this.#end, 0)
    if (base === actual) return
    throw new OffsetConflictError(this.log.name, expectedOffset, actual + this.#count)
  }

  /** Of the call whose records were the last to be added. */
  condition(expectedOffset: number, set: RecordSet): void {
    this.#base = expectedOffset - (this.#count - set.values.length)
    this.#conditional = this.#batches.length
  }

  add(
    set: RecordSet,
    boundBytes: number,
    compression: Compression | undefined,
    isCallers: boolean,
  ): void {
    let batch = this.#batches.at(-1)
    const isOther = batch === undefined || batch.compression !== compression
    if (
      isOther ||
      (batch?.bytes ?? 0) + boundBytes > largestBatchBytes(this.log.config, CONTROL_BATCH_BYTES)
    ) {
      batch = new GrowingBatch(compression)
      this.#batches.push(batch)
    }
    batch?.add(set, boundBytes, isCallers)
    this.#count += set.values.length
  }

  take(): TransactionWrite[] {
    const { log } = this
    const conditional = this.#conditional
    let offset = this.#base
    const writes = this.#batches.map((set, index) => {
      const expectedOffset = index < conditional ? offset : -1
      offset += set.values.length
      return { log, set, expectedOffset, compression: set.compression }
    })
    // Where the first must begin, the others follow at once.
    if (this.#base >= 0) this.endsAt(this.#base + this.#count)
    this.#batches = []
    this.#count = 0
    this.#base = -1
    this.#conditional = 0
    return writes
  }

  endsAt(offset: number): void {
    this.#end = Math.max(this.#end, offset)
  }
}

/** The records of several calls, with bytes of their own. */
class GrowingBatch implements RecordSet {
  readonly keys: (string | Uint8Array | null)[] = []
  readonly values: (Uint8Array | null)[] = []
  headers: (RecordHeaders | undefined)[] | undefined
  timestamps: (number | undefined)[] | undefined
  readonly compression: Compression | undefined
  bytes: number = BATCH_HEADER_BYTES

  constructor(compression: Compression | undefined) {
    this.compression = compression
  }

  add({ keys, values, headers, timestamps }: RecordSet, bytes: number, isCallers: boolean): void {
    const before = this.values.length
    if (headers !== undefined) this.headers ??= new Array<undefined>(before).fill(undefined)
    if (timestamps !== undefined) this.timestamps ??= new Array<undefined>(before).fill(undefined)
    for (let i = 0; i < values.length; i += 1) {
      const key = keys[i] ?? null
      const value = values[i] ?? null
      this.keys.push(typeof key === 'string' ? key : copyBytes(key))
      this.values.push(isCallers ? copyBytes(value) : value)
      this.headers?.push(copyHeaders(headers?.[i]))
      this.timestamps?.push(timestamps?.[i])
    }
    this.bytes += bytes
  }
}
