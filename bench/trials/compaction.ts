// What a pass of compaction takes, and what it takes from those who produce and fetch beside it.
import type { Contender, Parameters, Preparation, Workload } from './types.ts'

const KEYED: Partial<Parameters> = {
  records: 10_000_000,
  batchRecords: 1000,
  keyBytes: 16,
  valueBytes: 100,
  keys: 1_000_000,
  segmentBytes: 64 * 1024 * 1024,
}
const QUICK: Partial<Parameters> = {
  records: 50_000,
  keys: 5000,
  segmentBytes: 1024 * 1024,
  timeLimitMs: 100,
}
const KEYED_WRITTEN: Preparation = { task: 'appendKeyed', ending: 'closed' }

/** W6, a page at a time. */
const SCAN: Contender = {
  label: 'W6, fetch',
  program: 'brokerless',
  task: 'scan',
  variant: 'fetch',
  parameters: { records: 1_000_000, keys: 0, segmentBytes: 1 << 30 },
  notInQuick: true,
  prepare: { task: 'append', ending: 'closed' },
}

/** Enough that a pass goes on for some seconds. */
const BESIDE: Partial<Parameters> = {
  ...KEYED,
  records: 4_000_000,
  keys: 400_000,
  timeLimitMs: 5000,
}

function besideAPass(task: 'produceBeside' | 'fetchBeside', name: string): Contender[] {
  const alone: Contender = {
    label: `${name}, alone`,
    program: 'brokerless',
    task,
    variant: 'alone',
    notInQuick: true,
  }
  const beside: Contender = {
    label: `${name}, beside a pass`,
    program: 'brokerless',
    task,
    variant: 'beside',
    targets: [{ metric: 'p99Us', of: alone.label, atMost: 2 }],
  }
  return [alone, beside]
}

export const COMPACTION: readonly Workload[] = [
  {
    id: 'W14',
    title: 'compact 10M x (16 B key + 100 B value) with 1M keys in segments of 64 MiB',
    task: 'compact',
    metric: 'rate',
    kind: 'comparison',
    parameters: KEYED,
    quick: QUICK,
    prepare: KEYED_WRITTEN,
    contenders: [
      SCAN,
      {
        label: 'compact',
        program: 'brokerless',
        targets: [
          { metric: 'rate', of: SCAN.label, atLeast: 0.3 },
          { metric: 'peakMiB', atMost: 100 },
        ],
      },
    ],
  },
  {
    id: 'W15',
    title: 'requests one after another to a partition that is compacted; requests a second',
    task: 'produceBeside',
    metric: 'rate',
    kind: 'comparison',
    parameters: BESIDE,
    quick: QUICK,
    prepare: KEYED_WRITTEN,
    contenders: [
      ...besideAPass('produceBeside', "produce 'disk'"),
      ...besideAPass('fetchBeside', 'fetch'),
    ],
  },
]
