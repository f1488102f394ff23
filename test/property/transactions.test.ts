// Transactions and producers over the public face against a model: whatever is done in whatever order, readers at both isolation levels see
// what they have to see, and no half of a transaction.
import { test } from 'node:test'
import fc from 'fast-check'
import type { SentRecord, TransactionAction } from '../support/modelled-transactions.ts'
import { ModelledTransactions } from '../support/modelled-transactions.ts'

const RUNS = Number(process.env['BROKERLESS_MODEL_RUNS'] ?? 60)
const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)

const place = fc.nat(3)
const open = fc.nat(3)
const name = fc.constantFrom('payments', 'refunds')
const group = fc.constantFrom('billing', 'shipping')
/** A place in a range that is known only then. */
const fraction = fc.double({ min: 0, max: 1, noNaN: true })

const record: fc.Arbitrary<SentRecord> = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd'),
  bytes: fc.constantFrom(1, 10, 10, 30, 600),
})
const records = fc.array(record, { minLength: 1, maxLength: 4 })

function action<const D extends TransactionAction['do']>(what: D) {
  return fc.constant(what)
}

const begin: fc.Arbitrary<TransactionAction> = fc.record({
  do: action('begin'),
  name: fc.option(name, { nil: null }),
  timeoutMs: fc.constantFrom(1005, 5005, 60_005),
})
const fill: fc.Arbitrary<TransactionAction> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      do: action('txProduce'),
      open,
      place,
      records,
      error: fc.option(fc.constantFrom(0, 0, 0, 1, -1), { nil: null, freq: 3 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: action('txOffset'), open, place, group, at: fraction }),
  },
)
const end: fc.Arbitrary<TransactionAction> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: action('commit'), open }) },
  { weight: 2, arbitrary: fc.record({ do: action('abort'), open }) },
  { weight: 2, arbitrary: fc.record({ do: action('commitAll') }) },
  { weight: 1, arbitrary: fc.record({ do: action('init'), name }) },
)
const whole: fc.Arbitrary<TransactionAction> = fc.record({
  do: action('transaction'),
  places: fc.uniqueArray(place, { minLength: 1, maxLength: 3 }),
  records,
  isThrowing: fc.constantFrom(false, false, true),
})
const other: fc.Arbitrary<TransactionAction> = fc.oneof(
  fc.record({ do: action('produce'), place, records }),
  fc.record({ do: action('idempotent'), place, records }),
  fc.record({ do: action('retry'), place, back: fc.constantFrom(0, 0, 1, 4, 5, 6) }),
  fc.record({ do: action('gap'), place }),
)
const look: fc.Arbitrary<TransactionAction> = fc.oneof(
  fc.record({
    do: action('fetch'),
    place,
    at: fraction,
    isolationLevel: fc.constantFrom('read_committed', 'read_uncommitted'),
    maxBytes: fc.constantFrom(1, 200, 1000),
  }),
  fc.record({ do: fc.constantFrom('check', 'tail') }),
)
const change: fc.Arbitrary<TransactionAction> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('compact', 'flush') }) },
  { weight: 1, arbitrary: fc.record({ do: action('deleteRecords'), at: fraction }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: action('advance'), ms: fc.constantFrom(10, 1000, 4000) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ do: action('reopen'), after: fc.constantFrom('close', 'kill') }),
  },
  { weight: 1, arbitrary: fc.record({ do: action('killInCommit'), turns: fc.nat(60) }) },
)
const actions = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: begin },
    { weight: 9, arbitrary: fill },
    { weight: 5, arbitrary: end },
    { weight: 2, arbitrary: whole },
    { weight: 4, arbitrary: other },
    { weight: 3, arbitrary: look },
    { weight: 3, arbitrary: change },
  ),
  { minLength: 1, maxLength: 50, size: 'max' },
)

test('readers at both isolation levels see what was committed and what was written, in any order of transactions, producers, time-outs and kills', async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  const property = fc.asyncProperty(actions, async (all) => {
    const log = await ModelledTransactions.open()
    for (const each of all) await log.take(each)
    await log.end()
  })
  await fc.assert(property, { numRuns: RUNS, includeErrorInReport: true, seed: SEED })
})
