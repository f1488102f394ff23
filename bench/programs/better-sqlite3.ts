// better-sqlite3, as its manual says: WAL, prepared statements, a transaction a batch. Key and value are joined in one column, which
// is faster than two. `'os'` is synchronous = NORMAL: what is
// committed is with the operating system; `'disk'` is FULL, which syncs the WAL at each commit.
import path from 'node:path'
import Database from 'better-sqlite3'
import type { Dataset } from '../data/records.ts'
import { joinedBytes, random32, requireBytes, requireEqual, touchJoined } from '../data/records.ts'
import type { Metrics } from '../trials/types.ts'
import { flushFiles } from './flush.ts'
import { concurrentWriters, deliveries, Gatherer, singleRecords, syncedBatches } from './pacing.ts'
import type { Program, TaskContext } from './program.ts'
import { batchCount, perSecond } from './program.ts'
import { wokenReader } from './woken-reader.ts'

/** Fetching so many rows at once is twice as fast as iterating over them. */
const PAGE_ROWS = 1000

class Store {
  readonly database: Database
  readonly #insert
  readonly #one

  constructor({ directory }: TaskContext, synchronous: 'NORMAL' | 'FULL' = 'NORMAL') {
    this.database = new Database(path.join(directory, 'data.sqlite'))
    this.database.pragma('journal_mode = WAL')
    this.database.pragma(`synchronous = ${synchronous}`)
    this.database.exec(
      'CREATE TABLE IF NOT EXISTS records (offset INTEGER PRIMARY KEY, value BLOB)',
    )
    this.#insert = this.database.prepare('INSERT INTO records VALUES (?, ?)')
    this.#one = this.database.prepare('SELECT value FROM records WHERE offset = ?').pluck(true)
  }

  insert(offset: number, value: Buffer): void {
    this.#insert.run(offset, value)
  }

  /** Inserts in one transaction. */
  readonly insertAll = (write: () => void): void => {
    this.database.transaction(write)()
  }

  insertBatch(first: number, values: readonly Buffer[]): void {
    this.insertAll(() => {
      for (let i = 0; i < values.length; i += 1) this.insert(first + i, values[i] as Buffer)
    })
  }

  read(offset: number): Buffer | undefined {
    return this.#one.get(offset) as Buffer | undefined
  }

  checkAndClose(records: number, dataset: Dataset): void {
    const count = this.database.prepare('SELECT count(*) FROM records').pluck(true).get()
    requireEqual('the number of records', count, records)
    const last = joinedBytes(dataset.record(records - 1))
    requireBytes('the last record', this.read(records - 1), last)
    this.database.close()
  }
}

async function append(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters, stopwatch, killed } = context
  const batches = dataset.batches.map((records) => records.map(joinedBytes))
  const store = new Store(context)
  await stopwatch.time(() => {
    for (let index = 0; index < batchCount(parameters); index += 1) {
      const values = batches[index % batches.length] as Buffer[]
      store.insertBatch(index * parameters.batchRecords, values)
    }
    killed?.()
    flushFiles(context.directory)
  })
  store.checkAndClose(parameters.records, dataset)
  return { rate: perSecond(parameters.records, stopwatch.milliseconds) }
}

async function appendSynced(context: TaskContext): Promise<Metrics> {
  const { dataset, parameters } = context
  const batches = dataset.batches.map((records) => records.map(joinedBytes))
  const store = new Store(context, 'FULL')
  const metrics = await syncedBatches(context, (index) => {
    const values = batches[index % batches.length] as Buffer[]
    store.insertBatch(index * parameters.batchRecords, values)
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
      for (const index of indexes) store.insert(index, dataset.record(index).value)
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
    store.insert(index, dataset.record(index).value)
  })
  store.checkAndClose(parameters.records, dataset)
  return metrics
}

async function scan(context: TaskContext): Promise<Metrics> {
  const { parameters, dataset, stopwatch } = context
  const { database } = new Store(context)
  const page = database.prepare('SELECT value FROM records WHERE offset >= ? AND offset < ?')
  page.pluck(true)
  let records = 0
  let sum = 0
  await stopwatch.time(() => {
    for (;;) {
      const values = page.all(records, records + PAGE_ROWS) as Buffer[]
      if (values.length === 0) break
      for (const value of values) sum += touchJoined(value)
      records += values.length
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
      const value = store.read(offset) as Buffer
      dataset.checkKey(offset, value.subarray(0, parameters.keyBytes))
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
      append: (index) => store.insert(index, context.dataset.record(index).value),
      read: (index) => store.read(index),
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
  const last = joinedBytes(dataset.record(parameters.records - 1))
  requireBytes('the last record', found.row?.[1], last)
  found.database?.close()
  return { openMs: stopwatch.milliseconds }
}

/**
 * A row in each of two tables and an offset in a third, as one transaction at FULL. The variant `shared` is no longer one each: what arrives in
 * a turn makes one transaction, of which a round that fails would fail all.
 */
async function transact(context: TaskContext): Promise<Metrics> {
  const { directory, dataset, parameters } = context
  const database = new Database(path.join(directory, 'data.sqlite'))
  database.pragma('journal_mode = WAL')
  database.pragma('synchronous = FULL')
  const tables = Array.from({ length: parameters.partitions }, (_, number) => `records_${number}`)
  for (const table of tables) {
    database.exec(`CREATE TABLE ${table} (offset INTEGER PRIMARY KEY, value BLOB)`)
  }
  database.exec('CREATE TABLE offsets (name TEXT PRIMARY KEY, offset INTEGER)')
  const inserts = tables.map((table) => database.prepare(`INSERT INTO ${table} VALUES (?, ?)`))
  const commit = database.prepare(
    'INSERT INTO offsets VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET offset = excluded.offset',
  )
  const round = (index: number): void => {
    const { value } = dataset.record(index)
    for (const insert of inserts) insert.run(index, value)
    commit.run(`bench-${index % parameters.writers}`, index + 1)
  }
  const all = database.transaction((indexes: readonly number[]) => {
    for (const index of indexes) round(index)
  })
  const gatherer = new Gatherer(all)
  const append =
    context.variant === 'shared'
      ? (index: number): Promise<void> => gatherer.append(index)
      : async (index: number): Promise<void> => all([index])
  const metrics = await concurrentWriters(context, append)
  for (const table of tables) {
    const count = database.prepare(`SELECT count(*) FROM ${table}`).pluck(true).get()
    requireEqual('the number of records', count, parameters.records)
  }
  database.close()
  return metrics
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
    transact,
  },
}
