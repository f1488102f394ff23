import type { PartitionLog } from '../storage/partition-log.ts'
import { keepAlive, letGo } from '../util/keep-alive.ts'
import type { Topic } from './topic.ts'
import type { TopicListener } from './topic-listeners.ts'

/** What someone who waits is told; once after `end`, too, where another one ended it at the same change. Neither may throw. */
export interface TopicWaiter {
  /** Something has changed, in this partition; undefined: partitions were added, or the topic has gone. */
  changed(partition: PartitionLog | undefined): void
  aborted(reason: unknown): void
}

/** Someone waits for a topic, or for one partition of it: told of its changes and of the signal, and kept alive, until `end`. */
export class TopicWait {
  readonly #topic: Topic
  readonly #log: PartitionLog | undefined
  readonly #signal: AbortSignal | undefined
  readonly #changed: TopicListener
  readonly #aborted: () => void
  #isOver = false

  /** `log` undefined: all partitions are waited for. The signal has not been aborted yet. */
  constructor(
    topic: Topic,
    log: PartitionLog | undefined,
    signal: AbortSignal | undefined,
    waiter: TopicWaiter,
  ) {
    this.#topic = topic
    this.#log = log
    this.#signal = signal
    this.#changed = (partition) => waiter.changed(partition)
    this.#aborted = () => waiter.aborted(signal?.reason)
    topic.listeners.add(this.#changed, log)
    signal?.addEventListener('abort', this.#aborted, { once: true })
    keepAlive()
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#topic.listeners.delete(this.#changed, this.#log)
    this.#signal?.removeEventListener('abort', this.#aborted)
    letGo()
  }
}
