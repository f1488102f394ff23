import { isFieldsObject, wrongType } from '../util/check.ts'
import { isWellFormed } from '../util/well-formed.ts'

/**
 * Holds headers to what can be stored: a record of well-formed strings, bytes, null, or arrays of these.
 * Throws TypeError naming the header.
 */
export function checkHeaders(headers: unknown): void {
  if (!isFieldsObject(headers)) throw wrongType('headers', headers, 'a record of strings or bytes')
  for (const [name, value] of Object.entries(headers)) {
    if (!isWellFormed(name)) throw wrongType('the name of a header', name, 'a well-formed string')
    const values: readonly unknown[] = Array.isArray(value) ? value : [value]
    for (const each of values) {
      if (isHeaderValue(each)) continue
      throw wrongType(`header ${JSON.stringify(name)}`, each, 'a well-formed string, bytes or null')
    }
  }
}

function isHeaderValue(value: unknown): boolean {
  if (typeof value === 'string') return isWellFormed(value)
  return value === null || value instanceof Uint8Array
}
