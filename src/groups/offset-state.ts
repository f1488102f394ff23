/**
 * What one partition of `__consumer_offsets` says: the latest decided record of every key. Pure, no I/O.
 *
 * Rule of precedence, Kafka's own (`OffsetMetadataManager.replay`): the record with the greatest offset wins, and a
 * record of a transaction counts at its own offset, not at its marker's. A tombstone also drops what undecided
 * transactions hold for its key.
 */
import type { TopicPartition } from '../types.ts'
import { MalformedBytesError } from './byte-reader.ts'
import type { DecodedKey } from './offset-format.ts'
import { decodeKey, decodeOffsetValue } from './offset-format.ts'
import type { ScannedRecord, TransactionProducer } from './offsets-partition.ts'
import type { CommittedOffset } from './types.ts'

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
  /** Keys of another version that mean the same: compaction does not know it, and a deletion has to name them all. */
  readonly otherKeys: readonly Buffer[]
  readonly value: Buffer
  readonly timestamp: number
  readonly decodedKey: DecodedKey
  readonly offset: number
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

/** The records of one transaction by key; the last one of a key counts. */
type Transaction = Map<string, PendingRecord>

/** What a transaction of this process is about to commit, until it is decided. Told by its identity. */
export interface HeldRecords {
  /** In the order in which they are appended. */
  readonly records: readonly StoredRecord[]
  readonly ids: ReadonlySet<string>
}

interface MutableGroup {
  readonly offsets: Map<string, Slot>
  metadata: Slot | undefined
}

export class OffsetState {
  readonly #slots = new Map<string, Slot>()
  readonly #groups = new Map<string, MutableGroup>()
  /** By producer id. */
  readonly #undecided = new Map<number, Transaction>()
  readonly #held = new Set<HeldRecords>()
  /** Called when something is held no more. */
  #waiting: (() => void)[] = []
  #keylessRecords = 0

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

  /** A transaction that is not decided has committed for the group: for this partition, or for any. */
  isUndecided(group: string, partition?: TopicPartition): boolean {
    if (this.isHeld(group, partition)) return true
    const id = partition && offsetId(group, partition.topic, partition.partition)
    for (const transaction of this.#undecided.values()) {
      if (id !== undefined) {
        if (transaction.has(id)) return true
        continue
      }
      for (const pending of transaction.values()) {
        if (groupOf(pending) === group) return true
      }
    }
    return false
  }

  // ---------------------------------------------------------------- transactions of this process

  /** They are about to be appended, in a transaction: until it is decided they count as not committed. */
  hold(records: readonly StoredRecord[]): HeldRecords {
    const ids = new Set(records.map(({ key }) => slotId(key, decodeKey(key))))
    const held = { records, ids }
    this.#held.add(held)
    return held
  }

  /** Those of an aborted one were never there. `baseOffset`: where the first of them stands. */
  decide(held: HeldRecords, outcome: 'commit' | 'abort', baseOffset: number): void {
    if (!this.#held.delete(held)) return
    if (outcome === 'commit') {
      for (const [i, record] of held.records.entries()) this.apply(record, baseOffset + i)
    }
    const waiting = this.#waiting
    this.#waiting = []
    for (const each of waiting) each()
  }

  isHeld(group: string, partition?: TopicPartition): boolean {
    if (this.#held.size === 0) return false
    const id = partition && offsetId(group, partition.topic, partition.partition)
    for (const { ids, records } of this.#held) {
      if (id === undefined ? records.some((each) => groupOf(each) === group) : ids.has(id)) {
        return true
      }
    }
    return false
  }

  /** Calls once, when something is held no more. */
  whenDecided(call: () => void): void {
    this.#waiting.push(call)
  }

  // -------------------------------------------------------------------------------------- records

  /** Takes the next record of the log. Its bytes are copied. */
  replay(record: ScannedRecord): void {
    if (record.control !== undefined) this.endTransaction(record.producerId, record.control)
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

  #addPending({ producerId }: TransactionProducer, record: PendingRecord): void {
    const transaction: Transaction = this.#undecided.get(producerId) ?? new Map()
    this.#undecided.set(producerId, transaction)
    transaction.set(slotId(record.key, decodeKey(record.key)), record)
  }

  /** What was read of the transaction of a producer takes effect, or does not. */
  endTransaction(producerId: number, outcome: 'commit' | 'abort'): void {
    const transaction = this.#undecided.get(producerId)
    if (transaction === undefined) return
    this.#undecided.delete(producerId)
    if (outcome === 'abort') return
    for (const [id, record] of transaction) this.#apply(id, record)
  }

  /** A record outside transactions. Acknowledgements of concurrent appends may come in another order than the log's. */
  #apply(id: string, record: PendingRecord): void {
    const current = this.#slots.get(id)
    if (current === undefined || current.offset < record.offset) this.#write(id, record)
  }

  #write(id: string, { key, value, timestamp, offset }: PendingRecord): void {
    if (value === null) {
      this.#remove(id, offset)
      return
    }
    const decodedKey = decodeKey(key)
    const committed = decodedKey.kind === 'offset' ? readOffsetValue(value) : undefined
    const otherKeys = otherKeysOf(this.#slots.get(id), key)
    this.#set(id, { key, otherKeys, value, timestamp, decodedKey, offset, committed })
  }

  #set(id: string, slot: Slot): void {
    this.#slots.set(id, slot)
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

  #remove(id: string, offset: number): void {
    for (const transaction of this.#undecided.values()) {
      const pending = transaction.get(id)
      if (pending !== undefined && pending.offset < offset) transaction.delete(id)
    }
    const slot = this.#slots.get(id)
    if (slot === undefined) return
    this.#slots.delete(id)
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

function groupOf({ key }: StoredRecord): string | undefined {
  const decoded = decodeKey(key)
  return decoded.kind === 'unknown' ? undefined : decoded.group
}

/** A topic's name holds no slash. */
export function partitionId(topic: string, partition: number): string {
  return `${partition}/${topic}`
}

/** Keys of versions 0 and 1 mean the same offset. */
function slotId(key: Buffer, decoded: DecodedKey): string {
  if (decoded.kind === 'unknown') return `unknown ${key.toString('latin1')}`
  if (decoded.kind === 'group') return `group ${decoded.group}`
  return offsetId(decoded.group, decoded.topic, decoded.partition)
}

function offsetId(group: string, topic: string, partition: number): string {
  return `offset ${partition}/${topic}/${group}`
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

const NO_KEYS: readonly Buffer[] = []

function otherKeysOf(slot: Slot | undefined, key: Buffer): readonly Buffer[] {
  if (slot === undefined || (slot.key.equals(key) && slot.otherKeys.length === 0)) return NO_KEYS
  return [slot.key, ...slot.otherKeys].filter((each) => !each.equals(key))
}

/** Of its own memory: a small view on a shared slab would keep all of the slab. */
function copyOf(bytes: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  bytes.copy(copy)
  return copy
}
