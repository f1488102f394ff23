/** Runs asynchronous sections one after another, in the order of their calls. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve()

  /** Runs `section` when all earlier ones have ended, well or badly; answers with its result. */
  run<T>(section: () => T | Promise<T>): Promise<T> {
    const result = this.#tail.then(section)
    this.#tail = result.then(ignore, ignore)
    return result
  }

  /** Resolves when all sections asked for so far have ended. */
  async idle(): Promise<void> {
    await this.#tail
  }
}

function ignore(): void {}
