/** What handlers come to: records for one partition, serialized, with bytes of their own. */
import { BATCH_HEADER_BYTES } from '../../codec/batch.ts'
import { CONTROL_BATCH_BYTES, encodedSizeBound } from '../../codec/batch-encoder.ts'
import type { Compression } from '../../codec/compression-choice.ts'
import type { RecordSet } from '../../codec/record-set.ts'
import { copyAll, copyHeaders } from '../../storage/admission.ts'
import { largestBatchBytes, requireFits } from '../../storage/batch-limit.ts'
import type { PartitionLog } from '../../storage/partition-log.ts'
import { hasPlainValue } from '../../topics/log-record.ts'
import type { Topic } from '../../topics/topic.ts'
import { JoinedWrite } from '../joined-write.ts'
import type { TransactionWrite } from '../types.ts'
import type { Consumed } from './seams.ts'

export interface Output {
  readonly log: PartitionLog
  readonly set: RecordSet
  readonly compression: Compression | undefined
  /** At least what they take in a batch. */
  readonly bytes: number
}

/**
 * Takes the records of a call for one partition. Throws `MessageTooLargeError` for what no batch takes: it is the handler's failure, and not that
 * of a whole transaction. `now` is the time of records without a timestamp; `given` are records that the handler was called with.
 */
export function outputOf(
  topic: Topic,
  partition: number,
  set: RecordSet,
  compression: Compression | undefined,
  now: number,
  given: readonly Consumed[] = [],
): Output {
  const log = topic.partition(partition)
  const bytes = encodedSizeBound(set)
  if (bytes + BATCH_HEADER_BYTES > largestBatchBytes(log.config, CONTROL_BATCH_BYTES)) {
    requireFits(log.name, set, bytes, now, log.config, CONTROL_BATCH_BYTES)
  }
  // What a serializer has made is its own; the caller may change the rest when the handler has ended.
  const isCallers = topic.codec.serializer.name === 'bytes'
  return { log, set: kept(set, isCallers, given), compression, bytes }
}

function kept(set: RecordSet, isCallers: boolean, given: readonly Consumed[]): RecordSet {
  const { keys, values, headers, timestamps } = set
  return {
    keys: copyAll(keys, isPassedOn(given, 'key')),
    values: isCallers ? copyAll(values, isPassedOn(given, 'value')) : values,
    headers: headers?.map(copyHeaders),
    timestamps,
  }
}

/** So many records that were left out are looked past. */
const MAX_LEFT_OUT = 32

/** Whether bytes are those of a record that was read, which nobody changes. They are told in the order of the records, where at all. */
function isPassedOn(
  given: readonly Consumed[],
  field: 'key' | 'value',
): ((bytes: Uint8Array) => boolean) | undefined {
  const [first] = given
  // A value that is decoded when it is asked for is not to be for this.
  if (first === undefined || (field === 'value' && !hasPlainValue(first))) return undefined
  if (given.length === 1) return (bytes) => first[field] === bytes
  let next = 0
  return (bytes) => {
    const end = Math.min(given.length, next + MAX_LEFT_OUT)
    for (let at = next; at < end; at += 1) {
      if (given[at]?.[field] !== bytes) continue
      next = at
      return true
    }
    return false
  }
}

/** What a transaction writes of its outputs: first what is more than one batch of a partition takes, then a last batch of each. */
export interface OutputWrites {
  readonly before: readonly TransactionWrite[]
  readonly last: readonly TransactionWrite[]
}

/** Gathers outputs into batches, in their order in each partition. */
export function writesOf(outputs: readonly Output[]): OutputWrites {
  const before: TransactionWrite[] = []
  const last = new Map<PartitionLog, JoinedWrite>()
  for (const output of outputs) {
    const { log, compression, set, bytes } = output
    const batch = last.get(log)
    if (batch?.takes(compression, bytes) === true) batch.add(set, bytes)
    else {
      if (batch !== undefined) before.push(batch)
      last.set(log, new JoinedWrite(log, compression, set, bytes))
    }
  }
  return { before, last: [...last.values()] }
}
