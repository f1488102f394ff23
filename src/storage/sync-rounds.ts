import type { LogError } from '../errors.ts'
import { Deferred } from '../util/deferred.ts'
import type { AppendCall } from './append-call.ts'
import { settle } from './append-call.ts'
import type { DataFile } from './file-cache.ts'

export interface SyncHooks {
  /** What the next round syncs, and the offset below which all is on the disk after it. */
  begin(): { readonly file: DataFile; readonly end: number }
  /** A round has begun; it never rejects. */
  begun(round: Promise<void>): void
  /** A round has ended well; called before those who waited for it are told. */
  ended(end: number): void
  /** They have been told: what came meanwhile may be written, to be covered by the next round. */
  told(): void
  /** A round has failed; answers with what those who wait are told. */
  failed(error: unknown): LogError
}

type Waiter = AppendCall | Deferred<void>

/** One sync at a time; who comes while it runs shares the next one. */
export class SyncRounds {
  readonly #where: string
  readonly #hooks: SyncHooks
  #waiting: Waiter[] = []
  /** Who waits for the round under way; undefined: there is none. */
  #covered: Waiter[] | undefined
  #failure: LogError | undefined

  constructor(where: string, hooks: SyncHooks) {
    this.#where = where
    this.#hooks = hooks
  }

  get isRunning(): boolean {
    return this.#covered !== undefined
  }

  /** A written call that is acknowledged by the next round; `start` follows. */
  add(call: AppendCall): void {
    this.#waiting.push(call)
  }

  /** A call that needs no sync of its own, and is told how it went after all that came before it. */
  addBehind(call: AppendCall): void {
    if (this.#waiting.length > 0) this.#waiting.push(call)
    else if (this.#covered !== undefined) this.#covered.push(call)
    else settle(this.#where, call)
  }

  /** Resolves after a round that begins now or later. */
  round(): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const waiter = new Deferred<void>()
    this.#waiting.push(waiter)
    this.start()
    return waiter.promise
  }

  /** Resolves when nobody waits any more. */
  async settled(): Promise<void> {
    while (this.isRunning || this.#waiting.length > 0) await this.round()
  }

  /** Begins a round if anyone waits for one and none is running. */
  start(): void {
    if (this.isRunning || this.#waiting.length === 0 || this.#failure !== undefined) return
    const covered = this.#waiting
    this.#waiting = []
    this.#covered = covered
    const { file, end } = this.#hooks.begin()
    const round = file.sync().then(
      () => this.#ended(end, covered),
      (error: unknown) => {
        this.#covered = undefined
        rejectAll(covered, this.#hooks.failed(error))
      },
    )
    this.#hooks.begun(round)
  }

  /** No more rounds: who waits is told of the failure. */
  fail(error: LogError): void {
    this.#failure = error
    const waiters = this.#waiting
    this.#waiting = []
    rejectAll(waiters, error)
  }

  #ended(end: number, covered: readonly Waiter[]): void {
    // Another sync of the partition failed meanwhile: what this one covered is as uncertain.
    if (this.#failure !== undefined) {
      this.#covered = undefined
      rejectAll(covered, this.#failure)
      return
    }
    this.#hooks.ended(end)
    for (const waiter of covered) {
      if (waiter instanceof Deferred) waiter.resolve()
      else settle(this.#where, waiter)
    }
    this.#covered = undefined
    this.#hooks.told()
    this.start()
  }
}

function rejectAll(waiters: readonly Waiter[], error: LogError): void {
  for (const waiter of waiters) {
    if (waiter instanceof Deferred) waiter.reject(error)
    else waiter.failed(error)
  }
}
