// What `raw` and `raw+encode` share: one file of batches.
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import path from 'node:path'
import type { Touching } from '../data/kafka-batch.ts'
import { scanBatches } from '../data/kafka-batch.ts'
import { requireBytes, requireEqual } from '../data/records.ts'
import type { Metrics } from '../trials/types.ts'
import type { TaskContext } from './program.ts'
import { batchCount, perSecond } from './program.ts'

const PAGE_BYTES = 1 << 20

export function dataFile(directory: string): string {
  return path.join(directory, 'raw.log')
}

/** Appends batch after batch; `batchAt` gives the bytes of one, which need not last. The final flush counts. */
export async function appendBatches(
  { directory, parameters, stopwatch, killed }: TaskContext,
  batchAt: (index: number) => Buffer,
): Promise<Metrics> {
  const descriptor = openSync(dataFile(directory), 'w+')
  const batches = batchCount(parameters)
  let position = 0
  await stopwatch.time(() => {
    for (let index = 0; index < batches; index += 1) {
      const batch = batchAt(index)
      position += writeSync(descriptor, batch, 0, batch.length, position)
    }
    killed?.()
    fdatasyncSync(descriptor)
  })
  checkLastBatch(descriptor, position, batchAt(batches - 1))
  closeSync(descriptor)
  return { rate: perSecond(parameters.records, stopwatch.milliseconds) }
}

/** The file ends at `size` with the batch, save for the bytes that its timestamp and so its CRC may change. */
export function checkLastBatch(descriptor: number, size: number, batch: Buffer): void {
  requireEqual('the size', fstatSync(descriptor).size, size)
  const written = Buffer.allocUnsafe(batch.length)
  readSync(descriptor, written, 0, batch.length, size - batch.length)
  requireBytes('the last batch', written.subarray(61), batch.subarray(61))
}

/** Reads a file of batches in pages of 1 MiB and touches every record. */
export async function scanFile(context: TaskContext, touching: Touching): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const descriptor = openSync(dataFile(context.directory), 'r')
  const buffer = Buffer.allocUnsafeSlow(PAGE_BYTES)
  let records = 0
  let sum = 0
  await stopwatch.time(() => {
    for (let position = 0; ; ) {
      const read = readSync(descriptor, buffer, 0, PAGE_BYTES, position)
      const scanned = scanBatches(buffer, read, touching)
      if (scanned.bytes === 0) break
      records += scanned.records
      sum += scanned.sum
      position += scanned.bytes
    }
  })
  closeSync(descriptor)
  requireEqual('the number of records', records, parameters.records)
  requireEqual('the checksum', sum, dataset.checksum(parameters.records))
  return { rate: perSecond(records, stopwatch.milliseconds) }
}
