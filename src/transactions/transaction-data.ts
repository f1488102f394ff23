import type { BatchProducer, TransactionEnd } from '../storage/append-call.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability } from '../types.ts'
import type { DataCall } from './data-round.ts'
import { DataRound } from './data-round.ts'
import type { Identity } from './identity.ts'
import type { TransactionPlace } from './transaction-machine.ts'
import type { Appended, TransactionWrite } from './types.ts'

/** A partition in which something of the transaction stands. */
interface Touched {
  readonly firstOffset: number
  /** Behind the last batch. */
  endOffset: number
}

/** What a transaction has written, and what of it is on the way. */
export class TransactionData {
  readonly #identity: Identity
  readonly #rounds: DataRound[] = []
  readonly #touched = new Map<PartitionLog, Touched>()
  /** Rounds that are on the way, and what waits to become one. */
  #unanswered = 0
  #onIdle: (() => void) | undefined
  readonly #wrote = ({ log, baseOffset, count }: DataCall): void => {
    const touched = this.#touched.get(log)
    const endOffset = baseOffset + count
    if (touched !== undefined) touched.endOffset = endOffset
    else if (count > 0) this.#touched.set(log, { firstOffset: baseOffset, endOffset })
  }

  constructor(identity: Identity) {
    this.#identity = identity
  }

  /** Nothing was given to a partition. */
  get isEmpty(): boolean {
    return this.#rounds.length === 0
  }

  /** The partitions where something stands. */
  get logs(): readonly PartitionLog[] {
    return [...this.#touched.keys()]
  }

  /** Those of them where not all is on the disk. */
  get unsynced(): readonly PartitionLog[] {
    const unsynced: PartitionLog[] = []
    for (const [log, { endOffset }] of this.#touched) {
      if (log.syncedOffset < endOffset) unsynced.push(log)
    }
    return unsynced
  }

  /** The partitions, also of what is about to be written. */
  placesWith(writes: readonly TransactionWrite[]): TransactionPlace[] {
    const places: TransactionPlace[] = []
    for (const [{ topic, partition }, { firstOffset }] of this.#touched) {
      places.push({ topic, partition, firstOffset })
    }
    for (const { log } of writes) {
      const { topic, partition } = log
      if (places.some((each) => each.topic === topic && each.partition === partition)) continue
      places.push({ topic, partition, firstOffset: log.logEndOffset })
    }
    return places
  }

  /** Records of all writes that stand, in the order of the writes. */
  appended(): readonly Appended[] {
    const [only] = this.#rounds
    if (only !== undefined && this.#rounds.length === 1) return only.calls.filter(isStanding)
    return this.#rounds.flatMap(({ calls }) => calls.filter(isStanding))
  }

  /** A round of writes, to be started. `ending`: of its only write. */
  round(
    writes: readonly TransactionWrite[],
    durability: Durability,
    ending: TransactionEnd | undefined,
    ended: (failure: Error | undefined) => void,
  ): DataRound {
    this.hold()
    const { producerId, producerEpoch } = this.#identity.state
    const common = { producerId, producerEpoch, baseSequence: -1, isTransactional: true }
    const producer: BatchProducer = ending === undefined ? common : { ...common, ending }
    const round = new DataRound(writes, durability, producer, this.#wrote, (failure) => {
      ended(failure)
      this.letGo()
    })
    this.#rounds.push(round)
    return round
  }

  /** Something is about to become a round; `letGo` follows. */
  hold(): void {
    this.#unanswered += 1
  }

  letGo(): void {
    this.#unanswered -= 1
    if (this.#unanswered > 0) return
    const onIdle = this.#onIdle
    this.#onIdle = undefined
    onIdle?.()
  }

  /** Calls when nothing is on the way: at once, or once. */
  whenIdle(onIdle: () => void): void {
    if (this.#unanswered === 0) onIdle()
    else this.#onIdle = onIdle
  }
}

function isStanding(call: DataCall): boolean {
  return call.isWritten && call.count > 0
}
