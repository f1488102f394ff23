import { setDeliveryCount } from '../../topics/log-record.ts'
import type { ReadPage } from '../../topics/page-decoder.ts'
import type { Clock } from '../../types.ts'
import { Deferred } from '../../util/deferred.ts'
import type { AssignedReader } from './assigned-reader.ts'
import type { Claim } from './claim.ts'
import type { Commits } from './commits.ts'
import type { DeliveryCounts } from './delivery-counts.ts'
import type { PageHolder } from './held-page.ts'
import { HeldPage } from './held-page.ts'
import type { ConsumedRecord, FinishedAbove } from './page-source.ts'

type Consumed = ConsumedRecord<unknown, unknown>

export interface HoldingsOptions {
  readonly clock: Clock
  readonly readAheadBytes: number
  readonly reader: AssignedReader
  readonly commits: Commits
  readonly deliveries: DeliveryCounts
  /** Nothing is in hand any more. */
  readonly emptied: () => void
}

/** The pages that a consumer has in hand. */
export class Holdings implements PageHolder {
  readonly #options: HoldingsOptions
  readonly #pages = new Set<HeldPage>()
  /** Their topics were deleted: nobody waits for them, but who is at work on one may be as dead as anybody. */
  readonly #strays = new Set<HeldPage>()
  #bytes = 0
  /** Waits for room, or for nothing to be in hand. */
  #waiting: Deferred<void> | undefined

  constructor(options: HoldingsOptions) {
    this.#options = options
  }

  get isEmpty(): boolean {
    return this.#pages.size === 0
  }

  /** One page more is always allowed where there is none. */
  get hasRoom(): boolean {
    return this.#pages.size === 0 || this.#bytes < this.#options.readAheadBytes
  }

  /** Resolves when a page is put down, and at `wake`. */
  async changed(): Promise<void> {
    this.#waiting ??= new Deferred()
    await this.#waiting.promise
  }

  /** Resolves when nothing is in hand. */
  async whenEmpty(): Promise<void> {
    while (!this.isEmpty) await this.changed()
  }

  wake(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }

  /** Takes in hand what was read; undefined where nothing of it is to be handed out. */
  hold(claim: Claim, page: ReadPage): HeldPage | undefined {
    const { clock, commits } = this.#options
    const start = claim.startOf(claim.position)
    claim.position = page.nextOffset
    const records = this.#toHandOut(claim, page.records as unknown as Consumed[])
    if (records.length === 0) {
      claim.pass(start, page.nextOffset)
      if (claim.isDirty) commits.noted(claim)
      return undefined
    }
    const held = new HeldPage(this, claim, page, records, start, clock.now())
    this.#pages.add(held)
    claim.pages.add(held)
    this.#bytes += held.bytes
    return held
  }

  /** The claim is not its own any more. What is in hand of it still takes memory, and is waited for by nobody. */
  lose(claim: Claim): void {
    for (const page of claim.pages) {
      this.#pages.delete(page)
      if (claim.of.gone !== undefined) this.#strays.add(page)
      this.#count(page, page.inHand)
    }
    claim.lose()
    // Who waits to hand it back has nothing to wait for any more.
    claim.released?.()
    this.wake()
  }

  /** It is no member any more: what it is at work on says nothing of it when it joins again. */
  forgetStrays(): void {
    this.#strays.clear()
  }

  /** Says of what is handed out record by record how far it is done. */
  settle(): void {
    for (const page of this.#pages) this.#settle(page)
  }

  #settle({ claim, doneOffset, isStale, isLost }: HeldPage): void {
    if (doneOffset !== undefined && !isStale && !isLost) this.#advance(claim, doneOffset, undefined)
  }

  /** Of all pages in hand, the time of the longest without a sign; undefined where there is none. */
  look(nowMs: number, stoodMs: number): number | undefined {
    let sinceMs: number | undefined
    for (const page of [...this.#pages, ...this.#strays]) {
      sinceMs = Math.min(page.look(nowMs, stoodMs), sinceMs ?? Number.POSITIVE_INFINITY)
    }
    return sinceMs
  }

  // --------------------------------------------------------------------------- told by the pages

  finished({ claim }: HeldPage, offset: number, finishedAbove: FinishedAbove | undefined): void {
    this.#advance(claim, offset, finishedAbove)
  }

  putDown(page: HeldPage, begun: readonly Consumed[]): void {
    const { claim } = page
    if (!claim.pages.delete(page)) return
    this.#settle(page)
    this.#pages.delete(page)
    this.#strays.delete(page)
    this.#bytes -= page.bytes
    this.#count(page, begun)
    if (claim.pages.size === 0) {
      if (claim.isToRewind) claim.rewind()
      claim.released?.()
    }
    this.#options.reader.look(claim)
    if (this.#pages.size + this.#strays.size === 0) this.#options.emptied()
    this.wake()
  }

  wantsMore({ claim }: HeldPage): void {
    this.#options.reader.look(claim)
  }

  // ----------------------------------------------------------------------------------- records

  #advance(claim: Claim, offset: number, finishedAbove: FinishedAbove | undefined): void {
    const { changes } = claim
    claim.advance(offset, finishedAbove)
    if (claim.changes === changes) return
    this.#options.commits.noted(claim)
    this.#options.deliveries.forget(claim.log, claim.done)
  }

  /** Without what was finished above the commit; what comes once more counts on. */
  #toHandOut(claim: Claim, records: readonly Consumed[]): readonly Consumed[] {
    const counts = this.#options.deliveries.of(claim.log)
    if (counts !== undefined) {
      for (const record of records) {
        const count = counts.get(record.offset)
        if (count !== undefined) setDeliveryCount(record, count + 1)
      }
    }
    if (!claim.hasFinishedAbove) return records
    return records.filter(({ offset }) => !claim.isFinished(offset))
  }

  #count({ claim, isStale }: HeldPage, begun: readonly Consumed[]): void {
    for (const { offset, deliveryCount } of begun) {
      if (offset < claim.done && !isStale) continue
      this.#options.deliveries.note(claim.log, offset, deliveryCount)
    }
  }
}
