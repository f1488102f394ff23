import { RecordLayout } from './record-layout.ts'
import { VarintReader, varlongSize, writeVarint, writeVarlong } from './varint.ts'

/** Length and timestamp delta of a record, at their longest, are so much longer than at their shortest. */
const MOST_GROWTH = 4 + 7

/** Bytes that `shiftTimestamps` may need for `count` records of `bytes` bytes. */
export function shiftedBytes(bytes: number, count: number): number {
  return bytes + count * MOST_GROWTH
}

/**
 * Writes the records at [start, end) of a page to `target`, from its beginning on, with `shiftMs` added to each timestamp delta; all
 * else stays byte for byte. Answers with the bytes written. Throws a `BatchFormatError` for what is no record.
 */
export function shiftTimestamps(
  page: Buffer,
  start: number,
  end: number,
  shiftMs: number,
  target: Buffer,
): number {
  const layout = new RecordLayout()
  const reader = new VarintReader(page, start, end)
  let at = 0
  for (let position = start; position < end; ) {
    const recordEnd = layout.read(page, position, end)
    reader.position = position
    reader.readVarint()
    const attributesAt = reader.position
    reader.skip(1)
    reader.readVarlong()
    const rest = reader.position
    const delta = layout.timestampDelta + shiftMs
    const length = 1 + varlongSize(delta) + recordEnd - rest
    at = writeVarint(target, at, length)
    target[at] = page[attributesAt] as number
    at = writeVarlong(target, at + 1, delta)
    page.copy(target, at, rest, recordEnd)
    at += recordEnd - rest
    position = recordEnd
  }
  return at
}
