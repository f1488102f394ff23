import { LogError } from '../../errors.ts'
import { backoffMs } from '../../groups/consumer/run/failure-policy.ts'
import type { Timer } from '../../types.ts'
import { asError } from '../../util/error-code.ts'
import { keepAlive, letGo } from '../../util/keep-alive.ts'
import { Batch } from './batch.ts'
import type { Input } from './input.ts'
import type { LaneEnvironment } from './lane.ts'
import { Pause } from './pause.ts'

/** What the transactions of a lane ask of it. */
export interface CommittingLane {
  /** A sign of all that it has in hand. */
  readonly heard: () => void
  /** Nothing more is tried again: the call has failed elsewhere. */
  readonly isStopping: () => boolean
  /** The input is committed, or not going to be. */
  readonly settled: (inputs: readonly Input[]) => void
  /** It goes on with nothing. */
  readonly failed: (error: Error) => void
}

/**
 * The transactions of one lane: one is filled while the one before it is written, so that handlers do not wait for the disk. They are
 * committed in their order; one that cannot be takes what came after it with it.
 *
 * A transaction is begun when all that goes into it is known: nothing is written of what a handler has failed at, or of what a kill interrupts.
 */
export class Committer<P> {
  readonly #with: LaneEnvironment<P>
  readonly #lane: CommittingLane
  readonly #pause: Pause
  batch: Batch<P> = new Batch()
  #writing: { readonly batch: Batch<P>; readonly ended: Promise<void> } | undefined
  #timer: Timer | undefined
  /** What is in the batch is to be committed as soon as may be. */
  #isDue = false
  #isBroken = false

  constructor(environment: LaneEnvironment<P>, lane: CommittingLane) {
    this.#with = environment
    this.#lane = lane
    this.#pause = new Pause(environment.clock, environment.signMs, lane.heard)
  }

  get isQuiet(): boolean {
    return this.batch.isEmpty && this.#writing === undefined
  }

  get isFull(): boolean {
    const { maxRecords, maxBytes } = this.#with
    return this.batch.records >= maxRecords || this.batch.bytes >= maxBytes
  }

  /** It is in a transaction that is not committed. */
  has(input: Input): boolean {
    return this.batch.has(input) || this.#writing?.batch.has(input) === true
  }

  /** The records of the input below `end` are handled. */
  add(input: Input, end: number, outputs: readonly P[]): void {
    if (this.#isBroken) return
    this.batch.dropLost()
    if (this.batch.isEmpty) this.#arm()
    let bytes = 0
    for (const each of outputs) bytes += this.#with.writer.bytesOf(each)
    this.batch.add(input, end, outputs, bytes)
  }

  /** Commits what is in the batch, at once or when the one before is committed. */
  commitSoon(): void {
    this.#isDue = true
    this.#begin()
  }

  /** Resolves when another transaction can be begun. */
  async written(): Promise<void> {
    await this.#writing?.ended
  }

  /** The call has failed: what waits looks again. */
  wake(): void {
    this.#pause.cut()
  }

  /** Something of it was lost. */
  lost(): void {
    this.batch.dropLost()
    if (this.batch.isEmpty) this.#disarm()
    this.#pause.cut()
  }

  /** What is not being written by now is given up. */
  abandon(): void {
    this.#isBroken = true
    this.batch.clear()
    this.#disarm()
    this.#pause.cut()
  }

  // ---------------------------------------------------------------------------------------- time

  #arm(): void {
    const { clock, commitIntervalMs } = this.#with
    this.#disarm()
    if (commitIntervalMs === 0) return
    keepAlive()
    this.#timer = clock.setTimer(() => {
      this.#disarm()
      this.commitSoon()
    }, commitIntervalMs)
  }

  #disarm(): void {
    if (this.#timer === undefined) return
    this.#timer.cancel()
    this.#timer = undefined
    letGo()
  }

  // ------------------------------------------------------------------------------------- writing

  #begin(): void {
    if (this.#writing !== undefined) return
    this.#isDue = false
    const { batch } = this
    if (batch.isEmpty) return
    this.#disarm()
    batch.close()
    this.batch = new Batch()
    // Not before it is known to be under way.
    const ended = Promise.resolve().then(() => this.#write(batch))
    this.#writing = { batch, ended }
  }

  async #write(batch: Batch<P>): Promise<void> {
    const inputs = [...batch.inputs]
    try {
      if (this.#isBroken) batch.clear()
      else await this.#commit(batch)
    } catch (error) {
      this.#break(asError(error))
    }
    this.#writing = undefined
    if (this.#isDue || this.#isBroken) this.#begin()
    this.#lane.settled(inputs)
  }

  /** Resolves when it is committed, or all of it is lost. */
  async #commit(batch: Batch<P>): Promise<void> {
    const { source, writer, signals, policy, random } = this.#with
    for (let failures = 1; ; failures += 1) {
      batch.dropLost()
      if (batch.isEmpty) return
      const commits = batch.commits(source)
      const offsets = [...commits.values()]
      const judge = (): void => source.judge([...commits.keys()].map(({ page }) => page))
      try {
        await writer.commit(batch.outputs, { offsets, judge })
        batch.committed(source, commits)
        signals.committed(offsets)
        return
      } catch (error) {
        const isLost = [...batch.inputs].some((each) => each.isLost)
        if (isLost) continue
        if (!isWorthAnother(error) || this.#lane.isStopping()) throw error
      }
      await this.#pause.wait(backoffMs(policy.backoff, failures, random()))
      if (this.#lane.isStopping()) throw new LogError('CLOSED', 'the call has ended')
    }
  }

  /** What came after it is not committed either. */
  #break(error: Error): void {
    this.#isBroken = true
    this.#disarm()
    const inputs = [...this.batch.inputs]
    this.batch.clear()
    this.#lane.failed(error)
    this.#lane.settled(inputs)
  }
}

/** Whether the same transaction may succeed another time: nothing of it was written, or all of it was taken back. */
function isWorthAnother(error: unknown): boolean {
  if (!(error instanceof LogError)) return false
  return error.retryable || PASSING.has(error.code)
}

/** Its time was up, or somebody else has taken its producer's name: another transaction of another producer is no worse for it. */
const PASSING: ReadonlySet<string> = new Set(['TRANSACTION_ABORTED', 'PRODUCER_FENCED'])
