/**
 * The leader epochs of a partition: which writer's term wrote the records from which offset on.
 *
 *   epoch        0         1    4
 *   startOffset  0         53   60      log end 77
 *                |---------|----|-------|
 *
 * Epochs and start offsets both strictly rise. The last entry is of the term that writes now, so it may begin at the log end; the
 * first one begins where the log does, once what was before it has been deleted. Rules and answers are those of Kafka's
 * `LeaderEpochFileCache`. Pure: the file is `partition-epochs.ts`.
 */
import type { EpochEndOffset } from '../types.ts'
import { MAX_INT32 } from '../util/check.ts'
import type { LeaderEpoch } from './checkpoint.ts'

/** As Kafka writes it: no epoch is known. */
export const NO_EPOCH = -1
/** The field of a batch holds no more. */
export const MAX_EPOCH: number = MAX_INT32

export class LeaderEpochs {
  /** Never changed in place: who has taken it keeps it. */
  #entries: readonly LeaderEpoch[]

  /** @param entries as `areRising` wants them. */
  constructor(entries: readonly LeaderEpoch[] = []) {
    this.#entries = entries
  }

  get entries(): readonly LeaderEpoch[] {
    return this.#entries
  }

  get latest(): LeaderEpoch | undefined {
    return this.#entries.at(-1)
  }

  /**
   * An epoch begins at an offset; entries that are not below it in both go. The latest epoch begins once: only an earlier start is
   * taken. Answers whether anything has changed.
   */
  assign(epoch: number, startOffset: number): boolean {
    const { latest } = this
    if (latest?.epoch === epoch && startOffset >= latest.startOffset) return false
    const kept = this.#entries.filter(
      (each) => each.epoch < epoch && each.startOffset < startOffset,
    )
    this.#entries = [...kept, { epoch, startOffset }]
    return true
  }

  /** The log ends at an offset: epochs that begin there or behind go. Answers whether there were any. */
  truncateFromEnd(endOffset: number): boolean {
    const kept = this.#entries.filter((each) => each.startOffset < endOffset)
    const isChanged = kept.length < this.#entries.length
    this.#entries = kept
    return isChanged
  }

  /** The log begins at an offset: the epoch of that offset begins there, earlier ones go. Answers whether anything has changed. */
  truncateFromStart(startOffset: number): boolean {
    const first = this.#entries.findLastIndex((each) => each.startOffset <= startOffset)
    const entry = this.#entries[first]
    if (entry === undefined || (first === 0 && entry.startOffset === startOffset)) return false
    this.#entries = [{ epoch: entry.epoch, startOffset }, ...this.#entries.slice(first + 1)]
    return true
  }

  /** As far as the log goes up to an offset; an epoch that begins there is the one that is written next. */
  upTo(endOffset: number): LeaderEpochs {
    const isWithin = (this.latest?.startOffset ?? 0) <= endOffset
    if (isWithin) return this
    return new LeaderEpochs(this.#entries.filter((each) => each.startOffset <= endOffset))
  }

  /**
   * Kafka's answer to OffsetsForLeaderEpoch: the greatest epoch that is not above the one asked for, and where it ends, which is
   * where the next one begins, or the log end. Below all that is known: the epoch asked for, and where the first one begins. Undefined
   * (Kafka's -1 and -1) for -1 and above all that is known.
   */
  endOffsetFor(epoch: number, logEndOffset: number): EpochEndOffset | undefined {
    const { latest } = this
    if (epoch === NO_EPOCH || latest === undefined || epoch > latest.epoch) return undefined
    if (epoch === latest.epoch) return { leaderEpoch: epoch, endOffset: logEndOffset }
    const next = this.#entries.findIndex((each) => each.epoch > epoch)
    const endOffset = this.#entries[next]?.startOffset ?? logEndOffset
    return { leaderEpoch: this.#entries[next - 1]?.epoch ?? epoch, endOffset }
  }

  /** Whether a batch at an offset may carry an epoch. Below the first entry all that was deleted had older ones. */
  bearsOut(epoch: number, baseOffset: number): boolean {
    const entry = this.#entries.findLast((each) => each.startOffset <= baseOffset)
    if (entry !== undefined) return epoch === entry.epoch
    return epoch <= (this.#entries[0]?.epoch ?? NO_EPOCH)
  }
}

/** Whether entries can be those of a file: both numbers rise, and a batch can carry the epochs. */
export function areRising(entries: readonly LeaderEpoch[]): boolean {
  return entries.every(({ epoch, startOffset }, index) => {
    const before = entries[index - 1]
    if (epoch < 0 || epoch > MAX_EPOCH || startOffset < 0) return false
    return before === undefined || (epoch > before.epoch && startOffset > before.startOffset)
  })
}

export function areSame(a: readonly LeaderEpoch[], b: readonly LeaderEpoch[]): boolean {
  return (
    a.length === b.length &&
    a.every((each, i) => each.epoch === b[i]?.epoch && each.startOffset === b[i]?.startOffset)
  )
}
