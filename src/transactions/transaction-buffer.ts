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
import type { ResolvedProduceOptions } from '../options.ts'
import { copyBytes, copyHeaders } from '../storage/admission.ts'
import { largestBatchBytes, requireFits } from '../storage/batch-limit.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { PreparedProduce, PreparedRecord } from '../topics/produce.ts'
import { compressionFor } from '../topics/produce.ts'
import { bytes as bytesSerializer } from '../topics/serializers.ts'
import type { Topic } from '../topics/topic.ts'
import type { Clock, RecordHeaders } from '../types.ts'
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

/** So many partitions are found by looking at each of them. */
const MOST_WITHOUT_MAP = 8

export class TransactionBuffer {
  readonly #partitions: PartitionBuffer[] = []
  #byLog: Map<PartitionLog, PartitionBuffer> | undefined
  #bytes = 0

  /** About what the records take, and a little more. */
  get bytes(): number {
    return this.#bytes
  }

  /**
   * Takes the records of a call, all or none: throws `OffsetConflictError` where its condition cannot hold if the others do, and
   * `MessageTooLargeError` where they are more than one batch takes. The clock's is the time of records without a timestamp.
   */
  add(topic: Topic, { sets, options }: PreparedProduce, clock: Pick<Clock, 'now'>): void {
    const parts: Part[] = []
    for (const [partition, set] of sets) {
      parts.push(this.#judge(topic.partition(partition), set, options, clock))
    }
    for (const part of parts) this.#take(topic, part, options)
  }

  /** The same, of one record. */
  addOne(
    topic: Topic,
    { partition, set, options }: PreparedRecord,
    clock: Pick<Clock, 'now'>,
  ): void {
    this.#take(topic, this.#judge(topic.partition(partition), set, options, clock), options)
  }

  #judge(
    log: PartitionLog,
    set: RecordSet,
    { expectedOffset }: ResolvedProduceOptions,
    clock: Pick<Clock, 'now'>,
  ): Part {
    const boundBytes = encodedSizeBound(set)
    if (boundBytes + BATCH_HEADER_BYTES > largestBatchBytes(log.config, CONTROL_BATCH_BYTES)) {
      requireFits(log.name, set, boundBytes, clock.now(), log.config, CONTROL_BATCH_BYTES)
    }
    const to = this.#find(log) ?? new PartitionBuffer(log)
    if (expectedOffset !== undefined) to.requireBase(expectedOffset)
    return { to, set, boundBytes }
  }

  #take({ codec }: Topic, { to, set, boundBytes }: Part, options: ResolvedProduceOptions): void {
    const { expectedOffset } = options
    if (to.isNew) this.#keep(to)
    // What other serializers give is handed over.
    to.add(set, boundBytes, compressionFor(options), codec.serializer === bytesSerializer)
    if (expectedOffset !== undefined) to.condition(expectedOffset, set)
    this.#bytes += boundBytes
  }

  #find(log: PartitionLog): PartitionBuffer | undefined {
    if (this.#byLog !== undefined) return this.#byLog.get(log)
    for (const each of this.#partitions) if (each.log === log) return each
    return undefined
  }

  #keep(partition: PartitionBuffer): void {
    partition.isNew = false
    this.#partitions.push(partition)
    if (this.#byLog !== undefined) this.#byLog.set(partition.log, partition)
    else if (this.#partitions.length > MOST_WITHOUT_MAP) {
      this.#byLog = new Map(this.#partitions.map((each) => [each.log, each]))
    }
  }

  /** All of it, for a write that is no end; nothing is buffered any more. */
  take(): readonly TransactionWrite[] {
    this.#bytes = 0
    return this.#partitions.flatMap((each) => each.take())
  }

  /** All of it, for the commit. */
  takeLast(): BufferedWrites {
    this.#bytes = 0
    const before: TransactionWrite[] = []
    const last: TransactionWrite[] = []
    for (const each of this.#partitions) {
      const writes = each.take()
      const end = writes.at(-1)
      if (end === undefined) continue
      if (writes.length > 1) before.push(...writes.slice(0, -1))
      last.push(end)
    }
    return { before, last }
  }

  /** What was taken stands in the log. */
  written(appended: readonly Appended[]): void {
    for (const { log, baseOffset, count } of appended) {
      this.#find(log)?.endsAt(baseOffset + count)
    }
  }

  clear(): void {
    this.#partitions.length = 0
    this.#byLog = undefined
    this.#bytes = 0
  }
}

class PartitionBuffer {
  readonly log: PartitionLog
  /** The transaction has nothing of it yet. */
  isNew = true
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
    const batch = this.#batches.at(-1)
    const limit = largestBatchBytes(this.log.config, CONTROL_BATCH_BYTES)
    if (batch?.takes(compression, boundBytes, limit) === true) batch.add(set, boundBytes, isCallers)
    else this.#batches.push(new GrowingBatch(this.log, compression, set, boundBytes, isCallers))
    this.#count += set.values.length
  }

  take(): TransactionWrite[] {
    const batches = this.#batches
    let offset = this.#base
    for (let i = 0; i < this.#conditional; i += 1) {
      const batch = batches[i] as GrowingBatch
      batch.expectedOffset = offset
      offset += batch.values.length
    }
    // Where the first must begin, the others follow at once.
    if (this.#base >= 0) this.endsAt(this.#base + this.#count)
    this.#batches = []
    this.#count = 0
    this.#base = -1
    this.#conditional = 0
    return batches
  }

  endsAt(offset: number): void {
    this.#end = Math.max(this.#end, offset)
  }
}

/** The records of several calls, with bytes of their own. */
class GrowingBatch implements RecordSet, TransactionWrite {
  readonly log: PartitionLog
  readonly compression: Compression | undefined
  readonly keys: (string | Uint8Array | null)[]
  readonly values: (Uint8Array | null)[]
  headers: (RecordHeaders | undefined)[] | undefined
  timestamps: (number | undefined)[] | undefined
  boundBytes: number
  expectedOffset = -1

  constructor(
    log: PartitionLog,
    compression: Compression | undefined,
    { keys, values, headers, timestamps }: RecordSet,
    boundBytes: number,
    isCallers: boolean,
  ) {
    this.log = log
    this.compression = compression
    this.keys = keys.map(copyKey)
    this.values = isCallers ? values.map(copyBytes) : [...values]
    this.headers = headers?.map(copyHeaders)
    this.timestamps = timestamps?.slice()
    this.boundBytes = boundBytes
  }

  get set(): RecordSet {
    return this
  }

  takes(compression: Compression | undefined, boundBytes: number, limit: number): boolean {
    if (compression !== this.compression) return false
    return BATCH_HEADER_BYTES + this.boundBytes + boundBytes <= limit
  }

  add({ keys, values, headers, timestamps }: RecordSet, bytes: number, isCallers: boolean): void {
    const before = this.values.length
    if (headers !== undefined) this.headers ??= new Array<undefined>(before).fill(undefined)
    if (timestamps !== undefined) this.timestamps ??= new Array<undefined>(before).fill(undefined)
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i] ?? null
      this.keys.push(copyKey(keys[i] ?? null))
      this.values.push(isCallers ? copyBytes(value) : value)
      this.headers?.push(copyHeaders(headers?.[i]))
      this.timestamps?.push(timestamps?.[i])
    }
    this.boundBytes += bytes
  }
}

function copyKey(key: string | Uint8Array | null): string | Uint8Array | null {
  return typeof key === 'string' ? key : copyBytes(key)
}
