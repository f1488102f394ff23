import { randomInteger, seededRandom } from '../support/random.ts'

/** Where code tends to break. */
const INTERESTING: readonly bigint[] = [
  0n,
  1n,
  -1n,
  2n,
  7n,
  -2n,
  0x7fn,
  0x80n,
  0xffn,
  0x100n,
  0x7fffn,
  0x8000n,
  0xffffn,
  0x3fffn,
  0x4000n,
  2n ** 31n - 1n,
  2n ** 31n,
  -(2n ** 31n),
  2n ** 32n - 1n,
  2n ** 32n,
  2n ** 53n - 1n,
  2n ** 53n,
  -(2n ** 53n),
  2n ** 63n - 1n,
  -(2n ** 63n),
]

/** What one input is made of. It depends on the seeds alone. */
export class FuzzRandom {
  readonly #next: () => number

  constructor(...seeds: readonly (number | string)[]) {
    this.#next = seededRandom(mixed(seeds))
  }

  /** An integer in [0, limit); 0 where `limit` is below 1. */
  below(limit: number): number {
    return limit < 1 ? 0 : randomInteger(this.#next, limit)
  }

  /** True with this probability. */
  chance(probability: number): boolean {
    return this.#next() < probability
  }

  pick<T>(list: readonly T[]): T {
    if (list.length === 0) throw new RangeError('there is nothing to pick from')
    return list[this.below(list.length)] as T
  }

  /** In [0, max], small ones far more often than large ones. */
  size(max: number): number {
    return Math.floor((max + 1) ** this.#next()) - 1
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length)
    for (let i = 0; i < length; i += 1) bytes[i] = this.below(256)
    return bytes
  }

  /** Mostly one at which code tends to break, or a neighbour of it. */
  integer(): bigint {
    if (this.chance(0.25)) return BigInt(this.size(2 ** 31)) * (this.chance(0.5) ? 1n : -1n)
    return this.pick(INTERESTING) + BigInt(this.chance(0.3) ? this.below(5) - 2 : 0)
  }
}

/** FNV-1a over the text of all. */
function mixed(seeds: readonly (number | string)[]): number {
  let hash = 0x811c9dc5
  for (const character of seeds.join('/')) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193)
  }
  return hash
}
