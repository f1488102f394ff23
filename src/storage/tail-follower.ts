import { Mutex } from '../util/mutex.ts'
import { look } from './directory-look.ts'
import type { StorageEnvironment } from './environment.ts'
import type { FollowedTransactions } from './followed-transactions.ts'
import type { PartitionListing } from './partition-directory.ts'
import {
  haveSameSegments,
  listPartitionIfThere,
  listSteadily,
  segmentNames,
} from './partition-directory.ts'
import { RecoveredProducers } from './recovered-producers.ts'
import { indexStart } from './recovery-start.ts'
import { RecoverySteps } from './recovery-steps.ts'
import type { SegmentName } from './segment.ts'
import { Segment } from './segment.ts'
import { SegmentList } from './segment-list.ts'
import type { BatchVisitor } from './segment-scan.ts'
import { findNextBatch, scanBatches } from './segment-scan.ts'

export interface FollowedPartition {
  readonly environment: StorageEnvironment
  readonly directory: string
  readonly segments: SegmentList
  readonly logEndOffset: number
  /** Counted up to there. */
  readonly transactions: FollowedTransactions
  /** Segments leave the list: what is remembered of their bytes is void. */
  readonly removed: () => void
}

/**
 * Follows a partition that another process writes. It changes nothing. A batch that is not whole, with nothing valid behind it, is not
 * written yet: it is read again the next time.
 *
 * Of what it knows, segments may go, at the beginning, and be replaced by compacted ones (`segment-swap.ts`). What a segment here knows is
 * of one file, the one that it opened first, with the index files that it opened first. As long as it has them open, or in memory, it goes
 * on with them: they are whole, and so is the log that is made of them and of what follows. Where it has to open one again and another
 * file has the name, or none, it is retired, who was at work on it looks here (`SteadyReads`), and it is opened anew. So is a segment
 * behind which others are missing: it has their records now.
 *
 * A file that was opened for the first time may be newer than the list, and hold what is the next segments' there. It gives what they do not:
 * batches up to their base offset (`Segment.offsetLimit`). Its indexes may be those of the file before it, in steps 5 and 6 of a swap.
 * Indexes are hints, so that they are found to be wrong, and are built again in memory.
 */
export class TailFollower {
  readonly #environment: StorageEnvironment
  readonly #directory: string
  readonly #segments: SegmentList
  readonly #transactions: FollowedTransactions
  readonly #removed: () => void
  readonly #polls = new Mutex()
  /** What the list of segments was made of; undefined: made at the open. */
  #seen: PartitionListing | undefined
  #logEndOffset: number
  #isClosed = false

  constructor(followed: FollowedPartition) {
    this.#environment = followed.environment
    this.#directory = followed.directory
    this.#segments = followed.segments
    this.#logEndOffset = followed.logEndOffset
    this.#transactions = followed.transactions
    this.#removed = followed.removed
  }

  get logEndOffset(): number {
    return this.#logEndOffset
  }

  /** Answers whether the log has grown. One at a time: two that found the same new segment would both add it. */
  poll(): Promise<boolean> {
    return this.#polls.run(async () => {
      if (this.#isClosed) return false
      const before = this.#logEndOffset
      await look(() => this.#look())
      return this.#logEndOffset > before
    })
  }

  /** Waits for a look under way; there is none after it. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#polls.idle()
  }

  async #look(): Promise<void> {
    const { fileSystem } = this.#environment
    let listing = await listPartitionIfThere(fileSystem, this.#directory)
    if (!this.#isAsSeen(listing)) {
      listing = await listSteadily(fileSystem, this.#directory)
      const names = await segmentNames(fileSystem, this.#directory, listing)
      if (names.length > 0) await this.#become(names, listing)
      this.#seen = listing
    }
    // The directory is still to be made, or was deleted.
    if (listing.logs.length === 0) return
    await this.#follow(this.#segments.active)
    for (const { file } of this.#segments.all) file.closeIfUnused()
  }

  #isAsSeen(listing: PartitionListing): boolean {
    if (this.#seen === undefined || !haveSameSegments(listing, this.#seen)) return false
    return this.#segments.all.every((segment) => !segment.isRetired)
  }

  async #become(names: readonly SegmentName[], listing: PartitionListing): Promise<void> {
    const { all, active } = this.#segments
    const known = new Map(all.map((segment) => [segment.baseOffset, segment]))
    const grown = baseOffsetsBeforeGaps(names, all)
    const next = names.map((name) => {
      const segment = known.get(name.baseOffset)
      const isSame = segment !== undefined && segment.suffix === (name.suffix ?? '')
      const isKept = isSame && !segment.isRetired && !grown.has(name.baseOffset)
      return isKept ? segment : this.#opened(name, listing)
    })
    const isKept = new Set(next)
    const gone = all.filter((segment) => !isKept.has(segment))
    if (gone.length === 0 && next.length === all.length) return
    const last = next.at(-1) as Segment
    const hasMoved = last !== active
    const added = hasMoved ? await this.#producersOf(next, listing) : undefined
    // It is complete: nothing is appended to it any more.
    if (isKept.has(active) && hasMoved) await this.#follow(active)
    const end = hasMoved ? await followFromIndex(last) : last.baseOffset
    await added?.replay(new SegmentList(next), end, 'disk')
    const aborted = (await added?.aborted(new SegmentList(next))) ?? []
    // Who reads one of them meanwhile waits for this look, and finds the list changed.
    for (const segment of gone) await segment.retire()
    this.#removed()
    this.#segments.become(next)
    if (added !== undefined) this.#transactions.become(added, aborted, end)
    this.#logEndOffset = Math.max(this.#logEndOffset, end)
  }

  /**
   * Of what is in the segments that were added, far more is known from the writer's own snapshots and `.txnindex` files than from the batches that are
   * left there: what was deleted or compacted meanwhile had markers, too.
   */
  async #producersOf(
    segments: readonly Segment[],
    listing: PartitionListing,
  ): Promise<RecoveredProducers> {
    const steps = new RecoverySteps('', 0)
    const producers = new RecoveredProducers(this.#environment, this.#directory, steps)
    await producers.load(listing, new SegmentList(segments), Number.MAX_SAFE_INTEGER)
    return producers
  }

  #opened(name: SegmentName, { lost }: PartitionListing): Segment {
    const segment = Segment.existing(this.#environment, name)
    segment.indexIntervalBytes = this.#segments.first.indexIntervalBytes
    for (const { baseOffset, position } of lost) {
      if (baseOffset === name.baseOffset) segment.lostRegions.add(position)
    }
    return segment
  }

  /** By the file that is open: its name may be a smaller one's. */
  async #follow(segment: Segment): Promise<void> {
    const { file } = segment
    while (!file.isReady()) await file.ready()
    const count: BatchVisitor = (buffer, at) => this.#transactions.count(buffer, at)
    this.#logEndOffset = await followSegment(segment, file.sizeSync(), this.#logEndOffset, count)
  }
}

/** Of those that precede known ones which are not there any more. */
function baseOffsetsBeforeGaps(
  names: readonly SegmentName[],
  known: readonly Segment[],
): ReadonlySet<number> {
  const present = new Set(names.map(({ baseOffset }) => baseOffset))
  const found = new Set<number>()
  for (const { baseOffset } of known) {
    if (present.has(baseOffset)) continue
    const before = names.findLast((name) => name.baseOffset < baseOffset)
    if (before !== undefined) found.add(before.baseOffset)
  }
  return found
}

/** Takes the last segment of a log up to its last good batch, from where its index leads; answers with the offset behind that. */
export async function followFromIndex(segment: Segment): Promise<number> {
  const to = await segment.measure()
  segment.sizeBytes = (await indexStart(segment, Number.MAX_SAFE_INTEGER)).position
  return await followSegment(segment, to, segment.baseOffset, () => {})
}

/**
 * Goes on from the size that is known of a segment, up to the last good batch before `to`; answers with the offset behind it.
 * @param nextOffset no batch to come has a lower base offset.
 */
async function followSegment(
  segment: Segment,
  to: number,
  nextOffset: number,
  visit: BatchVisitor,
): Promise<number> {
  let end = nextOffset
  for (let from = segment.sizeBytes; from < to; ) {
    const { offsetLimit } = segment
    const range = { from, to, nextOffset: end, crcFrom: 0, offsetLimit }
    const scanned = await scanBatches(segment.file, range, visit)
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
