/** What is told of a transaction that did not end as it was to. */
import { LogError } from '../errors.ts'
import type { TransactionOutcome, TransactionPhase } from './types.ts'

export function timedOut(transactionalId: string, timeoutMs: number): LogError {
  const message = `the transaction of ${transactionalId} was not committed within ${timeoutMs} ms, and was aborted`
  return new LogError('TRANSACTION_ABORTED', message)
}

/** Records of it were refused. */
export function onlyAbortable(cause: Error): LogError {
  const message = 'records of the transaction were refused; it can only be aborted'
  return new LogError('TRANSACTION_ABORTED', message, { cause })
}

/** It is not in the phase for what it was called for. */
export function misused(transactionalId: string, phase: TransactionPhase, what: string): TypeError {
  return new TypeError(`the transaction of ${transactionalId} is ${phase}: it ${what}`)
}

export function undecidable(transactionalId: string, cause: Error): LogError {
  const message = `the transaction of ${transactionalId} is committed or aborted; the next open tells`
  return new LogError('STORAGE_FAILED', message, { cause })
}

/** It is decided, and not all of its markers could be written. */
export function untold(
  transactionalId: string,
  outcome: TransactionOutcome,
  cause: Error,
): LogError {
  const message = `the transaction of ${transactionalId} is ${outcome === 'commit' ? 'committed' : 'aborted'}, and not all of its partitions could be told; the next open does it`
  return new LogError('STORAGE_FAILED', message, { cause })
}
