import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FileHandle, OpenMode } from '../../src/index.ts'
import { Log } from '../../src/index.ts'
import { MemoryFileSystem } from '../../src/testing/index.ts'
import { WatchedFileSystem } from '../support/watched-file-system.ts'

/** Answers a read many turns of the event loop later: after all else that a close has to do. */
class SlowReads extends WatchedFileSystem {
  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode)
    const read = handle.read.bind(handle)
    handle.read = async (...place) => {
      const bytes = await read(...place)
      for (let turn = 0; turn < 50; turn += 1) await nextTurn()
      return bytes
    }
    return handle
  }
}

test('a page that is read while the log closes leaves no file open', async () => {
  const fileSystem = new SlowReads(new MemoryFileSystem())
  const topics = { t: { value: 'bytes', segmentBytes: 400_000 } } as const
  const writer = await Log.open('log', { fileSystem, topics })
  for (let i = 0; i < 20; i += 1) await writer.produce('t', { value: Buffer.alloc(100_000, i) })
  await writer.close()
  for (let turns = 0; turns < 8; turns += 1) {
    const log = await Log.open('log', { fileSystem, topics })
    const reading = Promise.allSettled(
      [0, 5, 10, 15, 19].map((offset) => log.fetch('t', { partition: 0, offset, maxBytes: 1000 })),
    )
    for (let turn = 0; turn < turns; turn += 1) await null
    await log.close()
    for (const each of await reading) {
      if (each.status === 'rejected') assert.equal(each.reason.code, 'CLOSED')
      else assert.ok(each.value.records.length > 0)
    }
    assert.equal(fileSystem.openLogs.now, 0)
  }
})
