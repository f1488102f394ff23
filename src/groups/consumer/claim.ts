import type { PartitionLog } from '../../storage/partition-log.ts'
import { readEnd } from '../../storage/read-end.ts'
import type { Topic } from '../../topics/topic.ts'
import type { IsolationLevel, TopicPartition } from '../../types.ts'
import type { OffsetCommit } from '../types.ts'
import type { HeldPage } from './held-page.ts'
import type { FinishedAbove } from './page-source.ts'
import type { FinishedRange } from './run/finished-ranges.ts'
import { decodeFinished, encodeFinished, mergedRanges } from './run/finished-ranges.ts'

/** Where a claim begins, and what was committed there beside the offset. */
export interface ClaimStart {
  readonly position: number
  readonly metadata: string
  readonly isolationLevel: IsolationLevel
}

/**
 * A partition that is a consumer's own: where it is read on, what of it is in hand, how far it is done, and what is committed of it.
 *
 * `done` is the next offset to be committed: everything below it was finished, or is no record. It rises with what is finished, passes over
 * what has no records (`pass`), and goes elsewhere with a `seek` alone.
 */
export class Claim implements TopicPartition {
  readonly topic: string
  readonly partition: number
  readonly name: string
  readonly of: Topic
  readonly log: PartitionLog
  readonly #isolationLevel: IsolationLevel
  /** Where it is read on. */
  position: number
  /** Counts what makes a read that is under way stale. */
  moves = 0
  done: number
  /** Counts changes of `done` and of what is finished above it. */
  changes = 0
  /** Of `changes`, what is committed. */
  settled = 0
  isPaused = false
  /** `onAssigned` has ended. */
  isBegun = false
  /** It is to be handed back. */
  isRevoking = false
  /** Something was taken back of what is in hand: when all of that is down it is read again from `done`. */
  isToRewind = false
  /** It is another's by now, or its topic was deleted. */
  isLost = false
  readonly pages: Set<HeldPage> = new Set()
  /** Called when nothing of it is in hand any more; see `whenReleased`. */
  released: (() => void) | undefined
  /** What the way to consume knows of it. */
  #toldAbove: FinishedAbove | undefined
  /** Where a `seek` has gone, when what is in hand is down: what is committed by hand meanwhile does not take it back. */
  #soughtTo: number | undefined
  /** Finished before it was read, also by others: not handed out again. */
  #finishedAbove: readonly FinishedRange[]
  /** Read, and without records: to be passed over when all below it is done. */
  #gapStart = -1
  #gapEnd = -1

  constructor(of: Topic, log: PartitionLog, { position, metadata, isolationLevel }: ClaimStart) {
    this.of = of
    this.log = log
    this.topic = log.topic
    this.partition = log.partition
    this.name = log.name
    this.#isolationLevel = isolationLevel
    this.position = position
    this.done = position
    this.#finishedAbove = decodeFinished(position, metadata)
  }

  get isDirty(): boolean {
    return this.changes !== this.settled
  }

  /** Where its readers stop. */
  get end(): number {
    return readEnd(this.log, this.#isolationLevel)
  }

  get isReadable(): boolean {
    if (!this.isBegun || this.isPaused || this.isRevoking || this.isToRewind) return false
    if (this.of.gone !== undefined || this.position >= this.end) return false
    for (const page of this.pages) if (!page.mayHaveMore) return false
    return true
  }

  /** All below `offset` is done, and above it what `toldAbove` gives. */
  advance(offset: number, toldAbove: FinishedAbove | undefined): void {
    if (offset < this.done || (offset === this.done && toldAbove === this.#toldAbove)) return
    this.done = offset
    this.#toldAbove = toldAbove
    this.changes += 1
    for (let before = -1; before !== this.done; ) {
      before = this.done
      for (const { start, end } of this.#finishedAbove) {
        if (this.done >= start && this.done < end) this.done = end
      }
      if (this.done >= this.#gapStart && this.done < this.#gapEnd) this.done = this.#gapEnd
    }
    // What was finished may reach further than what was read: it still has to be left out of the next page.
    const past = Math.min(this.done, this.position)
    const [first] = this.#finishedAbove
    if (first === undefined || first.end > past) return
    this.#finishedAbove = this.#finishedAbove.filter(({ end }) => end > past)
  }

  /** [start, end) was read, or is not there any more, and gave nothing to hand out. */
  pass(start: number, end: number): void {
    if (end <= start) return
    if (this.done >= start) this.advance(Math.max(end, this.done), this.#toldAbove)
    else {
      this.#gapStart = this.#gapEnd === start ? this.#gapStart : start
      this.#gapEnd = end
    }
  }

  /** Where a page begins that was read from this offset: what was passed over right before it is part of it. */
  startOf(offset: number): number {
    return this.#gapEnd === offset ? this.#gapStart : offset
  }

  isFinished(offset: number): boolean {
    return this.#finishedAbove.some(({ start, end }) => offset >= start && offset < end)
  }

  get hasFinishedAbove(): boolean {
    return this.#finishedAbove.length > 0
  }

  /** Nothing more of what is in hand is to be begun; what is left of it is read again. */
  withdraw(): void {
    if (this.pages.size === 0) return
    this.isToRewind = true
    this.moves += 1
    for (const page of [...this.pages]) page.withdraw()
  }

  /** Resolves when nothing of it is in hand any more. */
  whenReleased(): Promise<void> {
    if (this.pages.size === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.released = resolve
    })
  }

  /** It is read again from where it is done, or was sought. */
  rewind(): void {
    this.isToRewind = false
    this.moves += 1
    this.#finishedAbove = this.#rangesAbove()
    this.#toldAbove = undefined
    this.position = this.#soughtTo ?? this.done
    this.#soughtTo = undefined
    this.#gapStart = -1
    this.#gapEnd = -1
  }

  /** It is read from another offset on; what is in hand of it says nothing of that. */
  seek(offset: number): void {
    for (const page of this.pages) page.isStale = true
    this.done = offset
    this.#toldAbove = undefined
    this.#finishedAbove = []
    this.#soughtTo = offset
    this.changes += 1
    if (this.pages.size > 0) this.withdraw()
    else this.rewind()
  }

  /** Not its own any more. */
  lose(): void {
    this.moves += 1
    this.isLost = true
    this.isRevoking = true
    for (const page of [...this.pages]) page.lose()
  }

  /** What is to be committed of it. */
  toCommit(): OffsetCommit {
    const { topic, partition, done: offset } = this
    const metadata = encodeFinished(offset, this.#rangesAbove())
    return metadata === undefined
      ? { topic, partition, offset }
      : { topic, partition, offset, metadata }
  }

  /** What would be committed of it if all below `offset` were done. */
  commitAt(offset: number): OffsetCommit {
    const { topic, partition } = this
    let end = offset
    // What was finished before by others, ascending.
    for (const range of this.#finishedAbove)
      if (end >= range.start && end < range.end) end = range.end
    const above = this.#finishedAbove.filter(({ start }) => start > end)
    const metadata = encodeFinished(end, above)
    return metadata === undefined
      ? { topic, partition, offset: end }
      : { topic, partition, offset: end, metadata }
  }

  /** Finished above `done`: what the way to consume knows, which may know nothing of what it was not handed, and what was known before. */
  #rangesAbove(): FinishedRange[] {
    const known = [...(this.#toldAbove?.() ?? []), ...this.#finishedAbove]
    return mergedRanges(known).filter(({ start }) => start > this.done)
  }

  /** The offset that is handed out next, as far as it is known. */
  get nextToHandOut(): number {
    if (this.isToRewind) return this.#soughtTo ?? this.done
    for (const page of this.pages) {
      if (page.begun > 0 && page.begun < page.records.length) {
        return page.records[page.begun]?.offset ?? page.nextOffset
      }
    }
    return this.position
  }
}
