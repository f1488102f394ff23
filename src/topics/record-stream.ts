import type { ResolvedReadOptions } from '../options.ts'
import type { LogRecord } from '../types.ts'
import { Mutex } from '../util/mutex.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { Topic } from './topic.ts'
import type { RecordBatch } from './topic-reader.ts'
import { TopicReader } from './topic-reader.ts'

export type { RecordBatch } from './topic-reader.ts'

/** Of the records handed out at once, each so many-th asks whether others should have their turn. */
const RECORDS_BETWEEN_LOOKS = 16

/**
 * The records of a topic, of one, several or all of its partitions. Each iterator begins anew, at its first `next()`: the
 * start, and with `until: 'end'` the end, is decided then.
 *
 * Order holds within a partition; over several a page of each comes in turn. A page is decoded when the one before is used
 * up, so that at most one page of records (`maxBytes`, or one larger batch) is held; its bytes may have been read from the file
 * before, within `cacheBytes`. A live iterator waits for more, takes in partitions that are added, from their beginning, and
 * goes on at the log start where retention has overtaken it.
 *
 * Iterators end when the log is closed. They reject, once, and have ended then: with `OffsetOutOfRangeError` where `from` is
 * outside the partition, with `UNKNOWN_TOPIC` where the topic is deleted, with the signal's reason, and at what cannot be
 * read, unless `onCorrupt` is `'skip'`. `return()`, as `break` calls it, ends a `next()` that waits.
 */
export class RecordStream<K = string, V = unknown> implements AsyncIterable<LogRecord<K, V>> {
  readonly #topic: Topic
  readonly #options: ResolvedReadOptions

  constructor(topic: Topic, options: ResolvedReadOptions) {
    this.#topic = topic
    this.#options = options
  }

  [Symbol.asyncIterator](): AsyncIterableIterator<LogRecord<K, V>> {
    return new RecordIterator(new TopicReader<K, V>(this.#topic, this.#options))
  }

  /** The same a page at a time; a page has at least one record. */
  batches(): AsyncIterable<RecordBatch<K, V>> {
    return {
      [Symbol.asyncIterator]: () =>
        new BatchIterator(new TopicReader<K, V>(this.#topic, this.#options)),
    }
  }
}

/**
 * Throws a `TypeError` for an offset to start from where all partitions of a topic with several are read, and `LogError`
 * `UNKNOWN_PARTITION` for a partition that is not there.
 */
export function readStream<K = string, V = unknown>(
  topic: Topic,
  options: ResolvedReadOptions,
): RecordStream<K, V> {
  const { partitions, from } = options
  if (partitions === undefined && from.kind === 'offset' && topic.partitions.length > 1) {
    throw new TypeError(
      `from is the offset ${from.offset}; an offset needs a partition, and ${topic.name} has ${topic.partitions.length}`,
    )
  }
  const named = from.kind === 'offsets' ? from.offsets.keys() : []
  for (const partition of [...(partitions ?? []), ...named]) topic.partition(partition)
  return new RecordStream(topic, options)
}

class BatchIterator<K, V> implements AsyncIterableIterator<RecordBatch<K, V>> {
  readonly #reader: TopicReader<K, V>
  readonly #order = new Mutex()

  constructor(reader: TopicReader<K, V>) {
    this.#reader = reader
  }

  next(): Promise<IteratorResult<RecordBatch<K, V>>> {
    this.#reader.begin()
    return this.#order.run(() => this.#take())
  }

  return(): Promise<IteratorResult<RecordBatch<K, V>>> {
    this.#reader.close()
    return Promise.resolve(done())
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #take(): Promise<IteratorResult<RecordBatch<K, V>>> {
    try {
      const batch = await this.#reader.take()
      if (batch !== undefined) return { value: batch, done: false }
      this.#reader.close()
      return done()
    } catch (error) {
      this.#reader.close()
      throw error
    }
  }
}

/** By hand, as an async generator hands out half as many records in the same time. */
class RecordIterator<K, V> implements AsyncIterableIterator<LogRecord<K, V>> {
  readonly #reader: TopicReader<K, V>
  readonly #batches: BatchIterator<K, V>
  readonly #order = new Mutex()
  /** Calls that wait for a page, and those behind them. */
  #waiting = 0
  #records: readonly LogRecord<K, V>[] = []
  #index = 0

  constructor(reader: TopicReader<K, V>) {
    this.#reader = reader
    this.#batches = new BatchIterator(reader)
  }

  next(): Promise<IteratorResult<LogRecord<K, V>>> {
    const index = this.#index
    if (this.#waiting === 0 && this.#mayAnswerNow(index)) {
      const value = this.#records[index]
      if (value !== undefined) {
        this.#index = index + 1
        return Promise.resolve({ value, done: false })
      }
    }
    this.#reader.begin()
    this.#waiting += 1
    return this.#order.run(() => this.#nextInOrder())
  }

  return(): Promise<IteratorResult<LogRecord<K, V>>> {
    return this.#batches.return() as Promise<IteratorReturnResult<undefined>>
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  #mayAnswerNow(index: number): boolean {
    if (index % RECORDS_BETWEEN_LOOKS === 0 && turnIsLong()) return false
    return this.#reader.isOpen
  }

  async #nextInOrder(): Promise<IteratorResult<LogRecord<K, V>>> {
    try {
      if (turnIsLong()) await nextTurn()
      for (;;) {
        const value = this.#reader.isOpen ? this.#records[this.#index] : undefined
        if (value !== undefined) {
          this.#index += 1
          return { value, done: false }
        }
        const batch = await this.#batches.next()
        if (batch.done === true) return batch
        this.#records = batch.value.records
        this.#index = 0
      }
    } finally {
      this.#waiting -= 1
    }
  }
}

function done(): IteratorReturnResult<undefined> {
  return { value: undefined, done: true }
}
