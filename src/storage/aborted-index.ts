/**
 * `.txnindex`: the aborted transactions whose marker lies in the segment, in the order of the markers. Big-endian; source: Kafka's `TransactionIndex`.
 *
 *   0         2            10            18           26                 34
 *   | version | producerId | firstOffset | lastOffset | lastStableOffset |      version is 0
 *
 * `firstOffset` is the transaction's first record, which may lie segments before this one; `lastOffset` the abort marker; `lastStableOffset` the first
 * offset of the next transaction still open, else lastOffset + 1: below it no later marker can abort anything. The file is there only where it has entries.
 *
 * Crash argument: an entry follows from the marker in the .log and is written after it. Killed before, or half-way (a write begins at a whole
 * entry, so a half one is written over), the entry is missing or the file is short past the recovery point, where it is rebuilt from the batches; a rebuild replaces the file by rename.
 */
import { dirname } from 'node:path'
import { readInt64, writeInt64 } from '../codec/int64.ts'
import { CorruptLogError } from '../errors.ts'
import type { FileHandle, FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import { readFileIfThere, replaceFile } from './checkpoint.ts'

const VERSION = 0
const ENTRY_BYTES = 34

export interface AbortedTransaction {
  readonly producerId: number
  readonly firstOffset: number
  /** Of the abort marker. */
  readonly lastOffset: number
  readonly lastStableOffset: number
}

export function encodeAbortedTransactions(transactions: readonly AbortedTransaction[]): Buffer {
  const bytes = Buffer.alloc(transactions.length * ENTRY_BYTES)
  let at = 0
  for (const each of transactions) {
    bytes.writeInt16BE(VERSION, at)
    writeInt64(bytes, at + 2, each.producerId)
    writeInt64(bytes, at + 10, each.firstOffset)
    writeInt64(bytes, at + 18, each.lastOffset)
    writeInt64(bytes, at + 26, each.lastStableOffset)
    at += ENTRY_BYTES
  }
  return bytes
}

/** @throws CorruptLogError naming `file` and the position of the first entry that is cut or makes no sense. */
export function decodeAbortedTransactions(bytes: Buffer, file: string): AbortedTransaction[] {
  const transactions: AbortedTransaction[] = []
  let lastOffset = -1
  for (let at = 0; at < bytes.length; at += ENTRY_BYTES) {
    if (at + ENTRY_BYTES > bytes.length) throw new CorruptLogError(file, at, 'the entry is cut')
    const version = bytes.readInt16BE(at)
    if (version !== VERSION) throw new CorruptLogError(file, at, `version ${version} is not known`)
    const transaction = {
      producerId: readInt64(bytes, at + 2),
      firstOffset: readInt64(bytes, at + 10),
      lastOffset: readInt64(bytes, at + 18),
      lastStableOffset: readInt64(bytes, at + 26),
    }
    if (!isPlausible(transaction) || transaction.lastOffset <= lastOffset) {
      throw new CorruptLogError(file, at, 'the offsets of the entry make no sense')
    }
    lastOffset = transaction.lastOffset
    transactions.push(transaction)
  }
  return transactions
}

function isPlausible(each: AbortedTransaction): boolean {
  const numbers = [each.producerId, each.firstOffset, each.lastOffset, each.lastStableOffset]
  if (!numbers.every((number) => Number.isSafeInteger(number) && number >= 0)) return false
  return each.firstOffset < each.lastOffset && each.lastStableOffset <= each.lastOffset + 1
}

export class AbortedIndex {
  readonly #fileSystem: FileSystem
  #path: string

  constructor(fileSystem: FileSystem, path: string) {
    this.#fileSystem = fileSystem
    this.#path = path
  }

  get path(): string {
    return this.#path
  }

  /** The file has this name from now on. */
  renamed(path: string): void {
    this.#path = path
  }

  /** Adds an entry behind the last; makes the file where it is missing. */
  appendSync(transaction: AbortedTransaction): void {
    const bytes = encodeAbortedTransactions([transaction])
    const handle = this.#openIfThere('write') ?? this.#fileSystem.openSync(this.#path, 'create')
    try {
      const entries = Math.floor(handle.sizeSync() / ENTRY_BYTES)
      handle.writeSync(bytes, 0, bytes.length, entries * ENTRY_BYTES)
    } finally {
      handle.closeSync()
    }
  }

  /**
   * All entries; none where there is no file.
   * @throws CorruptLogError where an entry is cut or makes no sense.
   */
  async read(): Promise<AbortedTransaction[]> {
    const bytes = await readFileIfThere(this.#fileSystem, this.#path)
    return bytes === undefined ? [] : decodeAbortedTransactions(bytes, this.#path)
  }

  /** Replaces what is there by these entries, durably; none remove the file. */
  async replace(transactions: readonly AbortedTransaction[]): Promise<void> {
    if (transactions.length > 0) {
      await replaceFile(this.#fileSystem, this.#path, encodeAbortedTransactions(transactions))
    } else if ((await this.#fileSystem.stat(this.#path)) !== undefined) {
      await this.#fileSystem.unlink(this.#path)
      await this.#fileSystem.syncDirectory(dirname(this.#path))
    }
  }

  /** Syncs the file where there is one. Its name is the caller's to sync. */
  async sync(): Promise<void> {
    const handle = this.#openIfThere('write')
    if (handle === undefined) return
    try {
      await handle.sync()
    } finally {
      handle.closeSync()
    }
  }

  #openIfThere(mode: 'write'): FileHandle | undefined {
    try {
      return this.#fileSystem.openSync(this.#path, mode)
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined
      throw error
    }
  }
}
