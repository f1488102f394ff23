import type { Segment } from './segment.ts'

/** How many readers can go through a partition side by side without a look-up for each page. */
const HINTS = 16

export interface ReadHint {
  readonly offset: number
  readonly segment: Segment
  /** Where the batch that begins with the offset starts, once it is there. */
  readonly position: number
}

/** Where the last pages ended: who reads on from there needs no index. */
export class ReadHints {
  #hints: ReadHint[] = []
  #oldest = 0

  find(offset: number): ReadHint | undefined {
    for (const hint of this.#hints) if (hint.offset === offset) return hint
    return undefined
  }

  /** `consumed`: the hint that led to the page, now of no more use. */
  add(hint: ReadHint, consumed: ReadHint | undefined): void {
    const known = this.#hints.findIndex((each) => each === consumed || each.offset === hint.offset)
    if (known >= 0) {
      this.#hints[known] = hint
    } else if (this.#hints.length < HINTS) {
      this.#hints.push(hint)
    } else {
      this.#hints[this.#oldest] = hint
      this.#oldest = (this.#oldest + 1) % HINTS
    }
  }

  clear(): void {
    this.#hints = []
  }
}
