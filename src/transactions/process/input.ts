import { PartitionContext } from '../../groups/consumer/run/handler-context.ts'
import type { Consumed, InputPage } from './seams.ts'

/** A page in hand. Its records are handled in their order, and committed in that order. */
export class Input {
  readonly page: InputPage
  readonly records: readonly Consumed[]
  /** Aborted where what a handler does is for nothing. */
  readonly context: PartitionContext = new PartitionContext()
  /** Records below are handled: their outputs are in a batch, or committed. */
  handled = 0
  /** Records below are committed. */
  committed = 0
  /** Records below have been handed out at least once. */
  begun = 0
  /** Records below are handed out one by one, without retries: together they were given up. */
  splitTo = 0
  isDown = false
  /** By index: as they were last handed out, those that were more than once. */
  #again: Map<number, Consumed> | undefined

  constructor(page: InputPage) {
    this.page = page
    this.records = page.records
  }

  get name(): string {
    return `${this.page.topic}-${this.page.partition}`
  }

  /** Nothing more of it is to be begun. */
  get isWithdrawn(): boolean {
    return this.isDown || this.page.withdrawn.isWithdrawn
  }

  get isLost(): boolean {
    return this.page.withdrawn.isLost
  }

  get hasMore(): boolean {
    return !this.isWithdrawn && this.handled < this.records.length
  }

  /** Where the partition is read on behind the records below `end`. */
  offsetBehind(end: number): number {
    return this.records[end]?.offset ?? this.page.nextOffset
  }

  /** As it is, or was last, handed out. */
  recordAt(index: number): Consumed {
    return this.#again?.get(index) ?? (this.records[index] as Consumed)
  }

  /** Hands out records once more. */
  again(index: number, end: number): readonly Consumed[] {
    this.#again ??= new Map()
    const records: Consumed[] = []
    for (let at = index; at < end; at += 1) {
      const record = this.page.again(this.recordAt(at))
      this.#again.set(at, record)
      records.push(record)
    }
    return records
  }

  heard(): void {
    if (!this.isDown) this.page.heard()
  }

  /** Once. What was handed out and is not committed is handed out again, by whom ever. */
  putDown(): void {
    if (this.isDown) return
    this.isDown = true
    const begun = this.records.slice(this.committed, this.begun)
    this.page.putDown(begun.map((_, at) => this.recordAt(this.committed + at)))
  }

  /** Nobody waits for what is under way of it. */
  abandon(): void {
    if (this.isDown) return
    this.context.abort()
    this.putDown()
  }
}
