/**
 * One pass of a compaction over a partition, as Kafka's `Cleaner` makes it: (1) the keys of the dirty part go into the map, with their last
 * offsets, up to where the map is full; (2) the segments from the first one to that place are written anew, group by group, without what the
 * map has a later record for, and each group is put in place of its segments as soon as it is written (`segment-swap.ts`). Killed at any
 * moment, some groups are clean and the others as they were; the next pass begins where this one did.
 */
import type { AbortedTransaction } from '../storage/aborted-index.ts'
import { AbortedIndex } from '../storage/aborted-index.ts'
import { BatchCursor } from '../storage/batch-cursor.ts'
import type { StorageEnvironment } from '../storage/environment.ts'
import { listPartition } from '../storage/partition-directory.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Segment } from '../storage/segment.ts'
import { SegmentGoneError } from '../storage/segment-gone.ts'
import { errorCode } from '../util/error-code.ts'
import type { LastOfProducer } from './batch-filter.ts'
import { BatchFilter } from './batch-filter.ts'
import { CleanedTransactions } from './cleaned-transactions.ts'
import { CleanedWriter } from './cleaned-writer.ts'
import type { GroupRound } from './group-cleaner.ts'
import { GroupCleaner } from './group-cleaner.ts'
import type { DirtySegment } from './key-gathering.ts'
import { KeyGathering } from './key-gathering.ts'
import type { KeyMap } from './key-map.ts'
import type { PassContext } from './pass-context.ts'
import { RecordSieve } from './record-sieve.ts'
import type { GroupedSegment } from './segment-groups.ts'
import { groupSegments } from './segment-groups.ts'

export type PassEnvironment = Pick<StorageEnvironment, 'clock' | 'fileSystem'>

export interface PassRange {
  readonly firstDirtyOffset: number
  /** Base offset of the first segment that stays as it is. */
  readonly upperBoundOffset: number
}

export interface PassResult {
  /** Up to here the log is clean now. */
  readonly endOffset: number
  /** Records, markers included, in the segments that were gone through, and those of them that stayed. */
  readonly recordsRead: number
  readonly recordsKept: number
}

interface GivenSegment extends GroupedSegment {
  readonly segment: Segment
}

export class CompactionPass {
  readonly #partition: PartitionLog
  readonly #environment: PassEnvironment
  readonly #context: PassContext
  readonly #keys: KeyMap

  constructor(
    partition: PartitionLog,
    environment: PassEnvironment,
    context: PassContext,
    keys: KeyMap,
  ) {
    this.#partition = partition
    this.#environment = environment
    this.#context = context
    this.#keys = keys
  }

  /** Rejects with a `DamageFoundError` or a `SegmentGoneError` where it has to begin again; what was put in place stays there. */
  async run(range: PassRange): Promise<PassResult> {
    const segments = this.#segmentsBelow(range.upperBoundOffset)
    const aborted = await this.#readAborted()
    const endOffset = await this.#gatherKeys(segments, aborted, range)
    const round = this.#roundOf(aborted, range)
    const sieve = new RecordSieve(this.#keys, endOffset - 1)
    const counts = { recordsRead: 0, recordsKept: 0 }
    const given = segments.filter(({ segment }) => segment.baseOffset < endOffset)
    let isBehindDamage = false
    for (const group of groupSegments(await this.#describe(given), this.#partition.config)) {
      const cleaned = await this.#cleanGroup(group, { ...round, isBehindDamage }, sieve)
      counts.recordsRead += cleaned.read
      counts.recordsKept += cleaned.kept
      isBehindDamage ||= group.some(({ isKept }) => isKept)
    }
    return { endOffset, ...counts }
  }

  #segmentsBelow(upperBoundOffset: number): DirtySegment[] {
    const { segments } = this.#partition
    return segments.flatMap((segment, index) => {
      const nextOffset = segments[index + 1]?.baseOffset
      if (nextOffset === undefined || nextOffset > upperBoundOffset) return []
      return [{ segment, nextOffset }]
    })
  }

  // ------------------------------------------------------------------------------------- keys

  /** Answers with where the keys end that are in the map: the upper bound, however much was deleted meanwhile, unless it is full. */
  async #gatherKeys(
    segments: readonly DirtySegment[],
    aborted: readonly AbortedTransaction[],
    { firstDirtyOffset, upperBoundOffset }: PassRange,
  ): Promise<number> {
    await this.#keys.begin(firstDirtyOffset, () => this.#context.pace(0))
    const ending = aborted.filter(({ lastOffset }) => lastOffset >= firstDirtyOffset)
    const transactions = new CleanedTransactions(ending)
    const gathering = new KeyGathering(this.#context, this.#keys, transactions, firstDirtyOffset)
    const dirty = segments.filter(({ nextOffset }) => nextOffset > firstDirtyOffset)
    const isFull = await gathering.take(dirty)
    return isFull ? gathering.latestOffset + 1 : upperBoundOffset
  }

  /** Of all segments: a transaction that began in those to be cleaned may have ended behind them. */
  async #readAborted(): Promise<AbortedTransaction[]> {
    const { fileSystem } = this.#environment
    const { directory, segments } = this.#partition
    const { txnindex } = (await listPartition(fileSystem, directory)).indexes
    const aborted: AbortedTransaction[] = []
    for (const segment of segments) {
      if (!txnindex.has(segment.baseOffset)) continue
      aborted.push(...(await new AbortedIndex(fileSystem, segment.pathOf('txnindex')).read()))
    }
    return aborted
  }

  // ------------------------------------------------------------------------------------ groups

  #roundOf(
    aborted: readonly AbortedTransaction[],
    { upperBoundOffset }: PassRange,
  ): Omit<GroupRound, 'isBehindDamage'> {
    return {
      nowMs: this.#environment.clock.now(),
      deleteRetentionMs: this.#partition.config.deleteRetentionMs,
      producers: lastOfProducers(this.#partition),
      upperBoundOffset,
      transactions: new CleanedTransactions(aborted),
    }
  }

  async #describe(segments: readonly DirtySegment[]): Promise<GivenSegment[]> {
    const described: GivenSegment[] = []
    for (const { segment, nextOffset } of segments) {
      const sizeBytes = await segment.measure()
      described.push({
        segment,
        baseOffset: segment.baseOffset,
        nextOffset,
        sizeBytes,
        offsetIndexBytes: segment.offsetIndex.file.sizeBytes,
        timeIndexBytes: segment.timeIndex.file.sizeBytes,
        isKept: this.#context.damage.has(segment),
      })
      await this.#context.pace(0)
    }
    return described
  }

  async #cleanGroup(
    group: readonly GivenSegment[],
    round: GroupRound,
    sieve: RecordSieve,
  ): Promise<{ readonly read: number; readonly kept: number }> {
    const segments = group.map(({ segment }) => segment)
    const [first] = segments
    if (first === undefined) return { read: 0, kept: 0 }
    if (this.#context.damage.has(first)) return await this.#observe(first, round)
    const cleaner = new GroupCleaner(this.#context, round, segments, sieve, () =>
      this.#createWriter(first),
    )
    const { changes, visible } = this.#partition
    try {
      await cleaner.clean()
      await this.#context.pace(0)
      if (cleaner.writer !== undefined) {
        await changes.replace(cleaner.writer.segment, segments)
        const end = group.at(-1)?.nextOffset ?? first.baseOffset
        visible.compacted(first.baseOffset, end, cleaner.aborted)
      }
    } catch (error) {
      if (cleaner.writer !== undefined) await changes.discard(cleaner.writer.segment)
      throw goneOr(error, segments)
    }
    return cleaner.counts
  }

  async #createWriter(first: Segment): Promise<CleanedWriter> {
    const { fileSystem } = this.#environment
    const segment = await this.#partition.changes.createCleaned(first.baseOffset)
    segment.startIndexing(this.#partition.config.indexIntervalBytes)
    const { pace, writeMemory } = this.#context
    return new CleanedWriter(segment, fileSystem, pace, writeMemory)
  }

  /** Of a segment with damage, which stays as it is, the transactions are followed as far as they can be read. */
  async #observe(
    segment: Segment,
    round: GroupRound,
  ): Promise<{ readonly read: number; readonly kept: number }> {
    const filter = new BatchFilter(round, () => {})
    const { pace, windowMemory } = this.#context
    const cursor = new BatchCursor(segment, 0, pace, windowMemory)
    for (;;) {
      let isThere = await cursor.next()
      while (!isThere && cursor.fault !== undefined) isThere = await cursor.skip()
      if (!isThere) return { read: 0, kept: 0 }
      if (!this.#context.damage.hasBatch(segment, cursor.position)) {
        filter.judge(cursor.buffer, cursor.at)
      }
    }
  }
}

function lastOfProducers({ producers }: PartitionLog): Map<number, LastOfProducer> {
  const last = new Map<number, LastOfProducer>()
  for (const { producerId, producerEpoch, batches } of producers.entries()) {
    last.set(producerId, { producerEpoch, lastDataOffset: batches.at(-1)?.lastOffset })
  }
  return last
}

/** A file that is not there any more is one of a segment that was deleted meanwhile. */
function goneOr(error: unknown, segments: readonly Segment[]): unknown {
  if (errorCode(error) !== 'ENOENT') return error
  const gone = segments.find(({ isRetired }) => isRetired)
  return gone === undefined ? error : new SegmentGoneError(gone.file.path)
}
