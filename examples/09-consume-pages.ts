// Pages of records, for work that is cheaper by the many: here a projection that is kept in step with the offsets that it stands for.
import { Log } from 'brokerless'

const log = await Log.open('./data', {
  topics: { readings: { key: 'string', value: 'json', partitions: 4 } },
})
try {
  const sensors = ['cellar', 'attic', 'garden']
  await log.produce(
    'readings',
    Array.from({ length: 9000 }, (_, index) => ({
      key: sensors[index % sensors.length] ?? '',
      value: { celsius: index % 30 },
    })),
  )

  const counts = new Map<string | null, number>()
  let total = 0
  const consumer = log.consumer({ group: 'projection', topics: ['readings'], maxBytes: 64 * 1024 })
  for await (const { partition, records, nextOffset } of consumer.batches()) {
    for (const { key } of records) counts.set(key, (counts.get(key) ?? 0) + 1)
    total += records.length
    console.log(`partition ${partition}: ${records.length} records, done up to ${nextOffset}`)
    // Ends the loop once this page is done.
    if (total === 9000) void consumer.close()
  }
  const { lagRecords } = await log.lag('projection')
  console.log(`${counts.get('attic')} readings of the attic, ${lagRecords} records behind`)
} finally {
  await log.close()
}
// prints last: 3000 readings of the attic, 0 records behind
