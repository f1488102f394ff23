// Directories, file systems and process facts for the tests of the directory lock.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { nodeFileSystem, nodeProcessFacts } from '../../src/storage/file-system.ts'
import type { ProcessFacts, ProcessIdentity } from '../../src/storage/lock-record.ts'
import { encodeRecord } from '../../src/storage/lock-record.ts'
import type { FileHandle, FileLockResult, FileStat, FileSystem, OpenMode } from '../../src/types.ts'

export interface LockableDirectory extends AsyncDisposable {
  readonly directory: string
}

export async function makeDirectory(): Promise<LockableDirectory> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-lock-'))
  const remove = () => rm(directory, { recursive: true })
  return { directory, [Symbol.asyncDispose]: remove }
}

/** A file system that calls `before` ahead of each operation on names. */
export class WatchedFileSystem implements FileSystem {
  readonly #inner: FileSystem
  readonly #before: (operation: string, path: string) => void | Promise<void>

  constructor(
    inner: FileSystem,
    before: (operation: string, path: string) => void | Promise<void> = () => {},
  ) {
    this.#inner = inner
    this.#before = before
  }

  async #then<T>(operation: string, file: string, act: () => T | Promise<T>): Promise<T> {
    await this.#before(operation, path.basename(file))
    return act()
  }

  mkdir(file: string): Promise<void> {
    return this.#inner.mkdir(file)
  }
  readdir(file: string): Promise<string[]> {
    return this.#then('readdir', file, () => this.#inner.readdir(file))
  }
  rmdir(file: string): Promise<void> {
    return this.#inner.rmdir(file)
  }
  rename(from: string, to: string): Promise<void> {
    return this.#then('rename', to, () => this.#inner.rename(from, to))
  }
  link(existing: string, file: string): Promise<void> {
    return this.#then('link', file, () => this.#inner.link(existing, file))
  }
  unlink(file: string): Promise<void> {
    return this.#then('unlink', file, () => this.#inner.unlink(file))
  }
  stat(file: string): Promise<FileStat | undefined> {
    return this.#then('stat', file, () => this.#inner.stat(file))
  }
  syncDirectory(file: string): Promise<void> {
    return this.#inner.syncDirectory(file)
  }
  realpath(file: string): Promise<string> {
    return this.#inner.realpath(file)
  }
  openSync(file: string, mode: OpenMode): FileHandle {
    return this.#inner.openSync(file, mode)
  }
  lock(file: string): Promise<FileLockResult> {
    return this.#then('lock', file, () => this.#inner.lock(file))
  }
}

/** The disk as it looks where fs-ext is not installed. */
export class WithoutFlock extends WatchedFileSystem {
  override async lock(): Promise<FileLockResult> {
    return 'unavailable'
  }
}

export const withoutFlock: FileSystem = new WithoutFlock(nodeFileSystem)

/** This machine, seen from a process that differs in some respect. */
export function factsOf(change: Partial<ProcessIdentity>): ProcessFacts {
  const self = { ...nodeProcessFacts.self(), ...change }
  return { self: () => self, startTimeOf: (pid) => nodeProcessFacts.startTimeOf(pid) }
}

/** A process that had this one's pid before it, and is gone. */
export function deadProcess(): ProcessIdentity {
  const self = nodeProcessFacts.self()
  return { ...self, startTime: (self.startTime ?? 1) - 1 }
}

export const lockFileOf = (directory: string): string => path.join(directory, 'brokerless.lock')

/** Writes a lock or claim as `holder` would have left it. */
export async function leaveLock(
  file: string,
  token: string,
  holder: ProcessIdentity,
): Promise<void> {
  await writeFile(file, encodeRecord(token, Date.UTC(2024, 0, 2), holder))
}

export async function tokenIn(file: string): Promise<unknown> {
  const { token } = JSON.parse(await readFile(file, 'utf8')) as { token: unknown }
  return token
}
