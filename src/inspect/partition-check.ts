/**
 * The segments of a partition with all that speaks of them. Side files are read before the data, so that beside a live writer they never
 * seem to say more than there is.
 */
import path from 'node:path'
import { CorruptLogError } from '../errors.ts'
import type { AbortedTransaction } from '../storage/aborted-index.ts'
import { decodeAbortedTransactions } from '../storage/aborted-index.ts'
import { readFileIfThere } from '../storage/checkpoint.ts'
import { DataFile } from '../storage/file-cache.ts'
import { segmentFileName } from '../storage/file-names.ts'
import { decodeSnapshot } from '../storage/producer-snapshot.ts'
import { errorCode } from '../util/error-code.ts'
import type { Finding, FindingDetails, FindingKind } from './finding.ts'
import { Findings, reasonOf } from './finding.ts'
import type { FaultyRegion } from './log-walk.ts'
import { walkLog } from './log-walk.ts'
import type { PartitionFiles, SegmentFiles } from './partition-files.ts'
import { partitionFilesOf } from './partition-files.ts'
import type { Snapshot } from './producer-check.ts'
import { ProducerCheck } from './producer-check.ts'
import { isOldFormat, regionKind, regionMessage } from './region-finding.ts'
import { SegmentCheck } from './segment-check.ts'
import { SegmentIndexes } from './segment-indexes.ts'
import type { PartitionEnd, VerifiedPartition, VerifyContext } from './verify-context.ts'
import { partitionFile } from './verify-context.ts'

/** So often a segment is looked at beside a live writer, before it counts as damaged. */
const LOOKS = 3
/** And so often at one whose names change from look to look, before it counts as one that cannot be looked at. */
const MOST_LOOKS = 10
/** Bytes of an entry of `.txnindex`. */
const ABORTED_ENTRY_BYTES = 34

/** A segment, and the one behind it: what it has its offsets up to. */
interface SegmentNames {
  readonly segment: SegmentFiles
  readonly next: SegmentFiles | undefined
}

interface Look {
  readonly made: readonly Finding[]
  readonly outcome: 'sound' | 'damaged' | 'gone'
}

/** @returns where the log begins and ends, for the checkpoints. */
export async function checkPartition(
  context: VerifyContext,
  partition: VerifiedPartition,
  files: PartitionFiles,
): Promise<PartitionEnd> {
  return await new PartitionCheck(context, partition, files).run()
}

class PartitionCheck {
  readonly #context: VerifyContext
  readonly #partition: VerifiedPartition
  readonly #files: PartitionFiles
  readonly #firstOffset: number
  /** Those of a look that may have to be made again stand aside. */
  #findings: Findings
  #endOffset: number
  #isDamaged = false
  #isWhole = true

  constructor(context: VerifyContext, partition: VerifiedPartition, files: PartitionFiles) {
    this.#context = context
    this.#partition = partition
    this.#files = files
    this.#findings = context.findings
    this.#firstOffset = files.segments[0]?.baseOffset ?? 0
    this.#endOffset = this.#firstOffset
  }

  async run(): Promise<PartitionEnd> {
    const { segments } = this.#files
    let due = await this.#snapshots(this.#firstOffset, segments[1]?.baseOffset)
    const before = due.find(({ offset }) => offset === this.#firstOffset)
    const producers = new ProducerCheck(this.#firstOffset, before, ({ name }, message) =>
      this.#tell('snapshot-contradicts', name, message),
    )
    let isBehindSwap = false
    for (const [index, segment] of segments.entries()) {
      if (index > 0) {
        due = await this.#snapshots(segment.baseOffset, segments[index + 1]?.baseOffset)
      }
      producers.due(due)
      // What a complete compaction output covers goes with the next open.
      if (isBehindSwap && !segment.isSwap && segment.baseOffset < this.#endOffset) continue
      isBehindSwap = segment.isSwap
      if (segment.baseOffset > this.#endOffset) producers.gap()
      await this.#segment(producers, segment, segments[index + 1])
    }
    this.#snapshotsBeyond(producers)
    const { findings, looked } = this.#context
    findings.settle()
    looked.partitions += 1
    const [firstOffset, endOffset] = [this.#firstOffset, this.#endOffset]
    return { firstOffset, endOffset, isWhole: this.#isWhole, open: producers.open() }
  }

  // ----------------------------------------------------------------------------------- segments

  /**
   * Beside a live writer a segment that seems damaged is looked at again, by the names that it has then: compaction may have changed it
   * meanwhile. What its batches say of producers is not held against snapshots any more then.
   */
  async #segment(
    producers: ProducerCheck,
    segment: SegmentFiles,
    next: SegmentFiles | undefined,
  ): Promise<void> {
    const { findings, looked, state } = this.#context
    if (state !== 'live') {
      await this.#lookAt(producers, segment, next)
      findings.settle()
      return
    }
    let names: SegmentNames = { segment, next }
    for (let looks = 1; ; looks += 1) {
      const before = { ...looked }
      const { made, outcome } = await this.#lookAside(producers, names)
      const judged = outcome === 'sound' ? 'believed' : await this.#judge(outcome, names, looks)
      if (judged === 'believed' || judged === 'gone') {
        if (judged === 'gone') this.#gone(producers, segment)
        else for (const finding of made) findings.take(finding)
        findings.settle()
        return
      }
      producers.damage()
      Object.assign(looked, before)
      names = judged
    }
  }

  /** Whether what seems wrong with a segment is, or by which names it is to be looked at again. */
  async #judge(
    outcome: Look['outcome'],
    names: SegmentNames,
    looks: number,
  ): Promise<'believed' | 'gone' | SegmentNames> {
    const now = await this.#namesNow(names.segment.baseOffset)
    if (now === undefined) return 'gone'
    const isUnchanged = haveSameNames(now, names)
    if (looks < (isUnchanged ? LOOKS : MOST_LOOKS)) return now
    return isUnchanged && outcome === 'damaged' ? 'believed' : 'gone'
  }

  /** What is found is told if it is believed. */
  async #lookAside(producers: ProducerCheck, { segment, next }: SegmentNames): Promise<Look> {
    const { findings } = this.#context
    const made: Finding[] = []
    this.#findings = new Findings((finding) => made.push(finding), findings.limit)
    const isThere = await this.#lookAt(producers, segment, next)
    this.#findings.settle()
    const { damage, warning } = this.#findings.totals
    this.#findings = findings
    if (!isThere) return { made, outcome: 'gone' }
    return { made, outcome: damage + warning > 0 ? 'damaged' : 'sound' }
  }

  /** Undefined where there is no segment of this base offset any more. */
  async #namesNow(baseOffset: number): Promise<SegmentNames | undefined> {
    const { fileSystem, directory } = this.#context
    const listed = await fileSystem.readdir(path.join(directory, this.#partition.name))
    const { segments } = partitionFilesOf(listed)
    const index = segments.findIndex((each) => each.baseOffset === baseOffset)
    const segment = segments[index]
    return segment === undefined ? undefined : { segment, next: segments[index + 1] }
  }

  /** By retention, or because compaction has put another in its place, of which the records were seen or come next. */
  #gone(producers: ProducerCheck, { log }: SegmentFiles): void {
    this.#isWhole = false
    producers.damage()
    this.#tell('changed', log, 'it went while it was looked at')
  }

  /** False where the segment has gone meanwhile. */
  async #lookAt(
    producers: ProducerCheck,
    segment: SegmentFiles,
    next: SegmentFiles | undefined,
  ): Promise<boolean> {
    const { baseOffset, log } = segment
    const { looked, state } = this.#context
    const isActive = next === undefined
    const nextBaseOffset = segment.isSwap ? undefined : next?.baseOffset
    const indexes = new SegmentIndexes({
      segment,
      isActive,
      state,
      index: await this.#sideFile(segment.index),
      timeindex: await this.#sideFile(segment.timeindex),
      tell: (...finding) => this.#tell(...finding),
    })
    producers.begin(await this.#aborted(segment))
    const file = DataFile.existing(this.#context.files, this.#pathOf(log), true)
    const check = new SegmentCheck({
      baseOffset,
      nextBaseOffset,
      epochs: this.#partition.epochs,
      logStartOffset: this.#partition.logStartOffset,
      producers,
      decompress: this.#context.decompress,
      offsetIndex: indexes.offsetIndex,
      timeIndex: indexes.timeIndex,
      tell: (kind, message, details) => this.#tell(kind, log, message, details),
      region: (region) => this.#region(file, segment, region, isActive),
      progress: (bytes) => this.#progress(bytes),
    })
    const size = await this.#walk(file, check, baseOffset, nextBaseOffset)
    if (size === undefined) return false
    check.end()
    indexes.end(size, check.nextOffset - 1)
    this.#abortedEnd(producers, segment, check.nextOffset - 1, isActive)
    looked.segments += 1
    looked.batches += check.batches
    looked.records += check.records
    this.#endOffset = check.nextOffset
    return true
  }

  async #walk(
    file: DataFile,
    check: SegmentCheck,
    baseOffset: number,
    offsetLimit: number | undefined,
  ): Promise<number | undefined> {
    const { signal, largeBatchBytes, state } = this.#context
    try {
      const to = file.sizeSync()
      return await walkLog(
        file,
        { from: 0, to, nextOffset: baseOffset, offsetLimit, signal, largeBatchBytes },
        check,
      )
    } catch (error) {
      if (state === 'live' && errorCode(error) === 'ENOENT') return undefined
      throw error
    } finally {
      await file.close()
    }
  }

  async #region(
    file: DataFile,
    segment: SegmentFiles,
    region: FaultyRegion,
    isActive: boolean,
  ): Promise<void> {
    const place = {
      state: this.#context.state,
      isActive,
      isMarkedLost: segment.lost.has(region.position),
      recoveryPoint: this.#partition.recoveryPoint,
    }
    const isOld = await isOldFormat(file, region)
    const kind = isOld ? 'old-format' : regionKind(region, place)
    const { position, bytes, nextOffset: firstOffset, resumeOffset } = region
    const lastOffset = resumeOffset === undefined ? undefined : resumeOffset - 1
    const isKnown = lastOffset !== undefined && lastOffset >= firstOffset
    const range = isKnown ? { firstOffset, lastOffset } : { firstOffset }
    const message = regionMessage(kind, region, place)
    if (kind !== 'growing-tail') this.#isDamaged = true
    this.#tell(kind, segment.log, message, { position, bytes, ...range })
  }

  #progress(bytes: number): void {
    this.#context.looked.logBytes += bytes
    this.#context.progress(bytes)
  }

  // -------------------------------------------------------------- producers and transactions

  async #aborted({ txnindex }: SegmentFiles): Promise<AbortedTransaction[]> {
    const bytes = await this.#sideFile(txnindex)
    if (bytes === undefined || txnindex === undefined) return []
    try {
      return decodeAbortedTransactions(bytes, txnindex)
    } catch (error) {
      if (!(error instanceof CorruptLogError)) throw error
      this.#tell('aborted-entry', txnindex, reasonOf(error), { position: error.position })
      return []
    }
  }

  /** Those of the last segment are built again where the log was not closed. */
  #abortedEnd(
    producers: ProducerCheck,
    segment: SegmentFiles,
    end: number,
    isActive: boolean,
  ): void {
    const file = segment.txnindex ?? segmentFileName(segment.baseOffset, 'txnindex')
    const isExcused = isActive && this.#context.state !== 'closed'
    for (const { kind, entry, transaction, message } of producers.end(end)) {
      const { firstOffset, lastOffset } = transaction
      this.#tell(kind, file, message, {
        ...(entry === -1 ? {} : { position: entry * ABORTED_ENTRY_BYTES }),
        ...(isExcused ? { severity: 'warning' } : {}),
        firstOffset,
        lastOffset,
      })
    }
  }

  /** Snapshots as of offsets within [from, to), rising. */
  async #snapshots(from: number, to: number = Number.POSITIVE_INFINITY): Promise<Snapshot[]> {
    const snapshots: Snapshot[] = []
    for (const offset of this.#files.snapshots) {
      if (offset < from || offset >= to) continue
      const name = segmentFileName(offset, 'snapshot')
      const bytes = await this.#sideFile(name)
      if (bytes === undefined) continue
      try {
        snapshots.push({ offset, entries: decodeSnapshot(bytes, name), name })
      } catch (error) {
        if (!(error instanceof CorruptLogError)) throw error
        this.#tell('snapshot-damaged', name, reasonOf(error), { position: error.position })
      }
    }
    return snapshots
  }

  #snapshotsBeyond(producers: ProducerCheck): void {
    const end = this.#endOffset
    for (const { offset, name } of producers.finish(end)) {
      this.#tell('snapshot-ahead', name, `it is as of offset ${offset}, the log ends at ${end}`)
    }
    if (this.#context.state !== 'closed' || this.#files.snapshots.includes(end)) return
    if (end === 0 || this.#isDamaged) return
    const name = segmentFileName(end, 'snapshot')
    this.#tell('snapshot-missing', name, `the log was closed at offset ${end} without it`)
  }

  // -------------------------------------------------------------------------------------- files

  async #sideFile(name: string | undefined): Promise<Buffer | undefined> {
    if (name === undefined) return undefined
    const bytes = await readFileIfThere(this.#context.fileSystem, this.#pathOf(name))
    this.#context.looked.otherBytes += bytes?.length ?? 0
    return bytes
  }

  #pathOf(name: string): string {
    return path.join(this.#context.directory, this.#partition.name, name)
  }

  #tell(kind: FindingKind, file: string, message: string, details?: FindingDetails): void {
    this.#findings.add(kind, partitionFile(this.#partition, file), message, details)
  }
}

function haveSameNames(one: SegmentNames, other: SegmentNames): boolean {
  const namesOf = ({ segment, next }: SegmentNames): unknown[] => {
    const { log, index, timeindex, txnindex } = segment
    return [log, index, timeindex, txnindex, next?.baseOffset]
  }
  const names = namesOf(other)
  return namesOf(one).every((name, index) => name === names[index])
}
