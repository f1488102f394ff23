/** Transactions as the batches alone tell of them. */
import type { ControlRecord } from '../codec/batch.ts'
import { readBatchHeader, readControlRecord } from '../codec/batch.ts'
import { BatchFormatError } from '../codec/batch-format-error.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { ProducerStates } from './producer-state.ts'
import type { Segment } from './segment.ts'
import type { BatchVisitor } from './segment-scan.ts'
import { findNextBatch, scanBatches } from './segment-scan.ts'

/** The record of a control batch whose CRC may not have been checked: one that cannot be read is none. */
export function controlRecordAt(buffer: Buffer, at: number): ControlRecord | undefined {
  try {
    return readControlRecord(buffer, at)
  } catch (error) {
    if (error instanceof BatchFormatError || error instanceof RangeError) return undefined
    throw error
  }
}

/**
 * Goes through a segment from a batch on, as far as its size is known, going on behind damage.
 * @param crcFrom see `ScanRange`: before it, of batches that are not control batches only the header is in `buffer`.
 */
export async function walkSegment(
  segment: Segment,
  position: number,
  visit: BatchVisitor,
  crcFrom = 0,
): Promise<void> {
  const { file, offsetLimit } = segment
  const to = await segment.measure()
  let nextOffset = segment.baseOffset
  for (let from = position; from !== -1 && from < to; ) {
    const range = { from, to, nextOffset, crcFrom, offsetLimit }
    const scanned = await scanBatches(file, range, visit)
    if (scanned.fault === undefined) return
    nextOffset = scanned.nextOffset
    const faulty = { position: scanned.position, to, nextOffset }
    from = await findNextBatch(file, faulty, offsetLimit)
  }
}

/**
 * The aborted transactions of all segments, each with the segment that has its marker. One that began before the first of them counts from its first
 * batch that is there.
 */
export async function walkAborted(
  segments: readonly Segment[],
): Promise<Map<Segment, AbortedTransaction[]>> {
  const states = new ProducerStates()
  const found = new Map<Segment, AbortedTransaction[]>()
  for (const segment of segments) {
    const aborted: AbortedTransaction[] = []
    found.set(segment, aborted)
    await walkSegment(segment, 0, (buffer, at) => {
      const header = readBatchHeader(buffer, at)
      const marker = header.isControl ? controlRecordAt(buffer, at) : undefined
      const transaction = states.update(header, marker)
      if (transaction !== undefined) aborted.push(transaction)
    })
  }
  return found
}
