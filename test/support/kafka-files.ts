/** Kafka's small files, read apart from the library: what stands on the disk is judged by what Kafka's tools printed. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type {
  ExpectedAbortedTransaction,
  ExpectedPartition,
  ExpectedProducer,
  ExpectedSegment,
} from './fixtures.ts'

type Indexes = Pick<ExpectedSegment, 'offsetIndex' | 'timeIndex'>

/** The file that holds the records from an offset on, or one of the files beside it. */
export function segmentFile(baseOffset: number, suffix = '.log'): string {
  return `${String(baseOffset).padStart(20, '0')}${suffix}`
}

export async function namesEndingWith(directory: string, ...suffixes: string[]): Promise<string[]> {
  const names = await readdir(directory)
  return names.filter((name) => suffixes.some((suffix) => name.endsWith(suffix))).sort()
}

/** Entries of both indexes of a segment, zeros behind them included. */
export async function readIndexes(directory: string, baseOffset: number): Promise<Indexes> {
  const index = await readFile(join(directory, segmentFile(baseOffset, '.index')))
  const timeIndex = await readFile(join(directory, segmentFile(baseOffset, '.timeindex')))
  return {
    offsetIndex: entries(index, 8, (at) => [
      baseOffset + index.readInt32BE(at),
      index.readInt32BE(at + 4),
    ]),
    timeIndex: entries(timeIndex, 12, (at) => [
      Number(timeIndex.readBigInt64BE(at)),
      baseOffset + timeIndex.readInt32BE(at + 8),
    ]),
  }
}

/** The `.txnindex` of a segment; undefined where there is none. */
export async function readAborted(
  directory: string,
  baseOffset: number,
): Promise<ExpectedAbortedTransaction[] | undefined> {
  const name = segmentFile(baseOffset, '.txnindex')
  if (!(await readdir(directory)).includes(name)) return undefined
  const bytes = await readFile(join(directory, name))
  const long = (at: number) => Number(bytes.readBigInt64BE(at))
  return entries(bytes, 34, (at) => ({
    version: bytes.readInt16BE(at),
    producerId: long(at + 2),
    firstOffset: long(at + 10),
    lastOffset: long(at + 18),
    lastStableOffset: long(at + 26),
  }))
}

/** By file name, what each producer snapshot of a partition says; sequences and offsets that Kafka leaves out are -1. */
export async function readSnapshots(directory: string): Promise<Record<string, object[]>> {
  const snapshots: Record<string, object[]> = {}
  for (const name of await namesEndingWith(directory, '.snapshot')) {
    snapshots[name] = producers(await readFile(join(directory, name)))
  }
  return snapshots
}

/** What `readSnapshots` is to give after an open: only the newest and those that a segment begins with are kept. */
export function expectedSnapshots(
  segments: readonly ExpectedSegment[],
  snapshots: ExpectedPartition['producerSnapshots'],
): Record<string, object[]> {
  const kept = new Set(segments.map(({ baseOffset }) => segmentFile(baseOffset, '.snapshot')))
  const newest = Object.keys(snapshots).sort().at(-1)
  const shown = (producer: ExpectedProducer) => ({
    producerId: producer.producerId,
    producerEpoch: producer.producerEpoch,
    lastSequence: producer.lastSequence ?? -1,
    lastOffset: producer.lastOffset ?? -1,
    lastTimestamp: producer.lastTimestamp,
    coordinatorEpoch: producer.coordinatorEpoch,
    currentTxnFirstOffset: producer.currentTxnFirstOffset ?? -1,
  })
  const all = Object.entries(snapshots).filter(([name]) => kept.has(name) || name === newest)
  return Object.fromEntries(all.map(([name, each]) => [name, each.map(shown).sort(byProducerId)]))
}

function producers(bytes: Buffer): object[] {
  const body = bytes.subarray(10)
  const found = entries(body, 46, (at) => ({
    producerId: Number(body.readBigInt64BE(at)),
    producerEpoch: body.readInt16BE(at + 8),
    lastSequence: body.readInt32BE(at + 10),
    lastOffset: Number(body.readBigInt64BE(at + 14)),
    lastTimestamp: Number(body.readBigInt64BE(at + 26)),
    coordinatorEpoch: body.readInt32BE(at + 34),
    currentTxnFirstOffset: Number(body.readBigInt64BE(at + 38)),
  }))
  if (found.length !== bytes.readInt32BE(6)) throw new Error('a snapshot of another length')
  return found.sort(byProducerId)
}

function byProducerId(a: { producerId: number }, b: { producerId: number }): number {
  return a.producerId - b.producerId
}

/** The batches of a file, by what their headers say. */
export function readBatches(
  log: Buffer,
): { baseOffset: number; leaderEpoch: number; count: number; bytes: Buffer }[] {
  const batches: { baseOffset: number; leaderEpoch: number; count: number; bytes: Buffer }[] = []
  for (let at = 0, end = 0; at < log.length; at = end) {
    end = at + 12 + log.readInt32BE(at + 8)
    batches.push({
      baseOffset: Number(log.readBigInt64BE(at)),
      leaderEpoch: log.readInt32BE(at + 12),
      count: log.readInt32BE(at + 57),
      bytes: log.subarray(at, end),
    })
  }
  return batches
}

function entries<T>(bytes: Buffer, size: number, read: (at: number) => T): T[] {
  if (bytes.length % size !== 0) throw new Error(`${bytes.length} bytes are no entries of ${size}`)
  return Array.from({ length: bytes.length / size }, (_, index) => read(index * size))
}
