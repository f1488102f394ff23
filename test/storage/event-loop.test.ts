// Long work on files goes in slices, so that timers and other I/O of the process go on.
import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { removeAfter } from '../support/fixtures.ts'
import { expectShortHold, longestHoldMs } from '../support/loop-holds.ts'
import { append, openLog, readAll, readPages, recordSet } from '../support/storage-environment.ts'

const LIMIT_MS = 25

async function expectShort(what: string, work: () => Promise<unknown>): Promise<void> {
  await expectShortHold(what, LIMIT_MS, () => longestHoldMs(work))
}

suite('the event loop', () => {
  test(`is never held over ${LIMIT_MS} ms by recovery, a rebuild, a look-up by time or reading`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'brokerless-loop-'))
    removeAfter(t, directory)
    const place = { directory: join(directory, 't-0'), cacheBytes: 1_000_000 }
    const written = await openLog(nodeFileSystem, place)
    const value = Buffer.alloc(1000, 7)
    const set = recordSet(...Array.from({ length: 100 }, () => ({ value })))
    for (let round = 0; round < 60; round += 1) {
      const calls = Array.from({ length: 10 }, () => append(written, set, { durability: 'os' }))
      await Promise.all(calls)
    }
    const end = written.logEndOffset
    const logs: PartitionLog[] = []
    await expectShort('recovery', async () => {
      logs.push(await openLog(nodeFileSystem, place))
    })
    const [log] = logs
    assert.ok(log !== undefined && log.logEndOffset === end)
    assert.ok(log.report.scannedBytes > 60_000_000)
    await expectShort('reading', async () => {
      for await (const page of readPages(log)) assert.ok(page.end > page.start)
    })
    await expectShort('a look-up by time', () => log.offsetForTime(Number.MAX_SAFE_INTEGER))
    for (const each of logs) await each.close()
    await expectShort('a rebuild', async () => {
      for (const kind of ['index', 'timeindex']) {
        const file = join(place.directory, `00000000000000000000.${kind}`)
        if ((await nodeFileSystem.stat(file)) !== undefined) await nodeFileSystem.unlink(file)
      }
      const again = await openLog(nodeFileSystem, { ...place, isClean: true, recoveryPoint: end })
      assert.equal(again.report.rebuilt.length, 2)
      await again.close()
    })
  })

  test(`is never held over ${LIMIT_MS} ms by the search behind damage that looks like batches everywhere`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'brokerless-loop-'))
    removeAfter(t, directory)
    const place = { directory: join(directory, 't-0') }
    const first = await openLog(nodeFileSystem, place)
    await append(first, recordSet('a'))
    await first.close()
    const file = join(place.directory, '00000000000000000000.log')
    const junk = Buffer.alloc(8_000_000, 2)
    await expectShort('a search', async () => {
      const handle = nodeFileSystem.openSync(file, 'write')
      handle.writeSync(junk, 0, junk.length, handle.sizeSync())
      handle.closeSync()
      const log = await openLog(nodeFileSystem, place)
      assert.equal((await readAll(log)).length, 1)
      assert.equal(log.report.cut[0]?.bytes, junk.length)
      await log.close()
    })
  })

  test(`is never held over ${LIMIT_MS} ms by a loop of awaited appends`, async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'brokerless-loop-'))
    removeAfter(t, directory)
    const log = await openLog(nodeFileSystem, { directory: join(directory, 't-0') })
    const set = recordSet('x')
    await expectShort('a loop of appends', async () => {
      for (let index = 0; index < 30_000; index += 1) await append(log, set, { durability: 'os' })
    })
    await log.close()
  })
})
