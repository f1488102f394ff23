import assert from 'node:assert/strict'
import type {
  ConsumedRecord,
  FinishedAbove,
  PageSource,
  TakenPage,
  Withdrawal,
} from '../../src/groups/consumer/page-source.ts'
import type { FinishedRange } from '../../src/groups/consumer/run/finished-ranges.ts'
import { decodeFinished, encodeFinished } from '../../src/groups/consumer/run/finished-ranges.ts'
import { Deferred } from '../../src/util/deferred.ts'

export interface FakeRecord {
  readonly key?: string | null
  readonly value?: unknown
  /** Default: the next one. */
  readonly offset?: number
}

interface Partition {
  readonly partition: number
  readonly records: (FakeRecord & { offset: number })[]
  readonly deliveries: Map<number, number>
  readonly pages: Set<FakePage>
  position: number
  done: number
  toldAbove: FinishedAbove | undefined
  /** As it was when the partition was last begun with. */
  finishedAbove: readonly FinishedRange[]
  isAssigned: boolean
  isToRewind: boolean
}

export const TOPIC = 'orders'

/** A consumer's pages without a log: what is taken, finished and put down is held to what the seam says. */
export class FakePageSource implements PageSource<string, unknown> {
  readonly pageRecords: number
  readonly #partitions = new Map<number, Partition>()
  #waiting: Deferred<void> | undefined
  #isClosed = false
  failure: Error | undefined

  constructor(pageRecords = 100) {
    this.pageRecords = pageRecords
  }

  add(partition: number, records: readonly FakeRecord[]): void {
    const known = this.#partition(partition)
    for (const record of records) {
      const offset = record.offset ?? (known.records.at(-1)?.offset ?? -1) + 1
      known.records.push({ ...record, offset })
    }
    this.#wake()
  }

  #partition(partition: number): Partition {
    let known = this.#partitions.get(partition)
    if (known === undefined) {
      known = {
        partition,
        records: [],
        deliveries: new Map(),
        pages: new Set(),
        position: 0,
        done: 0,
        toldAbove: undefined,
        finishedAbove: [],
        isAssigned: true,
        isToRewind: false,
      }
      this.#partitions.set(partition, known)
    }
    return known
  }

  /** What would be committed now. */
  committed(partition = 0): { offset: number; metadata: string | undefined } {
    const { done, toldAbove } = this.#partition(partition)
    return { offset: done, metadata: encodeFinished(done, toldAbove?.() ?? []) }
  }

  /** All offsets that a next owner would not be given. */
  finishedOffsets(partition = 0): number[] {
    const { offset, metadata } = this.committed(partition)
    const above = decodeFinished(offset, metadata ?? '')
    return this.#partition(partition)
      .records.map((record) => record.offset)
      .filter(
        (each) => each < offset || above.some(({ start, end }) => each >= start && each < end),
      )
  }

  lastOffset(partition = 0): number | undefined {
    return this.#partition(partition).records.at(-1)?.offset
  }

  pagesInHand(partition = 0): FakePage[] {
    return [...this.#partition(partition).pages]
  }

  /** Asks a partition back; it is read on from its commit when all of it is put down. */
  withdraw(partition = 0): void {
    const known = this.#partition(partition)
    known.isToRewind = true
    for (const page of [...known.pages]) page.withdraw()
    this.released(known)
  }

  lose(partition = 0): void {
    const known = this.#partition(partition)
    known.isToRewind = true
    known.isAssigned = false
    for (const page of [...known.pages]) page.lose()
    this.released(known)
  }

  assign(partition = 0): void {
    this.#partition(partition).isAssigned = true
    this.#wake()
  }

  close(): void {
    this.#isClosed = true
    for (const { pages } of this.#partitions.values())
      for (const page of [...pages]) page.withdraw()
    this.#wake()
  }

  loseAll(): void {
    for (const { pages } of this.#partitions.values()) for (const page of [...pages]) page.lose()
  }

  released(partition: Partition): void {
    if (!partition.isToRewind || partition.pages.size > 0) return
    partition.isToRewind = false
    partition.position = partition.done
    partition.finishedAbove = [...(partition.toldAbove?.() ?? [])]
    this.#wake()
  }

  mayTake(): void {
    this.#wake()
  }

  async take(): Promise<FakePage | undefined> {
    for (;;) {
      if (this.failure !== undefined) throw this.failure
      if (this.#isClosed) return undefined
      const page = this.#next()
      if (page !== undefined) return page
      this.#waiting ??= new Deferred()
      await this.#waiting.promise
    }
  }

  commit(): Promise<void> {
    return Promise.resolve()
  }

  /** In turn: who has given a page goes behind the others. */
  #next(): FakePage | undefined {
    for (const known of this.#partitions.values()) {
      const mayHaveMore = [...known.pages].every((page) => page.mayHaveMore)
      if (!known.isAssigned || known.isToRewind || !mayHaveMore) continue
      const page = this.#read(known)
      if (page === undefined) continue
      this.#partitions.delete(known.partition)
      this.#partitions.set(known.partition, known)
      return page
    }
    return undefined
  }

  #read(known: Partition): FakePage | undefined {
    const { position, deliveries, finishedAbove: above } = known
    const unread = known.records.filter((record) => record.offset >= position)
    const wanted = unread.filter(
      ({ offset }) => !above.some(({ start, end }) => offset >= start && offset < end),
    )
    const records = wanted.slice(0, this.pageRecords)
    const last = records.at(-1)
    if (last === undefined) return undefined
    const following = unread.find(({ offset }) => offset > last.offset)
    known.position = following?.offset ?? last.offset + 1
    const page = new FakePage(
      this,
      known,
      records.map((record) => {
        const deliveryCount = (deliveries.get(record.offset) ?? 0) + 1
        return consumed(known.partition, record, deliveryCount)
      }),
      position,
      known.position,
    )
    known.pages.add(page)
    return page
  }

  #wake(): void {
    this.#waiting?.resolve()
    this.#waiting = undefined
  }
}

type Consumed = ConsumedRecord<string, unknown>

function consumed(
  partition: number,
  record: FakeRecord & { offset: number },
  deliveryCount: number,
): Consumed {
  const made = {
    topic: TOPIC,
    partition,
    offset: record.offset,
    timestamp: 0,
    key: record.key ?? null,
    value: record.value ?? null,
    headers: {},
    deliveryCount,
    detach: () => made,
  }
  return made
}

export class FakePage implements TakenPage<string, unknown>, Withdrawal {
  readonly topic = TOPIC
  readonly partition: number
  readonly records: readonly Consumed[]
  readonly startOffset: number
  readonly nextOffset: number
  readonly #source: FakePageSource
  readonly #of: Partition
  mayHaveMore = true
  isWithdrawn = false
  isLost = false
  onWithdrawn: (() => void) | undefined
  signs = 0
  #isDown = false

  constructor(
    source: FakePageSource,
    of: Partition,
    records: readonly Consumed[],
    startOffset: number,
    nextOffset: number,
  ) {
    this.#source = source
    this.#of = of
    this.partition = of.partition
    this.records = records
    this.startOffset = startOffset
    this.nextOffset = nextOffset
  }

  get withdrawn(): Withdrawal {
    return this
  }

  finished(offset: number, toldAbove?: FinishedAbove): void {
    assert.ok(!this.#isDown, 'finished after it was put down')
    this.signs += 1
    if (this.isLost || offset < this.#of.done) return
    this.#of.done = offset
    this.#of.toldAbove = toldAbove
  }

  heard(): void {
    assert.ok(!this.#isDown, 'heard of after it was put down')
    this.signs += 1
  }

  again(record: Consumed): Consumed {
    assert.ok(!this.#isDown, 'handed out again after it was put down')
    this.signs += 1
    return { ...record, deliveryCount: record.deliveryCount + 1 }
  }

  wantMore(isWanted: boolean): void {
    assert.ok(!this.#isDown, 'more is wanted after it was put down')
    this.mayHaveMore = isWanted
    this.#source.mayTake()
  }

  putDown(begun: readonly Consumed[] = []): void {
    assert.ok(!this.#isDown, 'put down twice')
    this.#isDown = true
    for (const { offset, deliveryCount } of begun) this.#of.deliveries.set(offset, deliveryCount)
    this.#of.pages.delete(this)
    this.#source.released(this.#of)
    this.#source.mayTake()
  }

  withdraw(): void {
    this.isWithdrawn = true
    this.onWithdrawn?.()
  }

  lose(): void {
    this.isWithdrawn = true
    this.isLost = true
    this.onWithdrawn?.()
  }
}
