import path from 'node:path'
import { HEADER_BYTES } from '../../data/kafka-batch.ts'
import { requireBytes, requireEqual } from '../../data/records.ts'
import { storedBatches } from '../../data/stored-batches.ts'
import type { Metrics } from '../../trials/types.ts'
import { concurrentWriters, singleRecords, syncedBatches } from '../pacing.ts'
import type { TaskContext } from '../program.ts'
import { batchCount, perSecond } from '../program.ts'
import { orderObjects } from './objects.ts'
import type { BenchLog } from './open.ts'
import { addIdleReaders, openBytes, openObjects, TOPIC } from './open.ts'

/** Each batch to the next partition, each writer's awaited before its next; the final flush counts. */
export async function append(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters, stopwatch, killed } = context
  const { partitions, writers } = parameters
  const log = await openBytes(context)
  await addIdleReaders(log, context)
  const batches = batchCount(parameters)
  const before = await endOffset(log, 0)
  let begun = 0
  const write = async (): Promise<void> => {
    while (begun < batches) {
      const index = begun
      begun += 1
      await log.produce(TOPIC, dataset.batch(index), { partition: index % partitions })
    }
  }
  await stopwatch.time(async () => {
    await Promise.all(Array.from({ length: writers }, write))
    killed?.()
    await log.flush()
  })
  if (partitions === 1) await checkLast(log, context, parameters.records, before)
  else await checkSpread(log, partitions, parameters.records)
  await log.close()
  const rate = perSecond(parameters.records, stopwatch.milliseconds)
  if (parameters.content !== 'flights') return { rate }
  return { rate, storedShare: await storedShare(context) }
}

/** Of the batches as the log formed them. */
async function storedShare({ directory, parameters }: TaskContext): Promise<number> {
  let [bytes, plainBytes, records] = [0, 0, 0]
  for await (const batch of storedBatches(path.join(directory, `${TOPIC}-0`))) {
    bytes += batch.bytes
    plainBytes += HEADER_BYTES + batch.plain.length
    records += batch.recordCount
  }
  requireEqual('the number of records', records, parameters.records)
  return bytes / plainBytes
}

/** The last record of a partition is what was appended last, and so many have come. */
async function checkLast(
  log: BenchLog,
  { dataset }: TaskContext,
  records: number,
  before = 0,
): Promise<void> {
  requireEqual('the log end offset', await endOffset(log, 0), before + records)
  const offset = before + records - 1
  const { records: last } = await log.fetch(TOPIC, { partition: 0, offset })
  requireBytes('the last record', last[0]?.value, dataset.record(records - 1).value)
}

async function checkSpread(log: BenchLog, partitions: number, records: number): Promise<void> {
  let sum = 0
  for (let partition = 0; partition < partitions; partition += 1) {
    sum += await endOffset(log, partition)
  }
  requireEqual('the sum of the log end offsets', sum, records)
}

async function endOffset(log: BenchLog, partition: number): Promise<number> {
  return (await log.offsets(TOPIC, partition)).latest
}

export async function appendSynced(context: TaskContext): Promise<Metrics> {
  const log = await openBytes(context, 'disk')
  const metrics = await syncedBatches(context, (index) =>
    log.produce(TOPIC, context.dataset.batch(index), { partition: 0 }),
  )
  await checkLast(log, context, context.parameters.records)
  await log.close()
  return metrics
}

export async function appendConcurrent(context: TaskContext): Promise<Metrics> {
  const log = await openBytes(context, 'disk')
  const metrics = await concurrentWriters(context, (index) =>
    log.produce(TOPIC, context.dataset.record(index), { partition: 0 }),
  )
  await checkLast(log, context, context.parameters.records)
  await log.close()
  return metrics
}

export function appendSingle(context: TaskContext): Promise<Metrics> {
  return context.variant === 'objects' ? appendObjects(context) : appendBytes(context)
}

async function appendBytes(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters } = context
  const log = await openBytes(context)
  await addIdleReaders(log, context)
  const before = await endOffset(log, 0)
  const { partitions } = parameters
  let appended = 0
  const metrics = await singleRecords(context, (index) => {
    appended = index + 1
    return log.produce(TOPIC, dataset.record(index), { partition: index % partitions })
  })
  if (partitions === 1) await checkLast(log, context, appended, before)
  else await checkSpread(log, partitions, appended)
  await log.close()
  return metrics
}

async function appendObjects(context: TaskContext): Promise<Metrics> {
  const { records } = context.parameters
  const objects = orderObjects()
  const log = await openObjects(context)
  const metrics = await singleRecords(context, (index) =>
    log.produce(TOPIC, { value: objects[index % objects.length] }, { partition: 0 }),
  )
  const { records: last } = await log.fetch(TOPIC, { partition: 0, offset: records - 1 })
  const expected = objects[(records - 1) % objects.length]
  requireEqual('the last record', JSON.stringify(last[0]?.value), JSON.stringify(expected))
  await log.close()
  return metrics
}
