// The log over its public face against arrays: whatever is done in whatever order, what is read is what was produced.
import { test } from 'node:test'
import fc from 'fast-check'
import type { Action, SentRecord } from '../support/log-model.ts'
import {
  GROUPS,
  ModelledLog,
  PARTITIONS_AT_MOST,
  SEGMENT_BYTES,
  TOPICS,
} from '../support/log-model.ts'

const RUNS = Number(process.env['BROKERLESS_MODEL_RUNS'] ?? 400)
const SEED = process.env['BROKERLESS_SEED']

const topic = fc.constantFrom(...TOPICS)
/** Taken modulo the number of partitions that there are then. */
const partition = fc.nat(PARTITIONS_AT_MOST - 1)
const durability = fc.constantFrom(undefined, 'disk', 'os')
/** A place in a range that is known only then. */
const fraction = fc.double({ min: 0, max: 1, noNaN: true })
const group = fc.constantFrom(...GROUPS)

const record: fc.Arbitrary<SentRecord> = fc.record(
  {
    key: fc.option(fc.string({ maxLength: 4, unit: 'binary' }), { nil: null }),
    value: fc.oneof(
      { weight: 6, arbitrary: fc.string({ maxLength: 40, unit: 'binary' }) },
      { weight: 3, arbitrary: fc.constant('x'.repeat(400)) },
      { weight: 1, arbitrary: fc.constant(null) },
    ),
    timestamp: fc.integer({ min: 0, max: 5000 }),
    header: fc.string({ maxLength: 8 }),
  },
  { requiredKeys: ['key', 'value'] },
)

const produce = fc.record({
  do: fc.constant('produce' as const),
  topic,
  partition,
  records: fc.array(record, { minLength: 1, maxLength: 5 }),
  durability,
})
const work: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: produce },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('produceKeyed' as const), topic, record, durability }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('produceAcross' as const),
      topic,
      records: fc.array(record, { minLength: 2, maxLength: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('produceTogether' as const),
      topic,
      partition,
      records: fc.array(record, { minLength: 2, maxLength: 8 }),
      durability,
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('produceExpecting' as const),
      topic,
      partition,
      record,
      error: fc.constantFrom(0, 0, -1, 1, 5),
    }),
  },
)
const look: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    do: fc.constant('fetch' as const),
    topic,
    partition,
    at: fraction,
    maxBytes: fc.constantFrom(1, 100, 1000, 1 << 20),
    maxRecords: fc.constantFrom(1, 2, 7, Number.POSITIVE_INFINITY),
  }),
  fc.record({
    do: fc.constant('fetchOutside' as const),
    topic,
    partition,
    by: fc.integer({ min: 1, max: 9 }),
  }),
  fc.record({
    do: fc.constant('read' as const),
    topic,
    partition: fc.option(partition),
    maxBytes: fc.constantFrom(1, 300, 1 << 20),
  }),
  fc.record({
    do: fc.constant('offsetForTimestamp' as const),
    topic,
    partition,
    timestamp: fc.integer({ min: 0, max: 6000 }),
  }),
  fc.record({ do: fc.constant('describe' as const), topic }),
)
const commit: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    do: fc.constant('commit' as const),
    group,
    topic,
    partition,
    at: fraction,
    durability,
  }),
  fc.record({ do: fc.constant('lag' as const), group }),
)
const change: fc.Arbitrary<Action> = fc.oneof(
  fc.record({ do: fc.constant('deleteRecords' as const), topic, partition, at: fraction }),
  fc.record({
    do: fc.constant('retainBytes' as const),
    topic,
    retentionBytes: fc.integer({ min: 0, max: 9000 }),
  }),
  fc.record({
    do: fc.constant('retainMs' as const),
    topic,
    retentionMs: fc.integer({ min: 1, max: 3000 }),
  }),
  fc.record({ do: fc.constant('addPartition' as const), topic }),
  fc.record({
    do: fc.constant('segmentBytes' as const),
    topic,
    segmentBytes: fc.constantFrom(SEGMENT_BYTES, 2 * SEGMENT_BYTES, 1 << 20),
  }),
  fc.record({ do: fc.constant('deleteTopic' as const), topic }),
  fc.record({ do: fc.constant('flush' as const) }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.constantFrom(1, 200, 1000, 4000) }),
)
const reopen: fc.Arbitrary<Action> = fc.record({
  do: fc.constant('reopen' as const),
  after: fc.constantFrom('close', 'kill'),
})
const actions = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: work },
    { weight: 5, arbitrary: look },
    { weight: 3, arbitrary: commit },
    { weight: 3, arbitrary: change },
    { weight: 2, arbitrary: reopen },
  ),
  { minLength: 1, maxLength: 40, size: 'max' },
)

test('what is read is what was produced, committed and kept, in any order of calls, closes and kills', async () => {
  const property = fc.asyncProperty(actions, async (all) => {
    const log = await ModelledLog.open()
    for (const action of all) await log.take(action)
    await log.checkAll()
    await log.take({ do: 'reopen', after: 'close' })
  })
  await fc.assert(property, {
    numRuns: RUNS,
    includeErrorInReport: true,
    ...(SEED === undefined ? {} : { seed: Number(SEED) }),
  })
})
