import type { BatchHeader } from '../codec/batch.ts'
import { BATCH_HEADER_BYTES, readBatchHeader } from '../codec/batch.ts'
import { BatchFormatError, decodeRecordRun, decodeRecords } from '../codec/batch-decoder.ts'
import { CODEC_NONE, decompress } from '../codec/compression.ts'
import { CorruptLogError, LogError } from '../errors.ts'
import type { Page, PageRequest, RecordRun } from '../storage/page.ts'
import { LOOKUP_RECORDS } from '../storage/page-reader.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { MAX_DECOMPRESSED_BYTES } from '../storage/time-lookup.ts'
import type { LogRecord } from '../types.ts'
import { RecordCollector } from './log-record.ts'
import type { Topic } from './topic.ts'

/** Records, and where to read on: past control batches, gaps and skipped damage. */
export interface RecordPage {
  readonly records: LogRecord[]
  readonly nextOffset: number
}

/**
 * Decodes the records of one page. A batch that cannot be read ends it: the records before the batch are given, and the
 * read that begins with the batch throws. Call `advance` until it answers true, and `inflate` each time it does not.
 */
export class PageDecoder implements RecordPage {
  nextOffset: number
  readonly #log: PartitionLog
  readonly #page: Page
  readonly #request: PageRequest
  readonly #collector: RecordCollector
  /** Where the next batch stands in the page; its end where there is nothing more to do. */
  #at: number

  constructor(topic: Topic, log: PartitionLog, page: Page, request: PageRequest) {
    const { name, key, serializer } = topic.codec
    this.#log = log
    this.#page = page
    this.#request = request
    this.#collector = new RecordCollector(name, log.partition, key, serializer)
    this.#at = page.start
    this.nextOffset = page.start === page.end ? page.nextOffset : request.offset
  }

  get records(): LogRecord[] {
    return this.#collector.records
  }

  /** Goes on to the end of the page or of what is wanted; answers with false in front of a compressed batch. */
  advance(): boolean {
    const page = this.#page
    while (this.#at < page.end && this.records.length < this.#request.maxRecords) {
      if (page.run !== undefined) {
        this.#decodeRun(page.run)
        break
      }
      const header = readBatchHeader(page.buffer, this.#at)
      if (header.isControl) this.#pass(header)
      else if (header.codec !== CODEC_NONE) return false
      else {
        const start = this.#at + BATCH_HEADER_BYTES
        this.#decode(header, page.buffer, start, this.#at + header.sizeBytes)
      }
    }
    return true
  }

  /** Decompresses and decodes the batch that `advance` stopped at. */
  async inflate(): Promise<void> {
    const { buffer } = this.#page
    const header = readBatchHeader(buffer, this.#at)
    const start = this.#at + BATCH_HEADER_BYTES
    const compressed = buffer.subarray(start, this.#at + header.sizeBytes)
    let records: Buffer
    try {
      records = await decompress(header.codec, compressed, MAX_DECOMPRESSED_BYTES)
    } catch (error) {
      const isUnsupported = error instanceof LogError && error.code === 'UNSUPPORTED_CODEC'
      this.#refuse(header, isUnsupported ? this.#unsupported(header, error) : this.#corrupt(error))
      return
    }
    this.#decode(header, records, 0, records.length)
  }

  #decode(header: BatchHeader, bytes: Buffer, start: number, end: number): void {
    const { offset, maxRecords } = this.#request
    const { records } = this
    const before = records.length
    const wanted = maxRecords - before
    this.#collector.turnTo(bytes)
    try {
      decodeRecords(bytes, start, end, header, offset, wanted, this.#collector)
    } catch (error) {
      records.length = before
      this.#refuse(header, this.#corrupt(error))
      return
    }
    const last = records[records.length - 1]
    const isCut = records.length === maxRecords && last !== undefined
    const nextOffset = isCut ? last.offset + 1 : header.lastOffset + 1
    const isPart = offset > header.baseOffset || nextOffset <= header.lastOffset
    if (isPart && maxRecords <= LOOKUP_RECORDS && header.codec === CODEC_NONE) this.#remember()
    this.nextOffset = nextOffset
    this.#at += header.sizeBytes
  }

  #decodeRun({ table, count }: RecordRun): void {
    const { buffer, start, end, nextOffset } = this.#page
    const { header } = table
    this.#collector.turnTo(buffer)
    try {
      decodeRecordRun(buffer, start, end, header, count, this.#collector)
      this.nextOffset = nextOffset
      this.#at = end
    } catch (error) {
      this.records.length = 0
      this.#refuse(header, this.#corrupt(error))
    }
  }

  #pass(header: BatchHeader): void {
    this.nextOffset = header.lastOffset + 1
    this.#at = this.#page.run === undefined ? this.#at + header.sizeBytes : this.#page.end
  }

  /** The batch cannot be read: it is passed where the reader wants that, else it ends the page. */
  #refuse(header: BatchHeader, error: Error): void {
    if (this.#request.onCorrupt === 'skip') this.#pass(header)
    else if (this.records.length === 0) throw error
    else this.#at = this.#page.end
  }

  #remember(): void {
    try {
      this.#log.remember(this.#page, this.#at)
    } catch (error) {
      // The records asked for are sound; who comes to the others is told.
      if (!(error instanceof BatchFormatError)) throw error
    }
  }

  /** Of the batch at hand, in its file. */
  get #position(): number {
    const { position, start, run } = this.#page
    if (run !== undefined) return position - run.table.positionOf(this.#request.offset)
    return position + this.#at - start
  }

  #corrupt(error: unknown): Error {
    if (!(error instanceof BatchFormatError)) throw error
    const { path } = this.#page.segment.file
    return new CorruptLogError(path, this.#position, error.message, { cause: error })
  }

  #unsupported({ baseOffset, lastOffset }: BatchHeader, cause: LogError): LogError {
    const batch = `the batch at byte ${this.#position} of ${this.#page.segment.file.path}`
    return new LogError(
      'UNSUPPORTED_CODEC',
      `${this.#log.name}, offsets ${baseOffset} to ${lastOffset}: ${batch} cannot be read: ${cause.message}`,
      { cause },
    )
  }
}
