/** A handler that is under way, and how `close` knows that it is called inside one. */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { Timer } from '../../../types.ts'
import type { ConsumedRecord } from '../page-source.ts'
import type { Lane } from './orders.ts'
import type { HeldPage } from './progress.ts'

/** What must be known of records whose handler does not end at once, or fails. */
export class Call<K, V> {
  /** Whose it is. */
  readonly runner: object
  /** Undefined before it is known that the handler does not end at once. */
  held: HeldPage<K, V> | undefined
  index = 0
  end = 0
  lane: Lane<K, V> | undefined
  /** As they are handed out now. */
  records: readonly ConsumedRecord<K, V>[] = []
  /** Its handler, or the append of a dead letter, is under way. */
  isUnderWay = false
  /** How often its handler has failed. */
  failures = 0
  /** How often it could not be appended as a dead letter. */
  failedAppends = 0
  error: unknown
  /** It waits for its next try. */
  timer: Timer | undefined

  constructor(runner: object) {
    this.runner = runner
  }
}

/**
 * Handlers run in a context of their own, from which what they call, at once or after an `await`, is told apart. While none runs it is switched
 * off: before Node 24 it makes every promise of the process slower, by some tenths of a microsecond. Handlers
 * that answer at once share one with the next that does not, so that they cost no context each: what such a handler leaves going on beside itself
 * counts as part of that one.
 */
const contexts = new AsyncLocalStorage<Call<unknown, unknown>>()
let runs = 0

export function beginContexts(): void {
  runs += 1
}

export function endContexts(): void {
  runs -= 1
  if (runs === 0) contexts.disable()
}

export function inContextOf<K, V, R>(call: Call<K, V>, task: () => R): R {
  return contexts.run(call as Call<unknown, unknown>, task)
}

export function outsideOfContexts<R>(task: () => R): R {
  return contexts.exit(task)
}

/** The handler in which this is called; undefined outside of all. */
export function currentCall(): Call<unknown, unknown> | undefined {
  return contexts.getStore()
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  if (typeof value !== 'object' || value === null) return false
  return value instanceof Promise || ('then' in value && typeof value.then === 'function')
}
