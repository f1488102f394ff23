import { shown } from '../util/check.ts'

/**
 * Refuses what msgpackr would write without a word and not bring back: typed arrays other than bytes and `DataView` (it writes their elements as bytes,
 * and whatever lay in memory), map keys that no reader of ours accepts, and, as the value itself, undefined, functions and symbols.
 * What has a `toJSON` is written as that says, and is not looked into.
 */
export function checkPackable(value: unknown): void {
  if (typeof value === 'object') checkObject(value)
  else if (typeof value === 'undefined' || typeof value === 'function') throw refused(value)
  else if (typeof value === 'symbol') throw refused(value)
}

function checkObject(value: object | null): void {
  if (value === null) return
  if (Array.isArray(value)) {
    for (const each of value) if (typeof each === 'object') checkObject(each)
    return
  }
  if (value.constructor === Object) checkFields(value)
  else checkInstance(value)
}

function checkFields(value: object): void {
  for (const name in value) {
    const each = (value as Readonly<Record<string, unknown>>)[name]
    if (typeof each === 'object') checkObject(each)
  }
}

function checkInstance(value: object): void {
  if (ArrayBuffer.isView(value)) {
    if (value instanceof Uint8Array) return
    throw new TypeError(
      `a value holds a ${value.constructor.name}; of the views on bytes only Uint8Array is kept`,
    )
  }
  if (value instanceof Map) checkMap(value)
  else if (value instanceof Set) for (const each of value) checkElement(each)
  else if (!hasToJSON(value)) checkFields(value)
}

function checkElement(value: unknown): void {
  if (typeof value === 'object') checkObject(value)
}

function checkMap(map: ReadonlyMap<unknown, unknown>): void {
  for (const [key, each] of map) {
    if (typeof key !== 'string' && typeof key !== 'number') {
      throw new TypeError(
        `a value holds a Map with the key ${shown(key)}; keys are strings or numbers`,
      )
    }
    checkElement(each)
  }
}

function hasToJSON(value: object): boolean {
  return 'toJSON' in value && typeof value.toJSON === 'function'
}

function refused(value: unknown): TypeError {
  return new TypeError(`the value is ${shown(value)}; MessagePack has none`)
}
