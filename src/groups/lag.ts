import type { TopicPartition } from '../types.ts'
import type { GroupLag, PartitionLag } from './types.ts'

/** What the lag of one partition is computed from. */
export interface LagInput extends TopicPartition {
  /** Undefined where the group has committed nothing there. */
  readonly committedOffset: number | undefined
  readonly logStartOffset: number
  /** Where readers stop: the last stable offset. */
  readonly endOffset: number
  /** Of the record at `firstUnreadOffset`, or the next one that a reader is given; undefined where there is none. */
  readonly firstUnreadTimestamp: number | undefined
}

/** Where a group would read next: a committed offset that retention has passed counts as the log start. */
export function firstUnreadOffset(committedOffset: number, logStartOffset: number): number {
  return Math.max(committedOffset, logStartOffset)
}

/** `now` in milliseconds. See `PartitionLag` for what the figures mean. */
export function partitionLag(input: LagInput, now: number): PartitionLag {
  const { topic, partition, committedOffset, logStartOffset, endOffset } = input
  const known = { topic, partition, committedOffset, logStartOffset, endOffset }
  if (committedOffset === undefined) return { ...known, lagRecords: undefined, lagMs: undefined }
  const lagRecords = Math.max(0, endOffset - firstUnreadOffset(committedOffset, logStartOffset))
  const since = lagRecords === 0 ? now : (input.firstUnreadTimestamp ?? now)
  return { ...known, lagRecords, lagMs: Math.max(0, now - since) }
}

export function groupLag(group: string, inputs: readonly LagInput[], now: number): GroupLag {
  const partitions = inputs.map((input) => partitionLag(input, now))
  return {
    group,
    partitions,
    lagRecords: partitions.reduce((sum, each) => sum + (each.lagRecords ?? 0), 0),
    lagMs: partitions.reduce((most, each) => Math.max(most, each.lagMs ?? 0), 0),
  }
}
