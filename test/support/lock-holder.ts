// For a crash within one process: its lock file still names this process, which runs.
import assert from 'node:assert/strict'
import type { FileSystem } from '../../src/index.ts'

/** Above what Linux gives. */
const NO_PROCESS = 4_194_305

/** Makes the makers of a directory's lock files, claims included, processes that are gone. */
export async function loseLockHolder(fileSystem: FileSystem, directory: string): Promise<void> {
  if ((await fileSystem.stat(directory)) === undefined) return
  for (const name of await fileSystem.readdir(directory)) {
    if (!name.startsWith('brokerless.lock')) continue
    const handle = fileSystem.openSync(`${directory}/${name}`, 'write')
    const bytes = Buffer.alloc(handle.sizeSync())
    handle.readSync(bytes, 0, bytes.length, 0)
    const record = bytes.toString('utf8')
    const isWhole = /^{"flock":.*}\s+$/.test(record)
    assert.ok(isWhole || name !== 'brokerless.lock', 'a lock that a crash has left is whole')
    const dead = Buffer.from(record.replace(/"pid":\d+/, `"pid":${NO_PROCESS}`))
    if (isWhole) handle.writeSync(dead, 0, dead.length, 0)
    await handle.sync()
    handle.closeSync()
  }
}
