/**
 * What one partition of `__consumer_offsets` says: the latest decided record of every key. Pure, no I/O.
 *
 * Rule of precedence, Kafka's own (`OffsetMetadataManager.replay`): the record with the greatest offset wins, and a
 * record of a transaction counts at its own offset, not at its marker's. A tombstone also drops what undecided
 * transactions hold for its key.
 *
 * A record that repeats a key's value byte for byte does not make the value newer: it keeps the offset of its first
 * writing (`sinceOffset`) against records of transactions. So rewriting what is live changes nothing.
 */
import { MalformedBytesError } from './byte-reader.ts'
import type { DecodedKey } from './offset-format.ts'
import { decodeKey, decodeOffsetValue } from './offset-format.ts'
import type { ScannedRecord, TransactionProducer } from './offsets-partition.ts'
import type { CommittedOffset } from './types.ts'

/** Length, attributes, deltas and header count of a small record. */
const RECORD_OVERHEAD_BYTES = 10

export interface StoredRecord {
  readonly key: Buffer
  /** Null deletes the key. */
  readonly value: Buffer | null
  /** Milliseconds since the Unix epoch. */
  readonly timestamp: number
}

/** The live record of a key. */
export interface Slot {
  readonly key: Buffer
  readonly value: Buffer
  readonly timestamp: number
  readonly decodedKey: DecodedKey
  /** Of the latest record with this value. */
  readonly offset: number
  /** Of the first record with this value. */
  readonly sinceOffset: number
  /** Undefined where the value is no committed offset. */
  readonly committed: CommittedOffset | undefined
}

export interface GroupSlots {
  /** By `partitionId`. */
  readonly offsets: ReadonlyMap<string, Slot>
  readonly metadata: Slot | undefined
}

interface PendingRecord extends StoredRecord {
  readonly offset: number
}

export interface UndecidedTransaction extends TransactionProducer {
  readonly records: readonly StoredRecord[]
}

interface Transaction {
  producerEpoch: number
  /** By key, in the order of their offsets; the last one of a key counts. */
  readonly records: Map<string, PendingRecord>
}

interface MutableGroup {
  readonly offsets: Map<string, Slot>
  metadata: Slot | undefined
}

interface RemovedKey {
  readonly key: Buffer
  readonly offset: number
}

export class OffsetState {
  readonly #slots = new Map<string, Slot>()
  readonly #groups = new Map<string, MutableGroup>()
  /** By producer id. */
  readonly #undecided = new Map<number, Transaction>()
  /** Keys whose deleted records may still be in the log. */
  readonly #removed = new Map<string, RemovedKey>()
  #liveBytes = 0
  #keylessRecords = 0

  /** About the bytes that the live records take in a log, those of undecided transactions included. */
  get liveBytes(): number {
    return this.#liveBytes
  }

  get hasUndecided(): boolean {
    return this.#undecided.size > 0
  }

  /** Records that cannot be read: kept in the log where they have a key, never served. */
  countMalformed(): number {
    let count = this.#keylessRecords
    for (const slot of this.#slots.values()) if (isMalformed(slot)) count += 1
    return count
  }

  group(group: string): GroupSlots | undefined {
    return this.#groups.get(group)
  }

  groupIds(): IterableIterator<string> {
    return this.#groups.keys()
  }

  slots(): IterableIterator<Slot> {
    return this.#slots.values()
  }

  /** Takes the next record of the log. Its bytes are copied. */
  replay(record: ScannedRecord): void {
    if (record.control !== undefined) this.#endTransaction(record.producerId, record.control)
    else if (record.key === null) this.#keylessRecords += 1
    else {
      const { offset, timestamp, value } = record
      const key = copyOf(record.key)
      const stored = { key, value: value === null ? null : copyOf(value), timestamp, offset }
      if (record.isTransactional) this.#addPending(record, stored)
      else this.#apply(slotId(key, decodeKey(key)), stored)
    }
  }

  /** Takes a record that has just been appended, outside a transaction. */
  apply(record: StoredRecord, offset: number): void {
    const { key, value, timestamp } = record
    this.#apply(slotId(key, decodeKey(key)), { key, value, timestamp, offset })
  }

  /**
   * A tombstone for every key that was deleted and whose records may still be in the log, save those for which a
   * transaction is undecided: a new tombstone would drop what it holds.
   */
  tombstones(timestamp: number): StoredRecord[] {
    const tombstones: StoredRecord[] = []
    for (const [id, { key }] of this.#removed) {
      if (!this.#isPending(id)) tombstones.push({ key, value: null, timestamp })
    }
    return tombstones
  }

  /** The log has nothing below `offset` any more. */
  forgetRemovedBelow(offset: number): void {
    for (const [id, removed] of this.#removed) {
      if (removed.offset < offset) this.#removed.delete(id)
    }
  }

  /** What undecided transactions would still change if they were committed; the rest is dropped. */
  undecided(): UndecidedTransaction[] {
    const transactions: UndecidedTransaction[] = []
    for (const [producerId, transaction] of this.#undecided) {
      for (const [id, record] of transaction.records) {
        if (this.#isSuperseded(id, record)) this.#dropPending(transaction, id)
      }
      const { producerEpoch, records } = transaction
      if (records.size === 0) this.#undecided.delete(producerId)
      else transactions.push({ producerId, producerEpoch, records: [...records.values()] })
    }
    return transactions
  }

  #addPending(producer: TransactionProducer, record: PendingRecord): void {
    let transaction = this.#undecided.get(producer.producerId)
    if (transaction === undefined) {
      transaction = { producerEpoch: producer.producerEpoch, records: new Map() }
      this.#undecided.set(producer.producerId, transaction)
    }
    transaction.producerEpoch = producer.producerEpoch
    const id = slotId(record.key, decodeKey(record.key))
    this.#dropPending(transaction, id)
    transaction.records.set(id, record)
    this.#liveBytes += recordBytes(record)
  }

  #dropPending(transaction: Transaction, id: string): void {
    const record = transaction.records.get(id)
    if (record === undefined) return
    transaction.records.delete(id)
    this.#liveBytes -= recordBytes(record)
  }

  #endTransaction(producerId: number, outcome: 'commit' | 'abort'): void {
    const transaction = this.#undecided.get(producerId)
    if (transaction === undefined) return
    this.#undecided.delete(producerId)
    for (const [id, record] of transaction.records) {
      this.#liveBytes -= recordBytes(record)
      if (outcome === 'commit' && !this.#isSuperseded(id, record)) this.#write(id, record)
    }
  }

  #isPending(id: string): boolean {
    for (const { records } of this.#undecided.values()) if (records.has(id)) return true
    return false
  }

  #isSuperseded(id: string, record: PendingRecord): boolean {
    const slot = this.#slots.get(id)
    return slot !== undefined && slot.sinceOffset > record.offset
  }

  /** A record outside transactions. Acknowledgements of concurrent appends may come in another order than the log's. */
  #apply(id: string, record: PendingRecord): void {
    const current = this.#slots.get(id)
    if (current === undefined || current.offset < record.offset) this.#write(id, record)
  }

  #write(id: string, record: PendingRecord): void {
    const { key, value, timestamp } = record
    const current = this.#slots.get(id)
    if (value === null) {
      this.#remove(id, key, record.offset)
      return
    }
    const offset = Math.max(record.offset, current?.offset ?? -1)
    if (current !== undefined && value.equals(current.value)) {
      this.#set(id, { ...current, timestamp, offset })
      return
    }
    const decodedKey = decodeKey(key)
    const committed = decodedKey.kind === 'offset' ? readOffsetValue(value) : undefined
    const sinceOffset = record.offset
    this.#set(id, { key, value, timestamp, decodedKey, offset, sinceOffset, committed })
  }

  #set(id: string, slot: Slot): void {
    const previous = this.#slots.get(id)
    this.#liveBytes += recordBytes(slot) - (previous === undefined ? 0 : recordBytes(previous))
    this.#slots.set(id, slot)
    this.#removed.delete(id)
    const { decodedKey } = slot
    if (decodedKey.kind === 'unknown') return
    let group = this.#groups.get(decodedKey.group)
    if (group === undefined) {
      group = { offsets: new Map(), metadata: undefined }
      this.#groups.set(decodedKey.group, group)
    }
    if (decodedKey.kind === 'group') group.metadata = slot
    else group.offsets.set(partitionId(decodedKey.topic, decodedKey.partition), slot)
  }

  #remove(id: string, key: Buffer, offset: number): void {
    for (const transaction of this.#undecided.values()) {
      const pending = transaction.records.get(id)
      if (pending !== undefined && pending.offset < offset) this.#dropPending(transaction, id)
    }
    const slot = this.#slots.get(id)
    if (slot === undefined) return
    this.#slots.delete(id)
    this.#removed.set(id, { key, offset })
    this.#liveBytes -= recordBytes(slot)
    const { decodedKey } = slot
    if (decodedKey.kind === 'unknown') return
    const group = this.#groups.get(decodedKey.group)
    if (group === undefined) return
    if (decodedKey.kind === 'group') group.metadata = undefined
    else group.offsets.delete(partitionId(decodedKey.topic, decodedKey.partition))
    if (group.metadata === undefined && group.offsets.size === 0) {
      this.#groups.delete(decodedKey.group)
    }
  }
}

/** A topic's name holds no slash. */
export function partitionId(topic: string, partition: number): string {
  return `${partition}/${topic}`
}

/** Keys of versions 0 and 1 mean the same offset. */
function slotId(key: Buffer, decoded: DecodedKey): string {
  if (decoded.kind === 'unknown') return `unknown ${key.toString('latin1')}`
  if (decoded.kind === 'group') return `group ${decoded.group}`
  return `offset ${decoded.partition}/${decoded.topic}/${decoded.group}`
}

function isMalformed(slot: Slot): boolean {
  const { decodedKey } = slot
  if (decodedKey.kind === 'offset') return slot.committed === undefined
  return decodedKey.kind === 'unknown' && decodedKey.malformed
}

function readOffsetValue(value: Buffer): CommittedOffset | undefined {
  try {
    return decodeOffsetValue(value)
  } catch (error) {
    if (error instanceof MalformedBytesError) return undefined
    throw error
  }
}

function recordBytes(record: StoredRecord): number {
  return RECORD_OVERHEAD_BYTES + record.key.length + (record.value?.length ?? 0)
}

/** Of its own memory: a small view on a shared slab would keep all of the slab. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
