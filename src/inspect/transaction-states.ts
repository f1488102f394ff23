/** What stands in `__transaction_state`: of each transactional id the last record, read from the files without opening them as a log. */
import path from 'node:path'
import { readBatchHeader } from '../codec/batch.ts'
import { RecordLayout } from '../codec/record-layout.ts'
import { DataFile, FileCache } from '../storage/file-cache.ts'
import type { PartitionName } from '../storage/file-names.ts'
import { partitionDirectoryName } from '../storage/file-names.ts'
import { TRANSACTIONS_TOPIC } from '../transactions/state-log.ts'
import type { TransactionState } from '../transactions/transaction-state-format.ts'
import { errorCode } from '../util/error-code.ts'
import { Semaphore } from '../util/semaphore.ts'
import { recordBytes, unreadable } from './batch-content.ts'
import { decodeInternal } from './internal-record.ts'
import type { LogVisitor } from './log-walk.ts'
import { walkLog } from './log-walk.ts'
import { partitionFilesOf } from './partition-files.ts'
import type { SurveyOptions } from './producer-survey.ts'

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
  /** What cannot be read. */
  readonly unread: readonly UnreadState[]
}

export interface UnreadState {
  readonly partition: number
  /** File of the segment. */
  readonly file: string
  /** Of the record; undefined where a batch or its bytes are not sound, of which `verify` tells by itself. */
  readonly offset: number | undefined
  readonly message: string
}

/** @param partitions those of the directory; others than of `__transaction_state` are passed over. */
export async function storedTransactions(
  options: SurveyOptions,
  partitions: readonly PartitionName[],
): Promise<StoredTransactions> {
  const reader = new StateReader(options)
  for (const { topic, partition } of partitions) {
    if (topic === TRANSACTIONS_TOPIC) await reader.read(partition)
  }
  return reader
}

class StateReader implements StoredTransactions, LogVisitor {
  readonly byId = new Map<string, StoredTransaction>()
  readonly unread: UnreadState[] = []
  readonly #options: SurveyOptions
  readonly #files: FileCache
  readonly #layout = new RecordLayout()
  #partition = 0
  #file = ''

  constructor(options: SurveyOptions) {
    this.#options = options
    this.#files = new FileCache(options.fileSystem, new Semaphore(1), 1)
  }

  /** Compaction may take a segment away meanwhile: what it held stands in the one that took its place. */
  async read(partition: number): Promise<void> {
    this.#partition = partition
    const { directory, fileSystem } = this.#options
    const inside = path.join(directory, partitionDirectoryName(TRANSACTIONS_TOPIC, partition))
    for (let looks = 1; ; looks += 1) {
      try {
        const { segments } = partitionFilesOf(await fileSystem.readdir(inside))
        this.#unreadBefore(partition)
        for (const { log } of segments) await this.#segment(path.join(inside, log))
        return
      } catch (error) {
        if (errorCode(error) !== 'ENOENT') throw error
        if (looks === 5) return
      }
    }
  }

  /** A second look finds them again. */
  #unreadBefore(partition: number): void {
    const others = this.unread.filter((each) => each.partition !== partition)
    this.unread.splice(0, this.unread.length, ...others)
  }

  async #segment(name: string): Promise<void> {
    this.#file = path.basename(name)
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
    this.#unread(undefined, 'bytes that are no sound batch')
  }

  largeBatch(): void {
    this.#unread(undefined, 'a batch that is too large')
  }

  #unread(offset: number | undefined, message: string): void {
    this.unread.push({ partition: this.#partition, file: this.#file, offset, message })
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
      this.#unread(undefined, unreadable(error).message)
    }
  }

  #record(bytes: Buffer, offset: number): void {
    const { keyStart, keyLength, valueStart, valueLength } = this.#layout
    const key = keyLength < 0 ? null : bytes.subarray(keyStart, keyStart + keyLength)
    const value = valueLength < 0 ? null : bytes.subarray(valueStart, valueStart + valueLength)
    const record = decodeInternal(TRANSACTIONS_TOPIC, key, value)
    if (record?.kind !== 'transaction') {
      const reason = record?.kind === 'unknown' ? record.reason : 'it has no key'
      this.#unread(offset, reason)
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
