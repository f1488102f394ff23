import type { Codecs } from '../codec/codecs.ts'
import type { Clock, FileSystem } from '../types.ts'
import type { FileCache } from './file-cache.ts'
import type { MemoryCache } from './memory-cache.ts'
import type { PendingRoom } from './pending-room.ts'
import type { ChunkPool } from './tail.ts'

export { Codecs } from '../codec/codecs.ts'

/** What all partitions of one log share. */
export interface StorageEnvironment {
  readonly fileSystem: FileSystem
  readonly clock: Clock
  readonly files: FileCache
  readonly cache: MemoryCache
  readonly chunks: ChunkPool
  readonly room: PendingRoom
  readonly codecs: Codecs
  readonly readOnly: boolean
  /** Milliseconds after which a producer that writes nothing is forgotten. */
  readonly producerIdExpirationMs: number
  /** Unsynced bytes over all partitions; see `Flusher`. */
  readonly unsynced: UnsyncedBytes
  /** Told once for each partition that a failed write or sync has closed to writes. */
  onPartitionFailure(topic: string, partition: number, error: Error): void
}

/** Counts what is not yet below a recovery point, and starts the syncs that keep it bounded. */
export interface UnsyncedBytes {
  /** `bytes` were appended to a partition; `flushIntervalMs` is its topic's. */
  appended(partition: Flushable, bytes: number, flushIntervalMs: number): void
  /** True while so much is unsynced that writes should wait for `flushed`. */
  isFull(): boolean
  /** Resolves when a flush under way has ended. */
  flushed(): Promise<void>
}

/** A partition, as the flusher sees it. */
export interface Flushable {
  /** `<topic>-<partition>`, as checkpoints name it. */
  readonly name: string
  /** Makes everything written so far durable; answers with the offset below which all is on the disk. */
  flush(): Promise<number>
}
