/** Why a log does not do what it is asked to, whatever that is. */
import { LogError } from '../errors.ts'

export function closedError(): LogError {
  return new LogError('CLOSED', 'the log is closed')
}

export function readOnlyError(): LogError {
  return new LogError('READ_ONLY', 'the log was opened with readOnly')
}
