// A topic over partitions of the test's choice, without a log around it.

import type { FetchOptions, ReadOptions } from '../../src/options.ts'
import { resolveFetchOptions, resolveReadOptions } from '../../src/options.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import type { FetchResult } from '../../src/topics/fetcher.ts'
import { fetch } from '../../src/topics/fetcher.ts'
import type { RecordStream } from '../../src/topics/record-stream.ts'
import { readStream } from '../../src/topics/record-stream.ts'
import { string } from '../../src/topics/serializers.ts'
import type { TopicCodec } from '../../src/topics/topic.ts'
import { Topic } from '../../src/topics/topic.ts'
import type { Clock, FileSystem } from '../../src/types.ts'
import type { OpenOptions } from './storage-environment.ts'
import {
  DEFAULT_CONFIG,
  openLog,
  storageEnvironment,
  writeFileBytes,
} from './storage-environment.ts'

const CODEC: TopicCodec = {
  name: 't',
  key: 'string',
  requiresKey: false,
  serializer: string,
  schema: undefined,
  partitioner: undefined,
}

/** Values are strings unless the codec says otherwise. */
export function topicOf(
  partitions: readonly PartitionLog[],
  codec: Partial<TopicCodec> = {},
): Topic {
  const name = partitions[0]?.topic ?? CODEC.name
  const random = (): number => 0.5
  return new Topic({ ...CODEC, name, ...codec }, 'id', DEFAULT_CONFIG, partitions, random)
}

export interface TestTopicOptions extends OpenOptions {
  /** Default 1. */
  readonly partitions?: number
}

/** Opens the topic `t` in a file system. */
export async function openTopic(
  fileSystem: FileSystem,
  options: TestTopicOptions = {},
): Promise<Topic> {
  const environment = options.environment ?? storageEnvironment(fileSystem, options)
  const logs: PartitionLog[] = []
  for (let partition = 0; partition < (options.partitions ?? 1); partition += 1) {
    logs.push(await openLog(fileSystem, { ...options, environment, partition }))
  }
  return topicOf(logs)
}

/** Opens `t` with one partition whose only segment holds these batches. */
export async function openWithBatches(
  fileSystem: FileSystem,
  batches: readonly Buffer[],
  options: TestTopicOptions = {},
): Promise<Topic> {
  await fileSystem.mkdir('/data/t-0')
  await writeFileBytes(fileSystem, '/data/t-0/00000000000000000000.log', Buffer.concat(batches))
  return openTopic(fileSystem, options)
}

/** Partition 0 of a topic. */
export function logOf(topic: Topic): PartitionLog {
  return topic.partition(0)
}

/** `fetch` from partition 0, offset 0, unless the options say otherwise. */
export function fetchFrom(
  topic: Topic,
  clock: Clock,
  options: Partial<FetchOptions> = {},
): Promise<FetchResult> {
  return fetch(topic, resolveFetchOptions({ partition: 0, offset: 0, ...options }), clock)
}

export function read(topic: Topic, options: ReadOptions = {}): RecordStream {
  return readStream(topic, resolveReadOptions(options))
}

export function valuesOf(result: {
  readonly records: readonly { readonly value: unknown }[]
}): unknown[] {
  return result.records.map(({ value }) => value)
}

export function offsetsOf(result: {
  readonly records: readonly { readonly offset: number }[]
}): number[] {
  return result.records.map(({ offset }) => offset)
}

/** Turns that the event loop takes while `task` is under way. */
export async function turnsDuring(task: () => Promise<unknown>): Promise<number> {
  let turns = 0
  const turn = (): void => {
    turns += 1
    next = setImmediate(turn)
  }
  let next = setImmediate(turn)
  await task()
  clearImmediate(next)
  return turns
}
