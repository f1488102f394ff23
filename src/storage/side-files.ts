import path from 'node:path'
import type { FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import { Mutex } from '../util/mutex.ts'
import { replaceFile } from './checkpoint.ts'
import type { StorageEnvironment } from './environment.ts'
import type { FileCache } from './file-cache.ts'
import { segmentFileName } from './file-names.ts'
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

  #write(work: () => Promise<void>): Promise<void> {
    return this.#writes.run(() => this.#files.inPassing.run(work))
  }

  #snapshotName(offset: number): string {
    return path.join(this.#directory, segmentFileName(offset, 'snapshot'))
  }
}

function ignoreMissing(error: unknown): void {
  if (errorCode(error) !== 'ENOENT') throw error
}
