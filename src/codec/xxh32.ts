/** XXH32, the checksum of LZ4 frames, as Collet's "xxHash fast digest algorithm" specifies it. */

const PRIME_1 = 0x9e3779b1
const PRIME_2 = 0x85ebca77
const PRIME_3 = 0xc2b2ae3d
const PRIME_4 = 0x27d4eb2f
const PRIME_5 = 0x165667b1
const STRIPE_BYTES = 16

/** The unsigned hash of `bytes` from `start` up to but not including `end`, with seed 0. */
export function xxh32(bytes: Uint8Array, start: number = 0, end: number = bytes.length): number {
  let at = start
  let hash = PRIME_5
  if (end - start >= STRIPE_BYTES) {
    let first = (PRIME_1 + PRIME_2) | 0
    let second = PRIME_2 | 0
    let third = 0
    let fourth = -PRIME_1 | 0
    for (; at + STRIPE_BYTES <= end; at += STRIPE_BYTES) {
      first = round(first, wordAt(bytes, at))
      second = round(second, wordAt(bytes, at + 4))
      third = round(third, wordAt(bytes, at + 8))
      fourth = round(fourth, wordAt(bytes, at + 12))
    }
    hash = rotated(first, 1) + rotated(second, 7) + rotated(third, 12) + rotated(fourth, 18)
  }
  hash = (hash + (end - start)) | 0
  for (; at + 4 <= end; at += 4) {
    hash = Math.imul(rotated(hash + Math.imul(wordAt(bytes, at), PRIME_3), 17), PRIME_4)
  }
  for (; at < end; at += 1) {
    hash = Math.imul(rotated(hash + Math.imul(bytes[at] as number, PRIME_5), 11), PRIME_1)
  }
  return avalanche(hash)
}

function round(lane: number, word: number): number {
  return Math.imul(rotated(lane + Math.imul(word, PRIME_2), 13), PRIME_1)
}

function avalanche(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 15), PRIME_2)
  mixed = Math.imul(mixed ^ (mixed >>> 13), PRIME_3)
  return (mixed ^ (mixed >>> 16)) >>> 0
}

function rotated(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

/** Little-endian. */
function wordAt(bytes: Uint8Array, at: number): number {
  const low = (bytes[at] as number) | ((bytes[at + 1] as number) << 8)
  return low | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24)
}
