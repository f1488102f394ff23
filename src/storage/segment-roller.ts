import type { StorageEnvironment } from './environment.ts'
import type { PartitionProducers } from './partition-producers.ts'
import { Segment } from './segment.ts'
import type { SegmentList } from './segment-list.ts'
import { syncNames } from './sync-error.ts'

export interface RollerHooks {
  /** All below the offset is on the disk. */
  syncedUpTo(offset: number): void
  /** A sync of a segment's file has failed. */
  syncFailed(error: unknown): void
}

/** Ends the active segment of a partition, where another follows and at the close. */
export class SegmentRoller {
  readonly #environment: StorageEnvironment
  readonly #directory: string
  readonly #segments: SegmentList
  readonly #producers: PartitionProducers
  readonly #hooks: RollerHooks

  constructor(
    environment: StorageEnvironment,
    directory: string,
    segments: SegmentList,
    producers: PartitionProducers,
    hooks: RollerHooks,
  ) {
    this.#environment = environment
    this.#directory = directory
    this.#segments = segments
    this.#producers = producers
    this.#hooks = hooks
    for (const segment of segments.all) this.#watch(segment)
  }

  /**
   * While nothing is written. Steps: (1) the active segment is sealed: data and indexes cut to their size and synced; (2) its aborted transactions,
   * (3) the producer snapshot, (4) the new .log, (5) the directory synced. The commit point is 4: killed before it, the old segment is
   * the active one and is simply rolled again; after it, the new one is, empty. Nothing is written to it before 5.
   */
  async roll(baseOffset: number, indexIntervalBytes: number): Promise<void> {
    await this.#end(baseOffset)
    const name = { directory: this.#directory, baseOffset }
    const segment = await Segment.create(this.#environment, name)
    await segment.syncName()
    segment.startIndexing(indexIntervalBytes)
    this.#watch(segment)
    this.#segments.push(segment)
    this.#producers.rolled()
  }

  /** At the close: nothing is written any more. */
  async seal(logEndOffset: number): Promise<void> {
    await this.#end(logEndOffset)
    await syncNames(this.#environment.fileSystem, this.#directory)
  }

  async #end(endOffset: number): Promise<void> {
    await this.#segments.active.seal()
    this.#hooks.syncedUpTo(endOffset)
    await this.#producers.save(this.#producers.take(endOffset), this.#segments.all)
  }

  #watch(segment: Segment): void {
    segment.file.onSyncFailure = (error) => this.#hooks.syncFailed(error)
  }
}
