/**
 * Since when a consumer has given no sign of going on. Three things are late after `maxPollIntervalMs`: records in hand, a callback that does not
 * end, and neither having anything in hand nor asking for more, as a run whose handlers hang over records of a topic that was deleted.
 */
export class Pace {
  /** Since when `onAssigned`, or `onRevoked`, is under way. */
  #tellingSinceMs: number | undefined
  #unaskedSinceMs: number | undefined
  /** Calls that wait for more. */
  #asking = 0

  get isAsking(): boolean {
    return this.#asking > 0
  }

  asks(): void {
    this.#asking += 1
    this.#unaskedSinceMs = undefined
  }

  isAnswered(): void {
    this.#asking -= 1
  }

  /** It has nothing in hand, and asks for nothing. */
  rests(nowMs: number): void {
    this.#unaskedSinceMs = nowMs
  }

  isTold(nowMs: number): void {
    this.#tellingSinceMs = nowMs
  }

  hasHeard(): void {
    this.#tellingSinceMs = undefined
  }

  /** @param stoodMs how long the event loop stood still since the last look: that does not count. Undefined: it waits. */
  look(nowMs: number, stoodMs: number, inHandSinceMs: number | undefined): number | undefined {
    // The clock may have been set back.
    const later = (sinceMs: number | undefined): number | undefined =>
      sinceMs === undefined ? undefined : Math.min(sinceMs + stoodMs, nowMs)
    this.#tellingSinceMs = later(this.#tellingSinceMs)
    this.#unaskedSinceMs = later(this.#unaskedSinceMs)
    const since = [inHandSinceMs, this.#tellingSinceMs, this.#unaskedSinceMs]
    const known = since.filter((each) => each !== undefined)
    return known.length === 0 ? undefined : Math.min(...known)
  }
}
