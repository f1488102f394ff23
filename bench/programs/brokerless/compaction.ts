// Passes of compaction, and what is produced and fetched beside them.
import type { Durability } from '../../../src/index.ts'
import { Log } from '../../../src/index.ts'
import { KeyedRecords } from '../../data/keyed.ts'
import { requireBytes, requireEqual } from '../../data/records.ts'
import type { Metrics } from '../../trials/types.ts'
import { percentiles } from '../pacing.ts'
import type { TaskContext } from '../program.ts'
import { perSecond } from '../program.ts'
import { TOPIC } from './open.ts'

type KeyedLog = Awaited<ReturnType<typeof openKeyed>>

/** It is compacted when it is asked to be, and not in the background. */
export function openKeyed({ directory, parameters }: TaskContext, durability: Durability = 'os') {
  const { segmentBytes } = parameters
  const topic = { key: 'bytes', value: 'bytes', durability, segmentBytes } as const
  return Log.open(directory, {
    topics: { [TOPIC]: { ...topic, cleanupPolicy: 'compact', minCleanableDirtyRatio: 1 } },
  })
}

function keyedRecords({ dataset, parameters }: TaskContext): KeyedRecords {
  return new KeyedRecords(dataset, parameters.keys)
}

export async function appendKeyed(context: TaskContext): Promise<Metrics> {
  const { parameters, stopwatch } = context
  const { records, batchRecords } = parameters
  const log = await openKeyed(context)
  await stopwatch.time(async () => {
    for (const batch of keyedRecords(context).batches(records, batchRecords)) {
      await log.produce(TOPIC, batch, { partition: 0 })
    }
  })
  await log.close()
  return { rate: perSecond(records, stopwatch.milliseconds) }
}

/** One pass over all. */
export async function compact(context: TaskContext): Promise<Metrics> {
  const { parameters, stopwatch } = context
  const { records } = parameters
  const log = await openKeyed(context)
  await stopwatch.time(async () => {
    const [done] = await log.compact(TOPIC)
    requireEqual('the number of records before', done?.recordsBefore, records)
    requireEqual('the number of passes', done?.passes, 1)
  })
  await checkCompacted(log, context)
  await log.close()
  return { rate: perSecond(records, stopwatch.milliseconds) }
}

/** The last record of each key is there, at its offset, and no other. */
async function checkCompacted(log: KeyedLog, context: TaskContext): Promise<void> {
  const expected = keyedRecords(context)
  const last = expected.lastOffsets(context.parameters.records)
  const { latest } = await log.offsets(TOPIC, 0)
  let count = 0
  for (let offset = 0; offset < latest; ) {
    const page = await log.fetch(TOPIC, { partition: 0, offset })
    for (const record of page.records) {
      const isLast = last[expected.keyOf(record.offset)] === record.offset
      if (!isLast) throw new Error(`offset ${record.offset} is there still`)
      const { key, value } = expected.record(record.offset)
      requireBytes('a key', record.key, key as Buffer)
      requireBytes('a value', record.value, value)
    }
    count += page.records.length
    offset = page.nextOffset
  }
  requireEqual('the number of records', count, last.filter((each) => each >= 0).length)
}

/** So many requests are made before, and not counted. */
const WARM_UP = 500

type Request = (index: number) => Promise<void>

/** Requests one after another, while a pass runs or, in the variant `alone`, for as long as the parameters say. */
async function latencies(
  log: KeyedLog,
  { parameters, stopwatch, variant }: TaskContext,
  request: Request,
): Promise<Metrics> {
  const micros: number[] = []
  for (let index = 0; index < WARM_UP; index += 1) await request(index)
  await stopwatch.time(async () => {
    let isOver = false
    const beside = variant === 'alone' ? sleep(parameters.timeLimitMs) : log.compact(TOPIC)
    const ended = beside.finally(() => {
      isOver = true
    })
    while (!isOver) {
      const began = performance.now()
      await request(WARM_UP + micros.length)
      micros.push((performance.now() - began) * 1000)
    }
    await ended
  })
  await log.close()
  const rate = perSecond(micros.length, stopwatch.milliseconds)
  return { rate, ...percentiles(Float64Array.from(micros)) }
}

function sleep(ms: number): Promise<unknown> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms)
  })
}

/** One record at a time, on the disk before the next, to the partition that is compacted. */
export async function produceBeside(context: TaskContext): Promise<Metrics> {
  const { records } = context.parameters
  const keyed = keyedRecords(context)
  const log = await openKeyed(context, 'disk')
  return latencies(log, context, async (index) => {
    const { offset } = await log.produce(TOPIC, keyed.record(index), { partition: 0 })
    requireEqual('the offset', offset, records + index)
  })
}

/** The partition that is compacted, page after page, from its beginning again and again. */
export async function fetchBeside(context: TaskContext): Promise<Metrics> {
  const { records } = context.parameters
  const keyed = keyedRecords(context)
  const log = await openKeyed(context)
  let offset = 0
  return latencies(log, context, async () => {
    const page = await log.fetch(TOPIC, { partition: 0, offset })
    const [first] = page.records
    if (first === undefined) throw new Error('a page was empty')
    requireBytes('a value', first.value, keyed.valueOf(first.offset))
    offset = page.nextOffset % records
  })
}
