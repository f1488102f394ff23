/** Reads Kafka's primitive types one after another; every length is checked before it is used. */
import { isUtf8 } from 'node:buffer'
import { readInt64 } from '../codec/int64.ts'

/** Bytes that are not what their version says. */
export class MalformedBytesError extends Error {
  override readonly name = 'MalformedBytesError'
}

const TWO_TO_32 = 2 ** 32

export class ByteReader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get remaining(): number {
    return this.#bytes.length - this.#at
  }

  int8(): number {
    return this.#bytes.readInt8(this.#take(1))
  }

  int16(): number {
    return this.#bytes.readInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#bytes.readInt32BE(this.#take(4))
  }

  int64(): number {
    const value = readInt64(this.#bytes, this.#take(8))
    if (!Number.isSafeInteger(value)) throw new MalformedBytesError(`${value} is no safe integer`)
    return value
  }

  /** At most 5 bytes, 7 bits each, least significant first. */
  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#take(1))
      value += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) {
        if (value >= TWO_TO_32) break
        return value
      }
    }
    throw new MalformedBytesError('a varint passes 32 bits')
  }

  string(): string {
    return notNull(this.nullableString())
  }

  nullableString(): string | null {
    return this.#text(this.int16())
  }

  compactString(): string {
    return notNull(this.nullableCompactString())
  }

  nullableCompactString(): string | null {
    return this.#text(this.unsignedVarint() - 1)
  }

  bytes(): Buffer {
    return notNull(this.nullableBytes())
  }

  nullableBytes(): Buffer | null {
    return this.#slice(this.int32())
  }

  compactBytes(): Buffer {
    return notNull(this.#slice(this.unsignedVarint() - 1))
  }

  array<T>(item: () => T): T[] {
    return this.#items(this.int32(), item)
  }

  compactArray<T>(item: () => T): T[] {
    return this.#items(this.unsignedVarint() - 1, item)
  }

  nullableArray<T>(item: () => T): T[] | null {
    const count = this.int32()
    return count === -1 ? null : this.#items(count, item)
  }

  nullableCompactArray<T>(item: () => T): T[] | null {
    const count = this.unsignedVarint() - 1
    return count === -1 ? null : this.#items(count, item)
  }

  skipTaggedFields(): void {
    for (let count = this.unsignedVarint(); count > 0; count -= 1) {
      this.unsignedVarint()
      this.#take(this.unsignedVarint())
    }
  }

  /** Tagged fields by their tag, each as its bytes. */
  taggedFields(): Map<number, Buffer> {
    const fields = new Map<number, Buffer>()
    for (let count = this.unsignedVarint(); count > 0; count -= 1) {
      const tag = this.unsignedVarint()
      const size = this.unsignedVarint()
      const at = this.#take(size)
      fields.set(tag, this.#bytes.subarray(at, at + size))
    }
    return fields
  }

  #items<T>(count: number, item: () => T): T[] {
    // An item has at least one byte, so a count above the rest is damage, not a reason to allocate.
    if (count < 0 || count > this.remaining) throw new MalformedBytesError(`${count} items`)
    const items: T[] = []
    for (let i = 0; i < count; i += 1) items.push(item())
    return items
  }

  #text(length: number): string | null {
    const bytes = this.#slice(length)
    if (bytes === null) return null
    if (!isUtf8(bytes)) throw new MalformedBytesError('a string is not UTF-8')
    return bytes.toString('utf8')
  }

  #slice(length: number): Buffer | null {
    if (length === -1) return null
    const at = this.#take(length)
    return this.#bytes.subarray(at, at + length)
  }

  /** Moves past `length` bytes; answers with where they begin. */
  #take(length: number): number {
    if (length < 0 || length > this.remaining) {
      throw new MalformedBytesError(`${length} bytes wanted, ${this.remaining} left`)
    }
    const at = this.#at
    this.#at += length
    return at
  }
}

function notNull<T>(value: T | null): T {
  if (value === null) throw new MalformedBytesError('null where a value must be')
  return value
}
