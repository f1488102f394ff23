// better-sqlite3, as its manual says: WAL, prepared statements, a transaction a batch. `'os'` is synchronous = NORMAL: what is
// committed is with the operating system; `'disk'` is FULL, which syncs the WAL at each commit.
import path from 'node:path'
import Database from 'better-sqlite3'
import type { BenchRecord, Dataset } from '../data/records.ts'
import { random32, requireBytes, requireEqual, touch } from '../data/records.ts'
import type { Metrics } from '../trials/types.ts'
import { concurrentWriters, deliveries, Gatherer, singleRecords, syncedBatches } from './pacing.ts'
import type { Program, TaskContext } from './program.ts'
import { batchCount, perSecond } from './program.ts'
import { wokenReader } from './woken-reader.ts'

type Row = readonly [key: Buffer | null, value: Buffer]

class Store {
  readonly database: Database
  readonly #insert
  readonly #one

  constructor({ directory }: TaskContext, synchronous: 'NORMAL' | 'FULL' = 'NORMAL') {
    this.database = new Database(path.join(directory, 'data.sqlite'))
    this.database.pragma('journal_mode = WAL')
    this.database.pragma(`synchronous = ${synchronous}`)
    this.database.exec(
      'CREATE TABLE IF NOT EXISTS records (offset INTEGER PRIMARY KEY, key BLOB, value BLOB)',
    )
    this.#insert = this.database.prepare('INSERT INTO records VALUES (?, ?, ?)')
    this.#one = this.database.prepare('SELECT key, value FROM records WHERE offset = ?').raw(true)
  }

  insert(offset: number, { key, value }: BenchRecord): void {
    this.#insert.run(offset, key, value)
  }

  /** Inserts in one transaction. */
  readonly insertAll = (write: () => void): void => {
    this.database.transaction(write)()
  }

  insertBatch(first: number, records: readonly BenchRecord[]): void {
    this.insertAll(() => {
      for (let i = 0; i < records.length; i += 1) this.insert(first + i, records[i] as BenchRecord)
    })
  }

  read(offset: number): Row | undefined {
    return this.#one.get(offset) as Row | undefined
  }

  checkAndClose(records: number, dataset: Dataset): void {
    const [count] = this.database.prepare('SELECT count(*) FROM records').raw(true).get() as [
      number,
    ]
    requireEqual('the number of records', count, records)
    requireBytes('the last record', this.read(records - 1)?.[1], dataset.record(records - 1).value)
    this.database.close()
  }
}

async function append(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters, stopwatch, killed } = context
  const store = new Store(context)
  await stopwatch.time(() => {
    for (let index = 0; index < batchCount(parameters); index += 1) {
      store.insertBatch(index * parameters.batchRecords, dataset.batch(index))
    }
    killed?.()
  })
  store.checkAndClose(parameters.records, dataset)
  return { rate: perSecond(parameters.records, stopwatch.milliseconds) }
}

async function appendSynced(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters } = context
  const store = new Store(context, 'FULL')
  const metrics = await syncedBatches(context, (index) => {
    store.insertBatch(index * parameters.batchRecords, dataset.batch(index))
  })
  store.checkAndClose(parameters.records, dataset)
  return metrics
}

/** It has one connection and blocks: what arrives in a turn shares a transaction. */
async function appendConcurrent(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters } = context
  const store = new Store(context, 'FULL')
  const gatherer = new Gatherer((indexes) => {
    store.insertAll(() => {
      for (const index of indexes) store.insert(index, dataset.record(index))
    })
  })
  const metrics = await concurrentWriters(context, (index) => gatherer.append(index))
  store.checkAndClose(parameters.records, dataset)
  return metrics
}

async function appendSingle(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters } = context
  const store = new Store(context)
  const metrics = await singleRecords(context, (index) => {
    store.insert(index, dataset.record(index))
  })
  store.checkAndClose(parameters.records, dataset)
  return metrics
}

async function scan(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const { database } = new Store(context)
  const all = database.prepare('SELECT key, value FROM records ORDER BY offset').raw(true)
  let records = 0
  let sum = 0
  await stopwatch.time(() => {
    for (const row of all.iterate()) {
      const [key, value] = row as Row
      sum += touch(key, value)
      records += 1
    }
  })
  database.close()
  requireEqual('the number of records', records, parameters.records)
  requireEqual('the checksum', sum, dataset.checksum(parameters.records))
  return { rate: perSecond(records, stopwatch.milliseconds) }
}

async function readRandom(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const store = new Store(context)
  const next = random32()
  await stopwatch.time(() => {
    for (let index = 0; index < parameters.reads; index += 1) {
      const offset = next() % parameters.records
      dataset.checkKey(offset, store.read(offset)?.[0] as Buffer)
    }
  })
  store.database.close()
  return { rate: perSecond(parameters.reads, stopwatch.milliseconds) }
}

async function deliver(context: TaskContext): Promise<Metrics> {
  const store = new Store(context)
  const metrics = await deliveries(
    context,
    wokenReader({
      append: (index) => store.insert(index, context.dataset.record(index)),
      read: (index) => store.read(index)?.[1],
    }),
  )
  store.database.close()
  return metrics
}

async function reopen(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const found: { database?: Database; row?: readonly [number, Buffer] } = {}
  await stopwatch.time(() => {
    const { database } = new Store(context)
    const last = 'SELECT offset, value FROM records ORDER BY offset DESC LIMIT 1'
    found.database = database
    found.row = database.prepare(last).raw(true).get() as [number, Buffer]
  })
  requireEqual('the last offset', found.row?.[0], parameters.records - 1)
  requireBytes('the last record', found.row?.[1], dataset.record(parameters.records - 1).value)
  found.database?.close()
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
