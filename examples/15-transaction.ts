// Orders become invoices and shipments, exactly once: both records and how far the group has come change together, or not at all.
import { Log } from 'brokerless'

interface Order {
  readonly item: string
  readonly cents: number
}

const GROUP = 'orders-to-invoices'
const log = await Log.open<{ orders: Order; invoices: number; shipments: string }>('./data', {
  topics: { orders: { value: 'json' }, invoices: { value: 'json' }, shipments: { value: 'json' } },
})

/** Handles one order in a transaction; where anything throws, nothing of it is seen, and the order is the next one again. */
async function handleNext(isBroken: boolean): Promise<boolean> {
  const [committed] = await log.committedOffsets(GROUP)
  const offset = committed?.offset ?? 0
  const { records, nextOffset } = await log.fetch('orders', { partition: 0, offset, maxRecords: 1 })
  const order = records[0]?.value
  if (!order) return false
  await log.transaction(async (tx) => {
    await tx.produce('invoices', { key: order.item, value: order.cents })
    if (isBroken) throw new Error('the warehouse does not answer')
    await tx.produce('shipments', { key: order.item, value: order.item })
    await tx.commitOffset(GROUP, { topic: 'orders', partition: 0, offset: nextOffset })
  })
  return true
}

async function count(topic: 'invoices' | 'shipments'): Promise<number> {
  let records = 0
  for await (const _ of log.read(topic, { until: 'end' })) records += 1
  return records
}

try {
  await log.produce('orders', [
    { value: { item: 'tea', cents: 500 } },
    { value: { item: 'mug', cents: 900 } },
  ])
  await handleNext(true).catch((error: Error) => console.log(`${error.message}: aborted`))
  console.log(`${await count('invoices')} invoices yet`)
  while (await handleNext(false));
  console.log(`${await count('invoices')} invoices, ${await count('shipments')} shipments`)
} finally {
  await log.close()
}
// prints last: 2 invoices, 2 shipments
