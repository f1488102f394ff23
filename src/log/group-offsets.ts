import { LogError } from '../errors.ts'
import { checkCommit, checkGroup, checkPartitionName } from '../groups/commit-checks.ts'
import type { GroupPosition, KnownGroup } from '../groups/group-description.ts'
import { ownersOf, positionsOf } from '../groups/group-description.ts'
import { GroupStore } from '../groups/group-store.ts'
import { groupLag } from '../groups/lag.ts'
import type { LiveGroups } from '../groups/live-group.ts'
import {
  describeLiveGroup,
  NO_LIVE_GROUPS,
  requireNoMembers,
  requireNoOwners,
  requireNotSubscribed,
} from '../groups/live-group.ts'
import { expireOffsets } from '../groups/offset-expirer.ts'
import { OFFSETS_TOPIC, OffsetStore } from '../groups/offset-store.ts'
import { OffsetsLog } from '../groups/offsets-log.ts'
import type { ResetRange } from '../groups/reset.ts'
import { planReset } from '../groups/reset.ts'
import type {
  CommitAcknowledgement,
  CommittedOffset,
  GroupDescription,
  GroupLag,
  GroupOffset,
  OffsetCommit,
  ResetTo,
} from '../groups/types.ts'
import { isInternalTopic } from '../topics/internal-topics.ts'
import type { Topic } from '../topics/topic.ts'
import type { ResolvedDeclaration } from '../topics/topic-definition.ts'
import { resolveDeclaration } from '../topics/topic-definition.ts'
import type { Clock, Durability, ResetOffset, TopicPartition } from '../types.ts'
import { wrongType } from '../util/check.ts'
import { lagInputs } from './group-lag.ts'
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

/** What a caller changed about `__consumer_offsets` would lose committed offsets: its partition count says where a group's are. Of `__transaction_state` the same holds. */
export function refuseInternal(topic: string, what: string): void {
  if (isInternalTopic(topic)) throw new TypeError(`${topic} cannot be ${what}`)
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
  /** Those that have a coordinator; to be set by who has the coordinators. */
  liveGroups: LiveGroups = NO_LIVE_GROUPS
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
      writable: () => this.writable(),
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

  /** Of who is no member: `FENCED` for a partition that belongs to one. */
  commit(
    group: string,
    commits: readonly OffsetCommit[],
    durability: Durability | undefined,
  ): Promise<CommitAcknowledgement> {
    return this.#commit(group, commits, durability, () => {
      requireNoOwners(group, this.liveGroups.find(group), commits)
    })
  }

  /** Of a member, whose coordinator has said that the partitions are its own. */
  commitOfMember(
    group: string,
    commits: readonly OffsetCommit[],
    durability: Durability | undefined,
  ): Promise<CommitAcknowledgement> {
    return this.#commit(group, commits, durability, () => {})
  }

  async #commit(
    group: string,
    commits: readonly OffsetCommit[],
    durability: Durability | undefined,
    refuse: () => void,
  ): Promise<CommitAcknowledgement> {
    checkGroup(group)
    for (const commit of commits) checkCommit(commit)
    this.#requirePartitions(commits)
    refuse()
    const store = await this.writable()
    // One that was deleted meanwhile has lost its offsets already: these would be the next topic's of that name.
    this.#requirePartitions(commits)
    refuse()
    return store.commit(group, commits, durability)
  }

  async committed(group: string): Promise<GroupOffset[]> {
    checkGroupName(group)
    return (await this.#current())?.offsetsOf(group) ?? []
  }

  /** What a group has committed for a partition; for a log that is written to, where all of it is in memory. */
  committedFor(group: string, { topic, partition }: TopicPartition): CommittedOffset | undefined {
    if (this.#unreadable !== undefined) throw this.#unreadable
    return this.#store?.committed(group, topic, partition)
  }

  async groups(): Promise<string[]> {
    const stored = (await this.#current())?.groups() ?? []
    const names = new Set(stored)
    for (const name of this.liveGroups.names()) {
      if (this.#hasMembers(name)) names.add(name)
    }
    return names.size === stored.length ? stored : [...names].sort()
  }

  /** From its coordinator, where it has one here; else by what is stored of it. */
  async describe(group: string): Promise<GroupDescription> {
    const known = await this.#known(group)
    const owners = ownersOf(known.members)
    const positions = positionsOf(known.offsets, owners)
    const { partitions, lagRecords, lagMs } = await this.#lagOf(group, positions)
    const ownerOf = ({ topic, partition }: TopicPartition): string | undefined =>
      owners.get(`${topic}-${partition}`)?.memberId
    return {
      ...known,
      partitions: partitions.map((each) => ({ ...each, owner: ownerOf(each) })),
      lagRecords,
      lagMs,
    }
  }

  async #known(group: string): Promise<KnownGroup> {
    checkGroupName(group)
    // That the last member has left may still be about to be stored.
    if (!this.#hasMembers(group)) await this.groupStore.settled(group)
    const store = await this.#current()
    const live = this.liveGroups.find(group)
    const isLive = live !== undefined && (this.#hasMembers(group) || store?.has(group) === true)
    const known = isLive
      ? describeLiveGroup(group, live, store?.offsetsOf(group) ?? [])
      : store?.describe(group)
    if (known === undefined || known.state === 'Dead') throw unknownGroup(group)
    return known
  }

  #hasMembers(group: string): boolean {
    return (this.liveGroups.find(group)?.state.members.size ?? 0) > 0
  }

  /** `GROUP_NOT_EMPTY` while it has members. */
  async delete(group: string): Promise<void> {
    checkGroupName(group)
    const refuse = (): void =>
      requireNoMembers(group, this.liveGroups.find(group), 'it was not deleted')
    refuse()
    // That it has no members any more is to be stored before it is gone, and not behind it.
    await this.groupStore.settled(group)
    const store = await this.#current()
    if (store === undefined) throw unknownGroup(group)
    await store.deleteGroup(group, refuse)
    this.groupStore.forget(group)
    this.liveGroups.forget(group)
  }

  async deleteOffsets(group: string, partitions: readonly TopicPartition[]): Promise<void> {
    checkGroupName(group)
    if (!Array.isArray(partitions)) {
      throw wrongType('partitions', partitions, 'an array of topics and partitions')
    }
    for (const each of partitions) checkPartitionName(each)
    const store = await this.#current()
    if (store === undefined) throw unknownGroup(group)
    await store.deleteOffsets(group, partitions, () => {
      requireNotSubscribed(group, this.liveGroups.find(group), partitions)
    })
  }

  /** Deletes the offsets that have had their time, and the groups that have nothing left. */
  async expire(retentionMs: number): Promise<void> {
    if (this.#store === undefined) return
    await expireOffsets({
      clock: this.#options.clock,
      offsets: this.#store,
      groupStore: this.groupStore,
      live: this.liveGroups,
      retentionMs,
    })
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
    if (store?.has(group) !== true && !this.#hasMembers(group)) throw unknownGroup(group)
    return await this.#lagOf(group, store?.offsetsOf(group) ?? [])
  }

  async #lagOf(group: string, positions: readonly GroupPosition[]): Promise<GroupLag> {
    const { topics, clock } = this.#options
    const inputs = await lagInputs(topics, positions, clock)
    return groupLag(group, inputs, clock.now())
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
    requireNoMembers(group, this.liveGroups.find(group), 'its offsets were not reset')
    const ranges: ResetRange[] = []
    for (const number of partitions ?? topic.partitions.keys()) {
      const log = topic.partition(number)
      const offsetForTimestamp =
        typeof to === 'object' && to !== null && 'timestamp' in to
          ? await log.offsetForTime(to.timestamp)
          : undefined
      const { logStartOffset, lastStableOffset, highWatermark: endOffset } = log
      ranges.push({
        topic: topic.name,
        partition: number,
        logStartOffset,
        endOffset,
        lastStableOffset,
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

  /** Made where there is none. Throws, or rejects, why no group can be served. */
  writable(): Promise<OffsetStore> | OffsetStore {
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
