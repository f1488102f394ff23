import type { ResolvedFetchOptions } from '../options.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { readEnd } from '../storage/read-end.ts'
import type { Clock, LogRecord } from '../types.ts'
import { turnIsLong } from '../util/turn.ts'
import type { WaitRequest } from './fetch-wait.ts'
import { waitForRecords } from './fetch-wait.ts'
import type { RecordPage } from './page-decoder.ts'
import { goneError, outOfRange, readRecords } from './partition-reader.ts'
import type { Topic } from './topic.ts'

export interface FetchResult<K = string, V = unknown> {
  readonly topic: string
  readonly partition: number
  /** In the order of their offsets, which may have gaps. */
  readonly records: LogRecord<K, V>[]
  /** Where to fetch next: past what is no record for readers. */
  readonly nextOffset: number
  readonly logStartOffset: number
  /** The next offset to be written. */
  readonly logEndOffset: number
  /** Where readers stop. */
  readonly highWatermark: number
  /** Where read-committed readers stop. */
  readonly lastStableOffset: number
}

/**
 * A page of records, up to where readers of the isolation level stop. It is empty only where no record follows below that, after `maxWaitMs`.
 * Rejects with `OffsetOutOfRangeError` for an offset below the log start or past the log end, with what `readRecords`
 * throws, and with the signal's reason.
 */
export function fetch<K = string, V = unknown>(
  topic: Topic,
  options: ResolvedFetchOptions,
  clock: Clock,
): Promise<FetchResult<K, V>> {
  try {
    const log = topic.partition(options.partition)
    const { signal } = options
    if (signal?.aborted) return Promise.reject(signal.reason)
    const gone = goneError(topic)
    if (gone !== undefined) return Promise.reject(gone)
    const { offset } = options
    if (offset < log.logStartOffset || offset > log.logEndOffset) {
      return Promise.reject(outOfRange(log, offset))
    }
    return fetchPage({ topic, log, options, toResult: (page) => resultOf(topic, log, page) }, clock)
  } catch (error) {
    return Promise.reject(error)
  }
}

function fetchPage<T>(request: WaitRequest<T>, clock: Clock): Promise<T> {
  const { topic, log, options, toResult } = request
  const { offset, maxBytes, maxRecords, minBytes, maxWaitMs, onCorrupt, isolationLevel } = options
  const end = readEnd(log, isolationLevel)
  const mayWait = maxWaitMs > 0 && minBytes > 0
  // Waiting begins with a look, too.
  if (mayWait && (minBytes > 1 || offset >= end)) return waitForRecords(request, clock)
  if (offset >= end) return answer(toResult({ records: [], nextOffset: offset }))
  const withAborted = isolationLevel === 'read_uncommitted'
  const page = readRecords(topic, log, {
    offset,
    end,
    maxBytes,
    maxRecords,
    onCorrupt,
    withAborted,
  })
  if (page instanceof Promise) return page.then((read) => answerOrWait(request, read, clock))
  return answerOrWait(request, page, clock)
}

/** Where only what is no record for readers was there, a fetch that may wait does so behind it. */
function answerOrWait<T>(request: WaitRequest<T>, page: RecordPage, clock: Clock): Promise<T> {
  const { options, toResult } = request
  const { maxWaitMs, minBytes, signal } = options
  if (page.records.length > 0 || maxWaitMs === 0 || minBytes === 0) return answer(toResult(page))
  if (signal?.aborted) return Promise.reject(signal.reason)
  return waitForRecords({ ...request, options: { ...options, offset: page.nextOffset } }, clock)
}

function resultOf<K, V>(topic: Topic, log: PartitionLog, page: RecordPage): FetchResult<K, V> {
  return {
    topic: topic.name,
    partition: log.partition,
    records: page.records as unknown as LogRecord<K, V>[],
    nextOffset: page.nextOffset,
    logStartOffset: log.logStartOffset,
    logEndOffset: log.logEndOffset,
    highWatermark: log.highWatermark,
    lastStableOffset: log.lastStableOffset,
  }
}

/** At once; in a long turn of the event loop after it, so that a loop of awaited fetches lets others run. */
function answer<T>(result: T): Promise<T> {
  if (!turnIsLong()) return Promise.resolve(result)
  return new Promise((resolve) => {
    setImmediate(resolve, result)
  })
}
