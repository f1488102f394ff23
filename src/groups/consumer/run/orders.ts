/** What may begin next, and what must wait: by partition, or by key. Pages come in the order of their partitions. */
import type { HeldPage } from './progress.ts'

/** Records that must not overtake one another, while one of them is not finished. */
export interface Lane<K, V> {
  /** Of a key: those that wait for it, in their order. */
  readonly waiting: Place<K, V>[]
  readonly release: () => void
}

interface Place<K, V> {
  readonly held: HeldPage<K, V>
  readonly index: number
}

export interface Order<K, V> {
  /** What `next` found: records from `index` up to, and without, `end`. */
  readonly index: number
  readonly end: number
  /** Theirs, where they have waited in one: to be released when they are finished. */
  readonly lane: Lane<K, V> | undefined
  add(held: HeldPage<K, V>): void
  /** The page of what may begin now, which is to be begun; undefined where nothing may. */
  next(): HeldPage<K, V> | undefined
  /** What `next` gave is not finished at once: what must not overtake it waits until the lane is released. */
  hold(): Lane<K, V>
}

const NOBODY: never[] = []

/** One handler a partition: what is not finished holds its page, which is the only one of its partition in hand. */
export class PartitionOrder<K, V> implements Order<K, V> {
  index = 0
  end = 0
  readonly lane = undefined
  readonly #ready: HeldPage<K, V>[] = []
  #found: HeldPage<K, V> | undefined
  /** A whole page at once. */
  readonly #isWhole: boolean

  constructor(isWhole: boolean) {
    this.#isWhole = isWhole
  }

  add(held: HeldPage<K, V>): void {
    held.page.wantMore(false)
    this.#ready.push(held)
  }

  next(): HeldPage<K, V> | undefined {
    for (;;) {
      const held = this.#ready[0]
      if (held === undefined) return undefined
      if (!held.isWithdrawn && held.next < held.records.length) {
        this.index = held.next
        this.end = this.#isWhole && !held.isSplit ? held.records.length : held.next + 1
        held.next = this.end
        this.#found = held
        return held
      }
      this.#ready.shift()
    }
  }

  hold(): Lane<K, V> {
    const held = this.#found as HeldPage<K, V>
    // A handler may have set free another one.
    this.#ready.splice(this.#ready.indexOf(held), 1)
    return { waiting: NOBODY, release: () => this.#ready.unshift(held) }
  }
}

/** One handler a key of a partition. While no key is held, nothing is looked up. */
export class KeyOrder<K, V> implements Order<K, V> {
  index = 0
  end = 0
  lane: Lane<K, V> | undefined
  /** Those with records that have not been come to. */
  readonly #pages: HeldPage<K, V>[] = []
  /** Lanes whose next record may begin. */
  readonly #freed: Lane<K, V>[] = []
  /** The first of the pages, and of its partition, by key: one of its records is not finished. */
  #first: HeldPage<K, V> | undefined
  #lanes: Map<string, Lane<K, V>> = new Map()
  readonly #byPartition = new WeakMap<object, Map<string, Lane<K, V>>>()

  add(held: HeldPage<K, V>): void {
    this.#pages.push(held)
  }

  next(): HeldPage<K, V> | undefined {
    return this.#nextOfFreed() ?? this.#nextOfPages()
  }

  hold(): Lane<K, V> {
    if (this.lane !== undefined) return this.lane
    // Where it stands is still the first of the pages.
    const held = this.#pages[0] as HeldPage<K, V>
    const key = keyOf(held, this.index)
    const lanes = this.#lanes
    const lane: Lane<K, V> = { waiting: [], release: () => this.#release(lane, lanes, key) }
    if (key !== undefined) lanes.set(key, lane)
    return lane
  }

  #nextOfFreed(): HeldPage<K, V> | undefined {
    for (;;) {
      const lane = this.#freed.shift()
      if (lane === undefined) return undefined
      const place = lane.waiting.shift()
      if (place === undefined) continue
      if (place.held.isWithdrawn) lane.release()
      else return this.#found(place.held, place.index, lane)
    }
  }

  #nextOfPages(): HeldPage<K, V> | undefined {
    for (;;) {
      const held = this.#pages[0]
      if (held === undefined) return undefined
      if (held !== this.#first) this.#turnTo(held)
      while (held.next < held.records.length && !held.isWithdrawn) {
        const index = held.next
        held.next += 1
        const lane = this.#laneOf(held, index)
        if (lane === undefined) return this.#found(held, index, undefined)
        lane.waiting.push({ held, index })
      }
      this.#pages.shift()
    }
  }

  #found(held: HeldPage<K, V>, index: number, lane: Lane<K, V> | undefined): HeldPage<K, V> {
    this.index = index
    this.end = index + 1
    this.lane = lane
    return held
  }

  #laneOf(held: HeldPage<K, V>, index: number): Lane<K, V> | undefined {
    if (this.#lanes.size === 0) return undefined
    const key = keyOf(held, index)
    return key === undefined ? undefined : this.#lanes.get(key)
  }

  #turnTo(held: HeldPage<K, V>): void {
    this.#first = held
    this.#lanes = this.#byPartition.get(held.progress) ?? new Map()
    this.#byPartition.set(held.progress, this.#lanes)
  }

  #release(lane: Lane<K, V>, lanes: Map<string, Lane<K, V>>, key: string | undefined): void {
    if (lane.waiting.length > 0) this.#freed.push(lane)
    else if (key !== undefined) lanes.delete(key)
  }
}

/** Undefined: it has none. Bytes are told apart as well as strings are; a topic has keys of one kind. */
function keyOf<K, V>(held: HeldPage<K, V>, index: number): string | undefined {
  const key: unknown = held.records[index]?.key
  if (typeof key === 'string') return key
  return Buffer.isBuffer(key) ? key.toString('latin1') : undefined
}
