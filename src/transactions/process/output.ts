/** What handlers come to: records for one partition, serialized, with bytes of their own. */
import { BATCH_HEADER_BYTES } from '../../codec/batch.ts'
import { CONTROL_BATCH_BYTES, encodedSizeBound } from '../../codec/batch-encoder.ts'
import type { Compression } from '../../codec/compression-choice.ts'
import type { RecordSet } from '../../codec/record-set.ts'
import { copyBytes, copyHeaders } from '../../storage/admission.ts'
import { largestBatchBytes, requireFits } from '../../storage/batch-limit.ts'
import type { PartitionLog } from '../../storage/partition-log.ts'
import type { Topic } from '../../topics/topic.ts'
import type { RecordHeaders } from '../../types.ts'
import type { TransactionWrite } from '../types.ts'

export interface Output {
  readonly log: PartitionLog
  readonly set: RecordSet
  readonly compression: Compression | undefined
  /** At least what they take in a batch. */
  readonly bytes: number
}

/**
 * Takes the records of a call for one partition. Throws `MessageTooLargeError` for what no batch takes: it is the handler's failure, and not that
 * of a whole transaction. `now` is the time of records without a timestamp.
 */
export function outputOf(
  topic: Topic,
  partition: number,
  set: RecordSet,
  compression: Compression | undefined,
  now: number,
): Output {
  const log = topic.partition(partition)
  const bytes = encodedSizeBound(set)
  if (bytes + BATCH_HEADER_BYTES > largestBatchBytes(log.config, CONTROL_BATCH_BYTES)) {
    requireFits(log.name, set, bytes, now, log.config, CONTROL_BATCH_BYTES)
  }
  // What a serializer has made is its own; the caller may change the rest when the handler has ended.
  const isCallers = topic.codec.serializer.name === 'bytes'
  return { log, set: kept(set, isCallers), compression, bytes }
}

function kept(set: RecordSet, isCallers: boolean): RecordSet {
  const { keys, values, headers, timestamps } = set
  return {
    keys: keys.some((key) => typeof key === 'object' && key !== null) ? keys.map(keptKey) : keys,
    values: isCallers ? values.map(copyBytes) : values,
    headers: headers?.map(copyHeaders),
    timestamps,
  }
}

function keptKey(key: string | Uint8Array | null): string | Uint8Array | null {
  return typeof key === 'string' ? key : copyBytes(key)
}

/** What a transaction writes of its outputs: first what is more than one batch of a partition takes, then a last batch of each. */
export interface OutputWrites {
  readonly before: readonly TransactionWrite[]
  readonly last: readonly TransactionWrite[]
}

/** Gathers outputs into batches, in their order in each partition. */
export function writesOf(outputs: readonly Output[]): OutputWrites {
  const before: TransactionWrite[] = []
  const last = new Map<PartitionLog, Gathered>()
  for (const output of outputs) {
    const { log, compression, bytes } = output
    let batch = last.get(log)
    if (batch?.takes(compression, bytes) !== true) {
      if (batch !== undefined) before.push(batch)
      batch = new Gathered(log, compression)
      last.set(log, batch)
    }
    batch.add(output)
  }
  return { before, last: [...last.values()] }
}

class Gathered implements TransactionWrite {
  readonly log: PartitionLog
  readonly compression: Compression | undefined
  readonly expectedOffset = -1
  readonly #keys: (string | Uint8Array | null)[] = []
  readonly #values: (Uint8Array | null)[] = []
  #headers: (RecordHeaders | undefined)[] | undefined
  #timestamps: (number | undefined)[] | undefined
  #bytes = BATCH_HEADER_BYTES

  constructor(log: PartitionLog, compression: Compression | undefined) {
    this.log = log
    this.compression = compression
  }

  get set(): RecordSet {
    return {
      keys: this.#keys,
      values: this.#values,
      headers: this.#headers,
      timestamps: this.#timestamps,
    }
  }

  takes(compression: Compression | undefined, bytes: number): boolean {
    const limit = largestBatchBytes(this.log.config, CONTROL_BATCH_BYTES)
    return this.compression === compression && this.#bytes + bytes <= limit
  }

  add({ set, bytes }: Output): void {
    const { keys, values, headers, timestamps } = set
    const before = this.#values.length
    if (headers !== undefined) this.#headers ??= new Array<undefined>(before).fill(undefined)
    if (timestamps !== undefined) this.#timestamps ??= new Array<undefined>(before).fill(undefined)
    for (let index = 0; index < values.length; index += 1) {
      this.#keys.push(keys[index] ?? null)
      this.#values.push(values[index] ?? null)
      this.#headers?.push(headers?.[index])
      this.#timestamps?.push(timestamps?.[index])
    }
    this.#bytes += bytes
  }
}
