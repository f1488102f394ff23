// Append events, read them back, and find a moment in them.
import { Log } from 'brokerless'

const HOUR_MS = 60 * 60 * 1000
const noon = Date.UTC(2026, 5, 1, 12)

const log = await Log.open('./data', {
  topics: { temperatures: { value: 'json', partitions: 2 } },
})
try {
  // One record: acknowledged once an fdatasync covers it, which is what 'disk', the default, means.
  const { partition, offset, durability } = await log.produce('temperatures', {
    key: 'kitchen',
    value: { celsius: 20.5 },
    timestamp: noon,
  })
  console.log(`partition ${partition}, offset ${offset}, safe on the ${durability}`)

  // Several in one call: the records that go to one partition are one batch, all of them or none.
  const acknowledged = await log.produce(
    'temperatures',
    [21, 21.5, 22].map((celsius, hour) => ({
      key: 'kitchen',
      value: { celsius },
      timestamp: noon + (hour + 1) * HOUR_MS,
    })),
  )
  for (const { baseOffset, lastOffset } of acknowledged) {
    console.log(`offsets ${baseOffset} to ${lastOffset}`)
  }

  // All partitions, from the beginning to what is the end now; without `until` it would wait for more.
  for await (const record of log.read('temperatures', { until: 'end' })) {
    console.log(record.offset, record.key, record.value)
  }

  // A page at a time, from any offset.
  const page = await log.fetch('temperatures', { partition, offset: 0, maxRecords: 2 })
  console.log(`${page.records.length} records, the next page begins at ${page.nextOffset}`)

  const offset14 = await log.offsetForTimestamp('temperatures', {
    partition,
    timestamp: noon + 2 * HOUR_MS,
  })
  console.log(`the first record since 14:00 has offset ${offset14}`)
} finally {
  await log.close()
}
// prints last: the first record since 14:00 has offset 2
