// What is on the disk, as against what the running system shows: the second state of every file and directory.
import { GrowableBytes } from '../../src/testing/growable-bytes.ts'
import type {
  EntryChange,
  MemoryTreeOptions,
  TreeNode,
  TreeObserver,
} from '../../src/testing/memory-tree.ts'
import { copyNode, DirectoryNode, FileNode, MemoryTree } from '../../src/testing/memory-tree.ts'
import type { CutMode, UnsyncedChange } from './unsynced-writes.ts'
import { afterPowerCut, applyChange } from './unsynced-writes.ts'

interface FileState {
  /** What is on the disk. */
  readonly synced: GrowableBytes
  /** What is not, in the order in which it was done. */
  changes: UnsyncedChange[]
}

/** The names on the disk. */
type SyncedEntries = Map<string, TreeNode>

/** One unsynced mkdir, create, link, rename, unlink or rmdir. */
type DirectoryOperation = readonly EntryChange[]

type DiskOptions = Omit<MemoryTreeOptions, 'observer'>

/**
 * A Linux disk under a page cache. `tree` is what the system shows. Contents and names come to the disk by `syncFile` and
 * `syncDirectory`; all the rest is at the mercy of `powerCut`.
 */
export class DiskModel implements TreeObserver {
  readonly tree: MemoryTree
  readonly #now: () => number
  readonly #files = new Map<FileNode, FileState>()
  readonly #directories = new Map<DirectoryNode, SyncedEntries>()
  /** In the order in which they were done, over all directories: a rename may touch two. */
  #journal: DirectoryOperation[] = []
  #sequence = 0

  constructor(options: DiskOptions) {
    this.#now = options.now
    this.tree = new MemoryTree({ ...options, observer: this })
  }

  // ------------------------------------------------------------------------- told by the tree

  entriesChanged(changes: readonly EntryChange[]): void {
    this.#journal.push(changes)
  }

  written(file: FileNode, position: number, bytes: Uint8Array): void {
    const change = {
      kind: 'write',
      sequence: this.mark() + 1,
      position,
      // A buffer's own `slice` is a view, and what it shows changes with the next use of its memory.
      bytes: Uint8Array.prototype.slice.call(bytes),
    } as const
    this.#sequence = change.sequence
    this.#file(file).changes.push(change)
  }

  resized(file: FileNode, size: number): void {
    this.#sequence += 1
    this.#file(file).changes.push({ kind: 'truncate', sequence: this.#sequence, size })
  }

  // ------------------------------------------------------------------------------------ syncs

  /** The last change so far. A sync covers what was done before it was called. */
  mark(): number {
    return this.#sequence
  }

  syncFile(file: FileNode, upTo: number): void {
    const state = this.#file(file)
    for (const change of state.changes) {
      if (change.sequence <= upTo) applyChange(state.synced, change)
    }
    state.changes = state.changes.filter((change) => change.sequence > upTo)
  }

  /** The written bytes stay readable, but nobody will write them to the disk any more. */
  failFileSync(file: FileNode, upTo: number): void {
    const state = this.#file(file)
    state.changes = state.changes.filter(
      (change) => change.sequence > upTo || change.kind === 'truncate',
    )
  }

  /** Operations of a directory's journal so far; see `syncDirectory`. */
  journalOf(directory: DirectoryNode): ReadonlySet<DirectoryOperation> {
    return new Set(this.#journal.filter((operation) => touches(operation, directory)))
  }

  /** Puts operations on the disk, with those that they stand on: the earlier ones of every directory they touch. */
  syncDirectory(operations: ReadonlySet<DirectoryOperation>): void {
    const directories = new Set<DirectoryNode>()
    const covered = new Set<DirectoryOperation>()
    for (const operation of this.#journal.toReversed()) {
      const isNeeded = operation.some((change) => directories.has(change.directory))
      if (!isNeeded && !operations.has(operation)) continue
      covered.add(operation)
      for (const change of operation) directories.add(change.directory)
    }
    for (const operation of this.#journal) if (covered.has(operation)) this.#commit(operation)
    this.#journal = this.#journal.filter((operation) => !covered.has(operation))
  }

  failDirectorySync(operations: ReadonlySet<DirectoryOperation>): void {
    this.#journal = this.#journal.filter((operation) => !operations.has(operation))
  }

  /** Bytes of a file that were written and are not on the disk; those of a failed sync do not count. */
  unsyncedBytes(file: FileNode): number {
    return this.#file(file).changes.reduce(
      (sum, change) => sum + (change.kind === 'write' ? change.bytes.length : 0),
      0,
    )
  }

  // --------------------------------------------------------------------------------- the end

  /** A copy in the same state, synced and unsynced. */
  clone(): DiskModel {
    const copies = new Map<TreeNode, TreeNode>()
    const directoryCopy = (directory: DirectoryNode): DirectoryNode => {
      const copy = copyNode(directory, copies)
      if (copy instanceof DirectoryNode) return copy
      throw new Error('a directory became a file')
    }
    const disk = this.#withRoot(directoryCopy(this.tree.root))
    for (const [file, { synced, changes }] of this.#files) {
      const copy = copyNode(file, copies)
      if (copy instanceof FileNode) {
        disk.#files.set(copy, { synced: synced.clone(), changes: [...changes] })
      }
    }
    for (const [directory, entries] of this.#directories) {
      const copy = [...entries].map(([name, node]) => [name, copyNode(node, copies)] as const)
      disk.#directories.set(directoryCopy(directory), new Map(copy))
    }
    disk.#journal = this.#journal.map((operation) =>
      operation.map(({ directory, name, before, after }) => ({
        directory: directoryCopy(directory),
        name,
        before: before && copyNode(before, copies),
        after: after && copyNode(after, copies),
      })),
    )
    disk.#sequence = this.#sequence
    return disk
  }

  /** The disk as it comes back: all that is there is synced. This one is left as it is. */
  powerCut(mode: CutMode, random: () => number): DiskModel {
    const disk = this.clone()
    disk.#loseOperations(mode, random)
    const rebuilt = new Map<TreeNode, TreeNode>()
    const root = disk.#rebuildDirectory(disk.tree.root, rebuilt, (file) => {
      const { synced, changes } = disk.#file(file)
      return new FileNode(file.modifiedMs, afterPowerCut(synced, changes, mode, random))
    })
    const after = this.#withRoot(root)
    for (const node of rebuilt.values()) after.#adopt(node)
    return after
  }

  #withRoot(root: DirectoryNode): DiskModel {
    const disk = new DiskModel({ now: this.#now, capacityBytes: this.tree.capacityBytes, root })
    disk.tree.fullCode = this.tree.fullCode
    return disk
  }

  /** Of each directory's operations the first few reach the disk. */
  #loseOperations(mode: CutMode, random: () => number): void {
    const chanceToStop = new Map<DirectoryNode, number>()
    const goesOn = (directory: DirectoryNode): boolean => {
      const chance = chanceToStop.get(directory) ?? stoppingChance(mode, random)
      chanceToStop.set(directory, chance)
      if (random() >= chance) return true
      chanceToStop.set(directory, 1)
      return false
    }
    for (const operation of this.#journal) {
      const directories = [...new Set(operation.map((change) => change.directory))]
      if (directories.map(goesOn).every(Boolean)) this.#commit(operation)
      else for (const directory of directories) chanceToStop.set(directory, 1)
    }
  }

  #rebuildDirectory(
    directory: DirectoryNode,
    rebuilt: Map<TreeNode, TreeNode>,
    restore: (file: FileNode) => FileNode,
  ): DirectoryNode {
    const copy = new DirectoryNode(directory.modifiedMs)
    rebuilt.set(directory, copy)
    for (const [name, node] of this.#entries(directory)) {
      const known = rebuilt.get(node)
      if (node instanceof FileNode) {
        const file = known ?? restore(node)
        rebuilt.set(node, file)
        copy.entries.set(name, file)
      } else if (known === undefined) {
        copy.entries.set(name, this.#rebuildDirectory(node, rebuilt, restore))
      }
    }
    return copy
  }

  #adopt(node: TreeNode): void {
    if (node instanceof FileNode) {
      this.#files.set(node, { synced: node.bytes.clone(), changes: [] })
    } else this.#directories.set(node, new Map(node.entries))
  }

  #commit(operation: DirectoryOperation): void {
    for (const { directory, name, after } of operation) {
      const entries = this.#entries(directory)
      if (after === undefined) entries.delete(name)
      else entries.set(name, after)
    }
  }

  #file(file: FileNode): FileState {
    const known = this.#files.get(file)
    if (known !== undefined) return known
    const state = { synced: new GrowableBytes(), changes: [] }
    this.#files.set(file, state)
    return state
  }

  #entries(directory: DirectoryNode): SyncedEntries {
    const known = this.#directories.get(directory)
    if (known !== undefined) return known
    const entries = new Map<string, TreeNode>()
    this.#directories.set(directory, entries)
    return entries
  }
}

function touches(operation: DirectoryOperation, directory: DirectoryNode): boolean {
  return operation.some((change) => change.directory === directory)
}

/** How likely each operation of a directory is to be the first that is lost. */
function stoppingChance(mode: CutMode, random: () => number): number {
  if (mode !== 'random') return mode === 'lose-all' ? 1 : 0
  const style = random()
  if (style < 0.25) return 0
  return style < 0.5 ? 1 : random() ** 2
}
