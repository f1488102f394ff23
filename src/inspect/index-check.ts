/**
 * Indexes against the batches they speak of, in one walk over the segment. What an entry must do is lead no look-up past what it looks for;
 * what Kafka makes is stricter, and an entry that only differs from that is told as `inexact` (the log cleaner of older brokers makes such).
 */
import type { BatchHeader } from '../codec/batch.ts'
import { readInt64 } from '../codec/int64.ts'
import { OffsetIndex } from '../storage/offset-index.ts'
import { TimeIndex } from '../storage/time-index.ts'

/** An entry that the batches do not bear out. */
export interface IndexProblem {
  readonly kind: 'index-entry' | 'index-inexact'
  /** Of the entry in the index file, in bytes. */
  readonly position: number
  readonly offset: number
  readonly message: string
}

type Told = (problem: IndexProblem) => void

/** How an index file is made up, before its entries are compared with anything. */
export interface IndexShape {
  /** Entries up to the first that does not rise. */
  readonly entries: number
  /** Bytes behind the last whole entry. */
  readonly leftOver: number
  /** What follows the entries: nothing, zeros, or an entry that does not rise. */
  readonly rest: 'nothing' | 'zeros' | 'disorder'
}

export function offsetIndexShape(bytes: Buffer): IndexShape {
  const entries = OffsetIndex.saneEntries(bytes, Number.POSITIVE_INFINITY)
  return shapeOf(bytes, entries, OffsetIndex.entryBytes)
}

export function timeIndexShape(bytes: Buffer): IndexShape {
  return shapeOf(bytes, TimeIndex.saneEntries(bytes), TimeIndex.entryBytes)
}

function shapeOf(bytes: Buffer, entries: number, entryBytes: number): IndexShape {
  const leftOver = bytes.length % entryBytes
  const rest = bytes.subarray(entries * entryBytes, bytes.length - leftOver)
  const isZero = isAllZero(rest)
  return { entries, leftOver, rest: rest.length === 0 ? 'nothing' : isZero ? 'zeros' : 'disorder' }
}

const ZEROS = Buffer.alloc(64 * 1024)

function isAllZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const piece = bytes.subarray(at, at + ZEROS.length)
    if (!piece.equals(ZEROS.subarray(0, piece.length))) return false
  }
  return true
}

/** `.index`: each entry names the last offset of a batch and the position where it starts. */
export class OffsetIndexCheck {
  readonly #bytes: Buffer
  readonly #entries: number
  readonly #baseOffset: number
  readonly #told: Told
  #next = 0
  /** The last offset before the batch that comes next. */
  #lastOffset: number

  constructor(bytes: Buffer, entries: number, baseOffset: number, told: Told) {
    this.#bytes = bytes
    this.#entries = entries
    this.#baseOffset = baseOffset
    this.#told = told
    this.#lastOffset = baseOffset - 1
  }

  /** Takes the next batch of the segment. */
  batch(position: number, lastOffset: number): void {
    for (; this.#next < this.#entries && this.#position() <= position; this.#next += 1) {
      this.#judge(position, lastOffset)
    }
    this.#lastOffset = lastOffset
  }

  /** What lies up to `end` is no batch; entries that lead there cannot be judged. */
  region(end: number): void {
    while (this.#next < this.#entries && this.#position() < end) this.#next += 1
  }

  /** The segment ends. */
  end(position: number): void {
    for (; this.#next < this.#entries; this.#next += 1) {
      this.#problem(
        'index-entry',
        `leads to position ${this.#position()}, the segment ends at ${position}`,
      )
    }
  }

  #judge(position: number, lastOffset: number): void {
    const offset = this.#offset()
    if (this.#position() < position) {
      this.#problem('index-entry', `leads to position ${this.#position()}, where no batch begins`)
    } else if (offset <= this.#lastOffset) {
      const before = `offsets up to ${this.#lastOffset} stand before it`
      this.#problem('index-entry', `leads offset ${offset} to position ${position}; ${before}`)
    } else if (offset !== lastOffset) {
      const last = `whose last offset is ${lastOffset}`
      this.#problem('index-inexact', `leads offset ${offset} to the batch at ${position}, ${last}`)
    }
  }

  #problem(kind: IndexProblem['kind'], what: string): void {
    const { entryBytes } = OffsetIndex
    const message = `entry ${this.#next} ${what}`
    this.#told({ kind, position: this.#next * entryBytes, offset: this.#offset(), message })
  }

  #offset(): number {
    return this.#baseOffset + this.#bytes.readInt32BE(this.#next * OffsetIndex.entryBytes)
  }

  #position(): number {
    return this.#bytes.readInt32BE(this.#next * OffsetIndex.entryBytes + 4)
  }
}

/**
 * `.timeindex`: each entry names the greatest timestamp so far, and the last offset of the first batch that has it. A batch that the
 * cleaner has left without records may have an entry, as brokers give it one, and need not.
 */
export class TimeIndexCheck {
  readonly #bytes: Buffer
  readonly #entries: number
  readonly #baseOffset: number
  readonly #told: Told
  #next = 0
  /** Of the batches so far; -1: none. */
  #greatest = -1
  #regionEnd = -1

  constructor(bytes: Buffer, entries: number, baseOffset: number, told: Told) {
    this.#bytes = bytes
    this.#entries = entries
    this.#baseOffset = baseOffset
    this.#told = told
  }

  /** Of the batches so far; -1: none. */
  get greatestTimestamp(): number {
    return this.#greatest
  }

  /** The last entry's; -1: none. */
  get lastTimestamp(): number {
    return this.#entries === 0 ? -1 : this.#timestamp(this.#entries - 1)
  }

  /** Takes the next batch of the segment. */
  batch({ lastOffset, maxTimestamp, count }: BatchHeader): void {
    for (; this.#next < this.#entries && this.#offset() <= lastOffset; this.#next += 1) {
      this.#judge(lastOffset, maxTimestamp)
    }
    if (count > 0 && maxTimestamp > this.#greatest) this.#greatest = maxTimestamp
  }

  /** Offsets below `end` lie in what is no batch: entries that name them cannot be held to it. */
  region(end: number): void {
    this.#regionEnd = end
  }

  /** The segment ends; `lastOffset` is its last. */
  end(lastOffset: number): void {
    for (; this.#next < this.#entries; this.#next += 1) {
      if (this.#offset() < this.#regionEnd) continue
      const what = `names offset ${this.#offset()}, the segment ends with offset ${lastOffset}`
      this.#problem('index-entry', what)
    }
  }

  #judge(lastOffset: number, maxTimestamp: number): void {
    const [offset, timestamp] = [this.#offset(), this.#timestamp(this.#next)]
    if (this.#greatest >= timestamp) {
      const earlier = `an earlier batch has timestamp ${this.#greatest}`
      this.#problem('index-entry', `names offset ${offset} for timestamp ${timestamp}; ${earlier}`)
    } else if (offset < this.#regionEnd) {
      return
    } else if (offset !== lastOffset || timestamp !== maxTimestamp) {
      const found = `the batch there ends with offset ${lastOffset} and has ${maxTimestamp}`
      this.#problem('index-inexact', `names offset ${offset} for timestamp ${timestamp}; ${found}`)
    }
  }

  #problem(kind: IndexProblem['kind'], what: string): void {
    const { entryBytes } = TimeIndex
    const message = `entry ${this.#next} ${what}`
    this.#told({ kind, position: this.#next * entryBytes, offset: this.#offset(), message })
  }

  #offset(): number {
    return this.#baseOffset + this.#bytes.readInt32BE(this.#next * TimeIndex.entryBytes + 8)
  }

  #timestamp(index: number): number {
    return readInt64(this.#bytes, index * TimeIndex.entryBytes)
  }
}
