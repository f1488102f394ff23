// Readers, in the writer's process and in others, while it produces and compacts.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Log, LogOptions, LogRecord } from '../../src/index.ts'
import type { Written } from '../support/compacted-history.ts'
import { History, READERS, readFrom, rest, TOPICS } from '../support/compacted-history.ts'
import { diskPlace, openAt, PLACES } from '../support/log-places.ts'
import { WriterProcess } from '../support/writer-process.ts'

/** Writes and compacts round after round; what was acknowledged is `acknowledged`. */
class Rounds {
  readonly history = new History()
  acknowledged = 0
  isDone = false
  /** Of the last record, which comes behind all rounds. */
  last = Number.POSITIVE_INFINITY

  async run(
    rounds: number,
    produce: (records: readonly Written[]) => Promise<unknown>,
    compact: () => Promise<unknown>,
  ): Promise<void> {
    try {
      for (let round = 0; round < rounds; round += 1) {
        await produce(Array.from({ length: 12 }, () => this.history.next()))
        this.acknowledged = this.history.written.length
        if (round % 2 === 1) await compact()
      }
      this.last = this.history.written.length
      await produce([this.history.next()])
    } finally {
      this.isDone = true
    }
  }

  /** From the beginning, and from the middle. */
  async read(log: Log): Promise<void> {
    for (let reads = 0; !this.isDone; reads += 1) {
      const { latest } = await log.offsets('users', 0)
      const to = Math.min(latest, this.acknowledged)
      const from = reads % 2 === 0 ? 0 : Math.floor(to / 2)
      this.history.check(await rest(readFrom(log, from)), from, `read ${reads}`, to)
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Each record as it comes, and at last what is left of all that was written. */
  async follow(log: Log): Promise<void> {
    const records: LogRecord[] = []
    for await (const record of log.read('users', { partition: 0, from: 0 })) {
      records.push(record)
      if (record.offset === this.last) break
    }
    this.history.check(records, 0, 'followed')
  }

  async lookUp(log: Log): Promise<void> {
    for (let at = 0; !this.isDone; at = (at + 37) % Math.max(1, this.acknowledged)) {
      const { timestamp = 0 } = this.history.written[at] ?? {}
      const found = await log.offsetForTimestamp('users', { partition: 0, timestamp })
      if (found !== undefined) {
        assert.ok((this.history.written[found]?.timestamp ?? -1) >= timestamp, `time ${timestamp}`)
      }
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Waits for what comes next, again and again. */
  async wait(log: Log): Promise<void> {
    for (let next = 0; next <= this.last; ) {
      const request = { partition: 0, offset: next, maxWaitMs: 60_000, maxRecords: 5 }
      const { records, nextOffset } = await log.fetch('users', request)
      for (const { offset, value } of records) {
        assert.ok(offset >= next)
        assert.equal(value, this.history.written[offset]?.value)
        next = offset + 1
      }
      next = Math.max(next, nextOffset)
    }
  }
}

const ROUNDS = 16

test('logs in another process read on, whatever is compacted under them', async (t) => {
  const place = await diskPlace(t)
  const users = { ...TOPICS.users, segmentBytes: 4000, durability: 'os' }
  const writer = await WriterProcess.open(t, place.directory, { topics: { users } } as LogOptions)
  const rounds = new Rounds()
  const logs: Log[] = []
  for (const options of READERS) {
    logs.push(await openAt(place, { readOnly: true, readOnlyPollMs: 1, ...options }))
  }
  const reading = logs.flatMap((log) => [rounds.read(log), rounds.lookUp(log), rounds.follow(log)])
  await rounds.run(
    ROUNDS,
    (records) => writer.call('produce', 'users', records),
    () => writer.call('compact', 'users'),
  )
  await Promise.all(reading)
  for (const log of logs) await log.close()
  await writer.call('close')
})

for (const { name, make } of PLACES) {
  test(`readers in the writer's process read on, and wait, whatever is compacted under them, ${name}`, async (t) => {
    const place = await make(t)
    const users = { ...TOPICS.users, segmentBytes: 4000, durability: 'os' } as const
    const log = await openAt(place, { topics: { users }, ...READERS[0] })
    const rounds = new Rounds()
    const reading = [rounds.read(log), rounds.follow(log), rounds.lookUp(log), rounds.wait(log)]
    await rounds.run(
      ROUNDS,
      (records) => log.produce('users', records),
      () => log.compact('users'),
    )
    await Promise.all(reading)
    await log.close()
  })
}
