import { LogError } from '../errors.ts'
import type { KeyType } from '../types.ts'
import { shown } from '../util/check.ts'
import { isWellFormed } from '../util/well-formed.ts'

/** What a topic says of its keys. */
export interface KeyRule {
  /** The topic's. */
  readonly name: string
  readonly key: KeyType
  readonly requiresKey: boolean
}

/**
 * A record's key as it is written; undefined stands for none.
 * Throws a `TypeError` for a key of another type than the topic's, `LogError` `KEY_REQUIRED` where there has to be one.
 */
export function checkKey(rule: KeyRule, key: unknown): string | Uint8Array | null {
  const { name, key: keyType, requiresKey } = rule
  if (key === undefined || key === null) {
    if (!requiresKey) return null
    throw new LogError('KEY_REQUIRED', `${name} is compacted, by key: a record has none`)
  }
  if (keyType === 'string') {
    if (typeof key === 'string' && isWellFormed(key)) return key
  } else if (key instanceof Uint8Array) return key
  const allowed = keyType === 'string' ? 'a well-formed string' : 'a Uint8Array'
  throw new TypeError(`${name}: a key is ${shown(key)}; it must be ${allowed} or null`)
}
