// A process that takes and releases directory locks as its parent tells it to.
import { openSync } from 'node:fs'
import { createRequire } from 'node:module'
import { DirectoryLockedError } from '../../src/errors.ts'
import type { DirectoryLock } from '../../src/storage/directory-lock.ts'
import { lockDirectory } from '../../src/storage/directory-lock.ts'
import { nodeFileSystem } from '../../src/storage/file-system.ts'
import { systemClock } from '../../src/util/clock.ts'
import { WatchedFileSystem, WithoutFlock } from './lock-directory.ts'
import type { LockAnswer, LockCommand } from './lock-processes.ts'

let lock: DirectoryLock | undefined

async function open(command: Extract<LockCommand, { do: 'open' }>): Promise<LockAnswer> {
  let left = command.dieAfter ?? Number.POSITIVE_INFINITY
  const step = () => {
    if (left === 0) process.kill(process.pid, 'SIGKILL')
    left -= 1
  }
  const FileSystem = command.flock ? WatchedFileSystem : WithoutFlock
  try {
    lock = await lockDirectory(new FileSystem(nodeFileSystem, step), command.directory, {
      clock: systemClock,
    })
    return { token: lock.token, flock: lock.flock }
  } catch (error) {
    if (!(error instanceof DirectoryLockedError)) return { failed: String(error) }
    return { refused: error.message }
  }
}

interface Fcntl {
  fcntl(fd: number, command: 'setlk', type: number, done: (error: Error | null) => void): void
  readonly constants: { readonly F_WRLCK: number }
}

/** Locks as Java's FileLock does. */
function lockAsBroker(path: string): Promise<LockAnswer> {
  const ext: Fcntl = createRequire(import.meta.url)('fs-ext')
  return new Promise((resolve) => {
    ext.fcntl(openSync(path, 'a+'), 'setlk', ext.constants.F_WRLCK, (error) =>
      resolve(error ? { failed: String(error) } : { done: true }),
    )
  })
}

async function obey(command: LockCommand): Promise<LockAnswer> {
  if (command.do === 'open') return open(command)
  if (command.do === 'broker') return lockAsBroker(command.path)
  await lock?.release()
  return { done: true }
}

process.on('message', async (command: LockCommand) => {
  process.send?.(await obey(command))
})
process.send?.({ done: true })
