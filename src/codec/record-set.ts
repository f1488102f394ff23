import type { RecordHeaders } from '../types.ts'

/**
 * The serialized records of one call to one partition, as parallel arrays (no object a record).
 * `headers` and `timestamps` are left out where no record has any.
 */
export interface RecordSet {
  /** A string is encoded as UTF-8 when it is written. */
  readonly keys: readonly (string | Uint8Array | null)[]
  readonly values: readonly (Uint8Array | null)[]
  readonly headers: readonly (RecordHeaders | undefined)[] | undefined
  /** Milliseconds; undefined: the time of the append. */
  readonly timestamps: readonly (number | undefined)[] | undefined
}
