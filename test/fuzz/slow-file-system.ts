/** A file system whose operations take some turns of the event loop, and end in another order than they began. */
import type { FileHandle, FileLockResult, FileStat, FileSystem, OpenMode } from '../../src/index.ts'
import type { FuzzRandom } from './fuzz-random.ts'

const MOST_TURNS = 4

export class SlowFileSystem implements FileSystem {
  readonly #inner: FileSystem
  readonly #random: FuzzRandom

  constructor(inner: FileSystem, random: FuzzRandom) {
    this.#inner = inner
    this.#random = random
  }

  mkdir(path: string): Promise<void> {
    return this.later(() => this.#inner.mkdir(path))
  }

  readdir(path: string): Promise<string[]> {
    return this.later(() => this.#inner.readdir(path))
  }

  rmdir(path: string): Promise<void> {
    return this.later(() => this.#inner.rmdir(path))
  }

  rename(from: string, to: string): Promise<void> {
    return this.later(() => this.#inner.rename(from, to))
  }

  link(existing: string, path: string): Promise<void> {
    return this.later(() => this.#inner.link(existing, path))
  }

  unlink(path: string): Promise<void> {
    return this.later(() => this.#inner.unlink(path))
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.later(() => this.#inner.stat(path))
  }

  syncDirectory(path: string): Promise<void> {
    return this.later(() => this.#inner.syncDirectory(path))
  }

  realpath(path: string): Promise<string> {
    return this.later(() => this.#inner.realpath(path))
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    return new SlowHandle(this, this.#inner.openSync(path, mode))
  }

  lock(path: string): Promise<FileLockResult> {
    return this.later(() => this.#inner.lock(path))
  }

  /** The operation happens somewhere between its call and its answer. */
  async later<T>(operation: () => Promise<T>): Promise<T> {
    await this.#turns()
    const result = await operation()
    await this.#turns()
    return result
  }

  async #turns(): Promise<void> {
    for (let left = this.#random.below(MOST_TURNS); left > 0; left -= 1) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}

class SlowHandle implements FileHandle {
  readonly #fileSystem: SlowFileSystem
  readonly #inner: FileHandle

  constructor(fileSystem: SlowFileSystem, inner: FileHandle) {
    this.#fileSystem = fileSystem
    this.#inner = inner
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#inner.readSync(buffer, offset, length, position)
  }

  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<number> {
    return this.#fileSystem.later(() => this.#inner.read(buffer, offset, length, position))
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#inner.writeSync(buffer, offset, length, position)
  }

  write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    return this.#fileSystem.later(() => this.#inner.write(buffer, offset, length, position))
  }

  sizeSync(): number {
    return this.#inner.sizeSync()
  }

  truncate(size: number): Promise<void> {
    return this.#fileSystem.later(() => this.#inner.truncate(size))
  }

  sync(): Promise<void> {
    return this.#fileSystem.later(() => this.#inner.sync())
  }

  closeSync(): void {
    this.#inner.closeSync()
  }
}
