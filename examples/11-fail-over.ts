// Two consumers share a topic. One of them hangs: it is taken for dead, and the other one goes on with what it had.
import { subscribe } from 'node:diagnostics_channel'
import type { DiagnosticMessages } from 'brokerless'
import { Log } from 'brokerless'

const JOBS = 40
const log = await Log.open('./data', { topics: { jobs: { value: 'json', partitions: 4 } } })

subscribe('brokerless:consumer:lost', (message) => {
  const { memberId, partitions } = message as DiagnosticMessages['brokerless:consumer:lost']
  console.log(`${memberId} is out, and ${partitions.length} partitions are another's`)
})

/** A member that has records in hand, and has not come back for more for half a second, is out of the group. */
const join = (clientId: string) =>
  log.consumer({ group: 'workers', topics: ['jobs'], clientId, maxPollIntervalMs: 500 })

const done = new Set<string>()
let again = 0

async function work(): Promise<void> {
  for await (const { partition, offset, deliveryCount } of join('healthy')) {
    done.add(`${partition}/${offset}`)
    if (deliveryCount > 1) again += 1
    if (done.size === JOBS) break
  }
}

async function hang(until: Promise<void>): Promise<void> {
  for await (const { partition, offset } of join('hanging')) {
    console.log(`hanging: stuck at partition ${partition}, offset ${offset}`)
    await until
    break
  }
}

try {
  await log.produce(
    'jobs',
    Array.from({ length: JOBS }, (_, id) => ({ value: { id }, partition: id % 4 })),
  )
  const working = work()
  await Promise.all([working, hang(working)])
  console.log(`all ${done.size} jobs are done, ${again} of them after somebody had hung at it`)
} finally {
  await log.close()
}
// prints last: all 40 jobs are done, 1 of them after somebody had hung at it
