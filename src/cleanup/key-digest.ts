/**
 * A digest of 125 bits of a record's key, by five polynomials over a prime field (Carter and Wegman, "New hash functions and their
 * use in authentication and set equality"). The key, in digits of three bytes behind its length, is a polynomial of which each lane
 * has the value at a point of its own, drawn at random:
 *
 *   lane = (length + 1) * r^n + digit 1 * r^(n-1) + … + digit n    mod P
 *
 * Two keys are two polynomials of degree n or less, so they meet at no more than n of the P points, and in all five lanes with a
 * chance of (n / P)^5 at most: for two keys of 16 bytes 2^-112, for any two of a million of them 2^-72. That holds for any keys that
 * were chosen without a knowledge of the points, which nobody is shown: a collision, which would lose a record, cannot be brought
 * about. A hash without such a bound would be hardly faster.
 *
 * All products are below 2^51 and exact as numbers. For long keys SHA-256 is faster; the points, put before the key, make it secret too.
 */
import { createHash } from 'node:crypto'

/** The greatest prime below 2^25. */
const P = 33_554_393
const INVERSE = 1 / P
/** Bytes that are taken in one step: two digits. */
const STEP = 6
/** Longer keys than this are digested by SHA-256. */
export const LONGEST_SHORT_KEY = 512
/** Of a digest, each of 32 bits. */
export const DIGEST_WORDS = 4

/** One a lane, and its square. */
type Points = Readonly<Record<Lane | `${Lane}2`, number>>
type Lane = 'a' | 'b' | 'c' | 'd' | 'e'

/** Digests of two objects do not compare. */
export class KeyDigest {
  readonly #points: Points
  readonly #seed: Buffer

  /** @param randomInteger a random integer from 0 up to, and not including, what it is given. */
  constructor(randomInteger: (below: number) => number) {
    const point = (): number => 1 + randomInteger(P - 1)
    const [a, b, c, d, e] = [point(), point(), point(), point(), point()]
    const [a2, b2, c2, d2, e2] = [square(a), square(b), square(c), square(d), square(e)]
    this.#points = { a, b, c, d, e, a2, b2, c2, d2, e2 }
    this.#seed = Buffer.from([a, b, c, d, e].join())
  }

  /** Puts the digest of the key at [start, start + length) of a page into four words from `at` on. */
  put(page: Uint8Array, start: number, length: number, words: Uint32Array, at: number): void {
    if (length <= LONGEST_SHORT_KEY) this.#putShort(page, start, length, words, at)
    else this.#putLong(page, start, length, words, at)
  }

  #putShort(page: Uint8Array, start: number, length: number, words: Uint32Array, at: number): void {
    // Each lane has variables of its own: through an array a key takes three times as long.
    const { a, b, c, d, e, a2, b2, c2, d2, e2 } = this.#points
    let laneA = length + 1
    let laneB = laneA
    let laneC = laneA
    let laneD = laneA
    let laneE = laneA
    const end = start + length
    for (let from = start; from < end; from += STEP) {
      const high = digit(page, from, end)
      const low = digit(page, from + 3, end)
      laneA = reduced(laneA * a2 + high * a + low)
      laneB = reduced(laneB * b2 + high * b + low)
      laneC = reduced(laneC * c2 + high * c + low)
      laneD = reduced(laneD * d2 + high * d + low)
      laneE = reduced(laneE * e2 + high * e + low)
    }
    const rest = unique(laneE)
    words[at] = unique(laneA) | ((rest & 0x7f) << 25)
    words[at + 1] = unique(laneB) | (((rest >>> 7) & 0x7f) << 25)
    words[at + 2] = unique(laneC) | (((rest >>> 14) & 0x7f) << 25)
    words[at + 3] = unique(laneD) | ((rest >>> 21) << 25)
  }

  #putLong(page: Uint8Array, start: number, length: number, words: Uint32Array, at: number): void {
    const hash = createHash('sha256').update(this.#seed)
    const digest = hash.update(page.subarray(start, start + length)).digest()
    for (let word = 0; word < DIGEST_WORDS; word += 1) {
      words[at + word] = digest.readUInt32LE(4 * word)
    }
  }
}

/** Three bytes, or what there is of them before the end. */
function digit(page: Uint8Array, at: number, end: number): number {
  if (at + 3 <= end) {
    return (page[at] as number) | ((page[at + 1] as number) << 8) | ((page[at + 2] as number) << 16)
  }
  if (at + 2 === end) return (page[at] as number) | ((page[at + 1] as number) << 8)
  return at + 1 === end ? (page[at] as number) : 0
}

function square(point: number): number {
  return (point * point) % P
}

/** A number of the same residue, 0 to P: the quotient, rounded down as it is computed, is at most one too small. */
function reduced(value: number): number {
  return value - Math.floor(value * INVERSE) * P
}

/** 0 and P are the same residue. */
function unique(lane: number): number {
  return lane === P ? 0 : lane
}
