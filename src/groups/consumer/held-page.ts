import { setDeliveryCount } from '../../topics/log-record.ts'
import type { ReadPage } from '../../topics/page-decoder.ts'
import type { Claim } from './claim.ts'
import type { ConsumedRecord, FinishedAbove, TakenPage, Withdrawal } from './page-source.ts'

/** Who is told what happens to the pages of a consumer. */
export interface PageHolder {
  finished(page: HeldPage, offset: number, finishedAbove: FinishedAbove | undefined): void
  /** `begun`: of what is not finished, what was handed out. */
  putDown(page: HeldPage, begun: readonly ConsumedRecord<unknown, unknown>[]): void
  /** More of its partition may be taken now. */
  wantsMore(page: HeldPage): void
}

export class HeldPage implements TakenPage<unknown, unknown>, Withdrawal {
  readonly claim: Claim
  readonly topic: string
  readonly partition: number
  readonly records: readonly ConsumedRecord<unknown, unknown>[]
  readonly startOffset: number
  readonly nextOffset: number
  readonly bytes: number
  isWithdrawn = false
  isLost = false
  /** A `seek` has gone elsewhere since: what is finished of it is not told. */
  isStale = false
  mayHaveMore = true
  onWithdrawn: (() => void) | undefined
  /** Of who hands out record by record: how many were handed out; all but the last of them are done. */
  begun = 0
  /** It was handed out as a whole. */
  isWhole = false
  /** When there was the last sign of it, in milliseconds of the clock, as far as it was looked at. */
  sinceMs: number
  #signs = 0
  #signsSeen = 0
  readonly #holder: PageHolder

  constructor(
    holder: PageHolder,
    claim: Claim,
    page: ReadPage,
    records: readonly ConsumedRecord<unknown, unknown>[],
    startOffset: number,
    sinceMs: number,
  ) {
    this.#holder = holder
    this.claim = claim
    this.topic = claim.topic
    this.partition = claim.partition
    this.records = records
    this.startOffset = startOffset
    this.nextOffset = page.nextOffset
    this.bytes = page.heldBytes
    this.sinceMs = sinceMs
  }

  get withdrawn(): Withdrawal {
    return this
  }

  /** The offset below which all is done, by `begun`; undefined where nothing is handed out record by record. */
  get doneOffset(): number | undefined {
    return this.begun === 0 ? undefined : this.records[this.begun - 1]?.offset
  }

  /** What was handed out, record by record or as a whole, and did not come back for more. */
  get inHand(): readonly ConsumedRecord<unknown, unknown>[] {
    return this.isWhole ? this.records : this.records.slice(Math.max(this.begun - 1, 0), this.begun)
  }

  finished(offset: number, finishedAbove?: FinishedAbove): void {
    this.#signs += 1
    if (!this.isLost && !this.isStale) this.#holder.finished(this, offset, finishedAbove)
  }

  heard(): void {
    this.#signs += 1
  }

  again(record: ConsumedRecord<unknown, unknown>): ConsumedRecord<unknown, unknown> {
    this.#signs += 1
    setDeliveryCount(record, record.deliveryCount + 1)
    return record
  }

  wantMore(isWanted: boolean): void {
    this.mayHaveMore = isWanted
    if (isWanted) this.#holder.wantsMore(this)
  }

  putDown(begun: readonly ConsumedRecord<unknown, unknown>[] = []): void {
    this.onWithdrawn = undefined
    this.#holder.putDown(this, begun)
  }

  withdraw(): void {
    if (this.isWithdrawn) return
    this.isWithdrawn = true
    this.onWithdrawn?.()
  }

  lose(): void {
    if (this.isLost) return
    this.isWithdrawn = true
    this.isLost = true
    this.onWithdrawn?.()
  }

  /** Looks for signs of it since the last look; answers with when there was the last one. */
  look(nowMs: number, stoodMs: number): number {
    // The clock may have been set back.
    this.sinceMs = Math.min(this.sinceMs + stoodMs, nowMs)
    const signs = this.#signs + this.begun
    if (signs !== this.#signsSeen) {
      this.#signsSeen = signs
      this.sinceMs = nowMs
    }
    return this.sinceMs
  }
}
