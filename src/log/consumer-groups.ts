import type { Assignor } from '../groups/assignors/assignor.ts'
import { checkedAssignor } from '../groups/assignors/checked.ts'
import { rangeAssignor } from '../groups/assignors/range.ts'
import { roundRobinAssignor } from '../groups/assignors/round-robin.ts'
import { cooperativeStickyAssignor, stickyAssignor } from '../groups/assignors/sticky.ts'
import { checkGroup } from '../groups/commit-checks.ts'
import { Consumer } from '../groups/consumer/consumer.ts'
import { DeliveryCounts } from '../groups/consumer/delivery-counts.ts'
import type { GroupAccess, TopicFollower } from '../groups/consumer/group-access.ts'
import type { ConsumedRecord } from '../groups/consumer/page-source.ts'
import type { GroupSignals, LogSignals } from '../groups/consumer/signals.ts'
import type { Joining, MemberListener, Membership } from '../groups/coordinator.ts'
import { GroupCoordinator } from '../groups/coordinator.ts'
import type { LiveGroup, LiveGroups } from '../groups/live-group.ts'
import type { CommittedOffset, OffsetCommit } from '../groups/types.ts'
import type { AssignorName, ConsumerOptions, ResolvedConsumerOptions } from '../options.ts'
import { resolveConsumerOptions } from '../options.ts'
import type { Codecs } from '../storage/environment.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import { isInternalTopic } from '../topics/internal-topics.ts'
import { appendRaw } from '../topics/raw-records.ts'
import type { Topic } from '../topics/topic.ts'
import type { Clock, Durability, TopicPartition } from '../types.ts'
import { checkDeadLetterTopic, deadLetterOf } from './dead-letters.ts'
import type { GroupOffsets } from './group-offsets.ts'
import { refuseInternal } from './group-offsets.ts'
import { closedError } from './refusals.ts'
import type { TopicRegistry } from './topic-registry.ts'

export interface ConsumerGroupsOptions {
  readonly topics: TopicRegistry
  readonly offsets: GroupOffsets
  readonly signals: LogSignals
  readonly clock: Clock
  readonly codecs: Codecs
  /** Told of what fails behind the calls. */
  readonly failed: (error: Error) => void
}

const ASSIGNORS: Readonly<Record<AssignorName, Assignor>> = {
  range: rangeAssignor,
  'round-robin': roundRobinAssignor,
  sticky: stickyAssignor,
  'cooperative-sticky': cooperativeStickyAssignor,
}

/** The groups of a log that have, or had, consumers, and the consumers that are at work. */
export class ConsumerGroups implements LiveGroups {
  readonly #options: ConsumerGroupsOptions
  readonly #groups = new Map<string, ConsumerGroup>()
  readonly #consumers = new Set<Consumer>()
  /** No more consumers begin: nobody would close them. */
  #isClosed = false
  /** By topic; internal ones left out. Replaced when topics change, and shared by all groups. */
  #partitionCounts: ReadonlyMap<string, number> | undefined

  constructor(options: ConsumerGroupsOptions) {
    this.#options = options
    options.topics.onTopics = () => this.#topicsChanged()
    options.offsets.liveGroups = this
  }

  /** Throws what is wrong with the options, and `UNKNOWN_TOPIC`. */
  consumer(given: ConsumerOptions): Consumer {
    return this.consumerOf(resolveConsumerOptions(given))
  }

  consumerOf(options: ResolvedConsumerOptions): Consumer {
    checkGroup(options.group)
    for (const each of options.topics) if (typeof each === 'string') this.#requireTopic(each)
    const group = this.#group(options.group)
    const assignor = assignorOf(options.assignor)
    group.requireAssignor(assignor)
    const consumer: Consumer = new Consumer<ConsumedRecord>({
      access: new ConsumerAccess(group, assignor, options, this.#options),
      options,
      signals: group.signals.consumer(),
      begun: () => this.#begun(consumer),
      closed: () => this.#consumers.delete(consumer),
    })
    return consumer
  }

  #begun(consumer: Consumer): void {
    if (this.#isClosed) throw closedError()
    this.#consumers.add(consumer)
  }

  find(group: string): LiveGroup | undefined {
    return this.#groups.get(group)?.coordinator
  }

  *names(): Iterable<string> {
    for (const [name, { coordinator }] of this.#groups) if (coordinator !== undefined) yield name
  }

  forget(group: string): void {
    if (this.#groups.get(group)?.forget() !== false) this.#options.signals.forget(group)
  }

  /** Closes all consumers, handlers that are at work waited for; then nobody is a member any more. */
  async close(): Promise<void> {
    this.#isClosed = true
    const consumers = [...this.#consumers]
    const closed = await Promise.allSettled(consumers.map((each) => each.close()))
    for (const each of closed) if (each.status === 'rejected') this.#options.failed(each.reason)
    await Promise.all(consumers.map((each) => each.abandon()))
    for (const { coordinator } of this.#groups.values()) coordinator?.close()
  }

  /** For a handler that waits for the close under way: see `Consumer.close`. */
  closeAgain(): void {
    for (const each of this.#consumers) void each.close().catch(() => {})
  }

  partitionCounts(): ReadonlyMap<string, number> {
    this.#partitionCounts ??= new Map(
      this.#options.topics
        .list()
        .filter(({ name }) => !isInternalTopic(name))
        .map(({ name, partitions }) => [name, partitions.length]),
    )
    return this.#partitionCounts
  }

  #group(name: string): ConsumerGroup {
    const known = this.#groups.get(name)
    if (known !== undefined) return known
    const group = new ConsumerGroup(name, this, this.#options)
    this.#groups.set(name, group)
    return group
  }

  #topicsChanged(): void {
    this.#partitionCounts = undefined
    for (const group of this.#groups.values()) group.topicsChanged()
  }

  #requireTopic(name: string): void {
    refuseInternal(name, 'consumed')
    this.#options.topics.get(name)
  }
}

/** One group: its coordinator, made when the first consumer joins, and what its consumers share. */
class ConsumerGroup {
  readonly name: string
  readonly deliveries: DeliveryCounts = new DeliveryCounts()
  /** See `GroupAccess`. */
  starts: WeakMap<PartitionLog, number> = new WeakMap()
  readonly #groups: ConsumerGroups
  readonly #options: ConsumerGroupsOptions
  readonly #followers = new Set<TopicFollower>()
  /** Partitions of each topic that were there when the group came to work, or the topic to be. */
  #firstCounts: Map<string, number> | undefined
  coordinator: GroupCoordinator | undefined

  constructor(name: string, groups: ConsumerGroups, options: ConsumerGroupsOptions) {
    this.name = name
    this.#groups = groups
    this.#options = options
  }

  /** Others, once the group has been deleted. */
  get signals(): GroupSignals {
    return this.#options.signals.of(this.name)
  }

  /** All members have the same; a group without members takes the next one's. */
  requireAssignor(assignor: Assignor): void {
    const { coordinator } = this
    if (coordinator === undefined || coordinator.assignor === assignor.name) return
    if (coordinator.state.members.size === 0) return
    throw new TypeError(
      `assignor is '${assignor.name}'; the group ${JSON.stringify(this.name)} is at work with '${coordinator.assignor}'`,
    )
  }

  join(joining: Joining, listener: MemberListener, assignor: Assignor): Membership {
    this.requireAssignor(assignor)
    const isEmpty = this.coordinator?.state.members.size === 0
    if (this.coordinator === undefined || isEmpty) this.#begin(assignor)
    return (this.coordinator as GroupCoordinator).join(joining, listener)
  }

  #begin(assignor: Assignor): void {
    const { clock, offsets } = this.#options
    const { groupStore } = offsets
    this.coordinator?.close()
    const state = this.coordinator?.state ?? groupStore.restore(this.name, clock.now())
    this.coordinator = new GroupCoordinator({
      clock,
      assignor,
      state,
      store: (changed) => {
        groupStore.store(this.name, changed, assignor.name)
        this.signals.rebalanced(changed.epoch, changed.members.size)
      },
      stood: (durationMs) => this.signals.loopBlocked(durationMs),
    })
    const counts = this.#groups.partitionCounts()
    this.#firstCounts ??= new Map(counts)
    this.coordinator.followTopics(counts)
  }

  /** Begins anew with its next member; false while it has some. */
  forget(): boolean {
    const { coordinator } = this
    if (coordinator !== undefined && coordinator.state.members.size > 0) return false
    coordinator?.close()
    this.coordinator = undefined
    this.#firstCounts = undefined
    return true
  }

  follow(follower: TopicFollower): void {
    this.#followers.add(follower)
  }

  unfollow(follower: TopicFollower): void {
    this.#followers.delete(follower)
  }

  topicsChanged(): void {
    if (this.coordinator === undefined) return
    const counts = this.#groups.partitionCounts()
    for (const name of this.#firstCounts?.keys() ?? []) {
      if (!counts.has(name)) this.#firstCounts?.delete(name)
    }
    this.coordinator.followTopics(counts)
    for (const each of [...this.#followers]) each.topicsChanged()
  }

  /** The partition has come while the group was at work. */
  hasSeenMade({ topic, partition }: TopicPartition): boolean {
    return partition >= (this.#firstCounts?.get(topic) ?? 0)
  }
}

/** A group as one consumer of it sees it. */
class ConsumerAccess implements GroupAccess {
  readonly group: string
  readonly clock: Clock
  readonly deliveries: DeliveryCounts
  readonly failed: (error: Error) => void
  readonly #group: ConsumerGroup
  readonly #assignor: Assignor
  readonly #durability: Durability | undefined
  readonly #topics: TopicRegistry
  readonly #offsets: GroupOffsets
  readonly #codecs: Codecs

  constructor(
    group: ConsumerGroup,
    assignor: Assignor,
    { commitDurability }: ResolvedConsumerOptions,
    { clock, failed, topics, offsets, codecs }: ConsumerGroupsOptions,
  ) {
    this.group = group.name
    this.clock = clock
    this.deliveries = group.deliveries
    this.failed = failed
    this.#group = group
    this.#assignor = assignor
    this.#durability = commitDurability
    this.#topics = topics
    this.#offsets = offsets
    this.#codecs = codecs
  }

  get starts(): WeakMap<PartitionLog, number> {
    return this.#group.starts
  }

  get coordinator(): GroupCoordinator {
    if (this.#group.coordinator === undefined) throw new TypeError('nobody has joined the group')
    return this.#group.coordinator
  }

  join(joining: Joining, listener: MemberListener): Membership {
    return this.#group.join(joining, listener, this.#assignor)
  }

  topicsOf(subscription: readonly (string | RegExp)[]): string[] {
    const names = new Set<string>()
    for (const each of subscription) {
      if (typeof each === 'string') names.add(each)
      else for (const { name } of this.#topics.list()) if (each.test(name)) names.add(name)
    }
    return [...names].filter((name) => !isInternalTopic(name))
  }

  findTopic(name: string): Topic | undefined {
    return this.#topics.find(name)
  }

  hasSeenMade(partition: TopicPartition): boolean {
    return this.#group.hasSeenMade(partition)
  }

  decided(partition: TopicPartition): Promise<void> | undefined {
    return this.#offsets.loaded?.decided(this.group, partition)
  }

  committed(partition: TopicPartition): CommittedOffset | undefined {
    return this.#offsets.committedFor(this.group, partition)
  }

  commit(commits: readonly OffsetCommit[]): Promise<unknown> {
    return this.#offsets.commitOfMember(this.group, commits, this.#durability)
  }

  checkDeadLetterTopic(name: string): void {
    checkDeadLetterTopic(this.#topics, name)
  }

  async appendDeadLetter(
    name: string,
    record: ConsumedRecord<unknown, unknown>,
    error: unknown,
  ): Promise<void> {
    const { topic, partition, letter } = await deadLetterOf(
      this.#topics,
      this.group,
      name,
      record,
      error,
    )
    await appendRaw(topic, this.#codecs, partition, letter)
  }

  follow(follower: TopicFollower): void {
    this.#group.follow(follower)
  }

  unfollow(follower: TopicFollower): void {
    this.#group.unfollow(follower)
  }
}

function assignorOf(assignor: AssignorName | Assignor): Assignor {
  return typeof assignor === 'string' ? ASSIGNORS[assignor] : checkedAssignor(assignor)
}
