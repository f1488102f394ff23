// JSON events as services write them: the flights of the package vega-datasets, as the demo has them.
import { readFileSync } from 'node:fs'
import type { BenchRecord } from './records.ts'

interface Flight {
  readonly origin: string
}

/** 20,000 of them, of about 100 bytes, keyed by where they began. */
export function flightRecords(): BenchRecord[] {
  const file = new URL('../data/flights-20k.json', import.meta.resolve('vega-datasets'))
  const flights = JSON.parse(readFileSync(file, 'utf8')) as Flight[]
  return flights.map((flight, id) => ({
    key: Buffer.from(flight.origin),
    value: Buffer.from(JSON.stringify({ id, ...flight })),
  }))
}
