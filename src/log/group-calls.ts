import { EventEmitter } from 'node:events'
import type { Consumer } from '../groups/consumer/consumer.ts'
import type { ConsumedRecord } from '../groups/consumer/page-source.ts'
import type {
  CommitAcknowledgement,
  GroupDescription,
  GroupLag,
  GroupOffset,
  OffsetCommit,
  ResetTo,
} from '../groups/types.ts'
import type { CommitOptions, ConsumerOptions } from '../options.ts'
import { resolveCommitOptions } from '../options.ts'
import type { AnyTopics, ReadKeyOf, TopicName, ValueOf } from '../topics/topic-types.ts'
import type { TopicPartition } from '../types.ts'
import type { DeadLetterReplay, ReplayOptions } from './dead-letter-replay.ts'
import type { LogEvents } from './log-events.ts'
import type { Session } from './session.ts'

/** The topics of a subscription: those that it names, or all of them where there is a pattern in it. */
export type SubscribedTo<T extends object, S extends readonly (string | RegExp)[]> = [
  Extract<S[number], RegExp>,
] extends [never]
  ? Extract<S[number], TopicName<T>>
  : TopicName<T>

/** A record of one of several topics: its `topic` tells which, and so the types of its key and value. */
export type ConsumedOf<T extends object, N extends TopicName<T>> =
  N extends TopicName<T>
    ? ConsumedRecord<ReadKeyOf<T, N>, ValueOf<T, N>> & { readonly topic: N }
    : never

/** What a log does for consumer groups. */
export class GroupCalls<T extends object = AnyTopics> extends EventEmitter<LogEvents> {
  readonly #session: Session

  constructor(session: Session) {
    super()
    this.#session = session
  }

  /**
   * A consumer of topics, by name or by pattern, as a member of a group: see `Consumer`. It joins the group when something is first asked of
   * it. Throws `UNKNOWN_TOPIC`, and a `TypeError` where the group is at work with another assignor.
   */
  consumer<const S extends readonly (TopicName<T> | RegExp)[]>(
    options: ConsumerOptions<TopicName<T>> & { readonly topics: S },
  ): Consumer<ConsumedOf<T, SubscribedTo<T, S>>> {
    this.#session.requireWritable()
    return this.#session.core.consumers.consumer(options) as unknown as Consumer<
      ConsumedOf<T, SubscribedTo<T, S>>
    >
  }

  /**
   * Brings the dead letters of a topic back to the topics and partitions that they come from, with their keys, values, timestamps and own headers, each
   * once: how far it has come is committed for a group of its own. Every group that reads those topics is given them.
   * Rejects with `UNKNOWN_TOPIC` or `UNKNOWN_PARTITION` where the origin of one is not there any more; what came before is replayed.
   */
  async replayDeadLetters(
    deadLetterTopic: TopicName<T>,
    options?: ReplayOptions,
  ): Promise<DeadLetterReplay> {
    this.#session.requireWritable()
    return await this.#session.track(this.#session.core.replays.replay(deadLetterTopic, options))
  }

  /** Commits the next offset to be read, of one or many partitions: all or none. */
  async commitOffset(
    group: string,
    commits: OffsetCommit | readonly OffsetCommit[],
    options?: CommitOptions,
  ): Promise<CommitAcknowledgement> {
    this.#session.requireWritable()
    const { durability } = resolveCommitOptions(options)
    const list = Array.isArray(commits)
      ? (commits as readonly OffsetCommit[])
      : [commits as OffsetCommit]
    return await this.#session.track(this.#session.core.groups.commit(group, list, durability))
  }

  /** All that a group has committed, by topic and partition; empty for a group that is not known. */
  async committedOffsets(group: string): Promise<GroupOffset[]> {
    this.#session.requireOpen()
    return await this.#session.track(this.#session.core.groups.committed(group))
  }

  /** How far a group is behind where it has committed, in records and in milliseconds. */
  async lag(group: string): Promise<GroupLag> {
    this.#session.requireOpen()
    return await this.#session.track(this.#session.core.groups.lag(group))
  }

  async groups(): Promise<string[]> {
    this.#session.requireOpen()
    return await this.#session.track(this.#session.core.groups.groups())
  }

  async describeGroup(group: string): Promise<GroupDescription> {
    this.#session.requireOpen()
    return await this.#session.track(this.#session.core.groups.describe(group))
  }

  async deleteGroup(group: string): Promise<void> {
    this.#session.requireWritable()
    await this.#session.track(this.#session.core.groups.delete(group))
  }

  /** Deletes what a group has committed for these partitions; where it has committed nothing, nothing happens. */
  async deleteOffsets(group: string, partitions: readonly TopicPartition[]): Promise<void> {
    this.#session.requireWritable()
    await this.#session.track(this.#session.core.groups.deleteOffsets(group, partitions))
  }

  /** Sets a group's offsets in a topic, in all partitions or those named; answers with what was committed. */
  async resetOffsets(
    group: string,
    topic: TopicName<T>,
    to: ResetTo,
    partitions?: readonly number[],
  ): Promise<OffsetCommit[]> {
    this.#session.requireWritable()
    return await this.#session.track(
      this.#session.core.groups.reset(group, this.#session.core.topics.get(topic), partitions, to),
    )
  }
}
