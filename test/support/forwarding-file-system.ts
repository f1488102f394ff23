import type { FileHandle, FileLockResult, FileStat, FileSystem, OpenMode } from '../../src/index.ts'

export type ForwardedName = Exclude<
  keyof FileSystem | keyof FileHandle,
  'openSync' | 'readSync' | 'writeSync' | 'sizeSync' | 'idSync' | 'closeSync'
>

/** A file system that hands each operation on to another one: the start of those that do something about some of them. */
export class ForwardingFileSystem implements FileSystem {
  readonly inner: FileSystem

  constructor(inner: FileSystem) {
    this.inner = inner
  }

  /** Each asynchronous operation, of handles as well, goes through here; `path` is what it brings about, or is asked of. */
  forward<T>(_name: ForwardedName, _path: string, operation: () => Promise<T>): Promise<T> {
    return operation()
  }

  mkdir(path: string): Promise<void> {
    return this.forward('mkdir', path, () => this.inner.mkdir(path))
  }

  readdir(path: string): Promise<string[]> {
    return this.forward('readdir', path, () => this.inner.readdir(path))
  }

  rmdir(path: string): Promise<void> {
    return this.forward('rmdir', path, () => this.inner.rmdir(path))
  }

  rename(from: string, to: string): Promise<void> {
    return this.forward('rename', to, () => this.inner.rename(from, to))
  }

  link(existing: string, path: string): Promise<void> {
    return this.forward('link', path, () => this.inner.link(existing, path))
  }

  unlink(path: string): Promise<void> {
    return this.forward('unlink', path, () => this.inner.unlink(path))
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.forward('stat', path, () => this.inner.stat(path))
  }

  syncDirectory(path: string): Promise<void> {
    return this.forward('syncDirectory', path, () => this.inner.syncDirectory(path))
  }

  realpath(path: string): Promise<string> {
    return this.forward('realpath', path, () => this.inner.realpath(path))
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    return new ForwardingHandle(this, path, this.inner.openSync(path, mode))
  }

  lock(path: string): Promise<FileLockResult> {
    return this.forward('lock', path, () => this.inner.lock(path))
  }
}

export class ForwardingHandle implements FileHandle {
  readonly #fileSystem: ForwardingFileSystem
  readonly #path: string
  readonly #inner: FileHandle

  constructor(fileSystem: ForwardingFileSystem, path: string, inner: FileHandle) {
    this.#fileSystem = fileSystem
    this.#path = path
    this.#inner = inner
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#inner.readSync(buffer, offset, length, position)
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#forward('read', () => this.#inner.read(buffer, offset, length, position))
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#inner.writeSync(buffer, offset, length, position)
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    return this.#forward('write', () => this.#inner.write(buffer, offset, length, position))
  }

  sizeSync(): number {
    return this.#inner.sizeSync()
  }

  idSync(): string | undefined {
    return this.#inner.idSync?.()
  }

  truncate(size: number): Promise<void> {
    return this.#forward('truncate', () => this.#inner.truncate(size))
  }

  sync(): Promise<void> {
    return this.#forward('sync', () => this.#inner.sync())
  }

  closeSync(): void {
    this.#inner.closeSync()
  }

  #forward<T>(name: ForwardedName, operation: () => Promise<T>): Promise<T> {
    return this.#fileSystem.forward(name, this.#path, operation)
  }
}
