// W1: 1M records of 16 B key and 100 B value in batches of 1,000 at 'os', the final flush counted.
// W5: one record of 100 B awaited at a time at 'os', the partition given.
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import path from 'node:path'
import type { BenchRecord } from './data.ts'
import { seededBytes, W1, w1Batches } from './data.ts'
import { openLog, TOPIC } from './library.ts'
import type { Measurement } from './measure.ts'
import { recordsPerSecond } from './measure.ts'
import { encodeBatch } from './raw-log.ts'

const BATCHES = W1.records / W1.batchRecords
const BATCH_BOUND = 256 * 1024

export function appendRaw(directory: string): Measurement {
  const batches = w1Batches().map((records) => {
    const buffer = Buffer.allocUnsafeSlow(BATCH_BOUND)
    return buffer.subarray(0, encodeBatch(buffer, 0, 0, records))
  })
  return writeBatches(directory, (index) => batches[index % batches.length] as Buffer)
}

export function appendEncoded(directory: string): Measurement {
  const batches = w1Batches()
  const buffer = Buffer.allocUnsafeSlow(BATCH_BOUND)
  return writeBatches(directory, (index) => {
    const records = batches[index % batches.length] as BenchRecord[]
    return buffer.subarray(0, encodeBatch(buffer, 0, index * W1.batchRecords, records))
  })
}

function writeBatches(directory: string, batchAt: (index: number) => Buffer): Measurement {
  const descriptor = openSync(path.join(directory, 'raw.log'), 'w')
  const began = performance.now()
  let position = 0
  for (let index = 0; index < BATCHES; index += 1) {
    const batch = batchAt(index)
    position += writeSync(descriptor, batch, 0, batch.length, position)
  }
  fdatasyncSync(descriptor)
  const rate = recordsPerSecond(W1.records, began)
  closeSync(descriptor)
  return { value: rate }
}

export async function appendLog(directory: string): Promise<Measurement> {
  const batches = w1Batches()
  const log = await openLog(directory)
  const began = performance.now()
  for (let index = 0; index < BATCHES; index += 1) {
    await log.produce(TOPIC, batches[index % batches.length] as BenchRecord[], { partition: 0 })
  }
  await log.flush()
  const rate = recordsPerSecond(W1.records, began)
  const { latest } = await log.offsets(TOPIC, 0)
  if (latest !== W1.records) throw new Error(`the log ends at ${latest}`)
  await log.close()
  return { value: rate }
}

// ------------------------------------------------------------------------------------------- W5

const SINGLES = 200_000
const SINGLE_BYTES = 100

export function singleRaw(directory: string): Measurement {
  const buffer = Buffer.allocUnsafeSlow(1024)
  const record = { key: Buffer.alloc(0), value: seededBytes(SINGLE_BYTES) }
  const batch = buffer.subarray(0, encodeBatch(buffer, 0, 0, [record]))
  const descriptor = openSync(path.join(directory, 'raw.log'), 'w')
  const began = performance.now()
  for (let index = 0; index < SINGLES; index += 1) {
    writeSync(descriptor, batch, 0, batch.length, index * batch.length)
  }
  const rate = recordsPerSecond(SINGLES, began)
  closeSync(descriptor)
  return { value: rate }
}

export async function singleLog(directory: string): Promise<Measurement> {
  const value = seededBytes(SINGLE_BYTES)
  const log = await openLog(directory)
  const began = performance.now()
  let last = -1
  for (let index = 0; index < SINGLES; index += 1) {
    const { offset } = await log.produce(TOPIC, { value }, { partition: 0 })
    last = offset
  }
  const rate = recordsPerSecond(SINGLES, began)
  if (last !== SINGLES - 1) throw new Error(`the last offset is ${last}`)
  await log.close()
  return { value: rate }
}
