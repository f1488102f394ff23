import { LogError, OffsetOutOfRangeError } from '../errors.ts'
import type { Page, PageRequest } from '../storage/page.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { nextTurn, turnIsLong } from '../util/turn.ts'
import type { ReadPage, RecordPage } from './page-decoder.ts'
import { PageDecoder } from './page-decoder.ts'
import type { Topic } from './topic.ts'

/**
 * Reads the next page that has records, or comes to `request.end` where there are none: batches without records for
 * readers never make an empty page. Answers at once where nothing has to be waited for. Throws, or rejects with:
 * `OffsetOutOfRangeError` where the log start has passed the offset, what `goneError` says, `CorruptLogError`, and
 * `LogError` `UNSUPPORTED_CODEC` or `UNSUPPORTED_MAGIC`.
 */
export function readRecords(
  topic: Topic,
  log: PartitionLog,
  request: PageRequest,
): ReadPage | Promise<ReadPage> {
  try {
    const page = readPage(log, request)
    if (page instanceof Promise) return readOn(topic, log, request, page)
    const decoder = new PageDecoder(topic, log, page, request)
    if (decoder.advance() && isAnswer(decoder, request)) return counted(topic, decoder)
    return readOn(topic, log, request, decoder)
  } catch (error) {
    throw explained(topic, log, request.offset, error)
  }
}

/** From a compressed batch of which something was read before, else as the log reads. */
function readPage(log: PartitionLog, request: PageRequest): Page | Promise<Page> {
  // What is counted in batches is given in batches.
  const mayBePiece = log.known.hasInflated && request.allBatches !== true
  return (mayBePiece ? log.known.inflatedPage(request) : undefined) ?? log.read(request)
}

async function readOn(
  topic: Topic,
  log: PartitionLog,
  first: PageRequest,
  begun: Promise<Page> | PageDecoder,
): Promise<ReadPage> {
  let request = first
  let reading: Promise<Page> | Page | PageDecoder = begun
  try {
    for (;;) {
      const decoder: PageDecoder =
        reading instanceof PageDecoder
          ? reading
          : new PageDecoder(topic, log, await reading, request)
      if (turnIsLong()) await nextTurn()
      while (!decoder.advance()) await decoder.inflate()
      if (isAnswer(decoder, request)) return counted(topic, decoder)
      if (turnIsLong()) await nextTurn()
      request = { ...request, offset: decoder.nextOffset }
      reading = readPage(log, request)
    }
  } catch (error) {
    throw explained(topic, log, request.offset, error)
  }
}

function isAnswer({ records, nextOffset }: RecordPage, { end }: PageRequest): boolean {
  return records.length > 0 || nextOffset >= end
}

/** Once a page, never by the record. */
function counted({ fetched }: Topic, page: PageDecoder): PageDecoder {
  fetched.records += page.records.length
  fetched.bytes += page.pageBytes
  return page
}

/** What a reader is told of a topic that is not there any more; undefined where it is. */
export function goneError({ gone, name }: Topic): LogError | undefined {
  if (gone === undefined) return undefined
  if (gone === 'closed') return new LogError('CLOSED', 'the log is closed')
  return new LogError('UNKNOWN_TOPIC', `the topic ${name} was deleted`)
}

export function outOfRange(log: PartitionLog, offset: number): OffsetOutOfRangeError {
  return new OffsetOutOfRangeError(log.name, offset, log.logStartOffset, log.logEndOffset)
}

/** A file that is closed or deleted under a read fails it in many ways; what counts is why that was done. */
function explained(topic: Topic, log: PartitionLog, offset: number, error: unknown): unknown {
  const gone = goneError(topic)
  if (gone !== undefined) return gone
  return offset < log.logStartOffset ? outOfRange(log, offset) : error
}
