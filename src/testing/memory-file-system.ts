import type {
  Clock,
  FileHandle,
  FileLock,
  FileLockResult,
  FileStat,
  FileSystem,
  OpenMode,
} from '../types.ts'
import { systemClock } from '../util/clock.ts'
import type { FileNode } from './memory-tree.ts'
import { canonical, copyDirectory, DirectoryNode, MemoryTree } from './memory-tree.ts'
import { systemError } from './system-error.ts'

export interface MemoryFileSystemOptions {
  /**
   * Room for the content of all files together, in bytes, at least 0; default unbounded. A write that needs more
   * takes what fits and fails with `ENOSPC`; one within a file's size needs no room.
   */
  readonly capacityBytes?: number
  /** Whose time files bear as that of their last change. Default the system's. */
  readonly clock?: Clock
  /** @internal */
  readonly tree?: MemoryTree
}

/**
 * A file system in memory, with the rules and errors of one on Linux. Paths are POSIX paths; a relative one is taken
 * from `/`. Files with a handle outlive their names. Nothing is ever lost, so syncs have nothing to do.
 */
export class MemoryFileSystem implements FileSystem {
  readonly #clock: Clock
  readonly #tree: MemoryTree
  readonly #locked = new Set<FileNode>()

  /** Throws a `RangeError` where `capacityBytes` is negative or NaN. */
  constructor(options: MemoryFileSystemOptions = {}) {
    const { capacityBytes = Number.POSITIVE_INFINITY, clock = systemClock } = options
    if (!(capacityBytes >= 0)) {
      throw new RangeError(`capacityBytes must be at least 0, not ${capacityBytes}`)
    }
    this.#clock = clock
    this.#tree = options.tree ?? new MemoryTree({ now: () => clock.now(), capacityBytes })
  }

  /** Size of all files together, in bytes. */
  get usedBytes(): number {
    return this.#tree.usedBytes
  }

  /** A copy of all files and directories as they are now, without handles and locks. */
  clone(): MemoryFileSystem {
    const { capacityBytes, root } = this.#tree
    const clock = this.#clock
    const tree = new MemoryTree({
      now: () => clock.now(),
      capacityBytes,
      root: copyDirectory(root, new Map()),
    })
    return new MemoryFileSystem({ clock, tree })
  }

  /** Makes a directory and its missing parents. `EEXIST` where a file has the name, `ENOTDIR` where one stands on the way. */
  async mkdir(path: string): Promise<void> {
    this.#tree.mkdir(path)
  }

  /** Names in a directory, in no order. `ENOENT`, `ENOTDIR`. */
  async readdir(path: string): Promise<string[]> {
    return this.#tree.readdir(path)
  }

  /** Removes an empty directory. `ENOENT`, `ENOTDIR`, `ENOTEMPTY`. */
  async rmdir(path: string): Promise<void> {
    this.#tree.rmdir(path)
  }

  /**
   * Renames a file or directory, replacing a file (or an empty directory) of that name.
   * `ENOENT`; `EISDIR`, `ENOTDIR` or `ENOTEMPTY` where what it would replace does not fit; `EINVAL` into itself.
   */
  async rename(from: string, to: string): Promise<void> {
    this.#tree.rename(from, to)
  }

  /** Gives a file a second name. `ENOENT`, `EEXIST`; `EPERM` for a directory. */
  async link(existing: string, path: string): Promise<void> {
    this.#tree.link(existing, path)
  }

  /** Takes a file's name away; its handles go on. `ENOENT`; `EISDIR` for a directory. */
  async unlink(path: string): Promise<void> {
    this.#tree.unlink(path)
  }

  /** Undefined where nothing of that name exists. A directory's size is 0. */
  async stat(path: string): Promise<FileStat | undefined> {
    const node = this.#tree.find(path)
    if (node === undefined) return undefined
    const isDirectory = node instanceof DirectoryNode
    return { size: isDirectory ? 0 : node.bytes.size, isDirectory, modifiedMs: node.modifiedMs }
  }

  /** `ENOENT`, `ENOTDIR`. */
  async syncDirectory(path: string): Promise<void> {
    const call = { syscall: 'open', path }
    if (this.#tree.existing(path, call) instanceof DirectoryNode) return
    throw systemError('ENOTDIR', call)
  }

  /** The absolute path of something that exists. `ENOENT`, `ENOTDIR`. */
  async realpath(path: string): Promise<string> {
    this.#tree.existing(path, { syscall: 'realpath', path })
    return canonical(path)
  }

  /** Opens a file. `ENOENT`; `EEXIST` for `create`; `EISDIR`. */
  openSync(path: string, mode: OpenMode): FileHandle {
    return new MemoryHandle(this.#tree, this.#tree.open(path, mode), mode !== 'read')
  }

  /** Takes an exclusive lock, which holds among the users of this object. */
  async lock(path: string): Promise<FileLockResult> {
    const isNew = this.#tree.find(path) === undefined
    const file = this.#tree.open(path, isNew ? 'create' : 'write')
    if (this.#locked.has(file)) {
      this.#tree.close(file)
      return 'held'
    }
    this.#locked.add(file)
    return new MemoryLock(() => {
      this.#locked.delete(file)
      this.#tree.close(file)
    })
  }
}

class MemoryLock implements FileLock {
  #free: (() => void) | undefined

  constructor(free: () => void) {
    this.#free = free
  }

  async release(): Promise<void> {
    this.#free?.()
    this.#free = undefined
  }
}

class MemoryHandle implements FileHandle {
  readonly #tree: MemoryTree
  readonly #file: FileNode
  readonly #isWritable: boolean
  #isOpen = true

  constructor(tree: MemoryTree, file: FileNode, isWritable: boolean) {
    this.#tree = tree
    this.#file = file
    this.#isWritable = isWritable
  }

  readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    this.#check('read')
    return this.#file.bytes.read(part(buffer, offset, length, position), position)
  }

  async read(
    buffer: Uint8Array,
    offset: number,
    length: number,
    position: number,
  ): Promise<number> {
    return this.readSync(buffer, offset, length, position)
  }

  writeSync(buffer: Uint8Array, offset: number, length: number, position: number): void {
    this.#check('write')
    if (!this.#isWritable) throw systemError('EBADF', { syscall: 'write' })
    this.#tree.write(this.#file, part(buffer, offset, length, position), position)
  }

  async write(buffer: Uint8Array, offset: number, length: number, position: number): Promise<void> {
    this.writeSync(buffer, offset, length, position)
  }

  sizeSync(): number {
    this.#check('fstat')
    return this.#file.bytes.size
  }

  idSync(): string {
    this.#check('fstat')
    return String(this.#file.id)
  }

  async truncate(size: number): Promise<void> {
    this.#check('ftruncate')
    if (!this.#isWritable) throw systemError('EINVAL', { syscall: 'ftruncate' })
    this.#tree.resize(this.#file, safeSize('size', size))
  }

  async sync(): Promise<void> {
    this.#check('fdatasync')
  }

  closeSync(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#tree.close(this.#file)
  }

  #check(syscall: string): void {
    if (!this.#isOpen) throw systemError('EBADF', { syscall })
  }
}

/** The bytes of a buffer that a call means. */
function part(buffer: Uint8Array, offset: number, length: number, position: number): Uint8Array {
  safeSize('position', position)
  const end = safeSize('offset', offset) + safeSize('length', length)
  if (end > buffer.length) {
    throw new RangeError(`offset + length is ${end}, the buffer has ${buffer.length} bytes`)
  }
  return buffer.subarray(offset, end)
}

function safeSize(name: string, value: number): number {
  if (Number.isSafeInteger(value) && value >= 0) return value
  throw new RangeError(`${name} must be a safe integer >= 0, not ${value}`)
}
