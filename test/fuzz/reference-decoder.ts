/** Kafka's record format, read the plain way: what the library decodes is held against it. */

export interface ReferenceRecord {
  readonly offset: number
  readonly timestampDelta: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [Buffer, Buffer | null])[]
}

class Malformed extends Error {}

class Reader {
  readonly #bytes: Buffer
  at: number
  end: number

  constructor(bytes: Buffer, at: number, end: number) {
    this.#bytes = bytes
    this.at = at
    this.end = end
  }

  varint(maxBytes: 5 | 10): number {
    let zigzag = 0n
    for (let index = 0; ; index += 1) {
      if (index === maxBytes || this.at >= this.end) throw new Malformed()
      const byte = this.#bytes[this.at++] as number
      zigzag |= BigInt(byte & 0x7f) << BigInt(7 * index)
      if (byte < 0x80) break
    }
    if (maxBytes === 5 && zigzag >= 2n ** 32n) throw new Malformed()
    const value = Number((zigzag >> 1n) ^ -(zigzag & 1n))
    if (!Number.isSafeInteger(value)) throw new Malformed()
    return value
  }

  take(length: number): Buffer {
    if (length < 0 || length > this.end - this.at) throw new Malformed()
    this.at += length
    return this.#bytes.subarray(this.at - length, this.at)
  }

  content(): Buffer | null {
    const length = this.varint(5)
    return length === -1 ? null : this.take(length)
  }
}

export interface ReferenceHeader {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly count: number
}

export interface ReferenceRecords {
  /** Up to the first that is malformed. */
  readonly records: readonly ReferenceRecord[]
  /** All are there, and nothing else. */
  readonly isWhole: boolean
}

/** The records of a batch, from their bytes. */
export function referenceRecords(
  bytes: Buffer,
  start: number,
  end: number,
  header: ReferenceHeader,
): ReferenceRecords {
  const records: ReferenceRecord[] = []
  const reader = new Reader(bytes, start, end)
  try {
    let previous = header.baseOffset - 1
    for (let i = 0; i < header.count; i += 1) {
      const record = readRecord(reader, header.baseOffset)
      if (record.offset <= previous || record.offset > header.lastOffset) throw new Malformed()
      previous = record.offset
      records.push(record)
    }
  } catch (error) {
    if (error instanceof Malformed) return { records, isWhole: false }
    throw error
  }
  return { records, isWhole: reader.at === end }
}

function readRecord(reader: Reader, baseOffset: number): ReferenceRecord {
  const { end } = reader
  const length = reader.varint(5)
  if (length < 6 || length > end - reader.at) throw new Malformed()
  reader.end = reader.at + length
  reader.take(1)
  const timestampDelta = reader.varint(10)
  const offset = baseOffset + reader.varint(5)
  const key = reader.content()
  const value = reader.content()
  const headers: [Buffer, Buffer | null][] = []
  const headerCount = reader.varint(5)
  if (headerCount < 0) throw new Malformed()
  for (let each = 0; each < headerCount; each += 1) {
    const name = reader.content()
    if (name === null) throw new Malformed()
    headers.push([name, reader.content()])
  }
  if (reader.at !== reader.end) throw new Malformed()
  reader.end = end
  return { offset, timestampDelta, key, value, headers }
}
