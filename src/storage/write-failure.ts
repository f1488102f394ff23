import { LogError } from '../errors.ts'
import { asError, isDiskFull } from '../util/error-code.ts'
import type { Segment } from './segment.ts'
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

/**
 * After a failed write: cuts off what it left where there is merely no room, and answers with what its calls are told; they
 * may be made again. Answers with the failure where nobody can say any more what is on the disk.
 */
export async function undoWrite(
  active: Segment,
  where: string,
  error: unknown,
): Promise<{ readonly refused: LogError } | { readonly failed: unknown }> {
  // Refused before anything was written.
  if (error instanceof LogError && error.retryable) return { refused: error }
  if (!isDiskFull(error)) return { failed: error }
  try {
    await active.file.truncate(active.sizeBytes)
  } catch (cutError) {
    return { failed: cutError }
  }
  return { refused: diskFullError(where, error) }
}
