// node:fs and the least that any log in JavaScript must do: each record encoded and one CRC a batch; when scanning, two views a
// record (its CRC is not checked, as that is more than the least).
import { closeSync, fdatasyncSync, openSync, writeSync } from 'node:fs'
import { batchBound, encodeBatch } from '../data/kafka-batch.ts'
import type { Metrics } from '../trials/types.ts'
import { singleRecords, syncedBatches } from './pacing.ts'
import type { Program, TaskContext } from './program.ts'
import { appendBatches, checkLastBatch, dataFile, scanFile } from './raw-files.ts'

/** Encodes into one buffer, again and again. */
function encoder({ dataset, parameters }: TaskContext): (index: number) => Buffer {
  const buffer = Buffer.allocUnsafeSlow(Math.max(...dataset.batches.map(batchBound)))
  return (index) => {
    const length = encodeBatch(buffer, index * parameters.batchRecords, dataset.batch(index))
    return buffer.subarray(0, length)
  }
}

async function appendSynced(context: TaskContext): Promise<Metrics> {
  return appendEach(context, true)
}

async function appendSingle(context: TaskContext): Promise<Metrics> {
  return appendEach(context, false)
}

async function appendEach(context: TaskContext, isSynced: boolean): Promise<Metrics> {
  const batchAt = encoder(context)
  const descriptor = openSync(dataFile(context.directory), 'w+')
  let position = 0
  let last = Buffer.alloc(0)
  const appendOne = (index: number): void => {
    last = batchAt(index) as typeof last
    position += writeSync(descriptor, last, 0, last.length, position)
    if (isSynced) fdatasyncSync(descriptor)
  }
  const metrics = await (isSynced ? syncedBatches : singleRecords)(context, appendOne)
  checkLastBatch(descriptor, position, last)
  closeSync(descriptor)
  return metrics
}

export const program: Program = {
  tasks: {
    append: (context) => appendBatches(context, encoder(context)),
    appendSynced,
    appendSingle,
    scan: (context) => scanFile(context, 'views'),
  },
}
