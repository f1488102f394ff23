// The log that the tasks work on, and the readers that idle beside them.
import type { Durability } from '../../../src/index.ts'
import { Log } from '../../../src/index.ts'
import type { TaskContext } from '../program.ts'

export const TOPIC = 'bench'
const IDLE_TOPIC = 'idle'
/** A waiting fetch that is never answered: this many bytes do not come, and the wait is longer than any measurement. */
const NEVER = { minBytes: 2 ** 31 - 1, maxBytes: 2 ** 31 - 1, maxWaitMs: 3_600_000 }

export type BenchLog = Awaited<ReturnType<typeof openBytes>>

/** Bytes in and bytes out. */
export function openBytes({ directory, parameters }: TaskContext, durability: Durability = 'os') {
  const { segmentBytes, compression, idleReaders, idleAt } = parameters
  const isShared = idleReaders > 0 && idleAt === 'another partition'
  const partitions = parameters.partitions + (isShared ? 1 : 0)
  return Log.open(directory, {
    topics: {
      [TOPIC]: { key: 'bytes', value: 'bytes', durability, partitions, segmentBytes, compression },
    },
  })
}

/** Objects as MessagePack, which is the default. */
export function openObjects({ directory }: TaskContext) {
  return Log.open(directory, { topics: { [TOPIC]: { durability: 'os' } } })
}

interface Waiting {
  createTopic(name: string): Promise<void>
  offsets(topic: string, partition: number): Promise<{ readonly latest: number }>
  fetch(topic: string, options: object): Promise<unknown>
}

/** They end when the log is closed. */
export async function addIdleReaders(log: Waiting, { parameters }: TaskContext): Promise<void> {
  const { idleReaders, idleAt, partitions } = parameters
  if (idleReaders === 0) return
  const topic = idleAt === 'another topic' ? IDLE_TOPIC : TOPIC
  if (topic === IDLE_TOPIC) await log.createTopic(topic)
  const partition = idleAt === 'another partition' ? partitions : 0
  const { latest: offset } = await log.offsets(topic, partition)
  for (let index = 0; index < idleReaders; index += 1) {
    const answered = log.fetch(topic, { partition, offset, ...NEVER })
    answered.then(
      () => fail(new Error('an idle reader was answered')),
      (error: { readonly code?: string }) => error.code === 'CLOSED' || fail(error),
    )
  }
}

function fail(error: unknown): void {
  process.nextTick(() => {
    throw error
  })
}
