// A codec alone, on the very bytes that the log gives it: the records of the batches that a log has formed, one batch after the
// other, compressed and decompressed as the log does it, with nothing encoded, written, read or checked around it.
import path from 'node:path'
import { HEADER_BYTES } from '../data/kafka-batch.ts'
import { requireBytes } from '../data/records.ts'
import type { StoredBatch } from '../data/stored-batches.ts'
import { storedBatches } from '../data/stored-batches.ts'
import type { Metrics } from '../trials/types.ts'
import type { BareCodec } from './bare-codecs.ts'
import { bareCodec } from './bare-codecs.ts'
import { TOPIC } from './brokerless/open.ts'
import type { Program, TaskContext } from './program.ts'
import { perSecond } from './program.ts'

/** So much of the log is taken, again and again: what the log compresses is in the processor's cache as well. */
const DISTINCT_BYTES = 4 * 1024 * 1024
/** Others are let in as often, and memory that was used is given back then. */
const SLICE_MS = 5

async function firstBatches({ directory }: TaskContext): Promise<StoredBatch[]> {
  const batches: StoredBatch[] = []
  let bytes = 0
  for await (const batch of storedBatches(path.join(directory, `${TOPIC}-0`))) {
    batches.push(batch)
    bytes += batch.plain.length
    if (bytes > DISTINCT_BYTES) break
  }
  return batches
}

/** Compresses as many records as were appended. */
async function compress(context: TaskContext): Promise<Metrics> {
  const batches = await firstBatches(context)
  const codec = bareCodec(context.parameters.compression)
  const packed: Buffer[] = []
  const metrics = await transform(context, batches, async (batch, place) => {
    packed[place] = await codec.compress(batch.plain)
  })
  await requirePlain(codec, packed, batches)
  const sizeOf = (all: readonly Buffer[]): number =>
    all.reduce((sum, bytes) => sum + HEADER_BYTES + bytes.length, 0)
  return { ...metrics, storedShare: sizeOf(packed) / sizeOf(batches.map(({ plain }) => plain)) }
}

async function decompress(context: TaskContext): Promise<Metrics> {
  const batches = await firstBatches(context)
  const codec = bareCodec(context.parameters.compression)
  const packed: Buffer[] = []
  for (const { plain } of batches) packed.push(await codec.compress(plain))
  await requirePlain(codec, packed, batches)
  return transform(context, batches, async ({ plain }, place) => {
    const bytes = await codec.decompress(packed[place] as Buffer, plain.length)
    if (bytes.length !== plain.length) throw new Error('a batch has another size')
  })
}

async function transform(
  { parameters, stopwatch }: TaskContext,
  batches: readonly StoredBatch[],
  work: (batch: StoredBatch, place: number) => Promise<void>,
): Promise<Metrics> {
  let records = 0
  await stopwatch.time(async () => {
    let turnEndMs = performance.now() + SLICE_MS
    for (let index = 0; records < parameters.records; index += 1) {
      const place = index % batches.length
      const batch = batches[place] as StoredBatch
      await work(batch, place)
      records += batch.recordCount
      if (performance.now() < turnEndMs) continue
      await new Promise((resolve) => setImmediate(resolve))
      turnEndMs = performance.now() + SLICE_MS
    }
  })
  return { rate: perSecond(records, stopwatch.milliseconds) }
}

async function requirePlain(
  codec: BareCodec,
  packed: readonly Buffer[],
  batches: readonly StoredBatch[],
): Promise<void> {
  for (const [place, bytes] of packed.entries()) {
    const { plain } = batches[place] as StoredBatch
    requireBytes('a batch', await codec.decompress(bytes, plain.length), plain)
  }
}

export const program: Program = { tasks: { compress, decompress } }
