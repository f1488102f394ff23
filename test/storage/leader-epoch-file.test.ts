// A partition's terms and their file: when one begins, when it is written, and what an open makes of a file that is missing or wrong.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { encodeBatch } from '../../src/codec/batch-encoder.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { FileSystem, TopicConfig } from '../../src/types.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { readBatches } from '../support/kafka-files.ts'
import type { OpenOptions } from '../support/storage-environment.ts'
import {
  append,
  appendAll,
  openLog,
  readFileBytes,
  readValues,
  recordSet,
  writeFileBytes,
} from '../support/storage-environment.ts'

const DIRECTORY = '/data/t-0'
const EPOCHS = `${DIRECTORY}/leader-epoch-checkpoint`
const LOG_0 = `${DIRECTORY}/00000000000000000000.log`
/** Two batches a segment, and an index entry for each but the first. */
const SMALL = { segmentBytes: 200, indexIntervalBytes: 0 } as const

function values(count: number, from = 0): string[] {
  return Array.from({ length: count }, (_, index) => `value ${from + index}`)
}

/** The file as it is; undefined where there is none. */
async function textOf(fileSystem: FileSystem): Promise<string | undefined> {
  if ((await fileSystem.stat(EPOCHS)) === undefined) return undefined
  return (await readFileBytes(fileSystem, EPOCHS)).toString()
}

function text(...lines: string[]): string {
  return `${['0', lines.length, ...lines].join('\n')}\n`
}

/** `epoch at base offset` of every batch, by what the files say. */
async function batchesOf(fileSystem: FileSystem): Promise<string[]> {
  const names = (await fileSystem.readdir(DIRECTORY)).filter((name) => name.endsWith('.log'))
  const all: string[] = []
  for (const name of names.sort()) {
    const batches = readBatches(await readFileBytes(fileSystem, `${DIRECTORY}/${name}`))
    all.push(...batches.map(({ leaderEpoch, baseOffset }) => `${leaderEpoch} at ${baseOffset}`))
  }
  return all
}

/** [epoch, end offset] as the log answers. */
async function endOf(log: PartitionLog, epoch: number): Promise<[number, number] | undefined> {
  const end = (await log.epochs()).endOffsetFor(epoch, log.logEndOffset)
  return end && [end.leaderEpoch, end.endOffset]
}

async function epochOf(log: PartitionLog): Promise<number> {
  return (await log.epochs()).current(log.logEndOffset)
}

/** So many terms, each of so many batches and ended by a kill; the last is closed. Epochs are 0, 1, 2, … */
async function written(
  terms: readonly number[],
  options: OpenOptions = {},
): Promise<MemoryFileSystem> {
  let current = new MemoryFileSystem()
  for (const [term, batches] of terms.entries()) {
    if (term > 0) current = current.clone()
    const log = await openLog(current, options)
    await appendAll(log, values(batches), { durability: 'os' })
    if (term === terms.length - 1) await log.close()
  }
  return current
}

/** As a clean close has left it. */
const CLEAN = { isClean: true, recoveryPoint: 1000 } as const

suite('a term', () => {
  test('of a new partition is epoch 0, written before the first append and not before', async () => {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem)
    assert.equal(await textOf(fileSystem), undefined)
    assert.equal(await epochOf(log), 0)
    assert.deepEqual(await endOf(log, 0), [0, 0])
    await append(log, recordSet('a'))
    assert.equal(await textOf(fileSystem), text('0 0'))
    await log.close()
  })

  test('goes on behind a clean close', async () => {
    const fileSystem = await written([2])
    const log = await openLog(fileSystem, CLEAN)
    await append(log, recordSet('c'))
    assert.deepEqual(await batchesOf(fileSystem), ['0 at 0', '0 at 1', '0 at 2'])
    assert.equal(await textOf(fileSystem), text('0 0'))
    assert.deepEqual(log.report.rebuilt, [])
    await log.close()
  })

  test('begins with the open after a crash, with the next epoch, and is written before the first append and not before', async () => {
    const before = await written([2])
    const fileSystem = new FaultFileSystem()
    await copy(before, fileSystem)
    const copied = fileSystem.operations.length
    const log = await openLog(fileSystem)
    assert.equal(await epochOf(log), 1)
    assert.deepEqual(await endOf(log, 0), [0, 2])
    assert.deepEqual(await endOf(log, 1), [1, 2])
    assert.deepEqual(
      fileSystem.operations.slice(copied).filter(({ path }) => path.startsWith(EPOCHS)),
      [],
      'the open does not touch the file',
    )
    await append(log, recordSet('c'))
    assert.equal(await textOf(fileSystem), text('0 0', '1 2'))
    assert.deepEqual(await batchesOf(fileSystem), ['0 at 0', '0 at 1', '1 at 2'])
    assert.deepEqual(log.report.rebuilt.filter(isEpochs), [])
    const calls = fileSystem.operations.slice(copied).map(({ name, path }) => `${name} ${path}`)
    const renamed = calls.indexOf(`rename ${EPOCHS}.tmp`)
    const synced = calls.indexOf(`syncDirectory ${DIRECTORY}`, renamed)
    assert.ok(calls.indexOf(`sync ${EPOCHS}.tmp`) < renamed && renamed > 0)
    assert.ok(calls.lastIndexOf(`write ${LOG_0}`) > synced && synced > 0)
    await log.close()
  })

  test('that wrote nothing leaves its epoch to the next one', async () => {
    const fileSystem = await written([2])
    for (let crash = 0; crash < 3; crash += 1) {
      const log = await openLog(fileSystem.clone())
      assert.equal(await epochOf(log), 1)
    }
    assert.equal(await textOf(fileSystem), text('0 0'))
  })

  test('that wrote what was then lost keeps its epoch: the next one is above it', async () => {
    const before = new FaultFileSystem()
    const first = await openLog(before, { config: { durability: 'os' } })
    await append(first, recordSet('kept'), { durability: 'disk' })
    const second = await openLog(before.processKill(), { config: { durability: 'os' } })
    assert.equal(await epochOf(second), 1)
    const disk = before.processKill()
    const lost = await openLog(disk, { config: { durability: 'os' } })
    await append(lost, recordSet('lost'), { durability: 'os' })
    const after = disk.powerCut({ mode: 'lose-all' })
    const third = await openLog(after, { config: { durability: 'os' } })
    assert.deepEqual(await readValues(third), ['kept'])
    await append(third, recordSet('other'))
    assert.deepEqual(await batchesOf(after), ['0 at 0', '2 at 1'])
    assert.equal(await textOf(after), text('0 0', '2 1'))
  })

  test('is written at a close where nothing was appended: a clean open goes on with it', async () => {
    const before = new FaultFileSystem()
    const first = await openLog(before, { config: { durability: 'os' } })
    await append(first, recordSet('lost'), { durability: 'os' })
    const after = before.powerCut({ mode: 'lose-all' })
    const second = await openLog(after)
    assert.equal(second.logEndOffset, 0)
    await second.close()
    assert.equal(await textOf(after), text('1 0'))
    const third = await openLog(after, CLEAN)
    await append(third, recordSet('other'))
    assert.deepEqual(await batchesOf(after), ['1 at 0'])
    await third.close()
  })

  test('begins also behind the clean marker where the data is not what a clean close leaves', async () => {
    const fileSystem = await written([3])
    const size = (await readFileBytes(fileSystem, LOG_0)).length
    const handle = fileSystem.openSync(LOG_0, 'write')
    await handle.truncate(size - 5)
    handle.closeSync()
    const log = await openLog(fileSystem, CLEAN)
    assert.equal(log.logEndOffset, 2)
    await append(log, recordSet('other'))
    assert.deepEqual(await batchesOf(fileSystem), ['0 at 0', '0 at 1', '1 at 2'])
    await log.close()
  })

  test('has the last epoch that a batch can carry, and keeps it', async () => {
    const fileSystem = await written([1])
    await writeFileBytes(fileSystem, EPOCHS, Buffer.from(text('0 0', '2147483647 1')))
    const log = await openLog(fileSystem)
    await append(log, recordSet('a'))
    assert.deepEqual(await batchesOf(fileSystem), ['0 at 0', '2147483647 at 1'])
    await log.close()
  })

  test('is above all epochs of a log that a broker wrote, and 0 where its batches carry none', async () => {
    const expected = new Map([
      [7, text('0 0', '7 1', '8 2')],
      [-1, text('0 0', '1 2')],
    ])
    const records = [{ key: null, value: Buffer.from('foreign'), timestamp: 5 }]
    for (const [partitionLeaderEpoch, content] of expected) {
      const fileSystem = await written([1])
      const foreign = encodeBatch({ baseOffset: 1, records, partitionLeaderEpoch })
      const bytes = await readFileBytes(fileSystem, LOG_0)
      await writeFileBytes(fileSystem, LOG_0, Buffer.concat([bytes, foreign]))
      const log = await openLog(fileSystem)
      await append(log, recordSet('c'))
      assert.equal(await textOf(fileSystem), content)
      await log.close()
    }
    const fileSystem = new MemoryFileSystem()
    await openLog(fileSystem)
    const foreign = encodeBatch({ baseOffset: 0, records, partitionLeaderEpoch: -1 })
    await writeFileBytes(fileSystem, LOG_0, foreign)
    const log = await openLog(fileSystem)
    await append(log, recordSet('a'))
    assert.deepEqual(await batchesOf(fileSystem), ['-1 at 0', '0 at 1'])
    assert.equal(await textOf(fileSystem), text('0 1'))
    await log.close()
  })
})

// -------------------------------------------------------------------------- missing and wrong files

/** Of a log with epochs 0, 1 and 2 from 0, 5 and 8 on, ten batches in all. */
const TERMS = [5, 3, 2]
const RIGHT = ['0 0', '1 5', '2 8']
const WRONG: Readonly<Record<string, string | undefined>> = {
  'that is missing': undefined,
  'of 0 bytes': '',
  'without entries': text(),
  'of garbage': 'garbage',
  'of another version': '1\n1\n0 0\n',
  'with fewer entries than it says': '0\n4\n0 0\n1 5\n2 8\n',
  'with more entries than it says': '0\n2\n0 0\n1 5\n2 8\n',
  'cut in its last line': '0\n3\n0 0\n1 5\n2',
  'with an epoch below 0': text('-1 0', '1 5', '2 8'),
  'with an offset below 0': text('0 -1', '1 5', '2 8'),
  'with an epoch above what a batch can carry': text('0 0', '1 5', '4294967296 8'),
  'with epochs that fall': text('1 0', '0 5', '2 8'),
  'with offsets that fall': text('0 5', '1 0', '2 8'),
  'with an epoch twice': text('0 0', '2 5', '2 8'),
  'of an earlier time': text('0 0', '1 5'),
  'of another partition': text('3 0', '4 2'),
  'whose last epoch begins too late': text('0 0', '1 5', '2 9'),
}

/** Opens a log whose file is wrong, appends to it, and opens it once more. */
async function checkRebuilt(
  fileSystem: FileSystem,
  options: OpenOptions,
  epoch: number,
): Promise<void> {
  const log = await openLog(fileSystem, options)
  assert.deepEqual(log.report.rebuilt.filter(isEpochs), [EPOCHS])
  assert.deepEqual(await endOf(log, 0), [0, 5])
  assert.deepEqual(await endOf(log, 1), [1, 8])
  assert.equal(await epochOf(log), epoch)
  await append(log, recordSet('next'))
  const lines = epoch > 2 ? [...RIGHT, `${epoch} 10`] : RIGHT
  assert.equal(await textOf(fileSystem), text(...lines))
  assert.equal((await batchesOf(fileSystem)).at(-1), `${epoch} at 10`)
  await log.close()
  const again = await openLog(fileSystem, { ...options, ...CLEAN })
  assert.deepEqual(again.report.rebuilt, [])
  await again.close()
}

suite('a file', () => {
  const places = { 'one segment': {}, 'many segments': { config: SMALL } } as const
  for (const [where, options] of Object.entries(places)) {
    for (const [what, content] of Object.entries(WRONG)) {
      test(`${what} is built again from the batches of ${where}`, async () => {
        const whole = await written(TERMS, options)
        assert.equal(await textOf(whole), text(...RIGHT))
        await whole.unlink(EPOCHS)
        if (content !== undefined) await writeFileBytes(whole, EPOCHS, Buffer.from(content))
        // It is listened to for how far epochs have come.
        const known = what === 'of another partition' ? 4 : 2
        await checkRebuilt(whole.clone(), { ...options, ...CLEAN }, known)
        await checkRebuilt(whole.clone(), options, known + 1)
      })
    }
  }

  test('with an entry above the log end loses it, and the term is above that, also behind the clean marker', async () => {
    for (const open of [CLEAN, { isClean: false }]) {
      const fileSystem = await written([2, 1])
      await writeFileBytes(fileSystem, EPOCHS, Buffer.from(text('0 0', '1 2', '6 90')))
      const log = await openLog(fileSystem, open)
      assert.equal(await epochOf(log), 7)
      assert.deepEqual(await endOf(log, 6), [1, 3])
      await append(log, recordSet('d'))
      assert.equal(await textOf(fileSystem), text('0 0', '1 2', '7 3'))
      await log.close()
    }
  })

  test('is built again where damage lies between the epochs, and where the index leads astray', async () => {
    const whole = await written([30, 30, 30], { config: { indexIntervalBytes: 100 } })
    await whole.unlink(EPOCHS)
    const right = text('0 0', '1 30', '2 60')
    const batches = readBatches(await readFileBytes(whole, LOG_0))
    const positionOf = (offset: number): number =>
      batches.slice(0, offset).reduce((sum, { bytes }) => sum + bytes.length, 0)
    for (const damaged of [3, 15, 28, 40]) {
      const fileSystem = whole.clone()
      const handle = fileSystem.openSync(LOG_0, 'write')
      const position = positionOf(damaged)
      handle.writeSync(Buffer.alloc(40, 0xff), 0, 40, position)
      handle.closeSync()
      const log = await openLog(fileSystem, CLEAN)
      await append(log, recordSet('next'))
      assert.equal(await textOf(fileSystem), right, `batch ${damaged}`)
      await log.close()
    }
    const fileSystem = whole.clone()
    const index = LOG_0.replace('.log', '.index')
    const bytes = await readFileBytes(fileSystem, index)
    for (let at = 40; at < bytes.length - 8; at += 8) {
      bytes.writeInt32BE(bytes.readInt32BE(at + 4) + 1, at + 4)
    }
    await writeFileBytes(fileSystem, index, bytes)
    const log = await openLog(fileSystem, CLEAN)
    await append(log, recordSet('next'))
    assert.equal(await textOf(fileSystem), right)
    await log.close()
  })

  test('is not looked at for a log that is empty, whatever is wrong with it', async () => {
    for (const content of ['garbage', '', text()]) {
      const fileSystem = new MemoryFileSystem()
      await openLog(fileSystem)
      await writeFileBytes(fileSystem, EPOCHS, Buffer.from(content))
      const log = await openLog(fileSystem)
      assert.deepEqual(log.report.rebuilt, content === 'garbage' ? [EPOCHS] : [])
      await append(log, recordSet('a'))
      assert.equal(await textOf(fileSystem), text('0 0'))
      await log.close()
    }
  })

  test('that is missing behind a clean close costs the bytes around each epoch, not a walk over the log', async () => {
    const check = async (config: Partial<TopicConfig>): Promise<void> => {
      let current = new MemoryFileSystem()
      for (let term = 0; term < 3; term += 1) {
        current = current.clone()
        const log = await openLog(current, { config })
        for (const value of values(250)) {
          await append(log, recordSet(value.padEnd(8192)), { durability: 'os' })
        }
        if (term === 2) await log.close()
      }
      const bytesOf = async (isMissing: boolean): Promise<number> => {
        const fileSystem = new FaultFileSystem({ countReads: true })
        await copy(current, fileSystem)
        if (isMissing) await fileSystem.unlink(EPOCHS)
        const log = await openLog(fileSystem, { config, ...CLEAN })
        assert.deepEqual(await endOf(log, 0), [0, 250])
        assert.deepEqual(await endOf(log, 1), [1, 500])
        const reads = fileSystem.operations.filter(
          ({ name, path }) => name === 'read' && path.endsWith('.log'),
        )
        return reads.reduce((sum, { length = 0 }) => sum + length, 0)
      }
      const more = (await bytesOf(true)) - (await bytesOf(false))
      assert.ok(more > 0 && more < 4 * 64 * 1024, `${more} bytes more of 6 MB`)
    }
    await check({ indexIntervalBytes: 4096 })
    await check({ indexIntervalBytes: 4096, segmentBytes: 100_000 })
  })
})

// ------------------------------------------------------------------------------------ the log start

suite('the first epoch', () => {
  test('moves with the log start, within a segment and over segments', async () => {
    const fileSystem = await written(TERMS, { config: SMALL })
    const log = await openLog(fileSystem, { config: SMALL, ...CLEAN })
    const moveTo = async (offset: number): Promise<string | undefined> => {
      log.moveLogStart(offset)
      await log.deleteSegmentsBelow(offset)
      return await textOf(fileSystem)
    }
    assert.equal(await moveTo(0), text(...RIGHT))
    assert.equal(await moveTo(1), text('0 1', '1 5', '2 8'))
    assert.equal(await moveTo(4), text('0 4', '1 5', '2 8'))
    assert.equal(await moveTo(7), text('1 7', '2 8'))
    assert.equal(await moveTo(10), text('2 10'))
    assert.deepEqual(await endOf(log, 0), [0, 10])
    assert.deepEqual(await endOf(log, 2), [2, 10])
    await log.close()
  })

  test('moves at the open where a crash came before the file, and is written with the next append', async () => {
    const fileSystem = await written(TERMS)
    const log = await openLog(fileSystem, { ...CLEAN, logStartOffset: 6 })
    assert.equal(log.logStartOffset, 6)
    assert.deepEqual(await endOf(log, 0), [0, 6])
    assert.equal(await textOf(fileSystem), text(...RIGHT))
    await append(log, recordSet('next'))
    assert.equal(await textOf(fileSystem), text('1 6', '2 8'))
    await log.close()
  })

  test('is owed to the file where there was no room, and the next deletion writes it', async () => {
    const fileSystem = new FaultFileSystem()
    await copy(await written(TERMS, { config: SMALL }), fileSystem)
    const log = await openLog(fileSystem, { config: SMALL, ...CLEAN })
    const takeBack = fileSystem.failWhen(({ path }) =>
      path.startsWith(EPOCHS) ? 'ENOSPC' : undefined,
    )
    log.moveLogStart(4)
    await assert.rejects(log.deleteSegmentsBelow(4), { code: 'ENOSPC' })
    assert.deepEqual(await endOf(log, 0), [0, 5])
    await append(log, recordSet('is taken all the same'))
    takeBack()
    await log.deleteSegmentsBelow(4)
    assert.equal(await textOf(fileSystem), text('0 4', '1 5', '2 8'))
    await log.close()
  })
})

// ------------------------------------------------------------------------------------------ failures

suite('a term that cannot be written', () => {
  test('for want of room refuses appends with DISK_FULL, and writes nothing; with room it is written before the first', async () => {
    const fileSystem = new FaultFileSystem()
    await copy(await written([2]), fileSystem)
    const log = await openLog(fileSystem)
    const takeBack = fileSystem.failWhen(({ name, path }) =>
      name === 'write' && path.startsWith(EPOCHS) ? 'ENOSPC' : undefined,
    )
    const size = (await readFileBytes(fileSystem, LOG_0)).length
    for (const durability of ['os', 'disk'] as const) {
      const refused = { code: 'DISK_FULL', retryable: true }
      await assert.rejects(append(log, recordSet('c'), { durability }), refused)
    }
    await assert.rejects(log.close(), { code: 'DISK_FULL' })
    assert.equal((await readFileBytes(fileSystem, LOG_0)).length, size)
    assert.equal(await textOf(fileSystem), text('0 0'))
    const again = await openLog(fileSystem)
    await assert.rejects(append(again, recordSet('c')), { code: 'DISK_FULL' })
    takeBack()
    await append(again, recordSet('c'))
    assert.equal(await textOf(fileSystem), text('0 0', '1 2'))
    assert.deepEqual(await batchesOf(fileSystem), ['0 at 0', '0 at 1', '1 at 2'])
    await again.close()
  })

  test('for any other reason closes the partition to writes, and its epoch is not given to a record', async () => {
    for (const failing of ['write', 'sync', 'rename', 'syncDirectory'] as const) {
      const fileSystem = new FaultFileSystem()
      await copy(await written([2]), fileSystem)
      const log = await openLog(fileSystem)
      const path = failing === 'syncDirectory' ? DIRECTORY : `${EPOCHS}.tmp`
      const takeBack = fileSystem.failWhen((call) =>
        call.name === failing && call.path === path ? 'EIO' : undefined,
      )
      await assert.rejects(append(log, recordSet('c'), { durability: 'os' }), {
        code: 'STORAGE_FAILED',
      })
      takeBack()
      await assert.rejects(append(log, recordSet('c')), { code: 'STORAGE_FAILED' })
      await assert.rejects(log.close(), { code: 'STORAGE_FAILED' })
      assert.deepEqual(await batchesOf(fileSystem), ['0 at 0', '0 at 1'])
      const again = await openLog(fileSystem)
      await append(again, recordSet('c'))
      await again.close()
      assert.match((await batchesOf(fileSystem)).at(-1) ?? '', /^[12] at 2$/)
    }
  })
})

suite('a reader beside the writer', () => {
  test('answers by the file as it grows, as far as it sees the log', async () => {
    const fileSystem = new MemoryFileSystem()
    const reader = await openLog(fileSystem, { readOnly: true })
    assert.equal(await epochOf(reader), -1)
    assert.equal(await endOf(reader, 0), undefined)
    const first = await openLog(fileSystem)
    await appendAll(first, values(2))
    await reader.poll(0)
    assert.equal(await epochOf(reader), 0)
    assert.deepEqual(await endOf(reader, 0), [0, 2])
    // Its owner dies, another one comes.
    const second = await openLog(fileSystem)
    await appendAll(second, values(3))
    assert.equal(await epochOf(reader), 1, 'the next record is of it')
    assert.deepEqual(await endOf(reader, 0), [0, 2])
    assert.deepEqual(await endOf(reader, 1), [1, 2])
    const third = await openLog(fileSystem)
    await appendAll(third, values(1))
    assert.equal(await epochOf(reader), 1, 'it has not seen where the third one begins')
    await reader.poll(0)
    assert.deepEqual(await endOf(reader, 1), [1, 5])
    assert.deepEqual(await endOf(reader, 2), [2, 6])
    third.moveLogStart(3)
    await third.deleteSegmentsBelow(3)
    assert.deepEqual(await endOf(reader, 0), [0, 3])
    await reader.close()
    await third.close()
  })

  test('takes the epochs from the batches where the file is wrong, until it is another one', async () => {
    const fileSystem = await written(TERMS)
    await writeFileBytes(fileSystem, EPOCHS, Buffer.from('garbage'))
    const reader = await openLog(fileSystem, { readOnly: true })
    assert.equal(await textOf(fileSystem), 'garbage')
    assert.deepEqual(await endOf(reader, 0), [0, 5])
    assert.equal(await epochOf(reader), 2)
    await writeFileBytes(fileSystem, EPOCHS, Buffer.from('garbage of another kind'))
    assert.deepEqual(await endOf(reader, 0), [0, 5])
    const writer = await openLog(fileSystem)
    await append(writer, recordSet('next'))
    await reader.poll(0)
    assert.deepEqual(await endOf(reader, 3), [3, 11])
    await reader.close()
    await writer.close()
  })
})

function isEpochs(file: string): boolean {
  return file === EPOCHS
}

/** Copies the partition's directory, synced. */
async function copy(from: FileSystem, to: FileSystem): Promise<void> {
  if ((await to.stat('/data')) === undefined) await to.mkdir('/data')
  await to.mkdir(DIRECTORY)
  await to.syncDirectory('/')
  await to.syncDirectory('/data')
  for (const name of await from.readdir(DIRECTORY)) {
    const file = `${DIRECTORY}/${name}`
    await writeFileBytes(to, file, await readFileBytes(from, file))
  }
}
