// The workloads, and what the library is held to.
import type { Contender, Preparation, Target, Workload } from './types.ts'

const raw: Contender = { label: 'raw', program: 'raw' }
const encode: Contender = { label: 'raw+encode', program: 'raw+encode' }
const lmdb: Contender = { label: 'lmdb', program: 'lmdb' }
const sqlite: Contender = { label: 'better-sqlite3', program: 'better-sqlite3' }
const level: Contender = { label: 'classic-level', program: 'classic-level' }
const peers: readonly Contender[] = [lmdb, sqlite, level]
const lmdbAppend: Contender = { ...lmdb, label: 'lmdb, append', variant: 'append' }

const MEMORY: Target = { metric: 'peakMiB', atMost: 100 }
/** What `crc-32` alone must keep of the rate with `@node-rs/crc32`. */
const PORTABLE_SHARE = 0.6

const rateOf = (of: string, atLeast: number): Target => ({ metric: 'rate', of, atLeast })
const stretch = (of: string, atLeast: number): Target => ({
  ...rateOf(of, atLeast),
  stretch: true,
})

function library(targets: readonly Target[], variant?: string): Contender {
  const label = variant === undefined ? 'brokerless' : `brokerless, ${variant}`
  const chosen = variant === undefined ? {} : { variant }
  return { label, program: 'brokerless', ...chosen, targets }
}

/** The same without `@node-rs/crc32`; a smoke run has it in W1. */
function portable(contender: Contender): Contender {
  return {
    ...contender,
    label: `${contender.label}, crc-32 alone`,
    portableCrc: true,
    notInQuick: contender !== w1,
    targets: [rateOf(contender.label, PORTABLE_SHARE)],
  }
}

const W1_RECORDS = { records: 1_000_000, batchRecords: 1000, keyBytes: 16, valueBytes: 100 }
const W1_QUICK = { records: 20_000 }
const KIB_RECORDS = { batchRecords: 100, keyBytes: 0, valueBytes: 1024 }
const SINGLE_RECORDS = { batchRecords: 1, keyBytes: 0, valueBytes: 100 }
const WRITTEN: Preparation = { task: 'append', ending: 'closed' }

const w1 = library([rateOf('raw+encode', 0.9), rateOf('lmdb', 3.5), MEMORY])
const w2 = library([rateOf('raw+encode', 0.9), rateOf('lmdb', 3), MEMORY])
const w4 = library([rateOf('raw', 0.75), rateOf('lmdb', 1.5), stretch('raw', 0.9), MEMORY])
const w5 = library([rateOf('raw', 0.35), rateOf('lmdb', 2), stretch('raw', 0.45), MEMORY])
const w6 = library([rateOf('raw+encode', 0.7), rateOf('lmdb', 3.5), MEMORY], 'fetch')
const w7 = library([rateOf('raw', 0.4), stretch('lmdb', 1), MEMORY])

const APPENDING: readonly Workload[] = [
  {
    id: 'W1',
    title: "append 1M x (16 B key + 100 B value), batches of 1,000, 'os', final flush counted",
    task: 'append',
    metric: 'rate',
    kind: 'comparison',
    parameters: W1_RECORDS,
    quick: W1_QUICK,
    contenders: [raw, encode, w1, portable(w1), ...peers, lmdbAppend],
  },
  {
    id: 'W2',
    title: "append 200k x 1 KiB, batches of 100, 'os', final flush counted",
    task: 'append',
    metric: 'rate',
    kind: 'comparison',
    parameters: { records: 200_000, ...KIB_RECORDS },
    quick: { records: 2000 },
    contenders: [raw, encode, w2, portable(w2), ...peers, lmdbAppend],
  },
  {
    id: 'W3',
    title: "batches of 100 x 1 KiB, each 'disk' before the next; batches a second",
    task: 'appendSynced',
    metric: 'rate',
    kind: 'comparison',
    parameters: { records: 150_000, ...KIB_RECORDS },
    quick: { records: 2000 },
    contenders: [
      raw,
      encode,
      library([
        rateOf('raw', 0.75),
        rateOf('lmdb', 2),
        { metric: 'p99Us', of: 'raw', atMost: 2 },
        stretch('raw', 0.85),
        MEMORY,
      ]),
      ...peers,
    ],
  },
  {
    id: 'W4',
    title: "256 concurrent writers, one 1 KiB record each, each awaiting 'disk'",
    task: 'appendConcurrent',
    metric: 'rate',
    kind: 'comparison',
    parameters: {
      records: 256 * 400,
      writers: 256,
      batchRecords: 1,
      keyBytes: 0,
      valueBytes: 1024,
    },
    quick: { records: 256 * 8 },
    contenders: [
      raw,
      w4,
      portable(w4),
      ...peers,
      { ...lmdb, label: 'lmdb, gathered', variant: 'gathered' },
    ],
  },
  {
    id: 'W5',
    title: "one 100 B record awaited at a time, 'os', partition given",
    task: 'appendSingle',
    metric: 'rate',
    kind: 'comparison',
    parameters: { records: 200_000, ...SINGLE_RECORDS },
    quick: { records: 2000 },
    contenders: [
      raw,
      encode,
      w5,
      library([rateOf('brokerless', 0.8), MEMORY], 'objects'),
      portable(w5),
      lmdb,
      { ...lmdb, label: 'lmdb, writemap', variant: 'writemap' },
      sqlite,
      // Its rate is so low that as many records would take longer than all others together.
      { ...level, parameters: { records: 20_000 } },
    ],
  },
]

const READING: readonly Workload[] = [
  {
    id: 'W6',
    title: "scan W1's records, touching key and value",
    task: 'scan',
    metric: 'rate',
    kind: 'comparison',
    parameters: W1_RECORDS,
    quick: W1_QUICK,
    prepare: WRITTEN,
    contenders: [
      raw,
      encode,
      w6,
      library([rateOf('raw+encode', 0.7), rateOf('lmdb', 3.5), MEMORY], 'batches'),
      library([rateOf('raw+encode', 0.3), MEMORY], 'read'),
      portable(w6),
      ...peers,
    ],
  },
  {
    id: 'W7',
    title: "random reads by offset over W1's records",
    task: 'readRandom',
    metric: 'rate',
    kind: 'comparison',
    parameters: { ...W1_RECORDS, reads: 500_000 },
    quick: { ...W1_QUICK, reads: 2000 },
    prepare: WRITTEN,
    contenders: [raw, w7, portable(w7), ...peers],
  },
]

/** From the append's call, at p50 and p99. */
const DELIVERED: readonly Target[] = [
  { metric: 'p50Us', of: 'raw', atMost: 5 },
  { metric: 'p99Us', of: 'raw', atMost: 4 },
]

const KILLED: Preparation = { task: 'append', ending: 'killed' }
/** A batch of W1 fills a segment of this size: 1,000 of them. */
const SMALL_SEGMENTS = { segmentBytes: 128 * 1024 }

const killed = (contender: Contender): Contender => ({
  ...contender,
  label: `${contender.label}, killed`,
  prepare: KILLED,
})

const openWithin = (atMost: number): readonly Target[] => [{ metric: 'openMs', atMost }]
const reopened = library(openWithin(3))
const reopenedKilled: Contender = { ...killed(reopened), targets: openWithin(30) }
const segmented = (contender: Contender): Contender => ({
  ...contender,
  label: `${contender.label}, 1,000 segments`,
  parameters: SMALL_SEGMENTS,
})

const WAITING: readonly Workload[] = [
  {
    id: 'W8',
    title: "append to delivery to a waiting reader in the same process, 'os'",
    task: 'deliver',
    metric: 'p50Us',
    kind: 'comparison',
    parameters: { records: 10_000, ...SINGLE_RECORDS },
    quick: { records: 200 },
    contenders: [raw, library(DELIVERED, 'fetch'), library(DELIVERED, 'read'), ...peers],
  },
  {
    id: 'W10',
    title:
      "reopen W1's directory and read the last record; killed: by SIGKILL at the last acknowledgement",
    task: 'reopen',
    metric: 'openMs',
    kind: 'comparison',
    parameters: W1_RECORDS,
    quick: W1_QUICK,
    prepare: WRITTEN,
    contenders: [
      raw,
      reopened,
      segmented(reopened),
      reopenedKilled,
      segmented(reopenedKilled),
      {
        ...portable(reopenedKilled),
        targets: openWithin(30 / PORTABLE_SHARE),
      },
      ...peers,
      ...peers.map(killed),
    ],
  },
]

export const WORKLOADS: readonly Workload[] = [...APPENDING, ...READING, ...WAITING]
