import { errorCode } from '../util/error-code.ts'
import type { Segment } from './segment.ts'

/** The segments of a partition, by rising base offset; the last one is active. Never empty. */
export class SegmentList {
  /** Counts the changes but those at the end: who has waited sees whether what was found before still holds. */
  version = 0
  #segments: Segment[]

  constructor(segments: readonly Segment[]) {
    this.#segments = [...segments].sort((a, b) => a.baseOffset - b.baseOffset)
    this.#limitOffsets()
  }

  get count(): number {
    return this.#segments.length
  }

  get active(): Segment {
    return this.#segments[this.#segments.length - 1] as Segment
  }

  get first(): Segment {
    return this.#segments[0] as Segment
  }

  get all(): readonly Segment[] {
    return this.#segments
  }

  /** The last segment whose base offset is not above `offset`; the first one where all are. */
  find(offset: number): Segment {
    return this.#segments[this.#indexOf(offset)] as Segment
  }

  /** The segment after this one; undefined for the active one. */
  after(segment: Segment): Segment | undefined {
    const index = this.#indexOf(segment.baseOffset)
    const found = this.#segments[index] as Segment
    return found.baseOffset > segment.baseOffset ? found : this.#segments[index + 1]
  }

  /** As `measure`, of the segments whose size was asked for before, or that were written here. */
  get knownBytes(): number {
    return this.#segments.reduce((bytes, each) => bytes + each.knownBytes, 0)
  }

  /** Size of all in bytes. */
  async measure(): Promise<number> {
    for (;;) {
      const { version } = this
      let bytes = 0
      for (const segment of this.#segments) bytes += await segment.measure().catch(zeroIfGone)
      if (version === this.version) return bytes
    }
  }

  push(segment: Segment): void {
    this.#segments.push(segment)
    this.#limitOffsets()
  }

  /** Takes segments out; the active one stays in any case. */
  remove(segments: ReadonlySet<Segment>): void {
    this.#segments = this.#segments.filter((each) => each === this.active || !segments.has(each))
    this.version += 1
    this.#limitOffsets()
  }

  /** Puts one segment in the place of adjacent ones, the first of which has its base offset. */
  replace(segments: readonly Segment[], by: Segment): void {
    const replaced = new Set(segments)
    this.#segments = this.#segments.flatMap((each) => {
      if (!replaced.has(each)) return [each]
      return each.baseOffset === by.baseOffset ? [by] : []
    })
    this.version += 1
    this.#limitOffsets()
  }

  /** The segments are these from now on, by rising base offset. */
  become(segments: readonly Segment[]): void {
    this.#segments = [...segments]
    this.version += 1
    this.#limitOffsets()
  }

  #limitOffsets(): void {
    for (const [index, segment] of this.#segments.entries()) {
      segment.limitOffsets(this.#segments[index + 1]?.baseOffset)
    }
  }

  #indexOf(offset: number): number {
    let low = 0
    let high = this.#segments.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#segments[middle] as Segment).baseOffset <= offset) low = middle
      else high = middle - 1
    }
    return low
  }
}

/** A segment may be deleted or replaced while the others are measured: then they are measured again. */
function zeroIfGone(error: unknown): number {
  if (errorCode(error) === 'ENOENT') return 0
  throw error
}
