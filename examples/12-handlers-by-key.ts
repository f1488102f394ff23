// Handlers, several at once: the records of one key stay in order while others overtake, and what fails is tried again.
import { setTimeout as pause } from 'node:timers/promises'
import { Log } from 'brokerless'

const log = await Log.open<{ payments: { cents: number } }>('./data', {
  topics: { payments: { value: 'json' } },
})
const ACCOUNTS = ['ada', 'bob', 'eve', 'joe']
const balances = new Map<string | null, number[]>()
let atOnce = 0
let most = 0
let handled = 0

try {
  await log.produce(
    'payments',
    Array.from({ length: 40 }, (_, index) => ({
      key: ACCOUNTS[index % ACCOUNTS.length] ?? null,
      value: { cents: index },
    })),
  )
  const consumer = log.consumer({ group: 'bank', topics: ['payments'] })
  await consumer.run({
    concurrency: { by: 'key', max: 3 },
    failurePolicy: { retries: 5, backoff: { type: 'exponential', initialMs: 5, jitter: 0.5 } },
    eachRecord: async ({ key, value, offset, deliveryCount }, { signal }) => {
      atOnce += 1
      most = Math.max(most, atOnce)
      try {
        // `signal`: where the partition is another's by now, there is no need to go on.
        await pause(offset % 3, undefined, { signal })
        if (offset % 10 === 7 && deliveryCount === 1) throw new Error('the bank is busy')
        balances.set(key, [...(balances.get(key) ?? []), value?.cents ?? 0])
        handled += 1
      } finally {
        atOnce -= 1
      }
      // A close waits for the other handlers, and not for this one, which is done when it returns.
      if (handled === 40) void consumer.close()
    },
  })
  const isInOrder = [...balances.values()].every((list) =>
    list.every((cents, index) => index === 0 || cents > (list[index - 1] ?? 0)),
  )
  const { lagRecords } = await log.lag('bank')
  console.log(
    `${handled} payments, ${most} at once, each account in order: ${isInOrder}, ${lagRecords} open`,
  )
} finally {
  await log.close()
}
// prints last: 40 payments, 3 at once, each account in order: true, 0 open
