import type { RecordSet } from '../codec/record-set.ts'
import type { BatchProducer } from '../storage/append-call.ts'
import { AppendCall } from '../storage/append-call.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability } from '../types.ts'
import type { Appended, TransactionWrite } from './types.ts'

/** Records for several partitions, given to them in one turn: what is written in one turn goes out together, whosever it is. */
export class DataRound {
  readonly calls: readonly DataCall[]
  /** Until it is started: the records of a long transaction are not kept until its end. */
  #writes: readonly TransactionWrite[]
  readonly #wrote: (call: DataCall) => void
  readonly #ended: (failure: Error | undefined) => void
  #unanswered = 0
  #failure: Error | undefined

  /**
   * @param wrote told of each call that is acknowledged.
   * @param ended told once, when all are answered; `failure`: of the first one that was refused.
   */
  constructor(
    writes: readonly TransactionWrite[],
    durability: Durability,
    producer: BatchProducer,
    wrote: (call: DataCall) => void,
    ended: (failure: Error | undefined) => void,
  ) {
    this.#writes = writes
    this.#wrote = wrote
    this.#ended = ended
    this.calls = writes.map((write) => new DataCall(this, write, durability, producer))
  }

  start(): void {
    // One more, so that answers that come at once are not taken for the last one.
    this.#unanswered = this.calls.length + 1
    const writes = this.#writes
    this.#writes = []
    for (let i = 0; i < this.calls.length; i += 1) {
      const { log, set } = writes[i] as TransactionWrite
      log.append(set, this.calls[i] as DataCall)
    }
    this.#answered()
  }

  wrote(call: DataCall): void {
    this.#wrote(call)
    this.#answered()
  }

  refused(error: Error): void {
    this.#failure ??= error
    this.#answered()
  }

  #answered(): void {
    this.#unanswered -= 1
    if (this.#unanswered === 0) this.#ended(this.#failure)
  }
}

export class DataCall extends AppendCall implements Appended {
  readonly log: PartitionLog
  isWritten = false
  readonly #round: DataRound

  constructor(
    round: DataRound,
    { log, expectedOffset, compression }: TransactionWrite,
    durability: Durability,
    producer: BatchProducer,
  ) {
    super(durability, expectedOffset, undefined, compression)
    this.log = log
    this.#round = round
    this.producer = producer
  }

  acknowledged(): void {
    this.isWritten = true
    this.#round.wrote(this)
  }

  failed(error: Error): void {
    this.#round.refused(error)
  }
}

const NO_RECORDS: RecordSet = { keys: [], values: [], headers: undefined, timestamps: undefined }

/** A marker alone, as a write. */
export function markerFor(log: PartitionLog): TransactionWrite {
  return { log, set: NO_RECORDS, expectedOffset: -1, compression: undefined }
}
