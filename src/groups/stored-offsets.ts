/**
 * One partition of `__consumer_offsets`: its state in memory and its log, kept in step. Memory follows the log: it
 * changes when an append has succeeded, and only then.
 *
 * Commits run side by side, so that they share the log's writes and syncs. What computes its records from the state
 * runs alone: no commit called before it is still under way, and none called after it overtakes it. The log is kept
 * small by compaction, like that of any other topic: of each key its last record is enough.
 */
import type { RecordSet } from '../codec/record-set.ts'
import type { Durability } from '../types.ts'
import { Gate } from './gate.ts'
import type { StoredRecord } from './offset-state.ts'
import { OffsetState } from './offset-state.ts'
import type { OffsetsPartition } from './offsets-partition.ts'

/** Rewritten records go in batches of about this size, far below `maxMessageBytes`. */
const CHUNK_BYTES = 256 * 1024

export class StoredOffsets {
  readonly state: OffsetState = new OffsetState()
  readonly #log: OffsetsPartition
  readonly #gate = new Gate()
  /** Live records that a full disk kept out of the log. */
  #owed: StoredRecord[] = []

  constructor(log: OffsetsPartition) {
    this.#log = log
  }

  get owesRecords(): boolean {
    return this.#owed.length > 0
  }

  async load(): Promise<void> {
    for await (const record of this.#log.scan()) this.state.replay(record)
  }

  /** Appends the records as one batch; calls keep their order. Resolves with the level reached. */
  async commit(
    records: readonly StoredRecord[],
    durability: Durability | undefined,
  ): Promise<Durability> {
    const append = () => this.#append(records, durability)
    return this.owesRecords
      ? await this.#gate.exclusive(() => this.#writeOwed().then(append))
      : await this.#gate.shared(append)
  }

  /** Appends what `decide` computes from the state as it is when all earlier calls have ended. */
  async change(
    decide: () => readonly StoredRecord[],
    durability: Durability | undefined,
  ): Promise<void> {
    await this.#gate.exclusive(async () => {
      await this.#writeOwed()
      await this.#appendInChunks(decide(), durability)
    })
  }

  /** Runs a section in which a transaction appends records of its own; what computes its records from the state waits for its end. */
  async inTransaction<R>(section: () => Promise<R>): Promise<R> {
    if (this.owesRecords) await this.settle()
    return await this.#gate.shared(section)
  }

  /**
   * Takes live records that the log has no room for: they hold in memory, and are written before anything else is.
   * Not while anything is being appended.
   */
  owe(records: readonly StoredRecord[]): void {
    for (const record of records) this.state.apply(record, this.#log.logEndOffset)
    this.#owed.push(...records)
  }

  /** Writes what is owed; rejects while there is still no room for it. */
  async settle(): Promise<void> {
    await this.#gate.exclusive(() => this.#writeOwed())
  }

  async #writeOwed(): Promise<void> {
    await this.#appendInChunks(this.#owed, 'disk')
    this.#owed = []
  }

  async #appendInChunks(
    records: readonly StoredRecord[],
    durability: Durability | undefined,
  ): Promise<void> {
    for (const chunk of chunksOf(records)) await this.#append(chunk, durability)
  }

  async #append(
    records: readonly StoredRecord[],
    durability: Durability | undefined,
  ): Promise<Durability> {
    const appended = await this.#log.append(recordSetOf(records), durability)
    for (const [i, record] of records.entries()) this.state.apply(record, appended.baseOffset + i)
    return appended.durability
  }
}

export function recordSetOf(records: readonly StoredRecord[]): RecordSet {
  return {
    keys: records.map((record) => record.key),
    values: records.map((record) => record.value),
    headers: undefined,
    timestamps: records.map((record) => record.timestamp),
  }
}

function* chunksOf(records: readonly StoredRecord[]): Generator<StoredRecord[]> {
  let chunk: StoredRecord[] = []
  let bytes = 0
  for (const record of records) {
    const recordBytes = record.key.length + (record.value?.length ?? 0)
    if (chunk.length > 0 && bytes + recordBytes > CHUNK_BYTES) {
      yield chunk
      chunk = []
      bytes = 0
    }
    chunk.push(record)
    bytes += recordBytes
  }
  if (chunk.length > 0) yield chunk
}
