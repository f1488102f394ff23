import { random32, requireEqual, touch } from '../../data/records.ts'
import type { Metrics } from '../../trials/types.ts'
import type { TaskContext } from '../program.ts'
import { perSecond } from '../program.ts'
import type { BenchLog } from './open.ts'
import { addIdleReaders, openBytes, TOPIC } from './open.ts'

export interface Tally {
  records: number
  sum: number
}

type Scan = (log: BenchLog, tally: Tally, partitions: number) => Promise<void>

const SCANS: Readonly<Record<string, Scan>> = {
  fetch: scanPages,
  batches: scanBatches,
  read: scanRecords,
}

export async function scan(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch, variant } = context
  const scanAll = SCANS[variant] ?? scanPages
  const log = await openBytes(context)
  await addIdleReaders(log, context)
  const tally = { records: 0, sum: 0 }
  await stopwatch.time(() => scanAll(log, tally, parameters.partitions))
  await log.close()
  requireEqual('the number of records', tally.records, parameters.records)
  requireEqual('the checksum', tally.sum, dataset.checksum(parameters.records))
  return { rate: perSecond(parameters.records, stopwatch.milliseconds) }
}

interface KeyAndValue {
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
}

export function touchPage(records: readonly KeyAndValue[], tally: Tally): void {
  let sum = 0
  for (const record of records) sum += touch(record.key, record.value as Uint8Array)
  tally.sum += sum
  tally.records += records.length
}

async function scanPages(log: BenchLog, tally: Tally, partitions: number): Promise<void> {
  for (let partition = 0; partition < partitions; partition += 1) {
    const { latest } = await log.offsets(TOPIC, partition)
    for (let offset = 0; offset < latest; ) {
      const page = await log.fetch(TOPIC, { partition, offset })
      touchPage(page.records, tally)
      offset = page.nextOffset
    }
  }
}

async function scanBatches(log: BenchLog, tally: Tally): Promise<void> {
  for await (const page of log.read(TOPIC, { until: 'end' }).batches()) {
    touchPage(page.records, tally)
  }
}

async function scanRecords(log: BenchLog, tally: Tally): Promise<void> {
  for await (const record of log.read(TOPIC, { until: 'end' })) {
    tally.sum += touch(record.key, record.value as Uint8Array)
    tally.records += 1
  }
}

export async function readRandom(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const { records, reads } = parameters
  const log = await openBytes(context)
  const next = random32()
  await stopwatch.time(async () => {
    for (let index = 0; index < reads; index += 1) {
      const offset = next() % records
      const page = await log.fetch(TOPIC, { partition: 0, offset, maxRecords: 1 })
      const record = page.records[0]
      if (record?.offset !== offset) throw new Error(`offset ${offset} gave another record`)
      dataset.checkKey(offset, record.key as Uint8Array)
    }
  })
  await log.close()
  return { rate: perSecond(reads, stopwatch.milliseconds) }
}
