import type { TopicPartition } from '../types.ts'

/** By UTF-16 code units, as Java's `String.compareTo`; not the locale's order. */
export function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** By topic, then partition. */
export function comparePartitions(a: TopicPartition, b: TopicPartition): number {
  return compare(a.topic, b.topic) || a.partition - b.partition
}
