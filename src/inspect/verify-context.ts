import path from 'node:path'
import type { LeaderEpoch } from '../storage/checkpoint.ts'
import type { FileCache } from '../storage/file-cache.ts'
import type { ProducerEntry } from '../storage/producer-state.ts'
import type { FileSystem } from '../types.ts'
import type { Decompress } from './batch-content.ts'
import type { Findings } from './finding.ts'

/** `closed`: its last writer closed it. `crashed`: it did not, and is gone. `live`: a writer has it, or may have it. */
export type DirectoryState = 'closed' | 'crashed' | 'live'

/** What was looked at. */
export interface Looked {
  partitions: number
  segments: number
  batches: number
  records: number
  /** Of .log files. */
  logBytes: number
  /** Of all other files. */
  otherBytes: number
}

export interface VerifyContext {
  readonly fileSystem: FileSystem
  readonly files: FileCache
  /** The data directory. */
  readonly directory: string
  readonly state: DirectoryState
  readonly findings: Findings
  readonly looked: Looked
  readonly signal: AbortSignal | undefined
  /** A batch above that is not held in memory; undefined: the default. */
  readonly largeBatchBytes: number | undefined
  /** Undefined: the codecs that come with the log. */
  readonly decompress: Decompress | undefined
  /** So many more bytes of .log files have been looked at. */
  readonly progress: (bytes: number) => void
}

/** A partition that is verified. */
export interface VerifiedPartition {
  readonly topic: string
  readonly partition: number
  /** Its directory's name. */
  readonly name: string
  /** Everything below was said to be on the disk. */
  readonly recoveryPoint: number
  readonly logStartOffset: number
  /** As its checkpoint has them; empty where there is none. */
  readonly epochs: readonly LeaderEpoch[]
}

/** What is left of a partition to be held against the checkpoints. */
export interface PartitionEnd {
  /** Base offset of the first segment. */
  readonly firstOffset: number
  /** The offset behind the last batch. */
  readonly endOffset: number
  /** False where files went while they were looked at. */
  readonly isWhole: boolean
  /** Producers whose transactions are open at the end. */
  readonly open: readonly ProducerEntry[]
}

/** A partition's file as findings name it. */
export function partitionFile(partition: Pick<VerifiedPartition, 'name'>, name: string): string {
  return path.join(partition.name, name)
}
