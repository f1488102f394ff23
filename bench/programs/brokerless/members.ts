// Many consumers: the time until their group is at rest again, and the memory of those that wait.
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { requireEqual } from '../../data/records.ts'
import type { Metrics } from '../../trials/types.ts'
import type { TaskContext } from '../program.ts'
import type { BenchLog } from './open.ts'
import { openBytes, TOPIC } from './open.ts'

const GROUP = 'bench'

/** The members of one group, each of which reads a page at a time and waits at the end. */
class Members {
  records = 0
  readonly #log: BenchLog
  readonly #partitions: number
  readonly #members: { close(): Promise<void>; assignment(): readonly unknown[] }[] = []
  readonly #reading: Promise<void>[] = []

  constructor(log: BenchLog, partitions: number) {
    this.#log = log
    this.#partitions = partitions
  }

  join(count: number): void {
    for (let index = 0; index < count; index += 1) {
      const consumer = this.#log.consumer({ group: GROUP, topics: [TOPIC] })
      this.#members.push(consumer)
      this.#reading.push(this.#read(consumer.batches()))
    }
  }

  async joinInTurn(count: number): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      this.join(1)
      await nextTurn()
    }
  }

  async #read(pages: AsyncIterable<{ readonly records: readonly unknown[] }>): Promise<void> {
    for await (const { records } of pages) this.records += records.length
  }

  leave(count: number): Promise<unknown> {
    return Promise.all(this.#members.splice(0, count).map((each) => each.close()))
  }

  /** Resolves when every partition is read by a member, and no member has more than one more than another. */
  async settled(): Promise<void> {
    while (!this.#isEven()) await nextTurn()
  }

  #isEven(): boolean {
    const counts = this.#members.map((each) => each.assignment().length)
    const sum = counts.reduce((all, count) => all + count, 0)
    return sum === this.#partitions && Math.max(...counts) - Math.min(...counts) <= 1
  }

  /** Resolves when all records have been read by somebody. */
  async readUpTo(records: number): Promise<void> {
    while (this.records < records) await nextTurn()
  }

  async close(): Promise<void> {
    await this.leave(this.#members.length)
    await Promise.all(this.#reading)
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve)
  })
}

export async function rebalance(context: TaskContext): Promise<Metrics> {
  const { parameters, stopwatch, variant } = context
  const { members: count, partitions, records } = parameters
  const log = await openBytes(context)
  const members = new Members(log, partitions)
  const isFirst = variant === 'all' || variant === 'each'
  if (!isFirst) {
    members.join(variant === 'join' ? count - 1 : count)
    await members.settled()
    await members.readUpTo(records)
  }
  await stopwatch.time(async () => {
    if (variant === 'all') members.join(count)
    else if (variant === 'each') await members.joinInTurn(count)
    else if (variant === 'join') members.join(1)
    else await members.leave(variant === 'half' ? Math.floor(count / 2) : 1)
    await members.settled()
  })
  await members.readUpTo(records)
  await members.close()
  await log.close()
  // What changed hands was committed before.
  requireEqual('the number of records', members.records, records)
  return { rebalanceMs: stopwatch.milliseconds }
}

/** Each of a group of its own, which has nothing to read. */
export async function idleConsumers(context: TaskContext): Promise<Metrics> {
  const { parameters, stopwatch } = context
  const { members } = parameters
  const log = await openBytes(context)
  const before = usedBytes()
  let reading: Promise<unknown>[] = []
  await stopwatch.time(async () => {
    const consumers = Array.from({ length: members }, (_, index) =>
      log.consumer({ group: `${GROUP}-${index}`, topics: [TOPIC], from: 'latest' }),
    )
    reading = consumers.map((each) => each[Symbol.asyncIterator]().next())
    while (consumers.some((each) => each.assignment().length === 0)) await nextTurn()
  })
  await nextTurn()
  const bytes = usedBytes() - before
  await log.close()
  const read = await Promise.all(reading)
  requireEqual('the number of consumers that have ended', read.length, members)
  return { perConsumerKiB: bytes / members / 1024 }
}

/** What is reachable. */
function usedBytes(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
