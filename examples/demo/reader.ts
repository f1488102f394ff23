// A loop that reads all partitions and commits how far it has come. Stopped and started again it goes on from there.
import type { LogRecord } from 'brokerless'
import type { FlightEvent, FlightLog } from './flights.ts'
import { PARTITIONS, TOPIC } from './flights.ts'

const GROUP = 'statistics'
const PAGE_RECORDS = 500

export interface ReadRecord {
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly flight: FlightEvent
}

export async function committedOffsets(log: FlightLog): Promise<number[]> {
  const offsets = new Array<number>(PARTITIONS).fill(0)
  for (const { topic, partition, offset } of await log.committedOffsets(GROUP)) {
    if (topic === TOPIC) offsets[partition] = offset
  }
  return offsets
}

export function readRecord(record: LogRecord<string, FlightEvent>): ReadRecord {
  const { partition, offset, timestamp, value } = record
  if (value === null) throw new Error(`there is no flight at ${partition}/${offset}`)
  return { partition, offset, timestamp, flight: value }
}

/** Hands records to `handle` until the end, or until `limit` of them were handled and committed. */
export async function consume(
  log: FlightLog,
  handle: (record: ReadRecord) => void,
  limit: number = Number.POSITIVE_INFINITY,
): Promise<number> {
  const positions = await committedOffsets(log)
  let handled = 0
  let isAtEnd = false
  while (!isAtEnd && handled < limit) {
    isAtEnd = true
    for (const [partition, offset] of positions.entries()) {
      const page = await log.fetch(TOPIC, { partition, offset, maxRecords: PAGE_RECORDS })
      for (const record of page.records) handle(readRecord(record))
      if (page.nextOffset === offset) continue
      isAtEnd = false
      handled += page.records.length
      positions[partition] = page.nextOffset
      await log.commitOffset(GROUP, { topic: TOPIC, partition, offset: page.nextOffset })
    }
  }
  return handled
}
