/** Sections of one key run one after another, in the order of their calls, those of other keys beside them. Keeps nothing of keys that are idle. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** Runs `section` when all earlier ones of the key have ended, well or badly; answers with its result. */
  run<T>(key: string, section: () => T | Promise<T>): Promise<T> {
    const result = (this.#tails.get(key) ?? Promise.resolve()).then(section)
    const forget = (): void => {
      if (this.#tails.get(key) === tail) this.#tails.delete(key)
    }
    const tail: Promise<unknown> = result.then(forget, forget)
    this.#tails.set(key, tail)
    return result
  }

  /** Resolves when all sections asked for so far have ended. */
  async idle(): Promise<void> {
    await Promise.all(this.#tails.values())
  }
}
