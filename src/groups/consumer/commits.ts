import type { Clock, Timer } from '../../types.ts'
import { asError } from '../../util/error-code.ts'
import { Mutex } from '../../util/mutex.ts'
import type { OffsetCommit } from '../types.ts'
import type { Claim } from './claim.ts'

export interface CommitsOptions {
  readonly clock: Clock
  readonly autoCommit: boolean
  readonly autoCommitIntervalMs: number
  /** Of what is handed out record by record: says how far it is done. */
  readonly settle: () => void
  /** Nothing of it is in hand or about to be committed, and what is committed of it lies below what is done. */
  readonly isIdle: (claim: Claim) => boolean
  /** Refuses what is not the consumer's own any more, else commits. */
  readonly write: (commits: readonly OffsetCommit[]) => Promise<void>
  /** Why these are not committed. */
  readonly fenced: (names: string) => Error
  /** Told of what a commit by itself has come to. It must not throw. */
  readonly failed: (error: Error) => void
}

/**
 * What of a consumer's claims is done and not committed. One commit after another, so that an earlier one is never written over a later one.
 *
 * The timer is set when something becomes done, never while all is committed: a consumer that waits has none. A commit by itself that
 * fails is told, and tried again with the next; nothing is skipped by it, since what is not committed is handed out again.
 */
export class Commits {
  /** Nothing has to be done about what becomes done: the timer is set, or there is none. Looked at for each record. */
  isArmed: boolean
  readonly #options: CommitsOptions
  readonly #dirty = new Set<Claim>()
  readonly #order = new Mutex()
  #timer: Timer | undefined
  #isEnded = false
  /** What is committed without being asked for. */
  #byItself: 'done' | 'idle' | 'none'

  constructor(options: CommitsOptions) {
    this.#options = options
    this.#byItself = options.autoCommit ? 'done' : 'none'
    this.isArmed = !options.autoCommit
  }

  /**
   * Who takes the pages commits them, with something else. What is left is to say how far a claim has come that was read on without anything to hand out:
   * its last records may have been aborted.
   */
  leaveTo(): void {
    this.#byItself = 'idle'
    this.isArmed = this.#isEnded
  }

  /** Something of it is done. */
  noted(claim: Claim): void {
    this.#dirty.add(claim)
    if (!this.isArmed) this.arm()
  }

  arm(): void {
    if (this.isArmed || this.#isEnded) return
    this.isArmed = true
    this.#timer = this.#options.clock.setTimer(
      () => this.#timeIsUp(),
      this.#options.autoCommitIntervalMs,
    )
  }

  /** Commits what is done, of these claims or of all. */
  commit(claims?: ReadonlySet<Claim>): Promise<void> {
    return this.#order.run(async () => {
      this.#options.settle()
      const due = [...this.#dirty].filter((each) => claims?.has(each) ?? true)
      await this.#write(due.filter(({ isDirty, of }) => isDirty && of.gone === undefined))
    })
  }

  /** Commits what it is to commit without being asked for. */
  async commitByItself(claims?: ReadonlySet<Claim>): Promise<void> {
    if (this.#byItself === 'done') await this.commit(claims)
    else if (this.#byItself === 'idle') await this.#commitIdle()
  }

  /** Judged and written in one turn: what is committed with something else comes before, or behind it. */
  async #commitIdle(): Promise<void> {
    await this.#order.run(() =>
      this.#write(
        [...this.#dirty].filter((each) => {
          return each.isDirty && each.of.gone === undefined && this.#options.isIdle(each)
        }),
      ),
    )
  }

  /** Commits what the caller says is done: of each claim, all below the offset. */
  commitUpTo(offsets: ReadonlyMap<Claim, number>): Promise<void> {
    return this.#order.run(async () => {
      // They may have gone since this was asked for; a claim that comes after it on the same partition has commits of its own.
      const lost = [...offsets.keys()].filter(({ isLost }) => isLost)
      if (lost.length > 0) throw this.#options.fenced(lost.map(({ name }) => name).join(', '))
      for (const [claim, offset] of offsets) {
        claim.advance(offset, undefined)
        if (claim.isDirty) this.#dirty.add(claim)
      }
      const atDone = [...offsets].filter(([claim, offset]) => claim.done === offset)
      const below = [...offsets].filter(([claim, offset]) => claim.done !== offset)
      const others = below.map(([{ topic, partition }, offset]) => ({ topic, partition, offset }))
      await this.#write(
        atDone.map(([claim]) => claim),
        others,
      )
    })
  }

  /** It was committed elsewhere, as far as it is done. */
  settled(claim: Claim): void {
    claim.settled = claim.changes
    this.#dirty.delete(claim)
  }

  get isDirty(): boolean {
    this.#options.settle()
    return this.#dirty.size > 0
  }

  forget(claim: Claim): void {
    this.#dirty.delete(claim)
  }

  /** No timer is set any more. */
  end(): void {
    this.#isEnded = true
    this.isArmed = true
    this.#timer?.cancel()
  }

  async #write(due: readonly Claim[], others: readonly OffsetCommit[] = []): Promise<void> {
    const commits = due.map((claim) => claim.toCommit())
    if (commits.length + others.length === 0) return
    const changes = due.map((claim) => claim.changes)
    await this.#options.write([...commits, ...others])
    for (const [index, claim] of due.entries()) {
      claim.settled = changes[index] ?? claim.settled
      if (!claim.isDirty) this.#dirty.delete(claim)
    }
  }

  async #timeIsUp(): Promise<void> {
    this.#timer = undefined
    try {
      await this.commitByItself()
    } catch (error) {
      this.#options.failed(asError(error))
    }
    this.isArmed = this.#isEnded
    // Also what was handed out record by record meanwhile, of which nobody has told.
    if (this.isDirty) this.arm()
  }
}
