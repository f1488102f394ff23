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
    for (let index = 0; ; ) {
      const producer = this.#resting[index]
      if (producer === undefined) return undefined
      const { fenced, identity } = producer
      if (fenced !== undefined || identity.cannotRest) {
        // It was forgotten; or a partition has failed, and its markers never come to the disk.
        this.#resting.splice(index, 1)
        this.#living -= 1
      } else if (identity.isBusy) {
        // The markers of an abort wait for room still.
        index += 1
      } else {
        // Where there are enough its own transaction sees to it that the markers are synced.
        const areEnough = this.#living >= 3 * this.#mostInUse + 1
        if (!areEnough && identity.mustRest('os')) return undefined
        this.#resting.splice(index, 1)
        return producer
      }
    }
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
