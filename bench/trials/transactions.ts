// What it costs that several partitions change together: beside plain produces of the same bytes, and beside one SQL transaction.
import type { Contender, Parameters, Preparation, Target, Workload } from './types.ts'

const ROUND: Partial<Parameters> = { batchRecords: 1, keyBytes: 0, valueBytes: 1024 }
const IN_FLIGHT = 64
const ALONE: Partial<Parameters> = { ...ROUND, writers: 1, records: 3000 }
const BESIDE: Partial<Parameters> = { ...ROUND, writers: IN_FLIGHT, records: IN_FLIGHT * 500 }
const QUICK: Partial<Parameters> = { records: 128 }

const atLeast = (of: string, share: number): Target => ({ metric: 'rate', of, atLeast: share })

interface Counted {
  readonly title: string
  readonly parameters: Partial<Parameters>
}
const COUNTED = {
  alone: { title: '1 in flight', parameters: ALONE },
  beside: { title: `${IN_FLIGHT} in flight`, parameters: BESIDE },
} as const satisfies Record<string, Counted>

function round(
  what: string,
  variant: string,
  { title, parameters }: Counted,
  targets: readonly Target[] = [],
): Contender {
  return { label: `${what}, ${title}`, program: 'brokerless', variant, parameters, targets }
}

/** Plain produces, and transactions that are held to a share of their rate. */
const pair = (counted: Counted, share: number): readonly Contender[] => [
  round('produce', 'produce', counted),
  round('transaction', 'transaction', counted, [atLeast(`produce, ${counted.title}`, share)]),
]

/** The same with an offset, and as one SQL transaction each. */
function beside(counted: Counted): readonly Contender[] {
  const { title, parameters } = counted
  const label = `better-sqlite3, ${title}`
  return [
    round('transaction with an offset', 'offset', counted, [atLeast(label, 1)]),
    { label, program: 'better-sqlite3', parameters },
  ]
}

/** Batches of `process` fill as many as there are in the partitions. */
const PARTITIONS = 8
const COPIED: Partial<Parameters> = {
  records: 1_000_000,
  batchRecords: 1000,
  partitions: PARTITIONS,
}
const WRITTEN: Preparation = { task: 'append', ending: 'closed' }

function copy(level: 'os' | 'disk'): readonly Contender[] {
  const [consumed, processed] = [`consume and produce, '${level}'`, `process, '${level}'`]
  return [
    { label: consumed, program: 'brokerless', variant: `consume ${level}` },
    {
      label: processed,
      program: 'brokerless',
      variant: `process ${level}`,
      targets: [atLeast(consumed, 0.7)],
    },
  ]
}

export const TRANSACTIONS: readonly Workload[] = [
  {
    id: 'W20',
    title: "a 1 KiB record to each of 2 partitions, each round awaited at 'disk'; rounds a second",
    task: 'transact',
    metric: 'rate',
    kind: 'comparison',
    parameters: { ...ROUND, partitions: 2 },
    quick: QUICK,
    contenders: [
      ...pair(COUNTED.alone, 0.4),
      ...beside(COUNTED.alone),
      ...pair(COUNTED.beside, 0.7),
      ...beside(COUNTED.beside),
      {
        label: `better-sqlite3, those of a turn in one, ${COUNTED.beside.title}`,
        program: 'better-sqlite3',
        variant: 'shared',
        parameters: BESIDE,
      },
    ],
  },
  {
    id: 'W21',
    title: "a 1 KiB record to one partition, each awaited at 'disk'; rounds a second",
    task: 'transact',
    metric: 'rate',
    kind: 'comparison',
    parameters: { ...ROUND, partitions: 1 },
    quick: QUICK,
    contenders: [...pair(COUNTED.alone, 0.8), ...pair(COUNTED.beside, 0.8)],
  },
  {
    id: 'W22',
    title: 'copy 1M x (16 B key + 100 B value) from a topic to another, both of 8 partitions',
    task: 'processRecords',
    metric: 'rate',
    kind: 'comparison',
    parameters: COPIED,
    quick: { records: 20_000 },
    prepare: WRITTEN,
    contenders: [...copy('os'), ...copy('disk')],
  },
]
