// A model of a Linux disk that fails, fills up, and loses power where a test says so.
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { SystemCall } from '../../src/testing/system-error.ts'
import { systemError } from '../../src/testing/system-error.ts'
import type {
  Clock,
  FileHandle,
  FileLockResult,
  FileStat,
  FileSystem,
  OpenMode,
} from '../../src/types.ts'
import { systemClock } from '../../src/util/clock.ts'
import { DiskModel } from './disk-model.ts'
import { randomInteger, seededRandom } from './random.ts'
import type { CutMode } from './unsynced-writes.ts'

export type OperationName =
  | ('mkdir' | 'rmdir' | 'rename' | 'link' | 'unlink' | 'create' | 'lock')
  | ('write' | 'truncate' | 'sync' | 'syncDirectory')
  | ('readdir' | 'stat' | 'realpath' | 'open' | 'read' | 'size' | 'close')

const READING: ReadonlySet<OperationName> = new Set<OperationName>([
  'readdir',
  'stat',
  'realpath',
  'open',
  'read',
  'size',
  'close',
])

export interface Operation {
  /** Its place in `operations`, from 0; undefined for a reading one where those are not counted. */
  readonly index: number | undefined
  readonly name: OperationName
  /** As the caller gave it; for a handle, as it was opened. */
  readonly path: string
  /** The second path of `rename` and `link`. */
  readonly dest?: string
  /** Of `read` and `write`; the new size of `truncate`. */
  readonly position?: number
  /** Of `read` and `write`. */
  readonly length?: number
}

export interface Fault {
  /** Of the error: `EIO`, `ENOSPC`, … */
  readonly code: string
  /** How many bytes of a write reach the file before it fails; default 0. */
  readonly writtenBytes?: number
}

/** Says how an operation fails; undefined where it does not. */
export type FaultRule = (operation: Operation) => string | Fault | undefined

export interface FaultFileSystemOptions {
  /** Default unbounded. */
  readonly capacityBytes?: number
  readonly clock?: Clock
  /** Whether reading operations are numbered too. Default false. */
  readonly countReads?: boolean
}

export interface PowerCutOptions {
  /** What becomes of all that was not synced. Default `random`. */
  readonly mode?: CutMode
  /** Default 0. */
  readonly seed?: number
  /** In place of the seed: numbers in [0, 1). */
  readonly random?: () => number
}

/** The power is gone (or the process was killed): this operation and all later ones do not happen. */
export class PowerCut extends Error {
  override readonly name = 'PowerCut'
  readonly code = 'EIO'
}

/**
 * Every operation is numbered when it is called, from 0. Its effect comes with the call; the answer of an
 * asynchronous one comes later, that of a sync a turn of the event loop later.
 *
 * A failed sync is Linux's: what was written stays readable, is lost at the power cut unless it is
 * written again, and the next sync succeeds. A failed directory sync loses names in the same way.
 */
export class FaultFileSystem implements FileSystem {
  /** The mutant `sync does nothing`. */
  syncDoesNothing = false
  /** The mutant `directory sync does nothing`. */
  directorySyncDoesNothing = false
  readonly #clock: Clock
  readonly #countReads: boolean
  readonly #disk: DiskModel
  readonly #memory: MemoryFileSystem
  readonly #operations: Operation[] = []
  readonly #rules = new Set<FaultRule>()
  #cutIndex = Number.POSITIVE_INFINITY
  #endedBy: string | undefined

  constructor(options: FaultFileSystemOptions = {}, disk?: DiskModel) {
    const { capacityBytes = Number.POSITIVE_INFINITY, clock = systemClock } = options
    this.#clock = clock
    this.#countReads = options.countReads ?? false
    this.#disk = disk ?? new DiskModel({ now: () => clock.now(), capacityBytes })
    this.#memory = new MemoryFileSystem({ clock, tree: this.#disk.tree })
  }

  // ----------------------------------------------------------------------------------- script

  /** What was called so far, failures and the operation at the cut included. */
  get operations(): readonly Operation[] {
    return this.#operations
  }

  /** Room for the content of all files. A write that passes it takes what fits, then fails with `fullCode`. */
  get capacityBytes(): number {
    return this.#disk.tree.capacityBytes
  }

  set capacityBytes(capacityBytes: number) {
    this.#disk.tree.capacityBytes = capacityBytes
  }

  get usedBytes(): number {
    return this.#disk.tree.usedBytes
  }

  /** Default `ENOSPC`. */
  get fullCode(): 'ENOSPC' | 'EDQUOT' {
    return this.#disk.tree.fullCode
  }

  set fullCode(code: 'ENOSPC' | 'EDQUOT') {
    this.#disk.tree.fullCode = code
  }

  /** Operations fail as the rule says. Answers with what takes the rule back. */
  failWhen(rule: FaultRule): () => void {
    this.#rules.add(rule)
    return () => {
      this.#rules.delete(rule)
    }
  }

  /** The operation of this index fails and does nothing. */
  failAt(index: number, code = 'EIO'): () => void {
    return this.failWhen((operation) => (operation.index === index ? code : undefined))
  }

  /** The write of this index fails after its first bytes. */
  tearAt(index: number, writtenBytes: number, code = 'EIO'): () => void {
    return this.failWhen(({ index: each }) => (each === index ? { code, writtenBytes } : undefined))
  }

  /** Syncs of the chosen files and directories fail. */
  refuseSync(isRefused: (path: string) => boolean, code: 'EIO' | 'ENOSPC' = 'EIO'): () => void {
    return this.failWhen(({ name, path }) => {
      const isSync = name === 'sync' || name === 'syncDirectory'
      return isSync && isRefused(path) ? code : undefined
    })
  }

  /** Each numbered operation fails with the given chance, writes after some of their bytes. */
  failAtRandom(seed: number, chance: number, code = 'EIO'): () => void {
    const random = seededRandom(seed)
    return this.failWhen(({ index, length = 0 }) => {
      if (index === undefined || random() >= chance) return undefined
      return { code, writtenBytes: randomInteger(random, length + 1) }
    })
  }

  // ---------------------------------------------------------------------------------- endings

  /** The operation of this index and all that come after it reject with `PowerCut`. */
  cutAt(index: number): void {
    this.#cutIndex = index
  }

  /** Whether the cut, `powerCut` or `processKill` has ended all use of this object. */
  get hasEnded(): boolean {
    return this.#endedBy !== undefined
  }

  /** Bytes of a file that were written and no sync has covered or lost. */
  unsyncedBytes(path: string): number {
    const node = this.#disk.tree.find(path)
    if (node === undefined || !('bytes' in node))
      throw systemError('ENOENT', { syscall: 'open', path })
    return this.#disk.unsyncedBytes(node)
  }

  /**
   * The file system as it comes back. Each unsynced write is kept, lost or torn at sectors of 512 bytes (a file may have
   * grown by zeros instead); of each directory's unsynced operations the first few are kept. This object has
   * ended, but may be asked again, with another seed, for another outcome of the same moment.
   */
  powerCut(options: PowerCutOptions = {}): FaultFileSystem {
    this.#endedBy ??= 'the power is cut'
    const random = options.random ?? seededRandom(options.seed ?? 0)
    return this.#successor(this.#disk.powerCut(options.mode ?? 'random', random))
  }

  /** The file system as the next process finds it: what was not synced is there, and may be lost yet. */
  processKill(): FaultFileSystem {
    this.#endedBy ??= 'the process was killed'
    return this.#successor(this.#disk.clone())
  }

  #successor(disk: DiskModel): FaultFileSystem {
    const next = new FaultFileSystem({ clock: this.#clock, countReads: this.#countReads }, disk)
    next.syncDoesNothing = this.syncDoesNothing
    next.directorySyncDoesNothing = this.directorySyncDoesNothing
    return next
  }

  // ------------------------------------------------------------------------------ FileSystem

  mkdir(path: string): Promise<void> {
    return this.#run({ name: 'mkdir', path }, () => this.#memory.mkdir(path))
  }

  readdir(path: string): Promise<string[]> {
    return this.#run({ name: 'readdir', path }, () => this.#memory.readdir(path))
  }

  rmdir(path: string): Promise<void> {
    return this.#run({ name: 'rmdir', path }, () => this.#memory.rmdir(path))
  }

  rename(from: string, to: string): Promise<void> {
    const operation = { name: 'rename', path: from, dest: to } as const
    return this.#run(operation, () => this.#memory.rename(from, to))
  }

  link(existing: string, path: string): Promise<void> {
    const operation = { name: 'link', path: existing, dest: path } as const
    return this.#run(operation, () => this.#memory.link(existing, path))
  }

  unlink(path: string): Promise<void> {
    return this.#run({ name: 'unlink', path }, () => this.#memory.unlink(path))
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#run({ name: 'stat', path }, () => this.#memory.stat(path))
  }

  realpath(path: string): Promise<string> {
    return this.#run({ name: 'realpath', path }, () => this.#memory.realpath(path))
  }

  lock(path: string): Promise<FileLockResult> {
    return this.#run({ name: 'lock', path }, () => this.#memory.lock(path))
  }

  async syncDirectory(path: string): Promise<void> {
    const fault = this.#begin({ name: 'syncDirectory', path })
    const node = this.#disk.tree.find(path)
    const covered = node && 'entries' in node ? this.#disk.journalOf(node) : undefined
    await Promise.all([this.#memory.syncDirectory(path), turn()])
    this.#checkAlive()
    if (covered === undefined) return
    if (fault !== undefined) {
      this.#disk.failDirectorySync(covered)
      throw faultError(fault, { syscall: 'fsync' })
    }
    if (!this.directorySyncDoesNothing) this.#disk.syncDirectory(covered)
  }

  openSync(path: string, mode: OpenMode): FileHandle {
    const fault = this.#begin({ name: mode === 'create' ? 'create' : 'open', path })
    if (fault !== undefined) throw faultError(fault, { syscall: 'open', path })
    const handle = this.#memory.openSync(path, mode)
    const file = this.#disk.tree.find(path)
    if (file === undefined || !('bytes' in file)) throw new Error(`${path} was opened and is gone`)
    return new FaultHandle(path, handle, {
      begin: (operation) => this.#begin(operation),
      checkAlive: () => this.#checkAlive(),
      hasEnded: () => this.hasEnded,
      mark: () => this.#disk.mark(),
      sync: (upTo) => {
        if (!this.syncDoesNothing) this.#disk.syncFile(file, upTo)
      },
      failSync: (upTo) => this.#disk.failFileSync(file, upTo),
    })
  }

  async #run<T>(operation: Omit<Operation, 'index'>, effect: () => Promise<T>): Promise<T> {
    const fault = this.#begin(operation)
    if (fault !== undefined) throw faultError(fault, callOf(operation))
    const result = await effect()
    this.#checkAlive()
    return result
  }

  /** Numbers an operation and says how it fails. */
  #begin(called: Omit<Operation, 'index'>): Fault | undefined {
    this.#checkAlive()
    const isCounted = this.#countReads || !READING.has(called.name)
    const operation = { ...called, index: isCounted ? this.#operations.length : undefined }
    if (isCounted) this.#operations.push(operation)
    if (operation.index !== undefined && operation.index >= this.#cutIndex) {
      this.#endedBy = `the power was cut at operation ${operation.index}, ${called.name} ${called.path}`
    }
    this.#checkAlive()
    for (const rule of this.#rules) {
      const fault = rule(operation)
      if (fault !== undefined) return typeof fault === 'string' ? { code: fault } : fault
    }
    return undefined
  }

  #checkAlive(): void {
    if (this.#endedBy !== undefined) throw new PowerCut(this.#endedBy)
  }
}

/** What a handle needs of the file system that opened it. */
interface HandleOwner {
  begin(operation: Omit<Operation, 'index'>): Fault | undefined
  checkAlive(): void
  hasEnded(): boolean
  mark(): number
  sync(upTo: number): void
  failSync(upTo: number): void
}

class FaultHandle implements FileHandle {
  readonly #path: string
  readonly #handle: FileHandle
  readonly #owner: HandleOwner

  constructor(path: string, handle: FileHandle, owner: HandleOwner) {
    this.#path = path
    this.#handle = handle
    this.#owner = owner
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    const fault = this.#begin('read', { position, length })
    if (fault !== undefined) throw faultError(fault, { syscall: 'read' })
    return this.#handle.readSync(buffer, offset, length, position)
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    const result = this.readSync(buffer, offset, length, position)
    await Promise.resolve()
    this.#owner.checkAlive()
    return result
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    const fault = this.#begin('write', { position, length })
    const written = fault === undefined ? length : Math.min(fault.writtenBytes ?? 0, length)
    this.#handle.writeSync(buffer, offset, written, position)
    if (fault !== undefined) throw faultError(fault, { syscall: 'write' })
  }

  async write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    this.writeSync(buffer, offset, length, position)
    await Promise.resolve()
    this.#owner.checkAlive()
  }

  sizeSync(): number {
    const fault = this.#begin('size')
    if (fault !== undefined) throw faultError(fault, { syscall: 'fstat' })
    return this.#handle.sizeSync()
  }

  idSync(): string | undefined {
    return this.#handle.idSync?.()
  }

  async truncate(size: number): Promise<void> {
    const fault = this.#begin('truncate', { position: size })
    if (fault !== undefined) throw faultError(fault, { syscall: 'ftruncate' })
    await this.#handle.truncate(size)
    this.#owner.checkAlive()
  }

  async sync(): Promise<void> {
    const fault = this.#begin('sync')
    const upTo = this.#owner.mark()
    await Promise.all([this.#handle.sync(), turn()])
    this.#owner.checkAlive()
    if (fault === undefined) return this.#owner.sync(upTo)
    this.#owner.failSync(upTo)
    throw faultError(fault, { syscall: 'fdatasync' })
  }

  /** Does nothing after the end, so that what is torn down then need not know of it. */
  closeSync(): void {
    if (this.#owner.hasEnded()) return
    const fault = this.#begin('close')
    this.#handle.closeSync()
    if (fault !== undefined) throw faultError(fault, { syscall: 'close' })
  }

  #begin(
    name: OperationName,
    where: { position?: number; length?: number } = {},
  ): Fault | undefined {
    return this.#owner.begin({ name, path: this.#path, ...where })
  }
}

function faultError(fault: Fault, call: SystemCall): Error {
  return systemError(fault.code, call)
}

function callOf({ name, path, dest }: Omit<Operation, 'index'>): SystemCall {
  return { syscall: name, path, ...(dest === undefined ? {} : { dest }) }
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
