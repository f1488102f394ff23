// What is read before it is asked for: when, how much, and what becomes of it.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { OpenOptions } from '../support/storage-environment.ts'
import {
  append,
  appendAll,
  batchesOf,
  openLog,
  readPage,
  readPages,
  readValues,
  recordSet,
  storageEnvironment,
  until,
} from '../support/storage-environment.ts'

/** Above what is read at once, so that pages go through the pool. */
const PAGE_BYTES = 100_000
const VALUE_BYTES = 40_000

interface Opened {
  readonly log: PartitionLog
  readonly fileSystem: FaultFileSystem
  /** Reads of `.log` files since it was opened, as [file's base offset, position]. */
  reads(): [number, number][]
}

/** A log opened again, so that nothing of it is in memory: `count` batches, two to a page. */
async function opened(count: number, options: OpenOptions = {}): Promise<Opened> {
  const fileSystem = new FaultFileSystem({ countReads: true })
  const written = await openLog(fileSystem, options)
  for (let index = 0; index < count; index += 1) {
    await append(written, recordSet({ value: Buffer.alloc(VALUE_BYTES, index) }))
  }
  await written.close()
  const log = await openLog(fileSystem, { ...options, isClean: true, recoveryPoint: count })
  const from = fileSystem.operations.length
  const reads = (): [number, number][] =>
    fileSystem.operations
      .slice(from)
      .filter(({ name, path }) => name === 'read' && path.endsWith('.log'))
      .map(({ path, position }) => [Number.parseInt(path.slice(-24), 10), position ?? -1])
  return { log, fileSystem, reads }
}

function page(log: PartitionLog, offset: number) {
  return readPage(log, offset, { maxBytes: PAGE_BYTES })
}

/** The base offsets of all batches, page by page. */
async function basesOf(log: PartitionLog): Promise<number[]> {
  const bases: number[] = []
  for await (const each of readPages(log, { maxBytes: PAGE_BYTES })) {
    bases.push(...batchesOf(each).map(([base]) => base))
  }
  return bases
}

/** Lets what was begun in the background come to its end. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 10; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}

suite('a reader who goes from page to page', () => {
  test('finds the next one read, and reads each once', async () => {
    const { log, reads } = await opened(8)
    const first = await page(log, 0)
    await settle()
    const second = reads().at(-1)?.[1]
    assert.equal(second, first.end - first.start)
    assert.ok((await page(log, 2)).nextOffset === 4)
    const positions = reads().map(([, position]) => position)
    assert.equal(positions.filter((position) => position === second).length, 1)
    for (let offset = 4; offset < 8; offset += 2) {
      assert.equal((await page(log, offset)).nextOffset, offset + 2)
    }
    const all = reads().map(([, position]) => position)
    assert.equal(new Set(all).size, all.length)
    await log.close()
  })

  test('has the first page of the next segment read', async () => {
    const { log, reads } = await opened(6, { config: { segmentBytes: 2 * VALUE_BYTES + 500 } })
    assert.equal(log.segments.length, 3)
    await page(log, 0)
    await settle()
    assert.deepEqual(reads().at(-1), [2, 0])
    await page(log, 2)
    await settle()
    assert.deepEqual(reads().at(-1), [4, 0])
    assert.equal((await page(log, 4)).nextOffset, 6)
    assert.deepEqual(
      reads().map(([base]) => base),
      [0, 2, 4],
    )
    await log.close()
  })

  test('is given what is in the file where reading ahead failed', async () => {
    const { log, fileSystem } = await opened(8)
    await page(log, 0)
    await settle()
    let failures = 0
    const remove = fileSystem.failWhen(({ name, path }) => {
      if (name !== 'read' || !path.endsWith('.log')) return undefined
      failures += 1
      return 'EIO'
    })
    await page(log, 2)
    await settle()
    assert.equal(failures, 1)
    await assert.rejects(page(log, 4), { code: 'EIO' })
    remove()
    assert.equal((await page(log, 4)).nextOffset, 6)
    await log.close()
  })

  test('is not given what was read ahead of segments that are gone', async () => {
    const { log, reads } = await opened(8, { config: { segmentBytes: 2 * VALUE_BYTES + 500 } })
    await page(log, 0)
    await settle()
    assert.deepEqual(reads().at(-1), [2, 0])
    await log.deleteSegmentsBelow(4)
    assert.equal((await page(log, 2)).segment.baseOffset, 4)
    await log.close()
  })

  test('has all of a page that others read at the same time', async () => {
    const { log } = await opened(12)
    const readers = Array.from({ length: 3 }, () => basesOf(log))
    const all = Array.from({ length: 12 }, (_, offset) => offset)
    assert.deepEqual(await Promise.all(readers), [all, all, all])
    await log.close()
  })
})

suite('nothing is read ahead', () => {
  test('by who looks up single records, or begins in the middle', async () => {
    const { log, reads } = await opened(8)
    for (const offset of [0, 1, 2]) await readPage(log, offset, { maxBytes: 1, maxRecords: 1 })
    await settle()
    const lookUps = reads().length
    await page(log, 5)
    await settle()
    assert.equal(reads().length, lookUps + 1)
    await log.close()
  })

  test('where there is no memory for it', async () => {
    const { log, reads } = await opened(8, { cacheBytes: 3 * PAGE_BYTES })
    await page(log, 0)
    await settle()
    assert.equal(reads().length, 1)
    assert.equal((await page(log, 2)).nextOffset, 4)
    await log.close()
  })

  test('beyond what the memory for all allows', async () => {
    const fileSystem = new FaultFileSystem()
    const environment = storageEnvironment(fileSystem, { cacheBytes: 5 * PAGE_BYTES })
    const logs: PartitionLog[] = []
    for (let partition = 0; partition < 8; partition += 1) {
      const log = await openLog(fileSystem, { environment, partition })
      for (let index = 0; index < 6; index += 1) {
        await append(log, recordSet({ value: Buffer.alloc(VALUE_BYTES, index) }))
      }
      logs.push(log)
    }
    for (const log of logs) await page(log, 0)
    await settle()
    const { cache } = environment
    assert.ok(cache.usedBytes <= cache.limitBytes)
    assert.ok(cache.readAheadBytes > 0 && cache.readAheadBytes <= cache.limitBytes / 2)
    for (const log of logs) assert.deepEqual(await basesOf(log), [0, 1, 2, 3, 4, 5])
    for (const log of logs) await log.close()
    assert.equal(cache.usedBytes, 0)
    assert.equal(cache.readAheadBytes, 0)
  })
})

suite('a page of many small batches', () => {
  const BATCHES = 1300

  async function small(): Promise<Opened> {
    const fileSystem = new FaultFileSystem({ countReads: true })
    const written = await openLog(fileSystem)
    const values = Array.from({ length: BATCHES }, (_, index) => `value ${index}`)
    await appendAll(written, values, { durability: 'os' })
    await written.close()
    const log = await openLog(fileSystem, { isClean: true, recoveryPoint: BATCHES })
    const from = fileSystem.operations.length
    const reads = (): [number, number][] =>
      fileSystem.operations
        .slice(from)
        .filter(({ name, path }) => name === 'read' && path.endsWith('.log'))
        .map(({ position }) => [0, position ?? -1])
    return { log, fileSystem, reads }
  }

  test('ends after 500 of them, so that none holds the event loop; the rest is not read again', async () => {
    const { log, reads } = await small()
    const ends: number[] = []
    for await (const each of readPages(log)) ends.push(each.nextOffset)
    assert.deepEqual(ends, [500, 1000, BATCHES])
    assert.equal(reads().length, 1)
    await log.close()
  })

  test('ends there in memory as well', async () => {
    const log = await openLog(new FaultFileSystem())
    const values = Array.from({ length: BATCHES }, (_, index) => `value ${index}`)
    await appendAll(log, values)
    await until(() => log.highWatermark === BATCHES)
    assert.equal((await readPage(log, 0)).nextOffset, 500)
    assert.deepEqual(await readValues(log), values)
    await log.close()
  })
})
