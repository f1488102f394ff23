/**
 * One of the partitions that are handled side by side, or several that take turns: one handler at a time, and transactions of its own.
 *
 * A page is in hand until all that was handled of it is committed, so that a partition that is asked back goes to its next owner behind the
 * commit. What is lost meanwhile is taken out of the transaction that is being filled; one that is being written is judged as it commits.
 */
import { Call, inContextOf, isThenable } from '../../groups/consumer/run/call.ts'
import type { ConsumerSignals } from '../../groups/consumer/signals.ts'
import type { Clock } from '../../types.ts'
import { nextTurn, turnIsLong } from '../../util/turn.ts'
import type { Begun } from './attempt.ts'
import { Attempt } from './attempt.ts'
import { Committer } from './committer.ts'
import type { Input } from './input.ts'
import type { ResolvedProcessOptions } from './process-options.ts'
import type { InputSource, TransactionWriter } from './seams.ts'

/** Records handled in a row, after which it is asked whether others should have their turn. */
const RECORDS_BETWEEN_LOOKS = 16

export type ProcessSignals = Pick<
  ConsumerSignals,
  'retried' | 'skipped' | 'deadLettered' | 'committed'
>

export interface LaneEnvironment<P>
  extends Pick<
    ResolvedProcessOptions,
    'to' | 'maxRecords' | 'commitIntervalMs' | 'policy' | 'eachRecord' | 'eachBatch'
  > {
  readonly source: InputSource
  readonly writer: TransactionWriter<P>
  readonly clock: Clock
  readonly signals: ProcessSignals
  /** In [0, 1). */
  readonly random: () => number
  /** A transaction takes no more where its outputs have so many bytes. */
  readonly maxBytes: number
  /** So often a sign is to be given of what is in hand, in milliseconds. */
  readonly signMs: number
}

/** What lanes ask of the call that they belong to. */
export interface LaneOwner {
  readonly isStopping: () => boolean
  readonly stop: (error: Error) => void
  /** Something has ended, or may begin. */
  readonly changed: () => void
  /** It is not in hand any more. */
  readonly putDown: (input: Input) => void
}

export class Lane<P> {
  /** Of its handlers: by it a close knows that it is called in one of them. */
  readonly call: Call<unknown, unknown>
  readonly #with: LaneEnvironment<P>
  readonly #owner: LaneOwner
  readonly #committer: Committer<P>
  readonly #attempt: Attempt<P>
  /** In hand, in the order in which they came. */
  readonly #inputs = new Set<Input>()
  /** Of these, those with records to handle. */
  readonly #waiting: Input[] = []
  /** Its handler is under way, or waits for its next try. */
  #handling: Input | undefined
  /** Hands out records of that page until a handler does not end at once, which is to be waited for. Made once: it is called for each that does not. */
  readonly #begin = (): Begun<P> | undefined => {
    const input = this.#handling as Input
    if (this.#with.eachBatch === undefined) return this.#handleAtOnce(input)
    return this.#attempt.begin(input, this.#endOfBatch(input))
  }
  #isAtWork = false
  #heardMs = 0
  #sinceLook = 0

  constructor(owner: LaneOwner, environment: LaneEnvironment<P>, runner: object) {
    this.call = new Call(runner)
    this.#with = environment
    this.#owner = owner
    this.#committer = new Committer(environment, {
      heard: () => this.#heard(),
      isStopping: owner.isStopping,
      settled: (inputs) => this.#settleAll(inputs),
      failed: owner.stop,
    })
    this.#attempt = new Attempt(environment, {
      call: this.call,
      heard: () => this.#heard(),
      isStopping: owner.isStopping,
    })
  }

  /** Nothing of it is in hand. */
  get isEmpty(): boolean {
    return this.#inputs.size === 0
  }

  /** It could begin with another page at once. */
  get isIdle(): boolean {
    return !this.#isAtWork
  }

  /** Nothing is under way that somebody waits for. */
  get isQuiet(): boolean {
    return this.#committer.isQuiet && (!this.#isAtWork || this.#handling?.isDown === true)
  }

  /** For a choice among lanes. */
  get load(): number {
    return this.#waiting.length + (this.#isAtWork ? 1 : 0)
  }

  add(input: Input): void {
    this.#inputs.add(input)
    this.#waiting.push(input)
    input.page.withdrawn.onWithdrawn = () => this.#withdrawn(input)
    if (input.isWithdrawn) this.#withdrawn(input)
    else if (!this.#isAtWork) void this.#work()
  }

  /** The call has failed: what is handled is committed, and nothing more is begun. */
  stop(): void {
    this.#committer.wake()
    this.#attempt.cut()
    this.#committer.commitSoon()
    this.#settleAll([...this.#inputs])
  }

  /** Nobody waits any more for what is under way. */
  abandon(): void {
    this.#committer.abandon()
    this.#attempt.cut()
    for (const input of [...this.#inputs]) this.#remove(input, true)
  }

  // ------------------------------------------------------------------------------------ handling

  async #work(): Promise<void> {
    this.#isAtWork = true
    for (;;) {
      if (turnIsLong()) await nextTurn()
      const input = this.#next()
      if (input === undefined) break
      if (this.#committer.isFull) {
        await this.#makeRoom()
        continue
      }
      this.#handling = input
      try {
        await this.#handle(input)
      } catch (error) {
        this.#owner.stop(error as Error)
      }
      this.#handling = undefined
      this.#handled(input)
    }
    this.#isAtWork = false
    this.#rest()
  }

  /** Handles records of a page, as long as nothing else is to be seen to. It waits for the handlers itself: a function for that would be a promise a record. */
  async #handle(input: Input): Promise<void> {
    do {
      const begun = inContextOf(this.call, this.#begin)
      if (begun === undefined) return
      // Nothing waits for a handler that takes its time.
      if (this.#with.commitIntervalMs === 0) this.#committer.commitSoon()
      try {
        if (!begun.hasThrown) begun.result = await begun.result
      } catch (error) {
        begun.hasThrown = true
        begun.result = error
      }
      const isOver = this.#attempt.handOver(begun, this.#committer)
      if (!isOver) await this.#attempt.fail(begun, this.#committer)
      this.#sign()
    } while (this.#mayHandle(input) && !turnIsLong())
  }

  #mayHandle(input: Input): boolean {
    return input.hasMore && !this.#committer.isFull && !this.#owner.isStopping()
  }

  /** The page whose turn it is; undefined where there is nothing to handle. */
  #next(): Input | undefined {
    if (this.#owner.isStopping()) this.#waiting.length = 0
    while (this.#waiting[0]?.hasMore === false) this.#waiting.shift()
    return this.#waiting[0]
  }

  /** The batch is full: it is committed, behind the one that is being written. */
  async #makeRoom(): Promise<void> {
    await this.#committer.written()
    if (this.#committer.isFull) this.#committer.commitSoon()
    this.#owner.changed()
  }

  #endOfBatch(input: Input): number {
    if (input.handled < input.splitTo) return input.handled + 1
    const room = this.#with.maxRecords - this.#committer.batch.records
    return Math.min(input.handled + Math.max(room, 1), input.records.length)
  }

  /** Undefined where all that may be handled now has ended at once. */
  #handleAtOnce(input: Input): Begun<P> | undefined {
    while (this.#mayHandle(input) && !this.#isLong()) {
      const begun = this.#attempt.begin(input, input.handled + 1)
      if (begun.hasThrown || isThenable(begun.result)) return begun
      if (!this.#attempt.handOver(begun, this.#committer)) return begun
    }
    return undefined
  }

  #isLong(): boolean {
    this.#sinceLook += 1
    if (this.#sinceLook < RECORDS_BETWEEN_LOOKS) return false
    this.#sinceLook = 0
    this.#sign()
    return turnIsLong()
  }

  /** Something of a page was handled, or was tried. */
  #handled(input: Input): void {
    this.#sign()
    if (input.hasMore && !this.#owner.isStopping()) return
    if (input.isWithdrawn) this.#committer.commitSoon()
    else if (input.handled === input.records.length) {
      // It stays in hand until it is committed; the partition goes on meanwhile.
      input.page.wantMore(true)
    }
    this.#settleAll([input])
  }

  /** Nothing more is to be handled now. */
  #rest(): void {
    const { commitIntervalMs, source } = this.#with
    const mustCommit = this.#owner.isStopping() || this.#committer.isFull || !source.hasRoom
    if (commitIntervalMs === 0 || mustCommit) this.#committer.commitSoon()
    this.#owner.changed()
  }

  // --------------------------------------------------------------------------------------- signs

  /** The lane goes on: what waits in it is not stuck. */
  #sign(): void {
    const now = this.#with.clock.now()
    if (Math.abs(now - this.#heardMs) < this.#with.signMs) return
    this.#heardMs = now
    this.#heard()
  }

  #heard(): void {
    for (const input of this.#inputs) input.heard()
  }

  // --------------------------------------------------------------------------------------- pages

  #withdrawn(input: Input): void {
    this.#attempt.withdrawn(input)
    if (input.isLost) {
      this.#committer.lost()
      this.#remove(input, true)
    } else {
      // Not behind what is under way, which may take longer than it may.
      this.#committer.commitSoon()
      this.#settle(input)
    }
    this.#owner.changed()
  }

  #settleAll(inputs: readonly Input[]): void {
    for (const input of inputs) this.#settle(input)
    this.#owner.changed()
  }

  /** Puts down what is done with: nothing of it is under way, or waits for its commit. */
  #settle(input: Input): void {
    if (input.isDown || input === this.#handling || this.#committer.has(input)) return
    const isDone = input.committed === input.records.length
    if (isDone || input.isWithdrawn || this.#owner.isStopping()) this.#remove(input, false)
  }

  #remove(input: Input, isAbandoned: boolean): void {
    if (!this.#inputs.delete(input)) return
    if (isAbandoned) input.abandon()
    else input.putDown()
    this.#owner.putDown(input)
  }
}
