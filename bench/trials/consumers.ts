// What it costs to read as a member of a group: the rates beside a plain `read`, the time of a rebalance, and the memory of who waits.
import type { Contender, Parameters, Preparation, Target, Workload } from './types.ts'

const PARTITIONS = 8
const RECORDS: Partial<Parameters> = {
  records: 1_000_000,
  batchRecords: 1000,
  keyBytes: 16,
  valueBytes: 100,
  partitions: PARTITIONS,
}
const QUICK: Partial<Parameters> = { records: 20_000 }
const WRITTEN: Preparation = { task: 'append', ending: 'closed' }

const BATCHES = 'read, batches()'
const EACH = 'read'
const atLeast = (of: string, share: number): readonly Target[] => [
  { metric: 'rate', of, atLeast: share },
]

const reading = (label: string, variant: string): Contender => ({
  label,
  program: 'brokerless',
  task: 'scan',
  variant,
})

function group(variant: string, members: number, targets: readonly Target[] = []): Contender {
  const count = members === 1 ? '1 member' : `${members} members`
  const label = `${count}, ${variant === 'batches' ? 'batches()' : 'for await'}`
  const isAlone = members === 1 ? {} : { notInQuick: true as const }
  return { label, program: 'brokerless', variant, parameters: { members }, targets, ...isAlone }
}

/** By partition one handler is at work, by key up to so many. */
const MAX_BY_KEY = 64
const KEYED: Partial<Parameters> = { ...RECORDS, partitions: 1, keys: 10_000 }
const KEYED_QUICK: Partial<Parameters> = { ...QUICK, keys: 500 }
const BY_PARTITION = 'by partition'

const MEMBERS = 100
const MANY = 1000
const REBALANCED: readonly Target[] = [{ metric: 'rebalanceMs', atMost: 1000 }]

function change(label: string, variant: string, targets = REBALANCED): Contender {
  return { label, program: 'brokerless', variant, targets }
}

export const CONSUMERS: readonly Workload[] = [
  {
    id: 'W16',
    title: 'consume 1M x (16 B key + 100 B value) of 8 partitions, touching key and value',
    task: 'consume',
    metric: 'rate',
    kind: 'comparison',
    parameters: RECORDS,
    quick: QUICK,
    prepare: WRITTEN,
    contenders: [
      reading(BATCHES, 'batches'),
      group('batches', 1, atLeast(BATCHES, 0.8)),
      group('batches', PARTITIONS),
      reading(EACH, 'read'),
      group('records', 1, atLeast(EACH, 0.8)),
      group('records', PARTITIONS),
    ],
  },
  {
    id: 'W17',
    title: 'run an empty handler over 1M records with 10,000 keys',
    task: 'runHandler',
    metric: 'rate',
    kind: 'comparison',
    parameters: KEYED,
    quick: KEYED_QUICK,
    prepare: { task: 'appendKeyed', ending: 'closed' },
    contenders: [
      { label: BY_PARTITION, program: 'brokerless', variant: 'partition' },
      {
        label: 'by key',
        program: 'brokerless',
        variant: 'key',
        parameters: { handlers: MAX_BY_KEY },
        targets: atLeast(BY_PARTITION, 0.5),
      },
    ],
  },
  {
    id: 'W18',
    title: 'rebalance of 100 members x 1,000 partitions, until all are assigned evenly again',
    task: 'rebalance',
    metric: 'rebalanceMs',
    kind: 'growth',
    parameters: { records: MANY, batchRecords: 1, partitions: MANY, members: MEMBERS },
    quick: { records: 40, partitions: 40, members: 4 },
    prepare: WRITTEN,
    contenders: [
      change('100 join in one turn', 'all'),
      // A hundred rebalances.
      change('100 join, a turn each', 'each', []),
      change('one more joins', 'join'),
      change('one leaves', 'leave'),
      change('half of them leave', 'half'),
    ],
  },
  {
    id: 'W19',
    title: 'memory of 1,000 consumers that wait, above that of the log; each in a group of its own',
    task: 'idleConsumers',
    metric: 'perConsumerKiB',
    kind: 'growth',
    parameters: { records: MANY, batchRecords: 1, members: MANY },
    quick: { records: 20, members: 20 },
    prepare: WRITTEN,
    contenders: [{ label: 'brokerless', program: 'brokerless' }],
  },
]
