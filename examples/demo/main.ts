// npm run demo: 20,000 real events survive a process that is killed while it writes them.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { checkAcknowledged } from './check-acknowledged.ts'
import type { FlightLog } from './flights.ts'
import { blocksOf, departure, loadFlights, openLog, PARTITIONS, TOPIC } from './flights.ts'
import type { AcknowledgedBlock } from './produce.ts'
import { produceBlock } from './produce.ts'
import type { ReadRecord } from './reader.ts'
import { committedOffsets, consume, readRecord } from './reader.ts'
import { check, countChecks, rate, say, timed } from './report.ts'
import type { WriterMessage } from './writer.ts'

const flights = loadFlights()
const MOMENT = '2001/02/14 12:00'

/** Starts the writer, and kills it when it says that it stands between two syncs. */
async function writeUntilKilled(directory: string): Promise<AcknowledgedBlock[]> {
  const blocks: AcknowledgedBlock[] = []
  const writer = fork(fileURLToPath(new URL('writer.ts', import.meta.url)), [directory])
  writer.on('message', (message: WriterMessage) => {
    if (message.kind === 'acknowledged') {
      blocks.push(message.block)
      return
    }
    const { inFlight, elapsedMs } = message
    writer.kill('SIGKILL')
    const acknowledged = blocks.reduce((sum, { ids }) => sum + ids.length, 0)
    say(
      `the writer was told of ${acknowledged} records on the disk (${rate(acknowledged, elapsedMs)})`,
    )
    say(`it is killed with ${inFlight} more on their way`)
    check('it was killed with calls in flight', inFlight > 0)
  })
  const [, signal] = await once(writer, 'close')
  check('SIGKILL ended it', signal === 'SIGKILL')
  return blocks
}

/** Reads all that a killed writer left. */
async function readAll(log: FlightLog): Promise<ReadRecord[]> {
  const records: ReadRecord[] = []
  for await (const record of log.read(TOPIC, { until: 'end' })) records.push(readRecord(record))
  return records
}

async function recover(
  directory: string,
  acknowledged: readonly AcknowledgedBlock[],
): Promise<void> {
  const [log, openMs] = await timed(() => openLog(directory))
  try {
    const { clean, scannedBytes, partitions } = log.recovery
    const cut = partitions.flatMap((each) => each.cut).reduce((sum, { bytes }) => sum + bytes, 0)
    say(`opened again in ${openMs.toFixed(0)} ms: ${scannedBytes} bytes checked, ${cut} cut off`)
    check('the log knows that it was not closed', !clean)
    const survivors = await readAll(log)
    const inAcknowledged = checkAcknowledged(acknowledged, survivors)
    check('at least half of the flights were acknowledged', inAcknowledged >= flights.length / 2)
    say(`each of the ${inAcknowledged} acknowledged records is there, at its offset`)
    const unacknowledged = survivors.length - inAcknowledged
    say(`${unacknowledged} more were written, whole, when it was killed before their sync was told`)
    check('something was written and not acknowledged', unacknowledged > 0)
    await produceRest(log, survivors)
  } finally {
    await log.close()
  }
}

async function produceRest(log: FlightLog, survivors: readonly ReadRecord[]): Promise<void> {
  const there = new Set(survivors.map(({ flight }) => flight.id))
  check('no flight is there twice', there.size === survivors.length)
  const blocks = blocksOf(flights).map((block) => block.filter(({ id }) => !there.has(id)))
  const [done, elapsedMs] = await timed(() =>
    Promise.all(blocks.filter(({ length }) => length > 0).map((block) => produceBlock(log, block))),
  )
  const count = done.reduce((sum, { ids }) => sum + ids.length, 0)
  check('the rest was acknowledged', count === flights.length - survivors.length)
  say(`produced the other ${count} (${rate(count, elapsedMs)})`)
}

/** Reads everything in a loop that commits, in two runs with the log closed between them. */
async function readTwice(directory: string): Promise<ReadRecord[]> {
  const records: ReadRecord[] = []
  const handle = (record: ReadRecord): void => {
    records.push(record)
  }
  for (const limit of [flights.length / 2, Number.POSITIVE_INFINITY]) {
    const log = await openLog(directory)
    try {
      check('the log was closed', log.recovery.clean)
      const committed = await committedOffsets(log)
      const before = records.length
      const [handled, elapsedMs] = await timed(() => consume(log, handle, limit))
      const first = firstOffsets(records.slice(before))
      check('the loop went on where it had committed', first.join() === committed.join())
      say(
        `from offsets ${first.join(', ')}: ${handled} read and committed (${rate(handled, elapsedMs)})`,
      )
    } finally {
      await log.close()
    }
  }
  const ids = new Set(records.map(({ flight }) => flight.id))
  check('every flight was read', ids.size === flights.length)
  check('none was read twice', records.length === flights.length)
  return records
}

function firstOffsets(records: readonly ReadRecord[]): number[] {
  return Array.from({ length: PARTITIONS }, (_, partition) => {
    return records.find((record) => record.partition === partition)?.offset ?? -1
  })
}

/** Asks each partition for the first flight since a moment, and compares with what was read. */
async function lookUp(directory: string, records: readonly ReadRecord[]): Promise<void> {
  const log = await openLog(directory, true)
  try {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const [offset, elapsedMs] = await timed(() =>
        log.offsetForTimestamp(TOPIC, { partition, timestamp: departure(MOMENT) }),
      )
      const expected = records.find(
        (each) => each.partition === partition && each.timestamp >= departure(MOMENT),
      )
      check('the look-up by time finds the first flight', offset === expected?.offset)
      const { date, origin, destination } = expected?.flight ?? {}
      say(
        `partition ${partition}, since ${MOMENT}: offset ${offset}, ${origin} to ${destination} at ${date} (${elapsedMs.toFixed(1)} ms)`,
      )
    }
  } finally {
    await log.close()
  }
}

const directory = await mkdtemp(path.join(tmpdir(), 'brokerless-demo-'))
try {
  say(
    `${flights.length} flights, keyed by their origin, go to ${PARTITIONS} partitions in ${directory}`,
  )
  const acknowledged = await writeUntilKilled(directory)
  await recover(directory, acknowledged)
  const records = await readTwice(directory)
  await lookUp(directory, records)
  say(`all ${countChecks()} checks passed in ${(performance.now() / 1000).toFixed(1)} s`)
} finally {
  await rm(directory, { recursive: true, force: true })
}
