import { OffsetOutOfRangeError } from '../errors.ts'
import type { ResolvedReadOptions } from '../options.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { readEnd } from '../storage/read-end.ts'
import type { LogRecord } from '../types.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { RecordPage } from './page-decoder.ts'
import { goneError, outOfRange, readRecords } from './partition-reader.ts'
import type { Topic } from './topic.ts'
import { TopicWait } from './topic-wait.ts'

/** The records of one page of one partition. */
export interface RecordBatch<K = string, V = unknown> {
  readonly topic: string
  readonly partition: number
  /** At least one. */
  readonly records: LogRecord<K, V>[]
  /** Where the partition is read on: past what is no record for readers. */
  readonly nextOffset: number
  readonly highWatermark: number
}

/** How far a partition has been read. */
interface Cursor {
  readonly log: PartitionLog
  /** Among the cursors. */
  readonly index: number
  position: number
  /** Where the reading ends; undefined: it is live. */
  readonly end: number | undefined
}

/** Takes pages of several partitions in turn. One `take` at a time. */
export class TopicReader<K, V> {
  readonly #topic: Topic
  readonly #options: ResolvedReadOptions
  readonly #cursors: Cursor[] = []
  readonly #cursorOf = new Map<PartitionLog, Cursor>()
  /** Of the cursor that is asked first. */
  #turn = 0
  /** As the topic counts its changes: after so many no cursor had anything to read, save `#awake`. */
  #quietAt = -1
  #awake: Cursor | undefined
  #beginning: Promise<void> | undefined
  #hasBegun = false
  #isClosed = false
  #wake: (() => void) | undefined

  constructor(topic: Topic, options: ResolvedReadOptions) {
    this.#topic = topic
    this.#options = options
  }

  /** False where what was read should not be handed out any more: `take` says why. */
  get isOpen(): boolean {
    if (this.#isClosed || this.#topic.gone !== undefined) return false
    const { signal } = this.#options
    return signal === undefined || !signal.aborted
  }

  /** Decides where the reading starts, and ends where it is bounded, at the first call. What is wrong is told by `take`. */
  begin(): void {
    if (this.#hasBegun) return
    this.#hasBegun = true
    const failure = this.#placeCursors()
    const { from } = this.#options
    if (failure !== undefined) this.#beginning = Promise.reject(failure)
    else if (from.kind === 'timestamp') this.#beginning = this.#findTime(from.timestamp)
    // `take` waits for it.
    this.#beginning?.catch(() => {})
  }

  /** The next page; undefined at the end, also where the log was closed. Waits where the reading is live. */
  async take(): Promise<RecordBatch<K, V> | undefined> {
    this.begin()
    for (;;) {
      if (turnIsLong()) await nextTurn()
      if (this.#hasEnded()) return undefined
      try {
        const batch = await this.#step()
        if (batch !== undefined && this.isOpen) return batch
      } catch (error) {
        // Of a reading that is over it matters why it is.
        if (!this.#isClosed && this.#topic.gone === undefined) throw error
      }
    }
  }

  /** Nothing is read any more; a `take` that waits answers with undefined. */
  close(): void {
    this.#isClosed = true
    this.#wake?.()
  }

  /** Undefined where it came to no records. */
  async #step(): Promise<RecordBatch<K, V> | undefined> {
    if (this.#beginning !== undefined) await this.#beginning
    this.#beginning = undefined
    const cursor = this.#nextCursor()
    if (cursor !== undefined) return this.#read(cursor)
    if (this.#options.until === 'end') this.#isClosed = true
    else await this.#changed()
    return undefined
  }

  /** Throws where the reader is to be told. */
  #hasEnded(): boolean {
    if (this.#isClosed) return true
    const { signal } = this.#options
    signal?.throwIfAborted()
    if (this.#topic.gone === 'closed') return true
    const gone = goneError(this.#topic)
    if (gone !== undefined) throw gone
    return false
  }

  #placeCursors(): OffsetOutOfRangeError | undefined {
    const { partitions } = this.#options
    for (const partition of partitions ?? this.#topic.partitions.keys()) {
      const log = this.#topic.partition(partition)
      const end = this.#endOf(log)
      const position = this.#firstPosition(log)
      if (position < log.logStartOffset || position > log.logEndOffset) {
        return outOfRange(log, position)
      }
      this.#addCursor(log, position, this.#options.until === 'end' ? end : undefined)
    }
    return undefined
  }

  #firstPosition(log: PartitionLog): number {
    const { from } = this.#options
    switch (from.kind) {
      case 'earliest':
        return log.logStartOffset
      case 'offset':
        // A partition that was added since the reading was asked for is read whole.
        return this.#cursors.length === 0 ? from.offset : log.logStartOffset
      case 'offsets':
        return from.offsets.get(log.partition) ?? log.logStartOffset
      case 'latest':
        return this.#endOf(log)
      default:
        // Where no record is of that time or later; what is there and not stable is from before it.
        return log.highWatermark
    }
  }

  #endOf(log: PartitionLog): number {
    return readEnd(log, this.#options.isolationLevel)
  }

  async #findTime(timestamp: number): Promise<void> {
    for (const cursor of this.#cursors) {
      const offset = await cursor.log.offsetForTime(timestamp)
      if (offset !== undefined) cursor.position = offset
    }
  }

  #addCursor(log: PartitionLog, position: number, end: number | undefined): void {
    const cursor: Cursor = { log, index: this.#cursors.length, position, end }
    this.#cursors.push(cursor)
    this.#cursorOf.set(log, cursor)
  }

  /** The next one in turn that has something to read. */
  #nextCursor(): Cursor | undefined {
    this.#addCursors()
    const found =
      this.#quietAt === this.#topic.changes ? this.#awakeCursor() : this.#searchFrom(this.#turn)
    if (found !== undefined) this.#turn = found.index + 1
    return found
  }

  #awakeCursor(): Cursor | undefined {
    return this.#awake !== undefined && this.#hasMore(this.#awake) ? this.#awake : undefined
  }

  #searchFrom(turn: number): Cursor | undefined {
    const cursors = this.#cursors
    for (let step = 0; step < cursors.length; step += 1) {
      const cursor = cursors[(turn + step) % cursors.length] as Cursor
      if (this.#hasMore(cursor)) return cursor
    }
    this.#quietAt = this.#topic.changes
    this.#awake = undefined
    return undefined
  }

  /** A live reading of all partitions takes in those that are added, from their beginning. */
  #addCursors(): void {
    const { partitions } = this.#topic
    if (!this.#hasNewPartitions()) return
    for (const log of partitions.slice(this.#cursors.length)) {
      this.#addCursor(log, log.logStartOffset, undefined)
    }
  }

  #hasNewPartitions(): boolean {
    const { partitions, until } = this.#options
    if (partitions !== undefined || until === 'end') return false
    return this.#topic.partitions.length > this.#cursors.length
  }

  /** Undefined where only what is no record for readers was there, or where nothing is left. */
  async #read(cursor: Cursor): Promise<RecordBatch<K, V> | undefined> {
    const { log } = cursor
    cursor.position = Math.max(cursor.position, log.logStartOffset)
    const { maxBytes, onCorrupt, isolationLevel } = this.#options
    const request = {
      offset: cursor.position,
      end: cursor.end ?? this.#endOf(log),
      maxBytes,
      maxRecords: Number.POSITIVE_INFINITY,
      onCorrupt,
      withAborted: isolationLevel === 'read_uncommitted',
    }
    if (request.offset >= request.end) return undefined
    let page: RecordPage
    try {
      page = await readRecords(this.#topic, log, request)
    } catch (error) {
      // Who is too slow for retention goes on where the log starts now.
      if (error instanceof OffsetOutOfRangeError) return undefined
      throw error
    }
    cursor.position = page.nextOffset
    if (page.records.length === 0) return undefined
    return {
      topic: this.#topic.name,
      partition: log.partition,
      records: page.records as unknown as LogRecord<K, V>[],
      nextOffset: page.nextOffset,
      highWatermark: log.highWatermark,
    }
  }

  /** Resolves when there is something to look at; rejects where the signal is aborted. */
  async #changed(): Promise<void> {
    if (!this.isOpen) return
    let wait: TopicWait | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        this.#wake = resolve
        wait = new TopicWait(this.#topic, this.#onlyLog(), this.#options.signal, {
          changed: (log) => {
            if (this.#hasNews(log)) resolve()
          },
          aborted: reject,
        })
      })
    } finally {
      this.#wake = undefined
      wait?.end()
    }
  }

  /** The one partition that is read, where no other can come to it. */
  #onlyLog(): PartitionLog | undefined {
    return this.#options.partitions?.length === 1 ? this.#cursors[0]?.log : undefined
  }

  /** Of 1,000 cursors only that of the partition that has changed is looked at. */
  #hasNews(changed: PartitionLog | undefined): boolean {
    if (this.#topic.gone !== undefined || this.#hasNewPartitions()) return true
    // With two of them the reading looks at all.
    if (this.#awakeCursor() !== undefined) return true
    if (this.#quietAt + 1 !== this.#topic.changes)
      return this.#cursors.some((each) => this.#hasMore(each))
    this.#quietAt += 1
    this.#awake = changed && this.#cursorOf.get(changed)
    return this.#awakeCursor() !== undefined
  }

  #hasMore({ log, position, end }: Cursor): boolean {
    return position < (end ?? this.#endOf(log))
  }
}
