import type { LogError } from '../errors.ts'
import type { Clock, Durability } from '../types.ts'
import type { Producers } from './joint-commits.ts'
import { JointCommits } from './joint-commits.ts'
import type { TransactionalProducer, UnnamedOptions } from './types.ts'
import type { UnnamedHost } from './unnamed-transaction.ts'
import { UnnamedTransaction } from './unnamed-transaction.ts'

interface Host extends Producers {
  readonly clock: Clock
  readonly durability: Durability
}

/** The transactions without a name of a log. */
export class UnnamedTransactions implements UnnamedHost {
  readonly joint: JointCommits
  readonly #host: Host
  readonly #open = new Set<UnnamedTransaction>()
  /** What is under way without others; the close waits for it. */
  readonly #alone = new Set<Promise<unknown>>()
  /** Those that were begun in this turn: most have ended by its end, and need no timer. */
  #untimed: UnnamedTransaction[] = []
  readonly #timeTask = (): void => {
    const untimed = this.#untimed
    this.#untimed = []
    for (const transaction of untimed) transaction.time()
  }

  constructor(host: Host) {
    this.#host = host
    this.joint = new JointCommits(host)
  }

  get clock(): Clock {
    return this.#host.clock
  }

  get durability(): Durability {
    return this.#host.durability
  }

  begin(options: UnnamedOptions): UnnamedTransaction {
    const transaction = new UnnamedTransaction(this, options)
    if (this.#untimed.length === 0) process.nextTick(this.#timeTask)
    this.#untimed.push(transaction)
    this.#open.add(transaction)
    return transaction
  }

  take(): TransactionalProducer | Promise<TransactionalProducer> {
    return this.#host.take()
  }

  giveBack(producer: TransactionalProducer): void {
    this.#host.giveBack(producer)
  }

  gone(transaction: UnnamedTransaction): void {
    this.#open.delete(transaction)
  }

  goesAlone(work: Promise<unknown>): void {
    const forget = (): void => void this.#alone.delete(work)
    this.#alone.add(work)
    work.then(forget, forget)
  }

  /** Those that are open are aborted; who waits for that is who has begun them. */
  end(reason: LogError): void {
    for (const transaction of [...this.#open]) void transaction.end(reason).catch(() => {})
  }

  /** Resolves when those that were called to commit have ended, and no producer is being made for one. */
  async committed(): Promise<void> {
    await this.joint.idle()
    // Those whose joint commit was aborted are among them by now.
    while (this.#alone.size > 0) await Promise.allSettled(this.#alone)
  }
}
