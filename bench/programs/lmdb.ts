// lmdb-js, as it is fastest here by what its manual says: keys as uint32, synchronous transactions. `'os'` is noSync: what is
// committed is with the operating system. (`put`, which it gathers off the main thread, has half the rate at W1 and a tenth of it
// at W5.) Variants: `append` with MDB_APPEND, which its manual does not name but its types do; `writemap` with useWritemap, which
// lets a stray pointer damage the data, of which its manual warns.
import path from 'node:path'
import type { PutOptions, RootDatabase } from 'lmdb'
import { open } from 'lmdb'
import type { BenchRecord } from '../data/records.ts'
import { joinedBytes, random32, requireBytes, requireEqual, touchJoined } from '../data/records.ts'
import type { Metrics } from '../trials/types.ts'
import { flushFiles } from './flush.ts'
import { concurrentWriters, deliveries, Gatherer, singleRecords, syncedBatches } from './pacing.ts'
import type { Program, TaskContext } from './program.ts'
import { batchCount, perSecond } from './program.ts'
import { wokenReader } from './woken-reader.ts'

type Store = RootDatabase<Buffer, number>

const APPEND = { append: true }
const ANY_PLACE = {}
const OS = { noSync: true, noMemInit: true }
const DISK = { noMemInit: true }

function openStore({ directory, variant }: TaskContext, durability: object = OS): Store {
  return open<Buffer, number>({
    path: path.join(directory, 'data.mdb'),
    encoding: 'binary',
    keyEncoding: 'uint32',
    useWritemap: variant === 'writemap',
    ...durability,
  })
}

function putBatch(
  store: Store,
  first: number,
  values: readonly Buffer[],
  options: PutOptions = ANY_PLACE,
): void {
  store.transactionSync(() => {
    for (let i = 0; i < values.length; i += 1) {
      store.putSync(first + i, values[i] as Buffer, options)
    }
  })
}

function valuesOf(records: readonly BenchRecord[]): Buffer[] {
  return records.map(joinedBytes)
}

async function append(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters, stopwatch, killed } = context
  const batches = dataset.batches.map(valuesOf)
  const options = context.variant === 'append' ? APPEND : ANY_PLACE
  const store = openStore(context)
  await stopwatch.time(() => {
    for (let index = 0; index < batchCount(parameters); index += 1) {
      const values = batches[index % batches.length] as Buffer[]
      putBatch(store, index * parameters.batchRecords, values, options)
    }
    killed?.()
    flushFiles(context.directory)
  })
  await checkAndClose(store, context)
  return { rate: perSecond(parameters.records, stopwatch.milliseconds) }
}

async function checkAndClose(store: Store, { dataset, parameters }: TaskContext): Promise<void> {
  const { records } = parameters
  const { entryCount } = store.getStats() as { readonly entryCount: number }
  requireEqual('the number of records', entryCount, records)
  requireBytes('the last record', store.get(records - 1), joinedBytes(dataset.record(records - 1)))
  await store.close()
}

/** A synchronous commit is on the disk when it returns. */
async function appendSynced(context: TaskContext): Promise<Metrics> {
  const batches = context.dataset.batches.map(valuesOf)
  const store = openStore(context, DISK)
  const metrics = await syncedBatches(context, (index) => {
    const first = index * context.parameters.batchRecords
    putBatch(store, first, batches[index % batches.length] as Buffer[])
  })
  await checkAndClose(store, context)
  return metrics
}

/**
 * `put`, which gathers what comes together into one transaction off the main thread, is how its manual would do it; with
 * overlappingSync off it resolves when that is on the disk. The variant blocks for a transaction of what came in a turn.
 */
async function appendConcurrent(context: TaskContext): Promise<Metrics> {
  const store = openStore(context, { ...DISK, overlappingSync: false })
  const valueAt = (index: number): Buffer => context.dataset.record(index).value
  const gatherer = new Gatherer((indexes) => {
    store.transactionSync(() => {
      for (const index of indexes) store.putSync(index, valueAt(index))
    })
  })
  const put = (index: number): Promise<unknown> => store.put(index, valueAt(index))
  const isGathered = context.variant === 'gathered'
  const metrics = await concurrentWriters(
    context,
    isGathered ? (index) => gatherer.append(index) : put,
  )
  await checkAndClose(store, context)
  return metrics
}

async function appendSingle(context: TaskContext): Promise<Metrics> {
  const { dataset } = context
  const store = openStore(context)
  const metrics = await singleRecords(context, (index) => {
    store.transactionSync(() => store.putSync(index, dataset.record(index).value))
  })
  await checkAndClose(store, context)
  return metrics
}

/** `getBinaryFast`, whose view the next read overwrites, key by key is twice as fast as `getRange`. */
async function scan(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const store = openStore(context)
  let records = 0
  let sum = 0
  await stopwatch.time(() => {
    for (;;) {
      const value = store.getBinaryFast(records)
      if (value === undefined) break
      sum += touchJoined(value)
      records += 1
    }
  })
  await store.close()
  requireEqual('the number of records', records, parameters.records)
  requireEqual('the checksum', sum, dataset.checksum(parameters.records))
  return { rate: perSecond(records, stopwatch.milliseconds) }
}

async function readRandom(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const { records, reads, keyBytes } = parameters
  const store = openStore(context)
  const next = random32()
  await stopwatch.time(() => {
    for (let index = 0; index < reads; index += 1) {
      const offset = next() % records
      const value = store.getBinaryFast(offset) as Buffer
      dataset.checkKey(offset, value.subarray(0, keyBytes))
    }
  })
  await store.close()
  return { rate: perSecond(reads, stopwatch.milliseconds) }
}

/** A reader is woken by the writer once it has committed: the database itself tells nobody. */
async function deliver(context: TaskContext): Promise<Metrics> {
  const store = openStore(context)
  const metrics = await deliveries(
    context,
    wokenReader({
      append: (index) => {
        const { value } = context.dataset.record(index)
        store.transactionSync(() => store.putSync(index, value))
      },
      read: (index) => store.get(index),
    }),
  )
  await store.close()
  return metrics
}

async function reopen(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const found: { store?: Store; key?: number; value?: Buffer } = {}
  await stopwatch.time(() => {
    found.store = openStore(context)
    for (const { key, value } of found.store.getRange({ reverse: true, limit: 1 })) {
      found.key = key
      found.value = value
    }
  })
  const { records } = parameters
  requireEqual('the last key', found.key, records - 1)
  requireBytes('the last record', found.value, joinedBytes(dataset.record(records - 1)))
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
