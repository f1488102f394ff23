import { LogError } from '../errors.ts'
import { wrongValue } from '../util/check.ts'
import { murmur2 } from './murmur2.ts'
import type { StickyPartitioner } from './sticky-partitioner.ts'

/** Chooses the partition, 0 to `partitionCount` - 1, of a record whose partition was not given. The key is null where there is none. */
export type Partitioner<K = unknown, V = unknown> = (
  key: K | null,
  value: V | null,
  partitionCount: number,
) => number

/** The partition that Kafka gives a key: murmur2 of its bytes, the sign bit cleared, modulo the partition count. */
export function partitionForKey(key: Uint8Array, length: number, partitionCount: number): number {
  return (murmur2(key, length) & 0x7fffffff) % partitionCount
}

/** Up to this many characters a loop beats the call into native code. */
const SHORT_KEY = 32
/** Keys of up to a third of this length, in UTF-16 units, are hashed without allocating. */
const scratch = Buffer.alloc(1024)

/** As `partitionForKey`, of a string's UTF-8. */
export function partitionForStringKey(key: string, partitionCount: number): number {
  if (key.length * 3 > scratch.length) {
    const encoded = Buffer.from(key)
    return partitionForKey(encoded, encoded.length, partitionCount)
  }
  const length = isShortAscii(key) ? key.length : scratch.write(key, 'utf8')
  return partitionForKey(scratch, length, partitionCount)
}

/** Where it answers true, the key's bytes are in `scratch`. */
function isShortAscii(key: string): boolean {
  if (key.length > SHORT_KEY) return false
  for (let i = 0; i < key.length; i += 1) {
    const unit = key.charCodeAt(i)
    if (unit >= 0x80) return false
    scratch[i] = unit
  }
  return true
}

/**
 * The partition of one record: the given one, else the custom partitioner's choice, else by key, else sticky.
 * @param key checked by `checkKey`.
 * @param sizeBytes about what the record adds to its partition; counts for the sticky choice.
 * @throws LogError UNKNOWN_PARTITION where the given one does not exist, TypeError or RangeError for a given or chosen number that is none.
 */
export function choosePartition(
  topic: string,
  partitionCount: number,
  given: number | undefined,
  key: string | Uint8Array | null,
  value: unknown,
  sizeBytes: number,
  custom: Partitioner | undefined,
  sticky: StickyPartitioner,
): number {
  if (given !== undefined) return checkPartition(topic, given, partitionCount)
  if (custom !== undefined)
    return checkChosen(topic, custom(key, value, partitionCount), partitionCount)
  if (key === null) return sticky.choose(partitionCount, sizeBytes)
  if (partitionCount === 1) return 0
  return typeof key === 'string'
    ? partitionForStringKey(key, partitionCount)
    : partitionForKey(key, key.length, partitionCount)
}

/** A partition's number that a caller gave. Throws LogError UNKNOWN_PARTITION where the topic has no such partition. */
export function checkPartition(topic: string, given: unknown, partitionCount: number): number {
  if (!Number.isInteger(given) || Number(given) < 0) {
    throw wrongValue(`${topic}: partition`, given, 'number', 'an integer of at least 0')
  }
  if (Number(given) < partitionCount) return Number(given)
  throw new LogError(
    'UNKNOWN_PARTITION',
    `${topic} has no partition ${given}; it has ${partitionCount}`,
  )
}

function checkChosen(topic: string, chosen: unknown, partitionCount: number): number {
  if (Number.isInteger(chosen) && Number(chosen) >= 0 && Number(chosen) < partitionCount) {
    return Number(chosen)
  }
  throw wrongValue(
    `${topic}: the partitioner's answer`,
    chosen,
    'number',
    `an integer from 0 to ${partitionCount - 1}`,
  )
}
