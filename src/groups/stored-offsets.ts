/**
 * One partition of `__consumer_offsets`: its state in memory and its log, kept in step. Memory follows the log: it
 * changes when an append has succeeded, and only then.
 *
 * Commits run side by side, so that they share the log's writes and syncs. What computes its records from the state
 * (deletions, clean-up) runs alone: no commit called before it is still under way, and none called after it
 * overtakes it.
 *
 * ## Clean-up
 *
 * Until there is compaction, the log is kept small by writing what is live once more and deleting the rest:
 *
 *   1. alone:        roll, at offset R; append the live records E, then tombstones for the deleted keys, then the
 *                    records of undecided transactions, as records of those transactions
 *   2. beside commits: flush
 *   3. beside commits: delete the segments below R: the commit point is the end of step 2
 *
 * What a load finds after a crash:
 * - During 1 or 2 the old segments are whole, and behind them stands some subset of E (a power cut may lose any
 *   unsynced part) and of later commits. Each record of E repeats what the old segments say of its key, so any
 *   subset of it changes nothing; a commit called later has a greater offset than all of E and wins. A tombstone
 *   in E names a key that is deleted already. A transaction's record that is there twice is applied twice, with
 *   the same result; the live value that E repeats does not count as newer than it (`OffsetState`), so a crash
 *   between the two does not take the transaction's commit away.
 * - During 3 all of E is durable, and of the old segments a suffix is left. What it says of a key is overwritten by E:
 *   by the live value, or by the tombstone, so that no deleted group comes back.
 * - After 3 E and later commits are the log.
 *
 * A transaction's records are never rewritten as plain ones: a reader would serve them. Where the log cannot append
 * to a transaction, nothing is cleaned up while one is undecided, as Kafka's own cleaner stops at the last stable offset.
 */
import type { RecordSet } from '../codec/record-set.ts'
import type { Clock, Durability } from '../types.ts'
import { asError } from '../util/error-code.ts'
import { Gate } from './gate.ts'
import type { StoredRecord } from './offset-state.ts'
import { OffsetState } from './offset-state.ts'
import type { OffsetsPartition } from './offsets-partition.ts'

/** Rewritten records go in batches of about this size, far below `maxMessageBytes`. */
const CHUNK_BYTES = 256 * 1024

export interface StoredOffsetsOptions {
  readonly clock: Clock
  /** Told of a clean-up that failed; commits go on as long as the log takes them. */
  readonly onError: (error: Error) => void
  readonly cleanUpMinBytes: number
  readonly cleanUpRatio: number
}

export class StoredOffsets {
  readonly state: OffsetState = new OffsetState()
  readonly #log: OffsetsPartition
  readonly #options: StoredOffsetsOptions
  readonly #gate = new Gate()
  #cleanUp: Promise<void> | undefined
  /** After a failed clean-up the next one waits until the log has grown to this. */
  #retryAtBytes = 0
  /** Live records that a full disk kept out of the log. */
  #owed: StoredRecord[] = []

  constructor(log: OffsetsPartition, options: StoredOffsetsOptions) {
    this.#log = log
    this.#options = options
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
    const reached = this.owesRecords
      ? await this.#gate.exclusive(() => this.#writeOwed().then(append))
      : await this.#gate.shared(append)
    this.#cleanUpIfDue()
    return reached
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
    this.#cleanUpIfDue()
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

  /** Resolves when no clean-up is under way. */
  async idle(): Promise<void> {
    await this.#cleanUp
  }

  #cleanUpIfDue(): void {
    const { cleanUpMinBytes, cleanUpRatio } = this.#options
    const { sizeBytes } = this.#log
    if (this.#cleanUp !== undefined || sizeBytes < this.#retryAtBytes) return
    if (sizeBytes <= cleanUpMinBytes || sizeBytes <= cleanUpRatio * this.state.liveBytes) return
    if (this.state.hasUndecided && this.#log.appendTransactional === undefined) return
    this.#cleanUp = this.#runCleanUp()
  }

  async #runCleanUp(): Promise<void> {
    try {
      const baseOffset = await this.#gate.exclusive(() => this.#rewrite())
      await this.#log.flush()
      await this.#log.deleteSegmentsBelow(baseOffset)
      this.state.forgetRemovedBelow(baseOffset)
      this.#retryAtBytes = 0
    } catch (error) {
      this.#retryAtBytes = this.#log.sizeBytes + this.#options.cleanUpMinBytes
      this.#options.onError(asError(error))
    } finally {
      this.#cleanUp = undefined
    }
  }

  async #rewrite(): Promise<number> {
    const baseOffset = await this.#log.roll()
    await this.#appendInChunks([...this.state.slots()], 'os')
    await this.#appendInChunks(this.state.tombstones(this.#options.clock.now()), 'os')
    for (const { records, ...producer } of this.state.undecided()) {
      for (const chunk of chunksOf(records)) {
        await this.#log.appendTransactional?.(recordSetOf(chunk), producer)
      }
    }
    return baseOffset
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

function recordSetOf(records: readonly StoredRecord[]): RecordSet {
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
