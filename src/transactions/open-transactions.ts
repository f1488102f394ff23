/** What an open finds of transactions, and how each is to end. Pure. */
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Decision } from './decided-transaction.ts'
import type { Identity } from './identity.ts'
import { decisionOf, placesOf } from './transaction-machine.ts'
import type { TransactionOutcome } from './types.ts'

/** A transaction, or a part of one, for which there is no marker. */
export interface FoundTransaction {
  /** Undefined: `__transaction_state` does not know the producer. */
  readonly identity: Identity | undefined
  readonly decision: Decision
  readonly logs: readonly PartitionLog[]
}

interface MutableFound extends FoundTransaction {
  readonly logs: PartitionLog[]
}

/** All that is open in the partitions, by producer and by how it ends. */
export function findOpenTransactions(
  partitions: readonly PartitionLog[],
  identities: Iterable<Identity>,
): readonly FoundTransaction[] {
  const byProducerId = new Map<number, Identity>()
  for (const identity of identities) byProducerId.set(identity.state.producerId, identity)
  const found = new Map<string, MutableFound>()
  for (const log of partitions) {
    for (const [producerId, firstOffset] of log.producers.openTransactions()) {
      const identity = byProducerId.get(producerId)
      const written = log.producers.get(producerId)?.producerEpoch ?? 0
      const outcome = outcomeIn(log, firstOffset, written, identity)
      // The epoch of an abort may be above that of the data; what came later may have one that is above both.
      const decided = identity === undefined ? -1 : identity.state.producerEpoch
      const producerEpoch = Math.max(written, decided)
      const key = `${producerId} ${producerEpoch} ${outcome}`
      const known = found.get(key)
      if (known !== undefined) known.logs.push(log)
      else
        found.set(key, { identity, decision: { producerId, producerEpoch, outcome }, logs: [log] })
    }
  }
  return [...found.values()]
}

/**
 * Committed is what `__transaction_state` says so of: the producer, the partition, and where it begins there; brokers do not say that, and let no
 * transaction begin before the last one is complete. With version 2 of transactions the epoch of the decision is one above that of the data.
 */
function outcomeIn(
  { topic, partition }: PartitionLog,
  firstOffset: number,
  producerEpoch: number,
  identity: Identity | undefined,
): TransactionOutcome {
  if (identity === undefined || decisionOf(identity.state) !== 'commit') return 'abort'
  if (producerEpoch > identity.state.producerEpoch) return 'abort'
  const isDecided = placesOf(identity.state).some(
    (place) =>
      place.topic === topic &&
      place.partition === partition &&
      (place.firstOffset === -1 || place.firstOffset === firstOffset),
  )
  return isDecided ? 'commit' : 'abort'
}
