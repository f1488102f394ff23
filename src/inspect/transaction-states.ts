/** What stands in `__transaction_state`: of each transactional id the last record, read from the files without opening them as a log. */
import path from 'node:path'
import { readBatchHeader } from '../codec/batch.ts'
import { RecordLayout } from '../codec/record-layout.ts'
import { DataFile, FileCache } from '../storage/file-cache.ts'
import type { PartitionName } from '../storage/file-names.ts'
import { partitionDirectoryName } from '../storage/file-names.ts'
import type { TransactionState } from '../transactions/transaction-state-format.ts'
import { errorCode } from '../util/error-code.ts'
import { Semaphore } from '../util/semaphore.ts'
import { recordBytes, unreadable } from './batch-content.ts'
import { decodeInternal } from './internal-record.ts'
import type { LogVisitor } from './log-walk.ts'
import { walkLog } from './log-walk.ts'
import { partitionFilesOf } from './partition-files.ts'
import type { SurveyOptions } from './producer-survey.ts'

export const TRANSACTION_TOPIC = '__transaction_state'

export interface StoredTransaction {
  readonly transactionalId: string
  readonly state: TransactionState
  /** Where it stands. */
  readonly partition: number
  readonly offset: number
}

export interface StoredTransactions {
  /** By transactional id. */
  readonly byId: ReadonlyMap<string, StoredTransaction>
  /** Records that cannot be read; `verify` and `dump` tell more. */
  readonly unread: number
}

/** @param partitions those of the directory; others than of `__transaction_state` are passed over. */
export async function storedTransactions(
  options: SurveyOptions,
  partitions: readonly PartitionName[],
): Promise<StoredTransactions> {
  const reader = new StateReader(options)
  for (const { topic, partition } of partitions) {
    if (topic === TRANSACTION_TOPIC) await reader.read(partition)
  }
  return reader
}

class StateReader implements StoredTransactions, LogVisitor {
  readonly byId = new Map<string, StoredTransaction>()
  unread = 0
  readonly #options: SurveyOptions
  readonly #files: FileCache
  readonly #layout = new RecordLayout()
  #partition = 0

  constructor(options: SurveyOptions) {
    this.#options = options
    this.#files = new FileCache(options.fileSystem, new Semaphore(1), 1)
  }

  /** Compaction may take a segment away meanwhile: what it held stands in the one that took its place. */
  async read(partition: number): Promise<void> {
    this.#partition = partition
    const { directory, fileSystem } = this.#options
    const inside = path.join(directory, partitionDirectoryName(TRANSACTION_TOPIC, partition))
    for (let looks = 1; ; looks += 1) {
      try {
        const { segments } = partitionFilesOf(await fileSystem.readdir(inside))
        for (const { log } of segments) await this.#segment(path.join(inside, log))
        return
      } catch (error) {
        if (errorCode(error) !== 'ENOENT') throw error
        if (looks === 5) return
      }
    }
  }

  async #segment(name: string): Promise<void> {
    const file = DataFile.existing(this.#files, name, true)
    try {
      const to = file.sizeSync()
      await walkLog(file, { from: 0, to, nextOffset: 0, signal: this.#options.signal }, this)
    } finally {
      await file.close()
    }
  }

  // ------------------------------------------------------------------------------------ batches

  progress(): void {}

  region(): void {
    this.unread += 1
  }

  largeBatch(): void {
    this.unread += 1
  }

  async batch(buffer: Buffer, at: number): Promise<void> {
    const header = readBatchHeader(buffer, at)
    if (header.isControl || header.count === 0) return
    try {
      const bytes = await recordBytes(buffer, at, header)
      let position = 0
      for (let index = 0; index < header.count; index += 1) {
        position = this.#layout.read(bytes, position, bytes.length)
        this.#record(bytes, header.baseOffset + this.#layout.offsetDelta)
      }
    } catch (error) {
      unreadable(error)
      this.unread += 1
    }
  }

  #record(bytes: Buffer, offset: number): void {
    const { keyStart, keyLength, valueStart, valueLength } = this.#layout
    const key = keyLength < 0 ? null : bytes.subarray(keyStart, keyStart + keyLength)
    const value = valueLength < 0 ? null : bytes.subarray(valueStart, valueStart + valueLength)
    const record = decodeInternal(TRANSACTION_TOPIC, key, value)
    if (record?.kind !== 'transaction') {
      this.unread += 1
      return
    }
    const { transactionalId, state } = record
    const partition = this.#partition
    // A second look may come by what is old.
    const known = this.byId.get(transactionalId)
    if (known !== undefined && known.partition === partition && known.offset > offset) return
    if (state === null) this.byId.delete(transactionalId)
    else this.byId.set(transactionalId, { transactionalId, state, partition, offset })
  }
}
