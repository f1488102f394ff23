import { LogError } from '../../src/errors.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type {
  ProcessHandler,
  ProcessOptions,
} from '../../src/transactions/process/process-options.ts'
import { resolveProcessOptions } from '../../src/transactions/process/process-options.ts'
import { Processor } from '../../src/transactions/process/processor.ts'
import type { ConsumedInput, TransactionWriter } from '../../src/transactions/process/seams.ts'
import type { Deferred } from '../../src/util/deferred.ts'
import type { FakePageSource } from './fake-page-source.ts'

/** A transaction as it was committed: `out a`, and `orders-0@5` for input up to 5. */
export interface Committed {
  readonly outputs: readonly string[]
  readonly offsets: readonly string[]
}

/** Transactions without a log. */
export class FakeWriter implements TransactionWriter<string> {
  readonly committed: Committed[] = []
  /** What the next commits reject with. */
  readonly errors: Error[] = []
  /** Commits wait for it. */
  held: Deferred<void> | undefined
  begun = 0

  prepare(topic: string, records: unknown, options?: { readonly partition?: number }): string[] {
    const list = Array.isArray(records) ? records : [records]
    for (const each of list) if (each.value === 'bad') throw new TypeError('bad value')
    const where = options?.partition === undefined ? topic : `${topic}-${options.partition}`
    return [`${where} ${list.map((each) => each.value).join('+')}`]
  }

  bytesOf(prepared: string): number {
    return prepared.length
  }

  deadLetter({ value }: { readonly value: unknown }, error: unknown): Promise<string[]> {
    return Promise.resolve([`graves ${value} ${(error as Error).message}`])
  }

  async commit(outputs: readonly string[], { offsets, judge }: ConsumedInput): Promise<void> {
    this.begun += 1
    const error = this.errors.shift()
    if (error !== undefined) throw error
    await this.held?.promise
    judge()
    this.committed.push({
      outputs: [...outputs],
      offsets: offsets.map(({ topic, partition, offset }) => `${topic}-${partition}@${offset}`),
    })
  }

  get outputs(): string[] {
    return this.committed.flatMap(({ outputs }) => outputs)
  }
}

/** A processor over a fake source, with what it has told. */
export class ProcessScene {
  readonly clock = new ManualClock()
  readonly writer = new FakeWriter()
  readonly told: string[] = []
  readonly processor: Processor<string>
  readonly ended: Promise<void>
  outcome: 'running' | 'ended' | Error = 'running'

  /** Nothing of it goes on. */
  readonly end: () => Promise<void>

  constructor(source: FakePageSource, options: Partial<ProcessOptions>, handler: ProcessHandler) {
    const resolved = resolveProcessOptions({ from: 'orders', group: 'g', ...options }, handler)
    this.processor = new Processor<string>({
      ...resolved,
      source: {
        take: () => source.take(),
        hasRoom: true,
        commitOf: ({ topic, partition }, offset) => ({ topic, partition, offset }),
        judge: (pages) => {
          for (const { withdrawn } of pages) {
            if (withdrawn.isLost) throw new LogError('FENCED', 'lost')
          }
        },
        committed: (page, { offset }) => page.finished(offset),
      },
      writer: this.writer,
      clock: this.clock,
      random: () => 0,
      maxBytes: 1000,
      signMs: 1000,
      signals: {
        committed: () => {},
        retried: ({ partition, offset }, attempt) =>
          this.told.push(`retried ${partition}@${offset} ${attempt}`),
        skipped: ({ partition, offset }) => this.told.push(`skipped ${partition}@${offset}`),
        deadLettered: ({ partition, offset }, topic) =>
          this.told.push(`dead ${partition}@${offset} ${topic}`),
      },
    })
    this.ended = this.processor.run()
    this.end = async () => {
      source.close()
      void this.processor.drained()
      source.loseAll()
      await this.ended.catch(() => {})
    }
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
