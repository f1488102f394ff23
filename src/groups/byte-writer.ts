import { writeInt64 } from '../codec/int64.ts'

const FIRST_BYTES = 256

/** Writes what `ByteReader` reads: big-endian integers, strings and bytes behind their length, -1 for null. */
export class ByteWriter {
  // Of the pool: what it comes to is copied out of it.
  #bytes: Buffer = Buffer.allocUnsafe(FIRST_BYTES)
  #length = 0

  int8(value: number): void {
    const at = this.#take(1)
    this.#bytes.writeInt8(value, at)
  }

  int16(value: number): void {
    const at = this.#take(2)
    this.#bytes.writeInt16BE(value, at)
  }

  int32(value: number): void {
    const at = this.#take(4)
    this.#bytes.writeInt32BE(value, at)
  }

  int64(value: number): void {
    const at = this.#take(8)
    writeInt64(this.#bytes, at, value)
  }

  /** From 0 to 2^32 - 1; 7 bits each, least significant first. */
  unsignedVarint(value: number): void {
    let rest = value
    for (; rest > 0x7f; rest = Math.floor(rest / 0x80)) {
      const at = this.#take(1)
      this.#bytes[at] = (rest % 0x80) | 0x80
    }
    const at = this.#take(1)
    this.#bytes[at] = rest
  }

  /** At most 32,767 bytes of UTF-8. */
  string(text: string): void {
    const byteLength = Buffer.byteLength(text)
    this.int16(byteLength)
    const at = this.#take(byteLength)
    this.#bytes.write(text, at, 'utf8')
  }

  compactString(text: string): void {
    const byteLength = Buffer.byteLength(text)
    this.unsignedVarint(byteLength + 1)
    const at = this.#take(byteLength)
    this.#bytes.write(text, at, 'utf8')
  }

  nullableString(text: string | null): void {
    if (text === null) this.int16(-1)
    else this.string(text)
  }

  bytes(value: Uint8Array): void {
    this.int32(value.length)
    const at = this.#take(value.length)
    this.#bytes.set(value, at)
  }

  nullableBytes(value: Uint8Array | null): void {
    if (value === null) this.int32(-1)
    else this.bytes(value)
  }

  array<T>(items: readonly T[], write: (item: T) => void): void {
    this.int32(items.length)
    for (const item of items) write(item)
  }

  compactArray<T>(items: readonly T[], write: (item: T) => void): void {
    this.unsignedVarint(items.length + 1)
    for (const item of items) write(item)
  }

  /** What was written, in memory of its own. */
  toBuffer(): Buffer {
    const copy = Buffer.allocUnsafeSlow(this.#length)
    this.#bytes.copy(copy, 0, 0, this.#length)
    return copy
  }

  /** Room for so many bytes; answers with its start. */
  #take(count: number): number {
    const start = this.#length
    this.#length += count
    if (this.#length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(2 * this.#length)
      this.#bytes.copy(larger, 0, 0, start)
      this.#bytes = larger
    }
    return start
  }
}
