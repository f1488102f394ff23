/**
 * Opens a partition's directory as the process before left it. After a clean close only the end of the active segment is looked
 * at; else everything past the recovery point is examined (`segment-recovery.ts`), and the indexes, aborted transactions and
 * producer state of what was examined are built again from the data.
 *
 * A full disk never stops an open. What cannot be written for want of room holds in memory, is told in the report, and is written
 * before the next append (`repairs`).
 */
import path from 'node:path'
import { lastOffsetAt } from '../codec/batch.ts'
import type { CutTail, DamagedRegion } from '../types.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { look } from './directory-look.ts'
import type { StorageEnvironment } from './environment.ts'
import { regionFileName } from './file-names.ts'
import { indexedBatchAt } from './index-builder.ts'
import { rebuildIndexes } from './index-rebuild.ts'
import type { OffsetsAtOpen } from './log-offsets.ts'
import type { PartitionListing } from './partition-directory.ts'
import { finishHalfDone, listPartition, listSteadily, segmentNames } from './partition-directory.ts'
import type { PartitionEpochs } from './partition-epochs.ts'
import type { ProducerStates } from './producer-state.ts'
import { RecoveredEpochs } from './recovered-epochs.ts'
import { RecoveredProducers } from './recovered-producers.ts'
import { indexStart } from './recovery-start.ts'
import type { MutableReport, Repair } from './recovery-steps.ts'
import { RecoverySteps } from './recovery-steps.ts'
import type { SegmentName } from './segment.ts'
import { Segment } from './segment.ts'
import { SegmentList } from './segment-list.ts'
import { examineSegment, keepTornTail, markLost, rewrite } from './segment-recovery.ts'
import type { BatchVisitor } from './segment-scan.ts'
import { scanBatches, scanPassingLost } from './segment-scan.ts'
import { syncNames } from './sync-error.ts'
import { followFromIndex } from './tail-follower.ts'
import { walkFromLastTime } from './time-lookup.ts'

export type { MutableReport, Repair } from './recovery-steps.ts'

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

export interface RecoveredPartition extends OffsetsAtOpen {
  readonly segments: SegmentList
  readonly logStartOffset: number
  readonly producers: ProducerStates
  /** All batches of producers below are in `producers`. */
  readonly producersOffset: number
  /** Aborted transactions that end at or above the log start, in the order of the log. */
  readonly aborted: readonly AbortedTransaction[]
  readonly epochs: PartitionEpochs
  /** What a full disk kept from being done; each is tried again before the next append. */
  readonly repairs: Repair[]
  /** A write or sync that failed for another reason: the partition is closed to writes. */
  readonly failure: unknown
  readonly report: MutableReport
}

export function openPartition(request: OpenPartition): Promise<RecoveredPartition> {
  const open = (): Promise<RecoveredPartition> => new Recovery(request).run()
  return request.environment.readOnly ? look(open) : open()
}

class Recovery {
  readonly #request: OpenPartition
  readonly #environment: StorageEnvironment
  readonly #steps: RecoverySteps
  readonly #report: MutableReport
  readonly #producers: RecoveredProducers
  readonly #epochs: RecoveredEpochs
  /** What is kept past the recovery point could be made durable. */
  #isDurable = true

  constructor(request: OpenPartition) {
    const { environment, topic, partition, directory } = request
    this.#request = request
    this.#environment = environment
    this.#steps = new RecoverySteps(topic, partition)
    this.#report = this.#steps.report
    this.#producers = new RecoveredProducers(environment, directory, this.#steps)
    this.#epochs = new RecoveredEpochs(environment, directory, this.#steps)
  }

  async run(): Promise<RecoveredPartition> {
    const listing = await this.#list()
    const segments = await this.#segmentsOf(listing)
    try {
      return await this.#open(listing, segments)
    } catch (error) {
      for (const segment of segments.all) await segment.close()
      throw error
    }
  }

  async #open(listing: PartitionListing, segments: SegmentList): Promise<RecoveredPartition> {
    const { environment, isClean, recoveryPoint, indexIntervalBytes } = this.#request
    await this.#epochs.load()
    const isTrusted = isClean || environment.readOnly
    await this.#producers.load(
      listing,
      segments,
      isTrusted ? Number.MAX_SAFE_INTEGER : recoveryPoint,
    )
    const openedAt = isTrusted ? await this.#openTrusted(segments) : undefined
    const end = openedAt ?? (await this.#recover(listing, segments))
    await this.#rebuildMissingIndexes(listing, segments)
    const aborted = await this.#producers.aborted(segments)
    const logStartOffset = Math.max(this.#request.logStartOffset, segments.first.baseOffset)
    segments.active.startIndexing(indexIntervalBytes)
    // The end may have been lost with what was deleted: offsets below the log start are not given again.
    const logEndOffset = Math.max(end, logStartOffset)
    const mayHaveLost = openedAt === undefined || !isClean
    const range = { segments, logStartOffset, logEndOffset, mayHaveLost }
    return {
      segments,
      logStartOffset,
      logEndOffset,
      syncedOffset: this.#isDurable ? logEndOffset : Math.min(end, recoveryPoint),
      producers: this.#producers.states,
      producersOffset: this.#producers.offset,
      aborted: aborted.filter(({ lastOffset }) => lastOffset >= logStartOffset),
      epochs: await this.#epochs.finish(range),
      repairs: this.#steps.repairs,
      failure: this.#steps.failure,
      report: this.#report,
    }
  }

  async #list(): Promise<PartitionListing> {
    const { environment, directory } = this.#request
    const { fileSystem } = environment
    if (environment.readOnly) return await listSteadily(fileSystem, directory)
    const listing = await listPartition(fileSystem, directory)
    if (!listing.isHalfDone) return listing
    await this.#finishHalfDone()
    return await listPartition(fileSystem, directory)
  }

  async #finishHalfDone(): Promise<void> {
    const { environment, directory } = this.#request
    await this.#steps.attempt('half-done operations', async () => {
      this.#report.finished.push(...(await finishHalfDone(environment.fileSystem, directory)))
    })
    // Not to be done under open segments; the next open finishes them.
    this.#steps.repairs.length = 0
  }

  async #segmentsOf(listing: PartitionListing): Promise<SegmentList> {
    const { environment, directory } = this.#request
    const names = await segmentNames(environment.fileSystem, directory, listing)
    const segments = names.map((name) => this.#segment(name))
    for (const { baseOffset, position } of listing.lost) {
      segments.find((each) => each.baseOffset === baseOffset)?.lostRegions.add(position)
    }
    if (segments.length === 0) segments.push(await this.#newSegment(this.#request.logStartOffset))
    return new SegmentList(segments)
  }

  #segment(name: SegmentName): Segment {
    const segment = Segment.existing(this.#environment, name)
    segment.indexIntervalBytes = this.#request.indexIntervalBytes
    return segment
  }

  /** An empty segment; where there is no room for its file, the file is made before the first append. */
  async #newSegment(baseOffset: number): Promise<Segment> {
    const segment = this.#segment({ directory: this.#request.directory, baseOffset })
    segment.sizeBytes = 0
    if (this.#environment.readOnly) return segment
    await this.#steps.attempt(segment.file.path, () => segment.make())
    return segment
  }

  // ----------------------------------------------------------------------------------- trusted

  /**
   * Behind the clean marker, and beside a live writer: the log end offset, from the end of the active segment alone. Undefined
   * where a clean close does not leave it so.
   */
  async #openTrusted(segments: SegmentList): Promise<number | undefined> {
    const { active } = segments
    if (this.#environment.readOnly) {
      const logEndOffset = await followFromIndex(active)
      await this.#producers.replay(segments, logEndOffset, 'disk')
      return logEndOffset
    }
    const to = await active.measure()
    const seen: BatchVisitor = (buffer, at) => this.#epochs.seen(buffer, at)
    let end = await walkFromLastTime(active, to, seen)
    const areIndexesWhole = end !== undefined
    if (end === undefined) {
      this.#epochs.begin()
      const { position: from } = await indexStart(active, Number.MAX_SAFE_INTEGER)
      const range = {
        from,
        to,
        nextOffset: active.baseOffset,
        crcFrom: Number.POSITIVE_INFINITY,
        offsetLimit: active.offsetLimit,
      }
      end = await scanPassingLost(active.file, range, active.lostRegions, seen)
    }
    if (end.fault !== undefined) return undefined
    if (to > 0 && !areIndexesWhole) await this.#rebuildIndexes(active)
    await this.#producers.replay(segments, end.nextOffset, 'disk')
    return end.nextOffset
  }

  // --------------------------------------------------------------------------------- recovery

  async #recover(listing: PartitionListing, segments: SegmentList): Promise<number> {
    const { environment, directory, recoveryPoint } = this.#request
    const first = segments.find(Math.min(recoveryPoint, this.#producers.offset))
    let nextOffset = first.baseOffset
    this.#epochs.begin()
    for (const segment of segments.all) {
      if (segment.baseOffset < first.baseOffset) continue
      if (segment !== first) await this.#producers.saveSnapshot(segment.baseOffset)
      const from = Math.max(nextOffset, segment.baseOffset)
      nextOffset = await this.#recoverSegment(segment, segments, from)
    }
    if (this.#producers.offset > nextOffset) {
      // The snapshot was of more than is there.
      await this.#producers.load(listing, segments, nextOffset)
      await this.#producers.replay(segments, nextOffset, 'anywhere')
    }
    await this.#producers.saveSnapshot(nextOffset)
    await this.#producers.dropSnapshots(segments, nextOffset)
    // The process before may have been killed between making a file and syncing its name.
    const names = `the names in ${directory}`
    await this.#durably(names, () => syncNames(environment.fileSystem, directory))
    return nextOffset
  }

  async #recoverSegment(
    segment: Segment,
    segments: SegmentList,
    nextOffset: number,
  ): Promise<number> {
    const { recoveryPoint, indexIntervalBytes } = this.#request
    const size = await segment.measure()
    // The last index entry that is sane and below all that has to be seen again.
    const start = await indexStart(segment, Math.min(recoveryPoint, this.#producers.offset))
    segment.resumeIndexes(start.offsetEntries, start.timeEntries)
    if (start.position === 0) this.#rebuildsIndexes(segment, size)
    segment.startIndexing(indexIntervalBytes)
    this.#producers.begin()
    const range = {
      from: start.position,
      crcFrom: await crcStart(segment, recoveryPoint, start.position, size),
      recoveryPoint,
      nextOffset: start.position === 0 ? nextOffset : segment.baseOffset,
      nextBaseOffset: segments.after(segment)?.baseOffset,
      endsNothing: (buffer: Buffer, at: number) => this.#producers.endsNothing(buffer, at),
    }
    const found = await examineSegment(segment, range, (buffer, at, position) => {
      segment.indexed(indexedBatchAt(buffer, at, position))
      this.#epochs.seen(buffer, at)
      this.#producers.count(buffer, at)
    })
    this.#report.scannedBytes += size - range.crcFrom
    segment.sizeBytes = found.end
    if (found.torn !== undefined) await this.#cut(segment, found.torn, size)
    for (const region of found.damage) await this.#tellDamage(segment, region)
    await this.#rewrite(segment, range.crcFrom, found.end)
    await this.#producers.end(segment, 'anywhere')
    // A time entry that was not kept is not of a batch that was read.
    if (segment.maxTimestamp < start.greatestTimestamp) await rebuildIndexes(segment)
    const isActive = range.nextBaseOffset === undefined
    await this.#steps.attempt(segment.pathOf('index'), () =>
      isActive ? segment.settle() : segment.seal(),
    )
    return found.nextOffset
  }

  #rebuildsIndexes(segment: Segment, size: number): void {
    segment.resetIndexes()
    segment.wereIndexesRebuilt = true
    if (size > 0) this.#report.rebuilt.push(segment.pathOf('index'), segment.pathOf('timeindex'))
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
    await this.#steps.attempt(`the end of ${file}`, async () => {
      cut.keptAs ??= await keepTornTail(this.#environment, segment, position, size)
      await segment.file.truncate(position)
      await segment.file.sync()
      await this.#unmarkLost(segment, position)
    })
  }

  /** What is written there again is not lost. */
  async #unmarkLost(segment: Segment, from: number): Promise<void> {
    const { environment, directory } = this.#request
    for (const position of segment.lostRegions) {
      if (position < from) continue
      segment.lostRegions.delete(position)
      const name = regionFileName(segment.baseOffset, position, 'lost')
      await environment.fileSystem.unlink(path.join(directory, name))
    }
  }

  async #tellDamage(segment: Segment, region: DamagedRegion): Promise<void> {
    this.#report.damage.push(region)
    if (region.kind !== 'lost-write') return
    segment.lostRegions.add(region.position)
    await this.#steps.attempt(`the mark of a lost write in ${region.file}`, () =>
      markLost(this.#environment, segment, region.position),
    )
  }

  async #rewrite(segment: Segment, from: number, to: number): Promise<void> {
    if (from >= to) return
    await this.#durably(`the end of ${segment.file.path}, to be written again`, async () => {
      await rewrite(segment, from, to)
      await segment.file.sync()
    })
  }

  async #durably(what: string, step: () => Promise<void>): Promise<void> {
    if (!(await this.#steps.attempt(what, step))) this.#isDurable = false
  }

  // ----------------------------------------------------------------------------------- indexes

  /** Indexes that are not there at all, of segments that needed no recovery. */
  async #rebuildMissingIndexes(listing: PartitionListing, segments: SegmentList): Promise<void> {
    const { index, timeindex } = listing.indexes
    for (const segment of segments.all) {
      const { baseOffset, suffix, wereIndexesRebuilt } = segment
      if (wereIndexesRebuilt || suffix !== '') continue
      if (index.has(baseOffset) && timeindex.has(baseOffset)) continue
      if ((await segment.measure()) > 0) await this.#rebuildIndexes(segment)
    }
  }

  async #rebuildIndexes(segment: Segment): Promise<void> {
    await rebuildIndexes(segment)
    this.#report.rebuilt.push(segment.pathOf('index'), segment.pathOf('timeindex'))
    if (this.#environment.readOnly) return
    await this.#steps.attempt(segment.pathOf('index'), () => segment.saveIndexes())
  }
}

/** From where on a segment is checked: the batch of the recovery point, or the first that cannot even be walked over. */
async function crcStart(
  segment: Segment,
  recoveryPoint: number,
  from: number,
  to: number,
): Promise<number> {
  if (segment.baseOffset >= recoveryPoint) return 0
  let found = to
  const range = {
    from,
    to,
    nextOffset: segment.baseOffset,
    crcFrom: Number.POSITIVE_INFINITY,
    offsetLimit: segment.offsetLimit,
  }
  const end = await scanBatches(segment.file, range, (buffer, at, position) => {
    if (found === to && lastOffsetAt(buffer, at) >= recoveryPoint) found = position
  })
  return Math.min(found, end.position)
}
