/** Records as the bytes that they are, whatever their topic's serializer. */

import { resolveProduceOptions } from '../options.ts'
import type { Codecs } from '../storage/environment.ts'
import type { LogRecord, RecordHeaders } from '../types.ts'
import { rawBytesOf } from './log-record.ts'
import { readRecords } from './partition-reader.ts'
import { produceOne, requireCodec } from './produce.ts'
import { bytes } from './serializers.ts'
import type { Topic } from './topic.ts'

export interface RawRecord {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: RecordHeaders
  /** Undefined: the time of the append. */
  readonly timestamp: number | undefined
}

const OPTIONS = resolveProduceOptions(undefined)

/** The topic, with its bytes in place of keys and values. For reading alone. */
export function rawTopic(topic: Topic): Topic {
  const codec = { ...topic.codec, key: 'bytes', serializer: bytes }
  return Object.create(topic, { codec: { value: codec } }) as Topic
}

/**
 * The stored key and value of a record that was read. They are read again, as a key that is no UTF-8 is another as a string; where the log does not
 * have the record any more, or cannot read it now, they are those in hand.
 */
export async function rawRecordOf(
  topic: Topic | undefined,
  record: LogRecord<unknown, unknown>,
): Promise<Pick<RawRecord, 'key' | 'value'>> {
  const { partition, offset } = record
  const log = topic?.partitions[partition]
  if (topic === undefined || log === undefined) return rawBytesOf(record)
  const request = {
    offset,
    end: offset + 1,
    maxBytes: 1,
    maxRecords: 1,
    onCorrupt: 'skip',
  } as const
  try {
    const { records } = await readRecords(rawTopic(topic), log, request)
    const [found] = records as unknown as LogRecord<Buffer, Buffer>[]
    return found?.offset === offset ? found : rawBytesOf(record)
  } catch {
    return rawBytesOf(record)
  }
}

/** Appends a record to a partition of a topic; resolves once it is acknowledged at the topic's durability. */
export async function appendRaw(
  topic: Topic,
  codecs: Codecs,
  partition: number,
  { key, value, headers, timestamp }: RawRecord,
): Promise<void> {
  requireCodec(codecs, OPTIONS, topic.config)
  const set = { keys: [key], values: [value], headers: [headers], timestamps: [timestamp] }
  await produceOne(topic, { partition, set, options: OPTIONS })
}
