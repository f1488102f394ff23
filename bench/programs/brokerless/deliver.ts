import type { Metrics } from '../../trials/types.ts'
import type { Delivered, Delivery } from '../pacing.ts'
import { deliveries } from '../pacing.ts'
import type { TaskContext } from '../program.ts'
import type { BenchLog } from './open.ts'
import { openBytes, TOPIC } from './open.ts'

export async function deliver(context: TaskContext): Promise<Metrics> {
  const log = await openBytes(context)
  const waiting = context.variant === 'read' ? liveRead(log) : waitingFetch(log)
  const metrics = await deliveries(context, (index): Delivery => {
    const record = context.dataset.record(index)
    return {
      delivered: waiting(index),
      append: () => log.produce(TOPIC, record, { partition: 0 }),
    }
  })
  await log.close()
  return metrics
}

type Waiting = (offset: number) => Promise<Delivered>

/** A long poll: `fetch` with `maxWaitMs`. */
function waitingFetch(log: BenchLog): Waiting {
  return async (offset) => {
    const { records } = await log.fetch(TOPIC, { partition: 0, offset, maxWaitMs: 10_000 })
    return delivered(records[0])
  }
}

/** A live `for await` over `read`, driven by hand. */
function liveRead(log: BenchLog): Waiting {
  const records = log.read(TOPIC, { partition: 0 })[Symbol.asyncIterator]()
  return async () => delivered((await records.next()).value)
}

function delivered(record: { readonly value: Uint8Array | null } | undefined): Delivered {
  const atMs = performance.now()
  if (record?.value == null) throw new Error('no record came')
  return { atMs, value: record.value }
}
