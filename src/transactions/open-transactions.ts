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
  /** Where its marker stands already: it is not to be seen there before it is in `logs`. */
  readonly marked: readonly MarkedPart[]
}

export interface MarkedPart {
  readonly log: PartitionLog
  readonly firstOffset: number
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
      else {
        const decision = { producerId, producerEpoch, outcome }
        found.set(key, { identity, decision, logs: [log], marked: [] })
      }
    }
  }
  return [...found.values()].map((each) => ({ ...each, marked: markedParts(each, partitions) }))
}

/** Of what is decided; brokers do not say where that begins, and let readers see it where it is marked. */
function markedParts(
  { identity, decision, logs }: FoundTransaction,
  partitions: readonly PartitionLog[],
): MarkedPart[] {
  if (identity === undefined || decision.outcome === 'abort') return []
  const marked: MarkedPart[] = []
  for (const { topic, partition, firstOffset } of placesOf(identity.state)) {
    const log = partitions.find((each) => each.topic === topic && each.partition === partition)
    if (log === undefined || firstOffset === -1 || logs.includes(log)) continue
    // What the producer has open there came later.
    if (!log.producers.openTransactions().has(decision.producerId))
      marked.push({ log, firstOffset })
  }
  return marked
}

/** Keeps what is marked from readers, beside what is open, until all of it can be seen. */
export function holdMarked(found: readonly FoundTransaction[]): void {
  const held = new Map<PartitionLog, Map<number, number>>()
  for (const { decision, marked } of found) {
    for (const { log, firstOffset } of marked) {
      const of = held.get(log) ?? new Map(log.producers.openTransactions())
      of.set(decision.producerId, firstOffset)
      held.set(log, of)
    }
  }
  for (const [log, of] of held) {
    log.visible.holdOnly(new Map([...of].sort(([, a], [, b]) => a - b)))
  }
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
