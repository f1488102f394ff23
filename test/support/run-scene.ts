import type { ConsumedRecord } from '../../src/groups/consumer/page-source.ts'
import type { RunOptions } from '../../src/groups/consumer/run/run-options.ts'
import { resolveRunOptions } from '../../src/groups/consumer/run/run-options.ts'
import { Runner } from '../../src/groups/consumer/run/runner.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { Deferred } from '../../src/util/deferred.ts'
import type { FakePageSource } from './fake-page-source.ts'

type Consumed = ConsumedRecord<string, unknown>

/** A run over a fake source, with what it has told. */
export class RunScene {
  readonly clock = new ManualClock()
  /** `retried orders-0@5 1`, `skipped …`, `dead …`, in their order. */
  readonly told: string[] = []
  readonly deadLetters: Consumed[] = []
  readonly runner: Runner<string, unknown>
  readonly ended: Promise<void>
  /** What the next appends of dead letters reject with. */
  readonly appendErrors: Error[] = []
  random = 0
  outcome: 'running' | 'ended' | Error = 'running'

  constructor(source: FakePageSource, options: RunOptions, maxPollIntervalMs = 300_000) {
    this.runner = new Runner(source, resolveRunOptions(options), {
      clock: this.clock,
      maxPollIntervalMs,
      random: () => this.random,
      signals: {
        retried: ({ partition, offset }, attempt) =>
          this.told.push(`retried ${partition}@${offset} ${attempt}`),
        skipped: ({ partition, offset }) => this.told.push(`skipped ${partition}@${offset}`),
        deadLettered: ({ partition, offset }, topic) =>
          this.told.push(`dead ${partition}@${offset} ${topic}`),
      },
      appendDeadLetter: async (record) => {
        await null
        const error = this.appendErrors.shift()
        if (error !== undefined) throw error
        this.deadLetters.push(record)
      },
    })
    this.ended = this.runner.run()
    this.ended.then(
      () => {
        this.outcome = 'ended'
      },
      (error) => {
        this.outcome = error
      },
    )
  }
}

/** Handlers that end when the test says so. */
export class HeldHandlers {
  /** `0@5`, in the order in which they were begun. */
  readonly begun: string[] = []
  readonly underWay = new Map<string, Deferred<void>>()
  readonly signals = new Map<string, AbortSignal>()
  most = 0

  readonly eachRecord = (
    { partition, offset, deliveryCount }: Consumed,
    context: { readonly signal: AbortSignal },
  ): Promise<void> => {
    const name = `${partition}@${offset}`
    this.begun.push(deliveryCount === 1 ? name : `${name} ${deliveryCount}`)
    const deferred = new Deferred<void>()
    this.underWay.set(name, deferred)
    this.signals.set(name, context.signal)
    this.most = Math.max(this.most, this.underWay.size)
    return deferred.promise
  }

  get names(): string {
    return [...this.underWay.keys()].join(' ')
  }

  async end(name: string): Promise<void> {
    this.#take(name).resolve()
    await settle()
  }

  async fail(name: string, error: unknown = new Error(`${name} fails`)): Promise<void> {
    this.#take(name).reject(error)
    await settle()
  }

  #take(name: string): Deferred<void> {
    const deferred = this.underWay.get(name)
    if (deferred === undefined) throw new Error(`${name} is not under way, but ${this.names}`)
    this.underWay.delete(name)
    return deferred
  }
}

/** Some turns of the event loop: what can go on has gone on. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve))
}
