// classic-level, as its manual says: a chained or an array batch a commit, buffers as they are, `sync: true` for `'disk'`.
// Without it a write is with the operating system, which is `'os'`. Keys are offsets as 4 bytes, big-endian, to sort by number.
import path from 'node:path'
import { ClassicLevel } from 'classic-level'
import type { BenchRecord } from '../data/records.ts'
import { joinedBytes, random32, requireBytes, requireEqual, touchJoined } from '../data/records.ts'
import type { Metrics } from '../trials/types.ts'
import { concurrentWriters, deliveries, Gatherer, singleRecords, syncedBatches } from './pacing.ts'
import type { Program, TaskContext } from './program.ts'
import { batchCount, perSecond } from './program.ts'
import { wokenReader } from './woken-reader.ts'

type Store = ClassicLevel<Buffer, Buffer>

/** A read of this many records has room for them. */
const READ_RECORDS = 1000
const READ_BYTES = 256 * 1024

async function openStore({ directory }: TaskContext): Promise<Store> {
  const store: Store = new ClassicLevel(path.join(directory, 'data.level'), {
    keyEncoding: 'buffer',
    valueEncoding: 'buffer',
  })
  await store.open()
  return store
}

function keyOf(offset: number): Buffer {
  const key = Buffer.allocUnsafe(4)
  key.writeUInt32BE(offset)
  return key
}

function writeBatch(
  store: Store,
  first: number,
  values: readonly Buffer[],
  sync: boolean,
): Promise<void> {
  const batch = store.batch()
  for (let i = 0; i < values.length; i += 1) batch.put(keyOf(first + i), values[i] as Buffer)
  return batch.write({ sync })
}

function valuesOf(records: readonly BenchRecord[]): Buffer[] {
  return records.map(joinedBytes)
}

/** The last batch is synced, and with it LevelDB's log: that is the final flush. */
async function append(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters, stopwatch, killed } = context
  const count = batchCount(parameters)
  const batches = dataset.batches.map(valuesOf)
  const store = await openStore(context)
  await stopwatch.time(async () => {
    for (let index = 0; index < count; index += 1) {
      const values = batches[index % batches.length] as Buffer[]
      const isLast = index === count - 1 && killed === undefined
      await writeBatch(store, index * parameters.batchRecords, values, isLast)
    }
    killed?.()
  })
  await checkAndClose(store, context)
  return { rate: perSecond(parameters.records, stopwatch.milliseconds) }
}

async function checkAndClose(store: Store, { dataset, parameters }: TaskContext): Promise<void> {
  const { records } = parameters
  const [last] = await store.iterator({ reverse: true, limit: 1 }).all()
  requireEqual('the last key', last?.[0].readUInt32BE(), records - 1)
  requireBytes('the last record', last?.[1], joinedBytes(dataset.record(records - 1)))
  await store.close()
}

async function appendSynced(context: TaskContext): Promise<Metrics> {
  const batches = context.dataset.batches.map(valuesOf)
  const store = await openStore(context)
  const metrics = await syncedBatches(context, (index) => {
    const first = index * context.parameters.batchRecords
    return writeBatch(store, first, batches[index % batches.length] as Buffer[], true)
  })
  await checkAndClose(store, context)
  return metrics
}

/** What arrives in a turn is one batch: LevelDB joins no more writers than the pool has threads. */
async function appendConcurrent(context: TaskContext): Promise<Metrics> {
  const store = await openStore(context)
  const gatherer = new Gatherer((indexes) => {
    const batch = store.batch()
    for (const index of indexes) batch.put(keyOf(index), context.dataset.record(index).value)
    return batch.write({ sync: true })
  })
  const metrics = await concurrentWriters(context, (index) => gatherer.append(index))
  await checkAndClose(store, context)
  return metrics
}

async function appendSingle(context: TaskContext): Promise<Metrics> {
  const { dataset } = context
  const store = await openStore(context)
  const metrics = await singleRecords(context, (index) =>
    store.put(keyOf(index), dataset.record(index).value),
  )
  await checkAndClose(store, context)
  return metrics
}

async function scan(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const store = await openStore(context)
  let records = 0
  let sum = 0
  await stopwatch.time(async () => {
    const iterator = store.values({ highWaterMarkBytes: READ_BYTES, fillCache: false })
    for (;;) {
      const values = await iterator.nextv(READ_RECORDS)
      if (values.length === 0) break
      for (const value of values) sum += touchJoined(value)
      records += values.length
    }
    await iterator.close()
  })
  await store.close()
  requireEqual('the number of records', records, parameters.records)
  requireEqual('the checksum', sum, dataset.checksum(parameters.records))
  return { rate: perSecond(records, stopwatch.milliseconds) }
}

/** Synchronous reads, which spare the way through the thread pool. */
async function readRandom(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const { records, reads, keyBytes } = parameters
  const store = await openStore(context)
  const next = random32()
  await stopwatch.time(() => {
    for (let index = 0; index < reads; index += 1) {
      const offset = next() % records
      const value = store.getSync(keyOf(offset)) as Buffer
      dataset.checkKey(offset, value.subarray(0, keyBytes))
    }
  })
  await store.close()
  return { rate: perSecond(reads, stopwatch.milliseconds) }
}

async function deliver(context: TaskContext): Promise<Metrics> {
  const store = await openStore(context)
  const metrics = await deliveries(
    context,
    wokenReader({
      append: (index) => store.put(keyOf(index), context.dataset.record(index).value),
      read: (index) => store.getSync(keyOf(index)),
    }),
  )
  await store.close()
  return metrics
}

async function reopen(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const found: { store?: Store; entry?: readonly [Buffer, Buffer] | undefined } = {}
  await stopwatch.time(async () => {
    const store = await openStore(context)
    found.store = store
    const entries = await store.iterator({ reverse: true, limit: 1 }).all()
    found.entry = entries[0]
  })
  const { records } = parameters
  requireEqual('the last key', found.entry?.[0].readUInt32BE(), records - 1)
  requireBytes('the last record', found.entry?.[1], joinedBytes(dataset.record(records - 1)))
  await found.store?.close()
  return { openMs: stopwatch.milliseconds }
}

export const program: Program = {
  tasks: {
    append,
    appendSynced,
    appendConcurrent,
    appendSingle,
    scan,
    readRandom,
    deliver,
    reopen,
  },
}
