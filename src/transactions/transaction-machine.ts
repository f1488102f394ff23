/**
 * What `__transaction_state` says of a transactional id, from one record to the next. Pure: no I/O, no timers.
 *
 *   (nothing) --init--> Empty --add--> Ongoing --prepare--> PrepareCommit | PrepareAbort --complete--> CompleteCommit | CompleteAbort
 *
 * As in Kafka's `TransactionMetadata`, with two liberties of who decides and writes in one process: `prepare` may come without `add`, since an open
 * looks for open transactions in the partitions themselves; and `complete` without `prepare`, for a transaction that the marker in its only
 * partition has decided. `init` raises the epoch, and so does an abort that fences its producer.
 */
import type { TopicPartitions } from '../groups/types.ts'
import type { TransactionState, TransactionStatus } from './transaction-state-format.ts'
import type { TransactionOutcome } from './types.ts'

/** The last epoch that is given to a producer; one more is left, to fence it. */
export const LAST_PRODUCER_EPOCH: number = 32_766

/** A partition of a transaction, and where it begins there. */
export interface TransactionPlace {
  readonly topic: string
  readonly partition: number
  readonly firstOffset: number
}

export type TransactionEvent =
  | {
      readonly type: 'init'
      readonly transactionTimeoutMs: number
      /** Where `needsProducerId` says so. */
      readonly newProducerId: number | undefined
    }
  | {
      readonly type: 'add'
      readonly places: readonly TransactionPlace[]
      readonly startTimestamp: number
    }
  | {
      readonly type: 'prepare'
      readonly outcome: TransactionOutcome
      readonly places: readonly TransactionPlace[]
      readonly startTimestamp: number
      /** The producer is not to write any more: the epoch is raised. */
      readonly fences?: boolean
    }
  | { readonly type: 'complete'; readonly outcome: TransactionOutcome }

/** The event cannot come in this state. */
export class TransactionOrderError extends Error {
  override readonly name = 'TransactionOrderError'
}

const IDLE: ReadonlySet<TransactionStatus> = new Set<TransactionStatus>([
  'Empty',
  'CompleteCommit',
  'CompleteAbort',
])

/** Nothing of it is under way: it may begin a transaction, be inited, or be forgotten. */
export function isIdle({ status }: TransactionState): boolean {
  return IDLE.has(status)
}

/** An init needs a new producer id: there is none, or its epochs are used up. */
export function needsProducerId(state: TransactionState | undefined): boolean {
  return state === undefined || state.producerEpoch >= LAST_PRODUCER_EPOCH
}

/** How a transaction with this state ends that is found at an open; undefined: none is under way. */
export function decisionOf({ status }: TransactionState): TransactionOutcome | undefined {
  if (IDLE.has(status) || status === 'Dead') return undefined
  return status === 'PrepareCommit' ? 'commit' : 'abort'
}

/** The next state, which is to be stored. Throws `TransactionOrderError`; nothing has happened then. */
export function transition(
  state: TransactionState | undefined,
  event: TransactionEvent,
  now: number,
): TransactionState {
  if (event.type === 'init') return inited(state, event, now)
  if (state === undefined) throw new TransactionOrderError(`${event.type} before init`)
  if (event.type === 'complete') return completed(state, event.outcome, now)
  if (state.status !== 'Ongoing' && !isIdle(state)) {
    throw new TransactionOrderError(`${event.type} in ${state.status}`)
  }
  const { places, startTimestamp } = event
  const fences = event.type === 'prepare' && event.fences === true
  return {
    ...state,
    ...listed(places),
    producerEpoch: fences ? state.producerEpoch + 1 : state.producerEpoch,
    status: event.type === 'add' ? 'Ongoing' : preparedStatus(event.outcome),
    clientTransactionVersion: 0,
    lastUpdateTimestamp: now,
    startTimestamp,
  }
}

function inited(
  state: TransactionState | undefined,
  { transactionTimeoutMs, newProducerId }: Extract<TransactionEvent, { type: 'init' }>,
  now: number,
): TransactionState {
  if (state !== undefined && !isIdle(state)) {
    throw new TransactionOrderError(`init in ${state.status}`)
  }
  const isNew = needsProducerId(state)
  if (isNew && newProducerId === undefined) {
    throw new TransactionOrderError('init without a producer id')
  }
  return {
    producerId: isNew ? (newProducerId as number) : (state as TransactionState).producerId,
    previousProducerId: state === undefined ? -1 : state.producerId,
    nextProducerId: -1,
    producerEpoch: isNew ? 0 : (state as TransactionState).producerEpoch + 1,
    transactionTimeoutMs,
    status: 'Empty',
    partitions: [],
    lastUpdateTimestamp: now,
    startTimestamp: -1,
    clientTransactionVersion: 0,
  }
}

function completed(
  state: TransactionState,
  outcome: TransactionOutcome,
  now: number,
): TransactionState {
  if (isIdle(state)) throw new TransactionOrderError(`complete in ${state.status}`)
  const { firstOffsets: _, ...rest } = state
  // A broker with version 2 of transactions says with the decision whose the next one is, where the epochs are used up.
  const isRotated = state.nextProducerId !== -1
  return {
    ...rest,
    producerId: isRotated ? state.nextProducerId : state.producerId,
    previousProducerId: isRotated ? state.producerId : state.previousProducerId,
    nextProducerId: -1,
    producerEpoch: isRotated ? 0 : state.producerEpoch,
    status: outcome === 'commit' ? 'CompleteCommit' : 'CompleteAbort',
    partitions: [],
    clientTransactionVersion: 0,
    lastUpdateTimestamp: now,
  }
}

function preparedStatus(outcome: TransactionOutcome): TransactionStatus {
  return outcome === 'commit' ? 'PrepareCommit' : 'PrepareAbort'
}

/** The places by topic, each topic once, as Kafka writes them. */
function listed(places: readonly TransactionPlace[]): {
  readonly partitions: readonly TopicPartitions[]
  readonly firstOffsets: readonly number[]
} {
  const byTopic = new Map<string, TransactionPlace[]>()
  for (const place of places) {
    const of = byTopic.get(place.topic)
    if (of === undefined) byTopic.set(place.topic, [place])
    else of.push(place)
  }
  const partitions: TopicPartitions[] = []
  const firstOffsets: number[] = []
  for (const [topic, of] of byTopic) {
    partitions.push({ topic, partitions: of.map(({ partition }) => partition) })
    for (const { firstOffset } of of) firstOffsets.push(firstOffset)
  }
  return { partitions, firstOffsets }
}

/** The partitions of a state, with where the transaction begins in them; -1: that is not known. */
export function placesOf({ partitions, firstOffsets }: TransactionState): TransactionPlace[] {
  const places: TransactionPlace[] = []
  for (const { topic, partitions: numbers } of partitions) {
    for (const partition of numbers) {
      places.push({ topic, partition, firstOffset: firstOffsets?.[places.length] ?? -1 })
    }
  }
  return places
}
