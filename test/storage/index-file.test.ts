// Indexes: paged reads within the cache, look-ups against a plain array, and which bytes of a file are believed.
import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { segmentFileName } from '../../src/storage/file-names.ts'
import { MemoryCache } from '../../src/storage/memory-cache.ts'
import { OffsetIndex } from '../../src/storage/offset-index.ts'
import { TimeIndex } from '../../src/storage/time-index.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import type { ExpectedSegment } from '../support/fixtures.ts'
import { FIXTURE_SETS, loadPartitions } from '../support/fixtures.ts'

const PATH = '/00000000000000000000.index'
const CACHE_BYTES = 1 << 20

function read(fileSystem: FaultFileSystem | MemoryFileSystem, path = PATH): Buffer {
  const handle = fileSystem.openSync(path, 'read')
  const bytes = Buffer.alloc(handle.sizeSync())
  handle.readSync(bytes, 0, bytes.length, 0)
  handle.closeSync()
  return bytes
}

function write(fileSystem: FaultFileSystem | MemoryFileSystem, bytes: Buffer, path = PATH): void {
  const handle = fileSystem.openSync(path, 'create')
  handle.writeSync(bytes, 0, bytes.length, 0)
  handle.closeSync()
}

function offsetIndex(
  fileSystem: FaultFileSystem | MemoryFileSystem,
  persisted = 0,
  cache = new MemoryCache(CACHE_BYTES),
): OffsetIndex {
  return new OffsetIndex(fileSystem, PATH, cache, persisted)
}

/** Entries (10, 100), (20, 200), … */
function fill(index: OffsetIndex, from: number, to: number): void {
  for (let entry = from; entry < to; entry += 1) index.append((entry + 1) * 10, (entry + 1) * 100)
}

function entriesOf(index: OffsetIndex): [number, number][] {
  return Array.from({ length: index.count }, (_, each) => [
    index.offsetAt(each),
    index.positionAt(each),
  ])
}

const expectedEntries = (count: number): [number, number][] =>
  Array.from({ length: count }, (_, entry) => [(entry + 1) * 10, (entry + 1) * 100])

/** An index beside the number of entries that it must have. */
class IndexModel {
  readonly #fileSystem = new MemoryFileSystem()
  readonly #cache = new MemoryCache(10_000)
  #index = offsetIndex(this.#fileSystem, 0, this.#cache)
  #count = 0

  take(name: string, n: number): void {
    if (name === 'append') {
      fill(this.#index, this.#count, this.#count + n)
      this.#count += n
    }
    if (name === 'cut') {
      this.#index.file.truncateTo(n)
      this.#count = Math.min(this.#count, n)
    }
    if (name === 'flush' || name === 'reopen') this.#index.file.flushSync()
    if (name === 'reopen') {
      this.#index.file.dispose()
      this.#index = offsetIndex(this.#fileSystem, this.#count, this.#cache)
    }
  }

  checkLookup(offset: number): void {
    assert.equal(this.#index.count, this.#count)
    const found = this.#index.lookup(offset)
    assert.equal(found, Math.min(Math.floor(offset / 10), this.#count) - 1)
    if (found >= 0) assert.equal(this.#index.positionAt(found), (found + 1) * 100)
  }

  checkAll(): void {
    assert.deepEqual(entriesOf(this.#index), expectedEntries(this.#count))
  }
}

suite('index file', () => {
  test('entries are the same in memory, in the file and across both', () => {
    const fileSystem = new MemoryFileSystem()
    const index = offsetIndex(fileSystem)
    fill(index, 0, 700)
    assert.deepEqual(entriesOf(index), expectedEntries(700))
    index.file.flushSync()
    assert.equal(read(fileSystem).length, 700 * 8)
    assert.deepEqual(entriesOf(index), expectedEntries(700))
    fill(index, 700, 1300)
    assert.deepEqual(entriesOf(index), expectedEntries(1300))
    index.file.flushSync()
    assert.deepEqual(entriesOf(index), expectedEntries(1300))
    assert.deepEqual(entriesOf(offsetIndex(fileSystem, 1300)), expectedEntries(1300))
    assert.equal(index.file.sizeBytes, 1300 * 8)
  })

  test('any order of appends, flushes, look-ups and cuts finds what a plain array finds', () => {
    const step = fc.oneof(
      fc.record({ name: fc.constant('append'), n: fc.integer({ min: 1, max: 600 }) }),
      fc.record({ name: fc.constantFrom('flush', 'reopen', 'look'), n: fc.nat({ max: 10_000 }) }),
      fc.record({ name: fc.constant('cut'), n: fc.nat({ max: 1500 }) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const model = new IndexModel()
        for (const { name, n } of steps) {
          model.take(name, n)
          model.checkLookup(n)
        }
        model.checkAll()
      }),
    )
  })

  test('pages stay within the bound of the cache, and leave it with the index', () => {
    const fileSystem = new MemoryFileSystem()
    const cache = new MemoryCache(10_000)
    const index = offsetIndex(fileSystem, 0, cache)
    fill(index, 0, 5000)
    index.file.flushSync()
    assert.deepEqual(entriesOf(index), expectedEntries(5000))
    assert.ok(cache.usedBytes > 4096 && cache.usedBytes <= 10_000, `${cache.usedBytes}`)
    index.file.dispose()
    assert.equal(cache.usedBytes, 0)
  })

  test('a page is read once, in one range, and no handle stays open', () => {
    const fileSystem = new FaultFileSystem({ countReads: true })
    write(fileSystem, Buffer.alloc(0))
    const filled = offsetIndex(fileSystem)
    fill(filled, 0, 2000)
    filled.file.flushSync()
    const index = offsetIndex(fileSystem, 2000)
    const before = fileSystem.operations.length
    index.offsetAt(600)
    index.offsetAt(601)
    index.positionAt(512)
    assert.deepEqual(
      fileSystem.operations.slice(before).map(({ name }) => name),
      ['open', 'read', 'close'],
    )
    const { position, length } = fileSystem.operations[before + 1] ?? {}
    assert.deepEqual([position, length], [4096, 4096])
  })

  test('an index shorter than its entries is a CorruptLogError with its file', () => {
    const fileSystem = new MemoryFileSystem()
    write(fileSystem, Buffer.alloc(8))
    assert.throws(() => offsetIndex(fileSystem, 2).offsetAt(1), { code: 'CORRUPT_LOG', file: PATH })
  })

  test('a flush that fails keeps its entries, and the next one writes them', () => {
    const fileSystem = new FaultFileSystem()
    const index = offsetIndex(fileSystem)
    fill(index, 0, 3)
    index.file.flushSync()
    fill(index, 3, 600)
    const torn = { code: 'ENOSPC', writtenBytes: 5 }
    const heal = fileSystem.failWhen(({ name }) => (name === 'write' ? torn : undefined))
    assert.throws(() => index.file.flushSync(), { code: 'ENOSPC' })
    assert.deepEqual(entriesOf(index), expectedEntries(600))
    heal()
    index.file.flushSync()
    assert.deepEqual(entriesOf(offsetIndex(fileSystem, 600)), expectedEntries(600))
  })

  test('a sync cuts preallocated zeros and leaves the entries durable', async () => {
    const fileSystem = new FaultFileSystem()
    write(fileSystem, Buffer.alloc(100_000))
    await fileSystem.syncDirectory('/')
    const index = offsetIndex(fileSystem)
    fill(index, 0, 10)
    await index.file.sync()
    const after = fileSystem.powerCut({ mode: 'lose-all' })
    assert.equal(read(after).length, 80)
    assert.deepEqual(entriesOf(offsetIndex(after, 10)), expectedEntries(10))
  })

  test('a sync of an index without entries makes an empty file', async () => {
    const fileSystem = new MemoryFileSystem()
    await offsetIndex(fileSystem).file.sync()
    assert.equal(read(fileSystem).length, 0)
  })

  test('what is added during a sync is in the file after the next flush', async () => {
    const fileSystem = new FaultFileSystem()
    write(fileSystem, Buffer.alloc(100_000))
    const index = offsetIndex(fileSystem)
    fill(index, 0, 10)
    const synced = index.file.sync()
    fill(index, 10, 700)
    index.file.flushSync()
    await synced
    assert.equal(read(fileSystem).length, 80)
    index.file.flushSync()
    assert.deepEqual(entriesOf(offsetIndex(fileSystem, 700)), expectedEntries(700))
  })

  test('entries cut off are gone from the file after a sync', async () => {
    const fileSystem = new MemoryFileSystem()
    const index = offsetIndex(fileSystem)
    fill(index, 0, 1000)
    index.file.flushSync()
    index.offsetAt(999)
    index.file.truncateTo(600)
    assert.equal(index.lastOffset, 6000)
    await index.file.sync()
    assert.equal(read(fileSystem).length, 4800)
    assert.deepEqual(entriesOf(index), expectedEntries(600))
  })

  test('a rebuilt index replaces its file as a whole: a power cut shows the old one or the new one', async () => {
    const prepare = async (): Promise<[FaultFileSystem, OffsetIndex]> => {
      const fileSystem = new FaultFileSystem()
      write(fileSystem, Buffer.alloc(800, 0xee))
      const index = offsetIndex(fileSystem, 100)
      await index.file.sync()
      await fileSystem.syncDirectory('/')
      index.file.reset()
      fill(index, 0, 50)
      index.file.flushSync()
      return [fileSystem, index]
    }
    const [whole, rebuilt] = await prepare()
    const first = whole.operations.length
    assert.deepEqual(entriesOf(rebuilt), expectedEntries(50))
    await rebuilt.file.sync()
    const last = whole.operations.length
    assert.ok(last > first)
    assert.deepEqual(entriesOf(offsetIndex(whole, 50)), expectedEntries(50))
    for (let cut = first; cut < last; cut += 1) {
      const [fileSystem, index] = await prepare()
      fileSystem.cutAt(cut)
      await assert.rejects(index.file.sync())
      for (let seed = 0; seed < 10; seed += 1) {
        const bytes = read(fileSystem.powerCut({ seed }))
        const isOld = bytes.equals(Buffer.alloc(800, 0xee))
        assert.ok(isOld || bytes.equals(read(whole)), `cut at ${cut}, seed ${seed}`)
      }
    }
  })

  test('a rebuilt index goes on after its sync, and works from memory where the disk is full', async () => {
    const fileSystem = new FaultFileSystem()
    write(fileSystem, Buffer.alloc(8, 1))
    const index = offsetIndex(fileSystem, 1)
    index.file.reset()
    fill(index, 0, 20)
    const heal = fileSystem.failWhen(({ name }) => (name === 'write' ? 'ENOSPC' : undefined))
    await assert.rejects(index.file.sync(), { code: 'ENOSPC' })
    assert.deepEqual(entriesOf(index), expectedEntries(20))
    heal()
    await index.file.sync()
    fill(index, 20, 30)
    index.file.flushSync()
    assert.deepEqual(entriesOf(offsetIndex(fileSystem, 30)), expectedEntries(30))
  })

  test('a renamed index is read and written under its new name', async () => {
    const fileSystem = new MemoryFileSystem()
    const index = offsetIndex(fileSystem)
    fill(index, 0, 5)
    index.file.flushSync()
    await fileSystem.rename(PATH, '/other.index')
    index.file.renamed('/other.index')
    assert.equal(index.file.path, '/other.index')
    assert.equal(index.offsetAt(4), 50)
    fill(index, 5, 6)
    index.file.flushSync()
    assert.equal(read(fileSystem, '/other.index').length, 48)
  })
})

suite('offset index', () => {
  test('the greatest entry at or below an offset is found; below all there is none', () => {
    const index = offsetIndex(new MemoryFileSystem())
    assert.equal(index.lookup(5), -1)
    assert.equal(index.lastOffset, -1)
    fill(index, 0, 3)
    assert.deepEqual(
      [9, 10, 11, 19, 20, 30, 1_000_000].map((offset) => index.lookup(offset)),
      [-1, 0, 0, 0, 1, 2, 2],
    )
    assert.equal(index.lastOffset, 30)
  })

  test('it is full when no entry fits', () => {
    const index = offsetIndex(new MemoryFileSystem())
    fill(index, 0, 2)
    assert.equal(index.isFull(31), false)
    assert.equal(index.isFull(24), false)
    assert.equal(index.isFull(23), true)
    assert.equal(index.isFull(16), true)
  })
})

suite('time index', () => {
  const timeIndex = (): TimeIndex =>
    new TimeIndex(new MemoryFileSystem(), '/0.timeindex', new MemoryCache(CACHE_BYTES), 0)

  test('an entry is added only above the last timestamp', () => {
    const index = timeIndex()
    assert.equal(index.lastTimestamp, -1)
    assert.equal(index.lastRelativeOffset, -1)
    assert.equal(index.maybeAppend(-1, 0), false)
    assert.equal(index.maybeAppend(0, 1), true)
    assert.equal(index.maybeAppend(0, 2), false)
    assert.equal(index.maybeAppend(253_402_300_799_999, 3), true)
    assert.equal(index.lastTimestamp, 253_402_300_799_999)
    assert.equal(index.lastRelativeOffset, 3)
    assert.equal(index.count, 2)
  })

  test('look-ups find what a plain array finds, in memory and in pages', () => {
    const timestamps = fc.uniqueArray(fc.nat({ max: Number.MAX_SAFE_INTEGER }), { maxLength: 900 })
    fc.assert(
      fc.property(timestamps, fc.array(fc.nat({ max: Number.MAX_SAFE_INTEGER })), (list, asked) => {
        const index = timeIndex()
        const sorted = list.sort((a, b) => a - b)
        for (const [offset, timestamp] of sorted.entries()) index.maybeAppend(timestamp, offset)
        const find = (): number[] => [...asked, ...sorted].map((each) => index.lookup(each))
        const naive = [...asked, ...sorted].map((each) => sorted.findLastIndex((t) => t <= each))
        assert.deepEqual(find(), naive)
        index.file.flushSync()
        assert.deepEqual(find(), naive)
        for (const [at, timestamp] of sorted.entries()) {
          assert.equal(index.timestampAt(at), timestamp)
          assert.equal(index.relativeOffsetAt(at), at)
        }
      }),
      { numRuns: 30 },
    )
  })

  test('one slot is kept for the entry at the roll', () => {
    const index = timeIndex()
    index.maybeAppend(1, 0)
    assert.equal(index.isFull(36), false)
    assert.equal(index.isFull(35), true)
    assert.equal(index.isFull(24), true)
  })
})

/** Rising pairs as an index of a .log of 1,000,000 bytes could have them. */
const offsetEntries = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 90 }), fc.integer({ min: 1, max: 900 })), {
    maxLength: 1000,
  })
  .map((steps) => {
    let offset = 0
    let position = 0
    return steps.map(([up, on]) => {
      offset += up
      position += on
      return [offset, position] as const
    })
  })

function offsetBytes(entries: readonly (readonly [number, number])[]): Buffer {
  const bytes = Buffer.alloc(entries.length * 8)
  for (const [index, [offset, position]] of entries.entries()) {
    bytes.writeInt32BE(offset, index * 8)
    bytes.writeInt32BE(position, index * 8 + 4)
  }
  return bytes
}

function timeBytes(entries: readonly (readonly [number, number])[]): Buffer {
  const bytes = Buffer.alloc(entries.length * 12)
  for (const [index, [timestamp, offset]] of entries.entries()) {
    bytes.writeBigInt64BE(BigInt(timestamp), index * 12)
    bytes.writeInt32BE(offset, index * 12 + 8)
  }
  return bytes
}

suite('which entries of an index file are believed', () => {
  const padding = fc.nat({ max: 100 }).map((bytes) => Buffer.alloc(bytes))
  const cut = fc.double({ min: 0, max: 1, noNaN: true })

  test('all of a whole one, with zeros behind it or cut anywhere', () => {
    fc.assert(
      fc.property(offsetEntries, padding, cut, (entries, zeros, part) => {
        // Twelve zeros alone are an entry: the timestamp 0 at the offset 0.
        fc.pre(entries.length > 0 || zeros.length !== 12)
        const bytes = Buffer.concat([offsetBytes(entries), zeros])
        assert.equal(OffsetIndex.saneEntries(bytes, 1_000_000), entries.length)
        const kept = Math.floor(part * entries.length * 8)
        assert.equal(OffsetIndex.saneEntries(bytes.subarray(0, kept), 1e6), Math.floor(kept / 8))
        const asTimes = Buffer.concat([timeBytes(entries), zeros])
        assert.equal(TimeIndex.saneEntries(asTimes), entries.length)
        const keptTimes = Math.floor(part * entries.length * 12)
        const found = TimeIndex.saneEntries(asTimes.subarray(0, keptTimes))
        assert.equal(found, Math.floor(keptTimes / 12))
      }),
    )
  })

  test('of garbage never more than entries that rise and lie within the .log', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.nat({ max: 2 ** 31 - 1 }),
        (list, logBytes) => {
          const bytes = Buffer.from(list)
          let last: [number, number] = [-1, 0]
          for (let index = 0; index < OffsetIndex.saneEntries(bytes, logBytes); index += 1) {
            const entry: [number, number] = [
              bytes.readInt32BE(index * 8),
              bytes.readInt32BE(index * 8 + 4),
            ]
            assert.ok(entry[0] > last[0] && entry[1] > last[1] && entry[1] < logBytes)
            last = entry
          }
          last = [-1, 0]
          for (let index = 0; index < TimeIndex.saneEntries(bytes); index += 1) {
            const timestamp = Number(bytes.readBigInt64BE(index * 12))
            const offset = bytes.readInt32BE(index * 12 + 8)
            assert.ok(Number.isSafeInteger(timestamp) && timestamp > last[0] && offset >= last[1])
            last = [timestamp, offset]
          }
        },
      ),
    )
  })

  test('none from the first that falls, repeats or lies outside the .log', () => {
    const sane = (entries: [number, number][], logBytes = 1000): number =>
      OffsetIndex.saneEntries(offsetBytes(entries), logBytes)
    assert.equal(
      sane([
        [5, 50],
        [5, 60],
        [6, 70],
      ]),
      1,
    )
    assert.equal(
      sane([
        [5, 50],
        [6, 50],
        [7, 70],
      ]),
      1,
    )
    assert.equal(
      sane([
        [5, 50],
        [4, 60],
      ]),
      1,
    )
    assert.equal(sane([[5, 999]]), 1)
    assert.equal(sane([[5, 1000]]), 0)
    assert.equal(sane([[-1, 50]]), 0)
    assert.equal(sane([[5, 0]]), 0)
    const times = (entries: [number, number][]): number => TimeIndex.saneEntries(timeBytes(entries))
    assert.equal(
      times([
        [5, 5],
        [5, 6],
      ]),
      1,
    )
    assert.equal(
      times([
        [5, 5],
        [6, 4],
      ]),
      1,
    )
    assert.equal(times([[-1, 5]]), 0)
    assert.equal(times([[2 ** 60, 5]]), 0)
  })

  test('timestamp 0 at the first offset is an entry, preallocated zeros are none', () => {
    const times = (entries: [number, number][]): number => TimeIndex.saneEntries(timeBytes(entries))
    assert.equal(times([[0, 0]]), 1)
    assert.equal(
      times([
        [0, 0],
        [7, 3],
      ]),
      2,
    )
    assert.equal(
      times([
        [0, 0],
        [0, 0],
      ]),
      0,
    )
    assert.equal(
      times([
        [0, 3],
        [0, 0],
      ]),
      1,
    )
    assert.equal(TimeIndex.saneEntries(Buffer.alloc(4092)), 0)
    assert.equal(TimeIndex.saneEntries(Buffer.alloc(0)), 0)
  })

  test("exactly those that Kafka's own tool lists, in every index that Kafka wrote", async () => {
    let preallocated = 0
    const partitions = (await Promise.all(FIXTURE_SETS.map(loadPartitions))).flat()
    for (const { directory, expected } of partitions) {
      // The tool lists an index only up to the place where it finds the .log damaged.
      for (const segment of expected.segments.filter((each) => each.dumpSays === undefined)) {
        if (await checkIndexes(directory, segment)) preallocated += 1
      }
    }
    assert.ok(preallocated >= 3)
  })
})

/** Answers whether the offset index goes on behind its entries. */
async function checkIndexes(directory: string, expected: ExpectedSegment): Promise<boolean> {
  const { baseOffset, logBytes, offsetIndex, timeIndex } = expected
  const offsets = await readFile(join(directory, segmentFileName(baseOffset, 'index')))
  const times = await readFile(join(directory, segmentFileName(baseOffset, 'timeindex')))
  const sane = [OffsetIndex.saneEntries(offsets, logBytes), TimeIndex.saneEntries(times)]
  assert.deepEqual(sane, [offsetIndex.length, timeIndex.length], `${directory} ${baseOffset}`)
  const entries = offsetBytes(offsetIndex.map(([offset, at]) => [offset - baseOffset, at]))
  assert.deepEqual(offsets.subarray(0, entries.length), entries)
  const timeEntries = timeBytes(timeIndex.map(([time, offset]) => [time, offset - baseOffset]))
  assert.deepEqual(times.subarray(0, timeEntries.length), timeEntries)
  return offsets.length > entries.length
}
