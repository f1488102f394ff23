// The demo's events: 20,000 flights within the United States in early 2001, from the package vega-datasets.
import { readFileSync } from 'node:fs'
import { Log } from 'brokerless'

export interface FlightEvent {
  /** Position in the data set; tells the events apart. */
  readonly id: number
  /** Local time of departure, `2001/01/01 00:47`. */
  readonly date: string
  /** Minutes. */
  readonly delay: number
  /** Miles. */
  readonly distance: number
  readonly origin: string
  readonly destination: string
}

export const TOPIC = 'flights'
export const PARTITIONS = 3
interface Topics {
  readonly [TOPIC]: FlightEvent
}
export type FlightLog = Log<Topics>

/** The log as both processes open it. */
export function openLog(directory: string, readOnly = false): Promise<FlightLog> {
  const topics = { [TOPIC]: { value: 'json', partitions: PARTITIONS, durability: 'disk' } } as const
  return Log.open<Topics>(directory, { topics, readOnly })
}

/** Flights of one block are produced in one way: even blocks in one call, odd ones in a call each. */
export const BLOCK = 250

export function loadFlights(): FlightEvent[] {
  const file = new URL('../data/flights-20k.json', import.meta.resolve('vega-datasets'))
  const flights = JSON.parse(readFileSync(file, 'utf8')) as Omit<FlightEvent, 'id'>[]
  return flights.map((flight, id) => ({ id, ...flight }))
}

/** A flight as a record: keyed by its origin, at the time of its departure. */
export function recordOf(flight: FlightEvent): {
  key: string
  value: FlightEvent
  timestamp: number
} {
  return { key: flight.origin, value: flight, timestamp: departure(flight.date) }
}

/** `2001/01/01 00:47` as milliseconds since the Unix epoch, read as UTC. */
export function departure(date: string): number {
  return Date.parse(`${date.replaceAll('/', '-').replace(' ', 'T')}Z`)
}

export function blocksOf(flights: readonly FlightEvent[]): FlightEvent[][] {
  const blocks: FlightEvent[][] = []
  for (let at = 0; at < flights.length; at += BLOCK) blocks.push(flights.slice(at, at + BLOCK))
  return blocks
}
