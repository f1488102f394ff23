import type { FileSystem } from '../types.ts'
import { asError } from '../util/error-code.ts'

/**
 * A sync has failed, so nobody can say what is on the disk. Never a mere want of room, whatever the system called it: the
 * next sync succeeds without having written anything.
 */
export class SyncError extends Error {
  override readonly name = 'SyncError'

  constructor(cause: unknown) {
    super(asError(cause).message, { cause })
  }
}

/** Syncs a directory; what it throws is a `SyncError`. */
export function syncNames(fileSystem: FileSystem, directory: string): Promise<void> {
  return fileSystem.syncDirectory(directory).catch((error: unknown) => {
    throw new SyncError(error)
  })
}

/** For what writes and then syncs: tells the failed sync by its system call. */
export function asSyncError(error: unknown): unknown {
  const isCall = typeof error === 'object' && error !== null && 'syscall' in error
  const isSync = isCall && (error.syscall === 'fsync' || error.syscall === 'fdatasync')
  return isSync ? new SyncError(error) : error
}
