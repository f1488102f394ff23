// Calls of producers to one partition, and what its files say of them.
import assert from 'node:assert/strict'
import type { BatchHeader } from '../../src/codec/batch.ts'
import {
  batchSizeAt,
  checkBatch,
  readBatchHeader,
  readControlRecord,
} from '../../src/codec/batch.ts'
import { LogError } from '../../src/errors.ts'
import type { AbortedTransaction } from '../../src/storage/aborted-index.ts'
import { decodeAbortedTransactions } from '../../src/storage/aborted-index.ts'
import type { BatchProducer } from '../../src/storage/append-call.ts'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ProducerStates } from '../../src/storage/producer-state.ts'
import type { FileSystem } from '../../src/types.ts'
import type { AppendOptions } from './storage-environment.ts'
import { readFileBytes, recordSet, TestCall } from './storage-environment.ts'

export const FIRST_ID: number = 2 ** 40

/** A producer's next records. */
export const NEXT: BatchProducer = {
  producerId: FIRST_ID,
  producerEpoch: 0,
  baseSequence: -1,
  isTransactional: false,
}
export const IN_TRANSACTION: BatchProducer = { ...NEXT, isTransactional: true }
export const COMMIT: BatchProducer = {
  ...IN_TRANSACTION,
  ending: { outcome: 'commit', coordinatorEpoch: 3 },
}
export const ABORT: BatchProducer = {
  ...IN_TRANSACTION,
  ending: { outcome: 'abort', coordinatorEpoch: 3 },
}

export function at(baseSequence: number, producerEpoch = 0): BatchProducer {
  return { ...NEXT, baseSequence, producerEpoch }
}

export function startProducing(
  log: PartitionLog,
  producer: BatchProducer,
  values: readonly string[],
  options: AppendOptions = {},
): TestCall {
  const call = new TestCall(options)
  call.producer = producer
  log.append(recordSet(...values), call)
  return call
}

/** What became of a call: the offset of its first record, or the code that it failed with. */
export async function outcomeOf(call: TestCall): Promise<number | string> {
  await Promise.allSettled([call.done])
  if (call.outcome === 'acknowledged') return call.baseOffset
  return call.error instanceof LogError ? call.error.code : String(call.error)
}

export function produce(
  log: PartitionLog,
  producer: BatchProducer,
  values: readonly string[],
  options: AppendOptions = {},
): Promise<number | string> {
  return outcomeOf(startProducing(log, producer, values, options))
}

/** The headers of a .log's batches, all of them intact. */
export function headersIn(bytes: Buffer): BatchHeader[] {
  const headers: BatchHeader[] = []
  for (let position = 0; position < bytes.length; position += batchSizeAt(bytes, position)) {
    assert.equal(checkBatch(bytes, position, bytes.length - position), undefined)
    headers.push(readBatchHeader(bytes, position))
  }
  return headers
}

export interface Replayed {
  readonly states: ProducerStates
  /** By base offset of the segment that their markers are in; segments without any are left out. */
  readonly aborted: ReadonlyMap<number, readonly AbortedTransaction[]>
}

/** What the batches of the .log files below an offset say of producers. */
export async function replay(
  fileSystem: FileSystem,
  directory: string,
  end = Number.POSITIVE_INFINITY,
): Promise<Replayed> {
  const states = new ProducerStates()
  const aborted = new Map<number, AbortedTransaction[]>()
  const logs = (await fileSystem.readdir(directory)).filter((name) => name.endsWith('.log'))
  for (const name of logs.sort()) {
    const bytes = await readFileBytes(fileSystem, `${directory}/${name}`)
    const found: AbortedTransaction[] = []
    for (let position = 0; position < bytes.length; position += batchSizeAt(bytes, position)) {
      const header = readBatchHeader(bytes, position)
      if (header.baseOffset >= end) break
      const marker = header.isControl ? readControlRecord(bytes, position) : undefined
      const transaction = states.update(header, marker)
      if (transaction !== undefined) found.push(transaction)
    }
    if (found.length > 0) aborted.set(Number.parseInt(name, 10), found)
  }
  return { states, aborted }
}

/** The aborted transactions that stand in the `.txnindex` files, as `Replayed` has them. */
export async function storedAborted(
  fileSystem: FileSystem,
  directory: string,
): Promise<Map<number, AbortedTransaction[]>> {
  const stored = new Map<number, AbortedTransaction[]>()
  for (const name of (await fileSystem.readdir(directory)).sort()) {
    if (!name.endsWith('.txnindex')) continue
    const bytes = await readFileBytes(fileSystem, `${directory}/${name}`)
    stored.set(Number.parseInt(name, 10), decodeAbortedTransactions(bytes, name))
  }
  return stored
}

/** Each `.snapshot` of the directory is what the batches below its offset give. */
export async function checkSnapshots(fileSystem: FileSystem, directory: string): Promise<number[]> {
  const offsets: number[] = []
  for (const name of (await fileSystem.readdir(directory)).sort()) {
    if (!name.endsWith('.snapshot')) continue
    const offset = Number.parseInt(name, 10)
    const stored = await readFileBytes(fileSystem, `${directory}/${name}`)
    const { states } = await replay(fileSystem, directory, offset)
    assert.ok(stored.equals(states.snapshot()), `${name} is not what the log gives`)
    offsets.push(offset)
  }
  return offsets
}
