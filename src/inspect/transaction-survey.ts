/** The transactions of a data directory: what `__transaction_state` says of them, joined with what the partitions know of their producers. */
import type { PartitionName } from '../storage/file-names.ts'
import type { ProducerEntry } from '../storage/producer-state.ts'
import { decisionOf, placesOf } from '../transactions/transaction-machine.ts'
import type { TransactionState } from '../transactions/transaction-state-format.ts'
import { comparePartitions } from '../util/compare.ts'
import { listDirectory } from './directory-listing.ts'
import { directoryState } from './directory-state.ts'
import type { SurveyOptions } from './producer-survey.ts'
import { partitionProducers } from './producer-survey.ts'
import type { StoredTransaction, StoredTransactions } from './transaction-states.ts'
import { storedTransactions } from './transaction-states.ts'
import type { DirectoryState } from './verify-context.ts'

/** The longest that a transaction may take where nothing else is known: Kafka's `transaction.max.timeout.ms`. */
export const LONGEST_TRANSACTION_MS: number = 15 * 60 * 1000

/** A transaction that a partition has no marker of yet. */
export interface OpenTransactionPart extends PartitionName {
  readonly producerId: number
  readonly producerEpoch: number
  readonly firstOffset: number
  /** Of the producer's last batch there, milliseconds. */
  readonly lastTimestamp: number
  /** Whose it is; null where `__transaction_state` does not know the producer. */
  readonly transactionalId: string | null
  /**
   * True: nothing in `__transaction_state` will decide it. Beside a live writer, whose commits are on the way for moments without being named
   * there, it has to be older than its time-out as well, and still be there at a second look.
   */
  readonly isHanging: boolean
}

export interface TransactionSurvey {
  readonly state: DirectoryState
  /** By transactional id. */
  readonly stored: readonly StoredTransaction[]
  /** By topic and partition. */
  readonly open: readonly OpenTransactionPart[]
  /** Records of `__transaction_state` that cannot be read. */
  readonly unread: number
}

/** Whether markers are still due, or are not known to be on the disk yet. */
export function isUnderWay(state: TransactionState): boolean {
  return decisionOf(state) !== undefined
}

export async function surveyTransactions(
  options: SurveyOptions,
  nowMs: number,
): Promise<TransactionSurvey> {
  const { fileSystem, directory } = options
  const { partitions } = await listDirectory(fileSystem, directory)
  const { state } = await directoryState(fileSystem, directory)
  // What is open first: a decision that is made meanwhile is seen then.
  const found = await openParts(options, partitions)
  const transactions = await storedTransactions(options, partitions)
  const owners = ownersOf(transactions)
  const open = found.map((part) => judged(part, owners, state, nowMs))
  const suspects = open.filter(({ isHanging }) => isHanging)
  const still =
    state === 'live' && suspects.length > 0 ? await openParts(options, suspects) : undefined
  return {
    state,
    stored: [...transactions.byId.values()].sort(byTransactionalId),
    open: open
      .map((part) => (still?.some((each) => isSame(each, part)) === false ? cleared(part) : part))
      .sort((a, b) => comparePartitions(a, b) || a.firstOffset - b.firstOffset),
    unread: transactions.unread.length,
  }
}

/** What a partition says of a transaction that is open in it. */
export interface FoundPart extends PartitionName {
  readonly entry: ProducerEntry
}

async function openParts(
  options: SurveyOptions,
  partitions: readonly PartitionName[],
): Promise<readonly FoundPart[]> {
  const found: FoundPart[] = []
  const seen = new Set<string>()
  for (const { topic, partition } of partitions) {
    const name = `${topic}-${partition}`
    if (seen.has(name)) continue
    seen.add(name)
    const { producers } = await partitionProducers(options, { topic, partition })
    for (const entry of producers) {
      if (entry.currentTxnFirstOffset !== undefined) found.push({ topic, partition, entry })
    }
  }
  return found
}

/** Who has a producer id; of several who had it the one with the highest epoch. */
export function ownersOf({ byId }: StoredTransactions): ReadonlyMap<number, StoredTransaction> {
  const owners = new Map<number, StoredTransaction>()
  for (const each of byId.values()) {
    const { producerId, previousProducerId, nextProducerId, producerEpoch } = each.state
    for (const id of [producerId, previousProducerId, nextProducerId]) {
      const known = owners.get(id)
      if (id < 0 || (known !== undefined && known.state.producerEpoch > producerEpoch)) continue
      owners.set(id, each)
    }
  }
  return owners
}

function judged(
  { topic, partition, entry }: FoundPart,
  owners: ReadonlyMap<number, StoredTransaction>,
  state: DirectoryState,
  nowMs: number,
): OpenTransactionPart {
  const { producerId, producerEpoch, currentTxnFirstOffset = 0, lastTimestamp } = entry
  const owner = owners.get(producerId)
  const timeoutMs = owner?.state.transactionTimeoutMs ?? LONGEST_TRANSACTION_MS
  const isOld = nowMs - lastTimestamp > timeoutMs
  return {
    topic,
    partition,
    producerId,
    producerEpoch,
    firstOffset: currentTxnFirstOffset,
    lastTimestamp,
    transactionalId: owner?.transactionalId ?? null,
    isHanging: !willBeDecided(owner, entry, { topic, partition }) && (state !== 'live' || isOld),
  }
}

/** Whether the state of its transactional id says how it ends, or that it goes on. */
export function willBeDecided(
  owner: StoredTransaction | undefined,
  { producerId, producerEpoch, currentTxnFirstOffset }: ProducerEntry,
  { topic, partition }: PartitionName,
): boolean {
  if (owner === undefined || !isUnderWay(owner.state)) return false
  const { state } = owner
  if (state.producerId === producerId && state.producerEpoch < producerEpoch) return false
  // One that came after it, of the same producer and epoch, begins elsewhere.
  return placesOf(state).some(
    (place) =>
      place.topic === topic &&
      place.partition === partition &&
      (place.firstOffset === -1 || place.firstOffset === currentTxnFirstOffset),
  )
}

function isSame({ topic, partition, entry }: FoundPart, part: OpenTransactionPart): boolean {
  return (
    topic === part.topic &&
    partition === part.partition &&
    entry.producerId === part.producerId &&
    entry.currentTxnFirstOffset === part.firstOffset
  )
}

/** It was decided between two looks. */
function cleared(part: OpenTransactionPart): OpenTransactionPart {
  return { ...part, isHanging: false }
}

function byTransactionalId(a: StoredTransaction, b: StoredTransaction): number {
  return a.transactionalId < b.transactionalId ? -1 : 1
}
