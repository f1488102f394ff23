// A reader in another process than the writer's.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { CorruptLogError, OffsetOutOfRangeError } from '../../src/errors.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import {
  append,
  appendAll,
  directoryContent,
  openLog,
  readAll,
  readFileBytes,
  readPage,
  readValues,
  recordSet,
  writeFileBytes,
} from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const LOG_0 = `${DIRECTORY}/00000000000000000000.log`
const SMALL_SEGMENTS = { segmentBytes: 1024, indexIntervalBytes: 200 }

function values(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `value ${from + index}`)
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function openReader(fileSystem: MemoryFileSystem | FaultFileSystem): Promise<PartitionLog> {
  return openLog(fileSystem, { readOnly: true, config: SMALL_SEGMENTS })
}

/** The writer's file at every size from one whole state to the next. */
async function growByteByByte(
  from: MemoryFileSystem,
  to: MemoryFileSystem,
  step: (size: number) => Promise<void>,
): Promise<void> {
  const bytes = await readFileBytes(from, LOG_0)
  const handle = to.openSync(LOG_0, 'write')
  for (let size = handle.sizeSync(); size < bytes.length; size += 1) {
    handle.writeSync(bytes, size, 1, size)
    await step(size + 1)
  }
  handle.closeSync()
}

suite('a reader beside the writer', () => {
  test('changes nothing in the directory, whatever state that is in', async () => {
    const writing = new MemoryFileSystem()
    const log = await openLog(writing, { config: SMALL_SEGMENTS })
    await appendAll(log, values(50))
    const live = writing.clone()
    await log.close()
    const torn = live.clone()
    const handle = torn.openSync(log.active.file.path, 'write')
    await handle.truncate(handle.sizeSync() - 3)
    handle.closeSync()
    const bare = writing.clone()
    for (const name of await bare.readdir(DIRECTORY)) {
      if (!name.endsWith('.log')) await bare.unlink(`${DIRECTORY}/${name}`)
    }
    const empty = new MemoryFileSystem()
    await empty.mkdir(DIRECTORY)
    for (const [fileSystem, count] of [
      [live, 50],
      [writing, 50],
      [torn, 49],
      [bare, 50],
      [empty, 0],
    ] as const) {
      const before = await directoryContent(fileSystem, DIRECTORY)
      const reader = await openReader(fileSystem)
      assert.equal(reader.logEndOffset, count)
      assert.deepEqual(await readValues(reader), values(count))
      await reader.offsetForTime(5)
      await reader.poll(0)
      await reader.sizeBytes()
      await reader.close()
      assert.deepEqual(await directoryContent(fileSystem, DIRECTORY), before)
    }
  })

  test('sees what is written, synced or not, and is told', async () => {
    const fileSystem = new MemoryFileSystem()
    const writer = await openLog(fileSystem, { config: SMALL_SEGMENTS })
    const reader = await openReader(fileSystem)
    let told = 0
    reader.onChange = () => {
      told += 1
    }
    assert.equal(await reader.poll(0), false)
    for (let round = 1; round <= 20; round += 1) {
      await appendAll(writer, values(5, 5 * round - 5), { durability: 'os' })
      assert.equal(await reader.poll(0), true)
      assert.equal(reader.highWatermark, 5 * round)
      assert.deepEqual(await readValues(reader), values(5 * round))
    }
    assert.equal(told, 20)
    assert.ok(reader.segments.length > 3)
    assert.deepEqual(
      reader.segments.map(({ baseOffset }) => baseOffset),
      writer.segments.map(({ baseOffset }) => baseOffset),
    )
    await writer.close()
    assert.equal(await reader.poll(0), false)
    assert.deepEqual(await readValues(reader), values(100))
    await reader.close()
  })

  test('waits for the rest of a batch that is half written, and never calls it damage', async () => {
    const whole = new MemoryFileSystem()
    const log = await openLog(whole)
    await appendAll(log, ['first'])
    const fileSystem = whole.clone()
    await append(log, recordSet(...values(2)))
    await append(log, recordSet('last'))
    const reader = await openReader(fileSystem)
    const seen: number[] = []
    await growByteByByte(whole, fileSystem, async () => {
      await reader.poll(0)
      seen.push(reader.logEndOffset)
      assert.equal((await readAll(reader)).length, reader.logEndOffset)
    })
    assert.deepEqual([...new Set(seen)], [1, 3, 4])
    // One who opens in the middle sees the same.
    const half = whole.clone()
    const handle = half.openSync(LOG_0, 'write')
    await handle.truncate(handle.sizeSync() - 20)
    handle.closeSync()
    const late = await openReader(half)
    assert.equal(late.logEndOffset, 3)
    assert.deepEqual(await readValues(late), ['first', ...values(2)])
    await log.close()
  })

  test('tells damage that is followed by sound batches, and goes on behind it', async () => {
    const fileSystem = new MemoryFileSystem()
    const writer = await openLog(fileSystem)
    await appendAll(writer, values(5))
    await writer.close()
    const bytes = await readFileBytes(fileSystem, LOG_0)
    const position = bytes.indexOf('value 2')
    bytes[position] = 0x55
    await writeFileBytes(fileSystem, LOG_0, bytes)
    const reader = await openReader(fileSystem)
    assert.equal(reader.logEndOffset, 5)
    await assert.rejects(readAll(reader), CorruptLogError)
    assert.equal((await readValues(reader, { onCorrupt: 'skip' })).length, 4)
    await reader.close()
  })

  test('follows retention: the start moves, and what is gone is out of range', async () => {
    const fileSystem = new MemoryFileSystem()
    const writer = await openLog(fileSystem, { config: SMALL_SEGMENTS })
    await appendAll(writer, values(60))
    const reader = await openReader(fileSystem)
    await writer.deleteSegmentsBelow(40)
    // The reader has not looked yet: its read finds the file gone.
    await assert.rejects(readPage(reader, 0), OffsetOutOfRangeError)
    assert.equal(reader.logStartOffset, writer.logStartOffset)
    assert.deepEqual(
      await readValues(reader),
      values(60 - writer.logStartOffset, writer.logStartOffset),
    )
    // deleteRecords moves the start within a segment; the checkpoint tells.
    assert.equal(await reader.poll(55), true)
    assert.equal(reader.logStartOffset, 55)
    await appendAll(writer, values(60, 60))
    await writer.deleteSegmentsBelow(115)
    assert.equal(await reader.poll(55), true)
    assert.equal(reader.logStartOffset, writer.logStartOffset)
    assert.equal((await readAll(reader)).at(-1)?.offset, 119)
    await reader.close()
    await writer.close()
  })

  /** Appends 60 records, deletes and pauses here and there. */
  async function write(writer: PartitionLog, seed: number): Promise<void> {
    for (let index = 0; index < 60; index += 1) {
      const durability = (index + seed) % 4 === 0 ? 'disk' : 'os'
      await append(writer, recordSet(`value ${index}`), { durability })
      if (index % 25 === seed % 25) await writer.deleteSegmentsBelow(index - 15)
      if ((index * 3 + seed) % 5 === 0) await nextTurn()
    }
  }

  test('follows at random steps of the writer', async () => {
    for (let seed = 0; seed < 30; seed += 1) {
      const fileSystem = new FaultFileSystem()
      const writer = await openLog(fileSystem, { config: SMALL_SEGMENTS })
      const reader = await openReader(fileSystem)
      const writing = write(writer, seed)
      for (let end = 0; end < 60; end = reader.logEndOffset) {
        await nextTurn()
        await reader.poll(0)
        assert.ok(reader.logEndOffset >= end)
        const read = await readAll(reader).catch((error: unknown) => {
          assert.ok(error instanceof OffsetOutOfRangeError)
          return []
        })
        for (const { offset, value } of read) assert.equal(value, `value ${offset}`)
      }
      await writing
      await reader.close()
      await writer.close()
    }
  })

  test('bears that the partition is deleted', async () => {
    const fileSystem = new MemoryFileSystem()
    const writer = await openLog(fileSystem)
    await appendAll(writer, values(3))
    const reader = await openReader(fileSystem)
    await writer.close()
    await fileSystem.rename(DIRECTORY, '/data/t-0.0123456789abcdef0123456789abcdef-delete')
    assert.equal(await reader.poll(0), false)
    assert.equal(reader.logEndOffset, 3)
    await reader.close()
  })
})
