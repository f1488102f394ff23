import { Mutex } from '../util/mutex.ts'
import type { StorageEnvironment } from './environment.ts'
import type { SegmentList } from './segment-list.ts'

export interface SegmentChangeHooks {
  /** Segments have left the list: what is remembered of their bytes is void. */
  removed(): void
  /** The list begins at this offset now. */
  moveLogStart(offset: number): void
  /** Files of segments below the log start are gone, if there were any. */
  deleted(): Promise<void>
}

/** What takes segments out of a partition's list, one change at a time. Appends and rolls go on meanwhile: they are at the other end. */
export class SegmentChanges {
  readonly #environment: StorageEnvironment
  readonly #directory: string
  readonly #segments: SegmentList
  readonly #hooks: SegmentChangeHooks
  readonly #changes = new Mutex()

  constructor(
    environment: StorageEnvironment,
    directory: string,
    segments: SegmentList,
    hooks: SegmentChangeHooks,
  ) {
    this.#environment = environment
    this.#directory = directory
    this.#segments = segments
    this.#hooks = hooks
  }

  /**
   * Deletes the whole segments below an offset, oldest first, never the active one. They leave the list first, then each gets the
   * suffix that start-up finishes, durably, before the next one does, then they go: killed or cut at any point, what is left is a
   * suffix of the log. Answers with their number.
   */
  deleteBelow(offset: number): Promise<number> {
    return this.#changes.run(async () => {
      const gone = this.#segments.all.filter((segment) => {
        const next = this.#segments.after(segment)
        return next !== undefined && next.baseOffset <= offset
      })
      if (gone.length === 0) {
        // The start may have moved within a segment.
        await this.#hooks.deleted()
        return 0
      }
      this.#segments.remove(new Set(gone))
      this.#hooks.removed()
      this.#hooks.moveLogStart(this.#segments.first.baseOffset)
      const { fileSystem } = this.#environment
      try {
        for (const segment of gone) {
          const files = await segment.markDeleted()
          await fileSystem.syncDirectory(this.#directory)
          for (const file of files) await fileSystem.unlink(file)
        }
      } finally {
        // A reader that was under way may have opened it again: its bytes would stay on the disk.
        for (const segment of gone) await segment.close()
      }
      await this.#hooks.deleted()
      return gone.length
    })
  }

  /** Resolves when no change is under way. */
  idle(): Promise<void> {
    return this.#changes.idle()
  }
}
