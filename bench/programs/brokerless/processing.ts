// `process` beside a consumer that produces.
import type { Durability, TopicType } from '../../../src/index.ts'
import { Log } from '../../../src/index.ts'
import { requireBytes, requireEqual } from '../../data/records.ts'
import type { Metrics } from '../../trials/types.ts'
import type { TaskContext } from '../program.ts'
import { perSecond } from '../program.ts'
import { TOPIC } from './open.ts'
import { touchPage } from './read.ts'

const GROUP = 'bench'

/** Topics that are there, and one that is made for each copy. */
interface BytesByName {
  readonly [topic: string]: TopicType<Uint8Array, Buffer, Uint8Array>
}

let runs = 0

/** All records of a topic to another one, value by value; the rate is of records. */
export async function processRecords(context: TaskContext): Promise<Metrics> {
  const { parameters, stopwatch, variant, directory } = context
  const [kind, level] = variant.split(' ')
  const durability: Durability = level === 'disk' ? 'disk' : 'os'
  const log = await Log.open<BytesByName>(directory)
  runs += 1
  const name = `${process.pid}-${Date.now()}-${runs}`
  const [group, to] = [`${GROUP}-${name}`, `out-${name}`]
  const { partitions } = parameters
  await log.createTopic(to, { key: 'bytes', value: 'bytes', durability, partitions })
  const copy = { group, to, durability }
  await stopwatch.time(() =>
    kind === 'process' ? processed(log, context, copy) : consumed(log, context, copy),
  )
  await checkCopy(log, context, to)
  await log.close()
  return { rate: perSecond(parameters.records, stopwatch.milliseconds) }
}

interface Copy {
  readonly group: string
  readonly to: string
  readonly durability: Durability
}

async function processed(
  log: Log<BytesByName>,
  { parameters }: TaskContext,
  copy: Copy,
): Promise<void> {
  const { group, to, durability } = copy
  let handled = 0
  const processing = log.process(
    {
      from: TOPIC,
      group,
      to,
      durability,
      concurrency: parameters.partitions,
    },
    {
      eachBatch: ({ records, partition }) => {
        handled += records.length
        if (handled >= parameters.records) void processing.close()
        return records.map(({ key, value }) => ({ key, value, partition }))
      },
    },
  )
  await processing
}

/** Each page of input is a batch. */
async function consumed(
  log: Log<BytesByName>,
  { parameters }: TaskContext,
  copy: Copy,
): Promise<void> {
  const { group, to, durability } = copy
  const { partitions } = parameters
  let handled = 0
  const consumer = log.consumer({ group, topics: [TOPIC] })
  await consumer.run({
    concurrency: { by: 'partition', max: partitions },
    eachBatch: async ({ records, partition }) => {
      const out = records.map(({ key, value }) => ({ key, value }))
      await log.produce(to, out, { partition, durability })
      handled += records.length
      if (handled >= parameters.records) void consumer.close()
    },
  })
  await consumer.close()
}

/** Every record is there once, in the order of its partition. */
async function checkCopy(
  log: Log<BytesByName>,
  { parameters, dataset }: TaskContext,
  to: string,
): Promise<void> {
  const tally = { records: 0, sum: 0 }
  for (let partition = 0; partition < parameters.partitions; partition += 1) {
    const { latest } = await log.offsets(TOPIC, partition)
    const first = await log.fetch(TOPIC, { partition, offset: 0, maxBytes: 1 })
    const copied = await log.fetch(to, { partition, offset: 0, maxBytes: 1 })
    const original = Buffer.from(first.records[0]?.value ?? [])
    requireBytes('the first record', copied.records[0]?.value, original)
    requireEqual('whether there is something', latest > 0, true)
  }
  for await (const page of log.read(to, { until: 'end' }).batches()) touchPage(page.records, tally)
  requireEqual('the number of records', tally.records, parameters.records)
  requireEqual('the checksum', tally.sum, dataset.checksum(parameters.records))
}
