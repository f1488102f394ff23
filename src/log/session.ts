import { currentCall } from '../groups/consumer/run/call.ts'
import type { LogCore } from './log-core.ts'
import { closedError, readOnlyError } from './refusals.ts'

/** A log from its open to its close: what calls may do, and what a close waits for. */
export class Session {
  readonly core: LogCore
  readonly #underWay = new Set<Promise<unknown>>()
  #closing: Promise<void> | undefined
  #areConsumersClosed = false

  constructor(core: LogCore) {
    this.core = core
  }

  /** Not for a handler of a consumer, which the close waits for: what it is refused would count as its failure. */
  get isClosing(): boolean {
    if (this.#closing === undefined) return false
    return this.#areConsumersClosed || currentCall() === undefined
  }

  requireOpen(): void {
    if (this.isClosing) throw closedError()
  }

  requireWritable(): void {
    this.requireOpen()
    if (this.core.environment.readOnly) throw readOnlyError()
    if (this.core.failure !== undefined) throw this.core.failure
  }

  /** A close waits for it; what waits for records, and is to be told of the close, is not tracked. */
  track<R>(work: Promise<R>): Promise<R> {
    const done = work.finally(() => this.#underWay.delete(done))
    this.#underWay.add(done)
    return done
  }

  close(): Promise<void> {
    // A handler that calls it once more is not waited for, either.
    if (this.#closing !== undefined) this.core.consumers.closeAgain()
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    // First, so that they commit what is done.
    await this.core.consumers.close()
    this.#areConsumersClosed = true
    this.core.transactions.beginClose()
    while (this.#underWay.size > 0) await Promise.allSettled(this.#underWay)
    await this.core.close()
  }
}
