import { LogError } from '../../errors.ts'
import type { ConsumerCloseOptions, ResolvedConsumerOptions, SeekTo } from '../../options.ts'
import { resolveDrainMs, resolveSeekTo } from '../../options.ts'
import { outOfRange } from '../../topics/partition-reader.ts'
import type { LogRecord, Timer, TopicPartition } from '../../types.ts'
import { checkInteger, wrongType } from '../../util/check.ts'
import { keepAlive, letGo } from '../../util/keep-alive.ts'
import type { Claim } from './claim.ts'
import { offerOffsets } from './consumer-offsets.ts'
import type { GroupAccess } from './group-access.ts'
import type { ConsumedPage } from './iterators.ts'
import { ConsumedRecordIterator, PageIterator } from './iterators.ts'
import { ConsumerMember } from './member.ts'
import { ownOffsets } from './owned-offsets.ts'
import type { ConsumedRecord, Consuming } from './page-source.ts'
import { PagesToCommit } from './pages-to-commit.ts'
import type { RunOptions } from './run/run-options.ts'
import { resolveRunOptions } from './run/run-options.ts'
import { Runner } from './run/runner.ts'
import type { ConsumerMetrics, ConsumerSignals } from './signals.ts'
import { positionAt } from './start.ts'

/** How far a consumer is behind in one of its partitions. */
export interface ConsumerPartitionLag extends TopicPartition {
  /** The offset that is handed out next. */
  readonly position: number
  /** Where the consumer stops: the last stable offset, or where it is `read_uncommitted`, the high watermark. */
  readonly endOffset: number
  readonly lagRecords: number
}

export interface ConsumerLag {
  readonly partitions: readonly ConsumerPartitionLag[]
  /** Sum over the partitions. */
  readonly lagRecords: number
}

/** A way to consume that goes on by itself. */
export interface ConsumingRun extends Consuming {
  /** Resolves once the consumer is closed, and what was begun has ended. */
  run(): Promise<void>
}

export interface ConsumerContext {
  readonly access: GroupAccess
  readonly options: ResolvedConsumerOptions
  readonly signals: ConsumerSignals
  /** It begins to be consumed. Throws `CLOSED` where the log is closed. */
  readonly begun: () => void
  /** It has left. */
  readonly closed: () => void
}

/**
 * A member of a consumer group: reads the partitions that the group assigns to it, and commits how far it has come. It joins when something
 * is first asked for, and leaves with `close`, which `break` out of a loop over it calls, too.
 *
 * It is consumed in one of three ways: record by record (`for await`), a page at a time (`batches`), by handlers (`run`). A record that was handed
 * out and came back for more is done; with `autoCommit` it is committed at the latest `autoCommitIntervalMs` later, at hand-over and at close.
 * What was not committed is handed out again, here or to another member: at least once, and in the order of each partition.
 */
export class Consumer<R extends ConsumedRecord<unknown, unknown> = ConsumedRecord>
  implements AsyncIterable<R>
{
  readonly #context: ConsumerContext
  readonly #member: ConsumerMember
  #way: Consuming | undefined
  #closing: Promise<void> | undefined
  /** While what is in hand still keeps its partitions. */
  #leaving: Promise<void> | undefined
  #endDrain: (() => void) | undefined
  readonly #onAbort = (): void => this.#member.failed(this.#context.options.signal?.reason)

  constructor(context: ConsumerContext) {
    this.#context = context
    const { access, options, signals } = context
    const member = new ConsumerMember(access, options, signals)
    this.#member = member
    offerOffsets(this, {
      group: access.group,
      findTopic: (name) => access.findTopic(name),
      own: (partitions) => ownOffsets(member, this.#way, partitions),
      committed: (commits) => signals.committed(commits),
    })
    const { signal } = options
    if (signal?.aborted) this.#onAbort()
    else signal?.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** As the group knows it; '' before it has joined. One that was taken for dead joins again under another. */
  get memberId(): string {
    return this.#context.signals.memberId
  }

  // -------------------------------------------------------------------------------- consuming

  /** Throws a `TypeError` where it is being consumed already, and `CLOSED` where it was closed. */
  [Symbol.asyncIterator](): AsyncIterableIterator<R> {
    const iterator = new ConsumedRecordIterator<R>(this.#source())
    this.#begin(iterator.consuming)
    return iterator
  }

  /** The same a page at a time; a page has at least one record, and is done when the next one is asked for. */
  batches(): AsyncIterable<ConsumedPage<R>> {
    return {
      [Symbol.asyncIterator]: () => {
        const iterator = new PageIterator<R>(this.#source())
        this.#begin(iterator.consuming)
        return iterator
      },
    }
  }

  /**
   * Gives each record, or each page, to a handler: several at once where `concurrency` says so, in the order of their partition or their key, and
   * again where a handler fails, as `failurePolicy` says. A record is done when its handler has ended. Resolves once the consumer is closed and
   * what was begun has ended. Rejects with what ends it, and has left the group then: with `HandlerFailedError` where the policy says stop, and as a loop
   * would.
   */
  async run(options: RunOptions<R>): Promise<void> {
    const { access, options: own, signals } = this.#context
    const given = options as unknown as RunOptions<ConsumedRecord<unknown, unknown>>
    const resolved = resolveRunOptions<unknown, unknown>(given)
    const { deadLetterTopic } = resolved.policy
    if (deadLetterTopic !== undefined) this.#checkDeadLetterTopic(deadLetterTopic)
    const runner = new Runner(this.#member, resolved, {
      clock: access.clock,
      maxPollIntervalMs: own.maxPollIntervalMs,
      random: Math.random,
      signals,
      appendDeadLetter: (record, error) =>
        access.appendDeadLetter(deadLetterTopic ?? '', record, error),
    })
    await this.#runBy(runner)
  }

  /** For `log.process`: as `run`, by what `make` makes of its pages. */
  static async runBy(
    consumer: Consumer,
    deadLetterTopic: string | undefined,
    make: (pages: PagesToCommit, signals: ConsumerSignals) => ConsumingRun,
  ): Promise<void> {
    try {
      if (deadLetterTopic !== undefined) consumer.#checkDeadLetterTopic(deadLetterTopic)
      const { signals } = consumer.#context
      await consumer.#runBy(make(new PagesToCommit(consumer.#member), signals))
    } catch (error) {
      // Also where it has not begun: nobody else has it.
      await consumer.close().catch(() => {})
      throw error
    }
  }

  async #runBy(runner: ConsumingRun): Promise<void> {
    this.#begin(runner)
    try {
      await runner.run()
    } catch (error) {
      // What it was that ended it matters more than what the close may come to.
      await this.close().catch(() => {})
      throw error
    }
    await this.close()
    await this.#leaving
  }

  #checkDeadLetterTopic(name: string): void {
    const { access, options } = this.#context
    access.checkDeadLetterTopic(name)
    requireOther(name, access.topicsOf(options.topics))
  }

  #source(): ConstructorParameters<typeof PageIterator>[0] {
    const member = this.#member
    return {
      commits: member.commits,
      take: () => member.take(),
      close: () => this.close(),
    }
  }

  #begin(way: Consuming): void {
    this.#requireOpen()
    if (this.#way !== undefined) {
      throw new TypeError(
        'the consumer is being consumed already: by one loop, or one run, at a time',
      )
    }
    this.#context.begun()
    this.#way = way
  }

  // -------------------------------------------------------------------------------- committing

  /**
   * Commits what is done; with records, all of their partitions up to and including them, whether they came back for more or not. Rejects
   * with `FENCED` where the partition is not the consumer's own any more, with `OffsetOutOfRangeError` for a record that is not there yet.
   */
  async commit(records?: CommittableRecord | readonly CommittableRecord[]): Promise<void> {
    if (records === undefined) {
      await this.#member.commit()
      return
    }
    const list = Array.isArray(records)
      ? (records as readonly CommittableRecord[])
      : [records as CommittableRecord]
    const offsets = new Map<Claim, number>()
    for (const record of list) {
      const { topic, partition, offset } = checkRecord(record)
      const claim = this.#claim({ topic, partition })
      if (offset >= claim.log.logEndOffset) throw outOfRange(claim.log, offset)
      offsets.set(claim, Math.max(offsets.get(claim) ?? 0, behind(claim, offset)))
    }
    await this.#member.commits.commitUpTo(offsets)
  }

  // ---------------------------------------------------------------------------------- positions

  /** What is the consumer's own now, in the order in which it came. */
  assignment(): TopicPartition[] {
    return [...this.#member.claims.values()].map(({ topic, partition }) => ({ topic, partition }))
  }

  /** The offset that is handed out next. Throws `FENCED` for a partition that is not its own. */
  position(partition: TopicPartition): number {
    return this.#claim(partition).nextToHandOut
  }

  /** How far it is behind in what is its own: what is not handed out yet. */
  lag(): ConsumerLag {
    const partitions = [...this.#member.claims.values()].map((claim) => {
      const { topic, partition, nextToHandOut: position, log, end: endOffset } = claim
      const lagRecords = Math.max(endOffset - Math.max(position, log.logStartOffset), 0)
      return { topic, partition, position, endOffset, lagRecords }
    })
    const lagRecords = partitions.reduce((sum, each) => sum + each.lagRecords, 0)
    return { partitions, lagRecords }
  }

  /**
   * Goes on elsewhere in a partition; that is what is committed next. What is in hand of it may end, and is not committed. Rejects with `FENCED` for a
   * partition that is not its own, with `OffsetOutOfRangeError` for an offset outside it.
   */
  async seek(partition: TopicPartition, to: SeekTo): Promise<void> {
    const resolved = resolveSeekTo(to)
    const log = this.#claim(partition).log
    const position = await positionAt(log, resolved, this.#context.options.isolationLevel)
    const claim = this.#claim(partition)
    claim.seek(position)
    this.#member.commits.noted(claim)
    this.#member.reader.look(claim)
  }

  /** Nothing more is handed out of these until `resume`; they stay the consumer's own. Throws `FENCED` for one that is not. */
  pause(partitions: TopicPartition | readonly TopicPartition[]): void {
    for (const claim of this.#claims(partitions)) {
      claim.isPaused = true
      claim.withdraw()
    }
  }

  resume(partitions: TopicPartition | readonly TopicPartition[]): void {
    for (const claim of this.#claims(partitions)) {
      claim.isPaused = false
      this.#member.reader.look(claim)
    }
  }

  paused(): TopicPartition[] {
    const paused = [...this.#member.claims.values()].filter(({ isPaused }) => isPaused)
    return paused.map(({ topic, partition }) => ({ topic, partition }))
  }

  metrics(): ConsumerMetrics {
    return this.#context.signals.metrics()
  }

  // -------------------------------------------------------------------------------------- close

  /**
   * Hands out nothing more, waits for handlers that are at work (up to `drainMs`; not for one that calls it), commits what is done, and leaves the
   * group. A record or page that a loop has in hand is not waited for, but keeps its partition until it comes back, or `drainMs` are over.
   * Further calls answer with the first one's promise. Rejects, after it has left, with what the commit or `onRevoked` has come to.
   */
  close(options?: ConsumerCloseOptions): Promise<void> {
    if (this.#closing !== undefined) {
      // A handler that calls it once more is not waited for, either.
      void this.#way?.drained()
      return this.#closing
    }
    try {
      const drainMs = resolveDrainMs(options)
      this.#member.beginClose()
      this.#closing = this.#close(drainMs)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.#closing
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** For the log, which closes: nothing in hand keeps anything any more. Resolves when it has left. */
  async abandon(): Promise<void> {
    this.#endDrain?.()
    await this.#leaving
  }

  async #close(drainMs: number): Promise<void> {
    this.#context.options.signal?.removeEventListener('abort', this.#onAbort)
    let timer: Timer | undefined
    const isOver = new Promise<void>((resolve) => {
      this.#endDrain = resolve
      if (drainMs === 0) resolve()
      else timer = this.#context.access.clock.setTimer(resolve, drainMs)
    })
    // Its timer keeps no process alive, nor may what its handlers wait for.
    keepAlive()
    await Promise.race([this.#way?.drained(), isOver])
    letGo()
    const leave = async (): Promise<void> => {
      await this.#member.leave(isOver).finally(() => {
        timer?.cancel()
        this.#context.closed()
      })
    }
    if (drainMs === 0 || this.#member.holdings.isEmpty) {
      await leave()
      return
    }
    this.#leaving = Promise.race([this.#member.holdings.whenEmpty(), isOver])
      .then(leave)
      .catch((error) => this.#context.access.failed(error as Error))
    await this.#member.commitDone()
  }

  #requireOpen(): void {
    if (this.#closing !== undefined) throw new LogError('CLOSED', 'the consumer is closed')
  }

  #claims(partitions: TopicPartition | readonly TopicPartition[]): Claim[] {
    const list = Array.isArray(partitions)
      ? (partitions as readonly TopicPartition[])
      : [partitions as TopicPartition]
    return list.map((each) => this.#claim(each))
  }

  #claim(given: TopicPartition): Claim {
    const { topic, partition } = checkPartition(given)
    const claim = this.#member.claims.get(`${topic}-${partition}`)
    if (claim !== undefined) return claim
    const group = JSON.stringify(this.#context.options.group)
    const message = `${topic}-${partition} is not this consumer's own in the group ${group}`
    throw new LogError('FENCED', message)
  }
}

function requireOther(deadLetterTopic: string, topics: readonly string[]): void {
  if (!topics.includes(deadLetterTopic)) return
  throw new TypeError(
    `deadLetterTopic is '${deadLetterTopic}', which the consumer itself reads: what fails would come back to it`,
  )
}

/** What `commit` needs of a record. */
export type CommittableRecord = Pick<LogRecord<unknown, unknown>, 'topic' | 'partition' | 'offset'>

function checkPartition(given: TopicPartition): TopicPartition {
  if (typeof given !== 'object' || given === null) {
    throw wrongType('partition', given, 'an object with topic and partition')
  }
  const { topic, partition } = given
  if (typeof topic !== 'string') throw wrongType('topic', topic, 'a string')
  return { topic, partition: checkInteger('partition', partition, 0) }
}

function checkRecord(given: CommittableRecord): CommittableRecord {
  const { topic, partition } = checkPartition(given)
  return { topic, partition, offset: checkInteger('offset', given.offset, 0) }
}

/** Where the partition is read on behind a record: behind its page, where it is the last one there. */
function behind({ pages }: Claim, offset: number): number {
  for (const { records, nextOffset } of pages)
    if (records.at(-1)?.offset === offset) return nextOffset
  return offset + 1
}
