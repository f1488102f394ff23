// A producer snapshot lies behind the aborted transactions before it, whoever syncs them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { ABORT, IN_TRANSACTION, produce } from '../support/producer-calls.ts'
import { SteppedFileSystem } from '../support/stepped-file-system.ts'
import { append, openLog, recordSet, until } from '../support/storage-environment.ts'

const MIB = 1024 * 1024

test('a roll waits for a sync of the aborted transactions that a flush has begun', async () => {
  const fileSystem = new SteppedFileSystem(new MemoryFileSystem())
  const log = await openLog(fileSystem, { config: { maxMessageBytes: 20 * MIB } })
  assert.equal(await produce(log, IN_TRANSACTION, ['a']), 0)
  assert.equal(await produce(log, ABORT, []), 1)
  await append(log, recordSet('x'.repeat(17 * MIB)))
  const synced = new Deferred<void>()
  const steps: string[] = []
  fileSystem.before = async (what) => {
    if (what.endsWith('.txnindex')) {
      steps.push('begun')
      await synced.promise
      steps.push('synced')
    } else if (what.startsWith('rename') && what.endsWith('.snapshot')) steps.push('snapshot')
  }
  const flushing = log.flush()
  await until(() => steps.length > 0)
  await append(log, recordSet('y'))
  const rolling = log.rollNow()
  for (let turn = 0; turn < 100; turn += 1) await nextTurn()
  synced.resolve()
  await Promise.all([flushing, rolling])
  assert.deepEqual(steps.slice(0, 3), ['begun', 'synced', 'snapshot'])
  await log.close()
})
