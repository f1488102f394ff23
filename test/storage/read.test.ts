// Pages: from the tail, from files, over segments, with wrong indexes and through damage.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { batchSizeAt, lastOffsetAt } from '../../src/codec/batch.ts'
import { CorruptLogError, OffsetOutOfRangeError } from '../../src/errors.ts'
import type { Page } from '../../src/storage/page.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { OpenOptions } from '../support/storage-environment.ts'
import {
  append,
  appendAll,
  batchesOf,
  openLog,
  readAll,
  readFileBytes,
  readPage,
  readPages,
  readValues,
  recordSet,
  recordsOf,
  startAppend,
  storageEnvironment,
  writeFileBytes,
} from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const LOG_0 = `${DIRECTORY}/00000000000000000000.log`

function values(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `value ${from + index}`)
}

/** A closed log of `count` batches of one record. */
async function closedLog(count: number, config: OpenOptions['config'] = {}) {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { config })
  await appendAll(log, values(count), { durability: 'os' })
  await log.close()
  return fileSystem
}

function reopen(fileSystem: MemoryFileSystem, count: number, options: OpenOptions = {}) {
  return openLog(fileSystem, { isClean: true, recoveryPoint: count, ...options })
}

function countReads(fileSystem: FaultFileSystem, from: number): number {
  return fileSystem.operations.slice(from).filter(({ name }) => name === 'read').length
}

/** Appends one record of `size` bytes; gives the page that it is on. */
async function writeOne(log: PartitionLog, size: number, fill: number): Promise<Page> {
  const set = recordSet({ value: Buffer.alloc(size, fill) })
  const { baseOffset } = await append(log, set, { durability: 'os' })
  await log.flush()
  return readPage(log, baseOffset)
}

/** Writes records of given sizes; keeps some of their pages, with a copy of what is on them. */
async function holdPages(
  logs: readonly [PartitionLog, PartitionLog],
  writes: readonly (readonly [number, boolean])[],
): Promise<{ page: Page; copy: Buffer }[]> {
  const held: { page: Page; copy: Buffer }[] = []
  for (const [index, [size, isHeld]] of writes.entries()) {
    const page = await writeOne(logs[index % 3 === 0 ? 0 : 1], size, index + 1)
    if (isHeld) held.push({ page, copy: bytesOf(page) })
  }
  return held
}

function bytesOf(page: Page): Buffer {
  return Buffer.from(page.buffer.subarray(page.start, page.end))
}

suite('a page', () => {
  test('of the tail comes from memory', async () => {
    const fileSystem = new FaultFileSystem({ countReads: true })
    const log = await openLog(fileSystem)
    await appendAll(log, values(50))
    const before = fileSystem.operations.length
    assert.deepEqual(await readValues(log), values(50))
    assert.ok(
      !(
        log.read({ offset: 7, end: 50, maxBytes: 1, maxRecords: 1, onCorrupt: 'throw' }) instanceof
        Promise
      ),
    )
    assert.equal(fileSystem.operations.length, before)
    await log.close()
  })

  /** From `offset` on, of `maxBytes`: begins with the batch of the offset, and goes on with whole ones as far as they fit. */
  async function expectPage(log: PartitionLog, offset: number, maxBytes: number): Promise<void> {
    const page = await readPage(log, offset, { maxBytes })
    const batches = batchesOf(page)
    const [first] = batches
    assert.ok(first !== undefined && first[0] <= offset && first[1] >= offset)
    assert.equal(page.nextOffset, (batches.at(-1)?.[1] ?? 0) + 1)
    assert.ok(batches.length === 1 || page.end - page.start <= maxBytes)
    assert.equal(recordsOf(page, offset)[0]?.value, `value ${offset}`)
  }

  for (const cacheBytes of [0, 10_000, 64 * 1024 * 1024]) {
    test(`holds what was asked for, from any offset and of any size, with a cache of ${cacheBytes} bytes`, async () => {
      const fileSystem = new MemoryFileSystem()
      const config = { segmentBytes: 1500, indexIntervalBytes: 300, maxMessageBytes: 600 }
      const log = await openLog(fileSystem, { cacheBytes, config })
      for (let index = 0; index < 60; index += 1) {
        const batch = values((index % 4) + 1, log.logEndOffset)
        await append(log, recordSet(...batch), { durability: 'os' })
      }
      await log.flush()
      assert.ok(log.segments.length > 2)
      const sizes = [1, 200, 1000, 100_000]
      for (const each of [log, await openLog(fileSystem.clone(), { cacheBytes, config })]) {
        for (let offset = 0; offset < log.logEndOffset; offset += 1) {
          for (const maxBytes of sizes) await expectPage(each, offset, maxBytes)
        }
        assert.deepEqual(await readValues(each), values(log.logEndOffset))
      }
      await log.close()
    })
  }

  test('ends at the high watermark', async () => {
    for (const cacheBytes of [0, 64 * 1024 * 1024]) {
      const log = await openLog(new MemoryFileSystem(), { cacheBytes })
      await appendAll(log, values(5))
      await appendAll(log, values(5, 5), { durability: 'os' })
      assert.equal(log.highWatermark, 5)
      const page = await readPage(log, 2)
      assert.equal(page.nextOffset, 5)
      assert.deepEqual(await readValues(log), values(5))
      await log.close()
    }
  })

  test('above 64 KiB comes through the thread pool, a smaller one at once', async () => {
    const fileSystem = await closedLog(3000)
    const log = await reopen(fileSystem, 3000)
    const request = { offset: 5, end: 3000, maxRecords: 1000, onCorrupt: 'throw' } as const
    // Opens the file.
    await readPage(log, 5)
    assert.ok(!(log.read({ ...request, maxBytes: 10_000 }) instanceof Promise))
    assert.ok(log.read({ ...request, offset: 100, maxBytes: 100_000 }) instanceof Promise)
    await log.close()
  })

  test('is found without a look-up by who reads on', async () => {
    const fileSystem = new FaultFileSystem({ countReads: true })
    const log = await openLog(fileSystem, {
      cacheBytes: 0,
      config: { indexIntervalBytes: 100_000 },
    })
    await appendAll(log, values(500), { durability: 'os' })
    await log.flush()
    const size = log.active.sizeBytes
    const before = fileSystem.operations.length
    for await (const page of readPages(log, { maxBytes: 1000 })) assert.ok(page.end > page.start)
    const read = fileSystem.operations
      .slice(before)
      .reduce((sum, { name, length = 0 }) => sum + (name === 'read' ? length : 0), 0)
    assert.ok(read < 1.2 * size, `${read} bytes were read of ${size}`)
    await log.close()
  })

  test('within a batch that was seen before reads only its records', async () => {
    const fileSystem = new FaultFileSystem({ countReads: true })
    const log = await openLog(fileSystem)
    await append(log, recordSet('first'))
    await append(log, recordSet(...values(2000)))
    const killed = fileSystem.processKill()
    const other = await openLog(killed, { recoveryPoint: 2001 })
    const page = await readPage(other, 1)
    other.known.remember(
      page,
      page.start + (batchesOf(page).length > 1 ? batchSizeAt(page.buffer, page.start) : 0),
    )
    const before = killed.operations.length
    for (const offset of [5, 1700, 2000, 1]) {
      const found = await readPage(other, offset, { maxRecords: 3 })
      assert.ok(found.run !== undefined)
      const records = recordsOf(found)
      assert.equal(records.length, Math.min(3, 2001 - offset))
      assert.deepEqual(records[0]?.value, `value ${offset - 1}`)
      assert.equal(found.nextOffset, Math.min(offset + 3, 2001))
    }
    assert.equal(countReads(killed, before), 4)
    const bytes = killed.operations.slice(before).reduce((sum, { length = 0 }) => sum + length, 0)
    assert.ok(bytes < 500)
    await other.close()
  })

  test('handed out earlier is never changed by what is written later', async () => {
    const write = fc.tuple(fc.integer({ min: 1, max: 400_000 }), fc.boolean())
    const writes = fc.array(write, { minLength: 10, maxLength: 16 })
    const property = fc.asyncProperty(writes, async (given) => {
      const environment = storageEnvironment(new MemoryFileSystem(), { cacheBytes: 64_000_000 })
      const logs = [
        await openLog(environment.fileSystem, { environment }),
        await openLog(environment.fileSystem, { environment, partition: 1 }),
      ] as const
      const held = await holdPages(logs, given)
      for (let round = 0; round < 16; round += 1) {
        const set = recordSet({ value: Buffer.alloc(900_000, 0xee) })
        await append(logs[round % 2 === 0 ? 0 : 1], set, { durability: 'os' })
      }
      assert.ok(held.every(({ page, copy }) => bytesOf(page).equals(copy)))
      for (const log of logs) await log.close()
    })
    await fc.assert(property, { numRuns: 10 })
  })

  test('of a segment that is deleted meanwhile is out of range', async () => {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem, {
      cacheBytes: 0,
      maxOpenFiles: 1,
      config: { segmentBytes: 1024 },
    })
    await appendAll(log, values(60))
    const { end } = { end: log.highWatermark }
    const request = {
      offset: 0,
      end,
      maxBytes: 1 << 20,
      maxRecords: 1000,
      onCorrupt: 'throw',
    } as const
    const deleting = log.deleteSegmentsBelow(40)
    const reading = Promise.resolve(log.read(request)).catch((error: unknown) => error)
    assert.ok((await deleting) > 1)
    const result = await reading
    const isFine = result instanceof OffsetOutOfRangeError || (result as Page).nextOffset > 0
    assert.ok(isFine)
    assert.ok(log.logStartOffset > 0)
    assert.equal((await readAll(log))[0]?.offset, log.logStartOffset)
    await log.close()
    const names = await fileSystem.readdir(DIRECTORY)
    assert.deepEqual(
      names.filter((name) => name.includes('deleted')),
      [],
    )
  })

  test('go on behind a segment that is being deleted, at any moment of it', async () => {
    for (let moment = 0; moment < 30; moment += 1) {
      const fileSystem = new MemoryFileSystem()
      const before = await openLog(fileSystem)
      await appendAll(before, ['a', 'b'])
      await before.rollNow()
      await appendAll(before, ['c', 'd'])
      await before.close()
      const log = await openLog(fileSystem, { isClean: true })
      // Where this page ends, the next one begins: the reader need not look for the place.
      assert.equal((await readPage(log, 0, { maxRecords: 2 })).nextOffset, 2)
      const deleting = log.deleteSegmentsBelow(2)
      for (let turn = 0; turn < moment; turn += 1) await undefined
      const page = await readPage(log, 2, { maxRecords: 2 })
      assert.deepEqual(
        recordsOf(page).map(({ value }) => value),
        ['c', 'd'],
      )
      assert.equal(await deleting, 1)
      await log.close()
    }
  })
})

suite('a wrong index', () => {
  const config = { indexIntervalBytes: 200, segmentBytes: 8192 }
  const COUNT = 300

  async function withIndex(
    change: (index: Buffer, log: Buffer) => Buffer,
  ): Promise<{ fileSystem: MemoryFileSystem; log: PartitionLog }> {
    const fileSystem = await closedLog(COUNT, config)
    const file = LOG_0.replace('.log', '.index')
    const changed = change(
      await readFileBytes(fileSystem, file),
      await readFileBytes(fileSystem, LOG_0),
    )
    await writeFileBytes(fileSystem, file, changed)
    return { fileSystem, log: await reopen(fileSystem, COUNT, { config }) }
  }

  /** Every look-up finds its record, whatever came before it. */
  async function expectRight(log: PartitionLog): Promise<void> {
    for (const offset of [80, 3, 99, 50, 51, 0, 20, 299, 150]) {
      const [record] = recordsOf(await readPage(log, offset, { maxRecords: 1 }), offset)
      assert.deepEqual([record?.offset, record?.value], [offset, `value ${offset}`])
    }
    assert.deepEqual(await readValues(log), values(COUNT))
  }

  const wrong: Record<string, (index: Buffer, log: Buffer) => Buffer> = {
    'whose entries lead into batches': (index) => {
      const changed = Buffer.from(index)
      for (let at = 4; at < changed.length; at += 8)
        changed.writeInt32BE(changed.readInt32BE(at) + 7, at)
      return changed
    },
    'whose entries lead past their offsets': (index) => {
      const changed = Buffer.from(index)
      for (let at = 4; at + 16 < changed.length; at += 8) {
        changed.writeInt32BE(index.readInt32BE(at + 16), at)
      }
      return changed.subarray(0, changed.length - 16)
    },
    'whose entries lead too far back': (index) => {
      const changed = Buffer.from(index)
      for (let at = 8; at < changed.length; at += 8) {
        changed.writeInt32BE(changed.readInt32BE(at), at)
        changed.writeInt32BE(index.readInt32BE(at - 4), at + 4)
      }
      return changed.subarray(8)
    },
    'whose entries lead to before the file': (index) => {
      const changed = Buffer.from(index)
      for (let at = 4; at < changed.length - 8; at += 8) changed[at] = 0x80
      return changed
    },
    'of garbage in its middle': (index) => {
      const changed = Buffer.from(index)
      for (let at = 16; at < changed.length - 16; at += 1) changed[at] = (at * 37) & 0x7f
      return changed
    },
    'that is empty': () => Buffer.alloc(0),
    'that ends within an entry': (index) => index.subarray(0, 21),
    'that ends in zeros': (index) => Buffer.concat([index.subarray(0, 40), Buffer.alloc(400)]),
  }
  for (const [name, change] of Object.entries(wrong)) {
    test(`${name} gives right answers all the same`, async () => {
      const { log } = await withIndex(change)
      await expectRight(log)
      await log.close()
    })
  }

  test('is built again, and told', async () => {
    const { fileSystem, log } = await withIndex(wrong['whose entries lead into batches'] as never)
    await expectRight(log)
    assert.deepEqual(log.report.rebuilt, [LOG_0.replace('.log', '.index')])
    await log.close()
    const again = await reopen(fileSystem, COUNT, { config })
    await expectRight(again)
    assert.deepEqual(again.report.rebuilt, [])
    await again.close()
  })

  test('that is empty costs a large segment one walk, not one a look-up', async () => {
    const fileSystem = new FaultFileSystem({ countReads: true })
    const log = await openLog(fileSystem, { config: { segmentBytes: 2 ** 30 } })
    const batch = recordSet({ value: Buffer.alloc(4000) })
    for (let round = 0; round < 30; round += 1) {
      await Promise.all(values(100).map(() => append(log, batch, { durability: 'os' })))
    }
    await log.rollNow()
    await append(log, recordSet('last'))
    await log.close()
    await writeFileBytes(fileSystem, LOG_0.replace('.log', '.index'), Buffer.alloc(0))
    const size = (await fileSystem.stat(LOG_0))?.size ?? 0
    assert.ok(size > 11_000_000)
    const again = await openLog(fileSystem, {
      isClean: true,
      recoveryPoint: 3001,
      cacheBytes: 100_000,
    })
    const before = fileSystem.operations.length
    for (let offset = 2900; offset > 1500; offset -= 100) {
      await readPage(again, offset, { maxRecords: 1 })
    }
    const read = fileSystem.operations
      .slice(before)
      .reduce((sum, { name, length = 0 }) => sum + (name === 'read' ? length : 0), 0)
    assert.ok(read < 4 * size, `${read} bytes were read of ${size}`)
    assert.equal(again.report.rebuilt.length, 1)
    await again.close()
  })

  test('of the active segment is right again while it is written', async () => {
    const fileSystem = await closedLog(COUNT, { indexIntervalBytes: 200 })
    const file = LOG_0.replace('.log', '.index')
    const index = await readFileBytes(fileSystem, file)
    for (let at = 4; at < index.length - 8; at += 8)
      index.writeInt32BE(index.readInt32BE(at) + 3, at)
    await writeFileBytes(fileSystem, file, index)
    const log = await reopen(fileSystem, COUNT, { config: { indexIntervalBytes: 200 } })
    const writing = appendAll(log, values(100, COUNT), { durability: 'os' })
    await readPage(log, 80, { maxRecords: 1 })
    await writing
    await log.flush()
    assert.deepEqual(await readValues(log), values(COUNT + 100))
    await log.close()
    const whole = await closedLog(COUNT + 100, { indexIntervalBytes: 200 })
    const last = (bytes: Buffer): string => bytes.subarray(-12).toString('hex')
    const timeIndex = LOG_0.replace('.log', '.timeindex')
    assert.equal(
      last(await readFileBytes(fileSystem, timeIndex)).slice(16),
      last(await readFileBytes(whole, timeIndex)).slice(16),
    )
  })
})

suite('damage', () => {
  const config = { indexIntervalBytes: 200, segmentBytes: 4096 }

  async function damagedLog(offset: number): Promise<{ log: PartitionLog; position: number }> {
    const fileSystem = await closedLog(150, config)
    const bytes = await readFileBytes(fileSystem, LOG_0)
    let position = 0
    while (lastOffsetAt(bytes, position) < offset) position += batchSizeAt(bytes, position)
    bytes[position + 66] = (bytes[position + 66] ?? 0) ^ 0x40
    await writeFileBytes(fileSystem, LOG_0, bytes)
    return { log: await reopen(fileSystem, 150, { config }), position }
  }

  test('is told with file and position by every read that meets it, and by no other', async () => {
    const { log, position } = await damagedLog(30)
    const isDamage = (error: unknown): boolean =>
      error instanceof CorruptLogError && error.file === LOG_0 && error.position === position
    for (const maxBytes of [1, 100_000]) {
      await assert.rejects(readPage(log, 30, { maxBytes }), isDamage)
    }
    // What is sound before it is given first.
    const before = await readPage(log, 0, { maxBytes: 100_000 })
    assert.equal(before.nextOffset, 30)
    assert.equal((await readPage(log, 31)).nextOffset > 31, true)
    await assert.rejects(readAll(log), isDamage)
    assert.deepEqual(log.report.rebuilt, [])
    await log.close()
  })

  test('is passed on request, from any offset', async () => {
    const { log } = await damagedLog(30)
    const kept = values(150).filter((_, index) => index !== 30)
    for (const maxBytes of [1, 300, 100_000]) {
      assert.deepEqual(await readValues(log, { onCorrupt: 'skip', maxBytes }), kept)
    }
    const [first] = recordsOf(await readPage(log, 30, { onCorrupt: 'skip' }), 30)
    assert.equal(first?.offset, 31)
    await log.close()
  })

  test('at the end of the log leaves nothing behind it, and a reader who skips comes to the end', async () => {
    const fileSystem = await closedLog(10)
    const bytes = await readFileBytes(fileSystem, LOG_0)
    bytes[bytes.length - 1] = 0x7f
    await writeFileBytes(fileSystem, LOG_0, bytes)
    const log = await reopen(fileSystem, 10)
    assert.equal(log.logEndOffset, 10)
    await assert.rejects(readAll(log), CorruptLogError)
    assert.deepEqual(await readValues(log, { onCorrupt: 'skip' }), values(9))
    assert.equal((await readPage(log, 9, { onCorrupt: 'skip' })).nextOffset, 10)
    await log.close()
  })
})

suite('a file that is cut under a log that has it open', () => {
  for (const kept of [0, 1, 100, 3 * 200 + 61]) {
    test(`is damage where it ends, after ${kept} bytes, and is passed on request`, async () => {
      const fileSystem = await closedLog(20, { segmentBytes: 1024 })
      for (const readOnly of [false, true]) {
        const copy = fileSystem.clone()
        const log = await reopen(copy, 20, { readOnly, config: { segmentBytes: 1024 } })
        assert.equal((await readAll(log)).length, 20)
        const behind = log.segments[1]?.baseOffset ?? 0
        const handle = copy.openSync(LOG_0, 'write')
        await handle.truncate(kept)
        handle.closeSync()
        await assert.rejects(readAll(log, { maxRecords: 1 }), CorruptLogError)
        await assert.rejects(readAll(log), CorruptLogError)
        const rest = await readValues(log, { onCorrupt: 'skip' })
        assert.ok(rest.length < 20)
        assert.deepEqual(rest.slice(behind - 20), values(20 - behind, behind))
        await log.close()
      }
    })
  }
})

suite('offsets by time', () => {
  interface Model {
    readonly log: PartitionLog
    readonly fileSystem: MemoryFileSystem
    readonly times: number[]
  }

  async function timed(batches: readonly (readonly number[])[], config: object): Promise<Model> {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem, { config })
    for (const times of batches) {
      await append(log, recordSet(...times.map((timestamp) => ({ value: 'v', timestamp }))), {
        durability: 'os',
      })
    }
    await log.flush()
    return { log, fileSystem, times: batches.flat() }
  }

  async function expectTimes(log: PartitionLog, times: readonly number[], from = 0): Promise<void> {
    const wanted = new Set([0, 1, ...times, ...times.map((each) => each + 1), 1e6])
    for (const timestamp of wanted) {
      const naive = times.findIndex((each, offset) => offset >= from && each >= timestamp)
      assert.equal(
        await log.offsetForTime(timestamp),
        naive === -1 ? undefined : naive,
        `${timestamp}`,
      )
    }
  }

  const batches = fc.array(fc.array(fc.nat(1000), { minLength: 1, maxLength: 3 }), {
    minLength: 1,
    maxLength: 60,
  })
  const config = fc.record({
    segmentBytes: fc.constantFrom(1024, 4096, 1 << 20),
    indexIntervalBytes: fc.constantFrom(0, 100, 1000),
  })

  test('are those that a walk over all records finds, with times in any order', async () => {
    const property = fc.asyncProperty(
      batches,
      config,
      fc.nat(20),
      async (given, settings, from) => {
        const { log, fileSystem, times } = await timed(given, settings)
        await expectTimes(log, times)
        await log.close()
        const logStartOffset = Math.min(from, times.length)
        const options = { config: settings, logStartOffset }
        const again = await reopen(fileSystem, times.length, options)
        await expectTimes(again, times, logStartOffset)
        await again.close()
      },
    )
    await fc.assert(property, { numRuns: 40 })
  })

  type Spoil = (good: Buffer, entryBytes: number, garbage: Uint8Array) => Uint8Array | undefined
  const spoils: Record<string, Spoil> = {
    gone: () => undefined,
    garbage: (_good, _entryBytes, garbage) => garbage,
    short: (good, entryBytes) =>
      good.subarray(0, Math.floor(good.length / entryBytes / 2) * entryBytes),
    shifted: (good, entryBytes) => good.subarray(entryBytes),
  }

  async function spoil(
    fileSystem: MemoryFileSystem,
    kind: string,
    how: Spoil,
    garbage: Uint8Array,
  ): Promise<void> {
    for (const name of await fileSystem.readdir(DIRECTORY)) {
      if (!name.endsWith(`.${kind}`)) continue
      const file = `${DIRECTORY}/${name}`
      const good = await readFileBytes(fileSystem, file)
      const bad = how(good, kind === 'index' ? 8 : 12, garbage)
      if (bad === undefined) await fileSystem.unlink(file)
      else await writeFileBytes(fileSystem, file, bad)
    }
  }

  for (const [name, how] of Object.entries(spoils)) {
    test(`are so where index files are ${name}`, async () => {
      const bytes = fc.uint8Array({ maxLength: 400 })
      const files = fc.constantFrom(['timeindex'], ['index'], ['timeindex', 'index'])
      const property = fc.asyncProperty(
        batches,
        config,
        files,
        bytes,
        async (given, settings, which, garbage) => {
          const { log, fileSystem, times } = await timed(given, settings)
          await log.close()
          for (const kind of which) await spoil(fileSystem, kind, how, garbage)
          const again = await reopen(fileSystem, times.length, { config: settings })
          await expectTimes(again, times)
          const read = await readAll(again)
          assert.deepEqual(
            read.map(({ timestamp }) => timestamp),
            times,
          )
          await again.close()
        },
      )
      await fc.assert(property, { numRuns: 40 })
    })
  }

  test('are so where time entries are lower than the times before them', async () => {
    const rising = Array.from({ length: 100 }, (_, index) => [10 * index])
    const settings = { indexIntervalBytes: 300 }
    const { log, fileSystem, times } = await timed(rising, settings)
    await log.close()
    await spoil(
      fileSystem,
      'timeindex',
      (good) => {
        assert.ok(good.length > 120)
        for (let at = 12; at + 12 < good.length; at += 12) {
          good.writeBigInt64BE(good.readBigInt64BE(at - 12) + 1n, at)
        }
        return good
      },
      Buffer.alloc(0),
    )
    const again = await reopen(fileSystem, times.length, { config: settings })
    await expectTimes(again, times)
    await again.close()
  })

  test('stop at the high watermark', async () => {
    const log = await openLog(new MemoryFileSystem())
    await append(log, recordSet({ value: 'a', timestamp: 5 }))
    const late = startAppend(log, recordSet({ value: 'b', timestamp: 9 }), { durability: 'os' })
    await late.done
    assert.equal(await log.offsetForTime(7), undefined)
    await log.flush()
    assert.equal(await log.offsetForTime(7), 1)
    await log.close()
  })
})
