// Directories, file systems and process facts for the tests of the directory lock.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { nodeFileSystem, nodeProcessFacts } from '../../src/storage/file-system.ts'
import type { ProcessFacts, ProcessIdentity } from '../../src/storage/lock-record.ts'
import { encodeRecord } from '../../src/storage/lock-record.ts'
import type { FileLockResult, FileSystem } from '../../src/types.ts'
import type { ForwardedName } from './forwarding-file-system.ts'
import { ForwardingFileSystem } from './forwarding-file-system.ts'

export interface LockableDirectory extends AsyncDisposable {
  readonly directory: string
}

export async function makeDirectory(): Promise<LockableDirectory> {
  const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-lock-'))
  const remove = () => rm(directory, { recursive: true })
  return { directory, [Symbol.asyncDispose]: remove }
}

/** Those that decide who has the lock. */
const LOCKING: ReadonlySet<ForwardedName> = new Set<ForwardedName>([
  'readdir',
  'rename',
  'link',
  'unlink',
  'stat',
  'lock',
])

/** A file system that calls `before` ahead of each operation by which a lock is taken or given back. */
export class WatchedFileSystem extends ForwardingFileSystem {
  readonly #before: (operation: string, path: string) => void | Promise<void>

  constructor(
    inner: FileSystem,
    before: (operation: string, path: string) => void | Promise<void> = () => {},
  ) {
    super(inner)
    this.#before = before
  }

  override async forward<T>(
    name: ForwardedName,
    file: string,
    operation: () => Promise<T>,
  ): Promise<T> {
    if (LOCKING.has(name)) await this.#before(name, path.basename(file))
    return await operation()
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
