// What an open finds after a process that did not close its log.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { batchSizeAt } from '../../src/codec/batch.ts'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import { CorruptLogError } from '../../src/errors.ts'
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
  startAppend,
  storageEnvironment,
  writeFileBytes,
} from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const LOG_0 = `${DIRECTORY}/00000000000000000000.log`
const SMALL_SEGMENTS = { segmentBytes: 1024, indexIntervalBytes: 200 }

function values(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `value ${from + index}`)
}

/** The files of a log of `count` records in batches of one, as a killed process leaves them. */
async function killedLog(
  count: number,
  config: Parameters<typeof openLog>[1] = {},
): Promise<MemoryFileSystem> {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, config)
  await appendAll(log, values(count), { durability: 'os' })
  const files = fileSystem.clone()
  await log.close()
  return files
}

/** Where the batches of a .log start, and its end. */
function positions(bytes: Buffer): number[] {
  const starts: number[] = []
  let at = 0
  for (; at < bytes.length; at += batchSizeAt(bytes, at)) starts.push(at)
  return [...starts, at]
}

/** All files save that of the epochs: an open after a crash begins a new one. */
async function contentButEpochs(fileSystem: MemoryFileSystem): Promise<Map<string, string>> {
  const content = await directoryContent(fileSystem, DIRECTORY)
  content.delete('leader-epoch-checkpoint')
  return content
}

async function cutFile(fileSystem: MemoryFileSystem, file: string, size: number): Promise<void> {
  const handle = fileSystem.openSync(file, 'write')
  await handle.truncate(size)
  handle.closeSync()
}

async function patchFile(
  fileSystem: MemoryFileSystem,
  file: string,
  position: number,
  bytes: Uint8Array,
): Promise<void> {
  const handle = fileSystem.openSync(file, 'write')
  handle.writeSync(bytes, 0, bytes.length, position)
  handle.closeSync()
}

async function closeAndReopen(fileSystem: MemoryFileSystem, log: PartitionLog) {
  const { logEndOffset } = log
  await log.close()
  return openLog(fileSystem, { isClean: true, recoveryPoint: logEndOffset })
}

/** The report names what was cut, and the copy holds it. */
async function expectCut(
  fileSystem: MemoryFileSystem,
  log: PartitionLog,
  position: number,
  torn: Buffer,
): Promise<void> {
  if (torn.length === 0) {
    assert.deepEqual(log.report.cut, [])
    return
  }
  // The first bytes of a batch are those of its offset: zeros need no copy.
  const keptAs = torn.every((byte) => byte === 0) ? undefined : `${LOG_0}.${position}.torn`
  assert.deepEqual(log.report.cut, [{ file: LOG_0, position, bytes: torn.length, keptAs }])
  if (keptAs !== undefined) assert.deepEqual(await readFileBytes(fileSystem, keptAs), torn)
}

suite('recovery of a torn log', () => {
  test('every byte prefix of the file gives the whole batches in it', async () => {
    const files = await killedLog(6)
    const whole = await readFileBytes(files, LOG_0)
    const starts = positions(whole)
    for (let size = 0; size <= whole.length; size += 1) {
      const fileSystem = files.clone()
      await cutFile(fileSystem, LOG_0, size)
      const log = await openLog(fileSystem)
      const count = starts.filter((start) => start <= size).length - 1
      assert.equal(log.logEndOffset, count, `${size} bytes`)
      assert.deepEqual(await readValues(log), values(count), `${size} bytes`)
      await expectCut(fileSystem, log, starts[count] ?? 0, whole.subarray(starts[count], size))
      await append(log, recordSet('next'))
      assert.deepEqual(await readValues(log), [...values(count), 'next'])
      const clean = await closeAndReopen(fileSystem, log)
      assert.deepEqual(await readValues(clean), [...values(count), 'next'])
      assert.equal(clean.report.cut.length, 0)
      await clean.close()
    }
  })

  test('every byte prefix of the last of several segments keeps those before it', async () => {
    const files = await killedLog(40, { config: SMALL_SEGMENTS })
    const names = (await files.readdir(DIRECTORY)).filter((name) => name.endsWith('.log')).sort()
    assert.ok(names.length >= 3)
    const last = `${DIRECTORY}/${names.at(-1)}`
    const base = Number.parseInt(names.at(-1) ?? '', 10)
    const whole = await readFileBytes(files, last)
    const starts = positions(whole)
    for (let size = 0; size <= whole.length; size += 3) {
      const fileSystem = files.clone()
      await cutFile(fileSystem, last, size)
      const log = await openLog(fileSystem, { config: SMALL_SEGMENTS })
      const count = base + starts.filter((start) => start <= size).length - 1
      assert.equal(log.logEndOffset, count, `${size} bytes`)
      assert.deepEqual(await readValues(log), values(count))
      await log.close()
    }
  })

  test('zeros behind the last batch are cut, and need no copy', async () => {
    const fileSystem = await killedLog(5)
    const size = (await readFileBytes(fileSystem, LOG_0)).length
    await patchFile(fileSystem, LOG_0, size, Buffer.alloc(5000))
    const log = await openLog(fileSystem)
    assert.deepEqual(log.report.cut, [
      { file: LOG_0, position: size, bytes: 5000, keptAs: undefined },
    ])
    assert.equal((await readFileBytes(fileSystem, LOG_0)).length, size)
    assert.deepEqual(await readValues(log), values(5))
    await log.close()
  })

  test('a torn tail with the clean marker is recovered as without it', async () => {
    const fileSystem = await killedLog(5)
    const starts = positions(await readFileBytes(fileSystem, LOG_0))
    await cutFile(fileSystem, LOG_0, (starts[5] ?? 0) - 3)
    const log = await openLog(fileSystem, { isClean: true, recoveryPoint: 5 })
    assert.equal(log.logEndOffset, 4)
    assert.equal(log.report.cut.length, 1)
    await log.close()
  })
})

suite('recovery of a damaged log', () => {
  test('damage that valid batches follow is kept and told, and what follows is served on request', async () => {
    const fileSystem = await killedLog(10)
    const starts = positions(await readFileBytes(fileSystem, LOG_0))
    const at = starts[4] ?? 0
    await patchFile(fileSystem, LOG_0, at + 65, Buffer.from([0xff]))
    const log = await openLog(fileSystem)
    assert.equal(log.logEndOffset, 10)
    assert.deepEqual(log.report.damage, [
      { file: LOG_0, position: at, bytes: (starts[5] ?? 0) - at, kind: 'damage' },
    ])
    assert.deepEqual(log.report.cut, [])
    await assert.rejects(readAll(log), (error: unknown) => {
      assert.ok(error instanceof CorruptLogError)
      assert.deepEqual([error.file, error.position], [LOG_0, at])
      return true
    })
    const kept = values(10).filter((_, index) => index !== 4)
    assert.deepEqual(await readValues(log, { onCorrupt: 'skip' }), kept)
    await append(log, recordSet('next'))
    const clean = await closeAndReopen(fileSystem, log)
    assert.deepEqual(await readValues(clean, { onCorrupt: 'skip' }), [...kept, 'next'])
    await clean.close()
  })

  test('a length that is damaged does not hide the batches behind it', async () => {
    for (const length of [0, 1, 0x7fffffff, 300, 0xffffffff]) {
      const fileSystem = await killedLog(10)
      const starts = positions(await readFileBytes(fileSystem, LOG_0))
      const at = starts[4] ?? 0
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(length)
      await patchFile(fileSystem, LOG_0, at + 8, bytes)
      const log = await openLog(fileSystem)
      assert.equal(log.logEndOffset, 10, `length ${length}`)
      assert.equal(log.report.damage[0]?.position, at)
      const kept = values(10).filter((_, index) => index !== 4)
      assert.deepEqual(await readValues(log, { onCorrupt: 'skip' }), kept, `length ${length}`)
      await log.close()
    }
  })

  test('a batch within a record of a damaged batch is not taken for the log', async () => {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem)
    await append(log, recordSet('first'))
    const value = encodeBatch({
      baseOffset: 50,
      records: [{ key: null, value: null, timestamp: 1 }],
    })
    await append(log, recordSet({ value }))
    await append(log, recordSet('last'))
    const files = fileSystem.clone()
    const starts = positions(await readFileBytes(files, LOG_0))
    await patchFile(files, LOG_0, (starts[2] ?? 0) - 1, Buffer.from([0x55]))
    const again = await openLog(files)
    assert.equal(again.logEndOffset, 3)
    assert.deepEqual(await readValues(again, { onCorrupt: 'skip' }), ['first', 'last'])
    await again.close()
    await log.close()
  })

  test('zeros that a valid batch follows are a lost write: told, marked, and passed by readers from then on', async () => {
    const fileSystem = await killedLog(10)
    const starts = positions(await readFileBytes(fileSystem, LOG_0))
    const at = starts[4] ?? 0
    const bytes = (starts[6] ?? 0) - at
    await patchFile(fileSystem, LOG_0, at, Buffer.alloc(bytes))
    const log = await openLog(fileSystem)
    assert.deepEqual(log.report.damage, [{ file: LOG_0, position: at, bytes, kind: 'lost-write' }])
    const kept = values(10).filter((_, index) => index !== 4 && index !== 5)
    assert.deepEqual(await readValues(log), kept)
    assert.ok((await fileSystem.readdir(DIRECTORY)).includes(`00000000000000000000.log.${at}.lost`))
    const clean = await closeAndReopen(fileSystem, log)
    assert.deepEqual(clean.report.damage, [])
    assert.deepEqual(await readValues(clean), kept)
    assert.equal((await readPage(clean, 4)).nextOffset, 10)
    await clean.close()
  })

  test('the same zeros below the recovery point are damage', async () => {
    const fileSystem = await killedLog(10)
    const starts = positions(await readFileBytes(fileSystem, LOG_0))
    const at = starts[4] ?? 0
    await patchFile(fileSystem, LOG_0, at, Buffer.alloc((starts[6] ?? 0) - at))
    const log = await openLog(fileSystem, { recoveryPoint: 8 })
    assert.equal(log.report.damage[0]?.kind, 'damage')
    await assert.rejects(readAll(log), CorruptLogError)
    assert.equal(log.logEndOffset, 10)
    await log.close()
  })

  test('a mark goes with the bytes that it stood for', async () => {
    const fileSystem = await killedLog(10)
    const starts = positions(await readFileBytes(fileSystem, LOG_0))
    const at = starts[4] ?? 0
    await patchFile(fileSystem, LOG_0, at, Buffer.alloc((starts[6] ?? 0) - at))
    const log = await openLog(fileSystem)
    await log.close()
    // All that followed the lost region is torn off, the region with it.
    await cutFile(fileSystem, LOG_0, (starts[6] ?? 0) + 10)
    const again = await openLog(fileSystem)
    assert.equal(again.logEndOffset, 4)
    const names = await fileSystem.readdir(DIRECTORY)
    assert.deepEqual(
      names.filter((name) => name.endsWith('.lost')),
      [],
    )
    await appendAll(again, ['x', 'y'])
    await patchFile(fileSystem, LOG_0, at + 65, Buffer.from([0xff]))
    const third = await openLog(fileSystem.clone(), { recoveryPoint: 6 })
    await assert.rejects(readAll(third), CorruptLogError)
    await third.close()
    await again.close()
  })

  test('damage at the end of a segment that is not the last is kept', async () => {
    const fileSystem = await killedLog(40, { config: SMALL_SEGMENTS })
    const bytes = await readFileBytes(fileSystem, LOG_0)
    const at = positions(bytes).at(-2) ?? 0
    await patchFile(fileSystem, LOG_0, at + 65, Buffer.from([0xff]))
    const log = await openLog(fileSystem, { config: SMALL_SEGMENTS })
    assert.equal(log.logEndOffset, 40)
    assert.deepEqual(log.report.damage, [
      { file: LOG_0, position: at, bytes: bytes.length - at, kind: 'damage' },
    ])
    const read = await readAll(log, { onCorrupt: 'skip' })
    assert.equal(read.length, 39)
    await log.close()
  })
})

suite('recovery', () => {
  test('reads only what lies past the recovery point', async () => {
    const fileSystem = await killedLog(50)
    const bytes = await readFileBytes(fileSystem, LOG_0)
    const starts = positions(bytes)
    const log = await openLog(fileSystem.clone(), { recoveryPoint: 40 })
    assert.equal(log.report.scannedBytes, bytes.length - (starts[40] ?? 0))
    await log.close()
    // Below it damage is not looked for, and not cut.
    await patchFile(fileSystem, LOG_0, (starts[10] ?? 0) + 65, Buffer.from([0xff]))
    const again = await openLog(fileSystem, { recoveryPoint: 40 })
    assert.deepEqual(again.report.damage, [])
    assert.equal(again.logEndOffset, 50)
    await again.close()
  })

  test('bears a recovery point past the data', async () => {
    const fileSystem = await killedLog(5)
    const log = await openLog(fileSystem, { recoveryPoint: 5000 })
    assert.equal(log.logEndOffset, 5)
    assert.deepEqual(await readValues(log), values(5))
    await append(log, recordSet('next'))
    await log.close()
  })

  test('goes on in an empty last segment', async () => {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem)
    await appendAll(log, values(5))
    assert.equal(await log.rollNow(), 5)
    for (const isClean of [true, false]) {
      const again = await openLog(fileSystem.clone(), { isClean, recoveryPoint: isClean ? 5 : 0 })
      assert.equal(again.logEndOffset, 5)
      assert.equal(again.active.baseOffset, 5)
      await append(again, recordSet('next'))
      assert.deepEqual(await readValues(again), [...values(5), 'next'])
      await again.close()
    }
    await log.close()
  })

  test('passes a gap in the list of segments', async () => {
    const fileSystem = await killedLog(40, { config: SMALL_SEGMENTS })
    const names = (await fileSystem.readdir(DIRECTORY))
      .filter((name) => name.endsWith('.log'))
      .sort()
    const gone = names[1] ?? ''
    const first = Number.parseInt(gone, 10)
    const after = Number.parseInt(names[2] ?? '', 10)
    await fileSystem.unlink(`${DIRECTORY}/${gone}`)
    for (const isClean of [true, false]) {
      const log = await openLog(fileSystem.clone(), {
        config: SMALL_SEGMENTS,
        isClean,
        recoveryPoint: isClean ? 40 : 0,
      })
      const kept = values(40).filter((_, index) => index < first || index >= after)
      assert.deepEqual(await readValues(log), kept)
      assert.deepEqual((await readAll(log, { offset: first }))[0]?.offset, after)
      await log.close()
    }
  })

  test('never gives offsets below the log start again', async () => {
    const fileSystem = await killedLog(5)
    const log = await openLog(fileSystem, { logStartOffset: 8 })
    assert.deepEqual([log.logStartOffset, log.logEndOffset, log.highWatermark], [8, 8, 8])
    assert.equal((await append(log, recordSet('next'))).baseOffset, 8)
    assert.deepEqual(await readValues(log), ['next'])
    await log.close()
    for (const isClean of [true, false]) {
      const again = await openLog(fileSystem, { isClean, recoveryPoint: 5, logStartOffset: 8 })
      assert.deepEqual(await readValues(again), ['next'])
      assert.equal(again.logEndOffset, 9)
      await again.close()
    }
  })

  test('takes a log start below the first segment for the first segment', async () => {
    const fileSystem = await killedLog(40, { config: SMALL_SEGMENTS })
    await fileSystem.unlink(LOG_0)
    const log = await openLog(fileSystem, { config: SMALL_SEGMENTS, logStartOffset: 2 })
    assert.equal(log.logStartOffset, log.segments[0]?.baseOffset)
    assert.ok(log.logStartOffset > 2)
    await log.close()
  })

  test('gives the indexes that the appends gave', async () => {
    const config = { indexIntervalBytes: 200, segmentBytes: 2048 }
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem, { config })
    for (let index = 0; index < 80; index += 1) {
      await append(
        log,
        recordSet({ value: `value ${index}`, timestamp: 1000 + ((index * 7) % 50) }),
      )
    }
    const killed = fileSystem.clone()
    await log.close()
    const closed = await contentButEpochs(fileSystem)
    const again = await openLog(killed, { config })
    await again.close()
    assert.deepEqual(await contentButEpochs(killed), closed)
  })

  test('rebuilds indexes that are missing, short, padded with zeros or wrong, whatever the marker says of the rest', async () => {
    const config = { indexIntervalBytes: 200 }
    const whole = new MemoryFileSystem()
    const log = await openLog(whole, { config })
    await appendAll(log, values(100))
    await log.close()
    const good = await contentButEpochs(whole)
    for (const kind of ['index', 'timeindex']) {
      const file = LOG_0.replace('.log', `.${kind}`)
      const bytes = await readFileBytes(whole, file)
      const versions = {
        missing: undefined,
        short: bytes.subarray(0, 24),
        padded: Buffer.concat([bytes, Buffer.alloc(480)]),
        garbage: Buffer.from(bytes.map((byte, index) => (byte * 31 + index * 17) & 0xff)),
      }
      for (const [name, version] of Object.entries(versions)) {
        const fileSystem = whole.clone()
        await fileSystem.unlink(file)
        if (version !== undefined) await writeFileBytes(fileSystem, file, version)
        const again = await openLog(fileSystem, { config })
        assert.deepEqual(await readValues(again), values(100))
        await again.close()
        assert.deepEqual(await contentButEpochs(fileSystem), good, `${kind} ${name}`)
      }
    }
  })
})

const OFTEN_INDEXED = { indexIntervalBytes: 100 }
const TIME_INDEX = LOG_0.replace('.log', '.timeindex')

/** A log that was closed, of one batch for each time. */
async function logOfTimes(times: readonly number[]): Promise<MemoryFileSystem> {
  const fileSystem = new MemoryFileSystem()
  const log = await openLog(fileSystem, { config: OFTEN_INDEXED })
  for (const timestamp of times) await append(log, recordSet({ value: 'v'.repeat(60), timestamp }))
  await log.close()
  return fileSystem
}

test('recovery goes on from no time entry that the data does not bear out', async () => {
  // The greatest time comes early, so that what is read again does not have it.
  const times = [10, 20, 900, 30, 40, 50, 800, 60, 70, 80]
  const whole = await logOfTimes(times)
  const entries = (await readFileBytes(whole, TIME_INDEX)).length / 12
  assert.ok(entries >= 2)
  for (let entry = 0; entry < entries; entry += 1) {
    for (const [at, byte] of [
      [9, 0x40],
      [11, 0x01],
      [6, 0x00],
      [7, 0x01],
      [3, 0x01],
    ] as const) {
      const fileSystem = whole.clone()
      await patchFile(fileSystem, TIME_INDEX, entry * 12 + at, Buffer.from([byte]))
      const again = await openLog(fileSystem, {
        config: OFTEN_INDEXED,
        recoveryPoint: times.length,
      })
      for (const timestamp of [0, 15, 25, 45, 750, 850, 901]) {
        const naive = times.findIndex((each) => each >= timestamp)
        const found = await again.offsetForTime(timestamp)
        assert.equal(found ?? -1, naive, `at ${timestamp}, byte ${at} of entry ${entry}`)
      }
      await again.close()
    }
  }
})

test('recovery goes on from no offset entry whose time entry has not come to the file', async () => {
  const times = [10, 20, 30, 30, 40, 40, 50, 50, 60, 60]
  const whole = await logOfTimes(times)
  const wanted = await readFileBytes(whole, TIME_INDEX)
  assert.ok(wanted.length / 12 >= 4)
  for (let entries = 0; entries * 12 < wanted.length; entries += 1) {
    for (let recoveryPoint = 0; recoveryPoint <= times.length; recoveryPoint += 1) {
      const fileSystem = whole.clone()
      await cutFile(fileSystem, TIME_INDEX, entries * 12)
      const again = await openLog(fileSystem, { config: OFTEN_INDEXED, recoveryPoint })
      for (const timestamp of times) {
        const found = await again.offsetForTime(timestamp)
        const what = `at ${timestamp}, ${entries} entries, recovery point ${recoveryPoint}`
        assert.equal(found, times.indexOf(timestamp), what)
      }
      await again.close()
      assert.deepEqual(await readFileBytes(fileSystem, TIME_INDEX), wanted)
    }
  }
})

suite('recovery on a full disk', () => {
  async function fullLog(): Promise<{ fileSystem: FaultFileSystem; size: number }> {
    const before = new FaultFileSystem()
    const log = await openLog(before)
    await appendAll(log, values(10), { durability: 'os' })
    const fileSystem = before.processKill()
    const size = (await readFileBytes(fileSystem, LOG_0)).length
    const handle = fileSystem.openSync(LOG_0, 'write')
    handle.writeSync(Buffer.from('half a batch, or so'), 0, 19, size)
    await handle.sync()
    handle.closeSync()
    fileSystem.capacityBytes = fileSystem.usedBytes
    return { fileSystem, size }
  }

  test('opens, serves what the level allows, tells what it could not write, and writes it before the next append', async () => {
    const { fileSystem, size } = await fullLog()
    const log = await openLog(fileSystem, { config: { durability: 'os' } })
    assert.equal(log.failure, undefined)
    assert.equal(log.logEndOffset, 10)
    assert.deepEqual(await readValues(log), values(10))
    assert.ok(log.report.inMemory.length > 0)
    const refused = startAppend(log, recordSet('next'), { durability: 'os' })
    await assert.rejects(refused.done, { code: 'DISK_FULL', retryable: true })
    assert.equal(log.logEndOffset, 10)
    fileSystem.capacityBytes = Number.POSITIVE_INFINITY
    await append(log, recordSet('next'))
    assert.deepEqual(log.report.inMemory, [])
    assert.deepEqual(await readValues(log), [...values(10), 'next'])
    assert.equal(
      (await readFileBytes(fileSystem, `${LOG_0}.${size}.torn`)).toString(),
      'half a batch, or so',
    )
    const again = await openLog(fileSystem.powerCut({ mode: 'lose-all' }))
    assert.deepEqual(await readValues(again), [...values(10), 'next'])
    await again.close()
  })

  test('makes a new partition once there is room', async () => {
    const fileSystem = new FaultFileSystem()
    await fileSystem.mkdir(DIRECTORY)
    const free = fileSystem.failWhen(({ name }) => (name === 'create' ? 'ENOSPC' : undefined))
    const log = await openLog(fileSystem)
    assert.equal(log.logEndOffset, 0)
    assert.equal(log.failure, undefined)
    await assert.rejects(append(log, recordSet('a')), { code: 'DISK_FULL', retryable: true })
    free()
    await append(log, recordSet('b'))
    assert.deepEqual(await readValues(log), ['b'])
    await log.close()
  })
})

suite('recovery after a failed sync', () => {
  test('nothing that was served vanishes at a power cut', async () => {
    for (const durability of ['os', 'disk'] as const) {
      const before = new FaultFileSystem()
      const log = await openLog(before, { config: { durability } })
      await appendAll(log, values(5))
      const heal = before.refuseSync((path) => path === LOG_0)
      for (const value of values(5, 5)) await append(log, recordSet(value), { durability: 'os' })
      await assert.rejects(append(log, recordSet('x')), { code: 'STORAGE_FAILED' })
      heal()
      const killed = before.processKill()
      const again = await openLog(killed)
      const served = await readAll(again)
      assert.ok(served.length >= 10)
      const third = await openLog(killed.powerCut({ mode: 'lose-all' }))
      assert.deepEqual((await readAll(third)).slice(0, served.length), served)
      await third.close()
    }
  })

  test('a partition whose recovery fails to sync is closed to writes and serves what is on the disk', async () => {
    const before = new FaultFileSystem()
    const log = await openLog(before)
    await appendAll(log, values(5))
    await appendAll(log, values(5, 5), { durability: 'os' })
    const killed = before.processKill()
    killed.refuseSync((path) => path === LOG_0)
    const environment = storageEnvironment(killed)
    const again = await openLog(killed, { environment, recoveryPoint: 5 })
    assert.equal(again.failure?.code, 'STORAGE_FAILED')
    assert.deepEqual(await readValues(again), values(5))
    await assert.rejects(append(again, recordSet('x')), {
      code: 'STORAGE_FAILED',
      retryable: false,
    })
    assert.equal(environment.failures.length, 1)
    await assert.rejects(again.close(), { code: 'STORAGE_FAILED' })
  })

  test('what fills up only at the sync is a failed sync, not a want of room', async () => {
    const before = new FaultFileSystem()
    const log = await openLog(before)
    await appendAll(log, values(5))
    const killed = before.processKill()
    killed.refuseSync((path) => path === LOG_0, 'ENOSPC')
    const again = await openLog(killed)
    assert.equal(again.failure?.code, 'STORAGE_FAILED')
    await assert.rejects(again.close())
  })
})

suite('a recovery that is itself cut', () => {
  /** A log with everything that a recovery mends: a torn tail, a lost write, damage, several segments. */
  async function mess(): Promise<FaultFileSystem> {
    const first = new FaultFileSystem()
    const log = await openLog(first, { config: SMALL_SEGMENTS })
    await appendAll(log, values(50))
    const last = log.active.file.path
    const killed = first.processKill()
    const whole = await readFileBytes(killed, last)
    const starts = positions(whole)
    assert.ok(starts.length > 4)
    const handle = killed.openSync(last, 'write')
    const lost = Buffer.alloc((starts[2] ?? 0) - (starts[1] ?? 0))
    handle.writeSync(lost, 0, lost.length, starts[1] ?? 0)
    await handle.truncate(whole.length - 5)
    await handle.sync()
    handle.closeSync()
    return killed
  }

  test('at any operation, comes to the same result the next time', async () => {
    const reference = (await mess()).processKill()
    const clean = await openLog(reference, { config: SMALL_SEGMENTS })
    const expected = await readAll(clean)
    const operations = reference.operations.length
    await clean.close()
    assert.ok(expected.length === 48 && operations > 20)
    for (let index = 0; index < operations; index += 1) {
      for (let seed = 0; seed < 3; seed += 1) {
        const fileSystem = (await mess()).processKill()
        fileSystem.cutAt(index)
        const log = await openLog(fileSystem, { config: SMALL_SEGMENTS }).catch(() => undefined)
        await log?.close().catch(() => undefined)
        const next = fileSystem.powerCut({ seed })
        const again = await openLog(next, { config: SMALL_SEGMENTS })
        assert.equal(again.failure, undefined)
        assert.deepEqual(await readAll(again), expected, `cut at ${index}, seed ${seed}`)
        await append(again, recordSet('next'))
        await again.close()
      }
    }
  })
})

suite('a recovery on a disk that fails at random', () => {
  test('serves nothing that a power cut then takes, and is done by a later one', async () => {
    let failures = 0
    for (let seed = 0; seed < 120; seed += 1) {
      const first = new FaultFileSystem()
      const log = await openLog(first, { config: SMALL_SEGMENTS })
      await appendAll(log, values(30))
      await appendAll(log, values(10, 30), { durability: 'os' })
      const killed = first.processKill()
      const heal = killed.failAtRandom(seed, 0.08, seed % 2 === 0 ? 'EIO' : 'ENOSPC')
      const again = await openLog(killed, { config: SMALL_SEGMENTS }).catch(() => undefined)
      const served = again === undefined ? [] : await readValues(again)
      if (again?.failure !== undefined) failures += 1
      assert.deepEqual(served, values(served.length))
      heal()
      const next = killed.powerCut({ seed })
      const third = await openLog(next, { config: SMALL_SEGMENTS })
      const read = await readValues(third)
      assert.ok(read.length >= Math.max(30, served.length), `seed ${seed}`)
      assert.deepEqual(read, values(read.length))
      await append(third, recordSet('next'))
      await third.close()
    }
    assert.ok(failures > 20)
  })
})
