// Produces blocks of flights and tells which offsets were acknowledged for them.
import type { Acknowledgement, BatchAcknowledgement } from 'brokerless'
import type { FlightEvent, FlightLog } from './flights.ts'
import { BLOCK, recordOf, TOPIC } from './flights.ts'

/** What was acknowledged of one block. Of a batch: ranges of offsets; else one offset a flight. */
export interface AcknowledgedBlock {
  readonly ids: readonly number[]
  readonly ranges: readonly Pick<BatchAcknowledgement, 'partition' | 'baseOffset' | 'lastOffset'>[]
  readonly singles: readonly Pick<Acknowledgement, 'partition' | 'offset'>[]
}

/** A block that begins at an even multiple goes in one call, another in a call for each flight, all at once. */
export async function produceBlock(
  log: FlightLog,
  flights: readonly FlightEvent[],
): Promise<AcknowledgedBlock> {
  const ids = flights.map(({ id }) => id)
  const isBatch = Math.floor((ids[0] ?? 0) / BLOCK) % 2 === 0
  if (isBatch) {
    const ranges = await log.produce(TOPIC, flights.map(recordOf))
    return { ids, ranges, singles: [] }
  }
  const singles = await Promise.all(flights.map((flight) => log.produce(TOPIC, recordOf(flight))))
  return { ids, ranges: [], singles }
}
