// A log whose transactions are also done in a model, action by action.
import assert from 'node:assert/strict'
import { setImmediate as turn } from 'node:timers/promises'
import type { AnyTopics, LogErrorCode, Producer, Transaction } from '../../src/index.ts'
import { Log, LogError, OffsetConflictError } from '../../src/index.ts'
import { verifyDirectory } from '../../src/inspect/directory-check.ts'
import type { Finding } from '../../src/inspect/finding.ts'
import { ManualClock, MemoryFileSystem } from '../../src/testing/index.ts'
import { IdempotentSender } from './idempotent-sender.ts'
import { loseLockHolder } from './lock-holder.ts'
import type { IsolationLevel, Owner, Place } from './transactions-model.ts'
import { PLACES, stableOffsetOf, TransactionsModel } from './transactions-model.ts'

export interface SentRecord {
  readonly key: string
  readonly bytes: number
}

interface AtPlace {
  /** Of `PLACES`. */
  readonly place: number
}

interface OfOpen {
  /** Which of the open transactions, modulo their number. */
  readonly open: number
}

export type TransactionAction =
  | { readonly do: 'begin'; readonly name: string | null; readonly timeoutMs: number }
  | (OfOpen &
      AtPlace & {
        readonly do: 'txProduce'
        readonly records: readonly SentRecord[]
        /** How far the expected offset is from the right one. */
        readonly error: number | null
      })
  | (OfOpen & AtPlace & { readonly do: 'txOffset'; readonly group: string; readonly at: number })
  | (OfOpen & { readonly do: 'commit' | 'abort' })
  | { readonly do: 'commitAll' }
  | {
      readonly do: 'transaction'
      readonly places: readonly number[]
      readonly records: readonly SentRecord[]
      readonly isThrowing: boolean
    }
  | { readonly do: 'init'; readonly name: string }
  | (AtPlace & { readonly do: 'produce'; readonly records: readonly SentRecord[] })
  | (AtPlace & { readonly do: 'idempotent'; readonly records: readonly SentRecord[] })
  | (AtPlace & { readonly do: 'retry'; readonly back: number })
  | (AtPlace & { readonly do: 'gap' })
  | (AtPlace & {
      readonly do: 'fetch'
      readonly at: number
      readonly isolationLevel: IsolationLevel
      readonly maxBytes: number
    })
  | { readonly do: 'check' | 'tail' }
  | { readonly do: 'compact' | 'flush' }
  | { readonly do: 'deleteRecords'; readonly at: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'reopen'; readonly after: 'close' | 'kill' }
  | { readonly do: 'killInCommit'; readonly turns: number }

type Doing<D extends TransactionAction['do']> = Extract<TransactionAction, { do: D }>

interface Open {
  readonly tx: Transaction
  readonly owner: Owner
  readonly deadline: number
  readonly name: string | null
  bytes: number
  /** Where partitions ended when they were expected to end there. */
  readonly ends: Map<Place, number>
  /** Something was expected that was not so. */
  isConflicting: boolean
}

const DIRECTORY = '/log'
const MAX_TRANSACTION_BYTES = 1500
/** So much is not written before the commit. */
const SURELY_BUFFERED_BYTES = 700
const MAX_OPEN = 4
const SMALL = { value: 'string', segmentBytes: 3072, indexIntervalBytes: 100 } as const

export class ModelledTransactions {
  readonly #clock = new ManualClock(1000)
  readonly #model = new TransactionsModel()
  /** The newest of each name. */
  readonly #named = new Map<string, Producer>()
  #fileSystem = new MemoryFileSystem({ clock: this.#clock })
  #opened: Log | undefined
  #open: Open[] = []
  #sender = new IdempotentSender()
  #tail: AsyncIterator<{ readonly offset: number; readonly value: unknown }> | undefined
  #tailOffset = 0

  static async open(): Promise<ModelledTransactions> {
    const made = new ModelledTransactions()
    await made.#openLog()
    return made
  }

  get #log(): Log {
    assert.ok(this.#opened)
    return this.#opened
  }

  async take(action: TransactionAction): Promise<void> {
    if (await this.#transact(action)) return
    if (await this.#produceBy(action)) return
    if (action.do === 'check') await this.#model.checkAll(this.#log)
    else if (action.do === 'fetch') await this.#fetch(action)
    else if (action.do === 'tail') await this.#readTail()
    else if (action.do === 'compact') await this.#log.compact('accounts')
    else if (action.do === 'flush') await this.#log.flush()
    else if (action.do === 'deleteRecords') await this.#deleteRecords(action.at)
    else if (action.do === 'advance') await this.#advance(action.ms)
    else if (action.do === 'reopen') await this.#reopen(action.after)
    else if (action.do === 'killInCommit') await this.#killInCommit(action.turns)
    else assert.fail(`nobody does ${action.do}`)
  }

  async end(): Promise<void> {
    await this.#model.checkAll(this.#log)
    await this.#reopen('close')
  }

  // ------------------------------------------------------------------------------ transactions

  async #transact(action: TransactionAction): Promise<boolean> {
    if (action.do === 'begin') await this.#begin(action)
    else if (action.do === 'txProduce') await this.#txProduce(action)
    else if (action.do === 'txOffset') await this.#txOffset(action)
    else if (action.do === 'commit') await this.#commit(this.#openAt(action.open))
    else if (action.do === 'abort') await this.#abort(this.#openAt(action.open))
    else if (action.do === 'commitAll') await this.#commitAll()
    else if (action.do === 'transaction') await this.#whole(action)
    else if (action.do === 'init') await this.#init(action.name)
    else return false
    return true
  }

  async #begin({ name, timeoutMs }: Doing<'begin'>): Promise<void> {
    if (this.#open.length >= MAX_OPEN) return
    const options = { transactionTimeoutMs: timeoutMs }
    const deadline = this.#clock.now() + timeoutMs
    let tx: Transaction
    if (name === null) tx = await this.#log.beginTransaction(options)
    else {
      // Of each producer one at a time.
      if (this.#open.some((each) => each.name === name)) return
      const producer = this.#named.get(name) ?? (await this.#init(name))
      tx = await producer.begin(options)
    }
    const owner = this.#model.begin(true)
    const ends = new Map<Place, number>()
    this.#open.push({ tx, owner, deadline, name, bytes: 0, ends, isConflicting: false })
  }

  /** The former one of its name is fenced, and its transaction aborted. */
  async #init(name: string): Promise<Producer> {
    const former = this.#named.get(name)
    const producer = await this.#log.producer({ transactionalId: name })
    this.#named.set(name, producer)
    if (former === undefined) return producer
    const same = former.producerId === producer.producerId
    assert.ok(!same || producer.producerEpoch > former.producerEpoch)
    await rejectsWith(former.begin(), 'PRODUCER_FENCED')
    const open = this.#open.find((each) => each.name === name)
    if (open !== undefined) await this.#isGone(open, 'PRODUCER_FENCED')
    return producer
  }

  async #txProduce({ open: at, place: index, records, error }: Doing<'txProduce'>): Promise<void> {
    const open = this.#openAt(at)
    if (open === undefined) return
    const place = placeAt(index)
    const { topic, partition } = place
    const before = open.owner.values.get(place)?.length ?? 0
    let expected = {}
    if (error !== null && (before === 0 || open.bytes < SURELY_BUFFERED_BYTES)) {
      const end = await this.#endOf(place)
      const known = open.ends.get(place) ?? end
      if (error !== 0 || known !== end) open.isConflicting = true
      open.ends.set(place, end)
      expected = { expectedOffset: Math.max(0, end + before + error) }
      if (end + before + error < 0) open.isConflicting ||= end + before !== 0
    }
    const sent = records.map(({ key, bytes }) => {
      const value = this.#model.send(open.owner, place, key, bytes)
      return { key, value }
    })
    open.bytes += records.reduce((sum, { bytes }) => sum + bytes + 100, 0)
    const options = { partition, ...expected }
    await this.#mayConflict(open, () => open.tx.produce(topic, sent, options))
  }

  async #txOffset({ open: at, place, group, at: fraction }: Doing<'txOffset'>): Promise<void> {
    const open = this.#openAt(at)
    if (open === undefined) return
    const { topic, partition } = placeAt(place)
    const { earliest, latest } = await this.#log.offsets(topic, partition)
    const offset = earliest + Math.floor(fraction * (latest - earliest))
    const commit = { topic, partition, offset } as const
    this.#model.noteOffset(open.owner, { group, ...commit })
    await open.tx.commitOffset(group, { ...commit, metadata: String(open.owner.id) })
  }

  async #commit(open: Open | undefined): Promise<void> {
    if (open === undefined) return
    let mayConflict = open.isConflicting || open.bytes >= SURELY_BUFFERED_BYTES
    for (const [place, end] of open.ends) mayConflict ||= (await this.#endOf(place)) !== end
    const isCommitted = await this.#mayConflict(open, () => this.#commitOne(open))
    assert.ok(isCommitted || mayConflict, 'nobody else has written there, and it conflicts')
    if (isCommitted) this.#model.committed(open.owner)
  }

  async #commitOne(open: Open): Promise<void> {
    const { partitions } = await open.tx.commit()
    assert.equal(open.tx.state, 'committed')
    this.#close(open)
    const sent = [...open.owner.values.keys()]
    assert.equal(partitions.length, sent.length)
    for (const { topic, partition, baseOffset, lastOffset } of partitions) {
      const place = sent.find((each) => each.topic === topic && each.partition === partition)
      assert.ok(place, `nothing was sent to ${topic}-${partition}`)
      this.#model.told(open.owner, place, baseOffset, lastOffset)
    }
  }

  async #commitAll(): Promise<void> {
    const committed: Owner[] = []
    const all = [...this.#open].map(async (open) => {
      const { owner } = open
      if (await this.#mayConflict(open, () => this.#commitOne(open))) committed.push(owner)
    })
    await Promise.all(all)
    this.#model.committed(...committed)
  }

  async #abort(open: Open | undefined): Promise<void> {
    if (open === undefined) return
    await Promise.all([open.tx.abort(), open.tx.abort()])
    assert.equal(open.tx.state, 'aborted')
    this.#close(open)
    this.#model.aborted(open.owner)
  }

  async #whole({ places, records, isThrowing }: Doing<'transaction'>): Promise<void> {
    const owner = this.#model.begin(true)
    const thrown = new Error('not meant')
    const done = this.#log.transaction(async (tx) => {
      const sent = places.map((index) => {
        const place = placeAt(index)
        const values = records.map(({ key, bytes }) => {
          return { key, value: this.#model.send(owner, place, key, bytes) }
        })
        return tx.produce(place.topic, values, { partition: place.partition })
      })
      await Promise.all(sent)
      if (isThrowing) throw thrown
      return 'the result'
    })
    if (isThrowing) await assert.rejects(done, thrown)
    else assert.equal(await done, 'the result')
    if (isThrowing) this.#model.aborted(owner)
    else this.#model.committed(owner)
    // It is not told where its records are.
    await this.#model.checkAll(this.#log)
  }

  /** It has found another end of a partition than it expected, and is aborted: answers whether it is not so. */
  async #mayConflict(open: Open, call: () => Promise<unknown>): Promise<boolean> {
    try {
      await call()
      return true
    } catch (error) {
      if (!(error instanceof OffsetConflictError)) throw error
      assert.ok(open.ends.size > 0, 'nothing was expected')
      assert.notEqual(error.expected, error.actual)
      await this.#abort(open)
      return false
    }
  }

  /** It was aborted by somebody else. */
  async #isGone(open: Open, code: LogErrorCode): Promise<void> {
    this.#close(open)
    this.#model.aborted(open.owner)
    assert.equal(open.tx.state, 'aborted')
    const record = { key: 'a', value: 'too late' }
    await rejectsWith(open.tx.produce('orders', record, { partition: 0 }), code)
    await rejectsWith(open.tx.commit(), code)
    await open.tx.abort()
  }

  #close(open: Open): void {
    this.#open = this.#open.filter((each) => each !== open)
  }

  #openAt(index: number): Open | undefined {
    return this.#open[index % Math.max(1, this.#open.length)]
  }

  async #endOf({ topic, partition }: Place): Promise<number> {
    const { partitions } = await this.#log.describeTopic(topic)
    return partitions[partition]?.logEndOffset ?? -1
  }

  // ------------------------------------------------------------------------------- other calls

  async #produceBy(action: TransactionAction): Promise<boolean> {
    if (action.do === 'produce') await this.#produce(action)
    else if (action.do === 'idempotent') {
      await this.#sender.send(this.#model, placeAt(action.place), action.records)
    } else if (action.do === 'retry') await this.#sender.retry(placeAt(action.place), action.back)
    else if (action.do === 'gap') await this.#sender.leaveGap(placeAt(action.place))
    else return false
    return true
  }

  async #produce({ place: index, records }: Doing<'produce'>): Promise<void> {
    const place = placeAt(index)
    const { topic, partition } = place
    const owner = this.#model.begin(false)
    const sent = records.map(({ key, bytes }) => {
      return { key, value: this.#model.send(owner, place, key, bytes) }
    })
    const [told] = await this.#log.produce(topic, sent, { partition, durability: 'disk' })
    assert.ok(told)
    this.#model.told(owner, place, told.baseOffset, told.lastOffset)
    this.#model.committed(owner)
  }

  async #deleteRecords(at: number): Promise<void> {
    const place = { topic: 'clicks', partition: 0 } as const
    const before = Math.floor(at * stableOffsetOf(this.#log, place))
    await this.#log.deleteRecords('clicks', { partition: 0, before })
  }

  async #fetch(action: Doing<'fetch'>): Promise<void> {
    const { topic, partition } = placeAt(action.place)
    const { isolationLevel, maxBytes } = action
    const { earliest, latest } = await this.#log.offsets(topic, partition)
    const stable = stableOffsetOf(this.#log, { topic, partition })
    const end = isolationLevel === 'read_committed' ? stable : latest
    const offset = earliest + Math.floor(action.at * (end - earliest))
    const options = { partition, offset, isolationLevel }
    const page = await this.#log.fetch(topic, { ...options, maxBytes })
    assert.equal(page.lastStableOffset, stable)
    assert.ok(page.nextOffset <= end, `${page.nextOffset} is above ${end}`)
    assert.ok(page.nextOffset > offset || offset === end, `it stands still at ${offset}`)
    const whole = await this.#log.fetch(topic, options)
    const expected = whole.records.filter((record) => record.offset < page.nextOffset)
    const brief = ({ offset: each, value }: { offset: number; value: unknown }) => [each, value]
    if (whole.nextOffset >= page.nextOffset) {
      assert.deepEqual(page.records.map(brief), expected.map(brief))
    }
  }

  /** A live reader has been handed what can be read by now, and waits. */
  async #readTail(): Promise<void> {
    this.#tail ??= this.#log
      .read('orders', { partition: 0, from: this.#tailOffset })
      [Symbol.asyncIterator]()
    const place = placeAt(0)
    for (const expected of await this.#model.committedFrom(this.#log, place, this.#tailOffset)) {
      const { value: found } = await this.#tail.next()
      assert.deepEqual([found.offset, found.value], [expected.offset, expected.value])
      this.#tailOffset = found.offset + 1
    }
  }

  async #advance(ms: number): Promise<void> {
    await this.#clock.advance(ms)
    for (const open of this.#open.filter(({ deadline }) => deadline <= this.#clock.now())) {
      await this.#isGone(open, 'TRANSACTION_ABORTED')
      // Its epoch has risen.
      if (open.name !== null) this.#named.delete(open.name)
    }
  }

  // ---------------------------------------------------------------------------- open and close

  async #openLog(): Promise<void> {
    this.#opened = await Log.open<AnyTopics>(DIRECTORY, {
      fileSystem: this.#fileSystem,
      clock: this.#clock,
      maxTransactionBytes: MAX_TRANSACTION_BYTES,
      topics: {
        orders: { ...SMALL, partitions: 2, durability: 'disk' },
        clicks: { ...SMALL, partitions: 1, durability: 'os' },
        accounts: { ...SMALL, partitions: 1, cleanupPolicy: 'compact' },
      },
    })
    this.#named.clear()
    this.#tail = undefined
    await this.#sender.open(this.#log)
  }

  async #reopen(after: 'close' | 'kill'): Promise<void> {
    await this.#verify()
    if (after === 'close') await this.#log.close()
    else await this.#kill()
    for (const { owner, tx } of this.#open) {
      this.#model.aborted(owner)
      if (after === 'close') assert.equal(tx.state, 'aborted')
    }
    await this.#openAgain(after === 'close')
  }

  /** What is being committed is there as a whole afterwards, or not at all. */
  async #killInCommit(turns: number): Promise<void> {
    const told = new Set<Owner>()
    for (const open of this.#open) {
      open.owner.fate = 'unknown'
      open.tx.commit().then(
        () => told.add(open.owner),
        () => {},
      )
    }
    for (let left = turns; left > 0; left -= 1) await (left % 3 === 0 ? turn() : undefined)
    const killed = this.#kill()
    const acknowledged = this.#open.filter(({ owner }) => told.has(owner))
    await killed
    await this.#openAgain(false)
    for (const { owner } of acknowledged) {
      const isEmpty = owner.values.size + owner.offsets.length === 0
      assert.ok(isEmpty || owner.fate === 'committed', 'it was acknowledged and is not there')
    }
  }

  async #kill(): Promise<void> {
    this.#fileSystem = this.#fileSystem.clone()
    await loseLockHolder(this.#fileSystem, DIRECTORY)
  }

  async #openAgain(isClean: boolean): Promise<void> {
    this.#open = []
    await this.#verify()
    await this.#openLog()
    assert.equal(this.#log.recovery.clean, isClean)
    await this.#model.checkAll(this.#log)
    await this.#readTail()
  }

  /** Whatever was done, the files bear each other out. */
  async #verify(): Promise<void> {
    const findings: Finding[] = []
    await verifyDirectory({
      fileSystem: this.#fileSystem,
      directory: DIRECTORY,
      onFinding: (finding) => findings.push(finding),
    })
    const bad = findings.filter(({ severity }) => severity !== 'information')
    assert.deepEqual(bad, [])
  }
}

function placeAt(index: number): Place {
  const place = PLACES[index % PLACES.length]
  assert.ok(place)
  return place
}

async function rejectsWith(call: Promise<unknown>, code: LogErrorCode): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof LogError, String(error))
    assert.equal(error.code, code)
    return true
  })
}
