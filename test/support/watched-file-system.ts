// A file system that counts what is open, and what is being synced, while a test runs.
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FileHandle, OpenMode } from '../../src/index.ts'
import type { ForwardedName } from './forwarding-file-system.ts'
import { ForwardingFileSystem, ForwardingHandle } from './forwarding-file-system.ts'

/** How many there are, and how many there were at most. */
export class Gauge {
  now = 0
  most = 0

  up(): void {
    this.now += 1
    this.most = Math.max(this.most, this.now)
  }

  down(): void {
    this.now -= 1
  }

  reset(): void {
    this.most = this.now
  }
}

export class WatchedFileSystem extends ForwardingFileSystem {
  /** Handles of `.log` files, and of all files. */
  readonly openLogs = new Gauge()
  readonly openFiles = new Gauge()
  /** Syncs of files and directories under way. */
  readonly syncs = new Gauge()
  /** Reads of `.log` files so far. */
  logReads = 0

  override openSync(path: string, mode: OpenMode): FileHandle {
    return new WatchedHandle(this, path, this.inner.openSync(path, mode))
  }

  override forward<T>(name: ForwardedName, path: string, operation: () => Promise<T>): Promise<T> {
    if (name === 'read' && isLog(path)) this.logReads += 1
    return name === 'sync' || name === 'syncDirectory' ? this.#sync(operation) : operation()
  }

  /** A sync that takes a few turns, as on a disk. */
  async #sync<T>(operation: () => Promise<T>): Promise<T> {
    this.syncs.up()
    try {
      for (let turn = 0; turn < 3; turn += 1) await nextTurn()
      return await operation()
    } finally {
      this.syncs.down()
    }
  }
}

class WatchedHandle extends ForwardingHandle {
  readonly #owner: WatchedFileSystem
  readonly #isLog: boolean

  constructor(owner: WatchedFileSystem, path: string, handle: FileHandle) {
    super(owner, path, handle)
    this.#owner = owner
    this.#isLog = isLog(path)
    owner.openFiles.up()
    if (this.#isLog) owner.openLogs.up()
  }

  override readSync(buffer: Uint8Array, offset: number, length: number, position: number): number {
    if (this.#isLog) this.#owner.logReads += 1
    return super.readSync(buffer, offset, length, position)
  }

  override closeSync(): void {
    super.closeSync()
    this.#owner.openFiles.down()
    if (this.#isLog) this.#owner.openLogs.down()
  }
}

function isLog(path: string): boolean {
  return path.endsWith('.log')
}
