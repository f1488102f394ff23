// A consumer that says itself what is done: here what was sent, whatever else has been handed out.
import { Log } from 'brokerless'

const GROUP = 'mailer'
const log = await Log.open('./data', { topics: { mails: { value: 'json' } } })

interface Mail {
  readonly to: string
}

/** Sends mails, and stops as a process that is killed would: nothing is committed but what it has committed before. */
async function send(outbox: string[], limit: number): Promise<void> {
  const consumer = log.consumer({ group: GROUP, topics: ['mails'], autoCommit: false })
  for await (const record of consumer) {
    outbox.push((record.value as Mail).to)
    // Every third one: less is written, and more is handed out again after a crash.
    if (outbox.length % 3 === 0) await consumer.commit(record)
    if (outbox.length === limit) break
  }
}

try {
  await log.produce(
    'mails',
    Array.from({ length: 10 }, (_, index) => ({ value: { to: `customer-${index}` } })),
  )
  const first: string[] = []
  await send(first, 5)
  const second: string[] = []
  await send(second, 6)
  console.log(`sent at first: ${first.join(', ')}`)
  console.log(`and then: ${second.join(', ')}`)
  console.log(`sent twice: ${second.filter((to) => first.includes(to)).join(', ')}`)
} finally {
  await log.close()
}
// prints last: sent twice: customer-3, customer-4
