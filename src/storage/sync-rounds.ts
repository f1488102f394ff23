import type { LogError } from '../errors.ts'
import { Deferred } from '../util/deferred.ts'
import type { AppendCall } from './append-call.ts'
import { settle } from './append-call.ts'
import type { DataFile } from './file-cache.ts'

export interface SyncHooks {
  /** What the next round syncs, and the offset below which all is on the disk after it. */
  begin(): { readonly file: DataFile; readonly end: number }
  /** A round has ended well; called before those who waited for it are told. */
  ended(end: number): void
  /** A round has failed; answers with what those who wait are told. */
  failed(error: unknown): LogError
}

/** One sync at a time; who comes while it runs shares the next one. */
export class SyncRounds {
  readonly #where: string
  readonly #hooks: SyncHooks
  #waiting: (AppendCall | Deferred<void>)[] = []
  #isRunning = false
  #failure: LogError | undefined

  constructor(where: string, hooks: SyncHooks) {
    this.#where = where
    this.#hooks = hooks
  }

  get isRunning(): boolean {
    return this.#isRunning
  }

  /** A written call that is acknowledged by the next round; `start` follows. */
  add(call: AppendCall): void {
    this.#waiting.push(call)
  }

  /** Resolves after a round that begins now or later. */
  round(): Promise<void> {
    const waiter = new Deferred<void>()
    this.#waiting.push(waiter)
    this.start()
    return waiter.promise
  }

  /** Begins a round if anyone waits for one and none is running. */
  start(): void {
    if (this.#isRunning || this.#waiting.length === 0 || this.#failure !== undefined) return
    this.#isRunning = true
    const waiters = this.#waiting
    this.#waiting = []
    const { file, end } = this.#hooks.begin()
    file.sync().then(
      () => this.#ended(end, waiters),
      (error: unknown) => {
        this.#isRunning = false
        rejectAll(waiters, this.#hooks.failed(error))
      },
    )
  }

  /** No more rounds: who waits is told of the failure. */
  fail(error: LogError): void {
    this.#failure = error
    const waiters = this.#waiting
    this.#waiting = []
    rejectAll(waiters, error)
  }

  #ended(end: number, waiters: readonly (AppendCall | Deferred<void>)[]): void {
    this.#isRunning = false
    // Another sync of the partition failed meanwhile: what this one covered is as uncertain.
    if (this.#failure !== undefined) return rejectAll(waiters, this.#failure)
    this.#hooks.ended(end)
    this.start()
    for (const waiter of waiters) {
      if (waiter instanceof Deferred) waiter.resolve()
      else settle(this.#where, waiter)
    }
  }
}

function rejectAll(waiters: readonly (AppendCall | Deferred<void>)[], error: LogError): void {
  for (const waiter of waiters) {
    if (waiter instanceof Deferred) waiter.reject(error)
    else waiter.failed(error)
  }
}
