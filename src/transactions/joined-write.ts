import { BATCH_HEADER_BYTES } from '../codec/batch.ts'
import { CONTROL_BATCH_BYTES } from '../codec/batch-encoder.ts'
import type { Compression } from '../codec/compression-choice.ts'
import type { RecordSet } from '../codec/record-set.ts'
import { largestBatchBytes } from '../storage/batch-limit.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { RecordHeaders } from '../types.ts'
import type { TransactionWrite } from './types.ts'

/** A set of records as it is, or several that are joined, with room left for a marker. `bytes` is at least what a set takes in a batch. */
export class JoinedWrite implements TransactionWrite {
  readonly log: PartitionLog
  readonly compression: Compression | undefined
  readonly expectedOffset = -1
  /** The first one, until there are more. */
  set: RecordSet
  #joined: JoinedSet | undefined
  #bytes: number

  constructor(
    log: PartitionLog,
    compression: Compression | undefined,
    set: RecordSet,
    bytes: number,
  ) {
    this.log = log
    this.compression = compression
    this.set = set
    this.#bytes = BATCH_HEADER_BYTES + bytes
  }

  /** Whether one more makes a batch with those that there are. */
  takes(compression: Compression | undefined, bytes: number): boolean {
    const limit = largestBatchBytes(this.log.config, CONTROL_BATCH_BYTES)
    return this.compression === compression && this.#bytes + bytes <= limit
  }

  add(set: RecordSet, bytes: number): void {
    if (this.#joined === undefined) {
      this.#joined = new JoinedSet()
      this.#joined.add(this.set)
      this.set = this.#joined
    }
    this.#joined.add(set)
    this.#bytes += bytes
  }
}

class JoinedSet implements RecordSet {
  readonly keys: (string | Uint8Array | null)[] = []
  readonly values: (Uint8Array | null)[] = []
  headers: (RecordHeaders | undefined)[] | undefined
  timestamps: (number | undefined)[] | undefined

  add({ keys, values, headers, timestamps }: RecordSet): void {
    const before = this.values.length
    if (headers !== undefined) this.headers ??= new Array<undefined>(before).fill(undefined)
    if (timestamps !== undefined) this.timestamps ??= new Array<undefined>(before).fill(undefined)
    for (let index = 0; index < values.length; index += 1) {
      this.keys.push(keys[index] ?? null)
      this.values.push(values[index] ?? null)
      this.headers?.push(headers?.[index])
      this.timestamps?.push(timestamps?.[index])
    }
  }
}
