// An import that may be killed and run again: lines that have arrived are not stored twice, since each has its number.
import { readFile, writeFile } from 'node:fs/promises'
import type { ProducerOptions } from 'brokerless'
import { Log, LogError } from 'brokerless'

const FILE = './readings.csv'
const IDENTITY = './import.json'

/** Sends all lines, from the first on, as the producer that it was the last time; stops as if it were killed after `limit`. */
async function importLines(limit: number): Promise<void> {
  const log = await Log.open('./data', { topics: { readings: { value: 'string' } } })
  try {
    const before = await readFile(IDENTITY, 'utf8').catch(() => '{}')
    const producer = await log.producer(JSON.parse(before) as ProducerOptions)
    const { producerId, producerEpoch } = producer
    // Before anything is sent: who sends again has to be the same one.
    await writeFile(IDENTITY, JSON.stringify({ producerId, producerEpoch }))

    const lines = (await readFile(FILE, 'utf8')).trim().split('\n')
    for (const [sequence, value] of lines.slice(0, limit).entries()) {
      try {
        // One that was stored shortly before is answered with where it stands, one before that with this code.
        const { offset } = await producer.produce('readings', { value }, { partition: 0, sequence })
        console.log(`line ${sequence} is record ${offset}`)
      } catch (error) {
        if (!(error instanceof LogError && error.code === 'DUPLICATE_SEQUENCE')) throw error
        console.log(`line ${sequence} is there already`)
      }
    }
  } finally {
    await log.close()
  }
}

await writeFile(FILE, 'inside 21.5\noutside 9.0\ninside 21.7\noutside 8.8\n')
await importLines(3)
await importLines(4)

const log = await Log.open('./data')
const { latest } = await log.offsets('readings', 0)
console.log(`${latest} records of 4 lines that were sent 7 times`)
await log.close()
// prints last: 4 records of 4 lines that were sent 7 times
