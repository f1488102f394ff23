import type { Codecs } from '../codec/codecs.ts'
import type { Compression } from '../codec/compression-choice.ts'
import { compressionOf } from '../codec/compression-choice.ts'
import type { RecordSet } from '../codec/record-set.ts'
import type { FailedPartition } from '../errors.ts'
import { LogError, PartialProduceError } from '../errors.ts'
import type { ResolvedProduceOptions } from '../options.ts'
import { copyRecordSet } from '../storage/admission.ts'
import type { BatchProducer } from '../storage/append-call.ts'
import { AppendCall } from '../storage/append-call.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type {
  Acknowledgement,
  BatchAcknowledgement,
  Durability,
  ProduceRecord,
  RecordHeaders,
  TopicConfig,
} from '../types.ts'
import { checkInteger, wrongType } from '../util/check.ts'
import { checkPartition, choosePartition } from './partitioner.ts'
import { checkHeaders } from './record-headers.ts'
import { checkKey } from './record-key.ts'
import type { StickyPartitioner } from './sticky-partitioner.ts'
import type { TopicCodec } from './topic.ts'
import { encodeValue } from './value-encoding.ts'

/** What a produce call came to before anything is appended: the records by partition, in input order within each. */
export interface PreparedProduce {
  readonly sets: ReadonlyMap<number, RecordSet>
  readonly options: ResolvedProduceOptions
}

/** Where prepared records go. */
export interface ProduceTarget {
  readonly name: string
  readonly durability: Durability
  partition(partition: number): PartitionLog
}

/** About what a record adds to its partition beside key and value; counts for the sticky choice alone. */
const RECORD_OVERHEAD_BYTES = 16

/**
 * Checks, serializes and partitions all records of a call, in the call itself.
 * Throws what is wrong with them, before anything is changed.
 */
export function prepareProduce(
  codec: TopicCodec,
  partitionCount: number,
  sticky: StickyPartitioner,
  records: readonly ProduceRecord<unknown, unknown>[],
  options: ResolvedProduceOptions,
): PreparedProduce {
  const sets = new Map<number, GrowingSet>()
  if (options.partition !== undefined) checkPartition(codec.name, options.partition, partitionCount)
  let lastPartition = -1
  let set: GrowingSet | undefined
  for (let index = 0; index < records.length; index += 1) {
    const record = checkRecord(records[index])
    const key = checkKey(codec, record.key)
    const value = encodeValue(codec.name, codec.serializer, codec.schema, record.value, index)
    const given = record.partition ?? options.partition
    const partition = choosePartition(
      codec.name,
      partitionCount,
      given,
      key,
      record.value,
      sizeOf(key, value),
      codec.partitioner,
      sticky,
    )
    if (partition !== lastPartition || set === undefined) {
      lastPartition = partition
      // Where all go to one partition, as they mostly do, its arrays need not grow.
      set = sets.get(partition) ?? new GrowingSet(sets.size === 0 ? records.length : 0)
      sets.set(partition, set)
    }
    set.add(key, value, record.headers, record.timestamp)
  }
  for (const each of sets.values()) each.end()
  requirePartition(codec.name, records, options)
  return { sets, options }
}

/** One record of a call, ready to be appended. */
export interface PreparedRecord {
  readonly partition: number
  readonly set: RecordSet
  readonly options: ResolvedProduceOptions
}

/** As `prepareProduce`, for a single record. */
export function prepareRecord(
  codec: TopicCodec,
  partitionCount: number,
  sticky: StickyPartitioner,
  given: ProduceRecord<unknown, unknown>,
  options: ResolvedProduceOptions,
): PreparedRecord {
  const record = checkRecord(given)
  if (options.partition !== undefined) checkPartition(codec.name, options.partition, partitionCount)
  const key = checkKey(codec, record.key)
  const value = encodeValue(codec.name, codec.serializer, codec.schema, record.value, 0)
  const { headers, timestamp } = record
  checkExtras(headers, timestamp)
  const partition = choosePartition(
    codec.name,
    partitionCount,
    record.partition ?? options.partition,
    key,
    record.value,
    sizeOf(key, value),
    codec.partitioner,
    sticky,
  )
  if (options.expectedOffset !== undefined) requirePartition(codec.name, [record], options)
  const set = {
    keys: [key],
    values: [value],
    headers: headers === undefined ? undefined : [headers],
    timestamps: timestamp === undefined ? undefined : [timestamp],
  }
  return { partition, set, options }
}

/** With bytes of their own, for a call that waits before it is appended. */
export function keepProduce({ sets, options }: PreparedProduce): PreparedProduce {
  const kept = [...sets].map(([partition, set]) => [partition, copyRecordSet(set)] as const)
  return { sets: new Map(kept), options }
}

/** Of a call with one record. */
export function onlyRecordOf({ sets, options }: PreparedProduce): PreparedRecord {
  const [[partition, set]] = [...sets] as [[number, RecordSet]]
  return { partition, set, options }
}

/** Appends one prepared record; in a batch of its producer, where it has one. */
export function produceOne(
  target: ProduceTarget,
  { partition, set, options }: PreparedRecord,
  producer?: BatchProducer,
): Promise<Acknowledgement> {
  return new Promise((resolve, reject) => {
    const call = new RecordCall(target, options, partition, resolve, reject)
    call.producer = producer
    target.partition(partition).append(set, call)
  })
}

/** Appends prepared records, in batches of their producer, where they have one; across partitions not atomic. */
export function produceMany(
  target: ProduceTarget,
  prepared: PreparedProduce,
  producer?: BatchProducer,
): Promise<BatchAcknowledgement[]> {
  const { sets, options } = prepared
  if (sets.size === 0) return Promise.resolve([])
  return new Promise((resolve, reject) => {
    const outcome = new Outcome(target.name, sets.size, resolve, reject)
    for (const [partition, set] of sets) {
      const call = new BatchCall(target, options, partition, outcome)
      call.producer = producer
      target.partition(partition).append(set, call)
    }
  })
}

class GrowingSet implements RecordSet {
  readonly keys: (string | Uint8Array | null)[]
  readonly values: (Uint8Array | null)[]
  headers: (RecordHeaders | undefined)[] | undefined
  timestamps: (number | undefined)[] | undefined
  #count = 0

  /** `capacity`: how many records there may be without growing. */
  constructor(capacity: number) {
    this.keys = new Array<null>(capacity).fill(null)
    this.values = new Array<null>(capacity).fill(null)
  }

  add(
    key: string | Uint8Array | null,
    value: Uint8Array | null,
    headers: RecordHeaders | undefined,
    timestamp: number | undefined,
  ): void {
    const index = this.#count
    if (headers !== undefined || timestamp !== undefined) {
      checkExtras(headers, timestamp)
      if (headers !== undefined) this.headers ??= new Array<undefined>(index).fill(undefined)
      if (timestamp !== undefined) this.timestamps ??= new Array<undefined>(index).fill(undefined)
    }
    this.headers?.push(headers)
    this.timestamps?.push(timestamp)
    this.keys[index] = key
    this.values[index] = value
    this.#count = index + 1
  }

  /** No more are added. */
  end(): void {
    this.keys.length = this.#count
    this.values.length = this.#count
  }
}

class RecordCall extends AppendCall {
  readonly #partition: number
  readonly #resolve: (acknowledgement: Acknowledgement) => void
  readonly #reject: (error: Error) => void

  constructor(
    target: ProduceTarget,
    options: ResolvedProduceOptions,
    partition: number,
    resolve: (acknowledgement: Acknowledgement) => void,
    reject: (error: Error) => void,
  ) {
    super(
      options.durability ?? target.durability,
      options.expectedOffset ?? -1,
      options.signal,
      compressionFor(options),
    )
    this.#partition = partition
    this.#resolve = resolve
    this.#reject = reject
  }

  acknowledged(): void {
    const { baseOffset: offset, timestamp, durability } = this
    this.#resolve({ partition: this.#partition, offset, timestamp, durability })
  }

  failed(error: Error): void {
    this.#reject(error)
  }
}

class BatchCall extends AppendCall {
  readonly #partition: number
  readonly #outcome: Outcome

  constructor(
    target: ProduceTarget,
    options: ResolvedProduceOptions,
    partition: number,
    outcome: Outcome,
  ) {
    super(
      options.durability ?? target.durability,
      options.expectedOffset ?? -1,
      options.signal,
      compressionFor(options),
    )
    this.#partition = partition
    this.#outcome = outcome
  }

  acknowledged(): void {
    const { baseOffset, count, timestamp, durability } = this
    const lastOffset = baseOffset + count - 1
    this.#outcome.acknowledged({
      partition: this.#partition,
      baseOffset,
      lastOffset,
      timestamp,
      durability,
    })
  }

  failed(error: Error): void {
    this.#outcome.failed({ partition: this.#partition, error })
  }
}

export function compressionFor(options: ResolvedProduceOptions): Compression | undefined {
  const { compression, compressionLevel } = options
  return compression === undefined ? undefined : compressionOf(compression, compressionLevel)
}

/**
 * Throws LogError UNSUPPORTED_CODEC where records cannot be compressed as the call, or else its topic, wants it: before they
 * have an offset.
 */
export function requireCodec(
  codecs: Codecs,
  options: ResolvedProduceOptions,
  config: Pick<TopicConfig, 'compression'>,
): void {
  const type = options.compression ?? config.compression
  if (type !== 'none') codecs.check(compressionOf(type).codec)
}

/** Gathers what the partitions of one call answer. */
class Outcome {
  readonly #topic: string
  readonly #total: number
  readonly #resolve: (acknowledged: BatchAcknowledgement[]) => void
  readonly #reject: (error: Error) => void
  readonly #acknowledged: BatchAcknowledgement[] = []
  readonly #failed: FailedPartition[] = []

  constructor(
    topic: string,
    total: number,
    resolve: (acknowledged: BatchAcknowledgement[]) => void,
    reject: (error: Error) => void,
  ) {
    this.#topic = topic
    this.#total = total
    this.#resolve = resolve
    this.#reject = reject
  }

  acknowledged(acknowledgement: BatchAcknowledgement): void {
    this.#acknowledged.push(acknowledgement)
    this.#settle()
  }

  failed(failure: FailedPartition): void {
    this.#failed.push(failure)
    this.#settle()
  }

  #settle(): void {
    if (this.#acknowledged.length + this.#failed.length < this.#total) return
    const byPartition = (a: { partition: number }, b: { partition: number }): number =>
      a.partition - b.partition
    const first = this.#failed[0]
    if (first === undefined) this.#resolve(this.#acknowledged.sort(byPartition))
    else if (this.#total === 1) this.#reject(first.error)
    else {
      const acknowledged = this.#acknowledged.sort(byPartition)
      this.#reject(
        new PartialProduceError(this.#topic, acknowledged, this.#failed.sort(byPartition)),
      )
    }
  }
}

function sizeOf(key: string | Uint8Array | null, value: Uint8Array | null): number {
  return (key?.length ?? 0) + (value?.length ?? 0) + RECORD_OVERHEAD_BYTES
}

function checkExtras(headers: unknown, timestamp: unknown): void {
  if (headers !== undefined) checkHeaders(headers)
  if (timestamp !== undefined) checkInteger('timestamp', timestamp, 0)
}

function checkRecord(record: unknown): ProduceRecord<unknown, unknown> {
  if (typeof record !== 'object' || record === null) {
    throw wrongType('a record', record, 'an object with value')
  }
  return record as ProduceRecord<unknown, unknown>
}

/** `expectedOffset` is the end of one partition: it must be said which. */
function requirePartition(
  topic: string,
  records: readonly ProduceRecord<unknown, unknown>[],
  options: ResolvedProduceOptions,
): void {
  if (options.expectedOffset === undefined || options.partition !== undefined) return
  const first = records[0]?.partition
  if (first !== undefined && records.every((record) => record.partition === first)) return
  throw new TypeError(`${topic}: expectedOffset needs a partition: give it in the options`)
}

/** For calls that come before their topic exists. */
export function unknownTopic(topic: string): LogError {
  return new LogError('UNKNOWN_TOPIC', `there is no topic ${topic}`)
}
