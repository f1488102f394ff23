// No call holds the event loop: looks at the processor's time, in a process of its own.
import assert from 'node:assert/strict'
import { cp } from 'node:fs/promises'
import { describe, test } from 'node:test'
import type { Log } from '../../src/index.ts'
import { line } from '../support/compressed-batches.ts'
import { diskPlace, openAt, placeAt } from '../support/log-places.ts'
import { expectShortHold, longestHoldMs } from '../support/loop-holds.ts'
import { WriterProcess } from '../support/writer-process.ts'

describe('the event loop', () => {
  const LONGEST_MS = 25
  /** Compaction is to leave the loop more often. */
  const LONGEST_SLICE_MS = 10

  const checkHold = (what: string, attempt: () => Promise<number>): Promise<void> =>
    expectShortHold(what, LONGEST_MS, attempt)

  /** Reads all there is. */
  const checkRead = (log: Log, records: number): Promise<void> =>
    checkHold('read', async () => {
      let read = 0
      const held = await longestHoldMs(async () => {
        for await (const _ of log.read('events', { until: 'end' })) read += 1
      })
      assert.equal(read, records)
      return held
    })

  test("is held no longer than 25 ms by single awaited produces at 'os', nor by a full read", async (t) => {
    const place = await diskPlace(t)
    const log = await openAt(place, { topics: { events: { value: 'bytes', durability: 'os' } } })
    const value = Buffer.alloc(200, 'v')
    let produced = 0
    await checkHold('produce', () =>
      longestHoldMs(async () => {
        const endMs = performance.now() + 1000
        while (performance.now() < endMs) {
          await log.produce('events', { value })
          produced += 1
        }
      }),
    )
    await checkRead(log, produced)
    await checkHold('fetch', () =>
      longestHoldMs(async () => {
        const endMs = performance.now() + 500
        for (let offset = 0; performance.now() < endMs; offset = (offset + 97) % produced) {
          await log.fetch('events', { partition: 0, offset, maxRecords: 1 })
        }
      }),
    )
    await log.close()
  })

  test('is left to produces by a loop of awaited fetches, and the other way round', async (t) => {
    const log = await openAt(await diskPlace(t), { topics: { events: { durability: 'os' } } })
    for (let n = 0; n < 20; n += 1) await log.produce('events', { value: n })
    const endMs = performance.now() + 10_000
    let fetches = 0
    let produces = 0
    const isDone = (): boolean => fetches >= 20 && produces >= 20
    const goOn = (): boolean => {
      assert.ok(performance.now() < endMs, `${fetches} fetches and ${produces} produces in 10 s`)
      return !isDone()
    }
    const fetching = async (): Promise<void> => {
      for (; goOn(); fetches += 1) await log.fetch('events', { partition: 0, offset: 3 })
    }
    const producing = async (): Promise<void> => {
      for (; goOn(); produces += 1) await log.produce('events', { value: produces })
    }
    await Promise.all([fetching(), fetching(), producing(), producing()])
    await log.close()
  })

  for (const compression of ['gzip', 'snappy', 'lz4', 'zstd'] as const) {
    test(`is held no longer than 25 ms by large batches compressed with ${compression}`, async (t) => {
      const place = await diskPlace(t)
      const topics = { events: { value: 'bytes', durability: 'os', compression } } as const
      const log = await openAt(place, { topics })
      const records = Array.from({ length: 300 }, (_, n) => ({ value: Buffer.from(line(n, 3000)) }))
      let produced = 0
      // The first is compressed by a codec that is being loaded.
      await log.produce('events', records)
      await checkHold('produce', () =>
        longestHoldMs(async () => {
          for (let call = 0; call < 20; call += 1) {
            const calls = [log.produce('events', records), log.produce('events', records)]
            await Promise.all(calls)
            produced += 2 * records.length
          }
        }),
      )
      produced += records.length
      await checkRead(log, produced)
      await checkHold('fetch', () =>
        longestHoldMs(async () => {
          for (let offset = 0; offset < produced; offset += 150) {
            await log.fetch('events', { partition: 0, offset, maxRecords: 10 })
          }
        }),
      )
      await log.close()
    })
  }

  for (const compression of ['none', 'zstd'] as const) {
    test(`is held no longer than 10 ms by a compaction of large batches, compression ${compression}`, async (t) => {
      const place = await diskPlace(t)
      const events = { value: 'bytes', durability: 'os', cleanupPolicy: 'compact' } as const
      const settings = { segmentBytes: 4 * 1024 * 1024, deleteRetentionMs: 0, compression }
      const log = await openAt(place, { topics: { events: { ...events, ...settings } } })
      await expectShortHold('compact', LONGEST_SLICE_MS, async () => {
        for (let batch = 0; batch < 30; batch += 1) {
          const records = Array.from({ length: 8000 }, (_, n) => ({
            key: `key ${(batch * 7919 + n * 31) % 50_000}`,
            value: n % 10 === 0 ? null : Buffer.from(line(n, 100)),
          }))
          await log.produce('events', records)
        }
        return await longestHoldMs(async () => void (await log.compact('events')))
      })
      await log.close()
    })
  }

  test('is held no longer than 25 ms by the recovery of 100 MB that a killed process left', async (t) => {
    const place = await diskPlace(t)
    const writer = await WriterProcess.open(t, place.directory, {
      flushBytes: 2 ** 40,
      flushIntervalMs: 10 ** 9,
      topics: { events: { value: 'string', durability: 'os' } },
    })
    const records = Array.from({ length: 900 }, () => ({ value: 'v'.repeat(1000) }))
    const calls = 110
    for (let call = 0; call < calls; call += 1) await writer.call('produce', 'events', records)
    await writer.kill()
    let attempts = 0
    await checkHold('recovery', async () => {
      attempts += 1
      const copy = `${place.directory}-${attempts}`
      await cp(place.directory, copy, { recursive: true })
      let log: Log | undefined
      const held = await longestHoldMs(async () => {
        log = await openAt(placeAt(copy), { topics: { events: { value: 'string' } } })
      })
      assert.ok((log?.recovery.scannedBytes ?? 0) >= 99 * 10 ** 6)
      assert.equal((await log?.offsets('events', 0))?.latest, 900 * calls)
      await log?.close()
      return held
    })
  })
})
