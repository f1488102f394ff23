// A consumer of a group: the group goes on where it has committed, and commits by itself what its consumer came back for more of.
import { Log } from 'brokerless'

const GROUP = 'billing'
const log = await Log.open('./data', {
  topics: { payments: { key: 'string', value: 'json', partitions: 3 } },
})

/** Handles records until so many are done. Breaking out of the loop closes the consumer, and that commits. */
async function handle(limit: number): Promise<number> {
  let handled = 0
  for await (const { partition, offset, key } of log.consumer({
    group: GROUP,
    topics: ['payments'],
  })) {
    console.log(`partition ${partition}, offset ${offset}: ${key}`)
    handled += 1
    if (handled === limit) break
  }
  return handled
}

try {
  await log.produce(
    'payments',
    Array.from({ length: 12 }, (_, id) => ({ key: `customer-${id}`, value: { cents: 100 * id } })),
  )
  // The record at which a loop breaks off is not done: nobody came back for more. It is handed out again.
  const first = await handle(5)
  const second = await handle(8)
  const { lagRecords } = await log.lag(GROUP)
  console.log(`${first} and ${second} of 12 records were handled, ${lagRecords} is open`)
} finally {
  await log.close()
}
// prints last: 5 and 8 of 12 records were handled, 1 is open
