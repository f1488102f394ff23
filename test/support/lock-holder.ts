// For a crash within one process: its lock file still names this process, which runs.
import assert from 'node:assert/strict'
import type { FileSystem } from '../../src/index.ts'

/** Above what Linux gives. */
const NO_PROCESS = 4_194_305

const REPLACEMENT = 'lock-of-the-dead'

/**
 * Makes the makers of a directory's lock files, claims included, processes that are gone. Each file is replaced as a whole,
 * since the operations of this function are cut as well as those of the log.
 */
export async function loseLockHolder(fileSystem: FileSystem, directory: string): Promise<void> {
  if ((await fileSystem.stat(directory)) === undefined) return
  for (const name of await fileSystem.readdir(directory)) {
    if (!name.startsWith('brokerless.lock')) continue
    const handle = fileSystem.openSync(`${directory}/${name}`, 'read')
    const bytes = Buffer.alloc(handle.sizeSync())
    handle.readSync(bytes, 0, bytes.length, 0)
    handle.closeSync()
    const record = bytes.toString('utf8')
    const isWhole = /^{"flock":.*}\s+$/.test(record)
    assert.ok(isWhole || name !== 'brokerless.lock', 'a lock that a crash has left is whole')
    if (!isWhole) continue
    const dead = Buffer.from(record.replace(/"pid":\d+/, `"pid":${NO_PROCESS}`))
    await replace(fileSystem, directory, name, dead)
  }
}

async function replace(
  fileSystem: FileSystem,
  directory: string,
  name: string,
  bytes: Buffer,
): Promise<void> {
  const path = `${directory}/${REPLACEMENT}`
  if ((await fileSystem.stat(path)) !== undefined) await fileSystem.unlink(path)
  const handle = fileSystem.openSync(path, 'create')
  handle.writeSync(bytes, 0, bytes.length, 0)
  await handle.sync()
  handle.closeSync()
  await fileSystem.rename(path, `${directory}/${name}`)
}
