/**
 * Transactions without a name that are committed in the same turn of the event loop go to the log as one: a batch of all of them in each partition,
 * one decision, one marker a partition. Each is seen whole or not at all, as all of them are.
 *
 * Two of them may be on their way, so that the data of one is written while the other is decided; who comes meanwhile goes together with the next. One that is
 * decided, and whose markers wait for room, keeps nobody.
 *
 * What fails all of them because of one (its topic is being deleted, its partition fails) is aborted, and each is then committed by itself. What may be
 * tried again (no room on the disk, a compression that has failed), and what nobody knows the end of, is told to all.
 */
import { encodedSizeBound } from '../codec/batch-encoder.ts'
import type { RecordSet } from '../codec/record-set.ts'
import { LogError } from '../errors.ts'
import type { PartitionLog } from '../storage/partition-log.ts'
import type { Durability } from '../types.ts'
import { Deferred } from '../util/deferred.ts'
import { asError } from '../util/error-code.ts'
import { JoinedWrite } from './joined-write.ts'
import type {
  Appended,
  OpenTransaction,
  TransactionalProducer,
  TransactionPhase,
  TransactionWrite,
} from './types.ts'

const MOST_UNDER_WAY = 2

/** One of the transactions. It is told exactly one of the last three. */
export interface JoinedTransaction {
  /** It is committed: in the turn in which all of it is seen. */
  decided(appended: readonly Appended[]): void
  /** All has been done for it. */
  committed(): void
  /** All were aborted because of one of them, which may have been another. */
  parted(writes: readonly TransactionWrite[]): void
  /** It has ended in this phase. */
  failed(error: Error, phase: TransactionPhase): void
}

export interface Producers {
  take(): Promise<TransactionalProducer> | TransactionalProducer
  /** When its transaction has ended. */
  giveBack(producer: TransactionalProducer): void
}

export class JointCommits {
  readonly #producers: Producers
  /** To be begun, in this order; the last one of a level takes more. */
  #waiting: JointCommit[] = []
  #underWay = 0
  #isScheduled = false
  #onIdle: Deferred<void> | undefined
  readonly #beginTask = (): void => {
    this.#isScheduled = false
    while (this.#underWay < MOST_UNDER_WAY && this.#waiting.length > 0) this.#beginNext()
  }

  constructor(producers: Producers) {
    this.#producers = producers
  }

  /** Writes that this takes: without conditions, with all timestamps or none, and not to be refused whatever they are. */
  static takes(writes: readonly TransactionWrite[]): boolean {
    return writes.every(({ log, expectedOffset, set }) => {
      if (expectedOffset !== -1 || log.failure !== undefined) return false
      return set.timestamps?.includes(undefined) !== true
    })
  }

  /** At most one write for a partition. The bytes have been taken, or are the transaction's own until it is told. */
  add(
    transaction: JoinedTransaction,
    writes: readonly TransactionWrite[],
    durability: Durability,
  ): void {
    let joint = this.#waiting.findLast((each) => each.durability === durability)
    if (joint?.tryAdd(transaction, writes) !== true) {
      joint = new JointCommit(durability, transaction, writes)
      this.#waiting.push(joint)
    }
    this.#schedule()
  }

  /** Resolves when all that were called to commit have ended, or wait for room. */
  idle(): Promise<void> {
    if (this.#underWay === 0 && this.#waiting.length === 0) return Promise.resolve()
    this.#onIdle ??= new Deferred()
    return this.#onIdle.promise
  }

  /** Once all that is called in this turn has been. */
  #schedule(): void {
    if (this.#isScheduled || this.#underWay >= MOST_UNDER_WAY) return
    this.#isScheduled = true
    process.nextTick(this.#beginTask)
  }

  #beginNext(): void {
    const joint = this.#waiting.shift() as JointCommit
    this.#underWay += 1
    let isUnderWay = true
    const ended = (): void => {
      if (!isUnderWay) return
      isUnderWay = false
      this.#underWay -= 1
      if (this.#waiting.length > 0) this.#schedule()
      else if (this.#underWay === 0) this.#onIdle?.resolve()
    }
    try {
      const producer = this.#producers.take()
      if (!(producer instanceof Promise)) this.#commit(joint, producer, ended)
      else {
        producer.then(
          (made) => this.#commit(joint, made, ended),
          (error: unknown) => {
            joint.failed(asError(error), 'aborted')
            ended()
          },
        )
      }
    } catch (error) {
      joint.failed(asError(error), 'aborted')
      ended()
    }
  }

  #commit(joint: JointCommit, producer: TransactionalProducer, ended: () => void): void {
    const end = (): void => {
      this.#producers.giveBack(producer)
      ended()
    }
    let run: OpenTransaction
    try {
      const { durability } = joint
      run = producer.begin({ timeoutMs: undefined, durability, onStalled: ended })
    } catch (error) {
      joint.failed(asError(error), 'aborted')
      end()
      return
    }
    run.onDecided((outcome, appended) => {
      if (outcome === 'commit') joint.decided(appended)
    })
    run.commit(joint.writes()).then(
      () => {
        end()
        joint.committed()
      },
      (error: unknown) => {
        end()
        const { state } = run
        if (state === 'aborted' || state === 'aborting') joint.aborted(asError(error))
        else joint.failed(asError(error), state)
      },
    )
  }
}

interface Member {
  readonly transaction: JoinedTransaction
  readonly writes: readonly TransactionWrite[]
  /** Where the records of each write are among those of its partition. */
  readonly firsts: number[]
}

class JointCommit {
  readonly durability: Durability
  readonly #members: Member[] = []
  readonly #parts = new Map<PartitionLog, JointBatch>()

  constructor(
    durability: Durability,
    transaction: JoinedTransaction,
    writes: readonly TransactionWrite[],
  ) {
    this.durability = durability
    this.#add(transaction, writes)
  }

  /** False where they do not fit. */
  tryAdd(transaction: JoinedTransaction, writes: readonly TransactionWrite[]): boolean {
    for (const write of writes) {
      if (this.#parts.get(write.log)?.takes(write) === false) return false
    }
    this.#add(transaction, writes)
    return true
  }

  writes(): readonly TransactionWrite[] {
    return Array.from(this.#parts.values(), ({ write }) => write)
  }

  decided(appended: readonly Appended[]): void {
    for (const each of appended) {
      const part = this.#parts.get(each.log)
      if (part !== undefined) part.appended = each
    }
    for (const { transaction, writes, firsts } of this.#members) {
      transaction.decided(writes.map(({ log, set }, i) => this.#share(log, set, firsts[i] ?? 0)))
    }
  }

  committed(): void {
    for (const { transaction } of this.#members) transaction.committed()
  }

  /** Nothing of it stands. */
  aborted(error: Error): void {
    const isOfAll = error instanceof LogError && error.retryable
    if (isOfAll || this.#members.length === 1) this.failed(error, 'aborted')
    else for (const { transaction, writes } of this.#members) transaction.parted(writes)
  }

  failed(error: Error, phase: TransactionPhase): void {
    for (const { transaction } of this.#members) transaction.failed(error, phase)
  }

  #add(transaction: JoinedTransaction, writes: readonly TransactionWrite[]): void {
    const firsts: number[] = []
    for (const write of writes) {
      const part = this.#parts.get(write.log)
      firsts.push(part?.count ?? 0)
      if (part === undefined) this.#parts.set(write.log, new JointBatch(write))
      else part.add(write)
    }
    this.#members.push({ transaction, writes, firsts })
  }

  #share(log: PartitionLog, { values, timestamps }: RecordSet, first: number): Appended {
    const { appended } = this.#parts.get(log) as JointBatch
    const { baseOffset, timestamp } = appended as Appended
    const isOwn = timestamps !== undefined && log.config.timestampType !== 'LogAppendTime'
    return {
      log,
      baseOffset: baseOffset + first,
      count: values.length,
      timestamp: isOwn ? greatest(timestamps as readonly number[]) : timestamp,
    }
  }
}

/** The records of all in one partition. */
class JointBatch {
  readonly write: JoinedWrite
  appended: Appended | undefined

  constructor(write: TransactionWrite) {
    const { log, compression, set } = write
    this.write = new JoinedWrite(log, compression, set, boundOf(write))
  }

  get count(): number {
    return this.write.set.values.length
  }

  takes(write: TransactionWrite): boolean {
    const areTimed = write.set.timestamps !== undefined
    if (areTimed !== (this.write.set.timestamps !== undefined)) return false
    return this.write.takes(write.compression, boundOf(write))
  }

  add(write: TransactionWrite): void {
    this.write.add(write.set, boundOf(write))
  }
}

function boundOf({ boundBytes, set }: TransactionWrite): number {
  return boundBytes ?? encodedSizeBound(set)
}

function greatest(timestamps: readonly number[]): number {
  return timestamps.reduce((max, each) => Math.max(max, each))
}
