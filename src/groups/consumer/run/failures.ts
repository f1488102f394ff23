import { LogError } from '../../../errors.ts'
import type { Clock } from '../../../types.ts'
import type { ConsumedRecord } from '../page-source.ts'
import type { ConsumerSignals } from '../signals.ts'
import type { Call } from './call.ts'
import type { ResolvedPolicy } from './failure-policy.ts'
import { backoffMs } from './failure-policy.ts'
import type { HeldPage } from './progress.ts'
import { WaitingCalls } from './waiting-calls.ts'

export interface FailureEnvironment<K, V> {
  readonly clock: Clock
  /** Who gives no sign for so long is taken for dead, in milliseconds; 0: never. */
  readonly maxPollIntervalMs: number
  /** In [0, 1). */
  readonly random: () => number
  readonly signals: Pick<ConsumerSignals, 'retried' | 'skipped' | 'deadLettered'>
  /** Appends a record to the dead-letter topic of the policy; resolves once it is acknowledged. */
  readonly appendDeadLetter: (record: ConsumedRecord<K, V>, error: unknown) => Promise<void>
}

/** What failures ask of their run. */
export interface FailingRun<K, V> {
  readonly isStopping: () => boolean
  /** The append of its dead letter is under way, as a handler is. */
  readonly began: (call: Call<K, V>) => void
  readonly ended: (call: Call<K, V>) => void
  /** Its records count as finished. */
  readonly succeeded: (call: Call<K, V>) => void
  /** It is not finished, and not tried again. */
  readonly drop: (call: Call<K, V>) => void
  readonly stop: (call: Call<K, V>, cause: unknown) => void
  /** Something may begin. */
  readonly turn: () => void
}

/** Follows the failure policy: what is retried and when, and what becomes of what is given up. */
export class Failures<K, V> {
  readonly #policy: ResolvedPolicy<K, V>
  readonly #environment: FailureEnvironment<K, V>
  readonly #run: FailingRun<K, V>
  readonly #waiting: WaitingCalls<K, V>
  /** Retries whose time has come. */
  #due: Call<K, V>[] = []

  constructor(
    policy: ResolvedPolicy<K, V>,
    environment: FailureEnvironment<K, V>,
    run: FailingRun<K, V>,
  ) {
    this.#policy = policy
    this.#environment = environment
    this.#run = run
    this.#waiting = new WaitingCalls(environment.clock, environment.maxPollIntervalMs)
  }

  /** The next retry whose time has come. */
  nextDue(): Call<K, V> | undefined {
    return this.#due.shift()
  }

  /** Those of a page, or all, which are not tried again. */
  takeWaiting(held?: HeldPage<K, V>): Call<K, V>[] {
    const isTaken = (call: Call<K, V>): boolean => held === undefined || call.held === held
    const due = this.#due.filter(isTaken)
    this.#due = this.#due.filter((call) => !isTaken(call))
    return [...this.#waiting.take(held), ...due]
  }

  failed(call: Call<K, V>, error: unknown): void {
    const held = call.held as HeldPage<K, V>
    const record = call.records[0] as ConsumedRecord<K, V>
    if (held.isOver) {
      this.#run.drop(call)
      return
    }
    call.failures += 1
    call.error = error
    const { retries, shouldRetry } = this.#policy
    try {
      // What is handed out one by one has had its retries.
      const mayRetry = call.failures <= retries && !held.isSplit
      if (mayRetry && shouldRetry(error, record)) this.#retry(call, record)
      else this.#giveUp(call, record)
    } catch (thrown) {
      this.#run.stop(call, thrown)
    }
  }

  #retry(call: Call<K, V>, record: ConsumedRecord<K, V>): void {
    const due = (): void => {
      this.#due.push(call)
      this.#run.turn()
    }
    const isWaiting = this.#wait(call, call.failures, due)
    if (isWaiting) this.#environment.signals.retried(record, call.failures, call.error)
  }

  /** False where it is not waited for, since its page is asked back, or the run stops. */
  #wait(call: Call<K, V>, attempt: number, due: () => void): boolean {
    if (call.held?.isWithdrawn || this.#run.isStopping()) {
      this.#run.drop(call)
      return false
    }
    const delayMs = backoffMs(this.#policy.backoff, attempt, this.#environment.random())
    this.#waiting.add(call, delayMs, due)
    return true
  }

  #giveUp(call: Call<K, V>, record: ConsumedRecord<K, V>): void {
    const { giveUp } = this.#policy
    const held = call.held as HeldPage<K, V>
    if (giveUp === 'stop') this.#run.stop(call, call.error)
    else if (call.records.length > 1) {
      held.isSplit = true
      held.next = call.index
      this.#run.drop(call)
    } else if (giveUp === 'skip') {
      this.#environment.signals.skipped(record, call.error)
      this.#run.succeeded(call)
    } else void this.#bury(call, record)
  }

  async #bury(call: Call<K, V>, record: ConsumedRecord<K, V>): Promise<void> {
    const { appendDeadLetter, signals } = this.#environment
    this.#run.began(call)
    try {
      await appendDeadLetter(record, call.error)
      this.#run.ended(call)
      signals.deadLettered(record, this.#policy.deadLetterTopic ?? '', call.error)
      this.#run.succeeded(call)
    } catch (error) {
      this.#run.ended(call)
      call.failedAppends += 1
      if (error instanceof LogError && error.retryable) {
        this.#wait(call, call.failedAppends, () => void this.#bury(call, record))
      } else this.#run.stop(call, error)
    }
    this.#run.turn()
  }
}
