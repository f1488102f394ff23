// node:fs alone, with batches that were encoded before: no CRC, no index. What the machine gives.
import { closeSync, fdatasyncSync, fstatSync, openSync, readSync, writeSync } from 'node:fs'
import { prebuiltBatches, recordPositions } from '../data/kafka-batch.ts'
import type { Dataset } from '../data/records.ts'
import { random32, requireBytes, requireEqual } from '../data/records.ts'
import type { Metrics } from '../trials/types.ts'
import type { Delivered } from './pacing.ts'
import { concurrentWriters, deliveries, Gatherer, singleRecords, syncedBatches } from './pacing.ts'
import type { Program, TaskContext } from './program.ts'
import { batchCount, perSecond } from './program.ts'
import { appendBatches, checkLastBatch, dataFile, scanFile } from './raw-files.ts'

async function append(context: TaskContext): Promise<Metrics> {
  const batches = prebuiltBatches(context.dataset)
  return appendBatches(context, (index) => batches[index % batches.length] as Buffer)
}

/** Blocks for the sync, which is faster than going through the thread pool. */
async function appendSynced(context: TaskContext): Promise<Metrics> {
  const batches = prebuiltBatches(context.dataset)
  const descriptor = openSync(dataFile(context.directory), 'w+')
  let position = 0
  let last = Buffer.alloc(0)
  const metrics = await syncedBatches(context, (index) => {
    last = batches[index % batches.length] as typeof last
    position += writeSync(descriptor, last, 0, last.length, position)
    fdatasyncSync(descriptor)
  })
  checkLastBatch(descriptor, position, last)
  closeSync(descriptor)
  return metrics
}

/** All that wait are written at once, joined before, and share one sync. */
async function appendConcurrent(context: TaskContext): Promise<Metrics> {
  const { writers, records } = context.parameters
  const batches = prebuiltBatches(context.dataset)
  const [first] = batches as [Buffer]
  const joined = Buffer.concat(Array.from({ length: writers }, () => first))
  const descriptor = openSync(dataFile(context.directory), 'w+')
  let position = 0
  const gatherer = new Gatherer((indexes) => {
    const bytes = indexes.length * first.length
    position += writeSync(descriptor, joined, 0, bytes, position)
    fdatasyncSync(descriptor)
  })
  const metrics = await concurrentWriters(context, (index) => gatherer.append(index))
  requireEqual('the size', position, records * first.length)
  checkLastBatch(descriptor, position, first)
  closeSync(descriptor)
  return metrics
}

async function appendSingle(context: TaskContext): Promise<Metrics> {
  const batches = prebuiltBatches(context.dataset)
  const descriptor = openSync(dataFile(context.directory), 'w+')
  let position = 0
  let last = Buffer.alloc(0)
  const metrics = await singleRecords(context, (index) => {
    last = batches[index % batches.length] as typeof last
    position += writeSync(descriptor, last, 0, last.length, position)
  })
  checkLastBatch(descriptor, position, last)
  closeSync(descriptor)
  return metrics
}

/** Where each of the data set's different records begins in the file, and the next one behind the last. */
function positionsOf(dataset: Dataset): { readonly positions: number[]; readonly bytes: number } {
  const batches = prebuiltBatches(dataset)
  const positions: number[] = []
  let bytes = 0
  for (const [index, records] of dataset.batches.entries()) {
    const batch = batches[index] as Buffer
    for (const position of recordPositions(batch, records).slice(0, -1))
      positions.push(bytes + position)
    bytes += batch.length
  }
  return { positions, bytes }
}

/** One read of a record's bytes, whose position and length are known before. */
async function readRandom(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const { records, reads, keyBytes, valueBytes } = parameters
  const { positions, bytes } = positionsOf(dataset)
  const length = keyBytes + valueBytes + 9
  const buffer = Buffer.allocUnsafeSlow(length)
  const descriptor = openSync(dataFile(context.directory), 'r')
  const next = random32()
  await stopwatch.time(() => {
    for (let index = 0; index < reads; index += 1) {
      const offset = next() % records
      const lap = Math.floor(offset / positions.length)
      const at = lap * bytes + (positions[offset % positions.length] as number)
      readSync(descriptor, buffer, 0, length, at)
      dataset.checkKey(offset, buffer.subarray(keyStart(buffer), keyStart(buffer) + keyBytes))
    }
  })
  closeSync(descriptor)
  return { rate: perSecond(reads, stopwatch.milliseconds) }
}

/** Behind the length (two bytes at these sizes), attributes, timestamp delta, offset delta (one byte or two) and the key's length. */
function keyStart(record: Buffer): number {
  return (record[4] as number) >= 0x80 ? 7 : 6
}

/** A write, a promise resolved, and a read of what was written. */
async function deliver(context: TaskContext): Promise<Metrics> {
  const batches = prebuiltBatches(context.dataset)
  const valueBytes = context.parameters.valueBytes
  const target = Buffer.allocUnsafeSlow(valueBytes * 2 + 128)
  const descriptor = openSync(dataFile(context.directory), 'w+')
  let position = 0
  const metrics = await deliveries(context, (index) => {
    const batch = batches[index % batches.length] as Buffer
    const at = position
    position += batch.length
    let wake = (): void => {}
    const delivered = new Promise<void>((resolve) => {
      wake = resolve
    }).then((): Delivered => {
      readSync(descriptor, target, 0, batch.length, at)
      const end = batch.length - 1
      return { atMs: performance.now(), value: target.subarray(end - valueBytes, end) }
    })
    const append = (): void => {
      writeSync(descriptor, batch, 0, batch.length, at)
      wake()
    }
    return { append, delivered }
  })
  closeSync(descriptor)
  return metrics
}

/** All batches are of one size: so the last record is at a known distance from the end. */
async function reopen(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const batches = batchCount(parameters)
  const value = Buffer.allocUnsafeSlow(parameters.valueBytes)
  await stopwatch.time(() => {
    const descriptor = openSync(dataFile(context.directory), 'r')
    const { size } = fstatSync(descriptor)
    const batch = Buffer.allocUnsafeSlow(size / batches)
    readSync(descriptor, batch, 0, batch.length, size - batch.length)
    batch.copy(value, 0, batch.length - 1 - value.length)
    closeSync(descriptor)
  })
  requireBytes('the last record', value, dataset.record(parameters.records - 1).value)
  return { openMs: stopwatch.milliseconds }
}

export const program: Program = {
  tasks: {
    append,
    appendSynced,
    appendConcurrent,
    appendSingle,
    scan: (context) => scanFile(context, 'in place'),
    readRandom,
    deliver,
    reopen,
  },
}
