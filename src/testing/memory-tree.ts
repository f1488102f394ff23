import { posix } from 'node:path'
import type { OpenMode } from '../types.ts'
import { GrowableBytes } from './growable-bytes.ts'
import type { SystemCall } from './system-error.ts'
import { systemError } from './system-error.ts'

let files = 0

/** A file, whatever names it has. */
export class FileNode {
  /** No other file has it, nor a copy of this one. */
  readonly id: number
  readonly bytes: GrowableBytes
  modifiedMs: number
  /** Names that lead here. Without one, and without a handle, the file is gone. */
  links = 0
  handles = 0

  constructor(modifiedMs: number, bytes: GrowableBytes = new GrowableBytes()) {
    files += 1
    this.id = files
    this.modifiedMs = modifiedMs
    this.bytes = bytes
  }
}

export class DirectoryNode {
  readonly entries: Map<string, TreeNode> = new Map()
  modifiedMs: number

  constructor(modifiedMs: number) {
    this.modifiedMs = modifiedMs
  }
}

export type TreeNode = FileNode | DirectoryNode

/** What a name in a directory led to, and leads to now. */
export interface EntryChange {
  readonly directory: DirectoryNode
  readonly name: string
  readonly before: TreeNode | undefined
  readonly after: TreeNode | undefined
}

/** Is told of every change after it was made. */
export interface TreeObserver {
  /** The changes of one call, which happen together. */
  entriesChanged(changes: readonly EntryChange[]): void
  written(file: FileNode, position: number, bytes: Uint8Array): void
  resized(file: FileNode, size: number): void
}

export interface MemoryTreeOptions {
  readonly now: () => number
  readonly capacityBytes?: number
  readonly observer?: TreeObserver
  readonly root?: DirectoryNode
}

interface Place {
  readonly directory: DirectoryNode
  readonly name: string
}

/** Directories, names and files in memory, with the rules and errors of a POSIX file system. Paths are taken from `/`. */
export class MemoryTree {
  readonly root: DirectoryNode
  /** Room for the content of all files together. */
  capacityBytes: number
  fullCode: 'ENOSPC' | 'EDQUOT' = 'ENOSPC'
  readonly #now: () => number
  readonly #observer: TreeObserver | undefined
  #usedBytes: number

  constructor(options: MemoryTreeOptions) {
    this.#now = options.now
    this.#observer = options.observer
    this.capacityBytes = options.capacityBytes ?? Number.POSITIVE_INFINITY
    this.root = options.root ?? new DirectoryNode(options.now())
    this.#usedBytes = countLinks(this.root)
  }

  /** Size of all files that have a name or a handle. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** What a path leads to; undefined where nothing of that name exists. */
  find(path: string): TreeNode | undefined {
    let node: TreeNode | undefined = path === '' ? undefined : this.root
    for (const name of namesOf(path)) {
      node = node instanceof DirectoryNode ? node.entries.get(name) : undefined
    }
    return node
  }

  mkdir(path: string): void {
    const names = namesOf(path)
    let directory = this.root
    for (const [index, name] of names.entries()) {
      const found = directory.entries.get(name)
      if (found instanceof FileNode) {
        const code = index === names.length - 1 ? 'EEXIST' : 'ENOTDIR'
        throw systemError(code, { syscall: 'mkdir', path })
      }
      const next = found ?? new DirectoryNode(this.#now())
      if (found === undefined) this.#change([{ directory, name, before: undefined, after: next }])
      directory = next
    }
  }

  readdir(path: string): string[] {
    const call = { syscall: 'scandir', path }
    const node = this.existing(path, call)
    if (node instanceof FileNode) throw systemError('ENOTDIR', call)
    return [...node.entries.keys()]
  }

  rmdir(path: string): void {
    const call = { syscall: 'rmdir', path }
    const place = this.#place(path, call)
    const node = entryOf(place, call)
    if (node instanceof FileNode) throw systemError('ENOTDIR', call)
    if (node.entries.size > 0) throw systemError('ENOTEMPTY', call)
    this.#change([{ ...place, before: node, after: undefined }])
  }

  rename(from: string, to: string): void {
    const call = { syscall: 'rename', path: from, dest: to }
    const source = this.#place(from, call)
    const target = this.#place(to, call)
    const node = entryOf(source, call)
    const replaced = target.directory.entries.get(target.name)
    // Two names of one file stay as they are: so says POSIX.
    if (replaced === node) return
    if (canonical(to).startsWith(`${canonical(from)}/`)) throw systemError('EINVAL', call)
    checkReplacement(node, replaced, call)
    this.#change([
      { ...source, before: node, after: undefined },
      { ...target, before: replaced, after: node },
    ])
  }

  link(existing: string, path: string): void {
    const call = { syscall: 'link', path: existing, dest: path }
    const node = this.existing(existing, call)
    const place = this.#place(path, call)
    if (node instanceof DirectoryNode) throw systemError('EPERM', call)
    if (place.directory.entries.has(place.name)) throw systemError('EEXIST', call)
    this.#change([{ ...place, before: undefined, after: node }])
  }

  unlink(path: string): void {
    const call = { syscall: 'unlink', path }
    const place = this.#place(path, call)
    const node = entryOf(place, call)
    if (node instanceof DirectoryNode) throw systemError('EISDIR', call)
    this.#change([{ ...place, before: node, after: undefined }])
  }

  /** What a path leads to; throws where a name is missing or lies below a file. */
  existing(path: string, call: SystemCall): TreeNode {
    const isRoot = path !== '' && canonical(path) === '/'
    return isRoot ? this.root : entryOf(this.#place(path, call), call)
  }

  /** Opens a file, which lives on without a name until `close`. */
  open(path: string, mode: OpenMode): FileNode {
    const call = { syscall: 'open', path }
    const file = mode === 'create' ? this.#create(path, call) : this.existing(path, call)
    if (file instanceof DirectoryNode) throw systemError('EISDIR', call)
    file.handles += 1
    return file
  }

  close(file: FileNode): void {
    file.handles -= 1
    this.#releaseRoom(file)
  }

  /** Writes what there is room for, and throws if that is not all. */
  write(file: FileNode, bytes: Uint8Array, position: number): void {
    const sizeBefore = file.bytes.size
    const missing = position + bytes.length - sizeBefore - Math.max(0, this.#room())
    const length = Math.max(0, bytes.length - Math.max(0, missing))
    if (length > 0) {
      const part = bytes.subarray(0, length)
      file.bytes.write(part, position)
      this.#grown(file, sizeBefore)
      this.#observer?.written(file, position, part)
    }
    if (length < bytes.length) throw systemError(this.fullCode, { syscall: 'write' })
  }

  /** Needs no room where it adds zeros: a hole takes none. */
  resize(file: FileNode, size: number): void {
    const sizeBefore = file.bytes.size
    file.bytes.resize(size)
    this.#grown(file, sizeBefore)
    this.#observer?.resized(file, size)
  }

  #room(): number {
    return this.capacityBytes - this.#usedBytes
  }

  #grown(file: FileNode, sizeBefore: number): void {
    this.#usedBytes += file.bytes.size - sizeBefore
    file.modifiedMs = this.#now()
  }

  #create(path: string, call: SystemCall): FileNode {
    const place = this.#place(path, call)
    if (place.directory.entries.has(place.name)) throw systemError('EEXIST', call)
    const file = new FileNode(this.#now())
    this.#change([{ ...place, before: undefined, after: file }])
    return file
  }

  /** The directory of a path, and its last name, which may be free. */
  #place(path: string, call: SystemCall): Place {
    if (path === '') throw systemError('ENOENT', call)
    const names = namesOf(path)
    const name = names.pop()
    if (name === undefined) throw systemError('EBUSY', call)
    let directory = this.root
    for (const each of names) {
      const next = directory.entries.get(each)
      if (next === undefined) throw systemError('ENOENT', call)
      if (next instanceof FileNode) throw systemError('ENOTDIR', call)
      directory = next
    }
    return { directory, name }
  }

  #change(changes: readonly EntryChange[]): void {
    for (const { directory, name, after } of changes) {
      if (after === undefined) directory.entries.delete(name)
      else directory.entries.set(name, after)
      if (after instanceof FileNode) after.links += 1
      directory.modifiedMs = this.#now()
    }
    for (const { before } of changes) {
      if (!(before instanceof FileNode)) continue
      before.links -= 1
      this.#releaseRoom(before)
    }
    this.#observer?.entriesChanged(changes)
  }

  #releaseRoom(file: FileNode): void {
    if (file.links === 0 && file.handles === 0) this.#usedBytes -= file.bytes.size
  }
}

/** The absolute form of a path, without `.`, `..` and double slashes. */
export function canonical(path: string): string {
  return posix.resolve('/', path)
}

/** Copies what a node leads to. `copies` holds what was copied already, so that a file keeps all its names. */
export function copyNode(node: TreeNode, copies: Map<TreeNode, TreeNode>): TreeNode {
  const known = copies.get(node)
  if (known !== undefined) return known
  if (node instanceof FileNode) {
    const file = new FileNode(node.modifiedMs, node.bytes.clone())
    copies.set(node, file)
    return file
  }
  return copyDirectory(node, copies)
}

export function copyDirectory(
  directory: DirectoryNode,
  copies: Map<TreeNode, TreeNode>,
): DirectoryNode {
  const known = copies.get(directory)
  if (known instanceof DirectoryNode) return known
  const copy = new DirectoryNode(directory.modifiedMs)
  copies.set(directory, copy)
  for (const [name, node] of directory.entries) copy.entries.set(name, copyNode(node, copies))
  return copy
}

/** Sets the links of all files of a new tree; gives their size. */
function countLinks(directory: DirectoryNode): number {
  let sizeBytes = 0
  for (const node of directory.entries.values()) {
    if (node instanceof DirectoryNode) {
      sizeBytes += countLinks(node)
      continue
    }
    if (node.links === 0) sizeBytes += node.bytes.size
    node.links += 1
  }
  return sizeBytes
}

function namesOf(path: string): string[] {
  return canonical(path)
    .split('/')
    .filter((name) => name !== '')
}

function entryOf(place: Place, call: SystemCall): TreeNode {
  const node = place.directory.entries.get(place.name)
  if (node === undefined) throw systemError('ENOENT', call)
  return node
}

function checkReplacement(node: TreeNode, replaced: TreeNode | undefined, call: SystemCall): void {
  if (replaced === undefined) return
  if (node instanceof FileNode) {
    if (replaced instanceof DirectoryNode) throw systemError('EISDIR', call)
    return
  }
  if (replaced instanceof FileNode) throw systemError('ENOTDIR', call)
  if (replaced.entries.size > 0) throw systemError('ENOTEMPTY', call)
}
