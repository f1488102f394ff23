/** What the headers of a dead letter say, and how they come on and off. */
import type { HeaderValue, ReadHeaders, RecordHeaders, TopicPartition } from '../../../types.ts'
import { errorCode } from '../../../util/error-code.ts'
import type { ConsumedRecord } from '../page-source.ts'

/**
 * The headers that a dead letter has beside the record's own; all are text. Of a dead letter that has died once more, in the handlers of its own topic, each
 * has several values: the last is of the last time.
 */
export const DEAD_LETTER_HEADERS = {
  /** Where the record stands. */
  topic: 'dlq.topic',
  partition: 'dlq.partition',
  offset: 'dlq.offset',
  /** The record's, in milliseconds; the dead letter's own is when it was made one. */
  timestamp: 'dlq.timestamp',
  /** Whose handler has failed. */
  group: 'dlq.group',
  /** How often it had been handed out. */
  deliveryCount: 'dlq.delivery-count',
  /** Of what the handler threw: `TypeError`, `LogError`, … */
  errorName: 'dlq.error-name',
  /** Its `code`; empty where it has none. */
  errorCode: 'dlq.error-code',
  /** At most 1,000 characters of it. */
  errorMessage: 'dlq.error-message',
} as const

const MAX_MESSAGE_CHARACTERS = 1000
const NAMES: readonly string[] = Object.values(DEAD_LETTER_HEADERS)

type Header = HeaderValue | readonly HeaderValue[]

/** The headers of the dead letter of a record: its own, and those that say what became of it. */
export function deadLetterHeaders(
  own: ReadHeaders,
  record: Pick<ConsumedRecord, 'topic' | 'partition' | 'offset' | 'timestamp' | 'deliveryCount'>,
  group: string,
  error: unknown,
): RecordHeaders {
  const names = DEAD_LETTER_HEADERS
  const { name, message } =
    error instanceof Error ? error : { name: typeof error, message: String(error) }
  const said: [string, string][] = [
    [names.topic, record.topic],
    [names.partition, String(record.partition)],
    [names.offset, String(record.offset)],
    [names.timestamp, String(record.timestamp)],
    [names.group, group],
    [names.deliveryCount, String(record.deliveryCount)],
    [names.errorName, name],
    [names.errorCode, errorCode(error) ?? ''],
    [names.errorMessage, message.slice(0, MAX_MESSAGE_CHARACTERS)],
  ]
  const headers: Record<string, Header> = { ...own }
  for (const [header, value] of said) {
    const before = own[header]
    // A cut, or a thrown text, may leave half of a pair, which has no UTF-8.
    const text = Buffer.from(value)
    headers[header] = before === undefined ? text : [...valuesOf(before), text]
  }
  return headers
}

/** Where a dead letter comes from, and its headers without those of a dead letter; undefined where it is none. */
export interface Origin extends TopicPartition {
  readonly timestamp: number
  readonly headers: RecordHeaders
}

export function originOf(headers: ReadHeaders): Origin | undefined {
  const names = DEAD_LETTER_HEADERS
  const topic = lastOf(headers, names.topic)
  const partition = integerOf(lastOf(headers, names.partition))
  const timestamp = integerOf(lastOf(headers, names.timestamp))
  if (topic === undefined || partition === undefined || timestamp === undefined) return undefined
  const left: Record<string, Header> = {}
  for (const [name, value] of Object.entries(headers)) {
    const before = NAMES.includes(name) ? valuesOf(value).slice(0, -1) : valuesOf(value)
    const [first = null] = before
    if (before.length === 1) left[name] = first
    else if (before.length > 1) left[name] = before
  }
  return { topic, partition, timestamp, headers: left }
}

function valuesOf(header: Buffer | null | readonly (Buffer | null)[]): readonly (Buffer | null)[] {
  return header === null || Buffer.isBuffer(header) ? [header] : header
}

function lastOf(headers: ReadHeaders, name: string): string | undefined {
  const header = headers[name]
  return header === undefined ? undefined : valuesOf(header).at(-1)?.toString()
}

function integerOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,16}$/.test(text) ? Number(text) : undefined
}
