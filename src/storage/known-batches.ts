import { BATCH_HEADER_BYTES, batchSizeAt, readBatchHeader } from '../codec/batch.ts'
import type { RecordTable } from '../codec/record-table.ts'
import { recordPositions } from '../codec/record-table.ts'
import type { StorageEnvironment } from './environment.ts'
import type { Page, PageRequest } from './page.ts'
import type { KnownBatch } from './record-tables.ts'
import { RecordTables } from './record-tables.ts'
import type { Segment } from './segment.ts'

/** From this size on a batch gets a table when only some of its records are asked for. */
const TABLE_BATCH_BYTES = 4 * 1024
/** Up to this size records are read at once. */
const SYNC_READ_BYTES = 64 * 1024
/** Of the memory for all, at most one part in so many is taken for the records of one compressed batch. */
const LARGEST_SHARE = 4

/** Decompressed records are given in pieces of at least this size, as nobody asked for less than a batch. */
export const PIECE_BYTES: number = 512 * 1024

/** A compressed batch that is being decompressed; who comes to it meanwhile waits with the first. */
interface Inflation {
  readonly segment: Segment
  readonly position: number
  readonly records: Promise<Buffer>
}

/**
 * Batches of one partition whose records can be given one by one: those of which it is known where each record stands, and
 * compressed ones whose records are kept decompressed, since only some of them were asked for.
 */
export class KnownBatches {
  readonly #environment: StorageEnvironment
  readonly #tables: RecordTables
  #inflations: readonly Inflation[] = []

  constructor(environment: StorageEnvironment) {
    this.#environment = environment
    this.#tables = new RecordTables(environment.cache)
  }

  /** Where it is false, `inflatedPage` finds nothing. */
  get hasInflated(): boolean {
    return this.#tables.hasInflated
  }

  /** The records asked for, of one batch, read by themselves; undefined where it is not known where they stand. */
  lookUp(request: PageRequest): Page | undefined {
    const known = this.#tables.find(request.offset)
    if (known === undefined || known.inflated !== undefined) return undefined
    const { segment, position, table } = known
    if (!segment.file.isReady()) return undefined
    const first = table.indexOf(request.offset)
    const count = countFor(known, first, request)
    if (count === 0) return undefined
    const from = table.positionAt(first)
    const bytes = table.positionAt(first + count) - from
    if (bytes > SYNC_READ_BYTES) return undefined
    const buffer = Buffer.allocUnsafe(bytes)
    if (segment.file.readSync(buffer, 0, bytes, position + from) < bytes) return undefined
    return runPage(known, first, count, buffer, 0)
  }

  /** As `lookUp`, of a compressed batch whose records are kept; what is asked for may go on behind the batch. */
  inflatedPage(request: PageRequest): Page | undefined {
    const known = this.#tables.find(request.offset)
    if (known?.inflated === undefined) return undefined
    const { table, inflated } = known
    const first = table.indexOf(request.offset)
    const maxBytes = Math.max(PIECE_BYTES, request.maxBytes)
    const count = countFor(known, first, { ...request, maxBytes })
    if (count === 0) return undefined
    return runPage(known, first, count, inflated, table.positionAt(first) - BATCH_HEADER_BYTES)
  }

  /** Remembers where the records of the page's batch at `at` stand, if looking that up again would be dear. */
  remember(page: Page, at: number): void {
    const size = batchSizeAt(page.buffer, at)
    if (page.run !== undefined || size < TABLE_BATCH_BYTES || page.segment.isRetired) return
    const header = readBatchHeader(page.buffer, at)
    if (header.codec !== 0 || this.#tables.find(header.baseOffset) !== undefined) return
    const table = recordPositions(page.buffer, at + BATCH_HEADER_BYTES, at + size, header)
    this.#tables.add(page.segment, page.position + at - page.start, table)
  }

  /** The record bytes of the page's compressed batch at `at`. Throws or rejects as `Codecs.decompress`. */
  inflate(page: Page, at: number): Buffer | Promise<Buffer> {
    const { segment, buffer } = page
    const position = page.position + at - page.start
    const under = this.#inflations.find(
      (each) => each.segment === segment && each.position === position,
    )
    if (under !== undefined) return under.records
    const { codec, sizeBytes } = readBatchHeader(buffer, at)
    const bytes = buffer.subarray(at + BATCH_HEADER_BYTES, at + sizeBytes)
    const records = this.#environment.codecs.decompress(codec, bytes)
    if (!(records instanceof Promise)) return records
    const ended = (): void => {
      this.#inflations = this.#inflations.filter((each) => each !== inflation)
    }
    const inflation = { segment, position, records: records.finally(ended) }
    this.#inflations = [...this.#inflations, inflation]
    return inflation.records
  }

  /**
   * Keeps the record bytes of the page's compressed batch at `at`, where there is room for them, and answers with where each
   * record stands. Undefined where there is none. Throws a `BatchFormatError`.
   */
  keep(page: Page, at: number, records: Buffer): RecordTable | undefined {
    const isLarge = records.length > this.#environment.cache.limitBytes / LARGEST_SHARE
    if (isLarge || page.segment.isRetired) return undefined
    const header = readBatchHeader(page.buffer, at)
    const table = recordPositions(records, 0, records.length, header)
    this.#tables.add(page.segment, page.position + at - page.start, table, records)
    return table
  }

  clear(): void {
    this.#tables.clear()
  }
}

/** 0 where there is nothing, or readers stop within the batch. */
function countFor({ table }: KnownBatch, first: number, request: PageRequest): number {
  if (table.header.lastOffset >= request.end) return 0
  return table.countWithin(first, request.maxRecords, request.maxBytes)
}

/** `count` records from `first` on, which begin at `start` of the buffer. */
function runPage(
  { table, segment, position }: KnownBatch,
  first: number,
  count: number,
  buffer: Buffer,
  start: number,
): Page {
  const from = table.positionAt(first)
  const isLast = first + count === table.count
  const nextOffset = isLast ? table.header.lastOffset + 1 : table.offsetAt(first + count)
  const end = start + table.positionAt(first + count) - from
  return {
    buffer,
    start,
    end,
    nextOffset,
    segment,
    position: position + from,
    run: { table, count },
  }
}
