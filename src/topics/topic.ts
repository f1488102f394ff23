import { isCompacted } from '../options.ts'
import type { RecordCount } from '../storage/append-target.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability, KeyType, TopicConfig } from '../types.ts'
import type { Partitioner } from './partitioner.ts'
import { checkPartition } from './partitioner.ts'
import type { Serializer } from './serializers.ts'
import type { StandardSchemaV1 } from './standard-schema.ts'
import { StickyPartitioner } from './sticky-partitioner.ts'
import { TopicListeners } from './topic-listeners.ts'

/** How the records of a topic become bytes, and which partition they go to. */
export interface TopicCodec {
  readonly name: string
  readonly key: KeyType
  /** A record without one is refused: the topic is compacted. */
  readonly requiresKey: boolean
  readonly serializer: Serializer
  readonly schema: StandardSchemaV1 | undefined
  readonly partitioner: Partitioner | undefined
}

/** An open topic. */
export class Topic {
  /** Replaced where a second creator brings other functions, and when the topic is altered. */
  codec: TopicCodec
  readonly topicId: string
  readonly sticky: StickyPartitioner
  /** By partition number; grows when partitions are added. */
  readonly partitions: PartitionLog[]
  /** Told when a partition has grown, moved its start or failed, partitions were added, or the topic has gone. */
  readonly listeners: TopicListeners = new TopicListeners()
  /** Counts what the listeners were told, or would have been. */
  changes = 0
  config: TopicConfig
  /** What was read of it since it was opened, by whoever reads; bytes are those of the pages. */
  readonly fetched: RecordCount = { records: 0, bytes: 0 }
  /** No longer there: deleted, or its log was closed. */
  gone: 'deleted' | 'closed' | undefined

  constructor(
    codec: TopicCodec,
    topicId: string,
    config: TopicConfig,
    partitions: readonly PartitionLog[],
    random: () => number,
  ) {
    this.codec = codec
    this.topicId = topicId
    this.config = config
    this.partitions = []
    this.sticky = new StickyPartitioner(random)
    this.add(partitions)
  }

  get name(): string {
    return this.codec.name
  }

  /** The level of calls that ask for none. */
  get durability(): Durability {
    return this.config.durability
  }

  /** Throws LogError UNKNOWN_PARTITION where there is no such partition. */
  partition(partition: number): PartitionLog {
    const checked = checkPartition(this.name, partition, this.partitions.length)
    return this.partitions[checked] as PartitionLog
  }

  add(partitions: readonly PartitionLog[]): void {
    for (const partition of partitions) {
      partition.onChange = () => this.#tell(partition)
      this.partitions.push(partition)
    }
    this.#tell(undefined)
  }

  configure(config: TopicConfig): void {
    this.config = config
    this.codec = { ...this.codec, requiresKey: isCompacted(config) }
    for (const partition of this.partitions) partition.configure(config)
  }

  /** Readers that wait are told that there will be no more. */
  leave(reason: 'deleted' | 'closed'): void {
    this.gone = reason
    this.#tell(undefined)
  }

  #tell(changed: PartitionLog | undefined): void {
    this.changes += 1
    this.listeners.tell(changed)
  }
}
