// What must not grow: W11, the rates against the number of segments, partitions and idle readers, and the time to open.
import type { Contender, Parameters, Preparation, Target, Workload } from './types.ts'

const W1_RECORDS = { records: 1_000_000, batchRecords: 1000, keyBytes: 16, valueBytes: 100 }
const W1_QUICK = { records: 20_000 }
/** Where appends are slow, so many would take minutes. */
const SINGLE_RECORDS = {
  records: 200_000,
  batchRecords: 1,
  keyBytes: 0,
  valueBytes: 100,
  timeLimitMs: 2000,
}
/** A batch of W1 fills a segment of this size. */
const SMALL_SEGMENT_BYTES = 128 * 1024
const MANY = 1000
const FEW = 20
/** Below this a difference means something on a shared machine. */
const FLAT = 0.85
/** What W11 asks for. */
const OVER_PARTITIONS = 0.7

const WRITTEN: Preparation = { task: 'append', ending: 'closed' }
/** A partition of 1,000 segments, and then one that is large enough for what follows. */
const MANY_SEGMENTS: Preparation = {
  ...WRITTEN,
  parameters: { ...W1_RECORDS, segmentBytes: SMALL_SEGMENT_BYTES },
  quick: W1_QUICK,
}

/** One segment, one partition, no reader beside. */
const ALONE = 'alone'

function variation(
  label: string,
  parameters: Partial<Parameters>,
  atLeast = FLAT,
  others: Partial<Contender> = {},
): Contender {
  const targets: readonly Target[] = [{ metric: 'rate', of: ALONE, atLeast }]
  return { label, program: 'brokerless', variant: 'fetch', parameters, targets, ...others }
}

const alone: Contender = { label: ALONE, program: 'brokerless', variant: 'fetch' }
const overPartitions = variation('1,000 partitions', { partitions: MANY }, OVER_PARTITIONS, {
  quick: { partitions: FEW },
})
const PLACES = ['another topic', 'another partition', 'the same partition'] as const
const besideReaders: readonly Contender[] = PLACES.map((idleAt, index) =>
  variation(`1,000 idle readers of ${idleAt}`, { idleReaders: MANY, idleAt }, FLAT, {
    notInQuick: index > 0,
  }),
)
const afterSegments = variation('behind 1,000 segments', {}, FLAT, { prepare: MANY_SEGMENTS })

const OPEN_TARGETS: readonly Target[] = [
  { metric: 'openMs', atMost: 250 },
  { metric: 'peakMiB', atMost: 50 },
  { metric: 'fileHandles', atMost: 300 },
]

export const OVER_MANY_PARTITIONS: readonly Workload[] = [
  {
    id: 'W11',
    title: '1,000 partitions: open cleanly (the time), then one record to each and read each',
    task: 'touchPartitions',
    metric: 'openMs',
    kind: 'growth',
    parameters: { records: MANY, batchRecords: 1, partitions: MANY },
    quick: { records: FEW, partitions: FEW },
    prepare: WRITTEN,
    contenders: [{ label: 'brokerless', program: 'brokerless', targets: OPEN_TARGETS }],
  },
]

const RATES: readonly Workload[] = [
  {
    id: 'W1-growth',
    title: 'append in batches against what else is there',
    task: 'append',
    metric: 'rate',
    kind: 'growth',
    parameters: W1_RECORDS,
    quick: W1_QUICK,
    contenders: [
      alone,
      overPartitions,
      afterSegments,
      {
        ...alone,
        label: 'into 1,000 new segments',
        parameters: { segmentBytes: SMALL_SEGMENT_BYTES },
      },
      ...besideReaders,
    ],
  },
  {
    id: 'W5-growth',
    title: 'one record at a time against what else is there',
    task: 'appendSingle',
    metric: 'rate',
    kind: 'growth',
    parameters: SINGLE_RECORDS,
    quick: { records: 2000 },
    contenders: [
      alone,
      { ...overPartitions, targets: [{ metric: 'rate', of: ALONE, atLeast: FLAT }] },
      afterSegments,
      ...besideReaders,
    ],
  },
  {
    id: 'W6-growth',
    title: 'scan, a page at a time, against what else is there',
    task: 'scan',
    metric: 'rate',
    kind: 'growth',
    parameters: W1_RECORDS,
    quick: W1_QUICK,
    prepare: WRITTEN,
    contenders: [
      alone,
      overPartitions,
      variation('1,000 segments', { segmentBytes: SMALL_SEGMENT_BYTES }),
      ...besideReaders,
    ],
  },
]

const COUNTS = [1, 10, 100, 1000]
/** A smoke run has one of them, and the most, of which it makes a few. */
const IN_QUICK: readonly number[] = [1, MANY]

const OPENING: readonly Workload[] = [
  {
    id: 'opening',
    title: 'time to open cleanly and read the last record, by segments of 128 KiB',
    task: 'reopen',
    metric: 'openMs',
    kind: 'growth',
    parameters: { ...W1_RECORDS, segmentBytes: SMALL_SEGMENT_BYTES },
    quick: {},
    prepare: WRITTEN,
    contenders: COUNTS.map((count) => ({
      label: `segments: ${count.toLocaleString('en')}`,
      program: 'brokerless' as const,
      parameters: { records: count * W1_RECORDS.batchRecords },
      quick: { records: Math.min(count, FEW) * W1_RECORDS.batchRecords },
      notInQuick: !IN_QUICK.includes(count),
    })),
  },
  {
    id: 'opening',
    title: 'time to open cleanly and read the last record, by partitions of one record each',
    task: 'reopen',
    metric: 'openMs',
    kind: 'growth',
    parameters: { batchRecords: 1 },
    quick: {},
    prepare: WRITTEN,
    contenders: COUNTS.map((count) => ({
      label: `partitions: ${count.toLocaleString('en')}`,
      program: 'brokerless' as const,
      parameters: { records: count, partitions: count },
      quick: { records: Math.min(count, FEW), partitions: Math.min(count, FEW) },
      notInQuick: !IN_QUICK.includes(count),
    })),
  },
]

export const GROWTH: readonly Workload[] = [...RATES, ...OPENING]
