import { Mutex } from '../util/mutex.ts'
import type { StorageEnvironment } from './environment.ts'
import { listPartitionIfThere } from './partition-directory.ts'
import { Segment } from './segment.ts'
import type { SegmentList } from './segment-list.ts'
import { findNextBatch, scanBatches } from './segment-scan.ts'

export interface FollowedChange {
  readonly grew: boolean
  readonly segmentsGone: boolean
}

/**
 * Follows the end of a partition that another process writes. It changes nothing. A batch that is not whole, with nothing
 * valid behind it, is not written yet: it is read again the next time.
 */
export class TailFollower {
  readonly #environment: StorageEnvironment
  readonly #directory: string
  readonly #segments: SegmentList
  readonly #polls = new Mutex()
  #logEndOffset: number

  constructor(
    environment: StorageEnvironment,
    directory: string,
    segments: SegmentList,
    logEndOffset: number,
  ) {
    this.#environment = environment
    this.#directory = directory
    this.#segments = segments
    this.#logEndOffset = logEndOffset
  }

  get logEndOffset(): number {
    return this.#logEndOffset
  }

  /** One at a time: two that found the same new segment would both add it. */
  poll(): Promise<FollowedChange> {
    return this.#polls.run(() => this.#look())
  }

  async #look(): Promise<FollowedChange> {
    const before = this.#logEndOffset
    const { logs } = await listPartitionIfThere(this.#environment.fileSystem, this.#directory)
    await this.#follow(this.#segments.active)
    for (const baseOffset of logs) {
      if (baseOffset <= this.#segments.active.baseOffset) continue
      // The one before it is complete: nothing is appended to it any more.
      await this.#follow(this.#segments.active)
      const name = { directory: this.#directory, baseOffset }
      const segment = Segment.existing(this.#environment, name)
      segment.sizeBytes = 0
      this.#segments.push(segment)
      this.#logEndOffset = Math.max(this.#logEndOffset, baseOffset)
      await this.#follow(segment)
    }
    const present = new Set(logs)
    const gone = this.#segments.all.filter((each) => !present.has(each.baseOffset))
    if (logs.length === 0) return { grew: false, segmentsGone: false }
    for (const segment of gone) await segment.close()
    this.#segments.remove(new Set(gone))
    return { grew: this.#logEndOffset > before, segmentsGone: gone.length > 0 }
  }

  async #follow(segment: Segment): Promise<void> {
    const stat = await this.#environment.fileSystem.stat(segment.file.path)
    this.#logEndOffset = await followSegment(segment, stat?.size ?? 0, this.#logEndOffset)
  }
}

/**
 * Goes on from the size that is known of a segment, up to the last good batch before `to`; answers with the offset behind it.
 * @param nextOffset no batch to come has a lower base offset.
 */
export async function followSegment(
  segment: Segment,
  to: number,
  nextOffset: number,
): Promise<number> {
  let end = nextOffset
  for (let from = segment.sizeBytes; from < to; ) {
    const { offsetLimit } = segment
    const range = { from, to, nextOffset: end, crcFrom: 0, offsetLimit }
    const scanned = await scanBatches(segment.file, range, () => {})
    end = scanned.nextOffset
    segment.sizeBytes = scanned.position
    if (scanned.fault === undefined) return end
    const faulty = { position: scanned.position, to, nextOffset: end }
    const next = await findNextBatch(segment.file, faulty, offsetLimit)
    if (next === -1) return end
    // Damage, with more behind it: readers are told of it, and those who skip it go on.
    segment.sizeBytes = next
    from = next
  }
  return end
}
