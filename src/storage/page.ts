import type { RecordTable } from '../codec/record-table.ts'
import type { Segment } from './segment.ts'

/** What one read gave: whole verified batches back to back, or a run of records from within one batch. */
export interface Page {
  readonly buffer: Buffer
  /** [start, end) of the buffer. */
  readonly start: number
  readonly end: number
  /** Where to read on: the offset after the last batch of the page, past what was skipped. */
  readonly nextOffset: number
  readonly segment: Segment
  /** Of `start`, in the segment's .log. */
  readonly position: number
  /** Where the page is a run of records: the table of their batch. */
  readonly run: RecordRun | undefined
}

export interface RecordRun {
  readonly table: RecordTable
  readonly count: number
}

/** What to do at bytes that fail their checks. */
export type OnCorrupt = 'throw' | 'skip'

export interface PageRequest {
  /** Within the partition's range, and below `end`. */
  readonly offset: number
  /** Readers stop here: batches from this offset on are not given. */
  readonly end: number
  /** Bytes of batches; one batch is given even if it alone is larger. */
  readonly maxBytes: number
  /** How many records the caller will take; a few are looked up within a known batch. */
  readonly maxRecords: number
  readonly onCorrupt: OnCorrupt
  /** Not just the first 500 batches, where the bytes are counted on. */
  readonly allBatches?: boolean
  /** For who decodes the page: what aborted transactions have written is given, too. */
  readonly withAborted?: boolean
}

/** Nothing was found up to this offset. */
export function emptyPage(segment: Segment, position: number, nextOffset: number): Page {
  const buffer = Buffer.alloc(0)
  return { buffer, start: 0, end: 0, nextOffset, segment, position, run: undefined }
}
