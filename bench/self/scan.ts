// W6: scan W1's records, touching key and value. Every contender reads the same file, which another process wrote.
import { touch, W1, w1Checksum } from './data.ts'
import { dataFile, openLog, TOPIC } from './library.ts'
import type { Measurement } from './measure.ts'
import { recordsPerSecond } from './measure.ts'
import type { Touching } from './raw-log.ts'
import { scanFile } from './raw-log.ts'

const PAGE_BYTES = 1 << 20

export function scanRaw(directory: string): Measurement {
  return scan(directory, 'in place')
}

export function scanViews(directory: string): Measurement {
  return scan(directory, 'views')
}

function scan(directory: string, touching: Touching): Measurement {
  const began = performance.now()
  const sum = scanFile(dataFile(directory), touching)
  return checked(sum, recordsPerSecond(W1.records, began))
}

export async function scanFetch(directory: string): Promise<Measurement> {
  const log = await openLog(directory)
  let sum = 0
  const began = performance.now()
  for (let offset = 0; offset < W1.records; ) {
    const page = await log.fetch(TOPIC, { partition: 0, offset, maxBytes: PAGE_BYTES })
    for (const record of page.records) sum += touchBoth(record)
    offset = page.nextOffset
  }
  const rate = recordsPerSecond(W1.records, began)
  await log.close()
  return checked(sum, rate)
}

export async function scanBatches(directory: string): Promise<Measurement> {
  const log = await openLog(directory)
  let sum = 0
  const began = performance.now()
  for await (const page of log.read(TOPIC, { partition: 0, until: 'end' }).batches()) {
    for (const record of page.records) sum += touchBoth(record)
  }
  const rate = recordsPerSecond(W1.records, began)
  await log.close()
  return checked(sum, rate)
}

export async function scanRead(directory: string): Promise<Measurement> {
  const log = await openLog(directory)
  let sum = 0
  const began = performance.now()
  for await (const record of log.read(TOPIC, { partition: 0, until: 'end' })) {
    sum += touchBoth(record)
  }
  const rate = recordsPerSecond(W1.records, began)
  await log.close()
  return checked(sum, rate)
}

interface KeyAndValue {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

function touchBoth(record: KeyAndValue): number {
  return touch(record.key as Uint8Array, record.value as Uint8Array)
}

function checked(sum: number, rate: number): Measurement {
  if (sum !== w1Checksum()) throw new Error('what was read is not what was written')
  return { value: rate }
}
