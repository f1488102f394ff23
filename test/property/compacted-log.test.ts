// A compacted log over its public face against a map: whatever is done in whatever order, each key has its last value, at its old offset.
import { test } from 'node:test'
import fc from 'fast-check'
import type { CompactedAction, SentChange } from '../support/compacted-log-model.ts'
import { CompactedLog, PARTITIONS } from '../support/compacted-log-model.ts'

const RUNS = Number(process.env['BROKERLESS_MODEL_RUNS'] ?? 60)
const SEED = Number(process.env['BROKERLESS_SEED'] ?? Date.now() % 2 ** 31)

const partition = fc.nat(PARTITIONS - 1)
/** A place in a range that is known only then. */
const fraction = fc.double({ min: 0, max: 1, noNaN: true })
const seed = fc.nat()

const change: fc.Arbitrary<SentChange> = fc.record({
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'ä€', ''),
  value: fc.oneof(
    { weight: 5, arbitrary: fc.string({ maxLength: 30 }) },
    { weight: 3, arbitrary: fc.constant('x'.repeat(250)) },
    { weight: 2, arbitrary: fc.constant(null) },
  ),
})

const produce: fc.Arbitrary<CompactedAction> = fc.record({
  do: fc.constant('produce' as const),
  partition,
  changes: fc.array(change, { minLength: 1, maxLength: 6 }),
  compression: fc.constantFrom('none', 'gzip', 'snappy', 'lz4', 'zstd'),
  durability: fc.constantFrom('disk', 'os'),
})

const other: fc.Arbitrary<CompactedAction> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ do: fc.constant('compact' as const), roll: fc.boolean() }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('compactCut' as const),
      at: fraction,
      end: fc.constantFrom('power', 'kill'),
      seed,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('deleteRecords' as const), partition, at: fraction }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('retain' as const),
      retentionMs: fc.constantFrom(-1, 1, 5000),
      retentionBytes: fc.constantFrom(-1, 0, 2000),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('advance' as const),
      ms: fc.constantFrom(1, 1000, 20_000, 150_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('fetch' as const),
      partition,
      at: fraction,
      maxRecords: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('reopen' as const),
      after: fc.constantFrom('close', 'kill', 'power'),
      seed,
    }),
  },
)

const settings = fc.record({
  cleanupPolicy: fc.constantFrom('compact', 'compact,delete'),
  segmentBytes: fc.constantFrom(2048, 5000),
  compactionMapBytes: fc.constantFrom(1024, 1 << 20),
})
const actions = fc.array(
  fc.oneof({ weight: 5, arbitrary: produce }, { weight: 4, arbitrary: other }),
  { minLength: 1, maxLength: 40, size: 'max' },
)

test('each key has its last value, at its old offset, in any order of calls, compactions, kills and power cuts', async (t) => {
  t.diagnostic(`BROKERLESS_SEED=${SEED}`)
  const property = fc.asyncProperty(settings, actions, async (given, all) => {
    const log = await CompactedLog.open(given)
    for (const action of all) await log.take(action)
    await log.end()
  })
  await fc.assert(property, { numRuns: RUNS, includeErrorInReport: true, seed: SEED })
})
