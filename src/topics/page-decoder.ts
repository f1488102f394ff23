import type { BatchHeader } from '../codec/batch.ts'
import { BATCH_HEADER_BYTES, readBatchHeader } from '../codec/batch.ts'
import { BatchFormatError, decodeRecordRun, decodeRecords } from '../codec/batch-decoder.ts'
import { CODEC_NONE } from '../codec/codec-names.ts'
import type { RecordTable } from '../codec/record-table.ts'
import { CorruptLogError, LogError, OffsetOutOfRangeError } from '../errors.ts'
import { PIECE_BYTES } from '../storage/known-batches.ts'
import type { Page, PageRequest, RecordRun } from '../storage/page.ts'
import { LOOKUP_RECORDS } from '../storage/page-reader.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { LogRecord } from '../types.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import { RecordCollector } from './log-record.ts'
import type { Topic } from './topic.ts'

/** Records, and where to read on: past control batches, gaps and skipped damage. */
export interface RecordPage {
  readonly records: LogRecord[]
  readonly nextOffset: number
}

/** A page that was read. */
export interface ReadPage extends RecordPage {
  /** What it takes in memory, in bytes: of the page as it is stored, or of what it decompressed to, whichever is more. */
  readonly heldBytes: number
}

/**
 * Decodes the records of one page. A batch that cannot be read ends it: the records before the batch are given, and the
 * read that begins with the batch throws. Call `advance` until it answers true, and `inflate` each time it does not.
 *
 * Compressed batches count as what they decompress to: with the one that comes to `maxBytes` the page ends. One that is much
 * larger by itself, or of which only some records are wanted, is kept decompressed, and given in pieces.
 */
export class PageDecoder implements ReadPage {
  nextOffset: number
  readonly #log: PartitionLog
  readonly #page: Page
  readonly #request: PageRequest
  readonly #collector: RecordCollector
  /** Where the next batch stands in the page; its end where there is nothing more to do. */
  #at: number
  /** The batch at hand, as it is decompressed elsewhere. */
  #inflating: Promise<Buffer> | undefined
  /** The next batch, where it is decompressed already, or is being: see `#inflateNext`. */
  #next: { readonly at: number; readonly records: Buffer | Promise<Buffer> } | undefined
  #inflatedBytes = 0

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

  get heldBytes(): number {
    return Math.max(this.pageBytes, this.#inflatedBytes)
  }

  /** Of the page, as it is stored. */
  get pageBytes(): number {
    return this.#page.end - this.#page.start
  }

  /** Goes on to the end of the page or of what is wanted; answers with false where something has to be waited for. */
  advance(): boolean {
    const page = this.#page
    while (this.#at < page.end && this.records.length < this.#request.maxRecords) {
      const { run } = page
      const header = run?.table.header ?? readBatchHeader(page.buffer, this.#at)
      if (this.#passes(header)) continue
      if (run !== undefined) this.#decodeRun(run)
      else if (header.codec !== CODEC_NONE && header.count > 0) {
        if (!this.#inflateNow(header)) return false
      } else {
        const start = this.#at + BATCH_HEADER_BYTES
        this.#decode(header, page.buffer, start, this.#at + header.sizeBytes)
      }
    }
    return true
  }

  /** Waits for what `advance` stopped at, and decodes it. */
  async inflate(): Promise<void> {
    const header = readBatchHeader(this.#page.buffer, this.#at)
    let records: Buffer
    try {
      if (turnIsLong()) await nextTurn()
      const inflating = this.#inflating ?? this.#inflate()
      records = await inflating
      if (inflating instanceof Promise) this.#inflateNext(header, records.length)
    } catch (error) {
      this.#refuse(header, this.#unreadable(header, error))
      return
    } finally {
      this.#inflating = undefined
    }
    this.#decodeInflated(header, records)
  }

  /** It is a batch that gives no records to this reader. */
  #passes(header: BatchHeader): boolean {
    if (header.isControl || this.#isAborted(header)) this.#pass(header)
    else if (this.#isGone(header) || this.#isReplaced(header)) this.#at = this.#page.end
    else return false
    return true
  }

  /** What it holds is of an aborted transaction, and not for this reader. */
  #isAborted({ isTransactional, producerId, baseOffset }: BatchHeader): boolean {
    if (!isTransactional || this.#request.withAborted === true) return false
    return this.#log.visible.isAborted(producerId, baseOffset)
  }

  /** The log start has passed it while the page was read: it is not known any more whether its transaction was aborted. */
  #isGone({ isTransactional, lastOffset }: BatchHeader): boolean {
    if (!isTransactional || this.#request.withAborted === true) return false
    if (lastOffset >= this.#log.logStartOffset) return false
    if (this.records.length > 0) return true
    const { name, logStartOffset, logEndOffset } = this.#log
    throw new OffsetOutOfRangeError(name, this.#request.offset, logStartOffset, logEndOffset)
  }

  /** A compaction has written it anew since the page was read, and what it has taken is not known to be aborted any more: it is read again. */
  #isReplaced({ isTransactional }: BatchHeader): boolean {
    return isTransactional && this.#request.withAborted !== true && this.#page.segment.isRetired
  }

  /** False where it takes long, or this turn has. */
  #inflateNow(header: BatchHeader): boolean {
    if (this.#inflating !== undefined || turnIsLong()) return false
    let records: Buffer | Promise<Buffer>
    try {
      records = this.#inflate()
    } catch (error) {
      this.#refuse(header, this.#unreadable(header, error))
      return true
    }
    if (records instanceof Promise) {
      // Who called `advance` comes to `inflate`, perhaps only in the next turn.
      records.catch(() => {})
      this.#inflating = records
      return false
    }
    this.#decodeInflated(header, records)
    return true
  }

  #inflate(): Buffer | Promise<Buffer> {
    const next = this.#next
    this.#next = undefined
    return next?.at === this.#at ? next.records : this.#log.known.inflate(this.#page, this.#at)
  }

  #decodeInflated(header: BatchHeader, records: Buffer): void {
    const { offset, maxRecords, maxBytes, allBatches } = this.#request
    const isPart = offset > header.baseOffset || header.count > maxRecords - this.records.length
    const isLarge = records.length > 2 * this.#pieceBytes
    const table = isPart || isLarge ? this.#keep(header, records) : undefined
    const at = this.#at
    if (table === null) return
    if (table === undefined) this.#decode(header, records, 0, records.length)
    else this.#decodePiece(header, records, table)
    this.#inflatedBytes += records.length
    if (allBatches === true || this.#inflatedBytes < maxBytes || this.#at === this.#page.end) return
    this.#at = this.#page.end
    this.#log.keepRest(this.#page, at + header.sizeBytes)
  }

  /** While a batch that was decompressed elsewhere is decoded here, the next one that is wanted may be decompressed there. */
  #inflateNext({ sizeBytes, count }: BatchHeader, inflatedBytes: number): void {
    const { maxRecords, maxBytes, allBatches } = this.#request
    const page = this.#page
    const at = this.#at + sizeBytes
    const isLastByBytes = this.#inflatedBytes + inflatedBytes >= maxBytes && allBatches !== true
    const isLastByCount = this.records.length + count >= maxRecords
    if (at >= page.end || isLastByBytes || isLastByCount) return
    const next = readBatchHeader(page.buffer, at)
    if (next.isControl || this.#isAborted(next) || next.codec === CODEC_NONE || next.count === 0)
      return
    try {
      const records = this.#log.known.inflate(page, at)
      this.#next = { at, records }
      // It may never be come to.
      if (records instanceof Promise) records.catch(() => {})
    } catch {
      // Who comes to it is told.
    }
  }

  get #pieceBytes(): number {
    const { maxBytes, allBatches } = this.#request
    return allBatches === true ? Number.POSITIVE_INFINITY : Math.max(maxBytes, PIECE_BYTES)
  }

  /** Undefined where there is no room to keep it, null where it is refused. */
  #keep(header: BatchHeader, records: Buffer): RecordTable | undefined | null {
    try {
      return this.#log.known.keep(this.#page, this.#at, records)
    } catch (error) {
      this.#refuse(header, this.#corrupt(error))
      return null
    }
  }

  /** What is wanted of a batch that is kept. */
  #decodePiece(header: BatchHeader, records: Buffer, table: RecordTable): void {
    const { offset, maxRecords } = this.#request
    const first = table.indexOf(offset)
    const wanted = maxRecords - this.records.length
    const count = table.countWithin(first, wanted, this.#pieceBytes)
    const start = table.positionAt(first) - BATCH_HEADER_BYTES
    const end = table.positionAt(first + count) - BATCH_HEADER_BYTES
    const before = this.records.length
    this.#collector.turnTo(records)
    try {
      decodeRecordRun(records, start, end, header, count, this.#collector)
    } catch (error) {
      this.records.length = before
      this.#refuse(header, this.#corrupt(error))
      return
    }
    const isLast = first + count === table.count
    this.nextOffset = isLast ? header.lastOffset + 1 : table.offsetAt(first + count)
    this.#at = isLast ? this.#at + header.sizeBytes : this.#page.end
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
      this.#log.known.remember(this.#page, this.#at)
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

  #unreadable(header: BatchHeader, error: unknown): Error {
    const isUnsupported = error instanceof LogError && error.code === 'UNSUPPORTED_CODEC'
    return isUnsupported ? this.#unsupported(header, error) : this.#corrupt(error)
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
