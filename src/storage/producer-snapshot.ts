/**
 * `.snapshot`: a partition's producers as of the offset in the file's name. Big-endian; source: Kafka's `ProducerStateManager`.
 *
 *   0         2            6       10
 *   | version | crc uint32 | count | entries …            version is 1, the CRC-32C covers byte 6 to the end
 *
 *   0            8       10             14           22            26          34                 38
 *   | producerId | epoch | lastSequence | lastOffset | offsetDelta | timestamp | coordinatorEpoch | currentTxnFirstOffset |   46 bytes
 *
 * -1 in lastSequence, lastOffset and currentTxnFirstOffset means none; a file without producers is 10 bytes.
 */
import { crc32c } from '../codec/crc32c.ts'
import { readInt64, writeInt64 } from '../codec/int64.ts'
import { CorruptLogError } from '../errors.ts'

const VERSION = 1
const CRC_AT = 2
const COUNT_AT = 6
const HEADER_BYTES = 10
const ENTRY_BYTES = 46

export interface ProducerSnapshotEntry {
  readonly producerId: number
  readonly producerEpoch: number
  /** -1: no marker yet. */
  readonly coordinatorEpoch: number
  /** Of its last batch or marker, milliseconds. */
  readonly lastTimestamp: number
  /** Undefined: no transaction is open. */
  readonly currentTxnFirstOffset: number | undefined
  /** -1: none. */
  readonly lastSequence: number
  /** -1: no batch of the present epoch. */
  readonly lastOffset: number
  /** lastOffset less the batch's first offset. */
  readonly offsetDelta: number
}

export function encodeSnapshot(entries: readonly ProducerSnapshotEntry[]): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + entries.length * ENTRY_BYTES)
  bytes.writeInt16BE(VERSION, 0)
  bytes.writeInt32BE(entries.length, COUNT_AT)
  let at = HEADER_BYTES
  for (const entry of entries) {
    writeInt64(bytes, at, entry.producerId)
    bytes.writeInt16BE(entry.producerEpoch, at + 8)
    bytes.writeInt32BE(entry.lastSequence, at + 10)
    writeInt64(bytes, at + 14, entry.lastOffset)
    bytes.writeInt32BE(entry.offsetDelta, at + 22)
    writeInt64(bytes, at + 26, entry.lastTimestamp)
    bytes.writeInt32BE(entry.coordinatorEpoch, at + 34)
    writeInt64(bytes, at + 38, entry.currentTxnFirstOffset ?? -1)
    at += ENTRY_BYTES
  }
  bytes.writeUInt32BE(crc32c(bytes, COUNT_AT, bytes.length), CRC_AT)
  return bytes
}

/** @throws CorruptLogError naming `file` where length, version, CRC or an entry is wrong. */
export function decodeSnapshot(bytes: Buffer, file: string): ProducerSnapshotEntry[] {
  if (bytes.length < HEADER_BYTES)
    throw new CorruptLogError(file, 0, 'it is shorter than its header')
  const version = bytes.readInt16BE(0)
  if (version !== VERSION) throw new CorruptLogError(file, 0, `version ${version} is not known`)
  if (crc32c(bytes, COUNT_AT, bytes.length) !== bytes.readUInt32BE(CRC_AT)) {
    throw new CorruptLogError(file, CRC_AT, 'the CRC does not fit')
  }
  const count = bytes.readInt32BE(COUNT_AT)
  if (HEADER_BYTES + count * ENTRY_BYTES !== bytes.length) {
    throw new CorruptLogError(
      file,
      COUNT_AT,
      `${count} producers do not make ${bytes.length} bytes`,
    )
  }
  const entries: ProducerSnapshotEntry[] = []
  for (let at = HEADER_BYTES; at < bytes.length; at += ENTRY_BYTES) {
    entries.push(decodeEntry(bytes, at, file))
  }
  return entries
}

function decodeEntry(bytes: Buffer, at: number, file: string): ProducerSnapshotEntry {
  const firstOffset = readInt64(bytes, at + 38)
  const entry = {
    producerId: readInt64(bytes, at),
    producerEpoch: bytes.readInt16BE(at + 8),
    coordinatorEpoch: bytes.readInt32BE(at + 34),
    lastTimestamp: readInt64(bytes, at + 26),
    currentTxnFirstOffset: firstOffset < 0 ? undefined : firstOffset,
    lastSequence: bytes.readInt32BE(at + 10),
    lastOffset: readInt64(bytes, at + 14),
    offsetDelta: bytes.readInt32BE(at + 22),
  }
  const numbers = [entry.producerId, entry.lastTimestamp, entry.lastOffset, firstOffset]
  if (!numbers.every(Number.isSafeInteger)) {
    throw new CorruptLogError(file, at, 'a number is beyond 2^53 - 1')
  }
  return entry
}
