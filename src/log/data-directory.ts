/**
 * The data directory as a whole: its lock, its clean marker and its checkpoints.
 *
 * Open: (1) lock, (2) remove the marker, (3) sync the directory; only then is the first byte of a partition written. Close: (1) the partitions are
 * cut and synced, (2) the checkpoints are written, (3) the marker, (4) the directory is synced, (5) the lock is released. The marker is the commit
 * point of a clean close: killed before it, the next open recovers from the last recovery points; where any of 1 to 3 failed, it is not written.
 */
import path from 'node:path'
import { CorruptLogError } from '../errors.ts'
import {
  formatCleanMarker,
  readOffsetCheckpoint,
  replaceFile,
  writeOffsetCheckpoint,
} from '../storage/checkpoint.ts'
import type { DirectoryLock } from '../storage/directory-lock.ts'
import { lockDirectory } from '../storage/directory-lock.ts'
import {
  CLEAN_MARKER,
  CLEANER_CHECKPOINT,
  LOG_START_CHECKPOINT,
  METADATA_FILE,
  RECOVERY_POINT_CHECKPOINT,
} from '../storage/file-names.ts'
import type { Clock, FileSystem } from '../types.ts'
import { Mutex } from '../util/mutex.ts'

export interface DirectoryOptions {
  readonly fileSystem: FileSystem
  readonly clock: Clock
  readonly readOnly: boolean
  readonly breakLock: string | undefined
}

export class DataDirectory {
  readonly path: string
  /** The last owner closed the directory. */
  readonly isClean: boolean
  /** Checkpoints that could not be read, by file. */
  readonly damaged: Set<string> = new Set()
  readonly #options: DirectoryOptions
  readonly #lock: DirectoryLock | undefined
  readonly #writes = new Mutex()

  private constructor(
    directory: string,
    options: DirectoryOptions,
    lock: DirectoryLock | undefined,
    isClean: boolean,
  ) {
    this.path = directory
    this.isClean = isClean
    this.#options = options
    this.#lock = lock
  }

  /** Makes the directory where it is missing and takes its lock. Throws `DirectoryLockedError` where it is held. */
  static async open(directory: string, options: DirectoryOptions): Promise<DataDirectory> {
    const { fileSystem, clock, breakLock, readOnly } = options
    const marker = path.join(directory, CLEAN_MARKER)
    if (readOnly) {
      return new DataDirectory(
        directory,
        options,
        undefined,
        (await fileSystem.stat(marker)) !== undefined,
      )
    }
    await makeDirectory(fileSystem, directory)
    const lockOptions = breakLock === undefined ? { clock } : { clock, breakLock }
    const lock = await lockDirectory(fileSystem, directory, lockOptions)
    try {
      const isClean = (await fileSystem.stat(marker)) !== undefined
      return new DataDirectory(directory, options, lock, isClean)
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  /** From here on a kill is told from a clean close. Called before anything of a partition is written. */
  async removeMarker(): Promise<void> {
    if (!this.isClean || this.#options.readOnly) return
    const { fileSystem } = this.#options
    await fileSystem.unlink(path.join(this.path, CLEAN_MARKER))
    await fileSystem.syncDirectory(this.path)
  }

  /** A damaged checkpoint counts as none, which only means that more is read again; it is told in `damaged`. */
  readRecoveryPoints(): Promise<Map<string, number>> {
    return this.#read(RECOVERY_POINT_CHECKPOINT)
  }

  /** As `readRecoveryPoints`. Without it, records that were deleted but lie in a segment that was not are there again. */
  readLogStarts(): Promise<Map<string, number>> {
    return this.#read(LOG_START_CHECKPOINT)
  }

  writeRecoveryPoints(points: () => ReadonlyMap<string, number>): Promise<void> {
    return this.#write(RECOVERY_POINT_CHECKPOINT, points)
  }

  writeLogStarts(starts: () => ReadonlyMap<string, number>): Promise<void> {
    return this.#write(LOG_START_CHECKPOINT, starts)
  }

  /** Up to where partitions are compacted. Without it they are compacted from the start. */
  readCleanerOffsets(): Promise<Map<string, number>> {
    return this.#read(CLEANER_CHECKPOINT)
  }

  writeCleanerOffsets(offsets: () => ReadonlyMap<string, number>): Promise<void> {
    return this.#write(CLEANER_CHECKPOINT, offsets)
  }

  /** Partitions that are deleted leave the checkpoints before their topic's entry goes: a new topic of that name would inherit their offsets. */
  async forget(names: ReadonlySet<string>): Promise<void> {
    for (const checkpoint of [
      RECOVERY_POINT_CHECKPOINT,
      LOG_START_CHECKPOINT,
      CLEANER_CHECKPOINT,
    ]) {
      await this.#writes.run(async () => {
        const offsets = await this.#read(checkpoint)
        const kept = new Map([...offsets].filter(([name]) => !names.has(name)))
        if (kept.size === offsets.size) return
        const file = path.join(this.path, checkpoint)
        await writeOffsetCheckpoint(this.#options.fileSystem, file, kept)
      })
    }
  }

  /** All is on the disk and the checkpoints are written. */
  async writeMarker(): Promise<void> {
    await replaceFile(
      this.#options.fileSystem,
      path.join(this.path, CLEAN_MARKER),
      formatCleanMarker(),
    )
  }

  async release(): Promise<void> {
    await this.#lock?.release()
  }

  async #read(name: string): Promise<Map<string, number>> {
    const file = path.join(this.path, name)
    try {
      return await readOffsetCheckpoint(this.#options.fileSystem, file)
    } catch (error) {
      if (!(error instanceof CorruptLogError)) throw error
      this.damaged.add(file)
      return new Map()
    }
  }

  /** What is written is asked for when its turn comes, so that no older state replaces a newer one. */
  #write(name: string, offsets: () => ReadonlyMap<string, number>): Promise<void> {
    const file = path.join(this.path, name)
    return this.#writes.run(() => writeOffsetCheckpoint(this.#options.fileSystem, file, offsets()))
  }
}

/** Durably, with its missing parents. Who made a directory that is still new may have been killed before it was durable. */
async function makeDirectory(fileSystem: FileSystem, directory: string): Promise<void> {
  const isThere = async (file: string): Promise<boolean> =>
    (await fileSystem.stat(file)) !== undefined
  if (await isThere(path.join(directory, METADATA_FILE))) return
  const made = [directory]
  for (let each = path.dirname(directory); !(await isThere(each)); each = path.dirname(each)) {
    made.push(each)
  }
  if (!(await isThere(directory))) await fileSystem.mkdir(directory)
  for (const each of made) await fileSystem.syncDirectory(path.dirname(each))
}
