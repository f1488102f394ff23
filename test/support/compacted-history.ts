// What readers may be given of a compacted topic, while it is compacted.
import assert from 'node:assert/strict'
import type { Log, LogOptions, LogRecord } from '../../src/index.ts'
import { OffsetOutOfRangeError } from '../../src/index.ts'
import { randomInteger, seededRandom } from './random.ts'

export const TOPICS = {
  users: {
    value: 'string',
    cleanupPolicy: 'compact',
    segmentBytes: 1100,
    indexIntervalBytes: 100,
  },
} as const

/** Few open files and no memory, so that each name is opened again and again; and plenty of both. */
export const READERS: readonly LogOptions[] = [
  { maxOpenFiles: 8, cacheBytes: 0 },
  { maxOpenFiles: 256, cacheBytes: 0 },
  { maxOpenFiles: 8 },
  {},
]

export interface Written {
  readonly key: string
  readonly value: string
  readonly timestamp: number
}

/** What was written, by offset, and what readers may be given of it. */
export class History {
  readonly written: Written[] = []
  readonly #last = new Map<string, number>()
  readonly #random = seededRandom(7)

  /** Values of any size, times in no order; the first keys are written again and again. */
  next(): Written {
    const offset = this.written.length
    const key = offset % 5 === 4 ? `once ${offset}` : `again ${randomInteger(this.#random, 6)}`
    const value = `${offset} ${'.'.repeat(randomInteger(this.#random, 200))}`
    const timestamp = 1_000_000 + 10 * offset - randomInteger(this.#random, 300)
    const record = { key, value, timestamp }
    this.written.push(record)
    this.#last.set(key, offset)
    return record
  }

  /** Whether a later record has its key: then it may be gone. */
  isReplaced(offset: number): boolean {
    return this.#last.get((this.written[offset] as Written).key) !== offset
  }

  /** All that a reader from an offset on is given: nothing twice, nothing wrong, of each key the last record. */
  check(records: readonly LogRecord[], from: number, what: string, to = this.written.length): void {
    let before = from - 1
    const given = new Set<number>()
    for (const { offset, key, value, timestamp } of records) {
      assert.ok(offset > before, `${what}: ${offset} behind ${before}`)
      assert.deepEqual({ key, value, timestamp }, this.written[offset], `${what}: ${offset}`)
      given.add(offset)
      before = offset
    }
    for (let offset = from; offset < to; offset += 1) {
      assert.ok(given.has(offset) || this.isReplaced(offset), `${what}: ${offset} is missing`)
    }
  }

  /** The answer to a look-up: right for the log before its compaction, for the one behind it, or between the two. */
  checkFound(
    found: number | undefined,
    fits: (record: Written, offset: number) => boolean,
    what: string,
  ): void {
    const first = this.written.findIndex(fits)
    const last = this.written.findIndex(
      (record, offset) => fits(record, offset) && !this.isReplaced(offset),
    )
    if (found === undefined) {
      assert.equal(last, -1, what)
      return
    }
    assert.ok(
      found >= first && (found <= last || last === -1),
      `${what}: ${first} ${found} ${last}`,
    )
    assert.ok(fits(this.written[found] as Written, found), `${what}: ${found}`)
  }
}

export async function rest(records: AsyncIterator<LogRecord>): Promise<LogRecord[]> {
  const all: LogRecord[] = []
  for (;;) {
    const { done, value } = await records.next()
    if (done === true) return all
    all.push(value)
  }
}

export function readFrom(log: Log, from: number): AsyncIterator<LogRecord> {
  const options = { partition: 0, from, until: 'end' } as const
  return log.read('users', options)[Symbol.asyncIterator]()
}

/** Reads all, and looks up some offsets and times. */
export async function checkLog(log: Log, history: History, what: string): Promise<void> {
  history.check(await rest(readFrom(log, 0)), 0, what)
  for (let at = 3; at < history.written.length; at += 17) {
    const { records } = await log.fetch('users', { partition: 0, offset: at, maxRecords: 1 })
    const isBehind = (_: Written, offset: number): boolean => offset >= at
    history.checkFound(records[0]?.offset, isBehind, `${what}: offset ${at}`)
    const { timestamp } = history.written[at] as Written
    const found = await log.offsetForTimestamp('users', { partition: 0, timestamp })
    const isYounger = (each: Written): boolean => each.timestamp >= timestamp
    history.checkFound(found, isYounger, `${what}: time ${timestamp}`)
  }
}

/** Reads all that is not deleted, from any place. */
export async function checkKept(log: Log, history: History, what: string): Promise<void> {
  for (let from = 0; from < history.written.length; from += 19) {
    try {
      const records = await rest(readFrom(log, from))
      history.check(records, from, `${what}, from ${from}`, from)
      // Who is too slow for a deletion goes on where the log begins by then.
      const start = Math.max(from, (await log.offsets('users', 0)).earliest)
      const kept = records.filter(({ offset }) => offset >= start)
      history.check(kept, start, `${what}, from ${from}`)
    } catch (error) {
      if (!(error instanceof OffsetOutOfRangeError)) throw error
      assert.ok(error.start > from, `${what}, from ${from}: ${error.start}`)
    }
  }
  const { earliest } = await log.offsets('users', 0)
  const timestamp = (history.written[earliest] as Written).timestamp
  const found = await log.offsetForTimestamp('users', { partition: 0, timestamp })
  assert.ok(found === undefined || found >= earliest, `${what}: ${found} below ${earliest}`)
}
