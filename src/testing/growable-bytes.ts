const SMALLEST_BUFFER_BYTES = 256

/** The content of a file in memory: a buffer that doubles as it fills. What was never written reads as zeros. */
export class GrowableBytes {
  /** All zeros past `#size`. */
  #buffer: Uint8Array = new Uint8Array(0)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Fills `target` from `position`; gives the number of bytes read, 0 at the end. */
  read(target: Uint8Array, position: number): number {
    const length = Math.max(0, Math.min(target.length, this.#size - position))
    target.set(this.#buffer.subarray(position, position + length))
    return length
  }

  write(source: Uint8Array, position: number): void {
    if (source.length === 0) return
    const end = position + source.length
    this.#reserve(end)
    this.#buffer.set(source, position)
    this.#size = Math.max(this.#size, end)
  }

  /** Cuts the end off, or adds zeros. */
  resize(size: number): void {
    this.#reserve(size)
    if (size < this.#size) this.#buffer.fill(0, size, this.#size)
    this.#size = size
    if (size < this.#buffer.length / 4) this.#buffer = this.#buffer.slice(0, size)
  }

  clone(): GrowableBytes {
    const copy = new GrowableBytes()
    copy.#buffer = this.#buffer.slice(0, this.#size)
    copy.#size = this.#size
    return copy
  }

  #reserve(size: number): void {
    if (size <= this.#buffer.length) return
    const grown = new Uint8Array(Math.max(size, this.#buffer.length * 2, SMALLEST_BUFFER_BYTES))
    grown.set(this.#buffer.subarray(0, this.#size))
    this.#buffer = grown
  }
}
