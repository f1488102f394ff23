import { OffsetOutOfRangeError } from '../../errors.ts'
import type { ReadPage } from '../../topics/page-decoder.ts'
import { readRecords } from '../../topics/partition-reader.ts'
import type { TopicListener } from '../../topics/topic-listeners.ts'
import type { IsolationLevel } from '../../types.ts'
import { Deferred } from '../../util/deferred.ts'
import { keepAlive, letGo } from '../../util/keep-alive.ts'
import { nextTurn, turnIsLong } from '../../util/turn.ts'
import type { Claim } from './claim.ts'

export interface ReaderOptions {
  /** Bytes of a page. */
  readonly maxBytes: number
  readonly onCorrupt: 'throw' | 'skip'
  readonly isolationLevel: IsolationLevel
}

/**
 * Reads pages of claims that come and go, each in its turn. Those that may have something to read are kept in a queue, so that a thousand
 * idle ones cost nothing; who waits is told by the log, and needs no timer.
 *
 * One `take` at a time. A page that is being read while its claim is moved or taken away is not given.
 */
export class AssignedReader {
  readonly #options: ReaderOptions
  readonly #listeners = new Map<Claim, TopicListener>()
  /** What may have something to read. */
  readonly #ready = new Set<Claim>()
  #waiting: Deferred<void> | undefined

  constructor(options: ReaderOptions) {
    this.#options = options
  }

  add(claim: Claim): void {
    const listener = (): void => this.look(claim)
    this.#listeners.set(claim, listener)
    claim.of.listeners.add(listener, claim.log)
    this.look(claim)
  }

  remove(claim: Claim): void {
    const listener = this.#listeners.get(claim)
    if (listener === undefined) return
    this.#listeners.delete(claim)
    this.#ready.delete(claim)
    claim.of.listeners.delete(listener, claim.log)
  }

  /** Something about it has changed. */
  look(claim: Claim): void {
    if (!claim.isReadable || !this.#listeners.has(claim)) return
    this.#ready.add(claim)
    if (this.#waiting !== undefined) this.wake()
  }

  /**
   * Reads the next page that has records, and answers with what `give` makes of it, in the same breath: nothing can come between. Undefined
   * where nothing can be read now.
   */
  async take<P>(give: (claim: Claim, page: ReadPage) => P | undefined): Promise<P | undefined> {
    for (const claim of this.#ready) {
      this.#ready.delete(claim)
      if (turnIsLong()) await nextTurn()
      if (!claim.isReadable || !this.#listeners.has(claim)) continue
      const { moves } = claim
      const read = this.#read(claim)
      const page = read instanceof Promise ? await read : read
      // It may have been paused, asked back, moved or taken away meanwhile.
      if (claim.moves !== moves || !claim.isReadable || !this.#listeners.has(claim)) {
        this.look(claim)
        continue
      }
      const given = page === undefined ? this.#goOnAtStart(claim) : give(claim, page)
      // Behind the others.
      this.look(claim)
      if (given !== undefined) return given
    }
    return undefined
  }

  /** Resolves when there is something to take, and at `wake`. The process is kept alive meanwhile. */
  async changed(): Promise<void> {
    if (this.#ready.size > 0) return
    this.#waiting ??= new Deferred()
    keepAlive()
    await this.#waiting.promise
    letGo()
  }

  wake(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }

  // ----------------------------------------------------------------------------------- reading

  /** Undefined where retention has taken what was to be read, or the topic has gone. */
  #read(claim: Claim): ReadPage | undefined | Promise<ReadPage | undefined> {
    const { of, log } = claim
    const offset = Math.max(claim.position, log.logStartOffset)
    const { end } = claim
    if (offset >= end) return undefined
    const { maxBytes, onCorrupt, isolationLevel } = this.#options
    const request = {
      offset,
      end,
      maxBytes,
      maxRecords: Number.POSITIVE_INFINITY,
      onCorrupt,
      withAborted: isolationLevel === 'read_uncommitted',
    }
    try {
      const page = readRecords(of, log, request)
      if (!(page instanceof Promise)) return page
      return page.catch((error: unknown) => passedOver(claim, error))
    } catch (error) {
      return passedOver(claim, error)
    }
  }

  /** Who is too slow for retention goes on where the log starts now. */
  #goOnAtStart(claim: Claim): undefined {
    const start = claim.log.logStartOffset
    claim.pass(claim.position, start)
    claim.position = Math.max(claim.position, start)
  }
}

function passedOver(claim: Claim, error: unknown): undefined {
  if (claim.of.gone === undefined && !(error instanceof OffsetOutOfRangeError)) throw error
}
