import type { PartitionLog } from '../storage/partition-log.ts'

/** Told in which partition something has changed; undefined: partitions were added, or the topic has gone. It must not throw. */
export type TopicListener = (changed: PartitionLog | undefined) => void

/**
 * Who waits for a topic. Those who wait for single partitions are kept by partition, so that thousands of idle ones cost an append to
 * another partition nothing: with 1,000 of them, records appended one by one went to 0.2 of the rate.
 */
export class TopicListeners {
  readonly #ofAll = new Set<TopicListener>()
  readonly #ofOne = new Map<PartitionLog, Set<TopicListener>>()
  #size = 0

  /** Listeners, each as often as it was added. */
  get size(): number {
    return this.#size
  }

  /** `partition` undefined: it is told of the changes of all. */
  add(listener: TopicListener, partition?: PartitionLog): void {
    this.#size += 1
    if (partition === undefined) this.#ofAll.add(listener)
    else {
      const listeners = this.#ofOne.get(partition)
      if (listeners === undefined) this.#ofOne.set(partition, new Set([listener]))
      else listeners.add(listener)
    }
  }

  /** Takes out what `add` put in with the same arguments. */
  delete(listener: TopicListener, partition?: PartitionLog): void {
    this.#size -= 1
    if (partition === undefined) {
      this.#ofAll.delete(listener)
      return
    }
    const listeners = this.#ofOne.get(partition)
    listeners?.delete(listener)
    if (listeners?.size === 0) this.#ofOne.delete(partition)
  }

  tell(changed: PartitionLog | undefined): void {
    if (this.#size === 0) return
    if (changed === undefined) {
      for (const listeners of [...this.#ofOne.values()]) tellEach(listeners, changed)
    } else {
      const listeners = this.#ofOne.get(changed)
      if (listeners !== undefined) tellEach(listeners, changed)
    }
    if (this.#ofAll.size > 0) tellEach(this.#ofAll, changed)
  }
}

/** Those that were there when the change came: who is told may add listeners and take them out. */
function tellEach(listeners: ReadonlySet<TopicListener>, changed: PartitionLog | undefined): void {
  for (const listener of [...listeners]) listener(changed)
}
