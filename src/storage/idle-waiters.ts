/** Who waits for the moment in which nothing waits to be written and nothing is being written. */
export class IdleWaiters {
  readonly #isIdle: () => boolean
  readonly #waiting: (() => void)[] = []

  constructor(isIdle: () => boolean) {
    this.#isIdle = isIdle
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0
  }

  /**
   * Calls `reached` in that very moment: who came to it by a promise would find the next calls there, again and again.
   * Resolves after it.
   */
  reach(reached: () => void): Promise<void> {
    if (this.#isIdle()) {
      reached()
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      this.#waiting.push(() => {
        reached()
        resolve()
      })
    })
  }

  /** The moment may have come. One after another: who is woken may begin to write. */
  wake(): void {
    while (this.#isIdle()) {
      const wake = this.#waiting.shift()
      if (wake === undefined) return
      wake()
    }
  }
}
