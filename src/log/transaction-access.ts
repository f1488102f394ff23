import { checkCommit, checkGroup } from '../groups/commit-checks.ts'
import { requireNoOwners } from '../groups/live-group.ts'
import { OFFSETS_TOPIC } from '../groups/offset-store.ts'
import type { OffsetCommit } from '../groups/types.ts'
import type { IdempotentProduceOptions, ResolvedProduceOptions } from '../options.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Topic } from '../topics/topic.ts'
import type { ProducerContext, ProducerIdentity } from '../transactions/log-producer.ts'
import type { PreparedCall, PreparedOne, TransactionContext } from '../transactions/transaction.ts'
import type { HeldWrite, OffsetsAccess } from '../transactions/transaction-offsets.ts'
import type {
  Acknowledgement,
  BatchAcknowledgement,
  ProduceRecord,
  TopicPartition,
} from '../types.ts'
import type { LogCore } from './log-core.ts'
import { Producing } from './producing.ts'
import type { Session } from './session.ts'
import { stateTopic } from './transactions.ts'

/** A log as its producers and transactions see it. */
export class TransactionAccess implements TransactionContext, ProducerContext {
  readonly maxTransactionBytes: number
  readonly offsets: OffsetsAccess
  readonly #session: Session
  readonly #producing: Producing

  constructor(session: Session) {
    this.#session = session
    this.#producing = new Producing(session.core)
    this.maxTransactionBytes = session.core.maxTransactionBytes
    this.offsets = new OffsetsOfLog(session.core)
  }

  get transactions(): this {
    return this
  }

  now(): number {
    return this.#session.core.clock.now()
  }

  requireWritable(): void {
    this.#session.requireWritable()
  }

  track<R>(work: Promise<R>): Promise<R> {
    return this.#session.track(work)
  }

  prepare(
    topic: string,
    records: readonly ProduceRecord<unknown, unknown>[],
    options: ResolvedProduceOptions,
  ): PreparedCall | Promise<PreparedCall> {
    return this.#producing.prepare(topic, records, options)
  }

  prepareOne(
    topic: string,
    record: ProduceRecord<unknown, unknown>,
    options: ResolvedProduceOptions,
  ): PreparedOne | undefined {
    return this.#producing.prepareOne(topic, record, options)
  }

  produce(
    as: ProducerIdentity,
    topic: string,
    records: ProduceRecord<unknown, unknown> | readonly ProduceRecord<unknown, unknown>[],
    options: IdempotentProduceOptions | undefined,
  ): Promise<Acknowledgement | BatchAcknowledgement[]> {
    try {
      this.#session.requireWritable()
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#producing.produceAs(as, topic, records, options)
  }
}

class OffsetsOfLog implements OffsetsAccess {
  readonly #core: LogCore

  constructor(core: LogCore) {
    this.#core = core
  }

  isOffsets({ topic }: PartitionLog): boolean {
    return topic === OFFSETS_TOPIC
  }

  findTopic(name: string): Topic | undefined {
    return this.#core.topics.find(name)
  }

  check(group: string, commits: readonly OffsetCommit[]): void {
    checkGroup(group)
    for (const commit of commits) checkCommit(commit)
    const { topics } = this.#core
    for (const { topic, partition } of commits) topics.get(topic).partition(partition)
  }

  requireNoOwners(group: string, partitions: readonly TopicPartition[]): void {
    requireNoOwners(group, this.#core.groups.liveGroups.find(group), partitions)
  }

  prepare(): Promise<void> | undefined {
    const store = this.#core.groups.writable()
    return store instanceof Promise ? store.then(() => {}) : undefined
  }

  async inTransaction<R>(
    commits: ReadonlyMap<string, readonly OffsetCommit[]>,
    refuse: () => void,
    section: (held: readonly HeldWrite[]) => Promise<R>,
  ): Promise<R> {
    const { groups, topics } = this.#core
    const store = await groups.writable()
    // Before offsets are held: a deletion of a topic keeps others from being made until they are not.
    await stateTopic(topics)
    return await store.inTransaction(commits, refuse, (held) =>
      section(
        held.map((each) => {
          return { log: topics.get(OFFSETS_TOPIC).partition(each.partition), held: each }
        }),
      ),
    )
  }
}
