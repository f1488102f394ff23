import { LogError } from '../errors.ts'
import { checkCommit, checkGroup, checkPartitionName } from '../groups/commit-checks.ts'
import { GroupStore } from '../groups/group-store.ts'
import type { LagInput } from '../groups/lag.ts'
import { firstUnreadOffset, groupLag } from '../groups/lag.ts'
import { OFFSETS_TOPIC, OffsetStore } from '../groups/offset-store.ts'
import { OffsetsLog } from '../groups/offsets-log.ts'
import type { ResetRange } from '../groups/reset.ts'
import { planReset } from '../groups/reset.ts'
import type {
  CommitAcknowledgement,
  GroupDescription,
  GroupLag,
  GroupOffset,
  OffsetCommit,
  ResetTo,
} from '../groups/types.ts'
import { resolveFetchOptions } from '../options.ts'
import { fetch } from '../topics/fetcher.ts'
import type { Topic } from '../topics/topic.ts'
import type { ResolvedDeclaration } from '../topics/topic-definition.ts'
import { resolveDeclaration } from '../topics/topic-definition.ts'
import type { Clock, Durability, ResetOffset, TopicPartition } from '../types.ts'
import { wrongType } from '../util/check.ts'
import type { TopicRegistry } from './topic-registry.ts'

/**
 * How `__consumer_offsets` is made; an existing directory's partition count rules. Its segments are small, since only what is rolled is
 * compacted, and all of it is read by an open.
 */
export const OFFSETS_DECLARATION: ResolvedDeclaration = resolveDeclaration(OFFSETS_TOPIC, {
  key: 'bytes',
  value: 'bytes',
  partitions: 1,
  durability: 'os',
  cleanupPolicy: 'compact',
  segmentBytes: 1024 * 1024,
})

/** What a caller changed about `__consumer_offsets` would lose committed offsets: its partition count says where a group's are. */
export function refuseInternal(topic: string, what: string): void {
  if (topic === OFFSETS_TOPIC) throw new TypeError(`${OFFSETS_TOPIC} cannot be ${what}`)
}

export interface GroupOffsetsOptions {
  readonly topics: TopicRegistry
  readonly clock: Clock
  readonly readOnly: boolean
  /** Told of what fails behind the calls. */
  readonly failed: (error: Error) => void
}

/** Committed offsets and the bookkeeping of groups. `__consumer_offsets` is made at the first commit. */
export class GroupOffsets {
  /** Generations, members and targets of the groups that are at work. */
  readonly groupStore: GroupStore
  readonly #options: GroupOffsetsOptions
  #store: OffsetStore | undefined
  #creating: Promise<OffsetStore> | undefined
  #isStale = false
  /** Why no group can be served; undefined: they can. */
  #unreadable: LogError | undefined

  constructor(options: GroupOffsetsOptions) {
    this.#options = options
    this.groupStore = new GroupStore({
      clock: options.clock,
      failed: options.failed,
      stored: () => this.#store,
      writable: () => this.#writableStore(),
    })
  }

  /** Loads what is stored, in one pass; nothing where the topic is not there. */
  async load(): Promise<void> {
    const topic = this.#options.topics.find(OFFSETS_TOPIC)
    this.groupStore.begin()
    if (topic === undefined) return
    try {
      this.#store = await this.#loadStore(topic)
    } catch (error) {
      if (!(error instanceof LogError && error.code === 'UNSUPPORTED_CODEC')) throw error
      // The other topics are as good as before.
      const message = `the committed offsets in ${OFFSETS_TOPIC} cannot be read: ${error.message}`
      this.#unreadable = new LogError('UNSUPPORTED_CODEC', message, { cause: error })
    }
    if (this.#options.readOnly) topic.listeners.add(() => (this.#isStale = true))
  }

  /** As far as it is loaded, for a look that waits for nothing; undefined: nothing is stored. */
  get loaded(): OffsetStore | undefined {
    return this.#store
  }

  /** After a crash, before the first append to any topic: offsets past the end of their partition are set to it. */
  async clamp(): Promise<{ resetOffsets: readonly ResetOffset[]; inMemory: readonly string[] }> {
    if (this.#store === undefined) return { resetOffsets: [], inMemory: [] }
    const { topics } = this.#options
    return this.#store.clampTo(
      (name, number) => topics.find(name)?.partitions[number]?.logEndOffset,
    )
  }

  async commit(
    group: string,
    commits: readonly OffsetCommit[],
    durability: Durability | undefined,
  ): Promise<CommitAcknowledgement> {
    checkGroup(group)
    for (const commit of commits) checkCommit(commit)
    this.#requirePartitions(commits)
    const store = await this.#writableStore()
    // One that was deleted meanwhile has lost its offsets already: these would be the next topic's of that name.
    this.#requirePartitions(commits)
    return store.commit(group, commits, durability)
  }

  async committed(group: string): Promise<GroupOffset[]> {
    checkGroupName(group)
    return (await this.#current())?.offsetsOf(group) ?? []
  }

  async groups(): Promise<string[]> {
    return (await this.#current())?.groups() ?? []
  }

  async describe(group: string): Promise<GroupDescription> {
    checkGroupName(group)
    const store = await this.#current()
    const description = store?.describe(group)
    if (description === undefined || description.state === 'Dead') throw unknownGroup(group)
    return description
  }

  async delete(group: string): Promise<void> {
    checkGroupName(group)
    const store = await this.#current()
    if (store === undefined) throw unknownGroup(group)
    await store.deleteGroup(group)
  }

  async deleteOffsets(group: string, partitions: readonly TopicPartition[]): Promise<void> {
    checkGroupName(group)
    if (!Array.isArray(partitions)) {
      throw wrongType('partitions', partitions, 'an array of topics and partitions')
    }
    for (const each of partitions) checkPartitionName(each)
    const store = await this.#current()
    if (store === undefined) throw unknownGroup(group)
    await store.deleteOffsets(group, partitions)
  }

  /** Durably: a topic of the same name that is made later must not begin at the offsets of this one. */
  async removeTopic(topic: string): Promise<void> {
    for (const { failure } of this.#options.topics.find(OFFSETS_TOPIC)?.partitions ?? []) {
      // A commit that was refused then may be in its file all the same.
      if (failure !== undefined) throw failure
    }
    await this.#store?.removeTopic(topic, 'disk')
  }

  /** Lag in the partitions where the group has committed. */
  async lag(group: string): Promise<GroupLag> {
    checkGroupName(group)
    const store = await this.#current()
    const offsets = store?.offsetsOf(group) ?? []
    if (offsets.length === 0 && !(store?.groups().includes(group) ?? false))
      throw unknownGroup(group)
    const inputs: LagInput[] = []
    for (const { topic: name, partition, offset } of offsets) {
      const topic = this.#options.topics.find(name)
      const log = topic?.partitions[partition]
      if (topic === undefined || log === undefined) continue
      const { logStartOffset, highWatermark: endOffset } = log
      const firstUnreadTimestamp = await this.#timestampAt(
        topic,
        partition,
        firstUnreadOffset(offset, logStartOffset),
      )
      inputs.push({
        topic: name,
        partition,
        committedOffset: offset,
        logStartOffset,
        endOffset,
        firstUnreadTimestamp,
      })
    }
    return groupLag(group, inputs, this.#options.clock.now())
  }

  /** Sets the group's offsets for a topic, all partitions or some; answers with what was committed. */
  async reset(
    group: string,
    topic: Topic,
    partitions: readonly number[] | undefined,
    to: ResetTo,
  ): Promise<OffsetCommit[]> {
    checkGroup(group)
    if (partitions !== undefined && !Array.isArray(partitions)) {
      throw wrongType('partitions', partitions, 'an array of partition numbers')
    }
    const ranges: ResetRange[] = []
    for (const number of partitions ?? topic.partitions.keys()) {
      const log = topic.partition(number)
      const offsetForTimestamp =
        typeof to === 'object' && to !== null && 'timestamp' in to
          ? await log.offsetForTime(to.timestamp)
          : undefined
      const { logStartOffset, highWatermark: endOffset } = log
      ranges.push({
        topic: topic.name,
        partition: number,
        logStartOffset,
        endOffset,
        offsetForTimestamp,
      })
    }
    const commits = planReset(to, ranges)
    await this.commit(group, commits, undefined)
    return commits
  }

  /** Waits for work under way; to be called before the partitions are closed. */
  async close(): Promise<void> {
    await this.groupStore.close()
    await this.#creating?.catch(() => {})
    if (this.#store?.owesRecords) await this.#store.settle()
  }

  #requirePartitions(partitions: readonly TopicPartition[]): void {
    const { topics } = this.#options
    for (const { topic, partition } of partitions) topics.get(topic).partition(partition)
  }

  async #timestampAt(topic: Topic, partition: number, offset: number): Promise<number | undefined> {
    const log = topic.partition(partition)
    if (offset >= log.highWatermark) return undefined
    const options = resolveFetchOptions({ partition, offset, maxRecords: 1, onCorrupt: 'skip' })
    const { records } = await fetch(topic, options, this.#options.clock)
    return records[0]?.timestamp
  }

  async #current(): Promise<OffsetStore | undefined> {
    if (this.#unreadable !== undefined) throw this.#unreadable
    const topic = this.#options.topics.find(OFFSETS_TOPIC)
    if (
      this.#options.readOnly &&
      topic !== undefined &&
      (this.#isStale || this.#store === undefined)
    ) {
      this.#isStale = false
      if (this.#store === undefined) await this.load()
      else this.#store = await this.#loadStore(topic)
    }
    return this.#store
  }

  #writableStore(): Promise<OffsetStore> | OffsetStore {
    if (this.#unreadable !== undefined) throw this.#unreadable
    if (this.#store !== undefined) return this.#store
    this.#creating ??= this.#create().finally(() => {
      this.#creating = undefined
    })
    return this.#creating
  }

  async #create(): Promise<OffsetStore> {
    const { topics } = this.#options
    await topics.create(OFFSETS_DECLARATION)
    this.#store = await this.#loadStore(topics.get(OFFSETS_TOPIC))
    return this.#store
  }

  #loadStore(topic: Topic): Promise<OffsetStore> {
    const { clock } = this.#options
    const partitions = topic.partitions.map((partition) => new OffsetsLog(partition))
    return OffsetStore.load({ partitions, clock })
  }
}

/** A group that is only asked for may have any name: Kafka's simple consumers commit for the empty one. */
function checkGroupName(group: unknown): void {
  if (typeof group !== 'string') throw wrongType('group', group, 'a string')
}

function unknownGroup(group: string): LogError {
  return new LogError('UNKNOWN_GROUP', `there is no group ${JSON.stringify(group)}`)
}
