import type { BatchHeader } from '../../src/codec/batch.ts'
import { BATCH_HEADER_BYTES, readBatchHeader } from '../../src/codec/batch.ts'
import type { RecordSink } from '../../src/codec/batch-decoder.ts'
import { decodeRecords, readHeaders } from '../../src/codec/batch-decoder.ts'
import type { ReadHeaders } from '../../src/types.ts'

export interface DecodedRecord {
  offset: number
  timestamp: number
  key: Buffer | null
  value: Buffer | null
  headers: ReadHeaders
}

/** Keeps every record it is given. */
export class Collector implements RecordSink {
  readonly records: DecodedRecord[] = []

  record(
    offset: number,
    timestamp: number,
    page: Buffer,
    keyStart: number,
    keyLength: number,
    valueStart: number,
    valueLength: number,
    headersStart: number,
    headerCount: number,
  ): void {
    this.records.push({
      offset,
      timestamp,
      key: keyLength < 0 ? null : page.subarray(keyStart, keyStart + keyLength),
      value: valueLength < 0 ? null : page.subarray(valueStart, valueStart + valueLength),
      headers: readHeaders(page, headersStart, headerCount),
    })
  }
}

/** Header and all records of the batch without compression at `at`. */
export function decodeBatch(
  buffer: Buffer,
  at: number = 0,
): { header: BatchHeader; records: DecodedRecord[] } {
  const header = readBatchHeader(buffer, at)
  const collector = new Collector()
  const end = at + header.sizeBytes
  decodeRecords(
    buffer,
    at + BATCH_HEADER_BYTES,
    end,
    header,
    0,
    Number.POSITIVE_INFINITY,
    collector,
  )
  return { header, records: collector.records }
}
