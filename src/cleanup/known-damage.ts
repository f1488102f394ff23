import type { Segment } from '../storage/segment.ts'

/**
 * What of a partition cannot be read, as far as a compaction has come upon it. A segment with damage is left as it is, byte for byte, and what
 * can be read of it counts; so nothing is lost that a reader who skips damage has, and the damage can still be seen.
 */
export class KnownDamage {
  readonly #segments = new Set<Segment>()
  /** Positions of batches whose CRC is right and whose records are not. */
  readonly #batches = new Map<Segment, Set<number>>()

  has(segment: Segment): boolean {
    return this.#segments.has(segment) || segment.lostRegions.size > 0
  }

  hasBatch(segment: Segment, position: number): boolean {
    return this.#batches.get(segment)?.has(position) === true
  }

  /** Number of segments that are left as they are. */
  get size(): number {
    return this.#segments.size
  }

  add(segment: Segment): void {
    this.#segments.add(segment)
  }

  /** Notes bytes that are no batch; answers with what the pass is to be ended by. */
  found(segment: Segment, position: number): DamageFoundError {
    this.add(segment)
    return new DamageFoundError(segment, position)
  }

  /** Notes a batch whose records cannot be read; answers with what its pass is to be ended by. */
  foundBatch(segment: Segment, position: number, cause: unknown): DamageFoundError {
    this.add(segment)
    const positions = this.#batches.get(segment) ?? new Set()
    this.#batches.set(segment, positions.add(position))
    return new DamageFoundError(segment, position, { cause })
  }
}

/** Damage was come upon that was not known when the pass began: what it has decided may rest on it, so it begins again. */
export class DamageFoundError extends Error {
  override readonly name = 'DamageFoundError'

  constructor(segment: Segment, position: number, options?: ErrorOptions) {
    super(`${segment.file.path}, byte ${position}: a batch cannot be read`, options)
  }
}
