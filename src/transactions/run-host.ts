import type { PartitionLog } from '../storage/partition-log.ts'
import type { Clock, Durability } from '../types.ts'
import type { DecidedTransaction } from './decided-transaction.ts'
import type { Identity, UnderWay } from './identity.ts'

/** What a transaction needs of the coordinator. */
export interface RunHost {
  readonly clock: Clock
  /** Of the log. */
  readonly durability: Durability
  /** False once the deletion of its topic has begun. */
  isThere(log: PartitionLog): boolean
  /** The markers wait for room: to be tried again, later. */
  stalled(transaction: DecidedTransaction, error: Error): void
  /** Nothing of it is under way any more. */
  ended(identity: Identity, run: UnderWay): void
}
