// What a trial is. Trials are data: see workloads.ts and the files beside it.
import type { CompressionType } from '../../src/index.ts'

export const PROGRAMS = [
  'raw',
  'raw+encode',
  'brokerless',
  'lmdb',
  'better-sqlite3',
  'classic-level',
  'codec',
] as const

export type ProgramName = (typeof PROGRAMS)[number]

/** What a program can be asked to do; each is described where the programs are written. */
export type TaskName =
  | 'append'
  | 'appendSynced'
  | 'appendConcurrent'
  | 'appendSingle'
  | 'scan'
  | 'readRandom'
  | 'deliver'
  | 'reopen'
  | 'touchPartitions'
  | 'compress'
  | 'decompress'
  | 'appendKeyed'
  | 'compact'
  | 'produceBeside'
  | 'fetchBeside'
  | 'consume'
  | 'runHandler'
  | 'rebalance'
  | 'idleConsumers'
  | 'transact'
  | 'processRecords'

/** Tasks that leave what others read as they find it, so that several may read the same directory. A consumer commits for a new group, and copies to a new topic. */
export const READING_TASKS: ReadonlySet<TaskName> = new Set([
  'scan',
  'readRandom',
  'reopen',
  'compress',
  'decompress',
  'consume',
  'runHandler',
  'processRecords',
])

/** Tasks that are about a process that has just begun, or go on for so long that it does not matter. */
export const COLD_TASKS: ReadonlySet<TaskName> = new Set([
  'reopen',
  'touchPartitions',
  'compact',
  'produceBeside',
  'fetchBeside',
  'rebalance',
  'idleConsumers',
])

/** The size of the work. */
export interface Parameters {
  readonly records: number
  readonly batchRecords: number
  /** 0: the records have no key. */
  readonly keyBytes: number
  readonly valueBytes: number
  /** Bytes drawn from a seed, of these sizes, or events as JSON, which have their own: see flights.ts. */
  readonly content: 'random' | 'flights'
  readonly compression: CompressionType
  /** Different keys of what is compacted: see keyed.ts. */
  readonly keys: number
  /** Random reads. */
  readonly reads: number
  /** Concurrent writers, each of which awaits what it appends. */
  readonly writers: number
  readonly partitions: number
  /** Consumers of a group. */
  readonly members: number
  /** So many handlers are at work at the same time, at most. */
  readonly handlers: number
  readonly segmentBytes: number
  /** Single records are appended for this long at most; 0: all of them, however long it takes. Requests without a pass beside them go on for as long. */
  readonly timeLimitMs: number
  /** Readers that wait and are never woken. */
  readonly idleReaders: number
  /** Whose end the idle readers wait at. */
  readonly idleAt: 'another topic' | 'another partition' | 'the same partition'
}

/** Numbers that a measurement gives. */
export interface Metrics {
  /** Records (or batches, or reads) a second. */
  readonly rate?: number
  readonly p50Us?: number
  readonly p99Us?: number
  readonly openMs?: number
  readonly rebalanceMs?: number
  /** Memory of one that waits. */
  readonly perConsumerKiB?: number
  /** Peak resident memory above that of an empty Node process. */
  readonly peakMiB?: number
  /** How late a timer of 1 ms was. */
  readonly lateP99Ms?: number
  readonly lateMaxMs?: number
  readonly fileHandles?: number
  /** Bytes in the files for one of the same batches without compression. */
  readonly storedShare?: number
}

export type MetricName = keyof Metrics

/** What a contender is held to. */
export interface Target {
  readonly metric: MetricName
  /** The label of the contender whose metric it is a ratio to; without, the bound is absolute. */
  readonly of?: string
  readonly atLeast?: number
  readonly atMost?: number
  /** Worth reaching, and not counted where it is missed. */
  readonly stretch?: true
}

/** Data that must be there before, written in a process of its own, not timed. */
export interface Preparation {
  /** Default: the program that is measured. */
  readonly program?: ProgramName
  readonly task: 'append' | 'appendKeyed'
  readonly ending: 'closed' | 'killed'
  /** Where they differ from the trial's own. */
  readonly parameters?: Partial<Parameters>
  readonly quick?: Partial<Parameters>
}

export interface Contender {
  /** What the table calls it; unique within its workload. */
  readonly label: string
  readonly program: ProgramName
  /** Default: the workload's. */
  readonly task?: TaskName
  /** Which way of doing the task, where a program has several. */
  readonly variant?: string
  /** `@node-rs/crc32` is hidden from the library. */
  readonly portableCrc?: true
  /** Left out of a smoke run, which has others that do the same. */
  readonly notInQuick?: boolean
  readonly parameters?: Partial<Parameters>
  readonly quick?: Partial<Parameters>
  readonly prepare?: Preparation
  readonly targets?: readonly Target[]
}

export interface Workload {
  /** What the command line calls it; several trials may share it. */
  readonly id: string
  readonly title: string
  readonly task: TaskName
  /** What the table shows first. */
  readonly metric: MetricName
  /** Compared in the picture, and shown in the first table; others in the second. */
  readonly kind: 'comparison' | 'growth'
  readonly parameters: Partial<Parameters>
  /** For a smoke run. */
  readonly quick: Partial<Parameters>
  readonly prepare?: Preparation
  readonly contenders: readonly Contender[]
}

export const DEFAULT_PARAMETERS: Parameters = {
  records: 1_000_000,
  batchRecords: 1000,
  keyBytes: 16,
  valueBytes: 100,
  content: 'random',
  compression: 'none',
  keys: 0,
  reads: 200_000,
  writers: 1,
  partitions: 1,
  members: 1,
  handlers: 1,
  segmentBytes: 1 << 30,
  timeLimitMs: 0,
  idleReaders: 0,
  idleAt: 'another topic',
}
