/** Stored bytes as JSON, and back. Pure. */
import { isUtf8 } from 'node:buffer'
import type { Serializer } from '../index.ts'
import { bytes, json, msgpack, string } from '../index.ts'

const BYTES = bytes as Serializer
const BUILT_IN: ReadonlyMap<string, Serializer> = new Map([
  ['json', json],
  ['msgpack', msgpack],
  ['string', string as Serializer],
])

/** The serializer of this name; of someone's own the functions are not here, and its values are bytes. */
export function serializerNamed(name: string): Serializer {
  return BUILT_IN.get(name) ?? BYTES
}

export interface JsonValue {
  /** Undefined: there is no JSON for it. */
  readonly json: unknown
  /** Serialized again it is the same bytes. */
  readonly isExact: boolean
}

/** What JSON shows of a stored value, which is not null; undefined: there is none for it. */
export function shownAsJson(serializer: Serializer, stored: Buffer): unknown {
  return converted(serializer, stored).json
}

/** As `shownAsJson`, and whether it is all that has to be kept. */
export function jsonValueOf(serializer: Serializer, stored: Buffer): JsonValue {
  const { json, isExact } = converted(serializer, stored)
  if (!isExact || isText(serializer)) return { json, isExact }
  // Numbers have more digits than JavaScript's, and texts of JSON more than one form.
  return { json, isExact: stored.equals(serializer.serialize(json)) }
}

/** `isExact`: JSON has the value as it was read. */
function converted(serializer: Serializer, stored: Buffer): JsonValue {
  if (isText(serializer)) {
    const text = textOf(stored)
    return { json: text, isExact: text !== undefined }
  }
  let value: unknown
  try {
    value = serializer.deserialize(stored)
  } catch {
    return { json: undefined, isExact: false }
  }
  const conversion = new Conversion()
  const json = conversion.convert(value)
  // As the value itself null is a tombstone.
  return { json, isExact: conversion.isExact && value !== null }
}

function isText({ name }: Serializer): boolean {
  return name === 'bytes' || name === 'string'
}

/** Undefined for what is no UTF-8. */
export function textOf(stored: Buffer): string | undefined {
  return isUtf8(stored) ? stored.toString('utf8') : undefined
}

/** MessagePack knows more than JSON: dates, bytes, large integers, undefined. */
class Conversion {
  isExact = true

  convert(value: unknown): unknown {
    if (typeof value === 'object' && value !== null) return this.#object(value)
    if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
    if (typeof value === 'number' && Number.isFinite(value) && !Object.is(value, -0)) return value
    this.isExact = false
    return typeof value === 'bigint' ? String(value) : typeof value === 'number' ? value : null
  }

  #object(value: object): unknown {
    if (Array.isArray(value)) return value.map((each) => this.convert(each))
    if (Object.getPrototypeOf(value) === Object.prototype) {
      const fields = Object.entries(value).map(([name, each]) => [name, this.convert(each)])
      return Object.fromEntries(fields)
    }
    this.isExact = false
    if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
    return value
  }
}
