/** How `cat` writes a record. */
import type { LogRecord, ReadHeaders, Serializer } from '../index.ts'
import type { Output } from './output.ts'
import { printableText, unescaped } from './text.ts'
import { jsonValueOf, shownAsJson, textOf } from './value-text.ts'

export type RawRecord = LogRecord<Buffer, Buffer>
export type RecordWriter = (record: RawRecord, output: Output) => void

export interface ValueFormat {
  readonly serializer: Serializer
  /** Values are shown as they are stored. */
  readonly isRaw: boolean
}

/** By the name of the format, or by a template; undefined for what is neither. */
export function writerOf(
  format: string,
  delimiter: string,
  values: ValueFormat,
): RecordWriter | undefined {
  if (format === 'value') return valueWriter(values, delimiter)
  if (format === 'json') return jsonWriter(values)
  return /[%\\]/.test(format) ? templateWriter(format, values) : undefined
}

// ----------------------------------------------------------------------------------------- value

/** The value and a delimiter; a tombstone is empty. On a terminal what would move its cursor is shown escaped. */
function valueWriter(format: ValueFormat, delimiter: string): RecordWriter {
  return ({ value }, output) => {
    if (value !== null) output.write(valueChunk(value, format, output.isTerminal))
    output.write(delimiter)
  }
}

function valueChunk(value: Buffer, format: ValueFormat, isTerminal: boolean): string | Uint8Array {
  const { serializer, isRaw } = format
  if (isRaw) return value
  const json = serializer.name === 'msgpack' ? shownAsJson(serializer, value) : undefined
  const chunk = json === undefined ? value : JSON.stringify(json)
  return isTerminal ? printableText(chunk.toString()) : chunk
}

// ------------------------------------------------------------------------------------------ json

/**
 * One JSON object a line, as `produce --json` takes it. Where `key` or `value` would not bring the stored bytes back,
 * `keyBase64` or `valueBase64` holds them; a header that is no text is `{ "base64": … }`.
 */
function jsonWriter(format: ValueFormat): RecordWriter {
  return (record, output) => {
    const line = JSON.stringify(jsonOf(record, format))
    output.line(output.isTerminal ? line.replace(UNSAFE_IN_JSON, escapedInJson) : line)
  }
}

/** What JSON leaves as it is, and a terminal may obey; it can stand in its strings alone. */
const UNSAFE_IN_JSON = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

function escapedInJson(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function jsonOf(record: RawRecord, format: ValueFormat): object {
  const { topic, partition, offset, timestamp, key, value, headers } = record
  return {
    topic,
    partition,
    offset,
    timestamp,
    ...contentFields({ key, value, headers }, format),
  }
}

/** Key, value and headers as `jsonWriter` shows them. */
export function contentFields(
  { key, value, headers }: Pick<RawRecord, 'key' | 'value' | 'headers'>,
  format: ValueFormat,
): object {
  return {
    ...keyFields(key),
    ...valueFields(value, format),
    ...(Object.keys(headers).length === 0 ? {} : { headers: headersOf(headers) }),
  }
}

function keyFields(key: Buffer | null): object {
  if (key === null) return { key: null }
  const text = textOf(key)
  return text === undefined ? { keyBase64: key.toString('base64') } : { key: text }
}

function valueFields(value: Buffer | null, { serializer, isRaw }: ValueFormat): object {
  if (value === null) return { value: null }
  const { json, isExact } = isRaw
    ? { json: undefined, isExact: false }
    : jsonValueOf(serializer, value)
  if (isExact) return { value: json }
  const stored = { valueBase64: value.toString('base64') }
  return json === undefined ? stored : { value: json, ...stored }
}

function headersOf(headers: ReadHeaders): object {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [
      name,
      Array.isArray(value) ? value.map(headerOf) : headerOf(value as Buffer | null),
    ]),
  )
}

function headerOf(value: Buffer | null): unknown {
  if (value === null) return null
  return textOf(value) ?? { base64: value.toString('base64') }
}

// -------------------------------------------------------------------------------------- template

/** What stands for a part of a record in a template; the letters are kcat's. */
type Part = (record: RawRecord, output: Output) => string | Uint8Array

function partsOf(format: ValueFormat): Readonly<Record<string, Part>> {
  return {
    t: ({ topic }) => topic,
    p: ({ partition }) => String(partition),
    o: ({ offset }) => String(offset),
    T: ({ timestamp }) => String(timestamp),
    k: ({ key }, { isTerminal }) => (key === null ? '' : plainChunk(key, format, isTerminal)),
    K: ({ key }) => String(key?.length ?? -1),
    s: ({ value }, { isTerminal }) => (value === null ? '' : valueChunk(value, format, isTerminal)),
    S: ({ value }) => String(value?.length ?? -1),
    h: ({ headers }, { isTerminal }) => plainChunk(headerText(headers), format, isTerminal),
    '%': () => '%',
  }
}

function plainChunk(
  chunk: string | Buffer,
  { isRaw }: ValueFormat,
  isTerminal: boolean,
): string | Uint8Array {
  return isTerminal && !isRaw ? printableText(chunk.toString()) : chunk
}

/** For `--help` and messages. */
export const TEMPLATE_DETAILS =
  'In a TEMPLATE, as in kcat, %t stands for the topic, %p partition, %o offset, %T timestamp (ms), %k key, %K its size in bytes (-1: none), %s value, %S its stored size (-1: tombstone), %h headers (name=value,...), %% a percent sign; \\n, \\t, \\r, \\0 and \\xHH are escapes. Nothing else is printed, so most templates end with \\n.'

/** A record as a template has it; undefined where something in the template stands for nothing. */
function templateWriter(template: string, format: ValueFormat): RecordWriter | undefined {
  const known = partsOf(format)
  const parts: Part[] = []
  for (const [, letter, text] of template.matchAll(/%([\s\S]?)|([^%]+)/g)) {
    if (text !== undefined) {
      const plain = unescaped(text)
      parts.push(() => plain)
      continue
    }
    const part = known[letter ?? '']
    if (part === undefined) return undefined
    parts.push(part)
  }
  return (record, output) => {
    for (const part of parts) output.write(part(record, output))
  }
}

function headerText(headers: ReadHeaders): string {
  return Object.entries(headers)
    .flatMap(([name, value]) => {
      const values = Array.isArray(value) ? value : [value]
      return values.map((each) => `${name}=${each === null ? 'NULL' : each.toString('utf8')}`)
    })
    .join(',')
}
