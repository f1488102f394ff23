import { isDiskFull } from '../util/error-code.ts'
import { Mutex } from '../util/mutex.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { AbortedIndex } from './aborted-index.ts'
import type { StorageEnvironment } from './environment.ts'
import type { Segment } from './segment.ts'
import { asSyncError, SyncError, syncNames } from './sync-error.ts'

/**
 * Adds to the `.txnindex` of the segment that is written to. Its entries are those of markers that stand in the .log already, so that a full
 * disk refuses nobody: what it keeps out is owed, and written before the next append.
 *
 * An entry has to be on the disk before a producer snapshot is that lies behind its marker, as recovery begins there; see `sync`.
 */
export class AbortedWriter {
  readonly #environment: StorageEnvironment
  readonly #directory: string
  #index: AbortedIndex | undefined
  /** Behind what the file has. */
  #owed: AbortedTransaction[] = []
  #isSynced = true
  readonly #syncs = new Mutex()
  /** Of the first sync that has failed: one that comes after it may succeed, and says nothing. */
  #failure: SyncError | undefined

  constructor(environment: StorageEnvironment, directory: string) {
    this.#environment = environment
    this.#directory = directory
  }

  /** Not in the file yet. */
  get owed(): readonly AbortedTransaction[] {
    return this.#owed
  }

  /** Nothing is owed. */
  get isComplete(): boolean {
    return this.#owed.length === 0
  }

  /** A marker of the segment has aborted the transaction. Throws what is no mere want of room. */
  add(segment: Segment, transaction: AbortedTransaction): void {
    const path = segment.pathOf('txnindex')
    if (this.#index?.path !== path) {
      this.#index = new AbortedIndex(this.#environment.fileSystem, path)
    }
    this.#isSynced = false
    this.#owed.push(transaction)
    try {
      this.complete()
    } catch (error) {
      if (!isDiskFull(error)) throw error
    }
  }

  /** Writes what is owed. */
  complete(): void {
    for (let next = this.#owed[0]; next !== undefined; next = this.#owed[0]) {
      this.#index?.appendSync(next)
      this.#owed.shift()
    }
  }

  /** Makes all that was added, the file's name included, durable. A flush and a roll may ask for it at once: who comes second waits for the first. */
  sync(): Promise<void> {
    return this.#syncs.run(() => this.#sync())
  }

  async #sync(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#isSynced) return
    this.complete()
    this.#isSynced = true
    try {
      await this.#environment.files.inPassing.run(async () => {
        await this.#index?.sync()
        await syncNames(this.#environment.fileSystem, this.#directory)
      })
    } catch (error) {
      this.#isSynced = false
      const failure = asSyncError(error)
      if (failure instanceof SyncError) this.#failure = failure
      throw failure
    }
  }
}
