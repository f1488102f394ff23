/**
 * When a segment's indexes get an entry. Pure: the same batches give the same entries, whether they are appended or read back in a rebuild.
 *
 * Before a batch, if more than `indexIntervalBytes` (strictly) were appended since the last entry: the offset index gets the batch's last
 * offset and the position where it starts; the time index gets the greatest maxTimestamp so far, this batch included, with the last offset of the
 * batch that has it, if it is above the last such entry. At a roll and at a close the time index gets such an entry once more.
 * The count of bytes starts anew when a segment is opened. Source: Kafka's `LogSegment.append`, `recover` and `onBecomeInactiveSegment`.
 *
 * One thing is otherwise than there: a batch that compaction has left without records gives no time entry. Its time is no record's, so a
 * look-up would find nothing there, and Kafka's own tool finds fault with such an entry.
 */
import { batchSizeAt, countAt, lastOffsetAt, maxTimestampAt } from '../codec/batch.ts'

/** Takes the entries, with absolute offsets. */
export interface IndexEntrySink {
  /** `offset`: the batch's last; `position`: where it starts. */
  offsetEntry(offset: number, position: number): void
  timeEntry(timestamp: number, offset: number): void
}

/** What an index asks of a batch. */
export interface IndexedBatch {
  readonly position: number
  readonly sizeBytes: number
  readonly lastOffset: number
  /** Of its records; -1: none. */
  readonly maxTimestamp: number
}

/** "No timestamp": nothing is below it. */
const NO_TIMESTAMP = -1

/** Of a batch that stands at this position of a .log. */
export function indexedBatchAt(buffer: Buffer, at: number, position: number): IndexedBatch {
  return {
    position,
    sizeBytes: batchSizeAt(buffer, at),
    lastOffset: lastOffsetAt(buffer, at),
    maxTimestamp: recordTimestampAt(buffer, at),
  }
}

/** The greatest timestamp of a batch's records; -1 where it has none. */
export function recordTimestampAt(buffer: Buffer, at: number): number {
  return countAt(buffer, at) === 0 ? NO_TIMESTAMP : maxTimestampAt(buffer, at)
}

export class IndexBuilder {
  readonly #indexIntervalBytes: number
  readonly #sink: IndexEntrySink
  #bytesSinceLastEntry = 0
  #maxTimestamp = NO_TIMESTAMP
  #offsetOfMaxTimestamp = -1
  #lastEntryTimestamp = NO_TIMESTAMP

  constructor(indexIntervalBytes: number, sink: IndexEntrySink) {
    this.#indexIntervalBytes = indexIntervalBytes
    this.#sink = sink
  }

  get bytesSinceLastEntry(): number {
    return this.#bytesSinceLastEntry
  }

  /** -1 before the first batch that has a timestamp. */
  get maxTimestampSoFar(): number {
    return this.#maxTimestamp
  }

  /** The last offset of the first batch that has the greatest timestamp; -1 before there is one. */
  get offsetOfMaxTimestamp(): number {
    return this.#offsetOfMaxTimestamp
  }

  /** Goes on behind a segment whose last time entry is this one. */
  resume(timestamp: number, offset: number): void {
    this.#maxTimestamp = timestamp
    this.#offsetOfMaxTimestamp = offset
    this.#lastEntryTimestamp = timestamp
    this.#bytesSinceLastEntry = 0
  }

  /** Takes the next batch of the segment. */
  batch(batch: IndexedBatch): void {
    // No record of ours has such a time: it is of a header that is damaged, or forged.
    if (batch.maxTimestamp > this.#maxTimestamp && Number.isSafeInteger(batch.maxTimestamp)) {
      this.#maxTimestamp = batch.maxTimestamp
      this.#offsetOfMaxTimestamp = batch.lastOffset
    }
    if (this.#bytesSinceLastEntry > this.#indexIntervalBytes) {
      this.#sink.offsetEntry(batch.lastOffset, batch.position)
      this.#timeEntry()
      this.#bytesSinceLastEntry = 0
    }
    this.#bytesSinceLastEntry += batch.sizeBytes
  }

  /** The segment is rolled or closed. */
  close(): void {
    this.#timeEntry()
  }

  #timeEntry(): void {
    if (this.#maxTimestamp <= this.#lastEntryTimestamp) return
    this.#sink.timeEntry(this.#maxTimestamp, this.#offsetOfMaxTimestamp)
    this.#lastEntryTimestamp = this.#maxTimestamp
  }
}
