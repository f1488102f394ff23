import type { RecordSet } from '../codec/record-set.ts'
import { LogError } from '../errors.ts'
import type { BatchProducer, TransactionEnd } from '../storage/append-call.ts'
import { AppendCall } from '../storage/append-call.ts'
import { releaseAborted, releaseJointly } from '../storage/joint-release.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { TransactionOutcome } from './types.ts'

const NO_RECORDS: RecordSet = { keys: [], values: [], headers: undefined, timestamps: undefined }

/** How a transaction ends, and under which identity. */
export interface Decision {
  readonly producerId: number
  /** Of the markers. */
  readonly producerEpoch: number
  readonly outcome: TransactionOutcome
}

/** Told how the markers fare, each time they were tried; `stood` comes once, in the turn in which the last one stands. */
export interface MarkerListener {
  stood(): void
  /** There is no room for some of them; readers wait, and `write` is to be called again. */
  stalled(error: LogError): void
  /** A partition has failed; readers wait for the next open. */
  failed(error: Error): void
}

class DecidedPart {
  readonly log: PartitionLog
  /** Where the log ends behind the marker; -1: it does not stand yet. */
  endOffset = -1
  /** The partition was deleted: there is nobody to tell. */
  isGone = false

  constructor(log: PartitionLog) {
    this.log = log
  }

  get isOpen(): boolean {
    return this.endOffset === -1 && !this.isGone
  }
}

/** A transaction that is decided: its markers are written, and then its readers are told, in all partitions in one turn. */
export class DecidedTransaction {
  readonly decision: Decision
  readonly #parts: readonly DecidedPart[]
  readonly #isThere: (log: PartitionLog) => boolean
  readonly #listener: MarkerListener
  readonly #marked: readonly PartitionLog[]
  #unanswered = 0
  #failure: Error | undefined
  #hasStood = false

  /** @param marked other partitions of it, where the marker stands. */
  constructor(
    decision: Decision,
    logs: readonly PartitionLog[],
    isThere: (log: PartitionLog) => boolean,
    listener: MarkerListener,
    marked: readonly PartitionLog[] = [],
  ) {
    this.decision = decision
    this.#parts = logs.map((log) => new DecidedPart(log))
    this.#isThere = isThere
    this.#listener = listener
    this.#marked = marked
  }

  get logs(): readonly PartitionLog[] {
    return this.#parts.map(({ log }) => log)
  }

  /** All markers stand, and readers have been told. */
  get hasStood(): boolean {
    return this.#hasStood
  }

  /** And are on the disk: what is written later cannot be taken for a part of it, whatever happens. */
  get isDurable(): boolean {
    return this.#hasStood && this.#parts.every((part) => this.#isOnDisk(part))
  }

  /** Those whose marker stands and is not on the disk. */
  get unsynced(): readonly PartitionLog[] {
    return this.#parts.filter((part) => !this.#isOnDisk(part)).map(({ log }) => log)
  }

  /** Writes the markers that do not stand, in one turn. Nothing happens while they are being written. */
  write(): void {
    if (this.#unanswered > 0 || this.#hasStood) return
    this.#failure = undefined
    const open = this.#parts.filter(({ isOpen }) => isOpen)
    // One more, so that answers that come at once are not taken for the last one.
    this.#unanswered = open.length + 1
    const { producerId, producerEpoch, outcome } = this.decision
    for (const part of open) {
      const ending = endingIn(part.log, producerId, outcome)
      const producer = {
        producerId,
        producerEpoch,
        baseSequence: -1,
        isTransactional: true,
        ending,
      }
      part.log.append(NO_RECORDS, new MarkerCall(this, part, producer))
    }
    this.#answered()
  }

  /** It is not tried again before the next open. */
  abandon(error: Error): void {
    this.#listener.failed(error)
  }

  wrote(part: DecidedPart, endOffset: number): void {
    part.endOffset = endOffset
    this.#answered()
  }

  refused(part: DecidedPart, error: Error): void {
    if (!this.#isThere(part.log)) part.isGone = true
    // What may be tried again is told where nothing worse has happened.
    else if (this.#failure === undefined || isRetryable(this.#failure)) this.#failure = error
    this.#answered()
  }

  #answered(): void {
    this.#unanswered -= 1
    if (this.#unanswered > 0) return
    const failure = this.#failure
    if (failure === undefined) {
      this.#stand()
      return
    }
    // What is aborted is seen nowhere: no partition has to wait for another.
    if (this.decision.outcome === 'abort') this.#release(this.#parts.filter((part) => !part.isOpen))
    if (isRetryable(failure)) this.#listener.stalled(failure)
    else this.#listener.failed(failure)
  }

  /** In one turn: whoever looks at all last stable offsets sees all of the transaction, or nothing of it. */
  #stand(): void {
    this.#hasStood = true
    this.#listener.stood()
    this.#release(this.#parts, this.#marked)
  }

  #release(parts: readonly DecidedPart[], marked: readonly PartitionLog[] = []): void {
    const logs = [...parts.map(({ log }) => log), ...marked]
    const { producerId, outcome } = this.decision
    if (outcome === 'commit') releaseJointly(producerId, logs)
    else releaseAborted(producerId, logs)
  }

  #isOnDisk(part: DecidedPart): boolean {
    if (part.isGone || part.log.syncedOffset >= part.endOffset) return true
    return !this.#isThere(part.log)
  }
}

class MarkerCall extends AppendCall {
  readonly #transaction: DecidedTransaction
  readonly #part: DecidedPart

  constructor(transaction: DecidedTransaction, part: DecidedPart, producer: BatchProducer) {
    super('os', -1, undefined)
    this.#transaction = transaction
    this.#part = part
    this.producer = producer
  }

  acknowledged(): void {
    this.#transaction.wrote(this.#part, this.baseOffset + 1)
  }

  failed(error: Error): void {
    this.#transaction.refused(this.#part, error)
  }
}

/** The marker says as its coordinator's epoch what the partition knows already: never less, or a broker would take it for an old one's. */
export function endingIn(
  log: PartitionLog,
  producerId: number,
  outcome: TransactionOutcome,
): TransactionEnd {
  const known = log.producers.get(producerId)?.coordinatorEpoch ?? 0
  return { outcome, coordinatorEpoch: Math.max(known, 0) }
}

function isRetryable(error: Error): error is LogError {
  return error instanceof LogError && error.retryable
}
