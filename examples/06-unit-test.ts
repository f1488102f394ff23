// A unit test of code that uses a log: no file, no waiting, and the time is the test's own.
import assert from 'node:assert/strict'
import type { Log } from 'brokerless'
import { ManualClock, openMemoryLog } from 'brokerless/testing'

interface Topics {
  readonly visits: { readonly page: string }
}

// The code under test. --------------------------------------------------------------------------
/** Visits of each page in the last `ms` milliseconds. */
async function countRecent(
  log: Log<Topics>,
  now: number,
  ms: number,
): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  const from = { timestamp: now - ms }
  for await (const { value } of log.read('visits', { from, until: 'end' })) {
    if (value !== null) counts.set(value.page, (counts.get(value.page) ?? 0) + 1)
  }
  return counts
}

// The test. -------------------------------------------------------------------------------------
const HOUR = 60 * 60 * 1000
const clock = new ManualClock()
const log = await openMemoryLog<Topics>({ topics: { visits: { retentionMs: 24 * HOUR } }, clock })
try {
  await log.produce('visits', { value: { page: '/' } })
  await clock.advance(2 * HOUR)
  await log.produce('visits', [{ value: { page: '/' } }, { value: { page: '/about' } }])

  const recent = await countRecent(log, clock.now(), HOUR)
  assert.equal(recent.get('/'), 1, 'the visit of two hours ago does not count')

  // A day later retention has done its work; nobody had to wait for it.
  await clock.advance(48 * HOUR)
  const { earliest, latest } = await log.offsets('visits', 0)
  assert.deepEqual({ earliest, latest }, { earliest: 3, latest: 3 })
  console.log(`${latest - earliest} visits are left after two days`)
} finally {
  await log.close()
}
// prints last: 0 visits are left after two days
