import { LogError } from '../errors.ts'
import { asError } from '../util/error-code.ts'
import { SyncError } from './sync-error.ts'

/** The `DISK_FULL` that a refused write is told as. */
export function diskFullError(where: string, cause: unknown): LogError {
  const message = `${where}: there is no room on the disk; nothing was written`
  return new LogError('DISK_FULL', message, { cause, retryable: true })
}

/** The `STORAGE_FAILED` that ends a partition's writes. */
export function storageFailedError(where: string, cause: unknown): LogError {
  const message = `${where}: a write or sync failed (${asError(cause).message}); writes have stopped until the log is opened again`
  return new LogError('STORAGE_FAILED', message, {
    cause: cause instanceof SyncError ? cause.cause : cause,
  })
}
