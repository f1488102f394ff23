/**
 * `brokerless.json`: what Kafka keeps outside a partition's directory. Text for people, one object:
 *
 *   {
 *     "crc": 1234567890,                        CRC-32C of `content` as JSON without white space, in UTF-8
 *     "content": {
 *       "version": 1,
 *       "nextProducerId": 1099511627776,
 *       "topics": [
 *         { "name": "orders", "topicId": "…", "partitions": 3, "key": "string", "serializer": "msgpack",
 *           "config": { "retentionMs": 604800000 }, "state": "live" }
 *       ]
 *     }
 *   }
 *
 * A topic without `serializer` was taken in from its directories. The version stands under the CRC, so that a
 * damaged file is never taken for a newer one; every version keeps `crc` and `content`.
 */
import { crc32c } from '../codec/crc32c.ts'
import { LogError } from '../errors.ts'
import { checkTopicConfig } from '../options.ts'
import { checkTopicName } from '../storage/file-names.ts'
import { checkChoice, checkInteger } from '../util/check.ts'
import { asError } from '../util/error-code.ts'
import type { StoredTopic } from './stored-topic.ts'
import { resolvePartitions } from './topic-definition.ts'

const VERSION = 1
/** Above what a cluster has handed out by the time someone moves files there or from there. */
export const FIRST_PRODUCER_ID: number = 2 ** 40
const TOPIC_ID = /^[A-Za-z0-9_-]{22}$/

export interface TopicStoreContent {
  /** The next producer id to be handed out. */
  readonly nextProducerId: number
  /** In the order of their creation. */
  readonly topics: readonly StoredTopic[]
}

export function formatTopicStore({ nextProducerId, topics }: TopicStoreContent): Buffer {
  const content = { version: VERSION, nextProducerId, topics }
  return Buffer.from(`${JSON.stringify({ crc: contentCrc(content), content }, undefined, 2)}\n`)
}

function hasCrc(content: unknown, crc: unknown): boolean {
  try {
    return contentCrc(content) === crc
  } catch (error) {
    // JSON.parse takes what is nested too deeply for JSON.stringify.
    if (error instanceof RangeError) return false
    throw error
  }
}

function contentCrc(content: unknown): number {
  const bytes = Buffer.from(JSON.stringify(content))
  return crc32c(bytes, 0, bytes.length)
}

/**
 * The content, or why it is damaged.
 * @throws LogError UNSUPPORTED_VERSION for a whole file of a newer version.
 */
export function parseTopicStore(bytes: Buffer): TopicStoreContent | { readonly damage: string } {
  let file: unknown
  try {
    file = JSON.parse(bytes.toString('utf8'))
  } catch {
    return { damage: 'it is no JSON' }
  }
  if (!isRecord(file) || !isRecord(file['content'])) return { damage: 'it has no content' }
  const { crc, content } = file
  if (!hasCrc(content, crc)) return { damage: 'its CRC does not match' }
  refuseNewer((content as Fields)['version'])
  try {
    return readContent(content as Fields)
  } catch (error) {
    return { damage: asError(error).message }
  }
}

type Fields = Readonly<Record<string, unknown>>

function isRecord(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function refuseNewer(version: unknown): void {
  if (typeof version !== 'number' || version <= VERSION) return
  throw new LogError(
    'UNSUPPORTED_VERSION',
    `brokerless.json has version ${version}; this library reads up to ${VERSION}`,
  )
}

function readContent(content: Fields): TopicStoreContent {
  const { topics } = content
  checkInteger('version', content['version'], VERSION, VERSION)
  if (!Array.isArray(topics)) throw new TypeError('topics is no array')
  const read = topics.map(readTopic)
  const names = new Set(read.map(({ name }) => name))
  if (names.size < read.length) throw new RangeError('a topic stands in it twice')
  return {
    nextProducerId: checkInteger('nextProducerId', content['nextProducerId'], 0),
    topics: read,
  }
}

function readTopic(given: unknown): StoredTopic {
  if (!isRecord(given)) throw new TypeError('a topic is no object')
  const { name, topicId, partitions, key, serializer, config, state } = given
  checkTopicName(name)
  if (typeof topicId !== 'string' || !TOPIC_ID.test(topicId)) {
    throw new TypeError(`topic ${name} has no topic id`)
  }
  if (serializer !== undefined && typeof serializer !== 'string') {
    throw new TypeError(`topic ${name} has no serializer's name`)
  }
  if (!isRecord(config)) throw new TypeError(`topic ${name} has no configuration`)
  checkTopicConfig(config, `topic ${name}`)
  return {
    name,
    topicId,
    partitions: resolvePartitions(`topic ${name}`, partitions) ?? 1,
    key: checkChoice(`topic ${name}: key`, key, 'string', ['string', 'bytes']),
    serializer,
    config,
    state: checkChoice(`topic ${name}: state`, state, 'live', ['live', 'deleting']),
  }
}
