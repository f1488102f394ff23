// The records of the workloads: the same bytes for every contender, made from one seed.

/** Numbers in [0, 2^32) that depend on the seed alone (xorshift32, by George Marsaglia). */
function random32(seed: number): () => number {
  let state = seed | 0
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

const SEED = 20260101

export function seededBytes(length: number, seed = SEED): Buffer {
  const next = random32(seed)
  const bytes = Buffer.allocUnsafeSlow(length)
  for (let i = 0; i < length; i += 1) bytes[i] = next() & 0xff
  return bytes
}

export interface BenchRecord {
  readonly key: Buffer
  readonly value: Buffer
}

export const W1 = {
  records: 1_000_000,
  batchRecords: 1000,
  keyBytes: 16,
  valueBytes: 100,
  /** So many different batches, in turn. */
  distinctBatches: 100,
} as const

/** W1's different batches. */
export function w1Batches(): BenchRecord[][] {
  const { distinctBatches, batchRecords, keyBytes, valueBytes } = W1
  const recordBytes = keyBytes + valueBytes
  const bytes = seededBytes(distinctBatches * batchRecords * recordBytes)
  return Array.from({ length: distinctBatches }, (_, batch) =>
    Array.from({ length: batchRecords }, (_, record) => {
      const at = (batch * batchRecords + record) * recordBytes
      const key = bytes.subarray(at, at + keyBytes)
      return { key, value: bytes.subarray(at + keyBytes, at + recordBytes) }
    }),
  )
}

/** What a reader that touches every key and value of W1 must come to. */
export function w1Checksum(): number {
  let sum = 0
  for (const batch of w1Batches()) for (const { key, value } of batch) sum += touch(key, value)
  return sum * (W1.records / (W1.distinctBatches * W1.batchRecords))
}

/** Touches a key at its first byte and a value at its last. */
export function touch(key: Uint8Array, value: Uint8Array): number {
  return (key[0] as number) + (value[value.length - 1] as number)
}
