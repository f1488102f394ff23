/**
 * Back-pressure: at most `limitBytes` of records wait to be written, over all partitions; who brings more waits for
 * room, in the order of arrival. One call that alone is larger than the bound is let in when nothing else waits.
 */
export class PendingRoom {
  readonly #limitBytes: number
  readonly #queue: Waiting[] = []
  #pendingBytes = 0
  #isAdmitting = false

  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes
  }

  get pendingBytes(): number {
    return this.#pendingBytes
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Takes the room if it is there and nobody waits for it; false: call `wait`. */
  tryTake(bytes: number): boolean {
    if (this.#queue.length > 0 || !this.#fits(bytes)) return false
    this.#pendingBytes += bytes
    return true
  }

  /** Calls `admitted` (which must not throw) once the room is taken. The answer, called before that, gives the place in the queue back. */
  wait(bytes: number, admitted: () => void): () => boolean {
    const waiting: Waiting = { bytes, admitted }
    this.#queue.push(waiting)
    return () => {
      const index = this.#queue.indexOf(waiting)
      if (index === -1) return false
      this.#queue.splice(index, 1)
      this.#admit()
      return true
    }
  }

  /** Resolves when all who wait now have been let in. */
  passed(): Promise<void> {
    if (this.#queue.length === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.wait(0, resolve)
    })
  }

  /** Room taken by `tryTake` or `wait` is free again. */
  release(bytes: number): void {
    this.#pendingBytes -= bytes
    this.#admit()
  }

  #fits(bytes: number): boolean {
    return this.#pendingBytes === 0 || this.#pendingBytes + bytes <= this.#limitBytes
  }

  /** Who is let in may fail at once and release again: the loop that is running then goes on, however many there are. */
  #admit(): void {
    if (this.#isAdmitting) return
    this.#isAdmitting = true
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      if (!this.#fits(first.bytes)) break
      this.#queue.shift()
      this.#pendingBytes += first.bytes
      first.admitted()
    }
    this.#isAdmitting = false
  }
}

interface Waiting {
  readonly bytes: number
  readonly admitted: () => void
}
