/** One handler at a time: what it is given, and what becomes of records that it fails at. */
import { HandlerFailedError } from '../../errors.ts'
import type { Call } from '../../groups/consumer/run/call.ts'
import { inContextOf } from '../../groups/consumer/run/call.ts'
import { backoffMs } from '../../groups/consumer/run/failure-policy.ts'
import type { Committer } from './committer.ts'
import { HandlerScope } from './handler-scope.ts'
import type { Input } from './input.ts'
import type { LaneEnvironment } from './lane.ts'
import { Pause } from './pause.ts'
import type { Consumed } from './seams.ts'

/** A handler that was called with the records of a page from `index` up to, and without, `end`. */
export interface Begun<P> {
  readonly input: Input
  readonly index: number
  readonly end: number
  readonly records: readonly Consumed[]
  readonly scope: HandlerScope<P>
  /** What it answers with, or has thrown. */
  result: unknown
  hasThrown: boolean
}

export interface AttemptingLane {
  readonly call: Call<unknown, unknown>
  readonly heard: () => void
  readonly isStopping: () => boolean
}

export class Attempt<P> {
  readonly #with: LaneEnvironment<P>
  readonly #lane: AttemptingLane
  readonly #pause: Pause
  /** What waits for its next try. */
  #paused: Input | undefined

  constructor(environment: LaneEnvironment<P>, lane: AttemptingLane) {
    this.#with = environment
    this.#lane = lane
    this.#pause = new Pause(environment.clock, environment.signMs, lane.heard)
  }

  /** Calls the handler. To be called in the context of the lane's handlers. */
  begin(input: Input, end: number, again?: readonly Consumed[]): Begun<P> {
    const index = input.handled
    const { eachRecord, eachBatch, writer } = this.#with
    const records = again ?? this.#handedOut(input, end)
    input.begun = Math.max(input.begun, end)
    const scope = new HandlerScope(writer, input.context, records)
    const begun = {
      input,
      index,
      end,
      records,
      scope,
      result: undefined as unknown,
      hasThrown: false,
    }
    try {
      begun.result =
        eachRecord === undefined
          ? eachBatch?.(
              { topic: input.page.topic, partition: input.page.partition, records },
              scope,
            )
          : eachRecord(records[0] as Consumed, scope)
    } catch (error) {
      begun.result = error
      begun.hasThrown = true
    }
    return begun
  }

  /** What was handed out together before counts once more where it is handed out one by one. */
  #handedOut(input: Input, end: number): readonly Consumed[] {
    const { handled, begun, records } = input
    return handled < begun ? input.again(handled, end) : records.slice(handled, end)
  }

  /** The handler has ended: hands over what it comes to. False where it has failed, or what it answers with is refused: see `fail`. */
  handOver(begun: Begun<P>, committer: Committer<P>): boolean {
    const { input, end, scope } = begun
    if (begun.hasThrown) return false
    if (input.isDown) {
      scope.drop()
      return true
    }
    try {
      committer.add(input, end, scope.end(this.#with.to, begun.result))
      return true
    } catch (error) {
      begun.hasThrown = true
      begun.result = error
      return false
    }
  }

  /** Follows the failure policy until there is something to hand over, or nothing to try. Throws what ends the call. */
  async fail(first: Begun<P>, committer: Committer<P>): Promise<void> {
    let begun = first
    for (let failures = 1; ; failures += 1) {
      const { input, scope, result: error } = begun
      scope.drop()
      if (input.isDown) return
      if (!this.#mayRetry(begun, failures, error))
        return await this.#giveUp(begun, error, committer)
      if (!(await this.#backOff(begun, failures, error))) return
      begun = this.#again(begun)
      try {
        if (!begun.hasThrown) begun.result = await begun.result
      } catch (thrown) {
        begun.hasThrown = true
        begun.result = thrown
      }
      if (this.handOver(begun, committer)) return
    }
  }

  /** What waits for its next try is not tried again. */
  cut(): void {
    this.#pause.cut()
  }

  withdrawn(input: Input): void {
    if (input === this.#paused) this.#pause.cut()
  }

  #mayRetry({ input, index }: Begun<P>, failures: number, error: unknown): boolean {
    const { retries, shouldRetry } = this.#with.policy
    // What is handed out one by one has had its retries.
    if (failures > retries || index < input.splitTo) return false
    return shouldRetry(error, input.recordAt(index))
  }

  /** False where it is not tried again: its page is asked back or lost, or the call has failed. */
  async #backOff({ input, index }: Begun<P>, failures: number, error: unknown): Promise<boolean> {
    const { policy, random, signals } = this.#with
    const mayGoOn = (): boolean => !input.isWithdrawn && !this.#lane.isStopping()
    if (!mayGoOn()) return false
    signals.retried(input.recordAt(index), failures, error)
    this.#paused = input
    await this.#pause.wait(backoffMs(policy.backoff, failures, random()))
    this.#paused = undefined
    return mayGoOn()
  }

  #again({ input, index, end }: Begun<P>): Begun<P> {
    const records = input.again(index, end)
    return inContextOf(this.#lane.call, () => this.begin(input, end, records))
  }

  async #giveUp(begun: Begun<P>, error: unknown, committer: Committer<P>): Promise<void> {
    const { input, index, end } = begun
    const { policy, signals, writer } = this.#with
    const record = input.recordAt(index)
    if (policy.giveUp === 'stop') throw new HandlerFailedError(record, error)
    if (end - index > 1) {
      input.splitTo = end
      return
    }
    if (policy.giveUp === 'skip') {
      committer.add(input, end, NOTHING)
      committer.batch.whenCommitted(() => signals.skipped(record, error))
      return
    }
    const topic = policy.deadLetterTopic ?? ''
    const letter = await writer.deadLetter(record, error)
    if (input.isDown) return
    committer.add(input, end, letter)
    committer.batch.whenCommitted(() => signals.deadLettered(record, topic, error))
  }
}

const NOTHING: readonly never[] = []
