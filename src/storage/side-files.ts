import path from 'node:path'
import { CorruptLogError } from '../errors.ts'
import type { FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import { Mutex } from '../util/mutex.ts'
import {
  formatLeaderEpochs,
  parseLeaderEpochs,
  readFileIfThere,
  replaceFile,
} from './checkpoint.ts'
import type { StorageEnvironment } from './environment.ts'
import type { FileCache } from './file-cache.ts'
import { LEADER_EPOCH_CHECKPOINT, segmentFileName } from './file-names.ts'
import { listPartition } from './partition-directory.ts'

/** The small files of a partition's directory that belong to no segment; one is written at a time. */
export class SideFiles {
  readonly #fileSystem: FileSystem
  readonly #files: FileCache
  readonly #directory: string
  readonly #writes = new Mutex()
  #snapshotOffset = -1

  constructor({ fileSystem, files }: StorageEnvironment, directory: string) {
    this.#fileSystem = fileSystem
    this.#files = files
    this.#directory = directory
  }

  get leaderEpochFile(): string {
    return path.join(this.#directory, LEADER_EPOCH_CHECKPOINT)
  }

  /**
   * Writes the producer state as of an offset, unless it was the last one written. Older snapshots go, save those as of the
   * beginning of a segment. As of offset 0 there is no state, and Kafka writes no file.
   */
  saveSnapshot(offset: number, bytes: Buffer, segmentBases: ReadonlySet<number>): Promise<void> {
    return this.#write(async () => {
      if (offset === 0 || offset === this.#snapshotOffset) return
      await replaceFile(this.#fileSystem, this.#snapshotName(offset), bytes)
      this.#snapshotOffset = offset
      const { snapshots } = await listPartition(this.#fileSystem, this.#directory)
      for (const old of snapshots) {
        if (old >= offset || segmentBases.has(old)) continue
        await this.#fileSystem.unlink(this.#snapshotName(old)).catch(ignoreMissing)
      }
    })
  }

  /** Makes the file of leader epochs: one epoch from an offset on. */
  writeFirstEpoch(epoch: number, startOffset: number): Promise<void> {
    const bytes = formatLeaderEpochs([{ epoch, startOffset }])
    return this.#write(() => replaceFile(this.#fileSystem, this.leaderEpochFile, bytes))
  }

  /** The first epoch begins where the log does. */
  moveFirstEpoch(startOffset: number): Promise<void> {
    return this.#write(async () => {
      const epochs = await this.#readEpochs()
      const first = epochs.findLastIndex((each) => each.startOffset <= startOffset)
      if (first === -1 || epochs[0]?.startOffset === startOffset) return
      const [current, ...later] = epochs.slice(first)
      if (current === undefined) return
      const kept = [{ ...current, startOffset }, ...later]
      await replaceFile(this.#fileSystem, this.leaderEpochFile, formatLeaderEpochs(kept))
    })
  }

  #write(work: () => Promise<void>): Promise<void> {
    return this.#writes.run(() => this.#files.inPassing.run(work))
  }

  async #readEpochs(): Promise<ReturnType<typeof parseLeaderEpochs>> {
    const bytes = await readFileIfThere(this.#fileSystem, this.leaderEpochFile)
    try {
      return bytes === undefined ? [] : parseLeaderEpochs(bytes, this.leaderEpochFile)
    } catch (error) {
      // It is written anew before the next append.
      if (error instanceof CorruptLogError) return []
      throw error
    }
  }

  #snapshotName(offset: number): string {
    return path.join(this.#directory, segmentFileName(offset, 'snapshot'))
  }
}

function ignoreMissing(error: unknown): void {
  if (errorCode(error) !== 'ENOENT') throw error
}
