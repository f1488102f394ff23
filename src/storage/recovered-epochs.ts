import path from 'node:path'
import { baseOffsetAt, partitionLeaderEpochAt } from '../codec/batch.ts'
import type { StorageEnvironment } from './environment.ts'
import { findLeaderEpochs } from './epoch-search.ts'
import { LEADER_EPOCH_CHECKPOINT } from './file-names.ts'
import { LeaderEpochs, MAX_EPOCH, NO_EPOCH } from './leader-epochs.ts'
import type { EpochFile } from './partition-epochs.ts'
import { PartitionEpochs, readEpochs } from './partition-epochs.ts'
import type { RecoverySteps } from './recovery-steps.ts'
import type { SegmentList } from './segment-list.ts'

/** What an open knows of the log when all else is done. */
export interface OpenedRange {
  readonly segments: SegmentList
  readonly logStartOffset: number
  readonly logEndOffset: number
  /** What the last owner wrote may not all be there. */
  readonly mayHaveLost: boolean
}

/**
 * The leader epochs of a partition that is opened: those of the file, as long as the batches that the open looks at bear it out; else
 * those of the batches (`epoch-search.ts`). Then the term of this owner: see `partition-epochs.ts`.
 */
export class RecoveredEpochs {
  readonly #environment: StorageEnvironment
  readonly #directory: string
  readonly #file: string
  readonly #steps: RecoverySteps
  #found: EpochFile = { bytes: Buffer.alloc(0), entries: [] }
  #epochs: LeaderEpochs = new LeaderEpochs()
  /** The greatest among the batches that were looked at. */
  #greatest = NO_EPOCH
  #isBorneOut = true

  constructor(environment: StorageEnvironment, directory: string, steps: RecoverySteps) {
    this.#environment = environment
    this.#directory = directory
    this.#file = path.join(directory, LEADER_EPOCH_CHECKPOINT)
    this.#steps = steps
  }

  /** Reads the file. */
  async load(): Promise<void> {
    this.#found = await readEpochs(this.#environment, this.#file)
    this.#epochs = new LeaderEpochs(this.#found.entries)
  }

  /** Batches are looked at from now on; what was seen before is not to be relied on. */
  begin(): void {
    this.#greatest = NO_EPOCH
    this.#isBorneOut = true
  }

  /** Takes a batch of the log. */
  seen(buffer: Buffer, at: number): void {
    const epoch = partitionLeaderEpochAt(buffer, at)
    if (epoch < 0) return
    if (epoch > this.#greatest) this.#greatest = epoch
    this.#isBorneOut &&= this.#epochs.bearsOut(epoch, baseOffsetAt(buffer, at))
  }

  /** Nothing is written: where the file has to follow, that is a repair, done before the next append. */
  async finish(range: OpenedRange): Promise<PartitionEpochs> {
    const { readOnly } = this.#environment
    // The file is listened to for how far epochs have come, also where it is wrong.
    let greatest = Math.max(this.#greatest, this.#epochs.latest?.epoch ?? NO_EPOCH)
    if (!this.#isBorneOut || this.#epochs.latest === undefined) {
      const epochs = await findLeaderEpochs(range.segments)
      const isOfBatches = epochs.latest !== undefined
      if (isOfBatches || this.#found.entries === undefined) {
        this.#steps.report.rebuilt.push(this.#file)
      }
      this.#epochs = epochs
      greatest = Math.max(greatest, epochs.latest?.epoch ?? NO_EPOCH)
    }
    if (!readOnly) this.#beginTerm(greatest, range)
    this.#epochs.truncateFromStart(range.logStartOffset)
    const epochs = new PartitionEpochs(
      this.#environment,
      this.#directory,
      this.#found,
      this.#epochs,
    )
    if (!readOnly && !epochs.isSaved) {
      this.#steps.repairs.push({ what: this.#file, run: () => epochs.save() })
    }
    return epochs
  }

  /** Behind a clean close the last epoch goes on, unless it says that there was more than there is. */
  #beginTerm(greatest: number, { logEndOffset, mayHaveLost }: OpenedRange): void {
    const isCut = (this.#epochs.latest?.startOffset ?? 0) > logEndOffset
    const isNew = greatest !== NO_EPOCH && (mayHaveLost || isCut)
    this.#epochs.truncateFromEnd(logEndOffset)
    this.#epochs.assign(Math.min(Math.max(greatest + (isNew ? 1 : 0), 0), MAX_EPOCH), logEndOffset)
  }
}
