// Records of which many have the same key, for compaction: values of the data set under keys that are drawn from a seed.
import type { BenchRecord, Dataset } from './records.ts'

const KEY_START = 'key-'
const KEY_DIGITS = 12

export class KeyedRecords {
  readonly #dataset: Dataset
  readonly #keys: number

  constructor(dataset: Dataset, keys: number) {
    this.#dataset = dataset
    this.#keys = keys
  }

  /** Which key the record at an offset has: the offset's digest by the end of MurmurHash3, by Austin Appleby. */
  keyOf(offset: number): number {
    let word = offset + 1
    word = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
    word = Math.imul(word ^ (word >>> 13), 0xc2b2ae35)
    return ((word ^ (word >>> 16)) >>> 0) % this.#keys
  }

  valueOf(offset: number): Buffer {
    return this.#dataset.record(offset).value
  }

  /** Batches of records one after another, up to an offset. */
  *batches(records: number, batchRecords: number): Generator<BenchRecord[]> {
    const keys = this.#allKeys()
    for (let first = 0; first < records; first += batchRecords) {
      const count = Math.min(batchRecords, records - first)
      yield Array.from({ length: count }, (_, index) => {
        const offset = first + index
        return { key: keys(this.keyOf(offset)), value: this.valueOf(offset) }
      })
    }
  }

  record(offset: number): BenchRecord {
    return { key: Buffer.from(keyText(this.keyOf(offset))), value: this.valueOf(offset) }
  }

  /** By key, its last offset; -1 where no record has it. */
  lastOffsets(records: number): Float64Array {
    const last = new Float64Array(this.#keys).fill(-1)
    for (let offset = 0; offset < records; offset += 1) last[this.keyOf(offset)] = offset
    return last
  }

  /** Views on one buffer: a million buffers would take longer to make than the records to append. */
  #allKeys(): (key: number) => Buffer {
    const length = KEY_START.length + KEY_DIGITS
    const bytes = Buffer.allocUnsafeSlow(this.#keys * length)
    for (let key = 0; key < this.#keys; key += 1) bytes.write(keyText(key), key * length, 'latin1')
    return (key) => bytes.subarray(key * length, (key + 1) * length)
  }
}

function keyText(key: number): string {
  return KEY_START + String(key).padStart(KEY_DIGITS, '0')
}
