import type { Producer } from './producer.ts'

const PREFIX = 'brokerless-'
const POOL_NAME = /^brokerless-[1-9][0-9]*$/

/** The names of the pool are not to be given by users: its producers would be fenced. */
export function isPoolName(transactionalId: string): boolean {
  return POOL_NAME.test(transactionalId)
}

/**
 * Producers for transactions without a name. One that has just ended a transaction rests while its markers come to the disk: others take their turn, so
 * that nobody waits for that (see `Identity.mustRest`).
 */
export class ProducerPool {
  readonly #init: (transactionalId: string) => Promise<Producer>
  /** The one that has rested longest first. */
  readonly #resting: Producer[] = []
  /** Numbers that were given. */
  #made = 0
  /** Producers that there are. */
  #living = 0
  #inUse = 0
  #mostInUse = 0

  constructor(init: (transactionalId: string) => Promise<Producer>) {
    this.#init = init
  }

  take(): Producer | Promise<Producer> {
    this.#inUse += 1
    this.#mostInUse = Math.max(this.#mostInUse, this.#inUse)
    const rested = this.#rested()
    return rested ?? this.#make()
  }

  giveBack(producer: Producer): void {
    this.#inUse -= 1
    if (producer.fenced === undefined) this.#resting.push(producer)
    else this.#living -= 1
  }

  #rested(): Producer | undefined {
    // Those whose partition has failed never will.
    while (this.#resting[0]?.identity.cannotRest === true) {
      this.#resting.shift()
      this.#living -= 1
    }
    // The markers of an abort may wait for room still.
    const index = this.#resting.findIndex(({ identity }) => !identity.isBusy)
    const first = this.#resting[index]
    if (first === undefined) return undefined
    // There are enough: its own transaction sees to it that the markers are synced.
    const areEnough = this.#living >= 3 * this.#mostInUse + 1
    if (!areEnough && first.identity.mustRest('os')) return undefined
    this.#resting.splice(index, 1)
    return first
  }

  async #make(): Promise<Producer> {
    // One that could not be made may be in use by what an open could not end: its number is not given again.
    this.#made += 1
    this.#living += 1
    try {
      return await this.#init(`${PREFIX}${this.#made}`)
    } catch (error) {
      this.#living -= 1
      this.#inUse -= 1
      throw error
    }
  }
}
