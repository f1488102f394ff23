/** Cuts a stream of bytes at a delimiter, which may lie across two chunks. Pure. */
export class LineSplitter {
  readonly #delimiter: Buffer
  /** Of the line that has begun, bytes in which no delimiter begins. */
  #pieces: Buffer[] = []
  #length = 0
  /** The last bytes of what has come, which may begin one: fewer than it has. */
  #held: Buffer = Buffer.alloc(0)

  /** @param delimiter at least one byte. */
  constructor(delimiter: Buffer) {
    this.#delimiter = delimiter
  }

  /** Bytes of the line that has begun. */
  get pendingBytes(): number {
    return this.#length + this.#held.length
  }

  /** The lines that end in this chunk, without their delimiters. They may be views on it. */
  *push(chunk: Buffer): Generator<Buffer> {
    const bytes = this.#held.length === 0 ? chunk : Buffer.concat([this.#held, chunk])
    let start = 0
    for (;;) {
      const end = bytes.indexOf(this.#delimiter, start)
      if (end === -1) break
      yield this.#joined(bytes.subarray(start, end))
      start = end + this.#delimiter.length
    }
    const heldFrom = Math.max(start, bytes.length - this.#delimiter.length + 1)
    this.#held = bytes.subarray(heldFrom)
    if (heldFrom === start) return
    this.#pieces.push(bytes.subarray(start, heldFrom))
    this.#length += heldFrom - start
  }

  /** The last line, where it has no delimiter behind it. */
  end(): Buffer | undefined {
    if (this.pendingBytes === 0) return undefined
    const line = this.#joined(this.#held)
    this.#held = Buffer.alloc(0)
    return line
  }

  #joined(last: Buffer): Buffer {
    if (this.#pieces.length === 0) return last
    const line = Buffer.concat([...this.#pieces, last])
    this.#pieces = []
    this.#length = 0
    return line
  }
}
