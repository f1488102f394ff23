import { isUtf8 } from 'node:buffer'
import { Packr } from 'msgpackr'
import { shown } from '../util/check.ts'
import { isWellFormed } from '../util/well-formed.ts'
import { checkPackable } from './msgpack-check.ts'

/**
 * How values become bytes and come back. A null value is a tombstone and reaches no serializer.
 */
export interface Serializer<V = unknown> {
  /** Stored with the topic, which then opens with no other; 1 to 64 printable ASCII characters. */
  readonly name: string
  /** The bytes are taken over: they may not change afterwards. Throws a `TypeError` for what cannot be brought back. */
  serialize(value: V): Uint8Array
  /** `bytes` is a view on a page shared with other readers: read only. What is thrown becomes a `DecodeError`'s cause. */
  deserialize(bytes: Buffer): V
}

// `useRecords: false` gives plain MessagePack: each value can be read by itself, and by any reader.
const packr = new Packr({ useRecords: false, variableMapSize: true })

/**
 * MessagePack. Comes back as it was: null, booleans, numbers (-0 as 0), well-formed strings, bigints of 64 bits, `Date` (as the
 * standard's timestamp), arrays, plain objects, undefined within a value (as an extension of type 0). Comes back as something else: `Uint8Array` as
 * `Buffer` (a view on the record's page), `ArrayBuffer` as `Buffer`, `Map` as an object, `Set` as an array, `Error` and `RegExp` as
 * arrays of their parts, a class instance as a plain object, or as what its `toJSON` gives, a function within a value as
 * undefined, the property `__proto__` as `__proto_`, a lone surrogate as U+FFFD. Refused with a `TypeError`: undefined, a function or a symbol as the value; anywhere in
 * it other typed arrays and `DataView` (their bytes would be wrong) and `Map` keys other than strings and numbers; with a
 * `RangeError`: larger bigints.
 */
export const msgpack: Serializer = {
  name: 'msgpack',
  serialize(value) {
    checkPackable(value)
    // A view on memory that msgpackr hands out once, so a later value does not overwrite it.
    return packr.pack(value)
  },
  deserialize: (bytes) => packr.unpack(bytes),
}

/** `JSON.stringify` and `JSON.parse`. What JSON has no text for (undefined, a function, a symbol) is refused as a value with a `TypeError`. */
export const json: Serializer = {
  name: 'json',
  serialize(value) {
    const text = JSON.stringify(value) as string | undefined
    if (text === undefined) throw new TypeError(`the value is ${shown(value)}; JSON has none`)
    return Buffer.from(text)
  },
  deserialize: (bytes) => JSON.parse(decodeUtf8(bytes)),
}

/** UTF-8. Strings with a lone surrogate would come back as others and are refused with a `TypeError`. */
export const string: Serializer<string> = {
  name: 'string',
  serialize(value) {
    if (typeof value === 'string' && isWellFormed(value)) return Buffer.from(value)
    throw new TypeError(`the value is ${shown(value)}; it must be a well-formed string`)
  },
  deserialize: decodeUtf8,
}

/** As they are. They may change once `produce` has returned, and come back as a `Buffer`. */
export const bytes: Serializer<Uint8Array> = {
  name: 'bytes',
  serialize(value) {
    if (value instanceof Uint8Array) return value
    throw new TypeError(`the value is ${shown(value)}; it must be a Uint8Array`)
  },
  deserialize: (view) => view,
}

export type BuiltInName = 'msgpack' | 'json' | 'string' | 'bytes'

const BUILT_IN: Readonly<Record<BuiltInName, Serializer>> = {
  msgpack,
  json,
  string: string as Serializer,
  bytes: bytes as Serializer,
}
export const BUILT_IN_NAMES: readonly string[] = Object.keys(BUILT_IN)

/** The built-in serializer of this name; undefined for a name that stands for someone's own. */
export function builtInSerializer(name: string): Serializer | undefined {
  return Object.hasOwn(BUILT_IN, name) ? BUILT_IN[name as BuiltInName] : undefined
}

/** Something that has what a serializer needs. */
export function isSerializer(value: unknown): value is Serializer {
  if (typeof value !== 'object' || value === null) return false
  const { serialize, deserialize } = value as Partial<Serializer>
  return typeof serialize === 'function' && typeof deserialize === 'function'
}

const PRINTABLE = /^[\x20-\x7e]{1,64}$/

/** Refuses names that cannot be stored, and a built-in name for another serializer. */
export function checkSerializerName(serializer: Serializer): void {
  const { name } = serializer
  if (typeof name !== 'string' || !PRINTABLE.test(name)) {
    throw new TypeError(
      `a serializer's name is ${shown(name)}; it must be 1 to 64 printable ASCII characters`,
    )
  }
  const builtIn = builtInSerializer(name)
  if (builtIn !== undefined && builtIn !== serializer) {
    throw new TypeError(`a serializer's name is '${name}'; the built-in one has that name`)
  }
}

/** Strict: what is no UTF-8 would otherwise come back as other text. */
function decodeUtf8(view: Buffer): string {
  const text = view.toString('utf8')
  if (text.includes('\ufffd') && !isUtf8(view)) throw new TypeError('the bytes are no UTF-8')
  return text
}
