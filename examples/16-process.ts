// Consume, transform, produce: each order has its effect once, though the work is interrupted in the middle.
import { Log } from 'brokerless'

interface Topics {
  orders: { item: string; cents: number }
  invoices: { item: string; cents: number }
  audit: { text: string }
  'orders.dead': { item: string; cents: number }
}

const log = await Log.open<Topics>('./data', {
  topics: { orders: { value: 'json', partitions: 3 }, invoices: {}, audit: {}, 'orders.dead': {} },
})

/** Works until `count` orders were handled. What was begun is committed before it ends. */
async function invoice(count: number): Promise<void> {
  let handled = 0
  const run = log.process(
    {
      from: 'orders',
      group: 'billing',
      to: 'invoices',
      concurrency: 3,
      failurePolicy: { retries: 0, giveUp: { deadLetterTopic: 'orders.dead' } },
    },
    async ({ key, value }, { tx }) => {
      handled += 1
      if (handled === count) void run.close()
      // Goes out with the invoice, or not at all: where the handler fails there is no trace of it.
      await tx.produce('audit', { value: { text: `invoice for ${value?.item}` } })
      if (value === null || value.cents < 0) throw new Error('what is this?')
      return { key, value: { item: value.item, cents: value.cents + 20 } }
    },
  )
  await run
}

async function count(topic: keyof Topics): Promise<number> {
  let records = 0
  for await (const _ of log.read(topic, { until: 'end' })) records += 1
  return records
}

try {
  for (let n = 0; n < 30; n += 1) {
    const cents = n === 17 ? -1 : n * 100
    await log.produce('orders', { key: `order-${n}`, value: { item: `item ${n}`, cents } })
  }
  await invoice(10)
  console.log(`${await count('invoices')} invoices, ${await count('orders.dead')} dead letters`)
  await invoice(20)
  const counts = await Promise.all([count('invoices'), count('audit'), count('orders.dead')])
  console.log(`${counts[0]} invoices, ${counts[1]} in the audit, ${counts[2]} dead letter`)
} finally {
  await log.close()
}
// prints last: 29 invoices, 29 in the audit, 1 dead letter
