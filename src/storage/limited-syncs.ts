import type { FileHandle, FileLockResult, FileStat, FileSystem, OpenMode } from '../types.ts'
import type { Semaphore } from '../util/semaphore.ts'

/**
 * A file system whose syncs, of files and of directories, wait for their turn: each holds a thread of the process's pool for as
 * long as the disk takes, and the program's own file and name look-ups need one too. `.log` files do not go through here: `FileCache`
 * lets theirs wait with the same semaphore, and counts what was written up to the moment when the sync begins.
 */
export class LimitedSyncs implements FileSystem {
  readonly inner: FileSystem
  readonly syncs: Semaphore

  constructor(inner: FileSystem, syncs: Semaphore) {
    this.inner = inner
    this.syncs = syncs
  }

  mkdir(path: string): Promise<void> {
    return this.inner.mkdir(path)
  }

  readdir(path: string): Promise<string[]> {
    return this.inner.readdir(path)
  }

  rmdir(path: string): Promise<void> {
    return this.inner.rmdir(path)
  }

  rename(from: string, to: string): Promise<void> {
    return this.inner.rename(from, to)
  }

  link(existing: string, path: string): Promise<void> {
    return this.inner.link(existing, path)
  }

  unlink(path: string): Promise<void> {
    return this.inner.unlink(path)
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.inner.stat(path)
  }

  syncDirectory(path: string): Promise<void> {
    return this.syncs.run(() => this.inner.syncDirectory(path))
  }

  realpath(path: string): Promise<string> {
    return this.inner.realpath(path)
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    const handle = this.inner.openSync(path, mode)
    return mode === 'read' ? handle : new LimitedHandle(handle, this.syncs)
  }

  lock(path: string): Promise<FileLockResult> {
    return this.inner.lock(path)
  }
}

class LimitedHandle implements FileHandle {
  readonly #inner: FileHandle
  readonly #syncs: Semaphore

  constructor(inner: FileHandle, syncs: Semaphore) {
    this.#inner = inner
    this.#syncs = syncs
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#inner.readSync(buffer, offset, length, position)
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#inner.read(buffer, offset, length, position)
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#inner.writeSync(buffer, offset, length, position)
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    return this.#inner.write(buffer, offset, length, position)
  }

  sizeSync(): number {
    return this.#inner.sizeSync()
  }

  idSync(): string | undefined {
    return this.#inner.idSync?.()
  }

  truncate(size: number): Promise<void> {
    return this.#inner.truncate(size)
  }

  sync(): Promise<void> {
    return this.#syncs.run(() => this.#inner.sync())
  }

  closeSync(): void {
    this.#inner.closeSync()
  }
}
