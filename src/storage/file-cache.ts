import { LogError } from '../errors.ts'
import type { FileHandle, FileSystem, OpenMode } from '../types.ts'
import { Semaphore } from '../util/semaphore.ts'
import { SegmentGoneError } from './segment-gone.ts'
import { SyncError } from './sync-error.ts'

const FILES_IN_PASSING = 8

/**
 * Bounds the open handles of data files (`.log`). A handle is opened when its file is first used and closed when
 * another file needs the place, least recently used first; a file with unsynced bytes is synced before that, since
 * a write error that the kernel has still to report can be lost with the last handle.
 *
 * Who calls the synchronous operations of a `DataFile` first makes sure that it `isReady`, else waits for `ready` and
 * asks again, and calls with no `await` in between.
 */
export class FileCache {
  readonly fileSystem: FileSystem
  /** Bounds what is done with files that are opened in passing: indexes, snapshots, checkpoints of partitions. */
  readonly inPassing: Semaphore = new Semaphore(FILES_IN_PASSING)
  /** Bounds the syncs in flight over the whole log. */
  readonly syncs: Semaphore
  readonly #maxOpenFiles: number
  readonly #open = new Set<DataFile>()
  #idleWaiters: (() => void)[] = []
  #tick = 0
  #isClosed = false

  constructor(fileSystem: FileSystem, syncs: Semaphore, maxOpenFiles: number) {
    this.fileSystem = fileSystem
    this.syncs = syncs
    this.#maxOpenFiles = maxOpenFiles
  }

  get openFiles(): number {
    return this.#open.size
  }

  /** There is a place for one more handle, or an idle clean one whose place can be had at once. */
  hasRoom(): boolean {
    return this.#open.size < this.#maxOpenFiles || this.#victim(true) !== undefined
  }

  /** Resolves when `hasRoom`; syncs and closes the least recently used handle where all have unsynced bytes. */
  async makeRoom(): Promise<void> {
    while (!this.hasRoom()) {
      const victim = this.#victim(false)
      if (victim === undefined) {
        await new Promise<void>((resolve) => this.#idleWaiters.push(resolve))
      } else {
        // A failed sync is told to the file's owner; its handle is of no more use to anyone.
        await victim.sync().catch(ignore)
      }
    }
  }

  /** Waits for operations under way and closes all handles; none is opened any more, by readers that are late. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#open].map((file) => file.close()))
  }

  /** For `DataFile`: a handle is about to be opened; another one may be closed for it. */
  freePlace(): void {
    if (this.#isClosed) throw new LogError('CLOSED', 'the log is closed')
    if (this.#open.size >= this.#maxOpenFiles) this.#victim(true)?.closeHandle()
  }

  /** For `DataFile`: its handle was opened. */
  admit(file: DataFile): void {
    this.#open.add(file)
  }

  /** For `DataFile`: its handle was closed. */
  dismiss(file: DataFile): void {
    this.#open.delete(file)
    this.wakeWaiters()
  }

  /** For `DataFile`: it has become idle. */
  wakeWaiters(): void {
    if (this.#idleWaiters.length === 0) return
    const waiters = this.#idleWaiters
    this.#idleWaiters = []
    for (const wake of waiters) wake()
  }

  /** For `DataFile`: the time of its last use, in uses. */
  nextTick(): number {
    this.#tick += 1
    return this.#tick
  }

  #victim(clean: boolean): DataFile | undefined {
    let oldest: DataFile | undefined
    for (const file of this.#open) {
      if (file.isBusy || (clean && file.isDirty)) continue
      if (oldest === undefined || file.lastUse < oldest.lastUse) oldest = file
    }
    return oldest
  }
}

/** A `.log` file by its path; its handle comes and goes. */
export class DataFile {
  readonly #files: FileCache
  #path: string
  #handle: FileHandle | undefined
  #mode: OpenMode
  #operations = 0
  #lastWrite = 0
  #lastSyncedWrite = 0
  #isRetired = false
  /** Of the file that was opened first, where it is only read. */
  #id: string | undefined
  #lastUseSeen = 0
  #syncFailure: SyncError | undefined
  /** Told when a sync fails, also one that was made to free a handle. */
  onSyncFailure: ((error: unknown) => void) | undefined = undefined
  /** For `FileCache`. */
  lastUse = 0

  private constructor(files: FileCache, path: string, mode: OpenMode) {
    this.#files = files
    this.#path = path
    this.#mode = mode
  }

  /** An existing file; opened at its first use. */
  static existing(files: FileCache, path: string, readOnly: boolean): DataFile {
    return new DataFile(files, path, readOnly ? 'read' : 'write')
  }

  /** Makes a new file (`EEXIST` if there is one) and opens it; the caller has made sure of room. */
  static create(files: FileCache, path: string): DataFile {
    const file = new DataFile(files, path, 'create')
    file.#opened()
    file.#mode = 'write'
    return file
  }

  get path(): string {
    return this.#path
  }

  get isDirty(): boolean {
    return this.#lastWrite > this.#lastSyncedWrite
  }

  get isBusy(): boolean {
    return this.#operations > 0
  }

  isReady(): boolean {
    return this.#handle !== undefined || this.#files.hasRoom()
  }

  /** Resolves when there was room for its handle; who then comes too late asks again. */
  ready(): Promise<void> {
    return this.#files.makeRoom()
  }

  sizeSync(): number {
    return this.#opened().sizeSync()
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#opened().readSync(buffer, offset, length, position)
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    while (!this.isReady()) await this.ready()
    return this.#during((handle) => handle.read(buffer, offset, length, position))
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    const handle = this.#opened()
    this.#lastWrite += 1
    handle.writeSync(buffer, offset, length, position)
  }

  async write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    while (!this.isReady()) await this.ready()
    return this.#changing((handle) => handle.write(buffer, offset, length, position))
  }

  async truncate(size: number): Promise<void> {
    while (!this.isReady()) await this.ready()
    return this.#changing((handle) => handle.truncate(size))
  }

  /**
   * Resolves when all that was written before the call is on the disk. Once one has failed all do: the system
   * reports a lost write once, and would answer the next sync as if nothing had happened.
   * @throws SyncError
   */
  async sync(): Promise<void> {
    if (this.#syncFailure === undefined && this.isDirty) {
      while (!this.isReady()) await this.ready()
      await this.#during((handle) => this.#files.syncs.run(() => this.#syncNow(handle)))
    }
    if (this.#syncFailure === undefined) return
    this.#lastSyncedWrite = this.#lastWrite
    throw this.#syncFailure
  }

  /** Waits for operations under way, then closes the handle; the file can be used again. Syncs nothing. */
  async close(): Promise<void> {
    while (this.#operations > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle.push(resolve)
      })
    }
    this.closeHandle()
  }

  /** Nobody is to use it any more: another file gets its name. Who comes late meets a `SegmentGoneError`. */
  get isRetired(): boolean {
    return this.#isRetired
  }

  /**
   * As `close`, for good: before its name is given to another file. What it has is on the disk, or nobody's any more, so a handle that
   * does not close well stops nothing.
   */
  async retire(): Promise<void> {
    this.replaced()
    await this.close().catch(ignore)
  }

  /** As `retire`, where another process gives the name away: who is at work on the file may end that. */
  replaced(): void {
    this.#isRetired = true
  }

  /**
   * Beside a writer: closes the handle unless the file was used since the last call. It may have been replaced, or deleted, and its bytes
   * are on the disk for as long as it is open.
   */
  closeIfUnused(): void {
    if (this.lastUse === this.#lastUseSeen && !this.isBusy) this.closeHandle()
    this.#lastUseSeen = this.lastUse
  }

  /** For `FileCache`, on idle files, and for owners that know that nothing is under way. */
  closeHandle(): void {
    const handle = this.#handle
    if (handle === undefined) return
    this.#handle = undefined
    this.#files.dismiss(this)
    handle.closeSync()
  }

  /** Renames the file, which must be closed: other systems refuse to rename an open one. */
  async rename(path: string): Promise<void> {
    await this.close()
    await this.#files.fileSystem.rename(this.#path, path)
    this.#path = path
  }

  #onIdle: (() => void)[] = []

  #opened(): FileHandle {
    this.lastUse = this.#files.nextTick()
    if (this.#handle !== undefined) return this.#handle
    if (this.#isRetired) throw new SegmentGoneError(this.#path)
    this.#files.freePlace()
    const handle = this.#files.fileSystem.openSync(this.#path, this.#mode)
    if (this.#mode === 'read') this.#refuseAnother(handle)
    this.#files.admit(this)
    this.#handle = handle
    return handle
  }

  /** Beside a writer, which may have put a compacted segment under the name: what is known of the first is not true of it. */
  #refuseAnother(handle: FileHandle): void {
    const id = handle.idSync?.()
    this.#id ??= id
    if (id === this.#id) return
    handle.closeSync()
    this.replaced()
    throw new SegmentGoneError(this.#path)
  }

  async #syncNow(handle: FileHandle): Promise<void> {
    const covered = this.#lastWrite
    try {
      await handle.sync()
    } catch (error) {
      this.#syncFailure ??= new SyncError(error)
      this.onSyncFailure?.(this.#syncFailure)
    }
    this.#lastSyncedWrite = Math.max(this.#lastSyncedWrite, covered)
  }

  #changing(operation: (handle: FileHandle) => Promise<void>): Promise<void> {
    this.#lastWrite += 1
    return this.#during(async (handle) => {
      try {
        await operation(handle)
      } finally {
        // A sync that began meanwhile may have missed it.
        this.#lastWrite += 1
      }
    })
  }

  async #during<T>(operation: (handle: FileHandle) => Promise<T>): Promise<T> {
    const handle = this.#opened()
    this.#operations += 1
    try {
      return await operation(handle)
    } finally {
      this.#operations -= 1
      if (this.#operations === 0) {
        const waiting = this.#onIdle
        this.#onIdle = []
        for (const wake of waiting) wake()
        this.#files.wakeWaiters()
      }
    }
  }
}

function ignore(): void {}
