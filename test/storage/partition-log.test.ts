// One partition, from its first append over a clean and an unclean end to the next open.
import assert from 'node:assert/strict'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { removeAfter } from '../support/fixtures.ts'
import { append, openLog, readAll, readValues, recordSet } from '../support/storage-environment.ts'

const VALUES = ['a', 'b', 'c', 'd', 'e']

suite('a partition', () => {
  test('gives back what was appended, before and after a clean close', async () => {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem)
    for (const value of VALUES) await append(log, recordSet(value))
    assert.deepEqual(await readValues(log), VALUES)
    await log.close()
    const again = await openLog(fileSystem, { isClean: true, recoveryPoint: 5 })
    assert.equal(again.logEndOffset, 5)
    assert.deepEqual(await readValues(again), VALUES)
    assert.equal(again.report.scannedBytes, 0)
    await append(again, recordSet('f'))
    assert.deepEqual(await readValues(again), [...VALUES, 'f'])
    await again.close()
  })

  test('gives back what was appended where nobody closed it', async () => {
    const fileSystem = new MemoryFileSystem()
    const log = await openLog(fileSystem)
    for (const value of VALUES) await append(log, recordSet(value), { durability: 'os' })
    const again = await openLog(fileSystem.clone())
    assert.equal(again.logEndOffset, 5)
    assert.deepEqual(await readValues(again), VALUES)
    await append(again, recordSet('f'))
    assert.deepEqual(await readValues(again), [...VALUES, 'f'])
    await again.close()
    await log.close()
  })

  test('works on a disk as it does in memory', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'brokerless-partition-'))
    removeAfter(t, directory)
    const place = { directory: join(directory, 't-0'), config: { segmentBytes: 1024 } }
    const log = await openLog(nodeFileSystem, place)
    const values = Array.from({ length: 200 }, (_, index) => `value ${index}`)
    for (const value of values) await append(log, recordSet({ key: 'k', value }))
    assert.ok(log.segments.length > 10)
    assert.deepEqual(await readValues(log), values)
    await log.close()
    const clean = await openLog(nodeFileSystem, { ...place, isClean: true, recoveryPoint: 200 })
    assert.deepEqual(await readValues(clean), values)
    await clean.close()
    const unclean = await openLog(nodeFileSystem, { ...place, recoveryPoint: 50 })
    assert.deepEqual(await readValues(unclean), values)
    assert.deepEqual(
      (await readAll(unclean)).map(({ offset }) => offset),
      values.map((_, index) => index),
    )
    await unclean.close()
  })
})
