/**
 * Opens a partition's directory as the process before left it. After a clean close only the end of the active segment is looked
 * at; else everything past the recovery point is examined (`segment-recovery.ts`), and the indexes, aborted transactions and
 * producer state of what was examined are built again from the data.
 *
 * A full disk never stops an open. What cannot be written for want of room holds in memory, is told in the report, and is written
 * before the next append (`repairs`).
 */
import path from 'node:path'
import {
  batchSizeAt,
  lastOffsetAt,
  maxTimestampAt,
  readBatchHeader,
  readControlRecord,
} from '../codec/batch.ts'
import type { CutTail, DamagedRegion, PartitionRecovery } from '../types.ts'
import { isDiskFull } from '../util/error-code.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { AbortedIndex } from './aborted-index.ts'
import { parseLeaderEpochs, readFileIfThere, replaceFile } from './checkpoint.ts'
import type { StorageEnvironment } from './environment.ts'
import { LEADER_EPOCH_CHECKPOINT, segmentFileName } from './file-names.ts'
import { rebuildIndexes } from './index-rebuild.ts'
import type { PartitionListing } from './partition-directory.ts'
import { finishHalfDone, listPartition } from './partition-directory.ts'
import { ProducerStates } from './producer-state.ts'
import type { IndexStart } from './recovery-start.ts'
import { indexStart } from './recovery-start.ts'
import { Segment } from './segment.ts'
import { SegmentList } from './segment-list.ts'
import { examineSegment, keepTornTail, markLost, rewrite } from './segment-recovery.ts'
import { scanBatches } from './segment-scan.ts'

export interface OpenPartition {
  readonly environment: StorageEnvironment
  readonly topic: string
  readonly partition: number
  readonly directory: string
  readonly indexIntervalBytes: number
  /** The last owner closed the directory. */
  readonly isClean: boolean
  /** Everything below is known to be on the disk. */
  readonly recoveryPoint: number
  /** As the checkpoint has it; 0: none. */
  readonly logStartOffset: number
}

export interface RecoveredPartition {
  readonly segments: SegmentList
  readonly logStartOffset: number
  readonly logEndOffset: number
  readonly producers: ProducerStates
  /** Undefined where the file is not there yet. */
  readonly leaderEpoch: number | undefined
  /** What a full disk kept from being done; each is tried again before the next append. */
  readonly repairs: Repair[]
  /** A write or sync that failed for another reason: the partition is closed to writes. */
  readonly failure: unknown
  readonly report: MutableReport
}

export interface Repair {
  readonly what: string
  run(): Promise<void>
}

export type MutableReport = {
  -readonly [K in keyof PartitionRecovery]: PartitionRecovery[K] extends readonly (infer T)[]
    ? T[]
    : PartitionRecovery[K]
}

export async function openPartition(request: OpenPartition): Promise<RecoveredPartition> {
  return new Recovery(request).run()
}

class Recovery {
  readonly #request: OpenPartition
  readonly #environment: StorageEnvironment
  readonly #repairs: Repair[] = []
  readonly #producers = new ProducerStates()
  readonly #report: MutableReport
  #failure: unknown
  /** Batches below have been counted into the producer state. */
  #producersOffset = 0
  #aborted: AbortedTransaction[] = []

  constructor(request: OpenPartition) {
    this.#request = request
    this.#environment = request.environment
    const { topic, partition } = request
    this.#report = {
      topic,
      partition,
      scannedBytes: 0,
      cut: [],
      damage: [],
      rebuilt: [],
      finished: [],
      inMemory: [],
    }
  }

  async run(): Promise<RecoveredPartition> {
    const { environment, directory } = this.#request
    if (!environment.readOnly) this.#report.finished.push(...(await this.#finishHalfDone()))
    const listing = await listPartition(environment.fileSystem, directory)
    const segments = await this.#segmentsOf(listing)
    await this.#loadProducers(listing, segments)
    const logEndOffset = (await this.#openClean(segments)) ?? (await this.#recover(segments))
    await this.#rebuildMissingIndexes(listing, segments)
    segments.active.startIndexing(this.#request.indexIntervalBytes)
    const leaderEpoch = await this.#readLeaderEpoch()
    return {
      segments,
      logStartOffset: Math.max(this.#request.logStartOffset, segments.first.baseOffset),
      logEndOffset,
      producers: this.#producers,
      leaderEpoch,
      repairs: this.#repairs,
      failure: this.#failure,
      report: this.#report,
    }
  }

  async #finishHalfDone(): Promise<string[]> {
    const { environment, directory } = this.#request
    let finished: string[] = []
    await this.#attempt('half-done operations', async () => {
      finished = await finishHalfDone(environment.fileSystem, directory)
    })
    return finished
  }

  async #segmentsOf(listing: PartitionListing): Promise<SegmentList> {
    const { environment, directory, logStartOffset } = this.#request
    const segments = listing.logs.map((base) => Segment.existing(environment, directory, base))
    for (const { baseOffset, position } of listing.lost) {
      segments.find((each) => each.baseOffset === baseOffset)?.lostRegions.add(position)
    }
    if (segments.length === 0) segments.push(await this.#firstSegment(logStartOffset))
    return new SegmentList(segments)
  }

  /** An empty partition; where there is no room for its file, the file is made before the first append. */
  async #firstSegment(baseOffset: number): Promise<Segment> {
    const { environment, directory } = this.#request
    const segment = Segment.existing(environment, directory, baseOffset)
    segment.sizeBytes = 0
    if (environment.readOnly) return segment
    await this.#attempt(segmentFileName(baseOffset, 'log'), () => segment.make())
    return segment
  }

  // ------------------------------------------------------------------------------------- clean

  /** The log end offset, from the end of the active segment; undefined where that is not as a clean close leaves it. */
  async #openClean(segments: SegmentList): Promise<number | undefined> {
    if (!this.#request.isClean && !this.#environment.readOnly) return undefined
    const { active } = segments
    const to = await active.measure()
    const from = await this.#lastIndexed(active)
    const nextOffset = active.baseOffset
    const crcFrom = this.#environment.readOnly ? 0 : Number.POSITIVE_INFINITY
    const end = await scanBatches(active.file, { from, to, nextOffset, crcFrom }, ignore)
    if (end.fault !== undefined && !this.#environment.readOnly) return undefined
    // A writer may be at work: what is not whole yet is looked at again.
    if (end.fault !== undefined) active.sizeBytes = end.position
    const logEndOffset = end.nextOffset
    if (this.#producersOffset < logEndOffset) await this.#replayProducers(segments, logEndOffset)
    return logEndOffset
  }

  async #lastIndexed(segment: Segment): Promise<number> {
    const { count } = segment.offsetIndex
    return count === 0 ? 0 : (await indexStart(segment, Number.MAX_SAFE_INTEGER)).position
  }

  /** The producer state as of the newest snapshot goes on with the batches behind it. */
  async #replayProducers(segments: SegmentList, logEndOffset: number): Promise<void> {
    for (const segment of segments.all) {
      const next = segments.after(segment)?.baseOffset ?? logEndOffset
      if (next <= this.#producersOffset) continue
      const from =
        segment.baseOffset < this.#producersOffset ? segment.positionFor(this.#producersOffset) : 0
      const range = {
        from,
        to: await segment.measure(),
        nextOffset: segment.baseOffset,
        crcFrom: Number.POSITIVE_INFINITY,
      }
      await scanBatches(segment.file, range, (buffer, at) => this.#countProducer(buffer, at))
    }
  }

  // --------------------------------------------------------------------------------- recovery

  async #recover(segments: SegmentList): Promise<number> {
    const first = segments.find(Math.min(this.#request.recoveryPoint, this.#producersOffset))
    let nextOffset = first.baseOffset
    for (const segment of segments.all) {
      if (segment.baseOffset < first.baseOffset) continue
      nextOffset = await this.#recoverSegment(
        segment,
        segments,
        Math.max(nextOffset, segment.baseOffset),
      )
    }
    await this.#saveSnapshot(nextOffset)
    return nextOffset
  }

  async #recoverSegment(
    segment: Segment,
    segments: SegmentList,
    nextOffset: number,
  ): Promise<number> {
    const { recoveryPoint, indexIntervalBytes } = this.#request
    const isLast = segment === segments.active
    const size = await segment.measure()
    const start = await this.#startIn(segment)
    segment.resumeIndexes(start.offsetEntries, start.timeEntries)
    if (start.offsetEntries === 0) segment.resetIndexes()
    segment.startIndexing(indexIntervalBytes)
    this.#aborted = []
    let crcFrom = segment.baseOffset >= recoveryPoint ? 0 : size
    if (crcFrom > 0) crcFrom = await positionOf(segment, recoveryPoint, start.position, size)
    const range = {
      from: start.position,
      crcFrom,
      nextOffset: start.position === 0 ? nextOffset : segment.baseOffset,
      nextBaseOffset: segments.after(segment)?.baseOffset,
    }
    const found = await examineSegment(segment, range, (buffer, at, position) => {
      segment.indexed({
        position,
        sizeBytes: batchSizeAt(buffer, at),
        lastOffset: lastOffsetAt(buffer, at),
        maxTimestamp: maxTimestampAt(buffer, at),
      })
      this.#countProducer(buffer, at)
    })
    this.#report.scannedBytes += size - Math.min(crcFrom, size)
    segment.sizeBytes = found.end
    if (found.torn !== undefined) await this.#cut(segment, found.torn, size)
    for (const region of found.damage) await this.#tellDamage(segment, region)
    await this.#makeDurable(segment, crcFrom, found.end)
    await this.#saveIndexes(segment, isLast, start)
    return found.nextOffset
  }

  /** From where a segment is walked: the last index entry that is sane and below all that has to be seen again. */
  async #startIn(segment: Segment): Promise<IndexStart> {
    const upTo = Math.min(this.#request.recoveryPoint, this.#producersOffset)
    if (upTo <= segment.baseOffset) return { position: 0, offsetEntries: 0, timeEntries: 0 }
    return indexStart(segment, upTo)
  }

  async #cut(segment: Segment, position: number, size: number): Promise<void> {
    const file = segment.file.path
    const cut: { -readonly [K in keyof CutTail]: CutTail[K] } = {
      file,
      position,
      bytes: size - position,
      keptAs: undefined,
    }
    this.#report.cut.push(cut)
    await this.#attempt(`the end of ${file}`, async () => {
      cut.keptAs = await keepTornTail(this.#environment, segment, position, size)
      await segment.file.truncate(position)
      await segment.file.sync()
    })
  }

  async #tellDamage(segment: Segment, region: DamagedRegion): Promise<void> {
    this.#report.damage.push(region)
    if (region.kind !== 'lost-write' || segment.lostRegions.has(region.position)) return
    segment.lostRegions.add(region.position)
    await this.#attempt(`the mark of a lost write in ${region.file}`, () =>
      markLost(this.#environment, segment, region.position),
    )
  }

  async #makeDurable(segment: Segment, from: number, to: number): Promise<void> {
    if (from >= to) return
    await this.#attempt(`the end of ${segment.file.path}, to be written again`, async () => {
      await rewrite(segment, from, to)
      await segment.file.sync()
    })
  }

  async #saveIndexes(segment: Segment, isLast: boolean, start: IndexStart): Promise<void> {
    if (start.offsetEntries === 0 && segment.sizeBytes > 0) {
      this.#report.rebuilt.push(segment.pathOf('index'), segment.pathOf('timeindex'))
    }
    if (start.position === 0) {
      const index = new AbortedIndex(this.#environment.fileSystem, segment.pathOf('txnindex'))
      const aborted = this.#aborted
      await this.#attempt(index.path, () => index.replace(aborted))
    }
    await this.#attempt(segment.pathOf('index'), async () => {
      if (isLast) await segment.saveIndexes()
      else await segment.seal()
    })
  }

  /** Indexes that are not there at all, of segments that needed no recovery. */
  async #rebuildMissingIndexes(listing: PartitionListing, segments: SegmentList): Promise<void> {
    for (const segment of segments.all) {
      if (
        segment.wereIndexesRebuilt ||
        !listing.files.has(segmentFileName(segment.baseOffset, 'log'))
      )
        continue
      const missing = (['index', 'timeindex'] as const).filter(
        (kind) => !listing.files.has(segmentFileName(segment.baseOffset, kind)),
      )
      if (missing.length === 0 || (await segment.measure()) === 0) continue
      if (this.#report.rebuilt.includes(segment.pathOf('index'))) continue
      await rebuildIndexes(segment)
      this.#report.rebuilt.push(...missing.map((kind) => segment.pathOf(kind)))
      if (this.#environment.readOnly) continue
      if (!(await segment.saveIndexes())) this.#report.inMemory.push(segment.pathOf('index'))
    }
  }

  // --------------------------------------------------------------------------------- producers

  /** Loads the newest snapshot that the data can go on from; a damaged one gives way to the one before it. */
  async #loadProducers(listing: PartitionListing, segments: SegmentList): Promise<void> {
    const { environment, directory, isClean, recoveryPoint } = this.#request
    const limit = isClean || environment.readOnly ? Number.MAX_SAFE_INTEGER : recoveryPoint
    this.#producersOffset = segments.first.baseOffset
    for (const offset of listing.snapshots.toReversed()) {
      if (offset > limit || offset < segments.first.baseOffset) continue
      const file = path.join(directory, segmentFileName(offset, 'snapshot'))
      try {
        const bytes = await readFileIfThere(environment.fileSystem, file)
        if (bytes === undefined) continue
        this.#producers.load(bytes, environment.clock.now(), undefined, file)
        this.#producersOffset = offset
        return
      } catch {
        this.#report.rebuilt.push(file)
      }
    }
  }

  #countProducer(buffer: Buffer, at: number): void {
    const header = readBatchHeader(buffer, at)
    if (header.producerId < 0 || header.baseOffset < this.#producersOffset) return
    const marker = header.isControl ? readControlRecord(buffer, at) : undefined
    const aborted = this.#producers.update(header, marker)
    if (aborted !== undefined) this.#aborted.push(aborted)
    this.#producersOffset = header.lastOffset + 1
  }

  async #saveSnapshot(offset: number): Promise<void> {
    const { environment, directory } = this.#request
    const file = path.join(directory, segmentFileName(offset, 'snapshot'))
    const bytes = this.#producers.snapshot()
    await this.#attempt(file, () => replaceFile(environment.fileSystem, file, bytes))
  }

  async #readLeaderEpoch(): Promise<number | undefined> {
    const { environment, directory } = this.#request
    const file = path.join(directory, LEADER_EPOCH_CHECKPOINT)
    const bytes = await readFileIfThere(environment.fileSystem, file)
    if (bytes === undefined) return undefined
    try {
      return parseLeaderEpochs(bytes, file).at(-1)?.epoch
    } catch {
      this.#report.rebuilt.push(file)
      return undefined
    }
  }

  // ----------------------------------------------------------------------------------- failures

  /** Runs a step that writes; for want of room it becomes a repair, any other failure closes the partition to writes. */
  async #attempt(what: string, step: () => Promise<void>): Promise<void> {
    try {
      await step()
    } catch (error) {
      this.#report.inMemory.push(what)
      if (isDiskFull(error)) this.#repairs.push({ what, run: step })
      else this.#failure ??= error
    }
  }
}

/** Where the first batch at or behind an offset starts, walking from `from`. */
async function positionOf(
  segment: Segment,
  offset: number,
  from: number,
  to: number,
): Promise<number> {
  let found = to
  const range = { from, to, nextOffset: segment.baseOffset, crcFrom: Number.POSITIVE_INFINITY }
  const end = await scanBatches(segment.file, range, (buffer, at, position) => {
    if (found === to && lastOffsetAt(buffer, at) >= offset) found = position
  })
  return Math.min(found, end.position)
}

function ignore(): void {}
