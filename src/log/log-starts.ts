import type { PartitionLog } from '../storage/partition-log.ts'
import { unknownTopic } from '../topics/produce.ts'
import { Mutex } from '../util/mutex.ts'
import type { TopicRegistry } from './topic-registry.ts'
import { metadataError } from './topic-registry.ts'

export interface LogStartsOptions {
  readonly topics: TopicRegistry
  /** Replaces the checkpoint by what there is to say when its turn comes. Rejects with what the caller is to be told. */
  readonly write: (starts: () => ReadonlyMap<string, number>) => Promise<void>
}

/** Where partitions begin. */
export class LogStarts {
  readonly #topics: TopicRegistry
  readonly #write: LogStartsOptions['write']
  readonly #moves = new Mutex()

  constructor({ topics, write }: LogStartsOptions) {
    this.#topics = topics
    this.#write = write
  }

  /** By `<topic>-<partition>`. Where a segment begins as well, unlike Kafka: a power cut may bring the files below back. */
  all(): Map<string, number> {
    const starts = new Map<string, number>()
    for (const { name, logStartOffset } of this.#topics.partitions()) {
      if (logStartOffset > 0) starts.set(name, logStartOffset)
    }
    return starts
  }

  /**
   * Moves a partition's log start and deletes the segments below it. The checkpoint is the commit point; the start moves in memory
   * before the next checkpoint is written, so that none goes back behind another. Of a topic that is deleted meanwhile nothing is
   * written any more: the deletion takes it out of the checkpoint, once, and the next topic of that name must not begin there.
   */
  async deleteBelow(log: PartitionLog, before: number): Promise<void> {
    try {
      await this.#moves.run(() => this.#move(log, before))
      await log.deleteSegmentsBelow(before)
    } catch (error) {
      throw this.#topics.isThere(log) ? metadataError(log.name, error) : unknownTopic(log.topic)
    }
  }

  async #move(log: PartitionLog, before: number): Promise<void> {
    if (before <= log.logStartOffset) return
    await this.#write(() =>
      this.#topics.isThere(log) ? this.all().set(log.name, before) : this.all(),
    )
    log.moveLogStart(before)
  }
}
