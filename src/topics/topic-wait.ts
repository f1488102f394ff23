import { keepAlive, letGo } from '../util/keep-alive.ts'
import type { Topic } from './topic.ts'

/** What someone who waits is told; once after `end`, too, where another one ended it at the same change. Neither may throw. */
export interface TopicWaiter {
  /** Something has changed in the topic. */
  changed(): void
  aborted(reason: unknown): void
}

/** Someone waits for a topic: told of its changes and of the signal, and kept alive, until `end`. */
export class TopicWait {
  readonly #topic: Topic
  readonly #signal: AbortSignal | undefined
  readonly #changed: () => void
  readonly #aborted: () => void
  #isOver = false

  /** The signal has not been aborted yet. */
  constructor(topic: Topic, signal: AbortSignal | undefined, waiter: TopicWaiter) {
    this.#topic = topic
    this.#signal = signal
    this.#changed = () => waiter.changed()
    this.#aborted = () => waiter.aborted(signal?.reason)
    topic.listeners.add(this.#changed)
    signal?.addEventListener('abort', this.#aborted, { once: true })
    keepAlive()
  }

  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#topic.listeners.delete(this.#changed)
    this.#signal?.removeEventListener('abort', this.#aborted)
    letGo()
  }
}
