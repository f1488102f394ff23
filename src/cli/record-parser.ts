/** Lines of standard input as records to be produced. Pure. */
import type { HeaderValue, ProduceRecord, RecordHeaders, Serializer } from '../index.ts'
import { checkInteger, shown } from '../util/check.ts'
import { closestName } from '../util/closest-name.ts'
import { isWellFormed } from '../util/well-formed.ts'
import { parseTime } from './position.ts'
import { textOf } from './value-text.ts'

export type RawRecordToProduce = ProduceRecord<Uint8Array, Uint8Array>

/** What the topic says of its records. */
export interface RecordRule {
  readonly topic: string
  readonly serializer: Serializer
  /** How many it has. */
  readonly partitions: number
  /** It is compacted. */
  readonly requiresKey: boolean
}

/** Throws a `TypeError` or `RangeError` for a line that is no record. */
export type RecordParser = (line: Buffer) => RawRecordToProduce

// ----------------------------------------------------------------------------------- plain lines

/** The line is the value: text, JSON or bytes as they are, and MessagePack of JSON. */
export function lineParser(
  rule: RecordRule,
  keySeparator: Buffer | undefined,
  keyOfAll: Buffer | null,
): RecordParser {
  return (line) => {
    const { key, rest } =
      keySeparator === undefined ? { key: keyOfAll, rest: line } : splitKey(line, keySeparator)
    requireKey(rule, key)
    return { key, value: valueOfLine(rule, rest) }
  }
}

function splitKey(
  line: Buffer,
  separator: Buffer,
): { readonly key: Buffer; readonly rest: Buffer } {
  const at = line.indexOf(separator)
  if (at === -1) {
    throw new TypeError(`it has no key: ${shown(separator.toString('utf8'))} does not stand in it`)
  }
  return { key: line.subarray(0, at), rest: line.subarray(at + separator.length) }
}

function valueOfLine({ topic, serializer }: RecordRule, line: Buffer): Uint8Array | null {
  if (serializer.name === 'bytes') return line
  const text = textOf(line)
  if (text === undefined) throw new TypeError(`it is no UTF-8, and values of ${topic} are no bytes`)
  if (serializer.name === 'string') return line
  const value = parsedJson(text)
  // Its numbers may have more digits than JavaScript's.
  if (serializer.name === 'json' && value !== null) return Buffer.from(text.trim())
  return serialized(serializer, value)
}

// ------------------------------------------------------------------------------------ JSON lines

const FIELDS: ReadonlySet<string> = new Set([
  'key',
  'keyBase64',
  'value',
  'valueBase64',
  'headers',
  'timestamp',
  'partition',
  // As `cat` prints them; where a record goes is for the call to say.
  'topic',
  'offset',
])

type Fields = Readonly<Record<string, unknown>>

/** An object a line, as `cat --format json` prints it. */
export function jsonParser(rule: RecordRule): RecordParser {
  return (line) => {
    const given = parsedJson(textOf(line) ?? '')
    if (typeof given !== 'object' || given === null || Array.isArray(given)) {
      throw new TypeError(`it is ${shown(given)}; it must be an object with key and value`)
    }
    const fields = given as Fields
    checkFieldNames(fields)
    const key = keyOf(fields)
    requireKey(rule, key)
    return {
      key,
      value: givenValue(rule, fields),
      ...(fields['headers'] === undefined ? {} : { headers: headersOf(fields['headers']) }),
      ...(fields['timestamp'] === undefined ? {} : { timestamp: timeOf(fields['timestamp']) }),
      ...(fields['partition'] === undefined
        ? {}
        : { partition: partitionOf(rule, fields['partition']) }),
    }
  }
}

function checkFieldNames(fields: Fields): void {
  const unknown = Object.keys(fields).find((name) => !FIELDS.has(name))
  if (unknown === undefined) return
  const closest = closestName(unknown, FIELDS)
  const hint = closest === undefined ? '' : `; did you mean ${closest}?`
  throw new TypeError(`unknown field ${JSON.stringify(unknown)}${hint}`)
}

function keyOf({ key, keyBase64 }: Fields): Uint8Array | null {
  if (keyBase64 !== undefined) return decoded('keyBase64', keyBase64)
  if (key === undefined || key === null) return null
  if (typeof key === 'string') return encoded('key', key)
  throw new TypeError(`key is ${shown(key)}; it must be a string or null`)
}

function givenValue({ topic, serializer }: RecordRule, fields: Fields): Uint8Array | null {
  const { value, valueBase64 } = fields
  if (valueBase64 !== undefined) return decoded('valueBase64', valueBase64)
  if (value === undefined) throw new TypeError('it has no value (null makes a tombstone)')
  if (value === null) return null
  if (serializer.name !== 'bytes' && serializer.name !== 'string')
    return serialized(serializer, value)
  if (typeof value === 'string') return encoded('value', value)
  const allowed = serializer.name === 'bytes' ? 'text, valueBase64' : 'a string'
  throw new TypeError(
    `value is ${shown(value)}; values of ${topic} are ${serializer.name}: ${allowed} or null`,
  )
}

function headersOf(headers: unknown): RecordHeaders {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    throw new TypeError(`headers is ${shown(headers)}; it must be an object`)
  }
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      wellFormed('the name of a header', name),
      Array.isArray(value) ? value.map((each) => headerOf(name, each)) : headerOf(name, value),
    ]),
  )
}

function headerOf(name: string, value: unknown): HeaderValue {
  if (value === null) return value
  if (typeof value === 'string') return wellFormed(`header ${JSON.stringify(name)}`, value)
  if (typeof value === 'object' && 'base64' in value) {
    return decoded(`header ${JSON.stringify(name)}`, value.base64)
  }
  throw new TypeError(
    `header ${JSON.stringify(name)} is ${shown(value)}; it must be a string, { "base64": … } or null`,
  )
}

function timeOf(timestamp: unknown): number {
  if (typeof timestamp === 'number') return checkInteger('timestamp', timestamp, 0)
  const parsed = typeof timestamp === 'string' ? parseTime(timestamp) : undefined
  if (parsed !== undefined) return parsed
  throw new TypeError(`timestamp is ${shown(timestamp)}; it must be milliseconds or ISO 8601`)
}

function partitionOf({ topic, partitions }: RecordRule, given: unknown): number {
  const partition = checkInteger('partition', given, 0)
  if (partition < partitions) return partition
  throw new RangeError(`${topic} has no partition ${partition}; it has ${partitions}`)
}

// ------------------------------------------------------------------------------------ both kinds

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

function decoded(name: string, value: unknown): Buffer {
  if (typeof value === 'string' && BASE64.test(value)) return Buffer.from(value, 'base64')
  throw new TypeError(`${name} is ${shown(value)}; it must be base64`)
}

function encoded(name: string, text: string): Buffer {
  return Buffer.from(wellFormed(name, text))
}

function wellFormed(name: string, text: string): string {
  if (isWellFormed(text)) return text
  throw new TypeError(`${name} has half of a surrogate pair, which UTF-8 cannot hold`)
}

/** Null as a value is a tombstone. */
function serialized(serializer: Serializer, value: unknown): Uint8Array | null {
  return value === null ? null : serializer.serialize(value)
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new TypeError('it is no JSON', { cause })
  }
}

function requireKey({ topic, requiresKey }: RecordRule, key: Uint8Array | null): void {
  if (key !== null || !requiresKey) return
  throw new TypeError(`it has no key, and ${topic} is compacted: of each key the last record stays`)
}
