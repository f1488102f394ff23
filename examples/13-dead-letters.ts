// A record that nobody can handle does not block its partition: it goes to a dead-letter topic, and comes back when its handler is mended.
import { DEAD_LETTER_HEADERS, Log } from 'brokerless'

interface Order {
  readonly item: string
  readonly amount: number
}

const log = await Log.open<{ orders: Order; 'orders.dead': Order }>('./data', {
  topics: { orders: { value: 'json' }, 'orders.dead': { value: 'json' } },
})

/** Handles what there is, with a handler that knows these items. Answers with what was shipped. */
async function ship(known: readonly string[]): Promise<string[]> {
  const shipped: string[] = []
  const { latest } = await log.offsets('orders', 0)
  const consumer = log.consumer({ group: 'shipping', topics: ['orders'] })
  await consumer.run({
    failurePolicy: {
      retries: 1,
      backoff: { initialMs: 5 },
      giveUp: { deadLetterTopic: 'orders.dead' },
    },
    eachRecord: ({ value, offset }) => {
      if (value === null || !known.includes(value.item)) throw new Error('no such item')
      shipped.push(value.item)
      if (offset === latest - 1) void consumer.close()
    },
  })
  return shipped
}

try {
  await log.produce('orders', [
    { value: { item: 'tea', amount: 1 } },
    { value: { item: 'mug', amount: 2 } },
    { value: { item: 'tea', amount: 3 } },
  ])
  const first = await ship(['tea'])
  const { records } = await log.fetch('orders.dead', { partition: 0, offset: 0 })
  for (const { value, headers } of records) {
    const { offset, errorMessage } = DEAD_LETTER_HEADERS
    console.log(`order ${headers[offset]}, a ${value?.item}: ${headers[errorMessage]}`)
  }
  const { replayed } = await log.replayDeadLetters('orders.dead')
  const second = await ship(['tea', 'mug'])
  console.log(`${first}; ${replayed} dead letter replayed; ${second}`)
} finally {
  await log.close()
}
// prints last: tea,tea; 1 dead letter replayed; mug
