import type { ResolvedLogOptions } from '../options.ts'
import type { Topic } from '../topics/topic.ts'
import type { ResolvedDeclaration } from '../topics/topic-definition.ts'
import { resolveDeclaration } from '../topics/topic-definition.ts'
import { TransactionCoordinator } from '../transactions/coordinator.ts'
import { TRANSACTIONS_TOPIC } from '../transactions/state-log.ts'
import type { Clock } from '../types.ts'
import type { GroupOffsets } from './group-offsets.ts'
import type { TopicRegistry } from './topic-registry.ts'

/**
 * How `__transaction_state` is made; an existing directory's partition count rules. Its calls say themselves how durable they are to be. Small segments, as of
 * `__consumer_offsets`: all of it is read by an open.
 */
export const TRANSACTIONS_DECLARATION: ResolvedDeclaration = resolveDeclaration(
  TRANSACTIONS_TOPIC,
  {
    key: 'bytes',
    value: 'bytes',
    partitions: 1,
    durability: 'os',
    cleanupPolicy: 'compact',
    segmentBytes: 1024 * 1024,
  },
)

/** `__transaction_state`, which is made where it is not there. */
export async function stateTopic(topics: TopicRegistry): Promise<Topic> {
  const known = topics.find(TRANSACTIONS_TOPIC)
  if (known !== undefined) return known
  await topics.create(TRANSACTIONS_DECLARATION)
  return topics.get(TRANSACTIONS_TOPIC)
}

export interface TransactionsOptions {
  readonly topics: TopicRegistry
  readonly groups: GroupOffsets
  readonly clock: Clock
  readonly options: ResolvedLogOptions
}

/** The transactions of a log, over its topics. */
export function transactionsOf(given: TransactionsOptions): TransactionCoordinator {
  const { topics, groups, clock, options } = given
  const topic = (): Topic | undefined => topics.find(TRANSACTIONS_TOPIC)
  return new TransactionCoordinator({
    clock,
    durability: options.durability,
    transactionalIdExpirationMs: options.transactionalIdExpirationMs,
    ids: {
      nextProducerId: () => topics.store.nextProducerId,
      takeProducerIds: (count, atLeast) => topics.store.takeProducerIds(count, atLeast),
      partitions: () => topics.partitions(),
    },
    stateLogs: () => topic()?.partitions,
    makeStateLogs: async () => (await stateTopic(topics)).partitions,
    isThere: (log) => topics.isThere(log),
    offsetsDecided: (producerId, outcome) => groups.loaded?.endTransaction(producerId, outcome),
  })
}
