import path from 'node:path'
import type { BatchHeader } from '../codec/batch.ts'
import { BATCH_HEADER_BYTES, readBatchHeader } from '../codec/batch.ts'
import { codecName } from '../codec/compression.ts'
import { RecordLayout } from '../codec/record-layout.ts'
import { DataFile, FileCache } from '../storage/file-cache.ts'
import { partitionDirectoryName } from '../storage/file-names.ts'
import type { FileSystem } from '../types.ts'
import { errorCode } from '../util/error-code.ts'
import { Semaphore } from '../util/semaphore.ts'
import { recordBytes, unreadable } from './batch-content.ts'
import { KeyCounter } from './key-counter.ts'
import type { FaultyRegion, LogVisitor } from './log-walk.ts'
import { walkLog } from './log-walk.ts'
import { partitionFilesOf } from './partition-files.ts'

/** What stands in the files of a topic. Records count that are there, also those below the log start; control records do not. */
export interface TopicStatistics {
  readonly topic: string
  readonly partitions: readonly PartitionStatistics[]
  readonly segments: number
  /** Of .log files. */
  readonly dataBytes: number
  /** Of all other files. */
  readonly otherBytes: number
  readonly batches: number
  readonly controlBatches: number
  readonly records: number
  /** Their value is null. */
  readonly tombstones: number
  readonly keyless: number
  /** Different keys; an estimate (standard error 0.8 %) where `isExact` is false. */
  readonly keys: { readonly count: number; readonly isExact: boolean }
  readonly codecs: readonly CodecStatistics[]
  /** Of record timestamps that are not negative, milliseconds; null where there is none. */
  readonly firstTimestamp: number | null
  readonly lastTimestamp: number | null
  /** The greatest records, without compression, the greatest first. */
  readonly largest: readonly LargeRecord[]
  /** That are no batches, or batches whose records cannot be read: `verify` tells more. */
  readonly unreadBytes: number
}

export interface PartitionStatistics {
  readonly partition: number
  readonly segments: number
  readonly dataBytes: number
  readonly records: number
}

export interface CodecStatistics {
  readonly codec: string
  readonly batches: number
  readonly records: number
  /** Of the records as they are stored, without batch headers. */
  readonly storedBytes: number
  /** Of the same without compression. */
  readonly recordBytes: number
}

export interface LargeRecord {
  readonly partition: number
  readonly offset: number
  readonly bytes: number
}

export interface StatisticsOptions {
  readonly fileSystem: FileSystem
  readonly directory: string
  readonly topic: string
  /** Numbers of its partitions. */
  readonly partitions: readonly number[]
  readonly signal?: AbortSignal | undefined
  /** So many more bytes of .log files have been looked at. */
  readonly onProgress?: (bytes: number) => void
}

/** Goes through all records of a topic. Files that go meanwhile are left out. */
export async function topicStatistics(options: StatisticsOptions): Promise<TopicStatistics> {
  return await new Survey(options).run()
}

/** As many of the greatest records are told. */
const LARGEST = 5

type Mutable<T> = { -readonly [K in keyof T]: T[K] }

class Survey implements LogVisitor {
  readonly #options: StatisticsOptions
  readonly #files: FileCache
  readonly #keys = new KeyCounter()
  readonly #codecs = new Map<number, Mutable<CodecStatistics>>()
  readonly #layout = new RecordLayout()
  readonly #totals = { otherBytes: 0, batches: 0, controlBatches: 0, unreadBytes: 0 }
  #tombstones = 0
  #keyless = 0
  #firstTimestamp = Number.POSITIVE_INFINITY
  #lastTimestamp = -1
  #largest: LargeRecord[] = []
  #partition: Mutable<PartitionStatistics> = newPartition(0)

  constructor(options: StatisticsOptions) {
    this.#options = options
    this.#files = new FileCache(options.fileSystem, new Semaphore(1), 1)
  }

  async run(): Promise<TopicStatistics> {
    const partitions: PartitionStatistics[] = []
    for (const partition of this.#options.partitions) {
      this.#partition = newPartition(partition)
      await this.#survey(partition)
      partitions.push(this.#partition)
    }
    const { otherBytes, batches, controlBatches, unreadBytes } = this.#totals
    const hasTime = this.#lastTimestamp >= 0
    return {
      topic: this.#options.topic,
      partitions,
      segments: sum(partitions, 'segments'),
      dataBytes: sum(partitions, 'dataBytes'),
      otherBytes,
      batches,
      controlBatches,
      records: sum(partitions, 'records'),
      tombstones: this.#tombstones,
      keyless: this.#keyless,
      keys: { count: this.#keys.count, isExact: this.#keys.isExact },
      codecs: [...this.#codecs].sort(([a], [b]) => a - b).map(([, each]) => each),
      firstTimestamp: hasTime ? this.#firstTimestamp : null,
      lastTimestamp: hasTime ? this.#lastTimestamp : null,
      largest: this.#largest,
      unreadBytes,
    }
  }

  async #survey(partition: number): Promise<void> {
    const { fileSystem, directory, topic } = this.#options
    const inside = path.join(directory, partitionDirectoryName(topic, partition))
    const names = await ifThere(() => fileSystem.readdir(inside))
    if (names === undefined) return
    const { segments } = partitionFilesOf(names)
    const logs = new Set(segments.map(({ log }) => log))
    for (const name of names) {
      if (!logs.has(name)) {
        this.#totals.otherBytes += (await fileSystem.stat(path.join(inside, name)))?.size ?? 0
      }
    }
    for (const { log } of segments) await ifThere(() => this.#segment(path.join(inside, log)))
  }

  async #segment(name: string): Promise<void> {
    const file = DataFile.existing(this.#files, name, true)
    try {
      const to = file.sizeSync()
      this.#partition.segments += 1
      this.#partition.dataBytes += to
      await walkLog(file, { from: 0, to, nextOffset: 0, signal: this.#options.signal }, this)
    } finally {
      await file.close()
    }
  }

  // ------------------------------------------------------------------------------------ batches

  progress(bytes: number): void {
    this.#options.onProgress?.(bytes)
  }

  region({ bytes }: FaultyRegion): void {
    this.#totals.unreadBytes += bytes
  }

  largeBatch(bytes: Buffer): void {
    this.#totals.batches += 1
    this.#totals.unreadBytes += readBatchHeader(bytes, 0).sizeBytes
  }

  batch(buffer: Buffer, at: number): void | Promise<void> {
    const header = readBatchHeader(buffer, at)
    this.#totals.batches += 1
    if (header.isControl) this.#totals.controlBatches += 1
    if (header.isControl || header.count === 0) return undefined
    try {
      const bytes = recordBytes(buffer, at, header)
      if (!(bytes instanceof Promise)) return this.#records(bytes, header)
      return bytes
        .then((records) => this.#records(records, header))
        .catch((error: unknown) => {
          this.#unread(error, header)
        })
    } catch (error) {
      return this.#unread(error, header)
    }
  }

  #unread(error: unknown, { sizeBytes }: BatchHeader): void {
    unreadable(error)
    this.#totals.unreadBytes += sizeBytes
  }

  /** @throws BatchFormatError where a record does not decode; those before it count. */
  #records(bytes: Buffer, header: BatchHeader): void {
    const codec = this.#codecOf(header.codec)
    codec.batches += 1
    codec.storedBytes += header.sizeBytes - BATCH_HEADER_BYTES
    codec.recordBytes += bytes.length
    const layout = this.#layout
    const { isLogAppendTime, maxTimestamp, baseTimestamp, baseOffset, count } = header
    let position = 0
    for (let index = 0; index < count; index += 1) {
      const end = layout.read(bytes, position, bytes.length)
      this.#partition.records += 1
      codec.records += 1
      if (layout.valueLength < 0) this.#tombstones += 1
      if (layout.keyLength < 0) this.#keyless += 1
      else this.#keys.add(bytes, layout.keyStart, layout.keyLength)
      this.#time(isLogAppendTime ? maxTimestamp : baseTimestamp + layout.timestampDelta)
      this.#size(baseOffset + layout.offsetDelta, end - position)
      position = end
    }
  }

  #codecOf(number: number): Mutable<CodecStatistics> {
    let codec = this.#codecs.get(number)
    if (codec === undefined) {
      codec = { codec: codecName(number), batches: 0, records: 0, storedBytes: 0, recordBytes: 0 }
      this.#codecs.set(number, codec)
    }
    return codec
  }

  #time(timestamp: number): void {
    if (timestamp < 0) return
    if (timestamp < this.#firstTimestamp) this.#firstTimestamp = timestamp
    if (timestamp > this.#lastTimestamp) this.#lastTimestamp = timestamp
  }

  #size(offset: number, bytes: number): void {
    const least = this.#largest[LARGEST - 1]
    if (least !== undefined && bytes <= least.bytes) return
    const { partition } = this.#partition
    this.#largest.push({ partition, offset, bytes })
    this.#largest.sort((a, b) => b.bytes - a.bytes)
    this.#largest.length = Math.min(this.#largest.length, LARGEST)
  }
}

function newPartition(partition: number): Mutable<PartitionStatistics> {
  return { partition, segments: 0, dataBytes: 0, records: 0 }
}

function sum(
  partitions: readonly PartitionStatistics[],
  field: Exclude<keyof PartitionStatistics, 'partition'>,
): number {
  return partitions.reduce((total, each) => total + each[field], 0)
}

async function ifThere<T>(look: () => Promise<T>): Promise<T | undefined> {
  try {
    return await look()
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined
    throw error
  }
}
