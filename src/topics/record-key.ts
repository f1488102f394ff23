import type { KeyType } from '../types.ts'
import { shown } from '../util/check.ts'
import { isWellFormed } from '../util/well-formed.ts'

/** A record's key as it is written; undefined stands for none. Throws a `TypeError` for a key of another type than the topic's. */
export function checkKey(
  topic: string,
  keyType: KeyType,
  key: unknown,
): string | Uint8Array | null {
  if (key === undefined || key === null) return null
  if (keyType === 'string') {
    if (typeof key === 'string' && isWellFormed(key)) return key
  } else if (key instanceof Uint8Array) return key
  const allowed = keyType === 'string' ? 'a well-formed string' : 'a Uint8Array'
  throw new TypeError(`${topic}: a key is ${shown(key)}; it must be ${allowed} or null`)
}
