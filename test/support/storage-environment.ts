// One partition on a file system of the test's choice, with what all partitions of a log share.

import { baseOffsetAt, batchSizeAt, lastOffsetAt, readBatchHeader } from '../../src/codec/batch.ts'
import { decodeRecordRun, decodeRecords } from '../../src/codec/batch-decoder.ts'
import { Codecs } from '../../src/codec/codecs.ts'
import type { RecordSet } from '../../src/codec/record-set.ts'
import { AppendCall } from '../../src/storage/append-call.ts'
import type { StorageEnvironment, UnsyncedBytes } from '../../src/storage/environment.ts'
import { FileCache } from '../../src/storage/file-cache.ts'
import { MemoryCache } from '../../src/storage/memory-cache.ts'
import type { Page, PageRequest } from '../../src/storage/page.ts'
import type { PartitionOptions } from '../../src/storage/partition-log.ts'
import { PartitionLog } from '../../src/storage/partition-log.ts'
import { PendingRoom } from '../../src/storage/pending-room.ts'
import { PRODUCER_EXPIRATION_MS } from '../../src/storage/producer-state.ts'
import { ChunkPool } from '../../src/storage/tail.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import type {
  Clock,
  CompressionCodecs,
  Durability,
  FileSystem,
  TopicConfig,
} from '../../src/types.ts'
import { Semaphore } from '../../src/util/semaphore.ts'

export const DEFAULT_CONFIG: TopicConfig = {
  segmentBytes: 2 ** 30,
  segmentMs: 7 * 24 * 60 * 60 * 1000,
  indexIntervalBytes: 4096,
  segmentIndexBytes: 10 * 1024 * 1024,
  cleanupPolicy: 'delete',
  retentionMs: -1,
  retentionBytes: -1,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: -1,
  deleteRetentionMs: 24 * 60 * 60 * 1000,
  maxMessageBytes: 1_048_588,
  compression: 'none',
  compressionLevel: -1,
  lingerMs: 0,
  timestampType: 'CreateTime',
  durability: 'disk',
  flushIntervalMs: 1000,
}

export interface TestEnvironment extends StorageEnvironment {
  /** What `onPartitionFailure` was told. */
  readonly failures: { readonly topic: string; readonly partition: number; readonly error: Error }[]
}

export interface EnvironmentOptions {
  readonly clock?: Clock
  readonly maxOpenFiles?: number
  readonly maxConcurrentSyncs?: number
  readonly cacheBytes?: number
  readonly maxPendingBytes?: number
  readonly maxDecompressedBytes?: number
  readonly codecs?: CompressionCodecs
  readonly readOnly?: boolean
  readonly unsynced?: UnsyncedBytes
  readonly producerIdExpirationMs?: number
}

/** Nothing is ever flushed of itself. */
export const UNBOUNDED: UnsyncedBytes = {
  appended: () => {},
  isFull: () => false,
  flushed: () => Promise.resolve(),
}

export function storageEnvironment(
  fileSystem: FileSystem,
  options: EnvironmentOptions = {},
): TestEnvironment {
  const failures: TestEnvironment['failures'] = []
  const syncs = new Semaphore(options.maxConcurrentSyncs ?? 3)
  return {
    fileSystem,
    clock: options.clock ?? new ManualClock(),
    files: new FileCache(fileSystem, syncs, options.maxOpenFiles ?? 256),
    cache: new MemoryCache(options.cacheBytes ?? 64 * 1024 * 1024),
    chunks: new ChunkPool(),
    room: new PendingRoom(options.maxPendingBytes ?? 32 * 1024 * 1024),
    codecs: new Codecs(options.codecs ?? {}, options.maxDecompressedBytes ?? 128 * 1024 * 1024),
    readOnly: options.readOnly ?? false,
    producerIdExpirationMs: options.producerIdExpirationMs ?? PRODUCER_EXPIRATION_MS,
    unsynced: options.unsynced ?? UNBOUNDED,
    failures,
    onPartitionFailure: (topic, partition, error) => {
      failures.push({ topic, partition, error })
    },
  }
}

export interface OpenOptions extends EnvironmentOptions {
  readonly topic?: string
  readonly partition?: number
  /** Default `/data/<topic>-<partition>`; made where it is missing. */
  readonly directory?: string
  readonly config?: Partial<TopicConfig>
  /** Default false. */
  readonly isClean?: boolean
  /** Default 0. */
  readonly recoveryPoint?: number
  /** Default 0. */
  readonly logStartOffset?: number
  /** In place of one of its own. */
  readonly environment?: StorageEnvironment
}

/** Opens `t-0`, or what the options say. */
export async function openLog(
  fileSystem: FileSystem,
  options: OpenOptions = {},
): Promise<PartitionLog> {
  const { topic = 't', partition = 0 } = options
  const directory = options.directory ?? `/data/${topic}-${partition}`
  if (options.readOnly !== true && (await fileSystem.stat(directory)) === undefined) {
    await makeDirectory(fileSystem, directory)
  }
  const request: PartitionOptions = {
    environment: options.environment ?? storageEnvironment(fileSystem, options),
    topic,
    partition,
    directory,
    config: { ...DEFAULT_CONFIG, ...options.config },
    isClean: options.isClean ?? false,
    recoveryPoint: options.recoveryPoint ?? 0,
    logStartOffset: options.logStartOffset ?? 0,
  }
  return PartitionLog.open(request)
}

async function makeDirectory(fileSystem: FileSystem, directory: string): Promise<void> {
  await fileSystem.mkdir(directory)
  for (let at = directory; at !== '/'; ) {
    at = at.slice(0, at.lastIndexOf('/')) || '/'
    await fileSystem.syncDirectory(at)
  }
}

// -------------------------------------------------------------------------------------- appends

export interface Appended {
  readonly baseOffset: number
  readonly lastOffset: number
  readonly timestamp: number
}

export interface AppendOptions {
  readonly durability?: Durability
  readonly expectedOffset?: number
  readonly signal?: AbortSignal
}

/** An `AppendCall` with a promise, which insists on being told once. */
export class TestCall extends AppendCall {
  readonly done: Promise<Appended>
  outcome: 'waiting' | 'acknowledged' | 'failed' = 'waiting'
  error: Error | undefined
  /** Told at once, before any promise. */
  onSettled: (() => void) | undefined
  #resolve: (value: Appended) => void = () => {}
  #reject: (error: Error) => void = () => {}

  constructor(options: AppendOptions = {}) {
    super(options.durability ?? 'disk', options.expectedOffset ?? -1, options.signal)
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    // Who does not look at the promise looks at `outcome`.
    this.done.catch(() => {})
  }

  acknowledged(): void {
    this.#settle('acknowledged')
    const { baseOffset, count, timestamp } = this
    this.#resolve({ baseOffset, lastOffset: baseOffset + count - 1, timestamp })
  }

  failed(error: Error): void {
    this.#settle('failed')
    this.error = error
    this.#reject(error)
  }

  #settle(outcome: 'acknowledged' | 'failed'): void {
    if (this.outcome !== 'waiting') {
      throw new Error(`a call that was ${this.outcome} is told that it ${outcome}`)
    }
    this.outcome = outcome
    this.onSettled?.()
  }
}

export interface TestRecord {
  readonly key?: string | Uint8Array | null
  readonly value: string | Uint8Array | null
  readonly timestamp?: number
}

export function recordSet(...records: readonly (string | TestRecord)[]): RecordSet {
  const all = records.map((each) => (typeof each === 'string' ? { value: each } : each))
  return {
    keys: all.map(({ key = null }: TestRecord) => key),
    values: all.map(({ value }) => (typeof value === 'string' ? Buffer.from(value) : value)),
    headers: undefined,
    timestamps: all.some((each: TestRecord) => each.timestamp !== undefined)
      ? all.map((each: TestRecord) => each.timestamp)
      : undefined,
  }
}

export function startAppend(log: PartitionLog, set: RecordSet, options?: AppendOptions): TestCall {
  const call = new TestCall(options)
  log.append(set, call)
  return call
}

export function append(
  log: PartitionLog,
  set: RecordSet,
  options?: AppendOptions,
): Promise<Appended> {
  return startAppend(log, set, options).done
}

/** Appends one record a call, one after another. */
export async function appendAll(
  log: PartitionLog,
  values: readonly string[],
  options?: AppendOptions,
): Promise<void> {
  for (const value of values) await append(log, recordSet(value), options)
}

// ---------------------------------------------------------------------------------------- reads

export interface ReadRecord {
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: string | null
}

/** The records of a page from an offset on; control batches are passed over. */
export function recordsOf(page: Page, fromOffset = 0): ReadRecord[] {
  const records: ReadRecord[] = []
  const sink = {
    record: (
      offset: number,
      timestamp: number,
      bytes: Buffer,
      keyStart: number,
      keyLength: number,
      valueStart: number,
      valueLength: number,
    ) => {
      if (offset < fromOffset) return
      records.push({
        offset,
        timestamp,
        key: keyLength < 0 ? null : bytes.toString('utf8', keyStart, keyStart + keyLength),
        value:
          valueLength < 0 ? null : bytes.toString('utf8', valueStart, valueStart + valueLength),
      })
    },
  }
  const { buffer, start, end, run } = page
  if (run !== undefined) {
    decodeRecordRun(buffer, start, end, run.table.header, run.count, sink)
    return records
  }
  for (let at = start; at < end; at += batchSizeAt(buffer, at)) {
    const header = readBatchHeader(buffer, at)
    if (header.isControl) continue
    const batchEnd = at + header.sizeBytes
    decodeRecords(buffer, at + 61, batchEnd, header, fromOffset, Number.POSITIVE_INFINITY, sink)
  }
  return records
}

/** [base offset, last offset] of the batches of a page. */
export function batchesOf(page: Page): [number, number][] {
  const batches: [number, number][] = []
  const { buffer, start, end } = page
  for (let at = start; at < end; at += batchSizeAt(buffer, at)) {
    batches.push([baseOffsetAt(buffer, at), lastOffsetAt(buffer, at)])
  }
  return batches
}

export function pageRequest(
  log: PartitionLog,
  offset: number,
  request: Partial<PageRequest> = {},
): PageRequest {
  return {
    offset,
    end: log.highWatermark,
    maxBytes: 1024 * 1024,
    maxRecords: Number.POSITIVE_INFINITY,
    onCorrupt: 'throw',
    ...request,
  }
}

export async function readPage(
  log: PartitionLog,
  offset: number,
  request: Partial<PageRequest> = {},
): Promise<Page> {
  return log.read(pageRequest(log, offset, request))
}

/** Whole pages from an offset up to the high watermark. */
export async function* readPages(
  log: PartitionLog,
  request: Partial<PageRequest> = {},
): AsyncGenerator<Page> {
  let offset = request.offset ?? log.logStartOffset
  const end = request.end ?? log.highWatermark
  while (offset < end) {
    const page = await readPage(log, offset, { ...request, offset, end })
    if (page.nextOffset <= offset)
      throw new Error(`a page at ${offset} leads to ${page.nextOffset}`)
    yield page
    offset = page.nextOffset
  }
}

export async function readAll(
  log: PartitionLog,
  request: Partial<PageRequest> = {},
): Promise<ReadRecord[]> {
  const records: ReadRecord[] = []
  let offset = request.offset ?? log.logStartOffset
  for await (const page of readPages(log, request)) {
    records.push(...recordsOf(page, offset))
    offset = page.nextOffset
  }
  return records
}

export async function readValues(
  log: PartitionLog,
  request: Partial<PageRequest> = {},
): Promise<(string | null)[]> {
  return (await readAll(log, request)).map(({ value }) => value)
}

// ---------------------------------------------------------------------------------------- files

export async function readFileBytes(fileSystem: FileSystem, file: string): Promise<Buffer> {
  const handle = fileSystem.openSync(file, 'read')
  try {
    const bytes = Buffer.alloc(handle.sizeSync())
    handle.readSync(bytes, 0, bytes.length, 0)
    return bytes
  } finally {
    handle.closeSync()
  }
}

export async function writeFileBytes(
  fileSystem: FileSystem,
  file: string,
  bytes: Uint8Array,
): Promise<void> {
  if ((await fileSystem.stat(file)) !== undefined) await fileSystem.unlink(file)
  const handle = fileSystem.openSync(file, 'create')
  try {
    handle.writeSync(bytes, 0, bytes.length, 0)
    await handle.sync()
  } finally {
    handle.closeSync()
  }
  await fileSystem.syncDirectory(file.slice(0, file.lastIndexOf('/')))
}

/** Content of every file in a directory, by name. */
export async function directoryContent(
  fileSystem: FileSystem,
  directory: string,
): Promise<Map<string, string>> {
  const content = new Map<string, string>()
  for (const name of (await fileSystem.readdir(directory)).sort()) {
    content.set(name, (await readFileBytes(fileSystem, `${directory}/${name}`)).toString('hex'))
  }
  return content
}

/** Resolves when the condition holds, after at most `turns` turns of the event loop. */
export async function until(condition: () => boolean, turns = 1000): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    if (condition()) return
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
  throw new Error('what was waited for has not come')
}
