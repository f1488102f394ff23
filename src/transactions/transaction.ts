import { LogError } from '../errors.ts'
import type { Consumer } from '../groups/consumer/consumer.ts'
import type { ConsumedRecord } from '../groups/consumer/page-source.ts'
import type { OffsetCommit } from '../groups/types.ts'
import type { ResolvedProduceOptions, TransactionProduceOptions } from '../options.ts'
import { resolveTransactionProduceOptions } from '../options.ts'
import type { PreparedProduce, PreparedRecord } from '../topics/produce.ts'
import type { Topic } from '../topics/topic.ts'
import type { AnyTopics, KeyOf, ProducedOf, TopicName } from '../topics/topic-types.ts'
import type { Durability, ProduceRecord, TopicPartition } from '../types.ts'
import { comparePartitions } from '../util/compare.ts'
import { TransactionBuffer } from './transaction-buffer.ts'
import type { OffsetsAccess } from './transaction-offsets.ts'
import { TransactionOffsets } from './transaction-offsets.ts'
import type { Appended, OpenTransaction, TransactionPhase } from './types.ts'

/** Where the records of a committed transaction stand in one partition. */
export interface CommittedPartition extends TopicPartition {
  readonly baseOffset: number
  /** Others' records may lie between, where some were written before the commit. */
  readonly lastOffset: number
  /** The greatest timestamp of the records. */
  readonly timestamp: number
}

export interface TransactionAcknowledgement {
  /** The level that the commit has. */
  readonly durability: Durability
  /** By topic, then partition. */
  readonly partitions: readonly CommittedPartition[]
}

/** A call's records, serialized and partitioned. */
export interface PreparedCall {
  readonly topic: Topic
  readonly prepared: PreparedProduce
}

/** The same, of one record. */
export interface PreparedOne {
  readonly topic: Topic
  readonly prepared: PreparedRecord
}

type One = ProduceRecord<unknown, unknown>

/** What a transaction needs of its log. */
export interface TransactionContext {
  readonly maxTransactionBytes: number
  readonly offsets: OffsetsAccess
  now(): number
  /** Throws `CLOSED`, `READ_ONLY`, or why the log takes no more writes. */
  requireWritable(): void
  /** The log's close waits for it. */
  track<R>(work: Promise<R>): Promise<R>
  /** The same, of one record; undefined where its topic is not there. */
  prepareOne(topic: string, record: One, options: ResolvedProduceOptions): PreparedOne | undefined
  /** Throws what is wrong with a call. A promise where its topic is to be made first. */
  prepare(
    topic: string,
    records: readonly ProduceRecord<unknown, unknown>[],
    options: ResolvedProduceOptions,
  ): PreparedCall | Promise<PreparedCall>
}

let finish: <T extends object>(tx: Transaction<T>) => Promise<unknown>
let fail: <T extends object>(tx: Transaction<T>, error: unknown) => Promise<void>

const DONE: Promise<void> = Promise.resolve()

/**
 * Records for any partitions of any topics, and offsets of groups: seen all at once, by readers of what is committed, or never.
 *
 * What is wrong with a call is told by that call, which changes nothing then; the transaction goes on. Where records cannot be appended, or a condition does
 * not hold, all of it is aborted.
 */
export class Transaction<T extends object = AnyTopics> implements AsyncDisposable {
  static {
    finish = (tx) => {
      if (tx.#end !== undefined) return tx.#ending as Promise<unknown>
      return tx.#mayCommitNow() ? tx.#commitNow() : tx.commit()
    }
    fail = (tx, error) => tx.#fail(error)
  }

  readonly #context: TransactionContext
  readonly #open: OpenTransaction
  readonly #buffer = new TransactionBuffer()
  readonly #offsets: TransactionOffsets
  /** Calls that wait for something before they are buffered. */
  #calls: Set<Promise<unknown>> | undefined
  #spilling: Promise<void> | undefined
  /** What the caller has called for. */
  #end: 'commit' | 'abort' | undefined
  #ending: Promise<unknown> | undefined
  /** Why it cannot be committed any more. */
  #failure: unknown
  #hasFailed = false

  constructor(context: TransactionContext, open: OpenTransaction) {
    this.#context = context
    this.#open = open
    this.#offsets = new TransactionOffsets(context.offsets)
  }

  get state(): TransactionPhase {
    const { state } = this.#open
    if (state !== 'open' || this.#end === undefined) return state
    return this.#end === 'commit' ? 'committing' : 'aborting'
  }

  /**
   * Takes one record, or several; resolves when they are buffered. All values are serialized, and partitions chosen, before this returns. Those of a partition
   * are appended in the order of the calls. Rejects with what `log.produce` rejects with before anything is appended, and with
   * `OffsetConflictError` where `expectedOffset` cannot hold beside that of an earlier call.
   */
  produce<N extends TopicName<T>>(
    topic: N,
    records:
      | ProduceRecord<KeyOf<T, N>, ProducedOf<T, N>>
      | readonly ProduceRecord<KeyOf<T, N>, ProducedOf<T, N>>[],
    options?: TransactionProduceOptions,
  ): Promise<void>
  produce(
    topic: string,
    records: ProduceRecord<unknown, unknown> | readonly ProduceRecord<unknown, unknown>[],
    options?: TransactionProduceOptions,
  ): Promise<void> {
    try {
      this.#requireOpen()
      const resolved = resolveTransactionProduceOptions(options)
      const isMany = Array.isArray(records)
      const one = isMany ? undefined : this.#context.prepareOne(topic, records as One, resolved)
      if (one !== undefined) {
        this.#buffer.addOne(one.topic, one.prepared, this.#context)
        return this.#added()
      }
      const list = isMany ? records : [records as One]
      const prepared = this.#context.prepare(topic, list, resolved)
      if (!(prepared instanceof Promise)) return this.#add(prepared)
      return this.#wait(
        prepared.then((call) => {
          this.#requireNotEnded()
          return this.#add(call)
        }),
      )
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Commits the next offsets to be read of a group, with the transaction; the last one of a partition counts. Given a name, `FENCED` where a member of the
   * group owns the partition; given a consumer, where the partition is not its own. It is asked again when the transaction commits, which
   * is aborted then; so it is where the consumer has lost the partition since, and has it again. Resolves when they are noted.
   */
  commitOffset(
    group: string | Consumer<ConsumedRecord<unknown, unknown>>,
    commits: OffsetCommit | readonly OffsetCommit[],
  ): Promise<void> {
    try {
      this.#requireOpen()
      const list = Array.isArray(commits) ? (commits as readonly OffsetCommit[]) : [commits]
      const noted = this.#offsets.note(group, list as readonly OffsetCommit[])
      return noted === undefined ? Promise.resolve() : this.#wait(noted)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Makes all of it seen at once. Calls that were not awaited are waited for; one that rejects then, whose error nobody could have looked at, makes this reject
   * with the same error, and all of it is aborted. One that had rejected before is left out: what was to come of that was the caller's choice.
   * Rejects, and all of it is aborted, where records cannot be appended, a condition does not hold (`OffsetConflictError`), a member's partition is not its own any more (`FENCED`), or the transaction was aborted
   * before (`TRANSACTION_ABORTED`, or `PRODUCER_FENCED` where another has its producer's name); with `STORAGE_FAILED` where only the next open can tell how it ended.
   */
  commit(): Promise<TransactionAcknowledgement> {
    try {
      if (this.#hasFailed) throw this.#failure
      this.#requireOpen()
    } catch (error) {
      return Promise.reject(error)
    }
    const committing = this.#mayCommitNow()
      ? this.#commitNow().then(
          (appended) => this.#acknowledgement(appended),
          async (error: unknown) => {
            await this.#fail(error)
            throw error
          },
        )
      : this.#commitLater()
    this.#ending = committing
    return committing
  }

  /**
   * Nothing of it will be seen. Safe to call again, and after a commit that has failed; a `TypeError` once `commit` was called, and `STORAGE_FAILED` where only the
   * next open can tell how that ended (`state` is `'unknown'`).
   */
  abort(): Promise<void> {
    if (this.#end === 'commit') {
      const { state } = this.#open
      if (state === 'aborted' || state === 'unknown') return this.#open.abort()
      return Promise.reject(new TypeError(`the transaction is ${this.state}: it cannot be aborted`))
    }
    return this.#abort()
  }

  /** Aborts it where neither `commit` nor `abort` was called; else waits for what was. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#end === 'commit') await this.#ending?.catch(() => {})
    else await this.#abort()
  }

  // ---------------------------------------------------------------------------------- buffering

  #add({ topic, prepared }: PreparedCall): Promise<void> {
    this.#buffer.add(topic, prepared, this.#context)
    return this.#added()
  }

  #added(): Promise<void> {
    if (this.#buffer.bytes <= this.#context.maxTransactionBytes) return DONE
    if (this.#spilling === undefined) {
      this.#spilling = this.#spill().finally(() => {
        this.#spilling = undefined
      })
      // Who does not wait for it is told by the commit.
      this.#spilling.catch(() => {})
    }
    return this.#spilling
  }

  /** Writes what is buffered before the end is known. Calls that come meanwhile are buffered, and wait if they are too much again. */
  async #spill(): Promise<void> {
    const { maxTransactionBytes } = this.#context
    try {
      while (this.#buffer.bytes > maxTransactionBytes && this.#open.state === 'open') {
        this.#buffer.written(await this.#open.write(this.#buffer.take()))
      }
    } catch (error) {
      await this.#fail(error)
      throw error
    }
  }

  #wait(call: Promise<void>): Promise<void> {
    const calls = this.#calls ?? new Set()
    this.#calls = calls
    calls.add(call)
    // Before the caller is told: what was told before the commit is the caller's own to judge.
    const forget = (): void => void calls.delete(call)
    call.then(forget, forget)
    return call
  }

  /** All calls that are under way have their answer. Rejects with what one of them has rejected with: nobody has told the caller before the commit. */
  async #answered(): Promise<void> {
    while (this.#calls !== undefined && this.#calls.size > 0) {
      const answers = await Promise.allSettled(this.#calls)
      const refused = answers.find(({ status }) => status === 'rejected')
      if (refused?.status === 'rejected') throw refused.reason
    }
  }

  // -------------------------------------------------------------------------------------- ending

  /** Nothing has to be waited for, or held, first: all that is left is to hand over what is buffered. */
  #mayCommitNow(): boolean {
    const isWaiting = this.#spilling !== undefined || (this.#calls?.size ?? 0) > 0
    return !isWaiting && !this.#hasFailed && this.#offsets.isEmpty
  }

  /** The coordinator's close waits for it. Who calls it says `#fail` where it rejects. */
  #commitNow(): Promise<readonly Appended[]> {
    this.#requireOpen()
    this.#end = 'commit'
    const { before, last } = this.#buffer.takeLast()
    const committing =
      before.length === 0
        ? this.#open.commit(last)
        : this.#context.track(this.#open.write(before).then(() => this.#open.commit(last)))
    this.#ending = committing
    return committing
  }

  #commitLater(): Promise<TransactionAcknowledgement> {
    this.#end = 'commit'
    const committing = this.#context.track(this.#commit())
    this.#ending = committing
    return committing
  }

  async #commit(): Promise<TransactionAcknowledgement> {
    try {
      await this.#answered()
      // Where nothing is waited for the commit begins in the call.
      if (this.#spilling !== undefined) await this.#spilling
      if (this.#hasFailed) throw this.#failure
      const { before, last } = this.#buffer.takeLast()
      if (before.length > 0) await this.#open.write(before)
      return this.#acknowledgement(await this.#offsets.commit(this.#open, last))
    } catch (error) {
      await this.#fail(error)
      throw error
    }
  }

  #acknowledgement(appended: readonly Appended[]): TransactionAcknowledgement {
    const { durability } = this.#open
    return { durability, partitions: committedPartitions(appended, this.#context.offsets) }
  }

  async #fail(error: unknown): Promise<void> {
    if (!this.#hasFailed) this.#failure = error
    this.#hasFailed = true
    this.#buffer.clear()
    // What it was that failed it matters more than what the abort may come to, which the next open finishes.
    // One that is being aborted already is waited for: its producer can begin nothing before.
    const { state } = this.#open
    if (state === 'open' || state === 'aborting') await this.#open.abort().catch(() => {})
  }

  #abort(): Promise<void> {
    if (this.#end === undefined) {
      this.#end = 'abort'
      this.#ending = this.#context.track(this.#abortNow())
    }
    return this.#ending as Promise<void>
  }

  async #abortNow(): Promise<void> {
    await this.#spilling?.catch(() => {})
    this.#buffer.clear()
    await this.#open.abort()
  }

  #requireOpen(): void {
    this.#context.requireWritable()
    if (this.#end === 'commit' && !this.#hasFailed) {
      throw new TypeError(`the transaction is ${this.state}: it takes nothing more`)
    }
    if (this.#end !== undefined) throw this.#aborted()
    this.#requireNotEnded()
  }

  #requireNotEnded(): void {
    if (this.#hasFailed || this.#end === 'abort' || this.#open.state !== 'open') {
      throw this.#aborted()
    }
  }

  /** Its time was up, its producer fenced, the log closed; or the caller, or what was refused, has aborted it. */
  #aborted(): LogError {
    if (this.#open.failure !== undefined) return this.#open.failure
    const message = 'the transaction was aborted: nothing of it will be seen'
    return new LogError('TRANSACTION_ABORTED', message, { cause: this.#failure })
  }
}

/**
 * Runs a function in a transaction: commits when it has ended, aborts where it throws. Where the function itself has ended the transaction, that
 * holds.
 */
export async function runTransaction<T extends object, R>(
  tx: Transaction<T>,
  run: (tx: Transaction<T>) => R | PromiseLike<R>,
): Promise<R> {
  let result: R
  try {
    result = await run(tx)
  } catch (error) {
    // What it threw is the caller's; what the abort may come to, the next open finishes.
    await tx[Symbol.asyncDispose]().catch(() => {})
    throw error
  }
  try {
    await finish(tx)
  } catch (error) {
    await fail(tx, error)
    throw error
  }
  return result
}

function committedPartitions(
  appended: readonly Appended[],
  offsets: OffsetsAccess,
): CommittedPartition[] {
  const partitions = new Map<string, CommittedPartition>()
  for (const { log, baseOffset, count, timestamp } of appended) {
    if (offsets.isOffsets(log)) continue
    const { topic, partition } = log
    const known = partitions.get(log.name)
    partitions.set(log.name, {
      topic,
      partition,
      baseOffset: known?.baseOffset ?? baseOffset,
      lastOffset: baseOffset + count - 1,
      timestamp: Math.max(known?.timestamp ?? 0, timestamp),
    })
  }
  return [...partitions.values()].sort(comparePartitions)
}
