import type { TopicConfig } from '../types.ts'
import type { PendingBatch } from './pending-batch.ts'
import type { Segment } from './segment.ts'

/** Up to this size a write is made at once; a larger one goes to the thread pool. */
const SYNC_WRITE_BYTES = 512 * 1024

/** The active segment has to be rolled before this batch; its file must be ready. */
export function mustRollBefore(active: Segment, batch: PendingBatch, config: TopicConfig): boolean {
  const lastOffset = batch.nextOffset - 1
  return active.isFullFor(batch.sizeBytes, lastOffset, batch.maxTimestamp, config)
}

/** The batches from the first on that lie back to back in memory and go into the active segment: one write. */
export function nextGroup(
  waiting: readonly PendingBatch[],
  active: Segment,
  config: TopicConfig,
): readonly PendingBatch[] {
  if (waiting.length === 1) return waiting
  // The first batch of a segment is what the span of its times is counted from; each may need an index entry.
  const limit = active.sizeBytes === 0 ? 1 : active.indexRoom(config)
  const group: PendingBatch[] = []
  let size = active.sizeBytes
  for (const batch of waiting) {
    const last = group.at(-1)
    if (last !== undefined) {
      if (group.length >= limit || batch.chunk !== last.chunk || batch.start !== last.end) break
      if (size + batch.sizeBytes > config.segmentBytes) break
      if (mustRollBefore(active, batch, config)) break
    }
    size += batch.sizeBytes
    group.push(batch)
  }
  return group
}

/** The next group if it can be written at once; undefined where there is none, or the file or a roll has to be waited for. */
export function groupForNow(
  waiting: readonly PendingBatch[],
  active: Segment,
  config: TopicConfig,
): readonly PendingBatch[] | undefined {
  const first = waiting[0]
  if (first === undefined || !active.file.isReady()) return undefined
  if (mustRollBefore(active, first, config)) return undefined
  const group = nextGroup(waiting, active, config)
  return isLarge(group) ? undefined : group
}

/** It goes to the thread pool. */
export function isLarge(group: readonly PendingBatch[]): boolean {
  return groupBytes(group) > SYNC_WRITE_BYTES
}

/** Size of what one write takes. */
export function groupBytes(group: readonly PendingBatch[]): number {
  const first = group[0]
  const last = group.at(-1)
  return first === undefined || last === undefined ? 0 : last.end - first.start
}
