import type { TopicPartition } from '../types.ts'
import type { OffsetCommit, ResetTo } from './types.ts'

/** A partition whose committed offset is to be reset. */
export interface ResetRange extends TopicPartition {
  readonly logStartOffset: number
  /** Offsets above it are not committed. */
  readonly endOffset: number
  /** What `'latest'` is: nothing is skipped of a transaction that is not decided yet. */
  readonly lastStableOffset: number
  /** Where `to` is a timestamp: the first offset whose timestamp is >= it; undefined where there is none, which means the end. */
  readonly offsetForTimestamp?: number | undefined
}

/**
 * The commits that a reset makes, one a partition. An offset outside a partition becomes its nearest end, as with
 * Kafka's `kafka-consumer-groups --reset-offsets`. A `TypeError` or `RangeError` for what is no such target.
 */
export function planReset(to: ResetTo, ranges: readonly ResetRange[]): OffsetCommit[] {
  const target = targetOf(to)
  return ranges.map((range) => {
    const { topic, partition, logStartOffset, endOffset } = range
    const offset = Math.min(Math.max(target(range), logStartOffset), endOffset)
    return { topic, partition, offset }
  })
}

function targetOf(to: ResetTo): (range: ResetRange) => number {
  if (to === 'earliest') return (range) => range.logStartOffset
  if (to === 'latest') return (range) => range.lastStableOffset
  if (typeof to === 'object' && to !== null && 'offset' in to) {
    const offset = checkInteger('offset', to.offset, 0)
    return () => offset
  }
  if (typeof to === 'object' && to !== null && 'timestamp' in to) {
    checkInteger('timestamp', to.timestamp, Number.MIN_SAFE_INTEGER)
    return (range) => range.offsetForTimestamp ?? range.endOffset
  }
  throw new TypeError("to must be 'earliest', 'latest', { offset } or { timestamp }")
}

function checkInteger(name: string, value: unknown, least: number): number {
  if (typeof value !== 'number') throw new TypeError(`${name} must be a number`)
  if (!Number.isSafeInteger(value) || value < least) {
    throw new RangeError(`${name} must be a safe integer of at least ${least}, it is ${value}`)
  }
  return value
}
