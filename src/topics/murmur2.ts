/**
 * MurmurHash2, 32 bits, as Kafka's `Utils.murmur2`: seed 0x9747b28c, little-endian words.
 * Kafka's default partitioner hashes keys with it, so the same key goes to the same partition here and there.
 */

const SEED = 0x9747b28c
const M = 0x5bd1e995
const R = 24

/** The hash of the first `length` bytes, as a signed 32-bit integer. */
export function murmur2(bytes: Uint8Array, length: number): number {
  let hash = SEED ^ length
  const wordsEnd = length & ~3
  for (let i = 0; i < wordsEnd; i += 4) {
    let word = Math.imul(wordAt(bytes, i), M)
    word ^= word >>> R
    hash = Math.imul(hash, M) ^ Math.imul(word, M)
  }
  const rest = length - wordsEnd
  if (rest > 0) hash = Math.imul(hash ^ restAt(bytes, wordsEnd, rest), M)
  hash = Math.imul(hash ^ (hash >>> 13), M)
  return hash ^ (hash >>> 15)
}

function wordAt(bytes: Uint8Array, at: number): number {
  return restAt(bytes, at, 3) | (byteAt(bytes, at + 3) << 24)
}

/** One to three bytes, least significant first. */
function restAt(bytes: Uint8Array, at: number, count: number): number {
  let word = byteAt(bytes, at)
  if (count > 1) word |= byteAt(bytes, at + 1) << 8
  if (count > 2) word |= byteAt(bytes, at + 2) << 16
  return word
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] as number
}
