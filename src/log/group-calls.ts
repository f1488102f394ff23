import { EventEmitter } from 'node:events'
import type {
  CommitAcknowledgement,
  GroupDescription,
  GroupLag,
  GroupOffset,
  OffsetCommit,
  ResetTo,
} from '../groups/types.ts'
import type { CommitOptions } from '../options.ts'
import { resolveCommitOptions } from '../options.ts'
import type { AnyTopics, TopicName } from '../topics/topic-types.ts'
import type { TopicPartition } from '../types.ts'
import type { LogEvents } from './log-events.ts'
import type { Session } from './session.ts'

/** What a log does for consumer groups. */
export class GroupCalls<T extends object = AnyTopics> extends EventEmitter<LogEvents> {
  readonly #session: Session

  constructor(session: Session) {
    super()
    this.#session = session
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
    this.#session.core.signals.forget(group)
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
