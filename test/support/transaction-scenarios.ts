// Transactions as they may go, each with all that it does on the disk.
import type { TransactionRun, TransactionRunOptions } from './transaction-run.ts'

export interface Scenario extends TransactionRunOptions {
  readonly name: string
  /** What was done before counts as well. */
  readonly isFirst?: true
  run(run: TransactionRun): Promise<unknown>
}

const EVERYWHERE = { counts: [2, 1, 2], hasOffset: true } as const
const LARGE = { counts: [2, 3, 2], hasOffset: true, isLarge: true } as const

export const SCENARIOS: readonly Scenario[] = [
  {
    name: 'three partitions and an offset',
    run: (run) => run.transactAtOnce('x', EVERYWHERE),
  },
  {
    name: 'the first transaction of all',
    isFirst: true,
    run: (run) => run.transactAtOnce('x', EVERYWHERE),
  },
  {
    name: 'one partition, two, and an offset alone',
    async run(run) {
      await run.transact('x', { counts: [3, 0, 0] })
      await run.transact('y', { counts: [0, 1, 0], hasOffset: true })
      await run.transact('z', { counts: [0, 0, 0], hasOffset: true })
      await run.transact('w', { counts: [0, 2, 0], isLarge: true })
    },
  },
  {
    name: 'what is too large is written early',
    run: (run) => run.transactAtOnce('x', LARGE),
  },
  {
    name: 'aborts',
    async run(run) {
      const [early, late] = [await run.begin(), await run.begin()]
      if (early === undefined || late === undefined) return
      await run.fill('x', early, LARGE)
      await run.fill('y', late, EVERYWHERE)
      await run.produce('behind', 0)
      await run.abort('x', early)
      await run.abort('y', late)
      await run.transact('z', EVERYWHERE)
    },
  },
  {
    name: 'two side by side, and a plain record',
    async run(run) {
      const both = ['x', 'y'].map((name) => run.transact(name, EVERYWHERE))
      await Promise.all([...both, run.produce('beside', 1)])
    },
  },
  {
    name: 'one that times out, and one that conflicts',
    async run(run) {
      const tx = await run.begin(undefined, { transactionTimeoutMs: 500 })
      if (tx === undefined) return
      await run.fill('x', tx, LARGE)
      await run.advance(700)
      await run.commit('x', tx)
      await run.transact('y', { counts: [1, 1, 1], hasOffset: true, conflictAt: 1 })
    },
  },
  {
    name: 'a producer by name, and another of its name',
    async run(run) {
      const first = await run.producer('teller')
      if (first === undefined) return
      await run.transact('x', EVERYWHERE, first)
      const tx = await run.begin(first)
      if (tx === undefined) return
      await run.fill('y', tx, LARGE)
      const second = await run.producer('teller')
      if (second === undefined) return
      run.aborted('y')
      await run.transact('z', EVERYWHERE, second)
    },
  },
  {
    name: 'segments that are full',
    segmentBytes: 1024,
    async run(run) {
      for (const name of ['x', 'y', 'z']) {
        await run.transactAtOnce(name, LARGE)
      }
    },
  },
]

/** Opens the log, and does what the scenario comes behind. */
export async function prepare(run: TransactionRun, { isFirst }: Scenario): Promise<void> {
  await run.open()
  if (isFirst) return
  await run.produce('plain', 0)
  await run.transact('before', { counts: [1, 1, 1], hasOffset: true })
  await run.transact('before-too', { counts: [0, 0, 1] })
}
