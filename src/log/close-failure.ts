import { LogError } from '../errors.ts'
import { asError, isDiskFull } from '../util/error-code.ts'

/** What is written is safe in any case; the next open has to look for it. */
export function closeError(failure: Error): LogError {
  if (failure instanceof LogError) return failure
  const code = isDiskFull(failure) ? 'DISK_FULL' : 'STORAGE_FAILED'
  const message = `the log could not be closed cleanly (${failure.message}); the next open recovers it`
  return new LogError(code, message, { cause: failure })
}

/** What a step of a close has failed with, so that the others follow all the same. */
export async function failureOf(work: Promise<unknown>): Promise<Error | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    return asError(error)
  }
}
