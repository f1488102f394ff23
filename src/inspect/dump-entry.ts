/** What a dump tells of a file, one after another. */
import type { BatchHeader } from '../codec/batch.ts'
import type { AbortedTransaction } from '../storage/aborted-index.ts'
import type { LeaderEpoch } from '../storage/checkpoint.ts'
import type { ProducerSnapshotEntry } from '../storage/producer-snapshot.ts'
import type { ReadHeaders } from '../types.ts'
import type { FindingKind, Severity } from './finding.ts'
import type { InternalRecord } from './internal-record.ts'

export type DumpedFileKind =
  | 'log'
  | 'index'
  | 'timeindex'
  | 'txnindex'
  | 'snapshot'
  | 'leader-epoch-checkpoint'
  | 'offset-checkpoint'
  | 'partition.metadata'

/** The first entry of each file. */
export interface DumpedFile {
  readonly type: 'file'
  readonly file: string
  readonly kind: DumpedFileKind
  readonly sizeBytes: number
  /** Of the segment, by the file's name; undefined where it does not say. */
  readonly baseOffset: number | undefined
  /** By the directory's name. */
  readonly topic: string | undefined
  readonly partition: number | undefined
}

export interface DumpedBatch {
  readonly type: 'batch'
  readonly position: number
  readonly header: BatchHeader
  /** Undefined: its end is missing, so it cannot be told. */
  readonly isCrcRight: boolean | undefined
  /** Why its records are not shown. */
  readonly remark: string | undefined
}

export interface DumpedRecord {
  readonly type: 'record'
  readonly offset: number
  readonly timestamp: number
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: ReadHeaders
  /** Of a control batch: type 0 aborts, 1 commits. */
  readonly marker: { readonly type: number; readonly coordinatorEpoch: number } | undefined
  /** Of a coordinator's topic. */
  readonly internal: InternalRecord | undefined
}

/** Bytes that are not what they must be, or a word on those that are. */
export interface DumpedRemark {
  readonly type: 'remark'
  readonly severity: Severity
  readonly kind: FindingKind
  readonly position: number
  readonly bytes: number
  readonly message: string
}

export type DumpEntry =
  | DumpedFile
  | DumpedBatch
  | DumpedRecord
  | DumpedRemark
  | { readonly type: 'index-entry'; readonly offset: number; readonly position: number }
  | { readonly type: 'time-index-entry'; readonly timestamp: number; readonly offset: number }
  | ({ readonly type: 'aborted-transaction' } & AbortedTransaction)
  | ({ readonly type: 'producer' } & ProducerSnapshotEntry)
  | ({ readonly type: 'leader-epoch' } & LeaderEpoch)
  | {
      readonly type: 'checkpoint-entry'
      readonly topic: string
      readonly partition: number
      readonly offset: number
    }
  | { readonly type: 'partition-metadata'; readonly topicId: string }

/** Takes entries; what it answers with is waited for before the next. The bytes of a record are there until then. */
export type Emit = (entry: DumpEntry) => void | Promise<void>
