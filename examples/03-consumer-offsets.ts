// A loop that commits how far it has come, and goes on from there when it is started again.
import { Log } from 'brokerless'

const TOPIC = 'payments'
const GROUP = 'billing'

/** Handles at most `limit` records and commits; the next call, in this process or another one, goes on behind them. */
async function handlePayments(limit: number): Promise<number[]> {
  const log = await Log.open('./data', { topics: { [TOPIC]: { value: 'json' } } })
  try {
    const [committed] = await log.committedOffsets(GROUP)
    let offset = committed?.offset ?? 0
    const handled: number[] = []
    while (handled.length < limit) {
      const { records, nextOffset } = await log.fetch(TOPIC, {
        partition: 0,
        offset,
        maxRecords: Math.min(10, limit - handled.length),
      })
      if (nextOffset === offset) break
      for (const record of records) handled.push(record.offset)
      // Committed after the work: a record may be handled twice after a crash, none is left out.
      await log.commitOffset(GROUP, { topic: TOPIC, partition: 0, offset: nextOffset })
      offset = nextOffset
    }
    const { lagRecords } = await log.lag(GROUP)
    console.log(`handled ${handled.length}, ${lagRecords} are left`)
    return handled
  } finally {
    await log.close()
  }
}

const log = await Log.open('./data', { topics: { [TOPIC]: { value: 'json' } } })
await log.produce(
  TOPIC,
  Array.from({ length: 50 }, (_, id) => ({ value: { id, cents: 100 * id } })),
)
await log.close()

const first = await handlePayments(20)
const second = await handlePayments(100)
console.log(`the second run began at offset ${second[0]}, behind ${first.at(-1)}`)
// prints last: the second run began at offset 20, behind 19
