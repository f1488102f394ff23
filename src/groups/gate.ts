interface Waiting {
  readonly exclusive: boolean
  readonly start: () => void
}

/**
 * Shared sections run side by side, an exclusive one alone; all start in the order of their calls.
 * A section that need not wait starts within the call.
 */
export class Gate {
  readonly #queue: Waiting[] = []
  #running = 0
  #closed = false

  shared<T>(section: () => Promise<T>): Promise<T> {
    return this.#enter(false, section)
  }

  exclusive<T>(section: () => Promise<T>): Promise<T> {
    return this.#enter(true, section)
  }

  #enter<T>(exclusive: boolean, section: () => Promise<T>): Promise<T> {
    if (this.#queue.length === 0 && this.#admits(exclusive)) return this.#run(exclusive, section)
    return new Promise((resolve) => {
      this.#queue.push({ exclusive, start: () => resolve(this.#run(exclusive, section)) })
    })
  }

  #admits(exclusive: boolean): boolean {
    return exclusive ? this.#running === 0 : !this.#closed
  }

  async #run<T>(exclusive: boolean, section: () => Promise<T>): Promise<T> {
    this.#running += 1
    this.#closed = exclusive
    try {
      return await section()
    } finally {
      this.#running -= 1
      this.#closed = false
      this.#startNext()
    }
  }

  #startNext(): void {
    let next = this.#queue[0]
    while (next !== undefined && this.#admits(next.exclusive)) {
      this.#queue.shift()
      next.start()
      next = this.#queue[0]
    }
  }
}
