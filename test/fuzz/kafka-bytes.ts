/** Changes of record batches that keep the structure around them: forged header fields, checksums that fit. Apart from the library's own. */
import { crc32c } from '../../src/codec/crc32c.ts'
import type { FuzzRandom } from './fuzz-random.ts'
import { mutate, mutateInPlace } from './mutate.ts'

const HEADER_BYTES = 61
const CRC_AT = 17
const CRC_FROM = 21

export interface BatchPlace {
  readonly at: number
  readonly size: number
}

/** Walks from batch to batch by their lengths, as long as these lead on within the bytes. */
export function batchesIn(bytes: Buffer): BatchPlace[] {
  const places: BatchPlace[] = []
  for (let at = 0; at + HEADER_BYTES <= bytes.length; ) {
    const size = 12 + bytes.readInt32BE(at + 8)
    if (size < HEADER_BYTES || at + size > bytes.length) break
    places.push({ at, size })
    at += size
  }
  return places
}

/** Gives every batch the checksum of what is in it now; changes `bytes`. */
export function repairBatches(bytes: Buffer): Buffer {
  for (const { at, size } of batchesIn(bytes)) repairBatch(bytes, at, size)
  return bytes
}

export function repairBatch(bytes: Buffer, at: number, size: number): void {
  bytes.writeUInt32BE(crc32c(bytes, at + CRC_FROM, at + size), at + CRC_AT)
}

/** Where a header's fields begin, and how long they are; the CRC apart. */
const FIELDS: readonly (readonly [at: number, bytes: number])[] = [
  [0, 8],
  [8, 4],
  [12, 4],
  [16, 1],
  [21, 2],
  [23, 4],
  [27, 8],
  [35, 8],
  [43, 8],
  [51, 2],
  [53, 4],
  [57, 4],
]

/** Gives one field of a batch's header another value: a near one, or one at which code tends to break. Changes `bytes`. */
export function forgeField(random: FuzzRandom, bytes: Buffer, { at }: BatchPlace): void {
  const [fieldAt, length] = random.pick(FIELDS)
  const field = bytes.subarray(at + fieldAt, at + fieldAt + length)
  if (field.length < length) return
  const before = BigInt.asIntN(length * 8, BigInt(`0x${field.toString('hex')}`))
  const value = random.chance(0.4) ? before + BigInt(random.below(9) - 4) : random.integer()
  const wide = Buffer.alloc(8)
  wide.writeBigInt64BE(BigInt.asIntN(64, value))
  wide.copy(field, 0, 8 - length)
}

/** Changes batches, in half of the cases so that their checksums fit. */
export function mutateBatches(
  random: FuzzRandom,
  original: Buffer,
  others: readonly Buffer[] = [],
): Buffer {
  let bytes: Buffer = Buffer.from(original)
  if (random.chance(0.4)) {
    const places = batchesIn(bytes)
    if (places.length > 0) forgeField(random, bytes, random.pick(places))
  } else if (random.chance(0.5)) bytes = mutateRecords(random, bytes)
  else bytes = Buffer.from(mutate(random, bytes, others))
  return random.chance(0.5) ? repairBatches(bytes) : bytes
}

/** Leaves the headers as they are. */
function mutateRecords(random: FuzzRandom, bytes: Buffer): Buffer {
  const places = batchesIn(bytes)
  if (places.length === 0) return mutate(random, bytes)
  const { at, size } = random.pick(places)
  const [from, to] = [at + HEADER_BYTES, at + size]
  const records = mutateInPlace(random, bytes.subarray(from, to))
  return Buffer.concat([bytes.subarray(0, from), records, bytes.subarray(to)])
}
