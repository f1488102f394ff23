// The records of the workloads: the same bytes for every program, drawn from one seed.
import type { Parameters } from '../trials/types.ts'
import { flightRecords } from './flights.ts'

export interface BenchRecord {
  /** Null where the workload's records have no key. */
  readonly key: Buffer | null
  readonly value: Buffer
}

type Shape = Pick<Parameters, 'batchRecords' | 'keyBytes' | 'valueBytes' | 'content'>

/** So many different batches, in turn: few enough that they do not count as the programs' memory. */
const DISTINCT_BATCHES = 20
const SEED = 20260101

/** Numbers in [0, 2^32) that depend on the seed alone (xorshift32, by George Marsaglia). */
export function random32(seed: number = SEED): () => number {
  let state = seed | 0
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state >>> 0
  }
}

function seededBytes(length: number): Buffer {
  const next = random32()
  const bytes = Buffer.allocUnsafeSlow(length)
  for (let i = 0; i < length; i += 1) bytes[i] = next() & 0xff
  return bytes
}

function seededRecords(count: number, keyBytes: number, valueBytes: number): BenchRecord[] {
  const recordBytes = keyBytes + valueBytes
  const bytes = seededBytes(count * recordBytes)
  return Array.from({ length: count }, (_, index) => {
    const at = index * recordBytes
    const key = keyBytes > 0 ? bytes.subarray(at, at + keyBytes) : null
    return { key, value: bytes.subarray(at + keyBytes, at + recordBytes) }
  })
}

/** The records of a workload by their offset. */
export class Dataset {
  readonly batches: readonly (readonly BenchRecord[])[]
  readonly #records: readonly BenchRecord[]
  /** The first three bytes of each key. */
  readonly #keyStarts: Uint32Array
  readonly #keyBytes: number

  constructor({ batchRecords, keyBytes, valueBytes, content }: Shape) {
    // A workload of single records still has many different ones.
    const distinct = Math.max(DISTINCT_BATCHES, Math.ceil(1000 / batchRecords))
    const count = distinct * batchRecords
    this.#records =
      content === 'flights'
        ? flightRecords().slice(0, count)
        : seededRecords(count, keyBytes, valueBytes)
    this.batches = Array.from({ length: distinct }, (_, batch) =>
      this.#records.slice(batch * batchRecords, (batch + 1) * batchRecords),
    )
    this.#keyBytes = keyBytes
    this.#keyStarts = Uint32Array.from(this.#records, ({ key }) => key?.readUIntBE(0, 3) ?? 0)
  }

  batch(index: number): readonly BenchRecord[] {
    return this.batches[index % this.batches.length] as readonly BenchRecord[]
  }

  record(offset: number): BenchRecord {
    return this.#records[offset % this.#records.length] as BenchRecord
  }

  /** Throws unless a key, which must have at least 3 bytes, is that of the record at an offset. */
  checkKey(offset: number, key: Uint8Array): void {
    const index = offset % this.#records.length
    const start = ((key[0] as number) << 16) | ((key[1] as number) << 8) | (key[2] as number)
    if (start !== this.#keyStarts[index] || key.length !== this.#keyBytes)
      throw new Error(`at offset ${offset} another key was read`)
  }

  /** What a reader that touches the records up to `count` must come to. */
  checksum(count: number): number {
    const sums = this.#records.map(({ key, value }) => touch(key, value))
    const whole = Math.floor(count / sums.length)
    const sumOf = (values: readonly number[]): number => values.reduce((sum, each) => sum + each, 0)
    return whole * sumOf(sums) + sumOf(sums.slice(0, count % sums.length))
  }
}

/** Touches a key at its first byte and a value at its last. */
export function touch(key: Uint8Array | null | undefined, value: Uint8Array): number {
  const last = value[value.length - 1] as number
  return key == null ? last : (key[0] as number) + last
}

/** For values that have their key in front. */
export function touchJoined(joined: Uint8Array): number {
  return (joined[0] as number) + (joined[joined.length - 1] as number)
}

/** A key's and value's bytes in one piece, for a store that has a key of its own. */
export function joinedBytes({ key, value }: BenchRecord): Buffer {
  return key === null ? value : Buffer.concat([key, value])
}

/** Fails the measurement. */
export function requireEqual(what: string, actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`${what} is ${actual}, not ${expected}`)
}

export function requireBytes(
  what: string,
  actual: Uint8Array | null | undefined,
  expected: Buffer,
): void {
  if (actual == null || !expected.equals(actual)) throw new Error(`${what} has other bytes`)
}
