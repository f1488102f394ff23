// Handles of data files: what a sync covers, and what becomes of one that fails.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { DataFile, FileCache } from '../../src/storage/file-cache.ts'
import { SyncError } from '../../src/storage/sync-error.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { FileHandle, OpenMode } from '../../src/types.ts'
import { Deferred } from '../../src/util/deferred.ts'
import { Semaphore } from '../../src/util/semaphore.ts'
import { FaultFileSystem } from '../support/fault-file-system.ts'
import { until } from '../support/storage-environment.ts'

/** Asynchronous writes end when the test says so. */
class SlowFileSystem extends MemoryFileSystem {
  readonly writes: Deferred<void>[] = []
  syncs = 0

  override openSync(path: string, mode: OpenMode): FileHandle {
    const handle = super.openSync(path, mode)
    const write = handle.write.bind(handle)
    handle.write = async (...call) => {
      const go = new Deferred<void>()
      this.writes.push(go)
      await go.promise
      await write(...call)
    }
    handle.sync = async () => {
      this.syncs += 1
    }
    return handle
  }
}

function cacheOf(fileSystem: MemoryFileSystem | FaultFileSystem, maxOpenFiles = 10): FileCache {
  return new FileCache(fileSystem, new Semaphore(3), maxOpenFiles)
}

suite('a data file', () => {
  test('is dirty behind a write that a sync ran past', async () => {
    const fileSystem = new SlowFileSystem()
    const file = DataFile.create(cacheOf(fileSystem), '/a.log')
    const writing = file.write(Buffer.from('abc'), 0, 3, 0)
    await until(() => fileSystem.writes.length === 1)
    await file.sync()
    fileSystem.writes[0]?.resolve()
    await writing
    assert.ok(file.isDirty)
    await file.sync()
    assert.equal(fileSystem.syncs, 2)
    assert.ok(!file.isDirty)
    // Nothing new: nothing to do.
    await file.sync()
    assert.equal(fileSystem.syncs, 2)
  })

  test('remembers that a sync failed, also one that was made to free its handle', async () => {
    const fileSystem = new FaultFileSystem()
    const files = cacheOf(fileSystem, 1)
    const file = DataFile.create(files, '/a.log')
    let told: unknown
    file.onSyncFailure = (error) => {
      told = error
    }
    file.writeSync(Buffer.from('abc'), 0, 3, 0)
    const heal = fileSystem.refuseSync((path) => path === '/a.log', 'ENOSPC')
    await files.makeRoom()
    heal()
    const other = DataFile.create(files, '/b.log')
    assert.ok(told instanceof SyncError)
    assert.equal(files.openFiles, 1)
    await assert.rejects(file.sync(), SyncError)
    await assert.rejects(file.sync(), SyncError)
    await other.close()
  })

  test('waits for a place while all others are busy', async () => {
    const fileSystem = new SlowFileSystem()
    const files = cacheOf(fileSystem, 1)
    const busy = DataFile.create(files, '/a.log')
    const writing = busy.write(Buffer.from('abc'), 0, 3, 0)
    await until(() => fileSystem.writes.length === 1)
    fileSystem.openSync('/b.log', 'create').closeSync()
    const waiting = DataFile.existing(files, '/b.log', true)
    assert.ok(!waiting.isReady())
    const reading = waiting.read(Buffer.alloc(1), 0, 1, 0)
    await new Promise<void>((resolve) => setImmediate(resolve))
    assert.equal(files.openFiles, 1)
    fileSystem.writes[0]?.resolve()
    await writing
    assert.equal(await reading, 0)
    assert.equal(files.openFiles, 1)
    // The busy one was synced first.
    assert.equal(fileSystem.syncs, 1)
  })

  test('gives its place to the one used least lately', async () => {
    const fileSystem = new MemoryFileSystem()
    const files = cacheOf(fileSystem, 2)
    const all = ['/a.log', '/b.log', '/c.log'].map((path) => {
      fileSystem.openSync(path, 'create').closeSync()
      return DataFile.existing(files, path, true)
    })
    const opened: string[] = []
    const open = fileSystem.openSync.bind(fileSystem)
    fileSystem.openSync = (path, mode) => {
      opened.push(path)
      return open(path, mode)
    }
    for (const index of [0, 1, 0, 2, 0, 1]) all[index]?.sizeSync()
    assert.deepEqual(opened, ['/a.log', '/b.log', '/c.log', '/b.log'])
  })
})
