import type { LogError } from '../errors.ts'
import type { MutableReport, Repair } from './recovery-steps.ts'

/** What a full disk kept from being done at the open of a partition; it is done before the next append. */
export class PartitionRepairs {
  readonly #report: MutableReport
  readonly #repairs: Repair[]
  readonly #refusal: (error: unknown) => LogError
  #running: Promise<void> | undefined

  /** @param refusal makes of a repair's failure what the calls that wait are told. */
  constructor(report: MutableReport, repairs: Repair[], refusal: (error: unknown) => LogError) {
    this.#report = report
    this.#repairs = repairs
    this.#refusal = refusal
  }

  get isDone(): boolean {
    return this.#repairs.length === 0
  }

  /** Does them; whoever comes meanwhile waits for the same. */
  run(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    for (let repair = this.#repairs[0]; repair !== undefined; repair = this.#repairs[0]) {
      try {
        await repair.run()
      } catch (error) {
        throw this.#refusal(error)
      }
      this.#repairs.shift()
      this.#report.inMemory = this.#report.inMemory.filter((what) => what !== repair?.what)
    }
  }
}
