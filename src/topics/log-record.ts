import { inspect } from 'node:util'
import type { RecordSink } from '../codec/batch-decoder.ts'
import { readHeaders } from '../codec/batch-decoder.ts'
import { DecodeError } from '../errors.ts'
import type { KeyType, LogRecord, ReadHeaders } from '../types.ts'
import { viewOf } from '../util/view.ts'
import type { Serializer } from './serializers.ts'
import { bytes as bytesSerializer } from './serializers.ts'

/**
 * Records as they are handed out. Their fields are own enumerable properties, so that spread, `JSON.stringify` and `deepEqual`
 * see them. Two classes, since a value that needs no decoding is cheaper as plain data: defining an accessor takes
 * about 100 ns a record.
 */

type Key = string | Buffer | null

const UNDECODED: unique symbol = Symbol('undecoded')

class DecodingRecord implements LogRecord<Key, unknown> {
  /** One descriptor for all, so that all records share one hidden class. */
  static readonly #VALUE: PropertyDescriptor & ThisType<DecodingRecord> = {
    enumerable: true,
    configurable: true,
    get() {
      return this.#decodedOnce()
    },
  }

  declare readonly topic: string
  declare readonly partition: number
  declare readonly offset: number
  declare readonly timestamp: number
  declare readonly key: Key
  declare readonly value: unknown
  declare readonly headers: ReadHeaders
  readonly #serializer: Serializer
  readonly #page: Buffer
  readonly #valueStart: number
  /** -1: a tombstone. */
  readonly #valueLength: number
  #decoded: unknown

  constructor(
    topic: string,
    partition: number,
    offset: number,
    timestamp: number,
    key: Key,
    headers: ReadHeaders,
    serializer: Serializer,
    page: Buffer,
    valueStart: number,
    valueLength: number,
  ) {
    this.topic = topic
    this.partition = partition
    this.offset = offset
    this.timestamp = timestamp
    this.key = key
    Object.defineProperty(this, 'value', DecodingRecord.#VALUE)
    this.headers = headers
    this.#serializer = serializer
    this.#page = page
    this.#valueStart = valueStart
    this.#valueLength = valueLength
    this.#decoded = UNDECODED
  }

  /** Of a record of this kind, its stored value. */
  static valueBytesOf(record: object | DecodingRecord): Buffer | null | undefined {
    if (!(#page in record)) return undefined
    const start = record.#valueStart
    const length = record.#valueLength
    return length < 0 ? null : record.#page.subarray(start, start + length)
  }

  /** Of nearly all records, which have no field of their own for it: see `setDeliveryCount`. */
  get deliveryCount(): number {
    return 1
  }

  #decodedOnce(): unknown {
    if (this.#decoded === UNDECODED) this.#decoded = this.#decode()
    return this.#decoded
  }

  #decode(): unknown {
    if (this.#valueLength < 0) return null
    try {
      const end = this.#valueStart + this.#valueLength
      return this.#serializer.deserialize(this.#page.subarray(this.#valueStart, end))
    } catch (cause) {
      throw this.#undecodable(cause)
    }
  }

  #undecodable(cause: unknown): DecodeError {
    return new DecodeError(this.topic, this.partition, this.offset, cause)
  }

  detach(): DecodingRecord {
    const start = this.#valueStart
    const copy = new DecodingRecord(
      this.topic,
      this.partition,
      this.offset,
      this.timestamp,
      ownKey(this.key),
      ownHeaders(this.headers),
      this.#serializer,
      ownBytes(this.#page.subarray(start, start + Math.max(0, this.#valueLength))),
      0,
      this.#valueLength,
    )
    if (this.deliveryCount !== 1) setDeliveryCount(copy, this.deliveryCount)
    return copy
  }

  /** `console.log` would show an accessor as `[Getter]`; a value that cannot be decoded is shown as its error. */
  [inspect.custom](depth: number, options: object): string {
    const shown: Record<string, unknown> = {}
    for (const name of Object.keys(this) as (keyof this & string)[]) shown[name] = this.#shown(name)
    return `LogRecord ${inspect(shown, { ...options, depth })}`
  }

  #shown(name: keyof this): unknown {
    try {
      return this[name]
    } catch (error) {
      return error
    }
  }
}

class BytesRecord implements LogRecord<Key, Buffer> {
  declare readonly topic: string
  declare readonly partition: number
  declare readonly offset: number
  declare readonly timestamp: number
  declare readonly key: Key
  declare readonly value: Buffer | null
  declare readonly headers: ReadHeaders

  constructor(
    topic: string,
    partition: number,
    offset: number,
    timestamp: number,
    key: Key,
    value: Buffer | null,
    headers: ReadHeaders,
  ) {
    this.topic = topic
    this.partition = partition
    this.offset = offset
    this.timestamp = timestamp
    this.key = key
    this.value = value
    this.headers = headers
  }

  /** Of nearly all records, which have no field of their own for it: see `setDeliveryCount`. */
  get deliveryCount(): number {
    return 1
  }

  detach(): BytesRecord {
    const { topic, partition, offset, timestamp, key, value, headers } = this
    const copy = new BytesRecord(
      topic,
      partition,
      offset,
      timestamp,
      ownKey(key),
      value === null ? null : ownBytes(value),
      ownHeaders(headers),
    )
    if (this.deliveryCount !== 1) setDeliveryCount(copy, this.deliveryCount)
    return copy
  }

  [inspect.custom](depth: number, options: object): string {
    return `LogRecord ${inspect({ ...this }, { ...options, depth })}`
  }
}

/** A record that a consumer's group is handed again. Those that it is handed for the first time are left as they are, and cost nothing. */
export function setDeliveryCount(record: object, deliveryCount: number): void {
  Object.defineProperty(record, 'deliveryCount', {
    value: deliveryCount,
    enumerable: true,
    configurable: true,
  })
}

/** Its value is there as it was read, and is not decoded when it is asked for. */
export function hasPlainValue(record: object): boolean {
  return record instanceof BytesRecord
}

/** The key and value of a record that was read, as bytes. A key that was no UTF-8 and is a string is not what it was. */
export function rawBytesOf(record: LogRecord<unknown, unknown>): {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
} {
  const key = typeof record.key === 'string' ? Buffer.from(record.key) : record.key
  const value = DecodingRecord.valueBytesOf(record)
  return {
    key: key as Uint8Array | null,
    value: value === undefined ? (record.value as Uint8Array | null) : value,
  }
}

const NO_BYTES = new ArrayBuffer(0)

/** Gathers the records that a decoder finds in one partition, in their order. */
export class RecordCollector implements RecordSink {
  readonly records: LogRecord[] = emptyArray()
  readonly #topic: string
  readonly #partition: number
  readonly #stringKeys: boolean
  /** Undefined: values are the bytes themselves. */
  readonly #serializer: Serializer | undefined
  /** The page at hand, its memory and its place there. */
  #page: Buffer | undefined
  #bytes: ArrayBufferLike = NO_BYTES
  #bytesStart = 0

  constructor(topic: string, partition: number, key: KeyType, serializer: Serializer) {
    this.#topic = topic
    this.#partition = partition
    this.#stringKeys = key === 'string'
    this.#serializer = serializer === bytesSerializer ? undefined : serializer
  }

  /**
   * The records that follow lie in this page. `record` sees that for itself; told before, it never takes that branch,
   * for which V8 would throw away its machine code at the second page.
   */
  turnTo(page: Buffer): void {
    this.#page = page
    this.#bytes = page.buffer
    this.#bytesStart = page.byteOffset
  }

  record(
    offset: number,
    timestamp: number,
    page: Buffer,
    keyStart: number,
    keyLength: number,
    valueStart: number,
    valueLength: number,
    headersStart: number,
    headerCount: number,
  ): void {
    if (page !== this.#page) this.turnTo(page)
    const key = this.#key(page, keyStart, keyLength)
    const headers = readHeaders(page, headersStart, headerCount)
    const record =
      this.#serializer === undefined
        ? new BytesRecord(
            this.#topic,
            this.#partition,
            offset,
            timestamp,
            key,
            valueLength < 0
              ? null
              : viewOf(this.#bytes, this.#bytesStart + valueStart, valueLength),
            headers,
          )
        : new DecodingRecord(
            this.#topic,
            this.#partition,
            offset,
            timestamp,
            key,
            headers,
            this.#serializer,
            page,
            valueStart,
            valueLength,
          )
    // The caller, who knows the topic's types, names them; here keys are what the topic's key type says.
    this.records.push(record as LogRecord)
  }

  #key(page: Buffer, start: number, length: number): Key {
    if (length < 0) return null
    return this.#stringKeys
      ? page.toString('utf8', start, start + length)
      : viewOf(this.#bytes, this.#bytesStart + start, length)
  }
}

/**
 * As `[]`, but one that V8 knows from the start to hold objects. It learns that of an empty literal only with time, and
 * then throws away the machine code of the first pages.
 */
function emptyArray(): LogRecord[] {
  const array: (LogRecord | null)[] = [null]
  array.pop()
  return array as LogRecord[]
}

/** A copy in memory of its own, which pins nothing else. */
function ownBytes(view: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(view.length)
  view.copy(copy)
  return copy
}

function ownKey(key: Key): Key {
  return key === null || typeof key === 'string' ? key : ownBytes(key)
}

function ownHeaders(headers: ReadHeaders): ReadHeaders {
  const names = Object.keys(headers)
  if (names.length === 0) return headers
  return Object.fromEntries(names.map((name) => [name, ownHeader(headers[name] ?? null)]))
}

function ownHeader(
  header: Buffer | null | readonly (Buffer | null)[],
): Buffer | null | readonly (Buffer | null)[] {
  if (header === null || Buffer.isBuffer(header)) return header === null ? null : ownBytes(header)
  return header.map((each) => (each === null ? null : ownBytes(each)))
}
