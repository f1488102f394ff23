/** Reads the partitions of a topic between two places each, a page at a time. */
import type { IsolationLevel, RecordBatch } from '../index.ts'
import type { RawLog } from './log-directory.ts'
import type { Position } from './position.ts'
import { offsetAt } from './position.ts'
import type { RawRecord } from './record-format.ts'

export interface PagesOptions {
  readonly topic: string
  /** Undefined: all. */
  readonly partitions: readonly number[] | undefined
  readonly from: Position
  /** Undefined: the end as it is now; not looked at while following. */
  readonly until: Position | undefined
  /** Waits for more at the end, and takes in partitions that are added. */
  readonly isFollowing: boolean
  readonly skipCorrupt: boolean
  readonly isolationLevel: IsolationLevel
  readonly signal: AbortSignal
}

/** Pages of records: in order within a partition; several partitions take turns, a page each. */
export async function* recordPages(
  log: RawLog,
  partitionCount: number,
  options: PagesOptions,
): AsyncGenerator<readonly RawRecord[]> {
  const { topic, isFollowing, skipCorrupt, isolationLevel, signal } = options
  const numbers = options.partitions ?? Array.from({ length: partitionCount }, (_, at) => at)
  const spans = await spansOf(log, numbers, options)
  if (spans.size === 0) return
  const takesInNew = isFollowing && options.partitions === undefined
  const reading = log.read(topic, {
    ...(takesInNew ? {} : { partitions: [...spans.keys()] }),
    from: new Map([...spans].map(([number, { from }]) => [number, from])),
    ...(isFollowing ? {} : { until: 'end' as const }),
    onCorrupt: skipCorrupt ? 'skip' : 'throw',
    isolationLevel,
    signal,
  })
  for await (const page of reading.batches()) {
    const records = isFollowing ? page.records : recordsWithin(spans, page)
    if (records.length > 0) yield records
    if (spans.size === 0) return
  }
}

/** A partition that is read. */
interface Span {
  readonly from: number
  readonly until: number
}

/** By partition; those in which nothing is to be read are left out. */
async function spansOf(
  log: RawLog,
  numbers: readonly number[],
  { topic, from, until = { kind: 'end' }, isFollowing, isolationLevel }: PagesOptions,
): Promise<Map<number, Span>> {
  const spans = new Map<number, Span>()
  for (const number of numbers) {
    const { earliest, latest, lastStable } = await log.offsets(topic, number)
    const range = { earliest, latest: isolationLevel === 'read_committed' ? lastStable : latest }
    const span = {
      from: await offsetAt(log, topic, number, range, from),
      until: await offsetAt(log, topic, number, range, until),
    }
    if (isFollowing || span.from < span.until) spans.set(number, span)
  }
  return spans
}

/** Those of a page that lie before the bound of its partition, which is taken out when it is reached. */
function recordsWithin(
  spans: Map<number, Span>,
  { partition, records, nextOffset }: RecordBatch<Buffer, Buffer>,
): readonly RawRecord[] {
  const until = spans.get(partition)?.until
  if (until === undefined) return []
  if (nextOffset < until) return records
  spans.delete(partition)
  return nextOffset === until ? records : records.filter(({ offset }) => offset < until)
}
