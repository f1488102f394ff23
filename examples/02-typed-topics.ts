// Topics whose types are inferred from their declarations, guarded by a schema. Any Standard Schema will do (zod, valibot,
// arktype, …); this one is written by hand.
import type { StandardSchemaV1 } from 'brokerless'
import { Log, ValidationError } from 'brokerless'

interface Order {
  readonly id: string
  readonly cents: number
}

const orderSchema: StandardSchemaV1<Order> = {
  '~standard': {
    version: 1,
    vendor: 'example',
    validate: (value) =>
      isOrder(value)
        ? { value }
        : { issues: [{ message: 'an order has an id and a whole number of cents' }] },
  },
}

function isOrder(value: unknown): value is Order {
  const { id, cents } = (value ?? {}) as Partial<Order>
  return typeof id === 'string' && Number.isInteger(cents)
}

const log = await Log.open('./data', {
  topics: {
    orders: { value: orderSchema, partitions: 3 },
    notes: { value: 'string', retentionMs: 7 * 24 * 60 * 60 * 1000 },
  },
})
try {
  await log.produce('orders', { key: 'o-1', value: { id: 'o-1', cents: 1999 } })
  await log.produce('notes', { value: 'the shop is open' })
  // @ts-expect-error: the compiler knows what an order is, and that there is no topic `invoices`.
  await log.produce('invoices', { value: 'o-1' }).catch(({ code }) => console.log(code))

  try {
    await log.produce('orders', { key: 'o-2', value: { id: 'o-2', cents: 19.99 } })
  } catch (error) {
    if (!(error instanceof ValidationError)) throw error
    console.log(`${error.code}: ${error.issues[0]?.message}`)
  }

  let cents = 0
  for await (const { value } of log.read('orders', { until: 'end' })) cents += value?.cents ?? 0
  console.log(`orders worth ${cents} cents`)
} finally {
  await log.close()
}
// prints last: orders worth 1999 cents
