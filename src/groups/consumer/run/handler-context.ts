import type { HandlerContext } from './run-options.ts'

/** What the handlers of a partition are given; made once for all of them. */
export class PartitionContext implements HandlerContext {
  #controller: AbortController | undefined
  #isAborted = false

  /** Made for who asks. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#isAborted) this.#controller.abort()
    return this.#controller.signal
  }

  abort(): void {
    this.#isAborted = true
    this.#controller?.abort()
  }
}
