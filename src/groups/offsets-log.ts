import type { BatchHeader } from '../codec/batch.ts'
import {
  BATCH_HEADER_BYTES,
  batchSizeAt,
  CONTROL_COMMIT,
  readBatchHeader,
  readControlRecord,
} from '../codec/batch.ts'
import type { RecordSink } from '../codec/batch-decoder.ts'
import { BatchFormatError, decodeRecords } from '../codec/batch-decoder.ts'
import { CODEC_NONE } from '../codec/codec-names.ts'
import type { Codecs } from '../codec/codecs.ts'
import type { RecordSet } from '../codec/record-set.ts'
import { AppendCall } from '../storage/append-call.ts'
import type { Page } from '../storage/page.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability } from '../types.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { AppendedRecords, OffsetsPartition, ScannedRecord } from './offsets-partition.ts'

const PAGE_BYTES = 1024 * 1024

/** A partition of `__consumer_offsets`, as the offset store sees it. */
export class OffsetsLog implements OffsetsPartition {
  readonly #log: PartitionLog

  constructor(log: PartitionLog) {
    this.#log = log
  }

  get logStartOffset(): number {
    return this.#log.logStartOffset
  }

  get logEndOffset(): number {
    return this.#log.logEndOffset
  }

  append(records: RecordSet, durability: Durability | undefined): Promise<AppendedRecords> {
    return new Promise((resolve, reject) => {
      const call = new OffsetsCall(durability ?? this.#log.config.durability, resolve, reject)
      this.#log.append(records, call)
    })
  }

  /** Damaged batches are passed: what can be read of a group's offsets is better than none. */
  async *scan(): AsyncGenerator<ScannedRecord> {
    const end = this.#log.logEndOffset
    for (let offset = this.#log.logStartOffset; offset < end; ) {
      const page = await this.#log.read({
        offset,
        end,
        maxBytes: PAGE_BYTES,
        maxRecords: Number.POSITIVE_INFINITY,
        onCorrupt: 'skip',
      })
      for (let at = page.start; at < page.end; at += batchSizeAt(page.buffer, at)) {
        yield* await readableRecords(this.#log.codecs, page, at, offset)
        if (turnIsLong()) await nextTurn()
      }
      if (page.nextOffset <= offset) return
      offset = page.nextOffset
    }
  }
}

class OffsetsCall extends AppendCall {
  readonly #resolve: (appended: AppendedRecords) => void
  readonly #reject: (error: Error) => void

  constructor(
    durability: Durability,
    resolve: (appended: AppendedRecords) => void,
    reject: (error: Error) => void,
  ) {
    super(durability, -1, undefined)
    this.#resolve = resolve
    this.#reject = reject
  }

  acknowledged(): void {
    const { baseOffset, count, durability } = this
    this.#resolve({ baseOffset, lastOffset: baseOffset + count - 1, durability })
  }

  failed(error: Error): void {
    this.#reject(error)
  }
}

/** A batch whose CRC is right and whose records are not is damaged too. */
async function readableRecords(
  codecs: Codecs,
  page: Page,
  at: number,
  fromOffset: number,
): Promise<ScannedRecord[]> {
  try {
    return await recordsOf(codecs, page, at, fromOffset)
  } catch (error) {
    if (error instanceof BatchFormatError) return []
    throw error
  }
}

async function recordsOf(
  codecs: Codecs,
  page: Page,
  at: number,
  fromOffset: number,
): Promise<ScannedRecord[]> {
  const header = readBatchHeader(page.buffer, at)
  const sink = new ScannedRecords(header)
  if (header.isControl) {
    const marker = readControlRecord(page.buffer, at)
    if (marker === undefined || marker.type > CONTROL_COMMIT) return []
    return [sink.marker(marker.type === CONTROL_COMMIT ? 'commit' : 'abort')]
  }
  const start = at + BATCH_HEADER_BYTES
  const end = at + header.sizeBytes
  const plain = header.codec === CODEC_NONE
  const records = plain
    ? page.buffer
    : await codecs.decompress(header.codec, page.buffer.subarray(start, end))
  const [from, to] = plain ? [start, end] : [0, records.length]
  decodeRecords(records, from, to, header, fromOffset, Number.POSITIVE_INFINITY, sink)
  return sink.records
}

class ScannedRecords implements RecordSink {
  readonly records: ScannedRecord[] = []
  readonly #header: BatchHeader

  constructor(header: BatchHeader) {
    this.#header = header
  }

  record(
    offset: number,
    timestamp: number,
    page: Buffer,
    keyStart: number,
    keyLength: number,
    valueStart: number,
    valueLength: number,
  ): void {
    const key = keyLength < 0 ? null : page.subarray(keyStart, keyStart + keyLength)
    const value = valueLength < 0 ? null : page.subarray(valueStart, valueStart + valueLength)
    this.records.push({ ...this.#batch(), offset, timestamp, key, value, control: undefined })
  }

  marker(control: 'commit' | 'abort'): ScannedRecord {
    const { baseOffset: offset, maxTimestamp: timestamp } = this.#header
    return { ...this.#batch(), offset, timestamp, key: null, value: null, control }
  }

  #batch(): Pick<ScannedRecord, 'producerId' | 'producerEpoch' | 'isTransactional'> {
    const { producerId, producerEpoch, isTransactional } = this.#header
    return { producerId, producerEpoch, isTransactional }
  }
}
