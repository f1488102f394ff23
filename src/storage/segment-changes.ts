import path from 'node:path'
import { LogError } from '../errors.ts'
import type { FileSystem } from '../types.ts'
import { Mutex } from '../util/mutex.ts'
import type { StorageEnvironment } from './environment.ts'
import { DELETED_SUFFIX, regionFileName, SWAP_SUFFIX } from './file-names.ts'
import type { SegmentSuffix } from './segment.ts'
import { Segment } from './segment.ts'
import { SegmentGoneError } from './segment-gone.ts'
import type { SegmentList } from './segment-list.ts'
import {
  commitSwap,
  completeSwap,
  dropUncommitted,
  SIDE_KINDS,
  undoCommit,
} from './segment-swap.ts'
import { SyncError } from './sync-error.ts'

export interface SegmentChangeHooks {
  /** These are retired: what is remembered of their bytes is void. */
  removed(segments: ReadonlySet<Segment>): void
  /** The list begins at this offset now. */
  moveLogStart(offset: number): void
  /** Files of segments below the log start are gone, if there were any. */
  deleted(): Promise<void>
  /** A sync of the directory has failed: nobody can say which names are on the disk. */
  inDoubt(error: unknown): void
}

/** What takes segments out of a partition's list, one change at a time. Appends and rolls go on meanwhile: they are at the other end. */
export class SegmentChanges {
  readonly #environment: StorageEnvironment
  readonly #directory: string
  readonly #segments: SegmentList
  readonly #hooks: SegmentChangeHooks
  readonly #changes = new Mutex()
  readonly #closing = new AbortController()
  readonly #work = new Set<Promise<unknown>>()
  /** The base offset of a segment that is in its place, and of whose swap something is still to be done. */
  #unfinished: number | undefined

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
   * suffix of the log. Answers with their number. Rejects with `CLOSED` once the partition is closed: the names may be another's by then.
   */
  deleteBelow(offset: number): Promise<number> {
    return this.#changes.run(async () => {
      this.#refuseClosed()
      await this.#settle()
      const gone = this.#segments.all.filter((segment) => {
        const next = this.#segments.after(segment)
        return next !== undefined && next.baseOffset <= offset
      })
      if (gone.length === 0) {
        // The start may have moved within a segment.
        await this.#hooks.deleted()
        return 0
      }
      const { fileSystem } = this.#environment
      // In one turn: a reader that finds the list as it is from now on must not be led to one of them by what is remembered.
      this.#segments.remove(new Set(gone))
      // None is opened again by a reader that was under way: its bytes would stay on the disk.
      const retired = gone.map((segment) => segment.retire())
      this.#hooks.removed(new Set(gone))
      this.#hooks.moveLogStart(this.#segments.first.baseOffset)
      await Promise.all(retired)
      for (const segment of gone) {
        const files = await markDeleted(segment, fileSystem, this.#directory)
        await fileSystem.syncDirectory(this.#directory)
        for (const file of files) await fileSystem.unlink(file)
      }
      await this.#hooks.deleted()
      return gone.length
    })
  }

  /** An empty segment for the output of a compaction, which is not part of the list; `replace` or `discard` follows. */
  createCleaned(baseOffset: number): Promise<Segment> {
    return this.#changes.run(async () => {
      this.#refuseClosed()
      await this.#settle()
      await dropUncommitted(this.#environment.fileSystem, this.#directory)
      const name = { directory: this.#directory, baseOffset, suffix: '.cleaned' } as const
      return await Segment.create(this.#environment, name)
    })
  }

  /** Gives the disk back what was written of a compaction's output; where that fails the next one, or the next open, does it. */
  discard(cleaned: Segment): Promise<void> {
    return this.#changes.run(async () => {
      await cleaned.retire()
      await dropUncommitted(this.#environment.fileSystem, this.#directory).catch(ignore)
    })
  }

  /**
   * Puts the output of a compaction, written and synced, in the place of the segments that it was made of: see `segment-swap.ts`. Where it
   * rejects they are still there, or the output stands in their place all the same, and what is left to do is done by the next change. Rejects
   * with a `SegmentGoneError`, and nothing has changed, where one of them was deleted meanwhile.
   */
  replace(cleaned: Segment, replaced: readonly Segment[]): Promise<void> {
    return this.#changes.run(async () => {
      await cleaned.retire()
      this.#refuseClosed()
      const there = new Set(this.#segments.all)
      const missing = replaced.find((segment) => !there.has(segment))
      if (missing !== undefined) throw new SegmentGoneError(missing.file.path)
      await this.#commit(cleaned.baseOffset)
      await this.#putInPlace(cleaned.baseOffset, replaced, SWAP_SUFFIX)
    })
  }

  /**
   * Runs work that may take long and ends in changes: a close ends it, by the signal, and waits for it. Rejects as it does, with `CLOSED`
   * where the partition is closed already.
   */
  async run<T>(work: (closing: AbortSignal) => Promise<T>): Promise<T> {
    this.#refuseClosed()
    const running = work(this.#closing.signal)
    this.#work.add(running)
    try {
      return await running
    } finally {
      this.#work.delete(running)
    }
  }

  /** Waits for what is under way; no more segments are replaced or deleted. */
  async close(): Promise<void> {
    this.#closing.abort(this.#closedError())
    await Promise.allSettled(this.#work)
    await this.#changes.idle()
  }

  /** Resolves when no change is under way. */
  idle(): Promise<void> {
    return this.#changes.idle()
  }

  async #commit(baseOffset: number): Promise<void> {
    const { fileSystem } = this.#environment
    try {
      await commitSwap(fileSystem, this.#directory, baseOffset)
    } catch (error) {
      await undoCommit(fileSystem, this.#directory, baseOffset).catch(ignore)
      throw this.#told(error)
    }
  }

  /**
   * From the commit point on: the readers of what is replaced wait, and find the new segment when this has ended, well or badly.
   * @param found what the new .log has behind its name.
   */
  async #putInPlace(
    baseOffset: number,
    replaced: readonly Segment[],
    found: SegmentSuffix,
  ): Promise<void> {
    const last = replaced.at(-1) as Segment
    const next = this.#segments.after(last) ?? this.#segments.active
    this.#unfinished = baseOffset
    for (const segment of replaced) await segment.retire()
    this.#hooks.removed(new Set(replaced))
    let suffix = found
    const isInPlace = (): void => {
      suffix = ''
    }
    try {
      const { fileSystem } = this.#environment
      const lastOffset = next.baseOffset - 1
      await completeSwap(fileSystem, this.#directory, baseOffset, lastOffset, isInPlace)
      this.#unfinished = undefined
    } catch (error) {
      throw this.#told(error)
    } finally {
      const name = { directory: this.#directory, baseOffset, suffix }
      const segment = Segment.existing(this.#environment, name)
      segment.indexIntervalBytes = last.indexIntervalBytes
      this.#segments.replace(replaced, segment)
    }
  }

  /** Does what is left of a replacement that has failed behind its commit point. */
  async #settle(): Promise<void> {
    const segment = this.#segments.all.find(({ baseOffset }) => baseOffset === this.#unfinished)
    if (segment === undefined) return
    await this.#putInPlace(segment.baseOffset, [segment], segment.suffix)
  }

  #told(error: unknown): unknown {
    if (error instanceof SyncError) this.#hooks.inDoubt(error)
    return error
  }

  #refuseClosed(): void {
    if (this.#closing.signal.aborted) throw this.#closedError()
  }

  #closedError(): LogError {
    return new LogError('CLOSED', `${this.#directory}: the log is closed`)
  }
}

/** First step of a deletion: all files get the suffix that start-up finishes. The .log is last, as it is what counts. */
async function markDeleted(
  segment: Segment,
  fileSystem: FileSystem,
  directory: string,
): Promise<string[]> {
  const marked: string[] = []
  for (const kind of SIDE_KINDS) {
    const name = segment.pathOf(kind)
    if ((await fileSystem.stat(name)) === undefined) continue
    await fileSystem.rename(name, `${name}${DELETED_SUFFIX}`)
    marked.push(`${name}${DELETED_SUFFIX}`)
  }
  for (const position of segment.lostRegions) {
    const name = path.join(directory, regionFileName(segment.baseOffset, position, 'lost'))
    if ((await fileSystem.stat(name)) !== undefined) await fileSystem.unlink(name)
  }
  await segment.file.rename(`${segment.pathOf('log')}${DELETED_SUFFIX}`)
  marked.push(segment.file.path)
  return marked
}

function ignore(): undefined {}
