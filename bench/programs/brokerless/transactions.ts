// Transactions beside plain produces of the same bytes.
import { requireEqual } from '../../data/records.ts'
import type { Metrics } from '../../trials/types.ts'
import { concurrentWriters } from '../pacing.ts'
import type { TaskContext } from '../program.ts'
import type { BenchLog } from './open.ts'
import { openBytes, TOPIC } from './open.ts'

const GROUP = 'bench'

/** What one round of a variant writes: a record to each partition, and in the last an offset. */
type Round = (log: BenchLog, context: TaskContext, index: number) => Promise<unknown>

const ROUNDS: Readonly<Record<string, Round>> = {
  produce: produceRound,
  transaction: transactionRound,
  offset: (log, context, index) => transactionRound(log, context, index, true),
}

/** The rate is of rounds: of a record to each partition at `'disk'`, together or each by itself; so many rounds are in flight. */
export async function transact(context: TaskContext): Promise<Metrics> {
  const round = ROUNDS[context.variant] ?? transactionRound
  const log = await openBytes(context, 'disk')
  const metrics = await concurrentWriters(context, (index) => round(log, context, index))
  await checkRounds(log, context)
  await log.close()
  return metrics
}

async function produceRound(
  log: BenchLog,
  { dataset, parameters }: TaskContext,
  index: number,
): Promise<void> {
  const { partitions } = parameters
  if (partitions === 1) {
    await log.produce(TOPIC, dataset.record(index), { partition: 0 })
    return
  }
  const produced: Promise<unknown>[] = []
  for (let partition = 0; partition < partitions; partition += 1) {
    produced.push(log.produce(TOPIC, dataset.record(index), { partition }))
  }
  await Promise.all(produced)
}

async function transactionRound(
  log: BenchLog,
  { dataset, parameters }: TaskContext,
  index: number,
  commitsOffset = false,
): Promise<void> {
  const record = dataset.record(index)
  await log.transaction(async (tx) => {
    for (let partition = 0; partition < parameters.partitions; partition += 1) {
      await tx.produce(TOPIC, record, { partition })
    }
    if (!commitsOffset) return
    // Of rounds side by side each has a group of its own.
    const group = `${GROUP}-${index % parameters.writers}`
    await tx.commitOffset(group, { topic: TOPIC, partition: 0, offset: index + 1 })
  })
}

/** Each partition has a record of each round for who reads what is committed, and the last one is one of the last that were written. */
async function checkRounds(log: BenchLog, { dataset, parameters }: TaskContext): Promise<void> {
  const { partitions, records, writers } = parameters
  const expected = new Set(
    Array.from({ length: Math.min(writers, records) }, (_, back) =>
      dataset.record(records - 1 - back).value.toString('base64'),
    ),
  )
  for (let partition = 0; partition < partitions; partition += 1) {
    let count = 0
    let last = ''
    const { latest } = await log.offsets(TOPIC, partition)
    for (let offset = 0; offset < latest; ) {
      const page = await log.fetch(TOPIC, { partition, offset })
      count += page.records.length
      last = page.records.at(-1)?.value?.toString('base64') ?? last
      if (page.nextOffset === offset) throw new Error(`nothing comes behind offset ${offset}`)
      offset = page.nextOffset
    }
    requireEqual(`the number of records in partition ${partition}`, count, records)
    requireEqual('whether the last record is one of the last', expected.has(last), true)
  }
}
