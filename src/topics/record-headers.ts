import { wrongType } from '../util/check.ts'

/**
 * Holds headers to what can be stored: a record of strings, bytes, null, or arrays of these.
 * Throws TypeError naming the header.
 */
export function checkHeaders(headers: unknown): void {
  if (typeof headers !== 'object' || headers === null || Array.isArray(headers)) {
    throw wrongType('headers', headers, 'a record of strings or bytes')
  }
  for (const [name, value] of Object.entries(headers)) {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value]
    for (const each of values) {
      if (each === null || typeof each === 'string' || each instanceof Uint8Array) continue
      throw wrongType(`header ${JSON.stringify(name)}`, each, 'a string, bytes or null')
    }
  }
}
