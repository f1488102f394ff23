/**
 * A partition's leader epochs and their file, `leader-epoch-checkpoint`.
 *
 * A term is the time in which one owner writes, and each of its batches carries the term's epoch. A new term begins with every open
 * behind which records may have been lost: any but that of a cleanly closed directory. So:
 *
 *   no two records that were ever acknowledged, at any level, or given to a reader, have the same epoch and offset
 *
 * Steps: (1) the open decides on the epoch, above all that the file and the batches know, and changes nothing; (2) the file is
 * replaced, by one that ends with the new epoch and its first offset; (3) the first batch with that epoch is written; (4) it is
 * acknowledged. The commit point is 2, the rename. It waits for the first append, or for the close: an open of 1,000 partitions writes
 * no file.
 *
 *   killed before 2   no batch has the epoch: the next open decides on the same one, at its own log end
 *   after 2           the file knows the epoch, whatever becomes of the batches: the next open goes above it, though their
 *                     records be lost, in part or all, and gives the file an entry in place of those that begin behind the log end
 *
 * A replacement never takes the greatest epoch away. Before the clean marker is written, 2 is done also where nothing was appended: the
 * open after it goes on with the last epoch, under which lost records may have been acknowledged.
 */
import path from 'node:path'
import { CorruptLogError } from '../errors.ts'
import type { EpochEndOffset } from '../types.ts'
import { Mutex } from '../util/mutex.ts'
import type { LeaderEpoch } from './checkpoint.ts'
import {
  formatLeaderEpochs,
  parseLeaderEpochs,
  readFileIfThere,
  replaceFile,
} from './checkpoint.ts'
import type { StorageEnvironment } from './environment.ts'
import { LEADER_EPOCH_CHECKPOINT } from './file-names.ts'
import { areRising, areSame, LeaderEpochs, NO_EPOCH } from './leader-epochs.ts'

/** The file as it was found. */
export interface EpochFile {
  /** 0 bytes where there is none. */
  readonly bytes: Buffer
  /** Undefined where it is damaged: not Kafka's text, or entries that do not rise. */
  readonly entries: readonly LeaderEpoch[] | undefined
}

export class PartitionEpochs {
  readonly #environment: StorageEnvironment
  readonly #file: string
  readonly #writes = new Mutex()
  #epochs: LeaderEpochs
  /** The file as it was last found. */
  #found: Buffer
  /** What the file says. */
  #written: readonly LeaderEpoch[]
  /** The file is to follow the log start. */
  #isMoveOwed = false

  constructor(
    environment: StorageEnvironment,
    directory: string,
    { bytes, entries }: EpochFile,
    epochs: LeaderEpochs,
  ) {
    this.#environment = environment
    this.#file = path.join(directory, LEADER_EPOCH_CHECKPOINT)
    this.#epochs = epochs
    this.#found = bytes
    this.#written = entries ?? []
  }

  /** Of the batches to come; for a reader beside a writer, of the last ones below `logEndOffset`. -1: none is known. */
  current(logEndOffset: number): number {
    return this.#epochs.upTo(logEndOffset).latest?.epoch ?? NO_EPOCH
  }

  /** See `LeaderEpochs.endOffsetFor`. */
  endOffsetFor(epoch: number, logEndOffset: number): EpochEndOffset | undefined {
    return this.#epochs.upTo(logEndOffset).endOffsetFor(epoch, logEndOffset)
  }

  /** The file says what is known here. */
  get isSaved(): boolean {
    return areSame(this.#written, this.#epochs.entries)
  }

  /** Makes the file say what is known here, durably. */
  save(): Promise<void> {
    return this.#writes.run(async () => {
      const { entries } = this.#epochs
      if (areSame(this.#written, entries)) return
      const { fileSystem, files } = this.#environment
      const bytes = formatLeaderEpochs(entries)
      await files.inPassing.run(() => replaceFile(fileSystem, this.#file, bytes))
      this.#written = entries
    })
  }

  /** The first epoch begins where the log does. Where it rejects, the next call owes the file what this one could not write. */
  async moveStart(logStartOffset: number): Promise<void> {
    if (this.#epochs.truncateFromStart(logStartOffset)) this.#isMoveOwed = true
    if (!this.#isMoveOwed) return
    await this.save()
    this.#isMoveOwed = false
  }

  /** For a reader beside a writer: looks whether the file has changed. A damaged one changes nothing. */
  async refresh(logStartOffset: number): Promise<void> {
    const { bytes, entries } = await readEpochs(this.#environment, this.#file)
    if (bytes.equals(this.#found)) return
    this.#found = bytes
    if (entries !== undefined) this.#epochs = new LeaderEpochs(entries)
    this.#epochs.truncateFromStart(logStartOffset)
  }
}

/** Reads the file of a partition's directory, or of this path. */
export async function readEpochs(
  { fileSystem }: StorageEnvironment,
  file: string,
): Promise<EpochFile> {
  const bytes = (await readFileIfThere(fileSystem, file)) ?? Buffer.alloc(0)
  try {
    const entries = parseLeaderEpochs(bytes, file)
    return { bytes, entries: areRising(entries) ? entries : undefined }
  } catch (error) {
    if (error instanceof CorruptLogError) return { bytes, entries: undefined }
    throw error
  }
}
