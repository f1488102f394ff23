// Reads of both levels of isolation over random histories of transactions, against a list of what was written: in the writer, in a reader beside it,
// after opens of what was closed, killed, or damaged.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { PartitionLog } from '../../src/storage/partition-log.ts'
import { ManualClock } from '../../src/testing/manual-clock.ts'
import { MemoryFileSystem } from '../../src/testing/memory-file-system.ts'
import type { CompressionType, IsolationLevel } from '../../src/types.ts'
import {
  ABORT,
  COMMIT,
  FIRST_ID,
  IN_TRANSACTION,
  startProducing,
} from '../support/producer-calls.ts'
import type { OpenOptions } from '../support/storage-environment.ts'
import {
  append,
  openLog,
  readFileBytes,
  recordSet,
  writeFileBytes,
} from '../support/storage-environment.ts'
import { fetchFrom, read, topicOf } from '../support/topics.ts'

const DIRECTORY = '/data/t-0'
const LEVELS: readonly IsolationLevel[] = ['read_committed', 'read_uncommitted']
const PRODUCERS = 3

/** A transaction of one producer. */
interface Transaction {
  readonly producer: number
  readonly firstOffset: number
  outcome: 'commit' | 'abort' | undefined
  /** Of the marker. */
  endOffset: number
  /** The coordinator has shown it to readers. */
  isReleased: boolean
}

interface Written {
  readonly offset: number
  readonly value: string
  readonly transaction: Transaction | undefined
}

type Step =
  | { readonly kind: 'plain'; readonly count: number; readonly bytes: number }
  | {
      readonly kind: 'data'
      readonly producer: number
      readonly count: number
      readonly bytes: number
    }
  | {
      readonly kind: 'end'
      readonly producer: number
      readonly isAbort: boolean
      readonly count: number
      readonly isShown: boolean
    }
  | { readonly kind: 'show' }
  | { readonly kind: 'delete'; readonly share: number }
  | { readonly kind: 'poll' }
  | { readonly kind: 'roll' }
  | { readonly kind: 'reopen'; readonly isKilled: boolean; readonly isDamaged: boolean }
  | { readonly kind: 'reader'; readonly isDamaged: boolean }
  | {
      readonly kind: 'check'
      readonly from: number
      readonly maxBytes: number
      readonly maxRecords: number
    }

const producer = fc.integer({ min: 0, max: PRODUCERS - 1 })
const count = fc.integer({ min: 1, max: 20 })
const size = fc.constantFrom(3, 40, 400)
const check = fc.record({
  kind: fc.constant('check' as const),
  from: fc.double({ min: 0, max: 1, noNaN: true }),
  maxBytes: fc.constantFrom(1, 300, 5000, 1024 * 1024),
  maxRecords: fc.constantFrom(1, 3, 50, Number.POSITIVE_INFINITY),
})
const data = fc.record({ kind: fc.constant('data' as const), producer, count, bytes: size })
const end = fc.record({
  kind: fc.constant('end' as const),
  producer,
  isAbort: fc.boolean(),
  count: fc.integer({ min: 0, max: 5 }),
  isShown: fc.boolean(),
})
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    {
      weight: 2,
      arbitrary: fc.record({ kind: fc.constant('plain' as const), count, bytes: size }),
    },
    { weight: 5, arbitrary: data },
    { weight: 5, arbitrary: end },
    { weight: 2, arbitrary: fc.constant({ kind: 'show' as const }) },
    { weight: 4, arbitrary: check },
    { weight: 2, arbitrary: fc.constant({ kind: 'poll' as const }) },
    { weight: 1, arbitrary: fc.constant({ kind: 'roll' as const }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('delete' as const),
        share: fc.double({ min: 0, max: 1, noNaN: true }),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant('reopen' as const),
        isKilled: fc.boolean(),
        isDamaged: fc.boolean(),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant('reader' as const), isDamaged: fc.boolean() }),
    },
  ),
  { minLength: 4, maxLength: 40 },
)

class History {
  readonly #clock = new ManualClock()
  readonly #options: OpenOptions
  readonly #written: Written[] = []
  readonly #transactions: Transaction[] = []
  readonly #open = new Map<number, Transaction>()
  #fileSystem = new MemoryFileSystem()
  #writer: PartitionLog | undefined
  #reader: PartitionLog | undefined

  constructor(compression: CompressionType) {
    const config = { durability: 'os', segmentBytes: 12_000, indexIntervalBytes: 500, compression }
    // So little that some of what is known of batches is dropped.
    this.#options = { config: { ...config, durability: 'os' }, cacheBytes: 100_000 }
  }

  get writer(): PartitionLog {
    assert.ok(this.#writer)
    return this.#writer
  }

  get reader(): PartitionLog {
    assert.ok(this.#reader)
    return this.#reader
  }

  async begin(): Promise<void> {
    this.#writer = await openLog(this.#fileSystem, this.#options)
    this.#reader = await openLog(this.#fileSystem, { ...this.#options, readOnly: true })
  }

  async end(): Promise<void> {
    await this.reader.close()
    await this.writer.close()
  }

  async step(step: Step): Promise<void> {
    switch (step.kind) {
      case 'plain':
        return await this.#plain(step.count, step.bytes)
      case 'data':
        return await this.#data(step.producer, step.count, step.bytes)
      case 'end':
        return await this.#end(step)
      case 'show':
        return this.#show()
      case 'delete':
        return await this.#delete(step.share)
      case 'poll':
        await this.reader.poll(0)
        return await this.check(0, 1024, Number.POSITIVE_INFINITY)
      case 'roll':
        await this.writer.rollNow()
        return
      case 'reopen':
        return await this.#reopen(step.isKilled, step.isDamaged)
      case 'reader':
        return await this.#reopenReader(step.isDamaged)
      default:
        return await this.check(step.from, step.maxBytes, step.maxRecords)
    }
  }

  async #plain(count: number, bytes: number): Promise<void> {
    const values = this.#values(count, bytes)
    const { baseOffset } = await append(this.writer, recordSet(...values), { durability: 'os' })
    this.#note(baseOffset, values, undefined)
  }

  async #data(producer: number, count: number, bytes: number): Promise<void> {
    // Its last transaction must be shown before it begins another.
    this.#showOf(producer)
    const values = this.#values(count, bytes)
    const by = { ...IN_TRANSACTION, producerId: FIRST_ID + producer }
    const call = startProducing(this.writer, by, values, { durability: 'os' })
    await call.done
    this.#note(call.baseOffset, values, this.#begun(producer, call.baseOffset))
  }

  async #end({ producer, isAbort, count, isShown }: Extract<Step, { kind: 'end' }>): Promise<void> {
    this.#showOf(producer)
    if (count === 0 && !this.#open.has(producer)) return
    const values = this.#values(count, 40)
    const by = { ...(isAbort ? ABORT : COMMIT), producerId: FIRST_ID + producer }
    const call = startProducing(this.writer, by, values, { durability: 'os' })
    await call.done
    const transaction = this.#begun(producer, call.baseOffset)
    this.#note(call.baseOffset, values, transaction)
    transaction.outcome = isAbort ? 'abort' : 'commit'
    transaction.endOffset = call.baseOffset + count
    this.#open.delete(producer)
    if (isShown) this.#showOf(producer)
  }

  #begun(producer: number, firstOffset: number): Transaction {
    const open = this.#open.get(producer)
    if (open !== undefined) return open
    const begun = { producer, firstOffset, outcome: undefined, endOffset: -1, isReleased: false }
    this.#open.set(producer, begun)
    this.#transactions.push(begun)
    return begun
  }

  #note(baseOffset: number, values: readonly string[], transaction: Transaction | undefined): void {
    for (const [index, value] of values.entries()) {
      this.#written.push({ offset: baseOffset + index, value, transaction })
    }
  }

  #values(count: number, bytes: number): string[] {
    const first = this.#written.length
    return Array.from({ length: count }, (_, index) => `${first + index}`.padEnd(bytes, '.'))
  }

  #show(): void {
    for (let producer = 0; producer < PRODUCERS; producer += 1) this.#showOf(producer)
  }

  #showOf(producer: number): void {
    for (const each of this.#transactions) {
      if (each.producer !== producer || each.outcome === undefined || each.isReleased) continue
      each.isReleased = true
      this.writer.visible.release(FIRST_ID + producer)
      this.writer.stabilized()
    }
  }

  async #delete(share: number): Promise<void> {
    const { logStartOffset, highWatermark } = this.writer
    const offset = Math.floor(logStartOffset + share * (highWatermark - logStartOffset))
    this.writer.moveLogStart(offset)
    await this.writer.deleteSegmentsBelow(offset)
  }

  async #reopen(isKilled: boolean, isDamaged: boolean): Promise<void> {
    const { logStartOffset } = this.writer
    if (isKilled) {
      this.#fileSystem = this.#fileSystem.clone()
      await this.end()
    } else await this.writer.close()
    if (isDamaged) await damageAborted(this.#fileSystem)
    const place = { logStartOffset, isClean: !isKilled }
    this.#writer = await openLog(this.#fileSystem, { ...this.#options, ...place })
    for (const each of this.#transactions) each.isReleased ||= each.outcome !== undefined
    if (isKilled) await this.#openReader()
  }

  async #reopenReader(isDamaged: boolean): Promise<void> {
    if (!isDamaged) {
      await this.reader.close()
      await this.#openReader()
      return
    }
    // Of a copy: the writer is not to be hurt.
    const copy = this.#fileSystem.clone()
    await damageAborted(copy)
    const { logStartOffset } = this.writer
    const reader = await openLog(copy, { ...this.#options, readOnly: true, logStartOffset })
    await this.#checkLog(reader, this.#stableInFiles(reader), 0, 1000, Number.POSITIVE_INFINITY)
    await reader.close()
  }

  async #openReader(): Promise<void> {
    const { logStartOffset } = this.writer
    this.#reader = await openLog(this.#fileSystem, {
      ...this.#options,
      readOnly: true,
      logStartOffset,
    })
  }

  // ------------------------------------------------------------------------------------- checks

  async check(from: number, maxBytes: number, maxRecords: number): Promise<void> {
    const { writer, reader } = this
    const held = this.#transactions.filter(({ isReleased }) => !isReleased)
    const stable = Math.min(writer.highWatermark, ...held.map(({ firstOffset }) => firstOffset))
    await this.#checkLog(writer, stable, from, maxBytes, maxRecords)
    await this.#checkLog(reader, this.#stableInFiles(reader), from, maxBytes, maxRecords)
  }

  /** As who reads the files alone must see it. Of a transaction whose batches are gone there is nothing to be undecided. */
  #stableInFiles({ logEndOffset, segments }: PartitionLog): number {
    const firsts = this.#transactions
      .filter(
        ({ firstOffset, endOffset }) =>
          firstOffset < logEndOffset && (endOffset === -1 || endOffset >= logEndOffset),
      )
      .map(({ firstOffset }) => firstOffset)
    assert.ok(segments.length > 0)
    return Math.min(logEndOffset, ...firsts)
  }

  async #checkLog(
    log: PartitionLog,
    stableOffset: number,
    from: number,
    maxBytes: number,
    maxRecords: number,
  ): Promise<void> {
    const topic = topicOf([log])
    const { highWatermark, lastStableOffset } = log
    // Retention waits for no transaction.
    assert.equal(lastStableOffset, Math.max(log.logStartOffset, stableOffset))
    for (const isolationLevel of LEVELS) {
      const isCommitted = isolationLevel === 'read_committed'
      const end = isCommitted ? lastStableOffset : highWatermark
      const start = Math.floor(log.logStartOffset + from * (highWatermark - log.logStartOffset))
      const wanted = this.#written.filter(
        ({ offset, transaction }) =>
          offset >= start && offset < end && !(isCommitted && transaction?.outcome === 'abort'),
      )
      const found: [number, unknown][] = []
      for (let offset = start; offset < end; ) {
        const options = { offset, maxBytes, maxRecords, isolationLevel }
        const page = await fetchFrom(topic, this.#clock, options)
        assert.deepEqual(
          [page.lastStableOffset, page.highWatermark],
          [lastStableOffset, highWatermark],
        )
        assert.ok(page.nextOffset > offset && page.nextOffset <= end)
        assert.ok(page.records.length > 0 || page.nextOffset === end, 'an empty answer')
        for (const each of page.records) found.push([each.offset, each.value])
        offset = page.nextOffset
      }
      const expected = wanted.map(({ offset, value }) => [offset, value])
      assert.deepEqual(found, expected, isolationLevel)
      const streamed: [number, unknown][] = []
      const range = { from: start, until: 'end', maxBytes, isolationLevel } as const
      for await (const each of read(topic, range)) streamed.push([each.offset, each.value])
      assert.deepEqual(streamed, expected, isolationLevel)
    }
  }
}

/** The last byte of each file is cut, or a byte in the middle is turned. */
async function damageAborted(fileSystem: MemoryFileSystem): Promise<void> {
  for (const name of await fileSystem.readdir(DIRECTORY)) {
    if (!name.endsWith('.txnindex')) continue
    const file = `${DIRECTORY}/${name}`
    const bytes = await readFileBytes(fileSystem, file)
    if (bytes.length % 4 === 0) bytes.writeUInt8(0xff, 1)
    await writeFileBytes(fileSystem, file, bytes.length % 4 === 0 ? bytes : bytes.subarray(1))
  }
}

suite('readers of transactions', () => {
  for (const compression of ['none', 'gzip'] as const) {
    test(`see what their level says of random histories, compression ${compression}`, async () => {
      await fc.assert(
        fc.asyncProperty(steps, async (all) => {
          const history = new History(compression)
          await history.begin()
          for (const each of all) await history.step(each)
          await history.reader.poll(0)
          await history.check(0, 4000, Number.POSITIVE_INFINITY)
          await history.end()
        }),
        { numRuns: 60, includeErrorInReport: true },
      )
    })
  }
})
