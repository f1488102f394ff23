import type { ConsumedRecord, TakenPage } from '../page-source.ts'
import type { FinishedRange } from './finished-ranges.ts'
import { PartitionContext } from './handler-context.ts'

/** Records of one partition in hand above which no more of it are asked for. */
const MAX_PARTITION_RECORDS = 8192

/** A page in hand, and which of its records are finished. */
export class HeldPage<K, V> {
  readonly page: TakenPage<K, V>
  readonly records: readonly ConsumedRecord<K, V>[]
  readonly progress: Progress<K, V>
  /** The next record to be begun, or to be put behind others of its key. */
  next = 0
  /** Handlers that are under way. */
  running = 0
  /** By index: begun, not finished at once, and not finished yet; as they were handed out. */
  readonly begun: Map<number, ConsumedRecord<K, V>> = new Map()
  /** Nothing more of it is begun. */
  isWithdrawn = false
  /** Its records have failed together, and are handed out one by one. */
  isSplit = false
  /** Put down: what still runs of it is for nothing. */
  isOver = false
  /** Put down while handlers were under way that nobody waits for. */
  isAbandoned = false
  /** All records below this index are finished. */
  #low = 0
  #unfinished: number
  /** Finished ones above, where there are any. */
  #finished: Uint8Array | undefined

  constructor(page: TakenPage<K, V>, progress: Progress<K, V>) {
    this.page = page
    this.records = page.records
    this.progress = progress
    this.#unfinished = page.records.length
  }

  get unfinished(): number {
    return this.#unfinished
  }

  /** Undefined where all are finished. */
  get lowestUnfinished(): number | undefined {
    return this.records[this.#low]?.offset
  }

  /** Those of a batch, as they are handed out now: what was handed out together before counts once more. */
  recordsOf(index: number, end: number): readonly ConsumedRecord<K, V>[] {
    const { records, page, begun } = this
    const batch = end - index === records.length ? records : records.slice(index, end)
    if (!this.isSplit) return batch
    return batch.map((record, at) => page.again(begun.get(index + at) ?? record))
  }

  finish(index: number): void {
    this.#unfinished -= 1
    if (this.begun.size > 0) this.begun.delete(index)
    if (index > this.#low) {
      this.#finished ??= new Uint8Array(this.records.length)
      this.#finished[index] = 1
      return
    }
    this.#low += 1
    while (this.#finished?.[this.#low] === 1) this.#low += 1
  }

  /** Offsets of records that are not finished, ascending. */
  *unfinishedOffsets(): Generator<number> {
    for (let index = this.#low; index < this.records.length; index += 1) {
      if (this.#finished?.[index] !== 1) yield (this.records[index] as { offset: number }).offset
    }
  }
}

/**
 * How far a partition has come while pages of it are in hand. Records finish in any order; the commit follows the lowest that is not finished.
 * What lies between records that were handed out (control records, compacted offsets, records that were finished before) counts as finished.
 */
export class Progress<K, V> {
  readonly context: PartitionContext = new PartitionContext()
  /** Those that are not whole, and those in hand, in their order. */
  readonly #pages = new Set<HeldPage<K, V>>()
  /** Where it is read on behind the last page. */
  #end = 0
  #unfinished = 0
  /** Of this page, which is in hand, something has finished since the source was told. */
  #news: HeldPage<K, V> | undefined
  #told = 0
  /** Tells the source that no more of the partition is wanted. */
  #holder: HeldPage<K, V> | undefined

  /** Records that are in hand and not finished. */
  get unfinished(): number {
    return this.#unfinished
  }

  /** None of its pages is in hand. */
  get isEmpty(): boolean {
    for (const held of this.#pages) if (!held.isOver) return false
    return true
  }

  add(page: TakenPage<K, V>): HeldPage<K, V> {
    const held = new HeldPage(page, this)
    this.#pages.add(held)
    this.#end = page.nextOffset
    this.#unfinished += held.records.length
    return held
  }

  finish(held: HeldPage<K, V>, index: number): void {
    held.finish(index)
    this.#unfinished -= 1
    this.#news = held
  }

  /** Tells the source how far the partition has come. A page that is whole is told of before it is put down. */
  tell(): void {
    const teller = this.#news
    if (teller === undefined) return
    this.#news = undefined
    this.#told = this.#lowestUnfinished()
    // Another function each time, as it gives something else.
    const finishedAbove = (): Iterable<FinishedRange> => this.#rangesAboveTold()
    teller.page.finished(this.#told, this.#unfinished === 0 ? undefined : finishedAbove)
    this.heard()
  }

  #lowestUnfinished(): number {
    for (const held of this.#pages) {
      const { lowestUnfinished } = held
      if (lowestUnfinished !== undefined) return lowestUnfinished
    }
    return this.#end
  }

  /** The partition goes on: those pages that wait for others are not stuck. Whose handlers are under way gives signs of its own. */
  heard(): void {
    for (const held of this.#pages) if (held.running === 0 && !held.isOver) held.page.heard()
  }

  /** Nothing of it is in hand any more. One that is not whole still holds the commit. */
  putDown(held: HeldPage<K, V>): void {
    held.isOver = true
    held.page.putDown([...held.begun.values()])
    if (held.unfinished === 0) this.#pages.delete(held)
    if (held === this.#holder) this.#holder = undefined
  }

  /** Asks for no more while it has enough; told as its records become more, and fewer. */
  review(): void {
    const isFull = this.#unfinished > MAX_PARTITION_RECORDS
    if (isFull === (this.#holder !== undefined)) return
    if (isFull) {
      for (const held of this.#pages) if (!held.isOver) this.#holder ??= held
    }
    this.#holder?.page.wantMore(!isFull)
    if (!isFull) this.#holder = undefined
  }

  *#rangesAboveTold(): Generator<FinishedRange> {
    let last: number | undefined
    for (const held of this.#pages) {
      for (const offset of held.unfinishedOffsets()) {
        // What has finished at the told offset itself since then is told with the next.
        const start = (last ?? this.#told) + 1
        if (offset > start) yield { start, end: offset }
        last = offset
      }
    }
    if (last !== undefined && this.#end > last + 1) yield { start: last + 1, end: this.#end }
  }
}
