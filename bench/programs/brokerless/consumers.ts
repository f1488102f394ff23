import { requireEqual, touch } from '../../data/records.ts'
import type { Metrics } from '../../trials/types.ts'
import type { TaskContext } from '../program.ts'
import { perSecond } from '../program.ts'
import { openKeyed } from './compaction.ts'
import type { BenchLog } from './open.ts'
import { openBytes, TOPIC } from './open.ts'
import type { Tally } from './read.ts'
import { touchPage } from './read.ts'

let groups = 0

/** One that has committed nothing: a directory may be read several times. */
function newGroup(): string {
  groups += 1
  return `bench-${process.pid}-${Date.now()}-${groups}`
}

type BenchConsumer = ReturnType<typeof newConsumer>

function newConsumer(log: BenchLog, group: string) {
  return log.consumer({ group, topics: [TOPIC] })
}

/** All records, by one member of a group or several; that what was read is committed in the end counts as well. */
export async function consume(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch, variant } = context
  const { records, members } = parameters
  const consumeAll = variant === 'batches' ? consumePages : consumeRecords
  const log = await openBytes(context)
  const group = newGroup()
  const tally = { records: 0, sum: 0 }
  await stopwatch.time(async () => {
    const consumers = Array.from({ length: members }, () => newConsumer(log, group))
    const closeAll = (): void => {
      for (const consumer of consumers) void consumer.close()
    }
    await Promise.all(consumers.map((each) => consumeAll(each, tally, records, closeAll)))
    await Promise.all(consumers.map((each) => each.close()))
  })
  await requireCommitted(log, group, records)
  await log.close()
  requireEqual('the number of records', tally.records, records)
  requireEqual('the checksum', tally.sum, dataset.checksum(records))
  return { rate: perSecond(records, stopwatch.milliseconds) }
}

async function consumePages(
  consumer: BenchConsumer,
  tally: Tally,
  records: number,
  end: () => void,
): Promise<void> {
  for await (const page of consumer.batches()) {
    touchPage(page.records, tally)
    if (tally.records === records) end()
  }
}

async function consumeRecords(
  consumer: BenchConsumer,
  tally: Tally,
  records: number,
  end: () => void,
): Promise<void> {
  for await (const record of consumer) {
    tally.sum += touch(record.key, record.value as Uint8Array)
    tally.records += 1
    if (tally.records === records) end()
  }
}

async function requireCommitted(log: BenchLog, group: string, records: number): Promise<void> {
  const offsets = await log.committedOffsets(group)
  const sum = offsets.reduce((committed, { offset }) => committed + offset, 0)
  requireEqual('what was committed', sum, records)
}

/** An empty handler over all records. */
export async function runHandler(context: TaskContext): Promise<Metrics> {
  const { parameters, stopwatch, variant } = context
  const { records, handlers: max } = parameters
  const log = await openKeyed(context)
  const group = newGroup()
  let handled = 0
  await stopwatch.time(async () => {
    const consumer = log.consumer({ group, topics: [TOPIC] })
    await consumer.run({
      concurrency: { by: variant === 'key' ? 'key' : 'partition', max },
      eachRecord: () => {
        handled += 1
        if (handled === records) void consumer.close()
      },
    })
    await consumer.close()
  })
  await requireCommitted(log, group, records)
  await log.close()
  requireEqual('the number of records', handled, records)
  return { rate: perSecond(records, stopwatch.milliseconds) }
}
