// Many contenders for one directory in one thread: a seed decides who makes the next step, and who dies before it.
import type { DirectoryLock } from '../../src/storage/directory-lock.ts'
import { lockDirectory } from '../../src/storage/directory-lock.ts'
import { nodeProcessFacts } from '../../src/storage/file-system.ts'
import type { ProcessFacts, ProcessIdentity } from '../../src/storage/lock-record.ts'
import type { FileSystem } from '../../src/types.ts'
import { systemClock } from '../../src/util/clock.ts'
import { WithoutFlock } from './lock-directory.ts'

/** A number below `limit`. */
export type Choose = (limit: number) => number

interface Step {
  readonly pid: number
  readonly go: () => void
}

export interface Outcome {
  /** The greatest number of live processes that held the lock at the same time. */
  readonly mostHolders: number
  readonly granted: number
  readonly deaths: number
}

export interface ScheduleOptions {
  readonly fileSystem: FileSystem
  readonly directory: string
  readonly choose: Choose
  /** One step in so many kills its process instead; 0: none. */
  readonly deathsIn: number
  readonly contenders: number
  /** A lock that all contenders were told to break, and its release, which runs beside them. */
  readonly broken?: { readonly token: string; release(turn: () => Promise<void>): Promise<void> }
  /** How often each tries, after it was refused or has released. */
  readonly attempts: number
}

/** Pid of the one whose lock is broken. */
const BROKEN = 90

export class LockSchedule {
  readonly #options: ScheduleOptions
  readonly #dead = new Set<number>()
  readonly #holders = new Set<number>()
  readonly #running = new Set<number>()
  #waiting: Step[] = []
  #mostHolders = 0
  #granted = 0

  constructor(options: ScheduleOptions) {
    this.#options = options
  }

  /** A process that no longer runs. */
  static deadProcess(): ProcessIdentity {
    return { ...nodeProcessFacts.self(), pid: 1, startTime: 1 }
  }

  factsOf(pid: number): ProcessFacts {
    const self = { ...nodeProcessFacts.self(), pid, startTime: pid }
    const startTimeOf = (other: number) =>
      other === 1 || this.#dead.has(other) ? undefined : other
    return { self: () => self, startTimeOf }
  }

  async run(): Promise<Outcome> {
    for (let pid = 2; pid < 2 + this.#options.contenders; pid += 1) {
      this.#start(pid, this.#contend(pid))
    }
    const { broken } = this.#options
    if (broken)
      this.#start(
        BROKEN,
        broken.release(() => this.#turn(BROKEN)),
      )
    while (this.#running.size > 0) {
      await new Promise((turn) => setImmediate(turn))
      this.#step()
    }
    return {
      mostHolders: this.#mostHolders,
      granted: this.#granted,
      deaths: this.#dead.size,
    }
  }

  #start(pid: number, work: Promise<void>): void {
    this.#running.add(pid)
    work.then(
      () => this.#running.delete(pid),
      (error: unknown) => {
        throw error
      },
    )
  }

  #step(): void {
    const { choose, deathsIn } = this.#options
    const [step] = this.#waiting.splice(choose(this.#waiting.length), 1)
    if (step === undefined) return
    if (deathsIn > 0 && choose(deathsIn) === 0) this.#kill(step.pid)
    else step.go()
  }

  #kill(pid: number): void {
    this.#dead.add(pid)
    this.#holders.delete(pid)
    this.#running.delete(pid)
    this.#waiting = this.#waiting.filter((step) => step.pid !== pid)
  }

  #turn(pid: number): Promise<void> {
    return new Promise((go) => this.#waiting.push({ pid, go }))
  }

  async #contend(pid: number): Promise<void> {
    const { directory, attempts, choose } = this.#options
    const fileSystem = new WithoutFlock(this.#options.fileSystem, () => this.#turn(pid))
    const facts = this.factsOf(pid)
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const lock = await this.#open(fileSystem, directory, facts)
      if (lock === undefined) continue
      this.#holders.add(pid)
      this.#granted += 1
      this.#mostHolders = Math.max(this.#mostHolders, this.#holders.size)
      for (let steps = choose(4); steps > 0; steps -= 1) await this.#turn(pid)
      this.#holders.delete(pid)
      await lock.release()
    }
  }

  async #open(
    fileSystem: FileSystem,
    directory: string,
    facts: ProcessFacts,
  ): Promise<DirectoryLock | undefined> {
    try {
      const breakLock = this.#options.broken?.token
      return await lockDirectory(fileSystem, directory, { clock: systemClock, facts, breakLock })
    } catch (error) {
      if (error instanceof Error && error.name === 'DirectoryLockedError') return undefined
      throw error
    }
  }
}
