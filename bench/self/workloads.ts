// Which contenders a workload has, and what it is held to (a share of the baseline, or a multiple of its time).

export interface Contender {
  /** What `child.ts` calls it. */
  readonly name: string
  readonly label: string
  /** The label of the contender that it is compared with, and the ratio to reach. */
  readonly target?: { readonly of: string; readonly ratio: number }
}

export interface Workload {
  readonly title: string
  readonly unit: 'records/s' | 'us'
  /** W1's log is written before, by another process, for all contenders of a repetition. */
  readonly needsW1?: true
  readonly contenders: readonly Contender[]
}

const raw = { label: 'raw' } as const
const encode = { label: 'raw+encode' } as const

export const WORKLOADS: readonly Workload[] = [
  {
    title: 'W1 append 1M x (16 B + 100 B), batches of 1,000',
    unit: 'records/s',
    contenders: [
      { name: 'appendRaw', ...raw },
      { name: 'appendEncoded', ...encode },
      { name: 'appendLog', label: 'produce', target: { of: encode.label, ratio: 0.9 } },
    ],
  },
  {
    title: 'W5 append one 100 B record, awaited',
    unit: 'records/s',
    contenders: [
      { name: 'singleRaw', ...raw },
      { name: 'singleLog', label: 'produce', target: { of: raw.label, ratio: 0.35 } },
    ],
  },
  {
    title: "W6 scan W1's records",
    unit: 'records/s',
    needsW1: true,
    contenders: [
      { name: 'scanRaw', ...raw },
      { name: 'scanViews', ...encode },
      { name: 'scanFetch', label: 'fetch', target: { of: encode.label, ratio: 0.7 } },
      { name: 'scanBatches', label: 'read, batches()', target: { of: encode.label, ratio: 0.7 } },
      { name: 'scanRead', label: 'read', target: { of: encode.label, ratio: 0.3 } },
    ],
  },
  {
    title: 'W8 append to delivery, p50 (p99)',
    unit: 'us',
    contenders: [
      { name: 'deliverRaw', ...raw },
      { name: 'deliverFetch', label: 'fetch, waiting', target: { of: raw.label, ratio: 5 } },
      { name: 'deliverRead', label: 'read, live', target: { of: raw.label, ratio: 5 } },
    ],
  },
]
