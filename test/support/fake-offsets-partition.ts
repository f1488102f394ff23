/** A partition of `__consumer_offsets` in memory that can be made to crash at any of its operations. */
import type { RecordSet } from '../../src/codec/record-set.ts'
import type {
  AppendedRecords,
  OffsetsPartition,
  ScannedRecord,
  TransactionProducer,
} from '../../src/groups/offsets-partition.ts'
import type { Durability } from '../../src/types.ts'
import { Deferred } from '../../src/util/deferred.ts'

const BATCH_HEADER_BYTES = 61
const RECORD_BYTES = 10
const NO_PRODUCER: TransactionProducer = { producerId: -1, producerEpoch: -1 }

export interface FakeBatch {
  readonly records: readonly ScannedRecord[]
  synced: boolean
}

interface FakeSegment {
  readonly baseOffset: number
  batches: FakeBatch[]
}

export interface RawRecord {
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly timestamp?: number
}

/** The process has ended: nothing that it asks for happens any more. */
export class Crash extends Error {}

export class FakeOffsetsPartition implements OffsetsPartition {
  logEndOffset = 0
  /** Appends so far. */
  operations = 0
  /** The operation with this number, and all after it, fail with a `Crash`. */
  crashAt: number = Number.POSITIVE_INFINITY
  /** The next operations fail with these, and do nothing. */
  readonly failures: Error[] = []
  /** Numbers of records of the appended batches. */
  readonly appendedCounts: number[] = []
  segments: FakeSegment[] = [{ baseOffset: 0, batches: [] }]
  #held: { readonly durability: Durability; readonly gate: Deferred<void> } | undefined

  get logStartOffset(): number {
    return this.segments[0]?.baseOffset ?? 0
  }

  get sizeBytes(): number {
    return this.batches().reduce((bytes, batch) => bytes + batchBytes(batch), 0)
  }

  batches(): FakeBatch[] {
    return this.segments.flatMap((segment) => segment.batches)
  }

  records(): ScannedRecord[] {
    return this.batches().flatMap((batch) => batch.records)
  }

  /** Acknowledgements of appends at this level wait until what is returned is called. */
  holdAcknowledgements(durability: Durability): () => void {
    const gate = new Deferred<void>()
    this.#held = { durability, gate }
    return () => {
      this.#held = undefined
      gate.resolve()
    }
  }

  async append(
    records: RecordSet,
    durability: Durability | undefined = 'os',
  ): Promise<AppendedRecords> {
    this.#operation()
    const appended = this.#add(records, NO_PRODUCER, false, durability)
    if (durability === 'disk') this.#sync()
    if (this.#held?.durability === durability) await this.#held.gate.promise
    return appended
  }

  async *scan(): AsyncIterable<ScannedRecord> {
    for (const record of this.records()) {
      await Promise.resolve()
      const key = record.key === null ? null : Buffer.from(record.key)
      const value = record.value === null ? null : Buffer.from(record.value)
      yield { ...record, key, value }
      // Valid until the next record is asked for.
      key?.fill(0xff)
      value?.fill(0xff)
    }
  }

  /** Takes a batch as someone else wrote it. */
  write(records: readonly RawRecord[], producer?: TransactionProducer): void {
    const set: RecordSet = {
      keys: records.map(({ key }) => key),
      values: records.map(({ value }) => value),
      headers: undefined,
      timestamps: records.map(({ timestamp }) => timestamp),
    }
    this.#add(set, producer ?? NO_PRODUCER, producer !== undefined, 'disk')
    this.#sync()
  }

  /** Takes a marker as a transaction coordinator wrote it. */
  writeMarker(producerId: number, control: 'commit' | 'abort'): void {
    const offset = this.logEndOffset
    const marker: ScannedRecord = {
      offset,
      key: Buffer.alloc(4),
      value: Buffer.alloc(6),
      producerId,
      producerEpoch: 0,
      isTransactional: true,
      control,
      timestamp: 0,
    }
    this.#active().batches.push({ records: [marker], synced: true })
    this.logEndOffset += 1
  }

  startSegment(): void {
    this.segments.push({ baseOffset: this.logEndOffset, batches: [] })
  }

  /** What a new process finds. `keeps` chooses among the unsynced batches, by their position among them. */
  reopened(keeps: (unsynced: number) => boolean = () => true): FakeOffsetsPartition {
    const copy = new FakeOffsetsPartition()
    copy.logEndOffset = this.logEndOffset
    let unsynced = -1
    copy.segments = this.segments.map(({ baseOffset, batches }) => ({
      baseOffset,
      batches: batches
        .filter((batch) => {
          if (!batch.synced) unsynced += 1
          return batch.synced || keeps(unsynced)
        })
        .map((batch) => ({ ...batch, synced: true })),
    }))
    return copy
  }

  #operation(): void {
    this.operations += 1
    if (this.operations >= this.crashAt) throw new Crash()
    const failure = this.failures.shift()
    if (failure !== undefined) throw failure
  }

  #sync(): void {
    for (const batch of this.batches()) batch.synced = true
  }

  #active(): FakeSegment {
    const active = this.segments.at(-1)
    if (active === undefined) throw new Error('there is always a segment')
    return active
  }

  #add(
    set: RecordSet,
    producer: TransactionProducer,
    isTransactional: boolean,
    durability: Durability,
  ): AppendedRecords {
    const baseOffset = this.logEndOffset
    const records = set.values.map((value, i): ScannedRecord => {
      const key = set.keys[i] ?? null
      return {
        ...producer,
        offset: baseOffset + i,
        key: key === null ? null : Buffer.from(key),
        value: value === null ? null : Buffer.from(value),
        isTransactional,
        control: undefined,
        timestamp: set.timestamps?.[i] ?? 0,
      }
    })
    this.#active().batches.push({ records, synced: false })
    this.appendedCounts.push(records.length)
    this.logEndOffset += records.length
    return { baseOffset, lastOffset: this.logEndOffset - 1, durability }
  }
}

function batchBytes({ records }: FakeBatch): number {
  return records.reduce(
    (bytes, { key, value }) => bytes + RECORD_BYTES + (key?.length ?? 0) + (value?.length ?? 0),
    BATCH_HEADER_BYTES,
  )
}
