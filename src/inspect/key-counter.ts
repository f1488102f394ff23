/**
 * How many different keys there are: exactly as long as they are few, then by an estimate (Flajolet, Fusy, Gandouet and Meunier,
 * "HyperLogLog"). Of each key a hash picks a register, which keeps the longest run of zeros that the rest of such hashes began with;
 * 2^14 registers give a standard error of 0.8 %. Memory is bounded by the keys that are counted exactly.
 */

/** Kept whole up to so many, and so many bytes of them. */
const MOST_KEYS = 200_000
const MOST_KEY_BYTES = 16 * 1024 * 1024

const REGISTER_BITS = 14
const REGISTERS = 2 ** REGISTER_BITS
/** Bits of the first hash that pick no register. */
const REST_BITS = 32 - REGISTER_BITS
const BIAS = 0.7213 / (1 + 1.079 / REGISTERS)
/** Below it the registers that are still empty say more. */
const SMALL_RANGE = 2.5 * REGISTERS

export class KeyCounter {
  readonly #registers = new Uint8Array(REGISTERS)
  readonly #mostKeys: number
  #keys: Set<string> | undefined = new Set()
  #keyBytes = 0

  constructor(mostKeys: number = MOST_KEYS) {
    this.#mostKeys = mostKeys
  }

  /** All keys are known by themselves: `count` is no estimate. */
  get isExact(): boolean {
    return this.#keys !== undefined
  }

  get count(): number {
    return this.#keys?.size ?? Math.round(this.#estimate())
  }

  /** Takes the key at [start, start + length) of a page. */
  add(page: Buffer, start: number, length: number): void {
    const first = murmur3(page, start, length, 0x9747b28c)
    const second = murmur3(page, start, length, 0x1b873593)
    const register = first >>> REST_BITS
    const rest = (first << REGISTER_BITS) >>> 0
    const zeros = rest === 0 ? REST_BITS + Math.clz32(second) : Math.clz32(rest)
    if (zeros + 1 > (this.#registers[register] as number)) this.#registers[register] = zeros + 1
    if (this.#keys === undefined) return
    const before = this.#keys.size
    this.#keys.add(page.toString('latin1', start, start + length))
    if (this.#keys.size === before) return
    this.#keyBytes += length
    const isFull = this.#keys.size > this.#mostKeys || this.#keyBytes > MOST_KEY_BYTES
    if (isFull) this.#keys = undefined
  }

  #estimate(): number {
    let sum = 0
    let empty = 0
    for (const zeros of this.#registers) {
      sum += 2 ** -zeros
      if (zeros === 0) empty += 1
    }
    const estimate = (BIAS * REGISTERS * REGISTERS) / sum
    if (estimate > SMALL_RANGE || empty === 0) return estimate
    return REGISTERS * Math.log(REGISTERS / empty)
  }
}

/** MurmurHash3 of 32 bits, by Austin Appleby (public domain). */
function murmur3(page: Uint8Array, start: number, length: number, seed: number): number {
  const wordsEnd = start + (length & ~3)
  let hash = seed
  for (let at = start; at < wordsEnd; at += 4) {
    hash ^= scrambled(word(page, at, 4))
    hash = Math.imul((hash << 13) | (hash >>> 19), 5) + 0xe6546b64
  }
  if ((length & 3) > 0) hash ^= scrambled(word(page, wordsEnd, length & 3))
  hash ^= length
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

function scrambled(value: number): number {
  const product = Math.imul(value, 0xcc9e2d51)
  return Math.imul((product << 15) | (product >>> 17), 0x1b873593)
}

/** Up to four bytes, least significant first. */
function word(page: Uint8Array, at: number, count: number): number {
  let value = page[at] as number
  if (count > 1) value |= (page[at + 1] as number) << 8
  if (count > 2) value |= (page[at + 2] as number) << 16
  if (count > 3) value |= (page[at + 3] as number) << 24
  return value
}
