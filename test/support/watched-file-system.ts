// A file system that counts what is open, and what is being synced, while a test runs.
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FileHandle, FileLockResult, FileStat, FileSystem, OpenMode } from '../../src/index.ts'

/** How many there are, and how many there were at most. */
export class Gauge {
  now = 0
  most = 0

  up(): void {
    this.now += 1
    this.most = Math.max(this.most, this.now)
  }

  down(): void {
    this.now -= 1
  }

  reset(): void {
    this.most = this.now
  }
}

export class WatchedFileSystem implements FileSystem {
  /** Handles of `.log` files, and of all files. */
  readonly openLogs = new Gauge()
  readonly openFiles = new Gauge()
  /** Syncs of files and directories under way. */
  readonly syncs = new Gauge()
  /** Reads of `.log` files so far. */
  logReads = 0
  readonly #inner: FileSystem

  constructor(inner: FileSystem) {
    this.#inner = inner
  }

  mkdir(path: string): Promise<void> {
    return this.#inner.mkdir(path)
  }

  readdir(path: string): Promise<string[]> {
    return this.#inner.readdir(path)
  }

  rmdir(path: string): Promise<void> {
    return this.#inner.rmdir(path)
  }

  rename(from: string, to: string): Promise<void> {
    return this.#inner.rename(from, to)
  }

  link(existing: string, path: string): Promise<void> {
    return this.#inner.link(existing, path)
  }

  unlink(path: string): Promise<void> {
    return this.#inner.unlink(path)
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#inner.stat(path)
  }

  realpath(path: string): Promise<string> {
    return this.#inner.realpath(path)
  }

  lock(path: string): Promise<FileLockResult> {
    return this.#inner.lock(path)
  }

  syncDirectory(path: string): Promise<void> {
    return this.sync(() => this.#inner.syncDirectory(path))
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    const handle = this.#inner.openSync(path, mode)
    return new WatchedHandle(this, handle, path.endsWith('.log'))
  }

  /** A sync that takes a few turns, as on a disk. */
  async sync(run: () => Promise<void>): Promise<void> {
    this.syncs.up()
    try {
      for (let turn = 0; turn < 3; turn += 1) await nextTurn()
      await run()
    } finally {
      this.syncs.down()
    }
  }
}

class WatchedHandle implements FileHandle {
  readonly #owner: WatchedFileSystem
  readonly #handle: FileHandle
  readonly #isLog: boolean

  constructor(owner: WatchedFileSystem, handle: FileHandle, isLog: boolean) {
    this.#owner = owner
    this.#handle = handle
    this.#isLog = isLog
    owner.openFiles.up()
    if (isLog) owner.openLogs.up()
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    if (this.#isLog) this.#owner.logReads += 1
    return this.#handle.readSync(buffer, offset, length, position)
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    if (this.#isLog) this.#owner.logReads += 1
    return this.#handle.read(buffer, offset, length, position)
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#handle.writeSync(buffer, offset, length, position)
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    return this.#handle.write(buffer, offset, length, position)
  }

  sizeSync(): number {
    return this.#handle.sizeSync()
  }

  idSync(): string | undefined {
    return this.#handle.idSync?.()
  }

  truncate(size: number): Promise<void> {
    return this.#handle.truncate(size)
  }

  sync(): Promise<void> {
    return this.#owner.sync(() => this.#handle.sync())
  }

  closeSync(): void {
    this.#handle.closeSync()
    this.#owner.openFiles.down()
    if (this.#isLog) this.#owner.openLogs.down()
  }
}
