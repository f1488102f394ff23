// A file system as it is, save where a test holds its syncs back or makes an operation fail.
import type { FileHandle, FileLockResult, FileStat, FileSystem, OpenMode } from '../../src/index.ts'

/** What a rule is asked about: `sync`, `write` and `truncate` of handles, or a method of the file system. */
export interface ScriptedOperation {
  readonly name: string
  readonly path: string
  /** The second path of `rename` and `link`. */
  readonly dest?: string
}

/** Answers with the error that the operation fails with; undefined: it happens. */
export type Rule = (operation: ScriptedOperation) => Error | undefined

/** An error as the system gives it. */
export function systemError(code: string): Error {
  return Object.assign(new Error(`${code}: as the test wants it`), { code })
}

export class ScriptedFileSystem implements FileSystem {
  /** Undefined: nothing fails. */
  rule: Rule | undefined
  /** Syncs of .log files that were asked for. */
  syncs = 0
  readonly inner: FileSystem
  #gate: { readonly opened: Promise<void>; readonly open: () => void } | undefined

  constructor(inner: FileSystem) {
    this.inner = inner
  }

  /** From now on syncs of .log files wait for `releaseSyncs`. */
  holdSyncs(): void {
    if (this.#gate !== undefined) return
    let open = (): void => undefined
    const opened = new Promise<void>((resolve) => {
      open = resolve
    })
    this.#gate = { opened, open }
  }

  releaseSyncs(): void {
    this.#gate?.open()
    this.#gate = undefined
  }

  /** For handles: fails as the rule says. */
  check(name: string, path: string, dest?: string): void {
    const error = this.rule?.({ name, path, ...(dest === undefined ? {} : { dest }) })
    if (error !== undefined) throw error
  }

  /** For handles. */
  async sync(path: string, handle: FileHandle): Promise<void> {
    if (path.endsWith('.log')) {
      this.syncs += 1
      await this.#gate?.opened
    }
    this.check('sync', path)
    await handle.sync()
  }

  async mkdir(path: string): Promise<void> {
    this.check('mkdir', path)
    await this.inner.mkdir(path)
  }

  async readdir(path: string): Promise<string[]> {
    return await this.inner.readdir(path)
  }

  async rmdir(path: string): Promise<void> {
    this.check('rmdir', path)
    await this.inner.rmdir(path)
  }

  async rename(from: string, to: string): Promise<void> {
    this.check('rename', from, to)
    await this.inner.rename(from, to)
  }

  async link(existing: string, path: string): Promise<void> {
    this.check('link', existing, path)
    await this.inner.link(existing, path)
  }

  async unlink(path: string): Promise<void> {
    this.check('unlink', path)
    await this.inner.unlink(path)
  }

  async stat(path: string): Promise<FileStat | undefined> {
    return await this.inner.stat(path)
  }

  async syncDirectory(path: string): Promise<void> {
    this.check('syncDirectory', path)
    await this.inner.syncDirectory(path)
  }

  async realpath(path: string): Promise<string> {
    return await this.inner.realpath(path)
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    if (mode === 'create') this.check('create', path)
    return new ScriptedHandle(this, path, this.inner.openSync(path, mode))
  }

  async lock(path: string): Promise<FileLockResult> {
    return await this.inner.lock(path)
  }
}

class ScriptedHandle implements FileHandle {
  readonly #fileSystem: ScriptedFileSystem
  readonly #path: string
  readonly #inner: FileHandle

  constructor(fileSystem: ScriptedFileSystem, path: string, inner: FileHandle) {
    this.#fileSystem = fileSystem
    this.#path = path
    this.#inner = inner
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    return this.#inner.readSync(buffer, offset, length, position)
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    return await this.#inner.read(buffer, offset, length, position)
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#fileSystem.check('write', this.#path)
    this.#inner.writeSync(buffer, offset, length, position)
  }

  async write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    this.#fileSystem.check('write', this.#path)
    await this.#inner.write(buffer, offset, length, position)
  }

  sizeSync(): number {
    return this.#inner.sizeSync()
  }

  idSync(): string | undefined {
    return this.#inner.idSync?.()
  }

  async truncate(size: number): Promise<void> {
    this.#fileSystem.check('truncate', this.#path)
    await this.#inner.truncate(size)
  }

  async sync(): Promise<void> {
    await this.#fileSystem.sync(this.#path, this.#inner)
  }

  closeSync(): void {
    this.#inner.closeSync()
  }
}
